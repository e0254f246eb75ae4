"""The tools of an MCP server as messages: their names, their arguments, their kind, their pins.

    get-sum {a: number, b: number, precision?: integer}  >  get_sum(a, b, precision=None)

Everything that a server says of itself is untrusted. Of it, only names get as far as a writer of
methods, and only as Python identifiers; descriptions are for people. A tool is plain data:

    name, description, schema, hints    as the server says them
    parameters                          [identifier, name of the property, required]
    sha256                              of the first four: what a person has said yes to
"""

from __future__ import annotations

import difflib
import json
import keyword
import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.core.values import check, check_taught
from bat_os.errors import ArgumentsError, BatError
from bat_os.ports import AWAIT, READ, Operation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    Tool = Mapping[str, Any]

MAX_TOOLS: Final = 200
MAX_SAID: Final = 64 << 10  # characters that a server says of one tool
MAX_ALL: Final = 512 << 10  # of all its tools
MAX_PARAMETERS: Final = 64
MAX_NAME: Final = 40  # characters of a message or a parameter
MAX_CHANGES: Final = 60  # lines of a difference
SECONDS: Final = 80.0  # of a call, with the start of the server
_WORD: Final = re.compile(r"[^a-z0-9]+")
_HUMP: Final = re.compile(r"([a-z0-9])([A-Z])")
_PINNED: Final = ("name", "description", "schema", "hints")
_HINTS: Final = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
_TYPES: Final[Mapping[str, tuple[tuple[type, ...], str]]] = {
    "string": ((str,), "a text"),
    "integer": ((int,), "a whole number"),
    "number": ((int, float), "a number"),
    "boolean": ((bool,), "True or False"),
    "array": ((list, tuple), "a list"),
    "object": ((dict,), "a map"),
    "null": ((type(None),), "None"),
}


def read_tools(said: Any) -> dict[str, dict[str, Any]]:
    """Return the tools that a server lists, by the message that each one becomes.

    Raises:
        ArgumentsError: There are too many, or they are not what MCP says a tool is.
    """
    if type(said) is not list or len(said) > MAX_TOOLS:
        count = len(said) if type(said) is list else 0
        raise ArgumentsError(f"the server offers {count} tools; {MAX_TOOLS} are the most")
    tools: dict[str, dict[str, Any]] = {}
    size = 0
    for each in said:
        tool = _read_tool(each)
        size += len(_canonical(tool))
        if size > MAX_ALL:
            raise ArgumentsError(f"the server says over {MAX_ALL} characters of its tools")
        selector = _identifier(tool["name"], tools)
        tools[selector] = tool
    return tools


def signature(selector: str, tool: Tool) -> str:
    """Return how a tool is called.

    >>> signature("add", {"parameters": [["a", "a", True], ["by", "by", False]]})
    'add(a, by=None)'
    """
    named = (name if needed else f"{name}=None" for name, _, needed in tool["parameters"])
    return f"{selector}({', '.join(named)})"


def operation(tool: Tool, *, reads: bool, trusted: bool) -> Operation:
    """Return the kind of a tool: what a person says of it, then its hints if they are trusted."""
    hints = tool["hints"] if trusted else {}
    outward = hints.get("openWorldHint") is not False
    if reads or hints.get("readOnlyHint") is True:
        return Operation(READ, outward=outward, seconds=SECONDS)
    repeatable = hints.get("idempotentHint") is True
    return Operation(AWAIT, outward=True, repeatable=repeatable, seconds=SECONDS)


def bind(selector: str, tool: Tool, given: Any) -> dict[str, Any]:
    """Return the arguments for the server; those that are None and not needed are left out.

    Raises:
        ArgumentsError: One is missing, unknown or of another type than the tool takes.
    """
    shown = signature(selector, tool)
    if type(given) is not dict:
        raise ArgumentsError(f"{shown}: its arguments come by name")
    arguments, properties = {}, tool["schema"].get("properties", {})
    for name, asked, needed in tool["parameters"]:
        value = given.get(name)
        if value is None and not needed:
            continue
        if name not in given:
            raise ArgumentsError(f"{shown}: {name} is missing")
        _check_type(f"{shown}: {name}", value, properties.get(asked))
        arguments[asked] = value
    if unknown := set(given) - {name for name, _, _ in tool["parameters"]}:
        raise ArgumentsError(f"{shown} has no {', '.join(sorted(unknown))[:100]}")
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        text = f"{shown}: a server takes texts, numbers, lists and maps of them only"
        raise ArgumentsError(text) from error
    return arguments


