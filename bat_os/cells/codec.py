"""Values between the kernel and a confined child: to bytes and back.

A value is packed as msgpack; extension types keep what msgpack has no word for, so a tuple
comes back as a tuple and a reference as a ``Ref``. Equal values give equal bytes, which is
how a child finds out that a slot has changed. Both sides use this module. The kernel trusts
nothing that it reads: it checks what comes out, and takes only references that it gave itself.

    ext 1-11 big int, tuple, set, frozenset, dict with other keys than text, datetime, date,
             time, timedelta, Decimal, UUID;  ext 12  Ref
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import os
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import ormsgpack

from bat_os.core.values import MAX_DEPTH, MAX_INT_BITS, Ref, check
from bat_os.errors import FrameError, NotPlainError

if TYPE_CHECKING:
    from collections.abc import Callable

_INT, _TUPLE, _SET, _FROZENSET, _DICT, _DATETIME, _DATE, _TIME, _DELTA, _DECIMAL, _UUID, _REF = (
    range(1, 13)
)
NESTED: Final = frozenset((_TUPLE, _SET, _FROZENSET, _DICT))
_LONGEST: Final = 16 << 10  # bytes of what is not NESTED; the longest is a Decimal as text
_ALIKE: Final = 64  # keys with one hash; each is compared with all of those before it
_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)
_ALLOWED: Final = (
    "None, bool, int, float, str, bytes, list, dict, tuple, set, datetime, Decimal, UUID, "
    "or a reference to another object"
)


class Codec:
    """Packs and unpacks values for one call.

    Attributes:
        given: References packed so far, by oid. ``read`` takes no other.
    """

    def __init__(
        self,
        *,
        to_ref: Callable[[Any], Ref | None] | None = None,
        from_ref: Callable[[Ref], Any] | None = None,
    ) -> None:
        """Make a codec.

        Args:
            to_ref: Tells which Ref an object of a foreign type stands for, or None.
            from_ref: What a Ref is unpacked as; itself where this is not given.
        """
        self._to_ref = to_ref
        self._from_ref = from_ref
        self.given: dict[str, Ref] = {}

    def pack(self, value: Any, *, where: str = "value", friendly: bool = False) -> bytes:
        """Return ``value`` as bytes; the same bytes for the same value.

        Args:
            value: Plain data, or what ``to_ref`` knows.
            where: How an error names the place.
            friendly: Also take what has an obvious plain form: a named tuple, dataclass,
                Enum, Counter, deque, or another subclass of a plain type.

        Raises:
            NotPlainError: It cannot be packed; the message says which part and why.
        """
        writer = _Writer(self, where, friendly)
        try:
            return ormsgpack.packb(value, writer.default, _OPTIONS)
        except (TypeError, NotPlainError, RecursionError):
            # The fast way knows no dicts with keys other than text, and hides reasons.
            return writer.pack(value)

    def unpack(self, data: bytes) -> Any:
        """Return the value of bytes that come from ``pack`` and can be trusted."""
        return _Reader(self._from_ref or (lambda ref: ref)).unpack(data)

    def read(self, data: Any, *, where: str = "value") -> Any:
        """Return the value of bytes from a hostile source.

        Raises:
            FrameError: They are not what ``pack`` makes, or name an unknown reference.
            NotPlainError: They are well formed, and hold what may not be kept.
        """
        if type(data) is not bytes:
            raise FrameError(f"{where}: not bytes")
        try:
            value = _Reader(self._known).unpack(data)
        except (ValueError, TypeError, ArithmeticError, LookupError, RecursionError) as error:
            raise FrameError(f"{where}: {type(error).__name__}") from error
        check(value, where=where)
        return value

    def as_ref(self, value: Any) -> Ref | None:
        """Return the reference that ``value`` is or stands for, and note it as given."""
        ref = value if type(value) is Ref else self._to_ref(value) if self._to_ref else None
        if ref is not None:
            self.given[ref.oid] = ref
        return ref

    def _known(self, ref: Ref) -> Ref:
        if ref.oid not in self.given:
            raise ValueError("a reference that the call was not given")
        return self.given[ref.oid]


class _Writer:
    """One packing: the fast way through ``default``, the slow one through ``lower``."""

    def __init__(self, codec: Codec, where: str, friendly: bool) -> None:
        self.codec = codec
        self.where = where
        self.friendly = friendly

    def pack(self, value: Any) -> bytes:
        try:
            return ormsgpack.packb(self.lower(value, 0))
        except TypeError as error:
            raise NotPlainError(f"{self.where}: {error}") from error

    def default(self, value: Any) -> Any:
        """Return what msgpack knows for a value of a type that it does not."""
        kind = type(value)
        if kind is tuple:
            return ormsgpack.Ext(_TUPLE, self._fast(list(value)))
        if kind is set or kind is frozenset:
            tag = _SET if kind is set else _FROZENSET
            return ormsgpack.Ext(tag, self._fast(sorted(value, key=self._fast)))
        atom = self._atom(value)
        return self._friend(value) if atom is None else atom

    def lower(self, value: Any, depth: int) -> Any:
        """Return ``value`` rebuilt from msgpack's own types, part by part."""
        kind = type(value)
        if depth > MAX_DEPTH:
            raise NotPlainError(f"{self.where}: nested deeper than {MAX_DEPTH}, or contains itself")
        if kind in (type(None), bool, float, str, bytes) or kind is ormsgpack.Ext:
            return value
        if kind is list:
            return [self.lower(item, depth + 1) for item in value]
        if kind is dict:
            return self._lower_dict(value, depth)
        if kind in (tuple, set, frozenset):
            return self._lower_row(value, depth)
        atom = self._atom(value)
        return self.lower(self._friend(value), depth + 1) if atom is None else atom

    def _fast(self, value: Any) -> bytes:
        return ormsgpack.packb(value, self.default, _OPTIONS)

    def _lower_dict(self, value: dict[Any, Any], depth: int) -> Any:
        if all(type(key) is str for key in value):
            return {key: self.lower(item, depth + 1) for key, item in value.items()}
        flat = [self.lower(part, depth + 1) for pair in value.items() for part in pair]
        return ormsgpack.Ext(_DICT, ormsgpack.packb(flat))

    def _lower_row(self, value: Any, depth: int) -> Any:
        row = [self.lower(item, depth + 1) for item in value]
        if type(value) is tuple:
            return ormsgpack.Ext(_TUPLE, ormsgpack.packb(row))
        tag = _SET if type(value) is set else _FROZENSET
        return ormsgpack.Ext(tag, ormsgpack.packb(sorted(row, key=ormsgpack.packb)))

    def _atom(self, value: Any) -> Any:
        """Return an int, moment, Decimal, UUID or reference for msgpack; None for others."""
        kind = type(value)
        if kind is int:
            if -(1 << 63) <= value < 1 << 64:
                return value
            bits = value.bit_length()
            if bits > MAX_INT_BITS:
                raise NotPlainError(f"{self.where}: an integer of more than {MAX_INT_BITS} bits")
            return ormsgpack.Ext(_INT, value.to_bytes(bits // 8 + 1, "big", signed=True))
        write = _WRITERS.get(kind)
        if write is not None:
            check(value, where=self.where)
            tag, plain = write(value)
            return ormsgpack.Ext(tag, ormsgpack.packb(plain))
        ref = self.codec.as_ref(value)
        if ref is not None:
            return ormsgpack.Ext(_REF, ormsgpack.packb([ref.oid, ref.name]))
        return None

    def _friend(self, value: Any) -> Any:
        """Return the plain form of a value that has an obvious one, one level deep."""
        for test, plain in _FRIENDS if self.friendly else ():
            if isinstance(value, test):
                return plain(value)
        if self.friendly and dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {part.name: getattr(value, part.name) for part in dataclasses.fields(value)}
        kind = type(value).__name__
        text = f"{self.where} cannot be a {kind}; allowed are {_ALLOWED}{_hint(value)}"
        raise NotPlainError(text)


def _hint(value: Any) -> str:
    """Return how to make ``value`` plain, for the writer of the code."""
    for kind, text in _HINTS:
        if isinstance(value, kind):
            return f": use {text}"
    if hasattr(value, "__next__"):
        return ": use list(...)"
    return ""


_HINTS: Final[tuple[tuple[Any, str], ...]] = (
    (enum.Enum, "its .value"),
    (dict, "dict(...)"),
    ((list, collections.deque), "list(...)"),
    (tuple, "tuple(...)"),
    (bytearray, "bytes(...)"),
)
_FRIENDS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (enum.Enum, lambda value: value.value),
    (dict, dict),
    ((list, collections.deque, type({}.keys()), type({}.values()), type({}.items())), list),
    (tuple, tuple),
    (frozenset, frozenset),
    (set, set),
    ((bytes, bytearray, memoryview), bytes),
    (bool, bool),
    (int, int.__int__),
    (float, float.__float__),
    (str, str.__str__),
    (range, list),
)


def _seconds(offset: dt.timedelta | None) -> list[int] | None:
    return None if offset is None else [offset.days, offset.seconds, offset.microseconds]


def _clock(value: dt.datetime | dt.time) -> list[Any]:
    parts = [value.hour, value.minute, value.second, value.microsecond, value.fold]
    return [*parts, _seconds(value.utcoffset())]


_WRITERS: Final[dict[type, Callable[[Any], tuple[int, Any]]]] = {
    dt.datetime: lambda value: (
        _DATETIME,
        [value.year, value.month, value.day, *_clock(value)],
    ),
    dt.date: lambda value: (_DATE, [value.year, value.month, value.day]),
    dt.time: lambda value: (_TIME, _clock(value)),
    dt.timedelta: lambda value: (_DELTA, _seconds(value)),
    Decimal: lambda value: (_DECIMAL, str(value)),
    uuid.UUID: lambda value: (_UUID, value.bytes),
}


def _read_clock(kind: Any, parts: list[Any]) -> Any:
    *numbers, fold, offset = parts
    zone = None if offset is None else dt.timezone(dt.timedelta(*offset))
    return kind(*numbers, tzinfo=zone, fold=fold)


def _read_ref(parts: list[Any]) -> Ref:
    oid, name = parts
    if type(oid) is not str or type(name) is not str:
        raise ValueError("not a reference")
    return Ref(oid, name)


def _read_decimal(text: Any) -> Decimal:
    if type(text) is not str or len(text) > MAX_INT_BITS:
        raise ValueError("not a decimal")
    return Decimal(text)


def check_keys(keys: list[Any]) -> list[Any]:
    """Return ``keys`` when a dict or set of them is made in reasonable time.

    Numbers can be chosen so that all have one hash. Putting n of those into a set takes n * n
    comparisons and holds up the whole process; ten thousand take some seconds.

    Raises:
        ValueError: More than a handful have the same hash.
    """
    if len(keys) > _ALIKE and max(collections.Counter(map(hash, keys)).values()) > _ALIKE:
        raise ValueError("keys that all have the same hash")
    return keys


_READERS: Final[dict[int, Callable[[Any], Any]]] = {
    _TUPLE: tuple,
    _SET: lambda row: set(check_keys(row)),
    _FROZENSET: lambda row: frozenset(check_keys(row)),
    _DICT: lambda flat: dict(zip(check_keys(flat[::2]), flat[1::2], strict=True)),
    _DATETIME: lambda parts: _read_clock(dt.datetime, parts),
    _DATE: lambda parts: dt.date(*parts),
    _TIME: lambda parts: _read_clock(dt.time, parts),
    _DELTA: lambda parts: dt.timedelta(*parts),
    _DECIMAL: _read_decimal,
    _UUID: lambda data: uuid.UUID(hex=data.hex()),
}


def unpack_one(data: bytes, extension: Callable[[int, bytes], Any] | None = None) -> Any:
    """Return the one value that ``data`` is.

    Raises:
        ValueError: It is not msgpack, or more than one value.
    """
    # ormsgpack ignores what follows the first value. Here a word that nobody can guess
    # follows it, and must come out in its place.
    end = os.urandom(16)
    value, last = ormsgpack.unpackb(b"\x92" + data + b"\xc4\x10" + end, ext_hook=extension)
    if last != end:
        raise ValueError("more than one value")
    return value


class _Reader:
    """One unpacking; counts how deep extension types nest."""

    def __init__(self, from_ref: Callable[[Ref], Any]) -> None:
        self.from_ref = from_ref
        self.depth = 0

    def unpack(self, data: bytes) -> Any:
        return unpack_one(data, self._extension)

    def _extension(self, tag: int, data: bytes) -> Any:
        if tag == _INT:
            return int.from_bytes(data, "big", signed=True)
        # Parts are counted inside what is NESTED only (frame.py); nothing else has many.
        if len(data) > _LONGEST and tag not in NESTED:
            raise ValueError("a moment, number or reference that is too long")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        plain = self.unpack(data)
        self.depth -= 1
        if tag == _REF:
            return self.from_ref(_read_ref(plain))
        if tag not in _READERS:
            raise ValueError(f"extension type {tag}")
        return _READERS[tag](plain)
