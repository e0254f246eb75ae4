"""Many requests at once to one kernel: one DEALER, its replies sorted by ``re``.

    request(kind, ...) > frames out        descriptor in the loop > drained > future or listener
                                           end of the connection > every waiting request knows it

A request with a key, and one that reads, is asked again when the kernel went away: the next one
answers it. The socket is drained as the kernel drains its own, without the futures of
``zmq.asyncio``, which cost more than the request.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

import zmq
from zmq.utils.monitor import parse_monitor_message

from bat_os.client.client import set_curve
from bat_os.core.protocol import decode_reply, encode_request
from bat_os.core.verbs import REQUESTS
from bat_os.errors import BatError, KernelUnreachableError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.client.client import Address, Places

    Listener = Callable[[str, Mapping[str, Any]], None]
    Waiting = tuple[asyncio.Future[dict[str, Any]], Listener | None]

AT_ONCE: Final = 64  # replies of one round, so that a flood does not starve the loop
PATIENCE: Final = 30.0  # seconds that a request waits for the next kernel
LOOK: Final = 0.1  # seconds between two looks whether it is there
CONNECTING: Final = 5.0  # seconds for a handshake
# Upper bounds of the histogram of how long requests took, in seconds.
BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60)
# Of a connection to another machine, whose end nobody may announce.
HEARTBEAT_MS: Final = 5_000
_WATCHED: Final = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED
_GONE: Final = "the daemon has gone; ask again, with the key if there was one"


class KernelLink:
    """One connection for all who ask; for one event loop.

    Attributes:
        lost: How often the kernel has gone.
        latencies: How long requests took.
    """

    def __init__(
        self, find: Callable[[], Address], patience: float = PATIENCE, places: Places | None = None
    ) -> None:
        """Connect with the first request, to what ``find`` or ``places`` return then."""
        self._find = find if places is None else places.find
        self._places = places
        self._patience = patience
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self._changes: zmq.Socket[bytes] | None = None
        self._open: asyncio.Future[None] | None = None
        self._token = ""
        self._waiting: dict[str, Waiting] = {}
        self._drain_planned = False
        self._closed = False
        self.lost = 0
        self.latencies = Latencies()

    async def request(
        self,
        kind: str,
        on_event: Listener | None = None,
        *,
        patience: float | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Return the body of the last reply to one request.

        Args:
            kind: The verb.
            on_event: Called with (type, body) for ``accepted`` and each ``event``.
            patience: Seconds to wait for the next kernel where one has gone.
            fields: More of the envelope.

        Raises:
            RemoteError: The kernel answered with an error.
            KernelUnreachableError: No kernel answers.
            BatError: The request cannot be sent.
        """
        verb = REQUESTS.get(kind)
        again = "ik" in fields or (verb is not None and verb.access == "reads")
        again = again or (verb is not None and verb.access == "past" and kind != "send")
        began, code = time.monotonic(), "ok"
        end = began + (self._patience if patience is None else patience)
        try:
            return await self._ask_again(kind, fields, on_event, end if again else began)
        except BatError as error:
            code = str(getattr(error, "body", {}).get("code", error.code))
            raise
        finally:
            if verb is not None:  # what others invent must not fill the memory
                self.latencies.note(kind, time.monotonic() - began, code)

    async def _ask_again(
        self, kind: str, fields: dict[str, Any], on_event: Listener | None, end: float
    ) -> dict[str, Any]:
        """Ask until a kernel has answered, or until ``end`` while none does."""
        while True:
            places = self._places
            at, fields["catch_up"] = (places.at, places.moved) if places else (0, False)
            try:
                answer = await self._ask(kind, fields, on_event)
            except KernelUnreachableError:
                if places is not None:
                    places.leave(at)
                if self._closed or time.monotonic() + LOOK > end:
                    raise
            else:
                if places is not None:
                    places.moved = False
                return answer
            await asyncio.sleep(LOOK)

    def close(self) -> None:
        """Drop the connection. Idempotent."""
        self._closed = True
        self._drop()
        self._context.term()

    async def _ask(
        self, kind: str, fields: Mapping[str, Any], on_event: Listener | None
    ) -> dict[str, Any]:
        named = str(fields.get("id") or secrets.token_hex(8))
        frames = encode_request({"type": kind, **fields, "id": named})
        socket = await self._connect()
        if self._token:
            frames = encode_request({"type": kind, **fields, "id": named, "token": self._token})
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[named] = answer, on_event
        try:
            socket.send_multipart(frames, zmq.NOBLOCK)
            self._drain_soon()  # a send may have used up the descriptor's edge
            return await answer
        except zmq.ZMQError as error:
            raise KernelUnreachableError(_GONE) from error
        finally:
            self._waiting.pop(named, None)

    async def _connect(self) -> zmq.Socket[bytes]:
        if self._closed:
            raise KernelUnreachableError("the gateway is closing")
        if self._socket is None or self._open is None:
            self._dial(self._find())
        opening = self._open
        assert opening is not None  # noqa: S101 - for the type checker: _dial has set it
        try:
            async with asyncio.timeout(CONNECTING):
                await asyncio.shield(opening)
        except TimeoutError:
            self._drop()
            raise KernelUnreachableError("no daemon answers; is it running?") from None
        if self._socket is None:
            raise KernelUnreachableError(_GONE)
        return self._socket

    def _dial(self, there: Address) -> None:
        loop = asyncio.get_running_loop()
        socket = self._context.socket(zmq.DEALER)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDHWM, 0)  # the guard bounds how many ask
        socket.set(zmq.RCVHWM, 0)
        socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        if there.key is not None:
            set_curve(socket, there.key)
        self._token = there.token
        self._open = loop.create_future()
        self._socket, self._changes = socket, socket.get_monitor_socket(_WATCHED)
        socket.connect(there.endpoint)
        loop.add_reader(socket.fileno(), self._drain)
        loop.add_reader(self._changes.fileno(), self._look)
        loop.call_soon(self._look)

    def _look(self) -> None:
        """See whether the connection has opened or ended."""
        changes = self._changes
        while changes is not None and int(changes.get(zmq.EVENTS)) & zmq.POLLIN:
            event = parse_monitor_message(changes.recv_multipart())["event"]
            if event == zmq.EVENT_DISCONNECTED:
                self._drain()  # its last message arrives before the news that it has gone
                self._drop()
                return
            if self._open is not None and not self._open.done():
                self._open.set_result(None)

    def _drain(self) -> None:
        self._drain_planned = False
        for _ in range(AT_ONCE):
            if self._socket is None:
                return
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._hear(frames)
        self._drain_soon()

    def _drain_soon(self) -> None:
        if not self._drain_planned:
            self._drain_planned = True
            asyncio.get_running_loop().call_soon(self._drain)

    def _hear(self, frames: list[bytes]) -> None:
        try:
            kind, re, body = decode_reply(frames)
        except BatError:  # not a reply; who waits for one goes on waiting
            return
        answer, listener = self._waiting.get(re, (None, None))
        if answer is None or answer.done():
            return
        if kind == "error":
            answer.set_exception(RemoteError(body))
        elif kind not in ("accepted", "event"):
            answer.set_result(body)
        elif listener is not None:
            listener(kind, body)

    def _drop(self) -> None:
        """Close the connection, and let everyone who waits know."""
        if self._socket is None or self._changes is None:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket.fileno())
        loop.remove_reader(self._changes.fileno())
        self._socket.disable_monitor()
        self._socket.close(0)
        self._changes.close(0)
        self._socket = self._changes = None
        self.lost += 1
        opening, self._open = self._open, None
        if opening is not None and not opening.done():
            opening.set_result(None)  # who waits for it finds no socket
        waiting, self._waiting = self._waiting, {}
        for answer, _ in waiting.values():
            if not answer.done():
                answer.set_exception(KernelUnreachableError(_GONE))


class Latencies:
    """How long requests to the kernel took, in seconds, by verb and by how they ended."""

    def __init__(self) -> None:
        self.sums: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._counts: defaultdict[tuple[str, str], Counter[float]] = defaultdict(Counter)

    def note(self, verb: str, seconds: float, code: str) -> None:
        """Count one request; ``code`` is that of its error, or ``ok``."""
        bound = next((bound for bound in BUCKETS if seconds <= bound), math.inf)
        self._counts[verb, code][bound] += 1
        self.sums[verb, code] += seconds

    def buckets(self, what: tuple[str, str]) -> list[tuple[str, float]]:
        """Return (upper bound, how many took at most that), upwards."""
        total, found = 0, []
        for bound in (*BUCKETS, math.inf):
            total += self._counts[what][bound]
            found.append(("+Inf" if bound == math.inf else str(bound), float(total)))
        return found
