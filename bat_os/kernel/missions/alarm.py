"""Due moments: taken when they come, run, and announced. One timer for the nearest of all.

    nearest moment, or 60 s, or a wake > take (one transaction) > run > settle > tell

The clock of a machine may jump and a laptop may sleep, so the alarm looks every 60 seconds. If the
clock goes back, repetitions are reckoned anew, and a moment that was taken is not taken again.
What was taken and not settled when a kernel died is settled by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.readable import show_value
from bat_os.errors import BatError
from bat_os.failpoints import cross
from bat_os.image import schedules
from bat_os.kernel.missions.scheduler import new_mission_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.image.schedules import Schedule, Taken
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.missions.scheduler import Scheduler

    # Answers the sentence of a schedule under a key: the body of ``say``'s answer.
    SayIt = Callable[[Schedule, str], Awaitable[Mapping[str, Any]]]

log = logging.getLogger(__name__)

LONGEST: Final = 60.0  # seconds between two looks at the clock
JUMP: Final = 2.0  # seconds by which the clock went back
AGAIN: Final = 5.0  # seconds until another try where the image failed
TITLE: Final = "BAT OS"
MAX_ANSWER: Final = 2_000  # characters of an answer that is kept


@dataclass(slots=True)
class Clock:
    """The time of day, and one that never jumps."""

    now: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic


class Alarm:
    """Rings when something is due; for one event loop.

    Attributes:
        clock: What time it is.
        say_it: Answers the sentence of a schedule; set once the kernel serves.
        line_of: Says in words that something is due.
    """

    def __init__(
        self,
        mind: KernelContext,
        scheduler: Scheduler,
        line_of: Callable[[Mapping[str, Any], float], str],
    ) -> None:
        self.clock = Clock()
        self.say_it: SayIt | None = None
        self.line_of = line_of
        self._mind = mind
        self._scheduler = scheduler
        self._woken = asyncio.Event()
        self._open = asyncio.Event()
        self._runs: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """Look again: schedules have changed."""
        self._woken.set()

    def open(self) -> None:
        """Let sentences and messages run; reminders ring before."""
        self._open.set()

    async def keep(self) -> None:
        """Ring until cancelled."""
        apart = self._apart()
        await self._settle_what_was_left()
        await self._reckon_again()
        try:
            while True:
                self._woken.clear()
                if apart - self._apart() > JUMP:
                    await self._reckon_again()
                apart = self._apart()
                pause = await self._ring()
                # Not wait_for: it drops a cancellation that comes together with a wake.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._woken.wait()
        finally:
            for run in self._runs:
                run.cancel()
            await asyncio.gather(*self._runs, return_exceptions=True)

    def _apart(self) -> float:
        """Return how far the clock is from the one that never jumps."""
        return self.clock.now() - self.clock.steady()

    async def _ring(self) -> float:
        """Take what is due; return the seconds until something may be."""
        home = self._mind.home_id
        try:
            while True:
                now = self.clock.now()
                due = await self._read(partial(schedules.due_numbers, home=home, now=now))
                if not due:
                    nearest = await self._read(partial(schedules.nearest, home=home))
                    return LONGEST if nearest is None else min(max(nearest - now, 0.0), LONGEST)
                for number in due:
                    await self._take(number, now)
        except BatError as error:  # a full disk, say
            log.warning("schedules wait: %s", error)
            return AGAIN

    async def _take(self, number: int, now: float) -> None:
        home, mission_id = self._mind.home_id, new_mission_id(time.time())
        cross("schedule.before")
        taken = await self._mind.image.transact(
            lambda root: schedules.take(root, number, now, home, mission_id),
            note=f"schedule {number} is due",
        )
        cross("schedule.taken")
        await self.begin(taken)

    async def begin(self, taken: Taken | None) -> None:
        """Run what was taken, or tell of it; None was nothing."""
        if taken is None:
            return
        if taken.notice:
            await self.tell(taken.notice)
        elif taken.schedule.running:
            self._start(taken)

    def _start(self, taken: Taken) -> None:
        if taken.mission is not None:
            with contextlib.suppress(BatError):  # going down: the next kernel runs it
                self._scheduler.start(taken.mission)
        run = asyncio.create_task(
            self._run(taken.schedule, taken.moment, taken.key),
            name=f"schedule {taken.schedule.number}",
        )
        self._runs.add(run)
        run.add_done_callback(self._runs.discard)

    async def _run(self, one: Schedule, moment: float, key: str) -> None:
        answer, failed = "", ""
        try:
            answer = await self._answer(one, key)
        except BatError as error:
            failed = f"{error.code} {error}"
        except Exception:  # one run of a schedule: the alarm must go on
            log.exception("schedule %d", one.number)
            failed = "internal error; the daemon's log has the details"
        cross("schedule.ran")
        try:
            notice = await self._mind.image.transact(
                lambda root: schedules.settle(
                    root, one.number, moment, self.clock.now(), answer[:MAX_ANSWER], failed=failed
                ),
                note=f"schedule {one.number} has run",
            )
        except BatError as error:  # the next kernel settles it
            log.warning("schedule %d is not settled: %s", one.number, error)
            return
        await self.tell(notice)
        self.wake()
        self._mind.orchestrator.wake()  # a watch goes on

    async def _answer(self, one: Schedule, key: str) -> str:
        await self._open.wait()
        if one.running != "say":
            reply = await self._scheduler.result(one.running)
            body = reply["body"]
            if reply["type"] == "error":
                raise BatError(f"{body.get('code', '')} {body.get('message', '')}".strip())
            printed = str(body.get("printed") or "").strip()
            shown = show_value(body.get("result"), one.language)
            return "\n".join(filter(None, [printed, shown]))
        if self.say_it is None:
            raise AssertionError("the kernel does not serve yet")
        answer = await self.say_it(one, key)
        if answer["kind"] == "unable":
            raise BatError(str(answer["text"]))
        return str(answer["text"]) or show_value(answer["value"], one.language)

    async def tell(self, key: str) -> None:
        """Tell people of what is due: listeners, the journal and the desktop."""
        found = await self._read(lambda root: dict(root.get(schedules.DUE, {}).get(key, {})))
        if not found:
            return
        line = self.line_of(found, self.clock.now())
        self._scheduler.tell(found, line)
        if not found["caller"]:  # the owner of this machine sits here
            try:
                await asyncio.to_thread(self._mind.notify, TITLE, line)
            except OSError as error:
                log.warning("no notification: %s", error)

    async def _settle_what_was_left(self) -> None:
        """Run on what a kernel before this one has taken and not settled."""
        try:
            left = await self._read(partial(schedules.unsettled, home=self._mind.home_id))
        except BatError as error:
            log.warning("schedules wait: %s", error)
            return
        for one in left:
            key = await self._read(partial(schedules.key_of, number=one.number, moment=one.last))
            self._start(schedules.Taken(one, one.last, key))

    async def _reckon_again(self) -> None:
        home, now = self._mind.home_id, self.clock.now()
        try:
            if await self._read(partial(schedules.nearest, home=home)) is not None:
                await self._mind.image.transact(
                    lambda root: schedules.reckon_again(root, home, now),
                    note="reckon schedules anew",
                )
        except BatError as error:
            log.warning("schedules are not reckoned anew: %s", error)

    async def _read(self, work: Callable[[Any], Any]) -> Any:
        return await self._mind.image.transact(work, note="look at the schedules")
