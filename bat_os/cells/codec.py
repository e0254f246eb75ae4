"""Values and frames between the kernel and a confined child: to bytes and back.

A value is packed as msgpack; extension types keep what msgpack cannot express, so a tuple
comes back as a tuple and a reference as a ``Ref``. Equal values give equal bytes, which is
how a child finds out that a slot has changed. Both sides use this module. The kernel trusts
nothing that it reads: it checks what comes out and accepts only references that it gave.

    ext 1-11 big int, tuple, set, frozenset, dict with other keys than text, datetime, date,
             time, timedelta, Decimal, UUID;  ext 12  Ref
    frame    4 bytes of length, big-endian, then one msgpack array: text, ints, packed values

A byte of msgpack can become 72 bytes of Python, so the parts of what a child sends are
counted before they are built. The count reads headers only; text of any length is one part.
What is malformed or too large is a FrameError, what may not be kept a NotPlainError.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import os
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import ormsgpack

from bat_os.core.values import MAX_DEPTH, MAX_INT_BITS, Ref, check, check_keys
from bat_os.errors import FrameError, NotPlainError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

INT, TUPLE, SET, FROZENSET, DICT, DATETIME, DATE, TIME, DELTA, DECIMAL, UUID, REF = range(1, 13)
NESTED: Final = frozenset((TUPLE, SET, FROZENSET, DICT))
HEADER: Final = 4  # bytes of the length of a frame
MAX_FRAME: Final = 8 << 20
MAX_PARTS: Final = 500_000
PRINT_LIMIT: Final = 64 << 10  # bytes that one call may print
_LONGEST: Final = 16 << 10  # bytes of what is not NESTED; the longest is a Decimal as text
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
        given: References packed so far, by oid. ``read`` accepts no others.
    """

    def __init__(
        self,
        *,
        to_ref: Callable[[Any], Ref | None] | None = None,
        from_ref: Callable[[Ref], Any] | None = None,
    ) -> None:
        """Make a codec.

        Args:
            to_ref: Returns the Ref that an object of a foreign type represents, or None.
            from_ref: Returns what a Ref is unpacked as; by default the Ref itself.
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
        if type(value) is Ref:  # most slots of most objects
            self.given[value.oid] = value
            return _pack_ref(value)
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
            raise FrameError(f"{where}: it cannot be read") from error
        check(value, where=where)
        return value

    def as_ref(self, value: Any) -> Ref | None:
        """Return the reference that ``value`` is or represents, and note it as given."""
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
            return ormsgpack.Ext(TUPLE, self._fast(list(value)))
        if kind is set or kind is frozenset:
            tag = SET if kind is set else FROZENSET
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
        return ormsgpack.Ext(DICT, ormsgpack.packb(flat))

    def _lower_row(self, value: Any, depth: int) -> Any:
        row = [self.lower(item, depth + 1) for item in value]
        if type(value) is tuple:
            return ormsgpack.Ext(TUPLE, ormsgpack.packb(row))
        tag = SET if type(value) is set else FROZENSET
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
            return ormsgpack.Ext(INT, value.to_bytes(bits // 8 + 1, "big", signed=True))
        write = _WRITERS.get(kind)
        if write is not None:
            check(value, where=self.where)
            tag, plain = write(value)
            return ormsgpack.Ext(tag, ormsgpack.packb(plain))
        ref = self.codec.as_ref(value)
        if ref is not None:
            return ormsgpack.Ext(REF, ormsgpack.packb([ref.oid, ref.name]))
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


@functools.lru_cache(maxsize=1024)  # an object goes to the cell with the same few, time and again
def _pack_ref(ref: Ref) -> bytes:
    return ormsgpack.packb(ormsgpack.Ext(REF, ormsgpack.packb([ref.oid, ref.name])))


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
    dt.datetime: lambda value: (DATETIME, [value.year, value.month, value.day, *_clock(value)]),
    dt.date: lambda value: (DATE, [value.year, value.month, value.day]),
    dt.time: lambda value: (TIME, _clock(value)),
    dt.timedelta: lambda value: (DELTA, _seconds(value)),
    Decimal: lambda value: (DECIMAL, str(value)),
    uuid.UUID: lambda value: (UUID, value.bytes),
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


# From the parts of a value, which are hostile, to the value.
READERS: Final[dict[int, Callable[[Any], Any]]] = {
    TUPLE: tuple,
    SET: lambda row: set(check_keys(row)),
    FROZENSET: lambda row: frozenset(check_keys(row)),
    DICT: lambda flat: dict(zip(check_keys(flat[::2]), flat[1::2], strict=True)),
    DATETIME: lambda parts: _read_clock(dt.datetime, parts),
    DATE: lambda parts: dt.date(*parts),
    TIME: lambda parts: _read_clock(dt.time, parts),
    DELTA: lambda parts: dt.timedelta(*parts),
    DECIMAL: _read_decimal,
    UUID: lambda data: uuid.UUID(hex=data.hex()),
}


def clean(text: str) -> str:
    """Return ``text`` with what UTF-8 cannot carry replaced."""
    return text.encode("utf-8", "replace").decode()


def unpack_one(data: bytes, extension: Callable[[int, bytes], Any] | None = None) -> Any:
    """Return the one value that ``data`` is."""
    # ormsgpack ignores what follows the first value. Here random bytes follow it, and they
    # must come out in their place.
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
        if tag == INT:
            return int.from_bytes(data, "big", signed=True)
        # Parts are counted inside what is NESTED only (``check_parts``); nothing else has many.
        if len(data) > _LONGEST and tag not in NESTED:
            raise ValueError("a moment, number or reference that is too long")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ValueError("nested too deep")
        plain = self.unpack(data)
        self.depth -= 1
        if tag == REF:
            return self.from_ref(_read_ref(plain))
        if tag not in READERS:
            raise ValueError(f"extension type {tag}")
        return READERS[tag](plain)


def pack_frame(parts: list[Any]) -> bytes:
    """Return the frame that carries ``parts``."""
    body = ormsgpack.packb(parts)
    if len(body) > MAX_FRAME:
        raise NotPlainError(f"more than {MAX_FRAME >> 20} MB at once")
    return len(body).to_bytes(HEADER, "big") + body


def read_length(header: bytes) -> int:
    """Return how many bytes follow the header of a frame."""
    return int.from_bytes(header, "big")


def check_parts(packed: Collection[bytes]) -> None:
    """Raise if the packed values together have more than MAX_PARTS parts."""
    # No part takes less than a byte, so short data needs no counting.
    if sum(map(len, packed)) <= MAX_PARTS:
        return
    left = MAX_PARTS
    for data in packed:
        left -= _count_parts(data, left)


# Bytes that a msgpack item takes before its first part, by its first byte; (size of the
# length field, bytes beside) for those with a length. Containers count as their header.
_FIXED: Final = {0xC0: 1, 0xC2: 1, 0xC3: 1, 0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9}
_FIXED_MORE: Final = {0xD0: 2, 0xD1: 3, 0xD2: 5, 0xD3: 9, 0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5}
_FIXED_EXT: Final = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_SIZED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_SIZED_EXT: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}


def _head_sizes() -> list[int]:
    sizes = [1] * 256
    for byte in range(0xA0, 0xC0):
        sizes[byte] = 1 + (byte & 0x1F)
    for byte, size in (_FIXED | _FIXED_MORE).items():
        sizes[byte] = size
    for byte in (0xC1, *_FIXED_EXT, *_SIZED, *_SIZED_EXT):
        sizes[byte] = 0
    return sizes


_HEADS: Final = _head_sizes()


def _count_parts(data: bytes, limit: int) -> int:
    """Return how many values ``data`` holds, those inside containers and extensions too."""
    at = count = 0
    try:
        while at < len(data):
            count += 1
            if count > limit:
                raise FrameError(f"more than {MAX_PARTS} parts")
            at += _HEADS[data[at]] or _sized_item(data, at)
    except IndexError as error:
        raise FrameError("cut short") from error
    return count


def _sized_item(data: bytes, at: int) -> int:
    """Return how many bytes to skip after an item with a length; nested extensions are entered."""
    head = data[at]
    if head in _SIZED:
        width = _SIZED[head]
        return 1 + width + int.from_bytes(data[at + 1 : at + 1 + width], "big")
    if head in _FIXED_EXT:
        return 2 + (0 if data[at + 1] in NESTED else _FIXED_EXT[head])
    if head in _SIZED_EXT:
        width = _SIZED_EXT[head]
        size = int.from_bytes(data[at + 1 : at + 1 + width], "big")
        return 2 + width + (0 if data[at + 1 + width] in NESTED else size)
    raise FrameError("not msgpack")
