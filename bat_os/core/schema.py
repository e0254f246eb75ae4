"""The one schema layer: untrusted text or maps to a typed, frozen class, or one coded error.

    bytes, text ──read_json, read_toml──> maps and lists ──convert──> a Record

A ``Record`` says per field its type, its bounds and, where that is not plain, what it accepts
in words. msgspec checks; nothing is coerced: True is not 1, "1" is not 1, an unknown field is
refused. Only a refused value is walked once more here, for a message that names the path:

    models.tiny.context must be a whole number from 1 to 100,000,000, not "4096"

A type of our own, such as a size written "1.5 GB", is a ``Parsed``. Size and depth of what comes
over the wire are guarded before, in ``bat_os.core.protocol``.
"""

from __future__ import annotations

import difflib
import json
import re
import threading
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    Protocol,
    Self,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import Meta, field
from msgspec.structs import replace

if TYPE_CHECKING:
    from bat_os.errors import BatError

__all__ = [
    "Meta", "Parsed", "Record", "convert", "describe", "field", "number", "object_schema", "one_of",
    "parse_json", "read_json", "read_toml", "replace", "text",
]  # fmt: skip
T = TypeVar("T")
_KNOWN: Final = set[Any]()  # kinds whose fields were looked up
_FIRST: Final = threading.RLock()
_SHOWN: Final = 60  # characters of a wrong value or key in a message
_KINDS: Final[Mapping[Any, str]] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    NoneType: "null",
}


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of what an untrusted map is read into: ``class Plan(Record, frozen=True)``.

    A check over several fields is a ``__post_init__`` that raises ValueError with a sentence for
    people. ``forbid_unknown_fields=False`` in the class line lets further fields pass, unread.
    """


class Parsed(Protocol):
    """A type that reads itself from a plain value; ``TAKES`` says in words what it takes."""

    TAKES: ClassVar[str]

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Return what ``value`` says; ValueError refuses it."""


def text(
    most: int, *, least: int = 0, pattern: str = "", filled: bool = False, takes: str = ""
) -> Meta:
    """Return the bounds of a text.

    Args:
        most: Characters that it may have.
        least: Characters that it must have.
        pattern: Regular expression that the whole text matches.
        filled: It has more than white space.
        takes: What fits, in words, if the bounds do not say it well.
    """
    if filled:
        least, pattern = max(least, 1), pattern or r"[\s\S]*\S[\s\S]*"
    # Python's $ lets one line end follow, JSON Schema's does not; this holds in both.
    whole = rf"^(?:{pattern})$(?!\n)" if pattern else None
    return Meta(min_length=least or None, max_length=most, pattern=whole, description=takes or None)


def one_of(names: Collection[str]) -> Meta:
    """Return the bounds of a text that is one of these names."""
    most, pattern = max(map(len, names)), "|".join(map(re.escape, names))
    return text(most, pattern=pattern, takes=_either(list(names)))


def number(low: float, high: float, *, takes: str = "") -> Meta:
    """Return the bounds of a number, both included; so NaN and the infinite are refused."""
    return Meta(ge=low, le=high, description=takes or None)


