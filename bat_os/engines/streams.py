"""Texts in the making: cut at ``stop``, told piece by piece, given up when halted.

Shared by the engines whose tokens come from elsewhere (a native thread, a server). All of
it lives on the event loop, so nothing here needs a lock.

    worker or connection -> Inbox -> Row.add -> on_text, and at the end the Completion
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import regex  # type: ignore[import-untyped]  # it ships no types

from bat_os.ports import Completion

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

# A threading.Event cannot be awaited; this is how often a waiting call looks at it.
POLL_SECONDS: Final = 0.05
_Item = TypeVar("_Item")


class Halt:
    """Says when a call has to end early: withdrawn, out of time, or the engine is closed.

    Args:
        cancel: The caller's flag.
        seconds: From now; 0 sets no limit.
        closed: The engine's flag.
    """

    def __init__(
        self, cancel: threading.Event | None, seconds: float, closed: threading.Event
    ) -> None:
        self._flags = [closed] if cancel is None else [closed, cancel]
        self._end = time.monotonic() + seconds if seconds > 0 else math.inf

    def __call__(self) -> bool:
        """Return True from the moment on at which the call has to end."""
        return any(flag.is_set() for flag in self._flags) or time.monotonic() >= self._end


class Inbox(Generic[_Item]):
    """What a worker sends to a coroutine that may have to stop waiting at any time."""

    def __init__(self, halted: Callable[[], bool]) -> None:
        self._halted = halted
        self._loop = asyncio.get_running_loop()
        self._items: deque[_Item] = deque()
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: _Item) -> None:
        """Add an item; on the event loop."""
        self._items.append(item)
        self._wake()

    def put_from_thread(self, item: _Item) -> None:
        """Add an item; from any thread. Does nothing once the loop is gone."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self.put, item)

    async def get(self) -> _Item | None:
        """Return the next item, or None as soon as the call has to end."""
        while not self._halted():
            if self._items:
                return self._items.popleft()
            # Per token, and a tenth of the cost of asyncio.wait_for.
            self._waiter = self._loop.create_future()
            alarm = self._loop.call_later(POLL_SECONDS, self._wake)
            try:
                await self._waiter
            finally:
                alarm.cancel()
        return None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Row:
    """One text in the making.

    A told piece cannot be taken back, so what a later match of ``stop`` may still cut off
    is held back: ``regex`` knows where a match could begin that the text so far leaves open.

    Args:
        stop: A valid regular expression, or "".
        tell: Takes the pieces.

    Attributes:
        text: What was drawn, cut at ``stop``.
        tokens: How many tokens that took.
        finished: It ended by itself or at ``stop``.
        ended: Nothing is added any more.
        read: Tokens of the prompt.
        reused: How many of them came out of a cache.
    """

    def __init__(self, stop: str, tell: Callable[[str], None] | None = None) -> None:
        self.text = ""
        self.tokens = 0
        self.finished = False
        self.ended = False
        self.read = 0
        self.reused = 0
        self._stop = re.compile(stop) if stop else None
        self._open = _compile_partial(stop)
        self._tell = tell
        self._told = 0

    def add(self, piece: str, tokens: int = 1) -> None:
        """Go on with ``piece``; ends the row where ``stop`` matches."""
        if self.ended:
            return
        self.tokens += tokens
        self.text += piece
        match = self._stop.search(self.text) if self._stop else None
        if match:
            # Never less than was told, should regex have read the expression otherwise.
            self.text = self.text[: max(match.start(), self._told)]
            self.end(finished=True)
        else:
            self._tell_up_to(self._certain())

    def end(self, *, finished: bool) -> None:
        """Take no more pieces, and tell what was held back. Idempotent."""
        if self.ended:
            return
        self.ended = True
        self.finished = finished
        self._tell_up_to(len(self.text))

    def completion(self) -> Completion:
        """Return the row as it stands."""
        return Completion(self.text, self.tokens, self.finished, self.read, self.reused)

    def _certain(self) -> int:
        if self._stop is None:
            return len(self.text)
        if self._open is None:
            return self._told
        found = self._open.search(self.text, self._told, partial=True)
        return found.start() if found else len(self.text)

    def _tell_up_to(self, end: int) -> None:
        start, self._told = self._told, max(end, self._told)
        if self._tell is not None and end > start:
            self._tell(self.text[start:end])


def make_rows(count: int, stop: str, on_text: Callable[[int, str], None] | None) -> list[Row]:
    """Return one row per prompt; ``on_text`` is told the row's number with each piece."""
    return [Row(stop, partial(on_text, index) if on_text else None) for index in range(count)]


def _compile_partial(stop: str) -> Any:
    """Return ``stop`` for partial matching; None when there is none, or ``regex`` has another."""
    try:
        return regex.compile(stop) if stop else None
    except regex.error:
        return None
