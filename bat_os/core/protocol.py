"""The wire: bytes to values and back. docs/protocol.md is the binding description.

    [identity] b"BAT1" one-msgpack-map      the envelope, version 1
    [identity] one-msgpack-map              the plain brief: one answer, in the same form

What a peer sends is hostile until ``decode_request`` has returned. ``unpack`` guards size, depth
and number of items; the records below say the fields and their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

import ormsgpack

from bat_os.core.brief import Brief
from bat_os.core.schema import Meta, Record, convert, field, replace
from bat_os.core.scopes import PERSON, Scope
from bat_os.core.two_frames import MAX_NAME, Name, read_plain
from bat_os.core.values import to_wire
from bat_os.errors import (
    ArgumentsError,
    BatError,
    BusyError,
    FrameError,
    NotPlainError,
    TooLargeError,
    VersionError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

MAGIC: Final = b"BAT1"
VERSION: Final = 1
MAX_FRAMES: Final = 2
MAX_FRAME: Final = 1 << 20
MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 100_000
MAX_BRIEF: Final = 64 << 10
_PACK: Final = ormsgpack.OPT_NON_STR_KEYS
_NESTED: Final = frozenset((dict, list, tuple))  # a key that was an array is a tuple
# A brief packs to less than the frame it came in and this: the keys that the sender left out.
_BRIEF_EXTRA: Final = 2_048

_Map = Mapping[str, Any]
_TTL = Annotated[
    float,
    Meta(gt=0, le=86_400_000, description="a number of milliseconds, more than 0, up to one day"),
]


class _Envelope(Record, frozen=True, forbid_unknown_fields=False):
    selector: Name | None = None
    args: list[Any] | None = None
    kwargs: _Map | None = None
    type: Name | None = None
    id: Name | None = None
    session: Name | None = None
    ik: Name | None = None
    ttl_ms: _TTL | None = None
    target: Name | None = None
    body: _Map | None = None
    token: Name | None = None
    by: Name | None = None
    may: Scope | None = None
    catch_up: bool | None = None

    def __post_init__(self) -> None:
        if self.kwargs and not all(map(str.isidentifier, self.kwargs)):
            raise ValueError("the keys of kwargs must be names")


class Request(Record, frozen=True):
    """One message to the kernel; ``caller``, ``plain`` and ``size`` are not the peer's to set."""

    type: str  # the verb
    id: str = ""  # the sender's id for it; replies carry it as ``re``
    session: str = ""  # who asks, across reconnections; "" when not said
    key: str = ""  # idempotency key, or ""
    ttl: float | None = None  # seconds after which the answer is of no use, or None
    target: str = ""  # name or oid of the receiver
    selector: str = ""  # name of the message
    args: tuple[Any, ...] = ()  # positional arguments
    kwargs: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments
    body: Mapping[str, Any] = field(default_factory=dict)  # what else the verb takes
    token: str = ""  # proof of being allowed in, where the transport asks for one
    by: str = ""  # for whom a client asks that serves others, or ""
    may: str = PERSON  # what they may ask for
    catch_up: bool = False  # it was at another kernel before: see all that was committed
    caller: str = ""  # by which key or token it came in, and ``by``; "" from this machine's owner
    plain: bool = False  # true for the two-frame form
    size: int = MAX_FRAME  # bytes of the frame that it came in

    def checked(self, verb: str, body: Mapping[str, Any]) -> Request:
        """Return the request with the verb's own name and a body that was checked."""
        return replace(self, type=verb, body=body)

    def brief(self) -> Brief:
        """Return the brief of a request whose body ``bat_os.core.verbs`` has checked.

        Raises:
            ArgumentsError: Target or selector is missing.
            TooLargeError: It packs to more than MAX_BRIEF bytes.
        """
        if not self.target or not self.selector:
            raise ArgumentsError("the message is empty; write it as: batos send OBJECT MESSAGE")
        told = self.body.get
        brief = Brief(
            self.target, self.selector, self.args, self.kwargs, told("text", ""),
            tuple(told("examples", ())), told("fresh", False), told("mode", ""),
            persona=told("persona_id", ""), may=self.may,
        )  # fmt: skip
        if self.size > MAX_BRIEF - _BRIEF_EXTRA:
            size = len(ormsgpack.packb(brief.to_plain(), option=_PACK))
            if size > MAX_BRIEF:
                raise TooLargeError(f"the brief has {size} bytes; at most {MAX_BRIEF} are accepted")
        return brief


