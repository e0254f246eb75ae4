"""Server-sent events: one subscription to the kernel for all pages, and one per mission.

    kernel --subscribe--> Hub, which keeps the latest --> every reader, with a queue of its own

A reader that does not read loses events: it gets ``event: gap``, and asks anew. ``id`` of an event
is the kernel's boot and number, since numbers begin at 1 in every kernel; of a mission it is its
``seq``, which holds over restarts of either process. A reader that has gone is noticed at the next
write, so there is one every 15 seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import StreamingResponse

from bat_os.errors import BatError, BusyError, KernelUnreachableError, RemoteError
from bat_os.gateway.problems import describe, to_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping

    from bat_os.gateway.link import KernelLink, Listener

KEPT: Final = 2_000  # events that a reader who comes back may have missed
WAITING: Final = 1_000  # of one reader, who has not read them
MAX_STREAMS: Final = 64
MAX_STREAMS_PER_CALLER: Final = 8
ALIVE: Final = 15.0  # seconds between two signs of life
AT_ONCE: Final = 64 << 10  # bytes of one write, of what came together
AGAIN: Final = 0.5  # seconds until a kernel that went away is asked again
HEADERS: Final = {"x-accel-buffering": "no", "cache-control": "no-store"}
OPENING: Final = b": open\nretry: 1000\n\n"
_AT_WORK: Final[set[asyncio.Task[None]]] = set()  # the loop keeps weak references alone
ABOUT: Final = ("missions", "changes")
GAP: Final = b"event: gap\ndata: {}\n\n"


def encode(
    name: str, body: Mapping[str, Any], mark: str = "", *, big_as_text: bool = False
) -> bytes:
    r"""Return one event.

    >>> encode("change", {"n": 1}, "b.1")
    b'id: b.1\nevent: change\ndata: {"n":1}\n\n'
    """
    begin = f"id: {mark}\n" if mark else ""
    return (
        f"{begin}event: {name}\ndata: ".encode() + to_json(body, big_as_text=big_as_text) + b"\n\n"
    )


@dataclass(slots=True, eq=False)
class Reader:
    """One reader of events: what it has not read yet, and whether it has lost some."""

    waiting: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(WAITING))
    lost: bool = False

    def put(self, event: bytes | None) -> None:
        """Add an event; None ends the stream. A full queue marks the reader as having lost it."""
        try:
            self.waiting.put_nowait(event)
        except asyncio.QueueFull:
            self.lost = True
            with contextlib.suppress(asyncio.QueueEmpty):
                while True:
                    self.waiting.get_nowait()
            self.waiting.put_nowait(GAP)
            if event is None:
                self.waiting.put_nowait(None)

    async def read(self) -> AsyncGenerator[bytes]:
        """Yield what comes, together what came together, and a sign of life in between."""
        yield OPENING
        while True:
            try:
                async with asyncio.timeout(ALIVE):
                    event = await self.waiting.get()
            except TimeoutError:
                event = b": alive\n\n"
            parts = []
            while event is not None:
                parts.append(event)
                if self.waiting.empty() or sum(map(len, parts)) > AT_ONCE:
                    break
                event = self.waiting.get_nowait()
            if parts:
                yield b"".join(parts)
            if event is None:
                return


class Streams:
    """Counts open streams; for one event loop."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextlib.contextmanager
    def enter(self, caller: str) -> Iterator[None]:
        """Count one stream while it is open.

        Raises:
            BusyError: There are too many, of this caller or in all.
        """
        if self._open.total() >= MAX_STREAMS or self._open[caller] >= MAX_STREAMS_PER_CALLER:
            raise BusyError("too many streams are open; close some", 5000)
        self._open[caller] += 1
        try:
            yield
        finally:
            self._open[caller] -= 1


