"""Workers that wait ahead: each serves one call and is made before it is needed.

take() > a worker that waits, or None        fill_later() > more are made in the background
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class Spares(Generic[T]):
    """A pool that fills itself, for one event loop."""

    def __init__(
        self,
        ahead: int,
        make: Callable[[], Awaitable[T | None]],
        drop: Callable[[T], Awaitable[None]],
    ) -> None:
        """Make an empty pool of ``ahead`` workers; ``make`` returns None if it can make none."""
        self._ahead = ahead
        self._make = make
        self._drop = drop
        self._waiting: deque[T] = deque()
        self._filling = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._era = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> T | None:
        """Return the worker that has waited longest; None when there is none."""
        return self._waiting.popleft() if self._waiting else None

    async def fill(self) -> None:
        """Make workers, one after the other, until enough wait."""
        async with self._filling:
            while len(self._waiting) < self._ahead:
                era = self._era
                worker = await self._make()
                if worker is None:
                    return
                if era != self._era:  # emptied in the meantime
                    await self._drop(worker)
                    return
                self._waiting.append(worker)

    def fill_later(self) -> None:
        """Fill in the background, unless enough wait or that is going on."""
        if len(self._waiting) < self._ahead and not self._tasks:
            task = asyncio.get_running_loop().create_task(self.fill())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def empty(self) -> None:
        """Drop all that wait; a worker that is being made is dropped as soon as it is there."""
        self._era += 1
        while self._waiting:
            await self._drop(self._waiting.popleft())

    async def close(self) -> None:
        """Wait for a worker that is being made, and drop all there are. Idempotent."""
        await self.empty()
        await asyncio.gather(*self._tasks, return_exceptions=True)
