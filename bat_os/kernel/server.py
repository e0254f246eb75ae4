"""The door: one ROUTER socket, frames in, replies out. Knows nothing of objects.

The socket's descriptor is watched by the event loop and drained without blocking; it is
edge-triggered, so ``EVENTS`` is looked at again after every send and every drain.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

import zmq

from bat_os.core.frames import read_id
from bat_os.core.protocol import Request, decode_request, encode_reply, error_reply
from bat_os.errors import BatError, ShuttingDownError, TooLargeError, UnauthorizedError
from bat_os.kernel.backpressure import Peers
from bat_os.kernel.listeners import AT_ONCE, MAX_PARTS, Door, open_door, receive

if TYPE_CHECKING:
    from bat_os.core.protocol import Reply
    from bat_os.kernel.dispatcher import Dispatcher

log = logging.getLogger(__name__)

_OPEN_TO_ALL: Final = frozenset({"hello", "ping"})


class Server:
    """Serves one endpoint until it is closed.

    Attributes:
        door: Where it listens, and who may come in.
        endpoint: The address, as bound.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], door: Door) -> None:
        """Open ``door``.

        Raises:
            SettingsError: It is open to other machines, and has no keys.
            zmq.ZMQError: The endpoint cannot be bound.
        """
        self.door = door
        self._socket = open_door(context, door)
        self.endpoint = self._socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self._tasks: set[asyncio.Task[None]] = set()
        self._peers = Peers()
        self._stopping = self._looking = False
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
        # So many per round, so that a flood neither starves the loop nor becomes as many tasks.
        self._looking = False
        for _ in range(AT_ONCE):
            message = receive(self._socket, self.door.curve)
            if message is None:
                return
            self._take(*message)
        self._look_again()

    def _look_again(self) -> None:
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._drain)

    def _take(self, identity: bytes, frames: list[bytes], known: bool) -> None:
        if self._peers.is_deaf(identity):
            return
        try:
            if len(frames) > MAX_PARTS:
                raise TooLargeError(f"more than {MAX_PARTS} frames in one message")
            request = decode_request(frames, identity.hex())
        except BatError as error:
            refused = Request("", id=read_id(frames), plain=len(frames) == 1)
            self._send(identity, error_reply(refused, error))
            return
        try:
            self._check(request, known)
            self._peers.enter(identity)
        except BatError as error:
            self._send(identity, error_reply(request, error))
            return
        task = self._loop.create_task(self._answer(identity, request))
        self._tasks.add(task)
        task.add_done_callback(partial(self._forget, identity))

    def _forget(self, identity: bytes, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._peers.leave(identity)

    def _check(self, request: Request, known: bool) -> None:
        if self._stopping:
            raise ShuttingDownError("the kernel is going down; ask again in a moment")
        if not known:
            raise UnauthorizedError("this key may not come in; its owner can ask for: batos keys")
        token = self.door.token
        if not token or (request.type in _OPEN_TO_ALL and not request.plain):
            return
        if not hmac.compare_digest(request.token.encode(), token.encode()):
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

    def _send(self, identity: bytes, reply: Reply) -> bool:
        """Send a reply, if the peer takes it now; return False when the peer is gone."""
        there = True
        try:
            frames = encode_reply(reply)
        except BatError as error:
            if not reply.is_last:
                log.info("%s for %s not sent: %s", reply.type, reply.re, error)
                return there
            frames = encode_reply(error_reply(Request("", id=reply.re, plain=reply.plain), error))
        try:
            self._socket.send_multipart([identity, *frames], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            # Gone, or it does not read: its answer stays in the image. There may be very many.
            log.debug("reply %s to %s not delivered: %s", reply.type, identity.hex(), error)
            there = error.errno != zmq.EHOSTUNREACH
            if there:
                self._peers.note_deaf(identity)
        self._look_again()
        return there
