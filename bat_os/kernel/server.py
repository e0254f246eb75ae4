"""The door: one ROUTER socket, frames in, replies out. Knows nothing of objects.

The socket's descriptor is watched by the event loop and drained without blocking; it is
edge-triggered, so ``EVENTS`` is looked at again after every send and every drain.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TYPE_CHECKING, Final

import zmq

from bat_os.core.frames import MAX_FRAME, read_id
from bat_os.core.protocol import Request, decode_request, encode_reply, error_reply
from bat_os.errors import BatError, BusyError, ShuttingDownError, TooLargeError, UnauthorizedError

if TYPE_CHECKING:
    from bat_os.core.protocol import Reply
    from bat_os.kernel.dispatcher import Dispatcher

log = logging.getLogger(__name__)

MAX_PARTS: Final = 4
MAX_REQUESTS: Final = 1024
HIGH_WATER: Final = 1000
_OPEN_TO_ALL: Final = frozenset({"hello", "ping"})


class Server:
    """Serves one endpoint until it is closed.

    Attributes:
        endpoint: Where it listens, as bound.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, token: str) -> None:
        """Bind ``endpoint``; a request without ``token`` is refused unless that is "".

        Raises:
            zmq.ZMQError: The endpoint cannot be bound.
        """
        self._token = token
        self._socket = context.socket(zmq.ROUTER)
        self._socket.set(zmq.MAXMSGSIZE, MAX_FRAME)
        self._socket.set(zmq.ROUTER_MANDATORY, 1)
        self._socket.set(zmq.SNDHWM, HIGH_WATER)
        self._socket.set(zmq.RCVHWM, HIGH_WATER)
        self._socket.set(zmq.LINGER, 500)
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError:
            self._socket.close(0)
            raise
        self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._loop = asyncio.get_running_loop()

    def serve(self, dispatcher: Dispatcher) -> None:
        """Begin to take requests."""
        self._dispatcher = dispatcher
        self._loop.add_reader(self._socket.fileno(), self._drain)
        self._loop.call_soon(self._drain)

    async def close(self) -> None:
        """Refuse what comes, give what runs a moment to answer, and close."""
        self._stopping = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _drain(self) -> None:
        # At most one high-water mark per round, so that a flood cannot starve the loop.
        for _ in range(HIGH_WATER):
            if self._socket.closed or not int(self._socket.get(zmq.EVENTS)) & zmq.POLLIN:
                return
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._take(parts[0], parts[1:])
        self._loop.call_soon(self._drain)

    def _take(self, identity: bytes, frames: list[bytes]) -> None:
        try:
            if len(frames) > MAX_PARTS:
                raise TooLargeError(f"{len(frames)} frames in one message")
            request = decode_request(frames)
        except BatError as error:
            refused = Request("", id=read_id(frames), plain=len(frames) == 1)
            self._send(identity, error_reply(refused, error))
            return
        try:
            self._check(request)
        except BatError as error:
            self._send(identity, error_reply(request, error))
            return
        task = self._loop.create_task(self._answer(identity, request))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _check(self, request: Request) -> None:
        if self._stopping:
            raise ShuttingDownError("the kernel is going down; ask again in a moment")
        if len(self._tasks) >= MAX_REQUESTS:
            raise BusyError(f"{MAX_REQUESTS} requests are being answered", 500)
        if not self._token or (request.type in _OPEN_TO_ALL and not request.plain):
            return
        if not hmac.compare_digest(request.token.encode(), self._token.encode()):
            raise UnauthorizedError("over TCP a request carries the token; see run/token")

    async def _answer(self, identity: bytes, request: Request) -> None:
        try:
            reply = await self._dispatcher.handle(request, lambda r: self._send(identity, r))
        except BatError as error:
            reply = error_reply(request, error)
        except asyncio.CancelledError:  # we are going down; a brief stays in the image
            reply = error_reply(request, ShuttingDownError("the kernel is going down"))
        except Exception:  # one request: a fault of ours must not take the kernel down
            log.exception("request %s %s", request.type, request.id)
            fault = BatError("the kernel has a fault; its log has the details")
            reply = error_reply(request, fault)
        self._send(identity, reply)

    def _send(self, identity: bytes, reply: Reply) -> None:
        try:
            frames = encode_reply(reply)
        except BatError as error:
            if not reply.is_last:
                log.info("%s for %s not sent: %s", reply.type, reply.re, error)
                return
            told = Request("", id=reply.re, plain=reply.plain)
            frames = encode_reply(error_reply(told, error))
        try:
            self._socket.send_multipart([identity, *frames], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # Gone, or it does not read: its answer stays in the image.
            log.info("reply %s to %s not delivered: %s", reply.type, identity.hex(), error)
        self._loop.call_soon(self._drain)
