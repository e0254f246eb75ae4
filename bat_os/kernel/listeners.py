"""Endpoints of the kernel: where it listens, and who may connect.

ipc://                in a folder that only the owner may enter
tcp://, loopback      CURVE with a key in the owner's file, and the token
tcp://, anything else CURVE: encrypted, and only keys of the allow-list; refused without keys
"""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import zmq

from bat_os.core.protocol import MAX_FRAME
from bat_os.errors import SettingsError

if TYPE_CHECKING:
    from bat_os.kernel.curve import Curve

    Context = zmq.Context[zmq.Socket[bytes]]
    Socket = zmq.Socket[bytes]

HIGH_WATER: Final = 1000
AT_ONCE: Final = 8  # messages that are read before the event loop runs again
MAX_PARTS: Final = 4  # frames of a message, the peer's not counted
# A client that connects and says nothing holds a descriptor for this long.
HANDSHAKE_MS: Final = 10_000
# Plain numbers: the library's own make a new object of an enumeration with each operation.
_READABLE: Final = int(zmq.POLLIN)
_NOW: Final = int(zmq.NOBLOCK)
_USER: Final = "User-Id"  # ZeroMQ's name; the authenticator puts the key of the peer there


class Endpoint(NamedTuple):
    """One place to listen on."""

    address: str  # in ZeroMQ's form
    token: str = ""  # what every request has to carry; "" for nothing
    curve: Curve | None = None  # keys, if connections are encrypted

    @property
    def is_remote(self) -> bool:
        """Return True if other machines may connect: it has a list of their keys."""
        return self.curve is not None and self.curve.allows is not None


def bind_endpoint(context: Context, endpoint: Endpoint) -> Socket:
    """Return the bound ROUTER socket of an endpoint."""
    if not endpoint.is_remote and not is_local(endpoint.address):
        raise SettingsError(
            f"other machines can reach {endpoint.address}, so it needs keys: batos keys make NAME"
        )
    socket = context.socket(zmq.ROUTER)
    socket.set(zmq.MAXMSGSIZE, MAX_FRAME)
    socket.set(zmq.ROUTER_MANDATORY, 1)
    socket.set(zmq.SNDHWM, HIGH_WATER)
    socket.set(zmq.RCVHWM, HIGH_WATER)
    socket.set(zmq.LINGER, 500)
    socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    if endpoint.curve is not None:
        endpoint.curve.secure(socket)
    if "[" in endpoint.address:
        socket.set(zmq.IPV6, 1)
    try:
        socket.bind(endpoint.address)
    except zmq.ZMQError:
        socket.close(0)
        raise
    return socket


def receive(socket: Socket, curve: Curve | None) -> tuple[bytes, list[bytes], str | None] | None:
    """Return (peer, frames, caller) of the next message; None if there is none.

    The caller is the key of a CURVE peer, None if it is not authorised; "" without an allow-list.

    Frames beyond MAX_PARTS are read and dropped.

    The key of a CURVE peer is looked up with every message, so a key that was revoked is refused
    at once, and so is one that the authenticator has not seen.
    """
    if socket.closed or not int(socket.get(zmq.EVENTS)) & _READABLE:
        return None
    try:
        if curve is None or curve.allows is None:
            peer, *frames = _read_parts(socket, copy=True)
            return peer, frames, ""
        parts = _read_parts(socket, copy=False)
    except zmq.Again:
        return None
    caller: str | None = None
    with contextlib.suppress(zmq.ZMQError):  # no authenticator has seen it
        key = str(parts[-1].get(_USER))
        caller = key if curve.allows(key) else None
    peer, *frames = (part.bytes for part in parts)
    return peer, frames, caller


def _read_parts(socket: Socket, *, copy: bool) -> list[Any]:
    """Return the frames of one message, at most the peer's and MAX_PARTS + 1 more.

    ZeroMQ limits the size of a frame, not of a message, which it gathers as a whole.
    """
    parts: list[Any] = [socket.recv(_NOW, copy=copy)]
    while socket.get(zmq.RCVMORE):
        part = socket.recv(copy=copy)
        if len(parts) < MAX_PARTS + 2:
            parts.append(part)
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
