"""One ROUTER socket: frames in, replies out. Knows nothing of objects.

The socket's descriptor is watched by the event loop and drained without blocking; it is
edge-triggered, so ``EVENTS`` is looked at again after every send and every drain. ``Peers``
limits how much one client can ask at a time, and drops requests of one that reads no answers.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import zmq

from bat_os.core.digest import digest
from bat_os.core.protocol import (
    Request,
    encode_reply,
    error_reply,
    read_id,
    read_request,
    unpack_request,
)
from bat_os.core.schema import replace
from bat_os.errors import (
    BatError,
    BusyError,
    ShuttingDownError,
    TooLargeError,
    UnauthorizedError,
    as_fault,
)
from bat_os.kernel.listeners import AT_ONCE, MAX_PARTS, Endpoint, bind_endpoint, receive

if TYPE_CHECKING:
    from bat_os.core.protocol import Reply
    from bat_os.kernel.dispatcher import Dispatcher

log = logging.getLogger(__name__)

MAX_REQUESTS: Final = 1024
MAX_PER_PEER: Final = 512
# Drop a peer's requests for this long after its send queue overflowed: with a thousand answers
# unread, the next one could not be delivered either, and it would take the time of the others.
CONGESTED_SECONDS: Final = 0.1
# Until more is read, if all of a round were dropped: such a peer may send faster than we read.
DROPPED_SECONDS: Final = 0.001
_LAST: Final = int(zmq.NOBLOCK)
_MORE: Final = int(zmq.NOBLOCK | zmq.SNDMORE)
_OPEN_TO_ALL: Final = frozenset({"hello", "ping"})


class Server:
    """Serves one endpoint until it is closed.

    Attributes:
        endpoint: Where it listens, and who may connect.
        address: As bound.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: Endpoint) -> None:
        """Bind ``endpoint``."""
        self.endpoint = endpoint
        self._socket = bind_endpoint(context, endpoint)
        self.address = self._socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self._tasks: set[asyncio.Task[None]] = set()
        self._peers = Peers()
        self._stopping = self._drain_planned = False
        self._loop = asyncio.get_running_loop()

    def serve(self, dispatcher: Dispatcher) -> None:
        """Begin to answer requests."""
        self._dispatcher = dispatcher
        self._loop.call_soon(self._listen)

    def _listen(self) -> None:
        if not self._socket.closed:
            self._loop.add_reader(self._socket.fileno(), self._drain)
            self._drain()

    async def close(self) -> None:
        """Refuse new requests, give running ones a moment to answer, and close."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _drain(self) -> None:
        # A few per round, so that a flood neither starves the loop nor becomes as many tasks.
        self._drain_planned, is_heard = False, False
        for _ in range(AT_ONCE):
            message = receive(self._socket, self.endpoint.curve)
            if message is None:
                return
            is_heard |= self._receive(*message)
        if is_heard:
            self._drain_soon()
        else:  # peers are read in turn, so no other one waits
            self._drain_planned = True
            self._loop.remove_reader(self._socket.fileno())
            self._loop.call_later(DROPPED_SECONDS, self._listen)

    def _drain_soon(self) -> None:
        if not self._drain_planned:
            self._drain_planned = True
            self._loop.call_soon(self._drain)

    def _receive(self, identity: bytes, frames: list[bytes], caller: str | None) -> bool:
        """Return False for a request that is dropped."""
        if self._peers.is_congested(identity):
            return False
        data: dict[str, Any] = {}
        try:
            if len(frames) > MAX_PARTS:
                raise TooLargeError(f"more than {MAX_PARTS} frames in one message")
            data = unpack_request(frames)
            request = read_request(data, frames, identity.hex())
        except BatError as error:  # nothing is unpacked a second time
            refused = Request("", id=read_id(data), plain=len(frames) == 1)
            return self._send(identity, error_reply(refused, error))
        try:
            if asking := self._check(request, caller) + request.by:
                request = replace(request, caller=asking)
            self._peers.enter(identity)
        except BatError as error:
            return self._send(identity, error_reply(request, error))
        task = self._loop.create_task(self._answer(identity, request))
        self._tasks.add(task)
        task.add_done_callback(partial(self._forget, identity))
        return True

    def _forget(self, identity: bytes, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._peers.leave(identity)

    def _check(self, request: Request, caller: str | None) -> str:
        """Return who asks: what the conversations of one caller have in common."""
        if self._stopping:
            raise ShuttingDownError("the daemon is shutting down; ask again in a moment")
        if caller is None:
            raise UnauthorizedError("this key is not authorised; run `batos keys` on the host")
        token = self.endpoint.token
        if not token or (request.type in _OPEN_TO_ALL and not request.plain):
            return caller
        if not hmac.compare_digest(request.token.encode(), token.encode()):
            raise UnauthorizedError("over TCP a request must carry the token; see run/token")
        return caller or digest(token)[:16]

    async def _answer(self, identity: bytes, request: Request) -> None:
        try:
            reply = await self._dispatcher.handle(request, lambda r: self._send(identity, r))
        except BatError as error:
            reply = error_reply(request, error)
        except asyncio.CancelledError:  # shutting down; a brief stays in the image
            reply = error_reply(request, ShuttingDownError("the daemon is shutting down"))
        except Exception as error:  # one request: a fault of ours must not take the kernel down
            log.exception("request %s %s", request.type, request.id)
            reply = error_reply(request, as_fault(error))
        self._send(identity, reply)

    def _send(self, identity: bytes, reply: Reply) -> bool:
        """Send a reply if the peer's queue has room; return False if the peer is gone."""
        connected = True
        try:
            frames = encode_reply(reply)
        except BatError as error:
            if not reply.is_last:
                log.info("%s for %s not sent: %s", reply.type, reply.re, error)
                return connected
            frames = encode_reply(error_reply(Request("", id=reply.re, plain=reply.plain), error))
        try:
            for part in (identity, *frames[:-1]):  # send_multipart takes thrice as long
                self._socket.send(part, _MORE)
            self._socket.send(frames[-1], _LAST)
        except zmq.ZMQError as error:
            # Gone, or it does not read: the answer stays in the image. There may be very many.
            log.debug("reply %s to %s not delivered: %s", reply.type, identity.hex(), error)
            connected = error.errno != zmq.EHOSTUNREACH
            if connected:
                self._peers.note_congested(identity)
        self._drain_soon()
        return connected


