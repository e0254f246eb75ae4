"""Frames between the kernel and the host process of one MCP server.

    4 bytes, the length, big-endian > one msgpack map

    kernel to host    open: config   ·   call, name, arguments, seconds, key   ·   look
    host to kernel    id, value   ·   id, error, text   ·   ended, text   ·   said, tools

What a server answers travels in these frames. So the kernel reads them as it reads a client's: it
bounds their length first, then their depth. Both ends close the pipe on a bad one.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import ormsgpack

from bat_os.core.values import check
from bat_os.errors import BatError, FrameError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import IO

MAX_FRAME: Final = 4 << 20  # bytes
_LENGTH: Final = struct.Struct(">I")


def pack(message: Mapping[str, Any]) -> bytes:
    """Return a message as a frame.

    Raises:
        TooLargeError: No reader would take it.
        FrameError: It holds more than msgpack carries.
    """
    try:
        body = ormsgpack.packb(dict(message))
    except ormsgpack.MsgpackEncodeError as error:
        raise FrameError(f"it cannot be sent: {error}") from error
    if len(body) > MAX_FRAME:
        raise TooLargeError(f"it has {len(body)} bytes; {MAX_FRAME} are the most")
    return _LENGTH.pack(len(body)) + body


def read(stream: IO[bytes]) -> dict[str, Any] | None:
    """Return the next message of a stream, or None at its end. Blocks.

    Raises:
        FrameError: It is not what the other end would write.
    """
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > MAX_FRAME:
        raise FrameError(f"a frame of {length} bytes; {MAX_FRAME} are the most")
    body = stream.read(length)
    if len(body) < length:
        return None
    try:
        message = ormsgpack.unpackb(body)
        check(message, where="a frame")
    except (ormsgpack.MsgpackDecodeError, BatError) as error:
        raise FrameError(f"a frame that cannot be read: {error}") from error
    if type(message) is not dict:
        raise FrameError("a frame without a map")
    return message
