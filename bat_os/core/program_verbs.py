"""The table of verbs, continued: what programs ask for, a page or a piece at a time.

Those on the wire are not on the command line: there a person sees the same through ``list``,
``history``, ``ask`` and ``find``. ``mcp``, ``licences``, ``report``,
``cluster``, ``restart``, ``uninstall`` and ``update`` are on it alone.
"""

from __future__ import annotations

from typing import Final

from bat_os.core.fields import Field, Verb
from bat_os.core.scopes import SCOPES

MAX_PAGE: Final = 2000  # objects of one page
MAX_MOMENTS: Final = 200
MAX_TEXTS: Final = 256  # of one request for vectors
MAX_MESSAGES: Final = 100  # of one prompt

AFTER: Final = Field("after", "text", "the page after this object", most=200)
LIMIT: Final = Field("limit", "whole", "of one page", default=MAX_PAGE, least=1, most=MAX_PAGE)
IF_SERIAL: Final = Field(
    "if_serial", "text",
    "the `serial` that `inspect` has shown; if it is another one by now, `CONFLICT`", most=16,
)  # fmt: skip

# fmt: off
PROGRAM_VERBS: Final = (
    Verb("graph", "tell of all objects what refers to what, a page at a time", (AFTER, LIMIT),
        reply="nodes:[name parents:texts slots:count methods:list refers:texts serial] next",
        note="By name. `methods`: `[selector, status]` of each learned or taught one; `refers`: "
             "names of the objects that its slots refer to; `serial`: of the object and its own "
             "methods; `next`: for `after`, or \"\".",
        on="wire", access="past"),
    Verb("moments", "list what was committed, the newest first", (
        Field("before", "text", "the page before this transaction", most=16),
        Field("limit", "whole", "of one page", default=50, least=1, most=MAX_MOMENTS)),
        reply="moments:[id at:num note by mission names:texts] before",
        note="`names`: of the objects that it changed, as they are called now; `by`: who asked, "
             "where it came by HTTP. `before`: for the next page, or \"\".",
        on="wire", access="reads", seconds=60),
    Verb("generate", "have the model of a persona go on with a conversation; nothing is learned", (
        Field("persona_id", "text", "a persona, or a facet as `BRICK:tamland`", default="ROBIN",
              most=200),
        Field("messages", "list", "`[role, text]` of each: system, user or assistant",
              required=True),
        Field("temperature", "number", default=0.7, least=0, most=2),
        Field("top_p", "number", default=0.95, least=0, most=1),
        Field("max_tokens", "whole", default=512, least=1, most=4096),
        Field("seed", "whole", "another one gives another text", least=0, most=(1 << 31) - 1),
        Field("schema", "map", "JSON Schema that the text follows")),
        reply="persona model text tokens:count read:count finished:flag seconds:num",
        note="Before it, an `event` with `text` per piece. `read`: tokens of the prompt; "
             "`finished`: it ended by itself. The oldest messages are left out if all do not fit.",
        on="wire", seconds=300, scope="send"),
    Verb("embed", "return the vectors of texts, as search by meaning has them", (
        Field("input", "list", f"1 to {MAX_TEXTS} texts", required=True),),
        reply="model vectors:list tokens:count",
        on="wire", access="reads", seconds=60, scope="send"),
    Verb("restart", "start the kernel anew, and say when it is ready; nothing is lost",
        reply="restarted:flag exit_status:count",
        examples=("",), on="command line"),
    Verb("uninstall", "stop, remove the service, and say what stays and where", (
        Field("data", "flag", "delete all data of the home, too; asks twice", "--data"),),
        reply="stopped:flag service stays:[what where size:count remove] deleted:texts "
              "exit_status:count",
        examples=("", "--data"), on="command line"),
    Verb("report", "show what a report of a bug needs, without anything of yours in it", (
        Field("file", "text", "new file to write it to, once you have seen it and said yes",
              "file?"),),
        reply="text file", examples=("", "batos-report.txt"), on="command line",
        access="reads", needs_home=False),
    Verb("mcp", "serve tools by MCP on standard input, to the program that starts it", (
        Field("print", "text", "print what that program has to know", "--print", shown="HOST",
              choices=("claude", "claude-code", "cursor", "vscode", "http")),
        Field("may", "text", "what its tools may do, each with those before it", "--may", "learn",
              choices=SCOPES, shown="SCOPE")),
        reply="host? text?", examples=("--print claude-code",), on="command line"),
    Verb("licences", "list every part that ships or is fetched, with its licence", (),
        reply="parts:[kind name version licence]",
        examples=("",), on="command line"),
    Verb("cluster", "try several kernels on one mind: a PostgreSQL, a load, a kill, a report", (
        Field("action", "text", "in a scratch folder, with a database of its own; all of it is "
              "removed at the end", "action", choices=("try",)),
        Field("seconds", "number", "of load", "--seconds", 10, least=1, most=600)),
        reply="answered:count before:count refused:texts lost:count twice:count waits:list "
              "learned:count asked:count kernels:texts exit_status:count",
        note="`before`: the kill; `waits`: p50, p99 and the longest, in seconds; `learned` of "
             "`asked` requests that were under way.",
        examples=("try", "try --seconds 60"), on="command line", needs_home=False),
    Verb("update", "upgrade to the newest version, where this one comes from", (
        Field("check", "flag", "only say which it is and what changes for you", "--check"),),
        reply="from to commit changes:texts newer:flag stage? reason? seconds?:num",
        note="`from`, `to`: versions; `commit`: \"\" where there is no newer one; `changes`: new "
             "entries of its changelog.",
        examples=("--check",), on="command line"),
)
# fmt: on
