"""One msgpack map to checked values: size, depth, count and type of what a peer sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import ormsgpack

from bat_os.errors import ArgumentsError, FrameError, NotPlainError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_FRAME: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 100_000
PACK: Final = ormsgpack.OPT_NON_STR_KEYS


def unpack(frame: bytes) -> dict[str, Any]:
    """Return the msgpack map in ``frame``.

    Raises:
        FrameError: Not msgpack, not a map, or a key is not text.
        TooLargeError: Over MAX_FRAME bytes, MAX_DEPTH levels or MAX_ITEMS items.
    """
    if len(frame) > MAX_FRAME:
        raise TooLargeError(f"a frame of {len(frame)} bytes; at most {MAX_FRAME} are taken")
    try:
        data = ormsgpack.unpackb(frame, option=PACK)
    except (ValueError, TypeError) as error:
        raise FrameError(f"not msgpack: {error}") from error
    if type(data) is not dict or not all(type(key) is str for key in data):
        raise FrameError("not a map with text keys")
    _check_shape(data)
    return data


def _check_shape(data: Any) -> None:
    items, level = 0, [data]
    for _ in range(MAX_DEPTH):
        following: list[Any] = []
        for part in level:
            if type(part) is dict:
                following.extend(part.keys())
                following.extend(part.values())
            elif type(part) in (list, tuple):  # a key that was an array is a tuple
                following.extend(part)
        items += len(following)
        if items > MAX_ITEMS:
            raise TooLargeError(f"more than {MAX_ITEMS} items in one message")
        if not following:
            return
        level = following
    raise TooLargeError(f"nested deeper than {MAX_DEPTH}")


def read_text(data: Mapping[str, Any], key: str) -> str:
    """Return the text under ``key``, "" where there is none.

    Raises:
        ArgumentsError: It is no text of at most 200 characters.
    """
    value = data.get(key)
    if value is None:
        return ""
    if type(value) is not str or len(value) > 200:
        raise ArgumentsError(f"{key} is not a text of at most 200 characters")
    return value


def read_id(frames: Sequence[bytes]) -> str:
    """Return the id in frames that were refused, for the answer; "" where it is unreadable."""
    try:
        return read_text(ormsgpack.unpackb(frames[-1][:MAX_FRAME], option=PACK), "id")
    except (ValueError, TypeError, AttributeError, IndexError, ArgumentsError):
        return ""


def read_map(data: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the map under ``key``, an empty one where there is none.

    Raises:
        ArgumentsError: It is no map with text keys.
    """
    value = data.get(key)
    if value is None:
        return {}
    if type(value) is not dict or not all(type(k) is str for k in value):
        raise ArgumentsError(f"{key} is not a map with text keys")
    return value


def pack(data: Any) -> bytes:
    """Return ``data`` as one msgpack frame.

    Raises:
        NotPlainError: Some part cannot be sent.
        TooLargeError: Over MAX_FRAME bytes, MAX_DEPTH levels or MAX_ITEMS items.
    """
    _check_shape(data)
    try:
        packed = ormsgpack.packb(data, option=PACK)
    except (TypeError, ValueError) as error:
        raise NotPlainError(f"cannot be sent: {error}") from error
    if len(packed) > MAX_FRAME:
        raise TooLargeError(f"{len(packed)} bytes; at most {MAX_FRAME} fit into a message")
    return packed


def read_arguments(data: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return (args, kwargs) of a message.

    Raises:
        ArgumentsError: Not a list, or not a map whose keys are names.
    """
    args, kwargs = data.get("args"), read_map(data, "kwargs")
    if args is None:
        args = []
    if type(args) is not list:
        raise ArgumentsError("args is not a list")
    if not all(type(key) is str and key.isidentifier() for key in kwargs):
        raise ArgumentsError("the keys of kwargs are not names")
    return tuple(args), kwargs
