"""A gate that lets a few in at a time, one session after the other.

session a: 1 2 3 4 5        order in which they come in, one at a time:
session b: 6 7              1 6 2 7 3 4 5
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class FairGate:
    """Lets ``width`` in at a time; a session with many requests does not delay one with few.

    A free place goes to the session that has waited longest since its last turn, and within a
    session to the oldest request. While places are free, no request waits.
    """

    def __init__(self, width: int) -> None:
        self._free = width
        # The first lane is the next to be served. While anyone waits, nothing is free.
        self._lanes: dict[str, deque[asyncio.Future[None]]] = {}

    @contextlib.asynccontextmanager
    async def enter(self, session: str) -> AsyncIterator[None]:
        """Hold a place; waits until it is this session's turn."""
        if self._free:
            self._free -= 1
        else:
            turn = asyncio.get_running_loop().create_future()
            self._lanes.setdefault(session, deque()).append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():  # it got the place in the same moment
                    self._pass_on()
                raise
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._lanes:
            session = next(iter(self._lanes))
            lane = self._lanes.pop(session)
            while lane and lane[0].done():  # went away while it waited
                lane.popleft()
            if lane:
                lane.popleft().set_result(None)
                if lane:
                    self._lanes[session] = lane  # behind the others
                return
        self._free += 1
