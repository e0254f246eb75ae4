"""Objects and methods as readable JSON, with hashes: what is carried from image to image.

    {"bat_os_export": 1, "sha256": of content, "content": {"kind": "object" | "method", ...}}

Plain values are JSON where JSON has them, and otherwise a map with one key that begins with
``$``: ``{"$bytes": base64}``, ``{"$tuple": [...]}``, ``{"$ref": name}``. References go by name, so
what they name has to be there on the other side.

ArgumentsError: what is exported has no name or refers to an object without one; or what is read is
not an export, not what it was when it was made, or nested too deep.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
import uuid
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

from bat_os.core.digest import digest
from bat_os.core.schema import Record, convert, field, number, read_json, text
from bat_os.core.values import (
    MAX_DEPTH,
    Ref,
    check,
    check_keys,
    check_object_name,
    check_own,
    check_slot_name,
    check_taught,
    to_wire,
)
from bat_os.errors import ArgumentsError, BatError, NotFoundError
from bat_os.image.allowlist import UNREADABLE
from bat_os.image.files import lineage
from bat_os.image.history import marks
from bat_os.image.objects import Method, freeze, kept_examples, ref_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bat_os.image.objects import UvmObject

MARK: Final = "bat_os_export"
FORMAT: Final = 1
MAX_TEXT: Final = 1 << 20
_SHORT: Final = text(200)
_NOWHERE: Final[Mapping[str, str]] = MappingProxyType({})
# A longer export goes without these parts of its origins, this one first; it has to be read again.
_LEFT_OUT: Final = ("candidates", "drawn")
_ROOM: Final = MAX_TEXT - (64 << 10)


class _Example(Record, frozen=True):
    args: Any
    kwargs: Any
    result: Any


class _Method(Record, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A method of an export; further fields may come from a later program."""

    selector: Annotated[str, _SHORT]
    source: str
    sha256: Annotated[str, _SHORT]
    status: Annotated[str, _SHORT]
    examples: list[_Example]
    origin: dict[str, Any]
    version: Annotated[int, number(0, 1 << 53)] = 0


class _Mind(Record, frozen=True, forbid_unknown_fields=False):
    """The image that an export was made from, as it calls itself."""

    id: Annotated[str, _SHORT] = ""
    name: Annotated[str, _SHORT] = ""