class Hub:
    """What happens in the kernel, for everyone who listens; asks while somebody does.

    Attributes:
        on_change: Called with the body of each commit's event; while any is there, it listens.
    """

    def __init__(self, link: KernelLink) -> None:
        self._link = link
        self._session = f"hub:{secrets.token_hex(8)}"
        self._readers: set[Reader] = set()
        self._kept: deque[tuple[str, bytes]] = deque(maxlen=KEPT)
        self._asking: set[asyncio.Task[None]] = set()
        self._boot = ""
        self._standing: set[str] = set()  # what is subscribed to
        self.on_change: list[Callable[[Mapping[str, Any]], object]] = []

    def listen(self) -> None:
        """Subscribe to the kernel, unless that is done already."""
        if not self._asking:
            for about in ABOUT:
                task = asyncio.create_task(self._follow(about))
                self._asking.add(task)

    async def close(self) -> None:
        """End all streams."""
        for task in self._asking:
            task.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)
        for reader in list(self._readers):
            reader.put(None)

    async def read(self, after: str) -> AsyncGenerator[bytes]:
        """Yield events from now on, or those after the one with the mark ``after``."""
        self.listen()
        reader = Reader()
        if after:
            marks = [mark for mark, _ in self._kept]
            if after in marks:
                for _, event in list(self._kept)[marks.index(after) + 1 :][-WAITING + 1 :]:
                    reader.put(event)
            else:
                reader.put(GAP)
        self._readers.add(reader)
        try:
            async for text in reader.read():
                yield text
        finally:
            self._readers.discard(reader)

    async def _follow(self, about: str) -> None:
        """Keep a subscription over restarts of the kernel."""
        while True:
            with contextlib.suppress(KernelUnreachableError, RemoteError):
                boot = str((await self._link.request("ping", patience=0.0)).get("boot", ""))
                if boot != self._boot:
                    self._kept.clear()
                self._boot = boot
                subscribed = asyncio.create_task(self._subscribe(about))
                try:
                    # It is answered after the subscription, which was sent before it, stands.
                    await self._link.request("ping", patience=0.0)
                    self._stand(about)
                    await subscribed
                finally:
                    self._standing.discard(about)
                    subscribed.cancel()
                    await asyncio.gather(subscribed, return_exceptions=True)
            await asyncio.sleep(AGAIN)

    async def _subscribe(self, about: str) -> None:
        await self._link.request(
            "subscribe", lambda _, body: self._hear(about, body), patience=0.0,
            session=self._session, id=f"{about}.{secrets.token_hex(4)}", body={"about": about},
        )  # fmt: skip

    def _stand(self, about: str) -> None:
        """Have everyone ask anew once all is heard of again: until then, something was missed."""
        self._standing.add(about)
        if len(self._standing) == len(ABOUT):
            for reader in self._readers:
                reader.put(GAP)

    def _hear(self, about: str, body: Mapping[str, Any]) -> None:
        name = "change" if about == "changes" else "mission"
        mark = f"{self._boot}.{name[0]}{body.get('n', 0)}"
        event = encode(name, {key: value for key, value in body.items() if key != "brief_id"
                              or value}, mark)  # fmt: skip
        self._kept.append((mark, event))
        for reader in list(self._readers):
            reader.put(event)
        if name == "change":
            for tell in list(self.on_change):
                tell(body)


async def follow_mission(
    link: KernelLink, mission: str, after: int, session: str
) -> AsyncGenerator[bytes]:
    """Yield the events of one mission after ``seq`` number ``after``, until it has ended."""
    reader, named = Reader(), secrets.token_hex(8)
    seen = after

    def hear(_: str, body: Mapping[str, Any]) -> None:
        nonlocal seen
        seen = max(seen, int(body.get("seq", 0)))
        reader.put(encode("mission", body, str(body.get("seq", ""))))

    async def ask() -> None:
        while True:
            try:
                body = {"brief_id": mission, "after_seq": seen}
                ended = await link.request(
                    "subscribe", hear, session=session, id=named, body=body, patience=0.0
                )
                if ended["ended"] != "shutting down":
                    reader.put(encode("end", ended))
                    return
            except KernelUnreachableError:
                pass
            except RemoteError as error:
                if not error.body.get("retryable"):
                    reader.put(encode("problem", error.body))
                    return
            await asyncio.sleep(AGAIN)

    asking = asyncio.create_task(ask())
    asking.add_done_callback(lambda _: reader.put(None))
    try:
        async for text in reader.read():
            yield text
    finally:
        asking.cancel()
        with contextlib.suppress(KernelUnreachableError, RemoteError, asyncio.CancelledError):
            await link.request("unsubscribe", session=session, body={"id": named}, patience=0.0)


async def follow_verb(
    ask: Callable[[Listener], Awaitable[Mapping[str, Any]]],
) -> AsyncGenerator[bytes]:
    """Yield what a verb reports while it works, then its ``result``, or the ``problem``.

    It goes on if its reader leaves: a sentence that was said is said.
    """
    reader = Reader()

    async def work() -> None:
        try:
            done = await ask(lambda kind, body: reader.put(encode(kind, body)))
            reader.put(encode("result", done, big_as_text=True))
        except BatError as error:
            reader.put(encode("problem", describe(error)[2]))
        finally:
            reader.put(None)

    working = asyncio.create_task(work())
    _AT_WORK.add(working)
    working.add_done_callback(_AT_WORK.discard)
    async for text in reader.read():
        yield text


class EventStream(StreamingResponse):
    """A reply of events that counts as open until its reader has gone."""

    def __init__(self, streams: Streams, caller: str, events: AsyncGenerator[bytes]) -> None:
        """Open it.

        Raises:
            BusyError: Too many are open.
        """
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(streams.enter(caller))
        self._events = events
        super().__init__(events, media_type="text/event-stream", headers=HEADERS)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Send events until the reader has gone."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._stack.close()
            await self._events.aclose()