class Peers:
    """Counts the requests that are being answered, by peer; for one event loop."""

    def __init__(self) -> None:
        self._asking: Counter[bytes] = Counter()
        self._all = 0
        self._congested: set[bytes] = set()

    def enter(self, peer: bytes) -> None:
        """Count one request more.

        Raises:
            BusyError: Too many are being answered, of this peer or in all.
        """
        if self._all >= MAX_REQUESTS:
            raise BusyError(f"{MAX_REQUESTS} requests are being answered", 500)
        if self._asking[peer] >= MAX_PER_PEER:
            raise BusyError(f"{MAX_PER_PEER} requests of yours are being answered", 500)
        self._asking[peer] += 1
        self._all += 1

    def leave(self, peer: bytes) -> None:
        """Count one request less."""
        self._all -= 1
        self._asking[peer] -= 1
        if not self._asking[peer]:
            del self._asking[peer]

    def is_congested(self, peer: bytes) -> bool:
        """Return True for a peer that had no room for an answer a moment ago."""
        return peer in self._congested

    def note_congested(self, peer: bytes) -> None:
        """Remember for a moment that a peer has no room for more answers."""
        if not self._congested:
            asyncio.get_running_loop().call_later(CONGESTED_SECONDS, self._congested.clear)
        self._congested.add(peer)