class _Single(_Method, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """A method that goes by itself."""

    object: Annotated[str, _SHORT]
    mind: _Mind = _Mind()


class _Object(Record, frozen=True, forbid_unknown_fields=False):
    name: Annotated[str, _SHORT]
    parents: list[Annotated[str, _SHORT]]
    slots: dict[str, Any]
    methods: list[_Method]
    mind: _Mind = _Mind()
    # by slot, the grants that had a say in it; they mean something in that image alone
    labels: dict[Annotated[str, _SHORT], list[Annotated[str, _SHORT]]] = field(default_factory=dict)


def export_object(obj: UvmObject, mind: Mapping[str, str] = _NOWHERE) -> dict[str, Any]:
    """Return an object with its own slots and learned methods as what JSON holds.

    ``mind`` says which image it is of: ``bat_os.image.files.lineage.mind_of``.
    """
    slots = {name: value for name, value in obj.slots.items() if not isinstance(value, Method)}
    methods = [method for method in obj.slots.values() if isinstance(method, Method)]
    check_object_name(obj.name)
    content: dict[str, Any] = {
        "kind": "object",
        "name": obj.name,
        "parents": [_named(freeze(parent), f"a parent of {obj.name}") for parent in obj.parents],
        "slots": {name: encode(freeze(value), name) for name, value in sorted(slots.items())},
        "methods": [_method(obj, one) for one in methods if one.current >= 0],
        "mind": dict(mind),
    }
    if obj.labels:
        content["labels"] = {name: list(label) for name, label in obj.labels.items()}
    return seal(_shortened(content, content["methods"]))


def labels_of(content: Mapping[str, Any], here: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the labels of an export's slots; grants of another image let nothing through here."""
    mind = content.get("mind", {})
    home = "" if mind.get("id", "") == here["id"] else f"{mind.get('id') or '?'}/"
    return {
        name: [f"{home}{oid}" for oid in label] for name, label in content.get("labels", {}).items()
    }


def export_method(
    obj: UvmObject, selector: str, mind: Mapping[str, str] = _NOWHERE
) -> dict[str, Any]:
    """Return the current version of one method as what JSON holds."""
    method = obj.slots.get(selector)
    if not isinstance(method, Method) or method.current < 0:
        raise _not_its_own(obj, selector)
    told = _method(obj, method)
    content: dict[str, Any] = {"kind": "method", "object": obj.name, **told, "mind": dict(mind)}
    return seal(_shortened(content, [told]))


def _not_its_own(obj: UvmObject, selector: str) -> NotFoundError:
    name, found = obj.name or "the object", obj.lookup(selector)
    text = f"{name} has no learned method {selector[:60]!r}"
    if found is None or not isinstance(found[1], Method) or found[1].current < 0:
        return NotFoundError(text)
    holder = found[0].name or ref_of(found[0]).oid
    return NotFoundError(f"{text} of its own; {holder} has it: name {holder}.{selector[:60]}",
                         holder=holder)  # fmt: skip


def _shortened(content: dict[str, Any], methods: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the content, of its origins only what leaves it short enough to be read again."""
    for part in _LEFT_OUT:
        if len(json.dumps(content, indent=1)) <= _ROOM:
            break
        for method in methods:
            method["origin"].pop(part, None)
    return content


def seal(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``content`` with its format and SHA-256."""
    return {MARK: FORMAT, "sha256": _digest(content), "content": dict(content)}


def read(text: str, most: int = MAX_TEXT) -> dict[str, Any]:
    """Return the content of an export, checked: all that it says is of the right form."""
    if len(text) > most:
        raise ArgumentsError(f"an export has at most {most} characters")
    try:
        envelope = read_json(text, ArgumentsError, "this file was not written by batos export")
        if envelope[MARK] != FORMAT:
            raise ArgumentsError("the export is of another format than this program reads")
        content = envelope["content"]
        if envelope["sha256"] != _digest(content):
            raise ArgumentsError("the export is not what it was: its SHA-256 is another")
        kind = _Object if content["kind"] == "object" else _Single
        convert(content, kind, ArgumentsError, "the export")
        return _object(content) if kind is _Object else _checked(content)
    except BatError:
        raise
    except UNREADABLE as error:
        raise ArgumentsError("this file was not written by batos export") from error


def references(content: Mapping[str, Any]) -> list[str]:
    """Return the names of the objects that have to be there, sorted."""
    found = set(content.get("parents", ()))
    for value in content.get("slots", {}).values():
        found |= set(_refs(value))
    return sorted(found)


def encode(value: Any, where: str) -> Any:
    """Return plain data as what JSON holds; ``decode`` gives the same data back.

    >>> encode((1, b"a", {"x": 1.5}), "a slot")
    {'$tuple': [1, {'$bytes': 'YQ=='}, {'x': 1.5}]}
    """
    kind = type(value)
    if kind is Ref:
        return {"$ref": _named(value, where)}
    if kind in (dict, list, tuple, set, frozenset):
        return _encode_parts(value, lambda part: encode(part, where))
    rule = _WRITERS.get(kind)
    return value if rule is None or (kind is float and math.isfinite(value)) else rule(value)


def _encode_parts(value: Any, inner: Callable[[Any], Any]) -> Any:
    kind = type(value)
    if kind is dict:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: inner(item) for key, item in value.items()}
        return {"$map": [[inner(key), inner(item)] for key, item in value.items()]}
    items = [inner(item) for item in value]
    if kind is list:
        return items
    return {f"${kind.__name__}": items if kind is tuple else sorted(items, key=json.dumps)}


def decode(value: Any, resolve: Callable[[str], Any], depth: int = 0) -> Any:
    """Return the plain data that ``encode`` was given; references as ``resolve`` gives them."""
    if depth > MAX_DEPTH:
        raise ArgumentsError(f"the export is nested deeper than {MAX_DEPTH}")

    def inner(item: Any) -> Any:
        return decode(item, resolve, depth + 1)

    if isinstance(value, list):
        return [inner(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("$") for key in value):
        return {key: inner(item) for key, item in value.items()}
    tag, held = next(iter(value.items()))
    if len(value) == 1 and tag == "$ref" and isinstance(held, str):
        return resolve(held)
    return _decode_tagged(value, inner)


def _decode_tagged(value: dict[str, Any], inner: Callable[[Any], Any]) -> Any:
    tag, held = next(iter(value.items()))
    if len(value) == 1 and isinstance(held, list):
        if tag == "$map":
            keys = check_keys([inner(key) for key, _ in held])
            return dict(zip(keys, (inner(item) for _, item in held), strict=True))
        if tag in _CONTAINERS:
            return _CONTAINERS[tag]([inner(item) for item in held])
    if len(value) == 1 and tag in _READERS and isinstance(held, str):
        return _READERS[tag](held)
    raise ArgumentsError(f"the export holds {tag[:60]!r}, which means nothing there")


def _method(obj: UvmObject, method: Method) -> dict[str, Any]:
    version = method.version
    examples = [
        {
            "args": encode(list(one["args"]), method.selector),
            "kwargs": encode(dict(one["kwargs"]), method.selector),
            "result": encode(one["result"], method.selector),
        }  # what one states of effects is about grants, and they stay here
        for one in kept_examples(obj, method.selector)
        if "world" not in one  # what was read of the world stays here
    ]
    origin = lineage.carried(version.provenance, _encode_past)
    if tainted := marks.flags(method).get("tainted"):
        origin["tainted"] = tainted["document"]
    return {
        "selector": method.selector,
        "source": version.source,
        "sha256": version.sha256,
        "status": method.status,
        "version": version.number,
        "examples": examples,
        "origin": origin,
    }


def _encode_past(value: Any) -> Any:
    """Return a part of a provenance as what JSON holds; objects of then need no name any more."""
    try:
        return encode(value, "the origin of a method")
    except ArgumentsError:
        return to_wire(value)


def _object(content: dict[str, Any]) -> dict[str, Any]:
    check_object_name(content["name"])
    for name, value in content["slots"].items():
        check_slot_name(name)
        check_own(name)
        plain = decode(value, lineage.unresolved)
        check(plain, where=f"slot {name!r}")
    selectors = [_checked(method)["selector"] for method in content["methods"]]
    if len({*selectors, *content["slots"]}) != len(selectors) + len(content["slots"]):
        raise ArgumentsError("the export names a slot twice")
    return content


def _checked(method: dict[str, Any]) -> dict[str, Any]:
    check_taught(method["selector"])
    if digest(method["source"]) != method["sha256"]:
        raise ArgumentsError(f"the source of {method['selector']} is not what its SHA-256 says")
    for example in method["examples"]:
        for part in ("args", "kwargs", "result"):
            check(decode(example[part], lineage.unresolved), where="an example")
        if type(example["args"]) is not list or type(example["kwargs"]) is not dict:
            raise ArgumentsError("an example of the export has no arguments")
    provenance_of(method)
    return method


def provenance_of(method: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a method of an export says of its past, checked."""
    return lineage.taken(
        method["origin"], method["selector"], lambda value: decode(value, lineage.unresolved)
    )


def _named(ref: Ref, where: str) -> str:
    if not ref.name:
        raise ArgumentsError(
            f"{where} refers to an object without a name (oid {ref.oid}); give it one first, "
            "since references are carried by name"
        )
    return ref.name


def _refs(value: Any) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if isinstance(item.get("$ref"), str):
                yield item["$ref"]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _digest(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return digest(text)


def _read_span(text: str) -> dt.timedelta:
    days, seconds, micros = (int(part) for part in text.split(" "))
    return dt.timedelta(days, seconds, micros)


_CONTAINERS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "$tuple": tuple,
    "$set": lambda parts: set(check_keys(parts)),
    "$frozenset": lambda parts: frozenset(check_keys(parts)),
}
_WRITERS: Final[dict[type, Callable[[Any], Any]]] = {
    float: lambda value: {"$float": repr(value)},
    bytes: lambda value: {"$bytes": base64.b64encode(value).decode()},
    dt.datetime: lambda value: {"$datetime": value.isoformat()},
    dt.date: lambda value: {"$date": value.isoformat()},
    dt.time: lambda value: {"$time": value.isoformat()},
    dt.timedelta: lambda value: {"$span": f"{value.days} {value.seconds} {value.microseconds}"},
    Decimal: lambda value: {"$decimal": str(value)},
    uuid.UUID: lambda value: {"$uuid": str(value)},
}
_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "$float": float,
    "$bytes": lambda text: base64.b64decode(text, validate=True),
    "$datetime": dt.datetime.fromisoformat,
    "$date": dt.date.fromisoformat,
    "$time": dt.time.fromisoformat,
    "$span": _read_span,
    "$decimal": Decimal,
    "$uuid": uuid.UUID,
}
