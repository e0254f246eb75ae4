"""Plain data: what a slot may hold, what an argument may be, what an answer looks like.

A slot value is None, bool, int, float, str, bytes, list, dict, tuple, set, frozenset,
datetime, date, time, timedelta, Decimal, UUID, or a ``Ref`` to another object, nested at
most MAX_DEPTH deep. Values of these types only ever contain values of these types.

    check(value)      is it plain? says where it is not
    to_wire(value)    the JSON-like form that clients get

Exact types count: an instance of a subclass of ``list`` or ``int`` is refused, because
unpickling it would import the module that defines the subclass.
"""

from __future__ import annotations

import collections
import datetime as dt
import keyword
import re
import uuid
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.errors import ArgumentsError, NotPlainError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

MAX_DEPTH: Final = 64
# Python refuses to write integers of more than 4,300 digits as text.
MAX_INT_BITS: Final = 14_000
ATOMS: Final = frozenset(
    (type(None), bool, float, str, bytes, dt.datetime, dt.date, dt.time, dt.timedelta, uuid.UUID)
)
# A container of these alone needs no walk through its parts.
FLAT: Final = ATOMS | {int, Decimal}
TOUCH: Final = "?"  # what a cell sends for slots that it was not given: their names, "" for all
_SLOT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}\Z", re.ASCII)
_OBJECT: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}\Z", re.ASCII)
# What every object understands from the start, by trusted functions of the program.
PRIMITIVE: Final = frozenset(
    (
        "addParent",
        "clone",
        "delete",
        "derive",
        "getSlot",
        "parents",
        "removeParent",
        "removeSlot",
        "rename",
        "respondsTo",
        "selectors",
        "setParents",
        "setSlot",
        "slotNames",
    )
)
# Slots that people set who mean the object itself, and the messages that do it.
_SAID: Final = {
    "parent": "addParent(OBJECT) or setParents([OBJECT, ...])",
    "parents": "setParents([OBJECT, ...])",
    "slots": "setSlot(NAME, VALUE) for each of them",
}
# What the receiver of a learned method has as its own attributes.
RESERVED: Final = frozenset({"send", "self"})
_WIRE_INT: Final = 1 << 63
ALIKE: Final = 64  # keys with one hash; each is compared with all of those before it


class Counted(str):
    """A line about long work that also says in numbers how far it has come."""

    done: int  # pieces that are finished
    total: int  # pieces in all

    def __new__(cls, text: str, done: int, total: int) -> Self:
        """Return the line; it is a text wherever the numbers do not matter."""
        line = super().__new__(cls, text)
        line.done, line.total = done, total
        return line


def ignore_progress(_line: str) -> None:
    """Do nothing with a line about long work."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to an object of the image, as plain data."""

    oid: str  # eight bytes as 16 hexadecimal digits; the identity
    name: str = ""  # the object's name in the root, or "" where it has none; for people


def weigh(value: Any, most: int) -> int:
    """Return about how many bytes plain data takes when it is stored; stops counting at ``most``.

    >>> weigh(["a" * 100, 5], 10_000), weigh("a" * 100, 50)
    (127, 109)
    """
    size, stack = 0, [value]
    while stack and size <= most:
        item = stack.pop()
        size += 9
        if type(item) in (str, bytes):
            size += len(item)
        elif type(item) is dict:
            stack += item
            stack += item.values()
        elif type(item) in (list, tuple, set, frozenset):
            stack += item
        elif type(item) is int:
            size += item.bit_length() // 8
    return size


def check(value: Any, *, where: str = "value") -> None:
    """Raise NotPlainError unless ``value`` is plain data.

    Raises:
        NotPlainError: Some part is of another type, nested too deep, contains itself,
            or is an integer of more than MAX_INT_BITS bits, an extreme Decimal, text that
            UTF-8 cannot carry, or a map or set of very many keys with one hash.
    """
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise NotPlainError(f"{where}: nested deeper than {MAX_DEPTH}, or contains itself")
        kind = type(item)
        if rule := _RULES.get(kind):
            rule(item, where)
        elif kind not in _FREE:
            raise NotPlainError(
                f"{where}: a {kind.__name__} cannot be kept; use plain data "
                "(None, bool, int, float, str, bytes, list, dict, datetime and the like)"
            )
        if kind is dict:
            stack += [(part, depth + 1) for parts in (item, item.values()) for part in parts]
        elif kind in _CONTAINERS:
            stack += [(part, depth + 1) for part in item]