def changes(before: Mapping[str, Tool], after: Mapping[str, Tool]) -> list[str]:
    """Return what differs between two lists of tools, in lines for a person."""
    lines: list[str] = []
    for selector in sorted({*before, *after}):
        old, new = before.get(selector), after.get(selector)
        if old is not None and new is not None and old["sha256"] == new["sha256"]:
            continue
        if old is None or new is None:
            lines.append(f"{'+' if old is None else '-'} {selector}")
            continue
        lines.append(f"~ {selector}")
        told = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=0)
        lines += [f"    {line[:300]}" for line in told if line[:3] not in ("---", "+++", "@@ ")]
    if len(lines) > MAX_CHANGES:
        lines[MAX_CHANGES:] = [f"... and {len(lines) - MAX_CHANGES} lines more"]
    return lines


def _read_tool(said: Any) -> dict[str, Any]:
    if type(said) is not dict or type(said.get("name")) is not str or not said["name"]:
        raise ArgumentsError("the server lists a tool without a name")
    hints, schema = said.get("hints"), said.get("schema")
    tool: dict[str, Any] = {
        "name": said["name"],
        "description": str(said.get("description") or ""),
        "schema": schema if type(schema) is dict else {},
        "hints": {
            key: hints[key]
            for key in _HINTS
            if type(hints) is dict and type(hints.get(key)) is bool
        },
    }
    shown = repr(tool["name"][:60])
    try:
        check(tool, where="it")
        text = _canonical(tool)
    except (BatError, ValueError, RecursionError) as error:
        raise ArgumentsError(f"the tool {shown} cannot be read: {error}") from error
    if len(text) > MAX_SAID:
        raise ArgumentsError(f"the server says {len(text)} characters of {shown}; that is too much")
    return tool | {"parameters": _parameters(tool["schema"], shown), "sha256": digest(text)}


def _parameters(schema: Mapping[str, Any], shown: str) -> list[list[Any]]:
    properties, required = schema.get("properties"), schema.get("required")
    names = list(properties) if type(properties) is dict else []
    needed = [name for name in required if name in names] if type(required) is list else []
    if len(names) > MAX_PARAMETERS:
        raise ArgumentsError(f"{shown} takes {len(names)} arguments; {MAX_PARAMETERS} are the most")
    found: dict[str, list[Any]] = {}
    for name in [*(n for n in names if n in needed), *(n for n in names if n not in needed)]:
        identifier = _identifier(name, found, otherwise="value")
        found[identifier] = [identifier, name, name in needed]
    return list(found.values())


def _identifier(name: str, taken: Collection[str], otherwise: str = "tool") -> str:
    """Return a name that a message or a parameter can have, and none that is taken."""
    plain = _WORD.sub("_", _HUMP.sub(r"\1_\2", name[:200]).lower()).strip("_")[:MAX_NAME]
    plain = plain.strip("_") or otherwise
    if plain[0].isdigit() or not _is_free(plain):
        plain = f"{otherwise}_{plain}"
    found, number = plain, 2
    while found in taken:
        found, number = f"{plain}_{number}", number + 1
    return found


def _is_free(name: str) -> bool:
    try:
        check_taught(name)
    except ArgumentsError:
        return False
    return name != "self" and not keyword.issoftkeyword(name)


def _check_type(where: str, value: Any, schema: Any) -> None:
    """Check a value by the plain part of a schema; the rest of it is the server's to check."""
    if type(schema) is not dict:
        return
    choices = schema.get("enum")
    if type(choices) is list and choices and value not in choices:
        shown = ", ".join(map(repr, choices[:10]))[:200]
        raise ArgumentsError(f"{where} is one of {shown}, not {value!r:.60}")
    wanted = list(_types_of(schema))
    if not wanted or any(each not in _TYPES for each in wanted):
        return
    fits = any(
        isinstance(value, _TYPES[each][0]) and (each == "boolean" or not isinstance(value, bool))
        for each in wanted
    )
    if not fits:
        words = " or ".join(dict.fromkeys(_TYPES[each][1] for each in wanted))
        raise ArgumentsError(f"{where} is {words}, not {value!r:.60}")


def _types_of(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the types that a schema names, its ``anyOf`` included; "?" for one that it does not."""
    said, either = schema.get("type"), schema.get("anyOf")
    if isinstance(said, str):
        yield said
    elif type(said) is list:
        yield from (each if isinstance(each, str) else "?" for each in said)
    elif type(either) is list:
        for each in either:
            yield from _types_of(each) if type(each) is dict and "type" in each else ("?",)


def _canonical(tool: Tool) -> str:
    return json.dumps({key: tool[key] for key in _PINNED}, sort_keys=True, allow_nan=False)


def _lines(tool: Tool) -> Sequence[str]:
    shown = {key: tool[key] for key in ("name", "hints", "schema")}
    head = [f"description: {line}" for line in tool["description"].splitlines()]
    return [*head, *json.dumps(shown, indent=1, sort_keys=True).splitlines()]
