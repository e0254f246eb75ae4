"""CURVE: the kernel proves its key before a client sends anything, and connections are encrypted.

with an allow-list      other machines: a client proves its key too
without one             this machine: the token says who asks, and only the kernel gets it
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import zmq
from zmq.auth.asyncio import AsyncioAuthenticator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Context = zmq.Context[zmq.Socket[bytes]]
    Socket = zmq.Socket[bytes]

_REMOTE: Final = "batos"
_LOCAL: Final = "local"


@dataclass(frozen=True, slots=True)
class Curve:
    """The kernel's own pair of keys, and which clients it accepts; keys are in Z85."""

    public: bytes  # clients know the kernel by it
    secret: bytes  # stays here
    # Says whether the owner of a public key may connect now. Must not raise. None: any key may.
    allows: Callable[[str], bool] | None = None

    @classmethod
    def fresh(cls) -> Curve:
        """Return a new pair, for clients that read its public key in a file of the owner."""
        return cls(*zmq.curve_keypair())

    def callback(self, _domain: str, key: bytes) -> bool:
        """Answer the authenticator, which asks once per connection."""
        return self.allows is None or self.allows(key.decode("ascii"))

    def secure(self, socket: Socket) -> None:
        """Have a socket speak CURVE; before it is bound."""
        socket.set(zmq.CURVE_SERVER, 1)
        socket.set(zmq.CURVE_PUBLICKEY, self.public)
        socket.set(zmq.CURVE_SECRETKEY, self.secret)
        socket.set(zmq.ZAP_DOMAIN, self.domain.encode())

    @property
    def domain(self) -> str:
        """Under which the authenticator asks."""
        return _LOCAL if self.allows is None else _REMOTE


def start_authenticator(context: Context, endpoints: Iterable[Any]) -> AsyncioAuthenticator | None:
    """Start the authenticator that asks the endpoints' allow-lists; None if no endpoint has one.

    Call it before an endpoint is bound: without an authenticator ZeroMQ accepts everyone.
    """
    curves = [endpoint.curve for endpoint in endpoints if endpoint.curve is not None]
    if all(curve.allows is None for curve in curves):
        return None
    authenticator = AsyncioAuthenticator(context)
    authenticator.start()
    for curve in curves:
        authenticator.configure_curve_callback(curve.domain, curve)
    return authenticator