@dataclass(frozen=True, slots=True)
class Reply:
    """One message from the kernel: ``accepted``, ``event``, ``result``, ``pong`` or ``error``."""

    type: str
    re: str
    body: Mapping[str, Any]
    plain: bool = False

    @property
    def is_last(self) -> bool:
        """True when no further reply to the same request follows."""
        return self.type not in ("accepted", "event")


def unpack(frame: bytes) -> dict[str, Any]:
    """Return the msgpack map in ``frame``, which this program packed.

    Raises:
        FrameError: Not msgpack, not a map, or a key is not text.
        TooLargeError: Over MAX_FRAME bytes, MAX_DEPTH levels or MAX_ITEMS items.
    """
    data = _load(frame, _PACK)
    _check_shape(data)
    return data


def unpack_request(frames: Sequence[bytes]) -> dict[str, Any]:
    """Return the map in the frames of a request; its shape and its fields are not checked yet.

    The keys of every map are text, whose hashes nobody can predict. Of other keys, numbers and
    arrays of numbers, so many with one hash fit into a frame that it would take minutes to unpack.

    Raises:
        FrameError: Not the frames, not msgpack, not a map, or a key in it is not text.
        TooLargeError: Over MAX_FRAME bytes.
    """
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise FrameError(f"{len(frames)} frames; the form is [BAT1, map] or [map]")
    if len(frames) == MAX_FRAMES and bytes(frames[0]) != MAGIC:
        raise FrameError("the first frame is not BAT1")
    return _load(frames[-1], None)


def _load(frame: bytes, option: int | None) -> dict[str, Any]:
    if len(frame) > MAX_FRAME:
        raise TooLargeError(f"a frame of {len(frame)} bytes; at most {MAX_FRAME} are accepted")
    try:
        data = ormsgpack.unpackb(frame, option=option)
    except (ValueError, TypeError) as error:
        raise FrameError(f"not msgpack, or a key is not text: {error}") from error
    if type(data) is not dict or not all(type(key) is str for key in data):
        raise FrameError("not a map with text keys")
    return data


def pack(data: Any, option: int | None = _PACK) -> bytes:
    """Return ``data`` as one msgpack frame; without an ``option``, keys have to be text.

    Raises:
        NotPlainError: Some part cannot be sent.
        TooLargeError: Over MAX_FRAME bytes, MAX_DEPTH levels or MAX_ITEMS items.
    """
    _check_shape(data)
    try:
        packed = ormsgpack.packb(data, option=option)
    except (TypeError, ValueError) as error:
        raise NotPlainError(f"cannot be sent: {error}") from error
    if len(packed) > MAX_FRAME:
        raise TooLargeError(f"{len(packed)} bytes; at most {MAX_FRAME} fit into a message")
    return packed


def _check_shape(data: Any) -> int:
    """Return how many items there are in ``data``, at all levels."""
    items, level = 0, [data] if type(data) in _NESTED else []
    for _ in range(MAX_DEPTH - 1):
        parts: list[Any] = []
        for nested in level:
            parts += nested
            if type(nested) is dict:
                parts += nested.values()
        items += len(parts)
        if items > MAX_ITEMS:
            raise TooLargeError(f"more than {MAX_ITEMS} items in one message")
        level = [part for part in parts if type(part) in _NESTED]
        if not level:
            return items
    if any(level):
        raise TooLargeError(f"nested deeper than {MAX_DEPTH}")
    return items


class Room:
    """What is left of one frame, for a reply that leaves out what does not fit."""

    def __init__(self, size: int, items: int) -> None:
        """Begin with ``size`` bytes and ``items`` items."""
        self._size = size
        self._items = items

    def take(self, value: Any, level: int) -> None:
        """Reserve the room for ``value``, which lies ``level`` levels down in a reply.

        Raises:
            NotPlainError: It cannot be sent.
            TooLargeError: It does not fit in, or lies too deep; nothing was reserved.
        """
        for _ in range(level):
            value = {"": value}
        size, items = len(pack(value)), _check_shape(value)
        if size > self._size:
            raise TooLargeError(f"{size} bytes; {self._size} are left in this message")
        if items > self._items:
            raise TooLargeError(f"{items} items; {self._items} are left in this message")
        self._size -= size
        self._items -= items