def read_json(source: str | bytes, error: Callable[[str], BatError], where: str) -> Any:
    """Return what a JSON text says; a repeated key and NaN are refused.

    Args:
        source: The text.
        error: Makes the exception from its message.
        where: What the text is, for people.
    """
    try:
        return json.loads(source, object_pairs_hook=_refuse_twice, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as cause:
        raise error(f"{where}: not valid JSON: {cause}") from cause


def read_toml(source: str, error: Callable[[str], BatError], where: str) -> dict[str, Any]:
    """Return what a TOML text says; ``error`` and ``where`` as in ``read_json``."""
    try:
        return tomllib.loads(source)
    except (ValueError, RecursionError) as cause:
        raise error(f"{where}: not valid TOML: {cause}") from cause


def convert(
    value: Any, kind: type[T], error: Callable[[str], BatError], where: str = "", path: str = ""
) -> T:
    """Return ``value`` as ``kind``, a Record or a type such as ``dict[str, SomeRecord]``.

    Args:
        value: What a decoder gave: maps, lists, texts, numbers.
        kind: What it has to be.
        error: Makes the exception from its message; most often the error's class.
        where: What the value lies in, for people: "codex line 3"; "" if the path says it.
        path: Of the value itself.
    """
    try:
        return _read(value, kind)
    # Half of a surrogate pair, which JSON can escape, is a UnicodeEncodeError and so a ValueError.
    except (msgspec.ValidationError, ValueError) as cause:
        problem = _explain(value, kind, path, cause)
        raise error(f"{where}: {problem}" if where else problem) from cause


def _read(value: Any, kind: type[T]) -> T:
    """Return ``value`` as ``kind``; the first time of a kind, in one thread alone.

    msgspec looks the fields of a Record up at its first use. A second thread that uses the Record
    meanwhile finds them half made, and the process crashes (msgspec 0.22).
    """
    if kind in _KNOWN:
        return msgspec.convert(value, kind, dec_hook=_parse)
    with _FIRST:
        try:
            return msgspec.convert(value, kind, dec_hook=_parse)
        finally:
            _KNOWN.add(kind)


def object_schema(**properties: Any) -> dict[str, Any]:
    """Return the JSON Schema of an object with exactly these fields."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _parse(kind: type[Parsed], value: Any) -> Any:
    return kind.parse(value)


def parse_json(
    source: str | bytes, kind: type[T], error: Callable[[str], BatError], where: str
) -> T:
    """Return what a JSON text says as ``kind``; see ``read_json`` and ``convert``."""
    return convert(read_json(source, error, where), kind, error, where)


def describe(hint: Any) -> str:
    """Return what a type takes, in words.

    >>> describe(Annotated[int, number(1, 32)]), describe(Literal["auto", "none"])
    ('a whole number from 1 to 32', 'auto or none')
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        metas = [part for part in parts[1:] if isinstance(part, Meta)]
        described = [meta.description for meta in metas if meta.description]
        return described[-1] if described else describe(parts[0]) + _bounds(parts[0], metas)
    if origin is Literal:
        return _either([_show(part).strip("'") for part in parts])
    if origin in (Union, UnionType):
        return _either([describe(part) for part in parts if part is not NoneType])
    return _name_kind(origin or hint, parts)


def _name_kind(kind: Any, parts: tuple[Any, ...]) -> str:
    if kind in _KINDS or not isinstance(kind, type):
        return _KINDS.get(kind, "another value")
    if issubclass(kind, (Mapping, msgspec.Struct)):
        return "a map"
    if issubclass(kind, Sequence):
        return f"a list of {len(parts)}" if kind is tuple and ... not in parts else "a list"
    return str(getattr(kind, "TAKES", "another value"))


def _bounds(kind: Any, metas: Sequence[Meta]) -> str:
    unit = "characters" if kind is str else "items"
    for meta in metas:
        if meta.ge is not None and meta.le is not None:
            return f" from {meta.ge:,} to {meta.le:,}"
        if meta.max_length is not None:
            least = f"{meta.min_length} to" if meta.min_length else "at most"
            return f" of {least} {meta.max_length:,} {unit}"
        if meta.min_length is not None:
            return f" of at least {meta.min_length:,} {unit}"
    return ""


def _explain(value: Any, hint: Any, path: str, cause: Exception) -> str:
    """Return what is wrong with a value: of the first part that is wrong, its path and rule."""
    kind = _strip(hint, value)
    is_record = isinstance(kind, type) and issubclass(kind, msgspec.Struct) and type(value) is dict
    if is_record and (problem := _compare_fields(value, kind, path)):
        return problem
    for part, rule, step in _parts(value, kind, path):
        try:
            _read(part, rule)
        except (msgspec.ValidationError, ValueError) as inner:
            return _explain(part, rule, step, inner)
    if is_record:  # its parts are right, so its own check speaks
        return f"{path}: {cause}" if path else str(cause)
    return f"{path or 'it'} must be {describe(hint)}, not {_show(value)}"


def _compare_fields(value: Mapping[Any, Any], kind: type[msgspec.Struct], path: str) -> str:
    """Return which field is unknown or missing; "" if none is."""
    fields = {rule.encode_name: rule for rule in msgspec.structs.fields(kind)}
    unknown = [key for key in value if key not in fields]
    if unknown and (kind.__struct_config__.forbid_unknown_fields or type(unknown[0]) is not str):
        near = difflib.get_close_matches(str(unknown[0])[:_SHOWN].lower(), fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"possible are {', '.join(fields)}"
        return f"{_join(path, unknown[0])} is not known; {hint}"
    for name, rule in fields.items():
        if rule.required and name not in value:
            hint = get_type_hints(kind, include_extras=True)[rule.name]
            return f"{_join(path, name)} is missing; it must be {describe(hint)}"
    return ""


def _parts(value: Any, kind: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Yield (part, its type, its path) of a record, map or list."""
    origin, rules = get_origin(kind) or kind, get_args(kind)
    is_type = isinstance(origin, type)
    if type(value) is dict and is_type and issubclass(origin, msgspec.Struct):
        hints = get_type_hints(origin, include_extras=True)
        for field in msgspec.structs.fields(origin):
            if field.encode_name in value:
                part = value[field.encode_name]
                yield part, hints[field.name], _join(path, field.encode_name)
    elif type(value) is dict and is_type and issubclass(origin, Mapping) and rules:
        for key, part in value.items():
            yield key, rules[0], f"{path} key {_show(key)}".lstrip()
            yield part, rules[1], _join(path, key)
    elif type(value) is list and is_type and issubclass(origin, Sequence) and rules:
        same = len(rules) == 1 or rules[1] is Ellipsis
        for index, part in enumerate(value if same else value[: len(rules)]):
            yield part, rules[0 if same else index], f"{path}[{index}]"


def _strip(hint: Any, value: Any) -> Any:
    """Return a type without its bounds, and without None if the value is not None."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, UnionType) and value is not None:
        parts = [part for part in get_args(hint) if part is not NoneType]
        return _strip(parts[0], value) if len(parts) == 1 else hint
    return hint


def _join(path: str, key: Any) -> str:
    name = key if type(key) is str and key.isidentifier() and len(key) <= _SHOWN else _show(key)
    return f"{path}.{name}" if path else name


def _show(value: Any) -> str:
    """Return a value as a message shows it, short; a map and a list by their kind alone."""
    if value is None or type(value) is bool:
        return str(value).lower().replace("none", "null")
    if type(value) in (dict, list):
        return "a map" if type(value) is dict else f"a list of {len(value)}"
    try:
        return repr(value)[:_SHOWN]
    except ValueError:  # Python refuses to write integers of thousands of digits
        return "a huge number"


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("duplicate key")
    return data


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
