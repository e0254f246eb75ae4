"""A gate that lets a few in at a time, one session after the other.

session a: 1 2 3 4 5        order in which they come in, one at a time:
session b: 6 7              1 6 2 7 3 4 5
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

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

    def enter(self, session: str) -> _Place:
        """Return a context that holds a place; it waits until it is this session's turn."""
        return _Place(self, session)

    async def take(self, session: str) -> None:
        """Wait for a place."""
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(session, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it got the place in the same moment
                self._pass_on()
            raise

    def leave(self, started: float) -> None:
        """Give a place back that was taken at ``started``, in the event loop's seconds."""
        if not self._rest:
            self._pass_on()
            return
        loop = asyncio.get_running_loop()
        loop.call_later(min(self._rest * (loop.time() - started), MOST_REST), self._pass_on)

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


class _Place:
    """A place in the gate; a class, since each message passes here and a generator takes longer."""

    __slots__ = ("_gate", "_session", "_started")

    def __init__(self, gate: FairGate, session: str) -> None:
        self._gate, self._session = gate, session

    async def __aenter__(self) -> None:
        await self._gate.take(self._session)
        self._started = asyncio.get_running_loop().time()

    async def __aexit__(self, *_: object) -> None:
        self._gate.leave(self._started)
