"""A gate that lets a few in at a time, one session after the other.

session a: 1 2 3 4 5        order in which they come in, one at a time:
session b: 6 7              1 6 2 7 3 4 5
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_REST: Final = 0.05  # seconds


class FairGate:
    """Lets ``width`` in at a time; a session with many requests does not delay one with few.

    A free place goes to the session that has waited longest since its last turn, and within a
    session to the oldest request. While places are free, no request waits.

    With ``rest``, a place stays empty that many times as long as it was held, MOST_REST seconds at
    most: what is done in it takes only so much of the time of all that goes another way.
    """

    def __init__(self, width: int, rest: float = 0.0) -> None:
        self._free, self._rest = width, rest
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
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            yield
        finally:
            if self._rest:
                rest = min(self._rest * (loop.time() - started), MOST_REST)
                loop.call_later(rest, self._pass_on)
            else:
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