def check_keys(keys: Collection[Any]) -> Collection[Any]:
    """Return ``keys`` if a dict or set of them can be built in reasonable time.

    Numbers can be chosen so that all have one hash. Putting n of those into a set takes n * n
    comparisons and holds up the whole process; ten thousand take some seconds. So whatever
    makes a dict or set of parts from outside asks this first.

    Raises:
        ValueError: More than a few have one hash.
        TypeError: One has no hash.
    """
    if len(keys) > ALIKE and max(collections.Counter(map(hash, keys)).values()) > ALIKE:
        raise ValueError("keys that all have the same hash")
    return keys


def _check_parts(keys: Collection[Any], where: str) -> None:
    try:
        check_keys(keys)
    except ValueError as error:
        raise NotPlainError(f"{where}: {error}") from error


def _check_text(item: str, where: str) -> None:
    if item.isascii():
        return
    try:
        item.encode()
    except UnicodeEncodeError as error:
        raise NotPlainError(f"{where}: text with half of a surrogate pair") from error


def _check_decimal(item: Decimal, where: str) -> None:
    exponent = item.as_tuple().exponent
    if isinstance(exponent, int) and abs(exponent) > 10_000:
        raise NotPlainError(f"{where}: a Decimal with an extreme exponent")


def _check_int(item: int, where: str) -> None:
    if item.bit_length() > MAX_INT_BITS:
        raise NotPlainError(f"{where}: an integer of more than {MAX_INT_BITS} bits")


_CONTAINERS: Final = frozenset((list, tuple, set, frozenset))
# What a value of a kind has to keep to, its parts aside.
_RULES: Final[dict[type, Callable[[Any, str], None]]] = {
    str: _check_text,
    int: _check_int,
    Decimal: _check_decimal,
    dict: _check_parts,
    set: _check_parts,
    frozenset: _check_parts,
}
_FREE: Final = ATOMS | {list, tuple, Ref}


def check_slot_name(name: str) -> None:
    """Raise ArgumentsError unless ``name`` can name a slot.

    Raises:
        ArgumentsError: Not an ASCII identifier of at most 100 characters, or reserved.
    """
    if not _SLOT.match(name) or name.startswith(("__", "_p_", "_v_")) or name in RESERVED:
        raise ArgumentsError(f"{name[:60]!r} cannot name a slot or a message")


def check_selector(name: str) -> None:
    """Raise ArgumentsError unless ``name`` can name a message: a slot's, but no Python keyword."""
    check_slot_name(name)
    if keyword.iskeyword(name):
        raise ArgumentsError(f"{name!r} is a Python keyword and cannot be a selector")


def check_not_said(name: str) -> None:
    """Raise ArgumentsError for a slot name that would not do what it says; name what does."""
    if said := _SAID.get(name):
        raise ArgumentsError(f"a slot cannot replace the object's {name}; send {said}")


def check_own(name: str) -> None:
    """Raise ArgumentsError for what every object understands: no slot and no method replaces it."""
    if name in PRIMITIVE:
        raise ArgumentsError(f"{name} is what every object understands; it cannot be replaced")


def check_taught(name: str) -> None:
    """Raise ArgumentsError unless ``name`` can name a method that is installed."""
    check_selector(name)
    check_own(name)


def check_object_name(name: str) -> None:
    """Raise ArgumentsError unless ``name`` can name an object of the root."""
    if not _OBJECT.match(name):
        raise ArgumentsError(f"{name[:60]!r} cannot name an object")


def to_wire(value: Any) -> Any:
    """Return ``value`` as what msgpack and JSON carry to any client.

    Tuples become lists, sets become sorted lists, moments become ISO 8601 text, integers
    beyond 64 bits, Decimals and UUIDs become text, references ``{"ref": name, "oid": oid}``,
    and keys of dicts become text.

    Raises:
        NotPlainError: ``value`` is not plain data.
    """
    check(value)
    return _wire(value)


def _wire(value: Any) -> Any:
    rule = _WIRE.get(type(value))
    return value if rule is None else rule(value)


def _wire_key(key: Any) -> str:
    return key if type(key) is str else str(_wire(key))


def _wire_set(items: Any) -> list[Any]:
    return sorted(map(_wire, items), key=lambda item: (str(type(item)), str(item)))


_WIRE: Final[dict[type, Callable[[Any], Any]]] = {
    int: lambda value: value if -_WIRE_INT <= value < _WIRE_INT else str(value),
    list: lambda value: [_wire(item) for item in value],
    tuple: lambda value: [_wire(item) for item in value],
    dict: lambda value: {_wire_key(key): _wire(item) for key, item in value.items()},
    set: _wire_set,
    frozenset: _wire_set,
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    dt.timedelta: str,
    Decimal: str,
    uuid.UUID: str,
    Ref: lambda value: {"ref": value.name, "oid": value.oid},
}
