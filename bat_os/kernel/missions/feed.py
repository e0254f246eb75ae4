"""What clients hear of missions while they run: events, and the text that models write.

    a transition --publish--> kept (the latest KEPT) --> every subscription
    engine --on_text--> gathered --at most RATE times a second--> every listener of that brief

A client can resume after a break in two ways. One brief is resumed by its ``seq``: the image has
all its events, across restarts too, so nothing is lost; only ``detail`` is empty for old ones. All
missions are resumed by ``n``, which counts from 1 in every kernel and goes back as far as KEPT.
Text is not kept, and some of it may be lost; what counts is in the events.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import Event, MessageUnderstood, Mission, SkillReused, State
from bat_os.errors import ArgumentsError, BusyError, ShuttingDownError
from bat_os.image.missions import WHO

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    Notice = dict[str, Any]
    Tell = Callable[[Mapping[str, Any]], bool | None]  # False: the listener has gone
    Hear = Callable[[Mapping[str, Any]], object]
    OnText = Callable[[int, str], None]

KEPT: Final = 4096
RATE: Final = 10.0
MAX_SUBSCRIPTIONS: Final = 64
MAX_SUBSCRIPTIONS_PER_SESSION: Final = 8
_PERCENT: Final = {
    State.IDLE: 0, State.DECOMPOSING: 10, State.DELEGATING: 30, State.SYNTHESIZING: 40,
    State.ACTING: 40, State.VALIDATING: 80, State.COMPLETE: 100, State.FAILED: 100,
}  # fmt: skip

# How a mission came to its end without installing what it wrote.
_ANSWERED: Final[Mapping[type[Event], str]] = MappingProxyType(
    {
        MessageUnderstood: "answered: by now the message was understood",
        SkillReused: "answered with a skill that was there",
    }
)
_WAITS: Final = "wrote a method that waits for a yes (batos approve)"


def notice(brief_id: str, mission: Mission, detail: Mapping[str, Any]) -> Notice:
    """Return the body of the ``event`` about a mission's present state."""
    who, does = WHO[mission.state]
    if mission.state is State.COMPLETE:
        waits = detail.get("status") == "waiting"
        does = _WAITS if waits else _ANSWERED.get(type(mission.events[-1]), does)
    return {
        "brief_id": brief_id,
        "seq": len(mission.events),
        "state": str(mission.state),
        "persona": detail.get("persona", who),
        "does": does,
        "pct": _PERCENT[mission.state],
        "detail": dict(detail),
    }


def replay(
    brief_id: str, mission: Mission, after_seq: int = 0, *, waits: bool = False
) -> list[Notice]:
    """Return the notices of all stored events of a mission after a sequence number.

    ``waits``: what it wrote has not been installed.
    """
    notices, now = [], Mission(mission.brief)
    for event in mission.events:
        now = now.advance(event)
        if len(now.events) > after_seq:
            last = waits and now.state is State.COMPLETE
            told = notice(brief_id, now, {"status": "waiting"} if last else {})
            notices.append(told | {"detail": {}})
    return notices


@dataclass(slots=True, eq=False)
class _Subscription:
    """One listener."""

    brief_id: str  # the one brief that it is about; "" for all
    seq: int  # the latest event of that brief that was sent
    tell: Tell  # sends one event
    ended: asyncio.Future[str]  # gets the reason why it is over
    # events that came while it catches up; None once it has
    held: list[Notice] | None = field(default_factory=list)

    def offer(self, event: Notice) -> None:
        if self.brief_id and (event["brief_id"] != self.brief_id or event["seq"] <= self.seq):
            return
        if self.held is not None:
            self.held.append(event)
            return
        self.seq = event.get("seq", 0)
        if self.tell(event) is False:
            self.end("gone")
        elif self.brief_id and State(event["state"]).is_final:
            self.end("complete")

    def end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)


