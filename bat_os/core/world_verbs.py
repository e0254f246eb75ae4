"""The table of verbs, continued: what reaches outside of the image.

Only these verbs make grants and flows, and only a person sends them: no message, method or mission
does.
"""

from __future__ import annotations

from typing import Final

from bat_os.core.fields import Field, Verb
from bat_os.core.system_verbs import MINUTES


def _optional(part: str) -> str:
    """Return a part of a reply as one that may be missing."""
    name, colon, kind = part.partition(":")
    return f"{name}?{colon}{kind}"


# fmt: off
_WHAT: Final = Field("what", "path", "a folder, or a file", "what", required=True)
_GRANTED: Final = (
    Field("name", "text", "name of the new object (default: that of the folder)", "--as"),
    Field("write", "flag", "let it change files, or send, too", "--write"),
    Field("only", "text", "these messages alone, as names,read", "--only", shown="NAMES"),
    Field("hours", "number", "it ends after so many hours", "--hours", least=0),
)
_GRANT: Final = (
    "object driver what state:live|ended|revoked operations:texts given:num until:num part_of by "
    "used:{count:count last:num}"
)
_PAIR: Final = (
    Field("source", "text", "what it was read through: an object with a grant, or its oid",
          "source", required=True),
    Field("sink", "text", "what it may be sent through, or the prototype of a persona", "sink",
          required=True),
)  # fmt: skip
_FLOW: Final = "source sink read sent given:num by"
GRANT_VERBS: Final = (
    Verb("grant", "let BAT OS read a folder", (
        _WHAT, *_GRANTED,
        Field("once", "flag", "an object without a name, which ends after a minute")),
        reply=_GRANT,
        note="The new object understands `read`, `names`, `facts`, `find` and `search`, with "
             "`write` also `write`, `append` and `remove`; `genesis_obj` gets a slot that refers "
             "to it.",
        examples=("~/notes", "~/notes --write", "~/notes --as diary --hours 2",
                  "~/inbox --only names,facts"), scope="person"),
    Verb("grant-mcp", "let BAT OS use a server of tools, by MCP", (
        Field("name", "text", "of the server; its object is named after it", "name",
              required=True, most=60),
        Field("program", "list", "the server and its arguments, or its address; none shows a "
              "server that was granted", "program*", shown="PROGRAM|URL"),
        Field("renew", "flag", "say yes to the tools as the server describes them now", "--renew"),
        Field("reads", "texts", "tools that only read, as add,list", "--read", shown="TOOLS"),
        Field("trusted", "flag", "believe what the server says of its tools: which only read",
              "--trust-hints"),
        Field("write", "paths", "a folder or file that the server may change", "--folder",
              shown="PATH"),
        Field("read", "paths", "a folder or file that it may read", "--see", shown="PATH"),
        Field("net", "texts", "where it may connect to; without it, nowhere", "--net",
              shown="HOST:PORT"),
        Field("environment", "texts", "a variable of the daemon's environment that it gets",
              "--env", shown="NAME"),
        Field("token", "text", "of an address: the variable that has its token", "--token",
              shown="NAME"),
        *_GRANTED[2:]),
        reply=f"{_GRANT} tools:[message signature kind about] changes:texts renewed:flag",
        note="Its tools are the messages of the new object. `changes`: what the server says "
             "otherwise of its tools than when they were granted.",
        examples=("time --read get_current_time -- mcp-server-time",
                  "box --trust-hints --folder ~/box -- mcp-server-filesystem ~/box",
                  "wiki https://example.org/mcp --token WIKI_TOKEN", "time", "time --renew"),
        seconds=MINUTES, scope="person"),
    Verb("grants", "list what BAT OS may reach outside of its image",
        reply=f"grants:[{_GRANT}]",
        note="Newest first, with those that have ended.",
        examples=("",), access="reads"),
    Verb("narrow", "let a new object reach a part of what another one may", (
        Field("target", "text", "name or oid", "object", place="envelope", required=True),
        _WHAT, *_GRANTED),
        reply=_GRANT,
        note="It ends with the grant that it is a part of.",
        examples=("notes_obj ~/notes/2026 --as this_year",), scope="person"),
    Verb("revoke", "take a grant back, and all that are a part of it", (
        Field("target", "text", "name or oid", "object", place="envelope", required=True),),
        reply="revoked:texts",
        note="From the next message on. The objects stay, and reach nothing.",
        examples=("notes_obj",), scope="own"),
    Verb("flows", "list what may be sent where, of what was read through a grant",
        reply=f"flows:[{_FLOW}]",
        note="There are none at the start; `allow` adds one.",
        examples=("",), access="reads"),
    Verb("allow", "let what is read through one grant be sent through another one", _PAIR,
        reply=_FLOW,
        note="From then on, for both grants and all that are a part of them.",
        examples=("notes_obj outbox_obj",), scope="person"),
    Verb("disallow", "take back what allow has let through", _PAIR,
        reply="source sink",
        note="From the next message on. What was sent stays sent.",
        examples=("notes_obj outbox_obj",), scope="own"),
)
_EFFECT: Final = (
    "number:count what state:staged|performing|done|failed|unknown|held|dropped object by at:num "
    "ended:num attempts:count due:num error undoes:count unused:flag can_undo:flag"
)
_NUMBER: Final = (Field("number", "whole", "of the effect", least=1, required=True),)
EFFECT_VERBS: Final = (
    Verb("effects", "list what is yet to be done outside of the image; redo, drop or undo it", (
        Field("action", "text", "redo, drop or undo ID", "action?", place="client",
              shown="ACTION", choices=("", "redo", "drop", "undo")),
        Field("id", "text", "of the effect", "id?", place="client", shown="ID"),
        Field("all", "flag", "what was done or dropped, too", "--all"),
        Field("limit", "whole", "at most so many", "-n --limit", 100, least=1, most=1000)),
        reply=f"effects:[{_EFFECT}]",
        prints=f"effects?:[{_EFFECT}] "
               + " ".join(_optional(part) for part in _EFFECT.split()),
        note="Newest first. `unknown`: the kernel was killed while it did it. `held`: it is from "
             "another home, or its grant has ended. Neither is done before a `redo`.",
        examples=("", "--all", "redo 7", "drop 7", "undo 7"), access="reads"),
    Verb("effects.redo", "have an effect done that failed, is held or is not known", _NUMBER,
        reply=_EFFECT, on="wire", scope="person"),
    Verb("effects.drop", "give up an effect that is not done", _NUMBER,
        reply=_EFFECT, on="wire", scope="own"),
    Verb("effects.undo", "take back an effect that was done, by another one", _NUMBER,
        reply=_EFFECT, on="wire",
        note="A file gets what it held, if nobody changed it since.", scope="person"),
)
# fmt: on
WORLD_VERBS: Final = (*GRANT_VERBS, *EFFECT_VERBS)