def decode_request(frames: Sequence[bytes], peer: str = "") -> Request:
    """Return the request in ``frames``, the identity left out; ``peer`` asks, if no session does.

    Raises:
        FrameError: Not the frames, or not a map of the right types.
        TooLargeError: Over a limit of count, size, depth or items.
        VersionError: Another major version.
        ArgumentsError: A field has the wrong type.
    """
    return read_request(unpack_request(frames), frames, peer)


def read_request(data: Mapping[str, Any], frames: Sequence[bytes], peer: str) -> Request:
    """Return the request in a map of ``unpack_request``; raises as ``decode_request`` does."""
    _check_shape(data)
    if len(frames) == 1:
        fields = read_plain(data, peer)
        return Request(type="brief", plain=True, size=len(frames[-1]), **fields)
    version = data.get("v")
    if version != VERSION or type(version) is not int:
        raise VersionError(f"version {version!r}; this kernel speaks {VERSION}", supported=[1, 1])
    sent = convert(data, _Envelope, ArgumentsError)
    return Request(
        type=sent.type or "",
        id=sent.id or "",
        session=sent.session or peer,
        key=sent.ik or "",
        ttl=None if sent.ttl_ms is None else sent.ttl_ms / 1000,
        target=sent.target or "",
        selector=sent.selector or "",
        args=tuple(sent.args or ()),
        kwargs=sent.kwargs or {},
        body=sent.body or {},
        token=sent.token or "",
        by=sent.by or "",
        may=sent.may or PERSON,
        catch_up=bool(sent.catch_up),
        size=len(frames[-1]),
    )


def read_id(data: Mapping[str, Any]) -> str:
    """Return the id in the map of a request that was refused, for the answer; "" if it has none."""
    named = data.get("id")
    return named if type(named) is str and len(named) <= MAX_NAME else ""


def encode_reply(reply: Reply) -> list[bytes]:
    """Return the frames of ``reply``, the identity left out.

    Raises:
        NotPlainError: The body is not plain data.
        TooLargeError: It packs to more than MAX_FRAME bytes.
    """
    body = to_wire(dict(reply.body))
    if reply.plain:
        return [pack(body)]
    return [MAGIC, pack({"v": VERSION, "type": reply.type, "re": reply.re, "body": body})]


def encode_request(fields: Mapping[str, Any]) -> list[bytes]:
    """Return the frames of a request, as a client sends them.

    Raises:
        NotPlainError: A field is not plain data, or a map in it has a key that is not text.
        TooLargeError: It packs to more than MAX_FRAME bytes.
    """
    return [MAGIC, pack(to_wire({"v": VERSION} | dict(fields)), None)]


class _Answer(Record, frozen=True, forbid_unknown_fields=False):
    type: Name | None = None
    re: Name | None = None
    body: dict[str, Any] | None = None


def decode_reply(frames: Sequence[bytes]) -> tuple[str, str, dict[str, Any]]:
    """Return (type, re, body) of a kernel's reply.

    Raises:
        FrameError: Not a reply of this protocol.
        ArgumentsError: A field has the wrong type.
    """
    if len(frames) != MAX_FRAMES or bytes(frames[0]) != MAGIC:
        raise FrameError("not a BAT1 reply")
    answer = convert(unpack(frames[1]), _Answer, ArgumentsError)
    return answer.type or "", answer.re or "", answer.body or {}


def error_body(error: BatError) -> dict[str, Any]:
    """Return the body of an ``error`` reply."""
    body = {"code": error.code, "message": str(error), "retryable": error.retryable}
    if isinstance(error, BusyError):
        body["retry_after_ms"] = error.retry_after_ms
    return body | {"details": dict(error.details)}


def error_reply(request: Request, error: BatError) -> Reply:
    """Return the ``error`` reply to ``request``."""
    body = error_body(error)
    if request.plain:
        body = {"status": "error", "message": str(error), "error": body}
    return Reply("error", request.id, body, plain=request.plain)
