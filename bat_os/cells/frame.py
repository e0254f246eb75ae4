"""Frames between the kernel and a confined child, and a cap on what unpacking may build.

    frame    4 bytes of length, big-endian, then one msgpack array: text, ints, packed values

A byte of msgpack can become 72 bytes of Python, so the parts of what a child sends are
counted before they are built. The count reads headers only; text of any length is one part.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import ormsgpack

from bat_os.cells.codec import NESTED, unpack_one
from bat_os.errors import FrameError, NotPlainError

if TYPE_CHECKING:
    from collections.abc import Collection

HEADER: Final = 4
MAX_FRAME: Final = 8 << 20
MAX_PARTS: Final = 500_000
_LENGTH: Final = struct.Struct(">I")


def pack_frame(parts: list[Any]) -> bytes:
    """Return the frame that carries ``parts``.

    Raises:
        NotPlainError: The frame would be longer than MAX_FRAME.
    """
    body = ormsgpack.packb(parts)
    if len(body) > MAX_FRAME:
        raise NotPlainError(f"more than {MAX_FRAME >> 20} MB at once")
    return _LENGTH.pack(len(body)) + body


def read_length(header: bytes) -> int:
    """Return how many bytes follow a frame's 4-byte header."""
    length: int = _LENGTH.unpack(header)[0]
    return length


def unpack_frame(body: bytes) -> list[Any]:
    """Return the parts of a frame: plain text, ints, bytes, and lists and dicts of them.

    Raises:
        FrameError: ``body`` is not one msgpack array, or has too many parts.
    """
    check_parts([body])
    try:
        parts = unpack_one(body)
    except ValueError as error:
        raise FrameError("not msgpack") from error
    if type(parts) is not list:
        raise FrameError("not an array")
    return parts


def check_parts(packed: Collection[bytes]) -> None:
    """Return nothing when the packed values together have at most MAX_PARTS parts.

    Raises:
        FrameError: They have more, or are not msgpack.
    """
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
    """Return the bytes to go on by from an item with a length; into nested extensions."""
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
