"""The two-frame form: one map of a simple client to the fields of a request.

    {"command": "initiate_cognitive_cycle", "target_oid": ..., "mission_brief": {...}}

A translator at the client makes these briefs. What it knows of the wish besides the message goes
as ``kwargs``: ``intent``, the sentence of the person, and ``persona_id``, who is to write. They
are no arguments. A client without a translator makes the whole sentence the selector; such a name
says nothing, so the kernel reads the sentence itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from bat_os.core.schema import Meta, Record, convert, number, text
from bat_os.errors import ArgumentsError, FrameError

COMMAND: Final = "initiate_cognitive_cycle"
MAX_NAME: Final = 200  # characters of a verb, an id, a session, a key, a target
MAX_INTENT: Final = 20_000
INTENT, PERSONA_ID = "intent", "persona_id"

Name = Annotated[str, text(MAX_NAME)]
_Map = Mapping[str, Any]


class _Call(Record, frozen=True, forbid_unknown_fields=False):
    """The message to an object; a field that is null is as one that is not there."""

    selector: Name | None = None
    args: list[Any] | None = None
    kwargs: _Map | None = None


class _PlainBrief(Record, frozen=True, forbid_unknown_fields=False):
    target_oid: Annotated[int, number(0, (1 << 63) - 1)] | Annotated[str, Meta(min_length=1)]
    mission_brief: _Map | None = None
    session: Name | None = None
    ik: Name | None = None
    token: Name | None = None


class _Meant(Record, frozen=True, forbid_unknown_fields=False):
    """What a translator adds to the arguments by name."""

    intent: Annotated[str, text(MAX_INTENT)] | None = None
    persona_id: Name | None = None


def read_plain(data: Mapping[str, Any], peer: str) -> dict[str, Any]:
    """Return the fields of the request in a map of the two-frame form.

    Raises:
        FrameError: It is not this form.
        ArgumentsError: A field has the wrong type.
    """
    if data.get("command") != COMMAND:
        raise FrameError(f"a single frame needs command: {COMMAND}")
    sent = convert(data, _PlainBrief, ArgumentsError)
    asked = dict(sent.mission_brief or {})
    sentence = asked.get("selector")
    whole = isinstance(sentence, str) and len(sentence) > MAX_NAME
    call = convert(asked | ({"selector": ""} if whole else {}), _Call, ArgumentsError,
                   path="mission_brief")  # fmt: skip
    kwargs = dict(call.kwargs or {})
    if not all(map(str.isidentifier, kwargs)):
        raise ArgumentsError("mission_brief: the keys of kwargs must be names")
    meant = convert(kwargs, _Meant, ArgumentsError, path="mission_brief.kwargs")
    body: dict[str, Any] = {key: asked[key] for key in ("text", "examples") if key in asked}
    if meant.intent:
        body.setdefault("text", meant.intent)
    if meant.persona_id:
        body["persona_id"] = meant.persona_id
    oid = sent.target_oid
    return {
        "session": sent.session or peer,
        "key": sent.ik or "",
        "target": read_oid(oid),
        "selector": call.selector or "",
        "args": tuple(call.args or ()),
        "kwargs": {key: kwargs[key] for key in kwargs if key not in (INTENT, PERSONA_ID)},
        "body": body,
        "token": sent.token or "",
    }


def read_oid(oid: int | str) -> str:
    """Return the name or oid of an object: a decimal oid in the form that the image uses.

    >>> read_oid(17), read_oid("17"), read_oid("genesis_obj")
    ('0000000000000011', '0000000000000011', 'genesis_obj')
    """
    if isinstance(oid, str) and not re.fullmatch(r"\d{1,15}", oid, re.ASCII):
        return oid
    return f"{int(oid):016x}"


def is_whole_sentence(selector: str, intent: str) -> bool:
    """Return True if a client made a selector of a whole sentence, word by word.

    >>> is_whole_sentence("greet_a_user.", "Greet a user."), is_whole_sentence("greet", "Greet Ann")
    (True, False)
    """
    return not selector or selector.casefold() == "_".join(intent.casefold().split())