class Feed:
    """Keeps the latest events of all missions, and sends them to subscribers.

    Attributes:
        number: ``n`` of the latest event.
    """

    def __init__(self) -> None:
        self.number = 0
        self._kept: deque[Notice] = deque(maxlen=KEPT)
        self._listening: dict[tuple[str, str], _Subscription] = {}
        self._closed = False

    def publish(self, event: Notice, mission: Mission) -> Notice:
        """Keep a notice, send it to all subscribers, and return it with what the journal wants."""
        return self.put(event | {"target": (b := mission.brief).target, "selector": b.selector})

    def put(self, event: Notice) -> Notice:
        """Number an event, keep it, send it to all who listen to everything, and return it."""
        self.number += 1
        self._kept.append(whole := event | {"n": self.number, "at": time.time()})
        for listening in list(self._listening.values()):
            listening.offer(whole)
        return whole

    def tell(self, does: str, detail: Mapping[str, Any]) -> Notice:
        """Send what is about no mission to all who listen to everything; return it."""
        about = {"brief_id": "", "seq": 0, "state": "", "persona": "", "does": does, "pct": 0}
        return self.put({**about, "detail": dict(detail), "target": "", "selector": ""})

    async def follow(
        self,
        key: tuple[str, str],
        after: int,
        tell: Tell,
        brief_id: str = "",
        stored: Callable[[], Awaitable[Mission]] | None = None,
    ) -> str:
        """Send the events of every mission, or of one, until it is stopped or the mission ends.

        Args:
            key: Session and id of the request; ``stop`` ends it by them.
            after: The ``n`` of the latest event that is known, or the ``seq`` of one mission's;
                later events that are still kept, or that the image has, are sent first.
            tell: Gets each event; returns False once the listener has gone.
            brief_id: The one mission; "" for all.
            stored: Reads that mission as it is in the image.

        Returns:
            Why it ended: ``unsubscribed``, ``gone``, ``shutting down``, or ``complete`` after the
            event of one mission's last state.

        Raises:
            BusyError: Too many listen.
            NotFoundError: There is no such brief.
        """
        self._check(key)
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        listening = _Subscription(brief_id, after if brief_id else 0, tell, ended)
        self._listening[key] = listening
        over, known = False, set()
        try:
            if stored is None:
                missed = [event for event in self._kept if event["n"] > after]
            else:
                mission = await stored()
                kept = {e["seq"]: e for e in self._kept if e["brief_id"] == brief_id}
                missed = [kept.get(old["seq"], old) for old in replay(brief_id, mission, after)]
                over, known = mission.state.is_final, {event["seq"] for event in missed}
            held, listening.held = listening.held or [], None
            for event in (*missed, *(new for new in held if new["seq"] not in known)):
                listening.offer(event)
            if over:
                listening.end("complete")
            return await ended
        finally:
            del self._listening[key]

    def stop(self, key: tuple[str, str]) -> bool:
        """End a subscription; return False if there is none with that key."""
        listening = self._listening.get(key)
        if listening is not None:
            listening.end("unsubscribed")
        return listening is not None

    def close(self) -> None:
        """End all subscriptions, because the kernel shuts down."""
        self._closed = True
        for listening in self._listening.values():
            listening.end("shutting down")

    def _check(self, key: tuple[str, str]) -> None:
        if self._closed:
            raise ShuttingDownError("the daemon is shutting down; ask again in a moment")
        if not key[1] or key in self._listening:
            raise ArgumentsError("a subscription needs an id of its own")
        mine = sum(session == key[0] for session, _ in self._listening)
        if len(self._listening) >= MAX_SUBSCRIPTIONS:
            raise BusyError(f"there are {MAX_SUBSCRIPTIONS} subscriptions already", 5000)
        if key[0] and mine >= MAX_SUBSCRIPTIONS_PER_SESSION:
            raise BusyError(
                f"this session has {MAX_SUBSCRIPTIONS_PER_SESSION} subscriptions already", 5000
            )


class TextFeed:
    """Sends on the text of a brief while a model writes it.

    Only the first completion of a batch is sent: one text is what a person can follow.
    """

    def __init__(self) -> None:
        self._listening: dict[str, list[Hear]] = {}

    @contextlib.contextmanager
    def listen(self, brief_id: str, hear: Hear | None) -> Iterator[None]:
        """Send the brief's text to ``hear`` inside the ``with`` block, unless it is None."""
        if hear is None:
            yield
            return
        listeners = self._listening.setdefault(brief_id, [])
        listeners.append(hear)
        try:
            yield
        finally:
            listeners.remove(hear)
            if not listeners:
                self._listening.pop(brief_id, None)

    @contextlib.contextmanager
    def writing(self, brief_id: str, persona: str, begin: str = "") -> Iterator[OnText | None]:
        """Return an engine's ``on_text`` for one batch; None if nobody listens."""
        listeners = self._listening.get(brief_id)
        if not listeners:
            yield None
            return
        writing = _Writing(listeners, {"brief_id": brief_id, "persona": persona})
        writing.add(begin, first=True)
        try:
            yield writing.hear
        finally:
            writing.flush()


class _Writing:
    """One text while it is written; ``flush`` sends what has gathered."""

    def __init__(self, listening: Sequence[Hear], about: Mapping[str, Any]) -> None:
        self._listening = listening
        self._about = about
        self._waiting = ""
        self._begins = False
        self._alarm: asyncio.TimerHandle | None = None

    def hear(self, index: int, text: str) -> None:
        if index == 0:
            self.add(text)

    def add(self, text: str, *, first: bool = False) -> None:
        self._waiting += text
        self._begins |= first
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(1 / RATE, self.flush)

    def flush(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self._waiting:
            return
        part = {**self._about, "text": self._waiting, "begins": self._begins}
        self._waiting, self._begins = "", False
        for hear in list(self._listening):
            hear(part)
