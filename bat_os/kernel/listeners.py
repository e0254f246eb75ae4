"""Doors of the kernel: where it listens, and who may come in.

ipc://                a folder that only the owner may enter
tcp://, loopback      the token
tcp://, anything else CURVE: encrypted, and only keys of the allow-list; refused without
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import zmq
from zmq.auth.asyncio import AsyncioAuthenticator

from bat_os.core.frames import MAX_FRAME
from bat_os.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    Context = zmq.Context[zmq.Socket[bytes]]
    Socket = zmq.Socket[bytes]

HIGH_WATER: Final = 1000
AT_ONCE: Final = 8  # messages that are taken before the loop has its turn
MAX_PARTS: Final = 4  # frames of a message, the peer's not counted
FLOOD: Final = 1000  # frames beyond, from which on memory is given back
# Whoever connects and says nothing holds a descriptor for so long.
HANDSHAKE_MS: Final = 10_000
_DOMAIN: Final = "batos"
_USER: Final = "User-Id"  # ZeroMQ's name; the authenticator puts the key of the peer there


@dataclass(frozen=True, slots=True)
class Curve:
    """The kernel's own pair of keys, and whom it lets in; keys are in Z85.

    Attributes:
        public: Clients know the kernel by it.
        secret: Stays here.
        allows: Says whether the owner of a public key may come in now. Must not raise.
    """

    public: bytes
    secret: bytes
    allows: Callable[[str], bool]

    def callback(self, _domain: str, key: bytes) -> bool:
        """Answer the authenticator, which asks once per connection."""
        return self.allows(key.decode("ascii"))


class Door(NamedTuple):
    """One place to listen on.

    Attributes:
        endpoint: ZeroMQ's address.
        token: What every request has to show; "" for nothing.
        curve: Keys, where the door has a lock of its own.
    """

    endpoint: str
    token: str = ""
    curve: Curve | None = None


def guard(context: Context, doors: list[Door]) -> AsyncioAuthenticator | None:
    """Start what asks the doors' allow-lists; None where no door has one.

    To be called before a door is opened: ZeroMQ lets everyone in while nobody answers it.
    """
    curves = [door.curve for door in doors if door.curve is not None]
    if not curves:
        return None
    guarding = AsyncioAuthenticator(context)
    guarding.start()
    guarding.configure_curve_callback(_DOMAIN, curves[0])
    return guarding


def open_door(context: Context, door: Door) -> Socket:
    """Return the bound ROUTER socket of a door.

    Raises:
        SettingsError: Other machines can reach it, and it has no keys.
        zmq.ZMQError: The endpoint cannot be bound.
    """
    if door.curve is None and not is_local(door.endpoint):
        raise SettingsError(
            f"other machines can reach {door.endpoint}, so it needs keys: batos keys make NAME"
        )
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.MAXMSGSIZE, MAX_FRAME)
    socket.set(zmq.ROUTER_MANDATORY, 1)
    socket.set(zmq.SNDHWM, HIGH_WATER)
    socket.set(zmq.RCVHWM, HIGH_WATER)
    socket.set(zmq.LINGER, 500)
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    if door.curve is not None:
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_PUBLICKEY, door.curve.public)
        socket.set(zmq.CURVE_SECRETKEY, door.curve.secret)
        socket.set(zmq.ZAP_DOMAIN, _DOMAIN.encode())
    if "[" in door.endpoint:
        socket.set(zmq.IPV6, 1)
    try:
        socket.bind(door.endpoint)
    except zmq.ZMQError:
        socket.close(0)
        raise
    return socket


def receive(socket: Socket, curve: Curve | None) -> tuple[bytes, list[bytes], bool] | None:
    """Return (peer, frames, may it come in) of the next message; None when there is none.

    Of a message of more than MAX_PARTS frames the rest is read and dropped.

    A peer of a CURVE door is looked up with every message, so a key that is revoked is shut
    out at once, and one that nobody has asked about is too.
    """
    if socket.closed or not int(socket.get(zmq.EVENTS)) & zmq.POLLIN:
        return None
    try:
        if curve is None:
            peer, *frames = _read_parts(socket, copy=True)
            return peer, frames, True
        parts = _read_parts(socket, copy=False)
    except zmq.Again:
        return None
    try:
        known = curve.allows(str(parts[-1].get(_USER)))
    except zmq.ZMQError:  # no authenticator has seen it
        known = False
    peer, *frames = (part.bytes for part in parts)
    return peer, frames, known


def _read_parts(socket: Socket, *, copy: bool) -> list[Any]:
    """Return the frames of one message, at most the peer's and MAX_PARTS + 1 more.

    ZeroMQ's limit of size is for a frame, not for a message, which it gathers as a whole: what
    a flood took is given back to the system here.

    Raises:
        zmq.Again: There is no message.
    """
    parts: list[Any] = [socket.recv(zmq.NOBLOCK, copy=copy)]
    dropped = 0
    while socket.get(zmq.RCVMORE):
        part = socket.recv(copy=copy)
        if len(parts) < MAX_PARTS + 2:
            parts.append(part)
        else:
            dropped += 1
    if dropped > FLOOD and sys.platform == "linux":
        with contextlib.suppress(AttributeError):  # another libc than glibc
            ctypes.CDLL(None).malloc_trim(0)
    return parts


def is_local(endpoint: str) -> bool:
    """Return True when only this machine can reach ``endpoint``.

    >>> is_local("ipc:///run/x"), is_local("tcp://127.0.0.1:5555"), is_local("tcp://*:5555")
    (True, True, False)
    """
    kind, _, rest = endpoint.partition("://")
    if kind != "tcp":
        return kind in ("ipc", "inproc")
    host = rest.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name, or * for all interfaces
        return False
