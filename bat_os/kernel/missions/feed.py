"""Who listens to missions: events are kept for a while, numbered, and sent on.

    a mission's transition --publish--> kept (the latest KEPT) --> every subscription

Two ways to go on after a break. Of one brief, by its ``seq``: the image has all its events,
so nothing is lost, across restarts too; of the older ones only ``detail`` is empty. Of all
missions, by ``n``, which counts from 1 in every kernel and goes back as far as KEPT.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import Mission, State
from bat_os.errors import ArgumentsError, BusyError, ShuttingDownError
from bat_os.image.states import WHO

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    Notice = dict[str, Any]
    Tell = Callable[[Mapping[str, Any]], bool | None]  # False: nobody is there any more

KEPT: Final = 4096
MAX_SUBSCRIPTIONS: Final = 64
MAX_SUBSCRIPTIONS_PER_SESSION: Final = 8
_PERCENT: Final = {
    State.IDLE: 0,
    State.DECOMPOSING: 10,
    State.DELEGATING: 30,
    State.SYNTHESIZING: 40,
    State.VALIDATING: 80,
    State.COMPLETE: 100,
    State.FAILED: 100,
}


def notice(brief_id: str, mission: Mission, detail: Mapping[str, Any]) -> Notice:
    """Return the body of the ``event`` that tells of a mission's present state."""
    who, does = WHO[mission.state]
    return {
        "brief_id": brief_id,
        "seq": len(mission.events),
        "state": str(mission.state),
        "persona": detail.get("persona", who),
        "does": does,
        "pct": _PERCENT[mission.state],
        "detail": dict(detail),
    }


def replay(brief_id: str, mission: Mission, after_seq: int = 0) -> list[Notice]:
    """Return the notices of all stored events of a mission after a sequence number."""
    told, now = [], Mission(mission.brief)
    for event in mission.events:
        now = now.advance(event)
        if len(now.events) > after_seq:
            told.append(notice(brief_id, now, {}))
    return told


@dataclass(slots=True, eq=False)
class _Subscription:
    """One listener.

    Attributes:
        session: Whose it is.
        brief_id: The one brief that it is about; "" for all.
        seq: Of that brief: the latest that it has heard of.
        tell: Sends one event.
        ended: Why it is over.
        held: What happened while it catches up; None once it has.
    """

    session: str
    brief_id: str
    seq: int
    tell: Tell
    ended: asyncio.Future[str]
    held: list[Notice] | None = field(default_factory=list)

    def offer(self, told: Notice) -> None:
        if self.brief_id and (told["brief_id"] != self.brief_id or told["seq"] <= self.seq):
            return
        if self.held is not None:
            self.held.append(told)
            return
        self.seq = told["seq"]
        if self.tell(told) is False:
            self.end("gone")
        elif self.brief_id and State(told["state"]).is_final:
            self.end("complete")

    def end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)


class Feed:
    """Keeps the latest events of all missions, and tells those who listen.

    Attributes:
        number: ``n`` of the latest event.
    """

    def __init__(self) -> None:
        self.number = 0
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._listening: dict[tuple[str, str], _Subscription] = {}
        self._closed = False

    def publish(self, told: Notice, mission: Mission) -> Notice:
        """Keep a notice, tell all who listen, and return it with what the journal wants."""
        self.number += 1
        brief = mission.brief
        whole = told | {"n": self.number, "at": time.time()}
        whole |= {"target": brief.target, "selector": brief.selector}
        self._kept.append(whole)
        for listening in list(self._listening.values()):
            listening.offer(whole)
        return whole

    async def follow(self, key: tuple[str, str], after: int, tell: Tell) -> str:
        """Tell of every mission from the event after number ``after`` on, until it is over.

        Args:
            key: Session and id of the request; ``stop`` ends it by them.
            after: What is kept of later events is told first.
            tell: Gets each event; returns False when nobody hears it.

        Returns:
            Why it ended: ``unsubscribed``, ``gone`` or ``shutting down``.

        Raises:
            BusyError: Too many listen.
        """

        async def catch_up() -> tuple[list[Notice], bool]:
            return [told for told in self._kept if told["n"] > after], False

        return await self._listen(key, _made(key, "", 0, tell), catch_up)

    async def follow_one(
        self,
        key: tuple[str, str],
        brief_id: str,
        after_seq: int,
        tell: Tell,
        stored: Callable[[], Awaitable[Mission]],
    ) -> str:
        """Tell of one mission from the event after ``after_seq`` on, until it is over.

        Args:
            key: As in ``follow``.
            brief_id: Of the mission.
            after_seq: The latest event that is known already; 0 tells all.
            tell: As in ``follow``.
            stored: Reads the mission as it is in the image.

        Returns:
            As ``follow``, or ``complete`` after the event of the last state.

        Raises:
            BusyError: Too many listen.
            NotFoundError: There is no such brief.
        """

        async def catch_up() -> tuple[list[Notice], bool]:
            mission = await stored()
            kept = {told["seq"]: told for told in self._kept if told["brief_id"] == brief_id}
            missed = [kept.get(one["seq"], one) for one in replay(brief_id, mission, after_seq)]
            return missed, mission.state.is_final

        return await self._listen(key, _made(key, brief_id, after_seq, tell), catch_up)

    def stop(self, key: tuple[str, str]) -> bool:
        """End a subscription; return False when there is none of that key."""
        listening = self._listening.get(key)
        if listening is not None:
            listening.end("unsubscribed")
        return listening is not None

    def close(self) -> None:
        """End all subscriptions: the kernel goes down."""
        self._closed = True
        for listening in self._listening.values():
            listening.end("shutting down")

    async def _listen(
        self,
        key: tuple[str, str],
        listening: _Subscription,
        catch_up: Callable[[], Awaitable[tuple[list[Notice], bool]]],
    ) -> str:
        self._check(key)
        self._listening[key] = listening
        try:
            missed, over = await catch_up()
            held, listening.held = listening.held or [], None
            known = {one["seq"] for one in missed} if listening.brief_id else set()
            for told in (*missed, *(one for one in held if one["seq"] not in known)):
                listening.offer(told)
            if over:
                listening.end("complete")
            return await listening.ended
        finally:
            del self._listening[key]

    def _check(self, key: tuple[str, str]) -> None:
        if self._closed:
            raise ShuttingDownError("the kernel is going down; ask again in a moment")
        if not key[1] or key in self._listening:
            raise ArgumentsError("a subscription needs an id that no other one of yours has")
        mine = sum(session == key[0] for session, _ in self._listening)
        if len(self._listening) >= MAX_SUBSCRIPTIONS:
            raise BusyError(f"{MAX_SUBSCRIPTIONS} listen already", 5000)
        if key[0] and mine >= MAX_SUBSCRIPTIONS_PER_SESSION:
            raise BusyError(f"{MAX_SUBSCRIPTIONS_PER_SESSION} of this session listen already", 5000)


def _made(key: tuple[str, str], brief_id: str, seq: int, tell: Tell) -> _Subscription:
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    return _Subscription(key[0], brief_id, seq, tell, ended)
