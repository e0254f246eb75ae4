"""Watches: what changes in a granted folder is noticed once it has come to rest, and taken once.

    every second or so: look over what is watched > compare with what was taken > at rest since two
    looks? > take it (one transaction) > the alarm runs it, or tells of it

Each look goes through the grant of the watch; without it the watch ends and says so. Looks take at
most a hundredth of the time, so a large folder is looked at less often. There are no hints from the
system: docs/dependencies.md says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError, NotFoundError, NotGrantedError
from bat_os.failpoints import cross
from bat_os.image import schedules, watches
from bat_os.image.watches import WATCHED, Watch, compare
from bat_os.kernel.missions.keeper import Keeper, documents_below
from bat_os.kernel.missions.scheduler import new_mission_id
from bat_os.kernel.watching import LEARN
from bat_os.ports import WatchedDriver

if TYPE_CHECKING:
    from collections.abc import Callable

    from bat_os.image.watches import Change
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.missions.alarm import Alarm

log = logging.getLogger(__name__)

EVERY: Final = 1.0  # seconds between two looks
QUIET: Final = 2.0  # seconds that a file stays the same before it is taken
SHARE: Final = 100.0  # a look that takes a second is followed by so many without one
LONGEST: Final = 60.0
AWAY: Final = (NotFoundError, NotGrantedError)  # a disk that is not there now


class Watcher:
    """Looks at what is watched; for one event loop."""

    def __init__(self, mind: KernelContext, alarm: Alarm) -> None:
        self._mind = mind
        self._alarm = alarm
        self._keeper = Keeper(mind, alarm, self.wake)
        self._woken = asyncio.Event()
        # of each watch: change -> since when it is as it is, on the clock that never jumps
        self._resting: dict[int, dict[Change, float]] = {}

    def wake(self) -> None:
        """Look now: watches or grants have changed."""
        self._woken.set()

    async def keep(self) -> None:
        """Look until cancelled."""
        try:
            await self._keep()
        finally:
            await self._keeper.close()

    async def _keep(self) -> None:
        while True:
            self._woken.clear()
            began = time.monotonic()
            try:
                busy = await self._look()
            except BatError as error:  # a full disk, say
                log.warning("watches wait: %s", error)
                busy = True
            took = time.monotonic() - began
            pause = min(max(EVERY, SHARE * took), LONGEST) if busy else LONGEST
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _look(self) -> bool:
        """Look at all that is watched once; return whether anything is."""
        home, now = self._mind.home_id, self._alarm.clock.now()
        found = await self._mind.image.read(
            ("watches",), partial(watches.live, home=home), note="look at the watches"
        )
        for gone in self._resting.keys() - {each.schedule.number for each in found}:
            del self._resting[gone]
        for each in found:
            number = each.schedule.number
            if not each.may_look(now):
                await self._keeper.stop(number)
                await self._end(each)
            elif not each.schedule.running and not self._keeper.is_busy(number):
                await self._look_at(each)
        return bool(found)

    async def _look_at(self, watch: Watch) -> None:
        driver = self._mind.drivers.get(watch.links[0].driver)
        if not isinstance(driver, WatchedDriver):
            return
        number = watch.schedule.number
        try:
            survey = await asyncio.to_thread(driver.survey, {"path": watch.path})
        except AWAY:
            return
        except BatError as error:
            await self._sleep(number, str(error))
            return
        taken = await self._mind.image.read(
            (WATCHED, str(number)), partial(watches.known, number=number), note="look at a watch"
        )
        changes = compare(taken, survey, moves=watch.schedule.kind == "learn")
        settled = self._settle(number, changes)
        if watch.schedule.kind == LEARN:
            self._keeper.begin(watch, settled, survey, is_all=len(settled) == len(changes))
        elif settled:
            await self._take(watch, settled)

    def _settle(self, number: int, changes: list[Change]) -> list[Change]:
        """Return the changes that are the same since QUIET seconds."""
        now, before = self._alarm.clock.steady(), self._resting.get(number, {})
        since = {change: before.get(change, now) for change in changes}
        self._resting[number] = since
        return [change for change in changes if now - since[change] >= QUIET]

    async def _take(self, watch: Watch, changes: list[Change]) -> None:
        number, now = watch.schedule.number, self._alarm.clock.now()
        home, mission_id = self._mind.home_id, new_mission_id(time.time())
        cross("watch.before")
        taken = await self._mind.image.transact(
            lambda root: watches.take(root, number, changes, now, home, mission_id),
            note=f"watch {number} is due",
        )
        cross("watch.taken")
        await self._alarm.begin(taken)

    async def _end(self, watch: Watch) -> None:
        now = self._alarm.clock.now()

        def work(root: Any) -> str:
            one = watch.schedule
            kept = len(documents_below(root, watch.path)) if one.kind == LEARN else 0
            return watches.end(root, one.number, now, count=kept)

        await self._tell(work, "end a watch")

    async def _sleep(self, number: int, why: str) -> None:
        """Let a watch sleep that cannot be looked at any more, and say why."""
        now = self._alarm.clock.now()

        def work(root: Any) -> str:
            one = schedules.change(root, number, asleep=why)
            return schedules.tell(
                root, one, max(now, one.last + 0.001), now, failed=why, asleep=True
            )

        await self._tell(work, "let a watch sleep")

    async def _tell(self, work: Callable[[Any], str], note: str) -> None:
        if key := await self._mind.image.transact(work, note=note):
            await self._alarm.tell(key)
