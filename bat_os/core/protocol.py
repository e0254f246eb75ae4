"""The wire: bytes to values and back. docs/protocol.md is the binding description.

    [identity] b"BAT1" one-msgpack-map      the envelope, version 1
    [identity] one-msgpack-map              the plain brief: one answer, in the same form

What a peer sends is hostile until ``decode_request`` has returned.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import ormsgpack

from bat_os.core.brief import Brief
from bat_os.core.frames import (
    PACK,
    pack,
    read_arguments,
    read_map,
    read_text,
    unpack,
)
from bat_os.core.values import to_wire
from bat_os.errors import (
    ArgumentsError,
    BatError,
    BusyError,
    FrameError,
    TooLargeError,
    VersionError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAGIC: Final = b"BAT1"
VERSION: Final = 1
MAX_FRAMES: Final = 2
MAX_BRIEF: Final = 64 << 10
PLAIN_COMMAND: Final = "initiate_cognitive_cycle"


@dataclass(frozen=True, slots=True)
class Request:
    """One message to the kernel.

    Attributes:
        type: The verb.
        id: The sender's id for it; replies carry it as ``re``.
        session: Who asks, across reconnections; "" when not said.
        key: Idempotency key, or "".
        ttl: Seconds after which the answer is of no use, or None.
        target: Name or oid of the receiver.
        selector: Name of the message.
        args: Positional arguments.
        kwargs: Keyword arguments.
        body: What else the verb takes.
        token: Proof of being allowed in, where the transport asks for one.
        plain: True for the two-frame form.
    """

    type: str
    id: str = ""
    session: str = ""
    key: str = ""
    ttl: float | None = None
    target: str = ""
    selector: str = ""
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    plain: bool = False

    def brief(self) -> Brief:
        """Return the brief of a request whose body ``bat_os.core.verbs`` has checked.

        Raises:
            ArgumentsError: Target or selector is missing.
            TooLargeError: It packs to more than MAX_BRIEF bytes.
        """
        if not self.target or not self.selector:
            raise ArgumentsError("a brief needs a target and a selector")
        names = ("text", "examples", "fresh", "mode")
        body = {name: self.body[name] for name in names if name in self.body}
        body |= {"examples": tuple(body.get("examples", ()))}
        brief = Brief(self.target, self.selector, self.args, self.kwargs, **body)
        size = len(ormsgpack.packb(brief.to_plain(), option=PACK))
        if size > MAX_BRIEF:
            raise TooLargeError(f"the brief has {size} bytes; at most {MAX_BRIEF} are taken")
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


def decode_request(frames: Sequence[bytes], peer: str = "") -> Request:
    """Return the request in ``frames``, the identity left out; ``peer`` asks, if no session does.

    Raises:
        FrameError: Not the frames, or not a map of the right types.
        TooLargeError: Over a limit of count, size, depth or items.
        VersionError: Another major version.
        ArgumentsError: A field has the wrong type.
    """
    if not 1 <= len(frames) <= MAX_FRAMES:
        raise FrameError(f"{len(frames)} frames; the form is [BAT1, map] or [map]")
    if len(frames) == MAX_FRAMES and bytes(frames[0]) != MAGIC:
        raise FrameError("the first frame is not BAT1")
    data = unpack(frames[-1])
    if len(frames) == 1:
        return _plain_request(data, peer)
    version = data.get("v")
    if version != VERSION or type(version) is not int:
        raise VersionError(f"version {version!r}; this kernel speaks {VERSION}", supported=[1, 1])
    ttl = data.get("ttl_ms")
    if ttl is not None and (type(ttl) not in (int, float) or not 0 < ttl <= 86_400_000):
        raise ArgumentsError("ttl_ms is not a number of milliseconds up to one day")
    args, kwargs = read_arguments(data)
    return Request(
        type=read_text(data, "type"),
        id=read_text(data, "id"),
        session=read_text(data, "session") or peer,
        key=read_text(data, "ik"),
        ttl=None if ttl is None else ttl / 1000,
        target=read_text(data, "target"),
        selector=read_text(data, "selector"),
        args=args,
        kwargs=kwargs,
        body=read_map(data, "body"),
        token=read_text(data, "token"),
    )


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
        NotPlainError: A field is not plain data.
        TooLargeError: It packs to more than MAX_FRAME bytes.
    """
    return [MAGIC, pack(to_wire({"v": VERSION} | dict(fields)))]


def decode_reply(frames: Sequence[bytes]) -> tuple[str, str, dict[str, Any]]:
    """Return (type, re, body) of a kernel's reply.

    Raises:
        FrameError: Not a reply of this protocol.
    """
    if len(frames) != MAX_FRAMES or bytes(frames[0]) != MAGIC:
        raise FrameError("not a BAT1 reply")
    data = unpack(frames[1])
    return read_text(data, "type"), read_text(data, "re"), read_map(data, "body")


def error_body(error: BatError) -> dict[str, Any]:
    """Return the body of an ``error`` reply."""
    body = {"code": error.code, "message": str(error), "retryable": error.retryable}
    if isinstance(error, BusyError):
        body["retry_after_ms"] = error.retry_after_ms
    return body | {"details": dict(error.details)}


def error_reply(request: Request, error: BatError) -> Reply:
    """Return the reply that tells the sender of ``request`` about ``error``."""
    body = error_body(error)
    if request.plain:
        body = {"status": "error", "message": str(error), "error": body}
    return Reply("error", request.id, body, plain=request.plain)


def _plain_request(data: Mapping[str, Any], peer: str) -> Request:
    command = data.get("command")
    if command != PLAIN_COMMAND:
        raise FrameError(f"a single frame needs command: {PLAIN_COMMAND}")
    target, told = data.get("target_oid"), read_map(data, "mission_brief")
    if type(target) is int and 0 <= target < 1 << 63:
        target = f"{target:016x}"
    if type(target) is not str or not target:
        raise ArgumentsError("target_oid is neither a name nor an oid")
    args, kwargs = read_arguments(told)
    body: dict[str, Any] = {key: told[key] for key in ("text", "examples") if key in told}
    return Request(
        type="brief",
        key=read_text(data, "ik"),
        session=read_text(data, "session") or peer,
        target=target,
        selector=read_text(told, "selector"),
        args=args,
        kwargs=kwargs,
        body=body,
        token=read_text(data, "token"),
        plain=True,
    )
