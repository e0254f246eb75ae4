"""One HTTP connection: the server's own, with bounds where it has none.

The parser keeps whatever comes until the head of a request is whole, for as long as that takes. So
its bytes are counted, and it has some seconds. What cannot be parsed gets a problem, too. Each such
request would be a line of the log, so lines of one kind are counted as well. Connections that wait
for a head make room for new ones, so a client that opens many shuts nobody out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import uvicorn.server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bat_os.errors import FrameError, HttpError, TooLargeError
from bat_os.gateway.problems import describe, problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

HEAD_BYTES: Final = 16 << 10  # of the first line and all headers
HEAD_SECONDS: Final = 10.0  # until they are there
CONNECTIONS: Final = 256
# As many as the kernel of this machine hands over at once: clients that come together all stay.
PER_ADDRESS: Final = 128
LINES: Final = 5  # of one kind that are written in a period
PERIOD: Final = 60.0  # seconds
MAX_KINDS: Final = 100
# Who writes a line for what others send.
LOGGERS: Final = ("uvicorn.error", "asyncio", "bat_os.gateway.requests")
_REASONS: Final = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}


class Server(uvicorn.server.Server):
    """A server in a process whose signals are handled already."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals as they are."""
        yield


class Quota(logging.Filter):
    """A few lines of one kind in a period; then how many more there were.

    Anyone who reaches the port can have a line written, and the disk is not theirs to fill.
    """

    def __init__(self, lines: int = LINES, period: float = PERIOD) -> None:
        super().__init__()
        self._lines = lines
        self._period = period
        # When the period of a kind began, and its lines since, by logger, level and text.
        self._kinds: OrderedDict[tuple[str, int, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a line is written; the last one of a period says that it is that."""
        kind, now = (record.name, record.levelno, str(record.msg)), time.monotonic()
        began, seen = self._kinds.pop(kind, (now, 0))
        if now - began > self._period:
            self._tell(kind, seen)
            began, seen = now, 0
        self._kinds[kind] = began, seen + 1
        if len(self._kinds) > MAX_KINDS:
            self._tell(*self._oldest())
        if seen + 1 == self._lines:
            record.msg = f"{record.getMessage()} (more of these are counted)"
            record.args = ()
        return seen < self._lines

    async def keep_telling(self) -> None:
        """Say of each kind how many lines were left out, once its period is over; for ever."""
        while True:
            await asyncio.sleep(self._period)
            self.tell()

    def tell(self) -> None:
        """Say how many lines were left out, and begin anew."""
        while self._kinds:
            self._tell(*self._oldest())

    def _oldest(self) -> tuple[tuple[str, int, str], int]:
        kind, (_, seen) = self._kinds.popitem(last=False)
        return kind, seen

    def _tell(self, kind: tuple[str, int, str], seen: int) -> None:
        name, level, text = kind
        if seen > self._lines:
            left = seen - self._lines
            logging.getLogger(f"{name}.counted").log(level, "%d more: %s", left, text.strip())


@contextlib.asynccontextmanager
async def spare_log() -> AsyncIterator[None]:
    """Hold to their quota those who write a line for what others send."""
    quota = Quota()
    telling = asyncio.create_task(quota.keep_telling())
    for name in LOGGERS:
        logging.getLogger(name).addFilter(quota)
    try:
        yield
    finally:
        telling.cancel()
        for name in LOGGERS:
            logging.getLogger(name).removeFilter(quota)
        quota.tell()


class Connection(HttpToolsProtocol):
    """A connection whose requests have heads of a bounded size, which come in time."""

    _alarm: asyncio.TimerHandle | None = None  # while it waits for a head
    _since = 0.0  # when it began to wait for a request
    _head = 0  # bytes of the head that is being read, as far as it is parsed
    _came = 0  # bytes that came for it, with the line that is not whole yet
    _in_head = True
    _has_ended = False  # the request before it, with the bytes that are being parsed

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.access_log = False  # whatever the loggers say: an address may hold what is secret
        self._make_room()
        self._wait()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""  # "" of a Unix socket

    def _make_room(self) -> None:
        """Close the one that waits longest for a request, if there are too many with this one."""
        every = [each for each in self.connections if isinstance(each, Connection)]
        own = [each for each in every if each._address == self._address]
        crowd = own if len(own) > PER_ADDRESS else every
        if len(own) <= PER_ADDRESS and len(every) < CONNECTIONS:
            return
        waiting = [
            each for each in crowd
            if each is not self and (each._alarm or each.timeout_keep_alive_task)
        ]  # fmt: skip
        if waiting:  # those in a head first: what has been answered once may be somebody's page
            last = min(waiting, key=lambda each: (each._alarm is None, each._since))
            self.connections.discard(last)
            last.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._rest()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the head of a request has become too large."""
        self._has_ended = False
        super().data_received(data)
        if self._in_head and not self._has_ended:
            self._came += len(data)
            if self._came > HEAD_BYTES:
                self._refuse(431)

    def on_message_begin(self) -> None:
        """Begin with the head of a request."""
        super().on_message_begin()
        self._in_head, self._head, self._came = True, 0, 0
        self._wait()

    def on_message_complete(self) -> None:
        """End a request; with the same bytes the head of the next one may begin."""
        self._has_ended = True
        super().on_message_complete()

    def on_url(self, url: bytes) -> None:
        """Keep a piece of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_BYTES:
            raise TooLargeError("headers")  # the parser stops, and send_400_response follows

    def on_headers_complete(self) -> None:
        """Have the request answered."""
        self._in_head, self._head, self._came = False, 0, 0
        self._rest()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be parsed."""
        self._refuse(431 if self._head > HEAD_BYTES else 400)

    def _refuse(self, status: int) -> None:
        self._rest()
        if self.transport.is_closing():
            return
        large = TooLargeError(f"headers have at most {HEAD_BYTES} bytes")
        error = large if status == 431 else FrameError("this is not HTTP/1.1")
        _, _, body = describe(HttpError(status, error))
        raw = problem(status, body)
        head = (
            b"HTTP/1.1 %d %s\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\n"
            b"x-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
        ) % (status, _REASONS[status], len(raw))
        self.transport.write(head + raw)
        self.transport.close()

    def _wait(self) -> None:
        self._rest()
        self._since = self.loop.time()
        self._alarm = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _rest(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
