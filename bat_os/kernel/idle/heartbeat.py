"""The heartbeat: while nobody needs the machine, one work after the other, within a budget.

    quiet for two minutes, on mains, others idle > agenda > a step on a fork > rest three times as
    long > the next step > proposals, in one commit

A message breaks off what runs, and is answered first. Looks write nothing. A work that is done is
one commit: what came of it, that it was done, and what it took of the day. With the setting
``idle`` = "off" nothing is done; "propose" writes proposals; "install" also installs a wish that
failed, where two examples with different answers decide.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os.core.digest import digest
from bat_os.errors import BatError
from bat_os.image import proposals
from bat_os.image.history import staleness
from bat_os.image.history.moments import survey
from bat_os.image.objects import Method, find
from bat_os.image.proposals import BUDGET
from bat_os.kernel.idle.agenda import read_agenda
from bat_os.kernel.idle.politeness import Politeness, why_busy
from bat_os.kernel.idle.works import forge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.forge.smithy import Smithy
    from bat_os.kernel.idle.works import Work

    Root = MutableMapping[str, Any]
    Install = Callable[[KernelContext, Any], Awaitable[Any]]

log = logging.getLogger(__name__)

QUIET_SECONDS: Final = 120.0

REST: Final = 3.0  # times as long as the step took
LOOK_SECONDS: Final = 30.0  # between two looks whether there is something to do
LOOK_AGAIN: Final = 3600.0  # seconds after which it is looked again, though nothing was stored
POLL_SECONDS: Final = 0.05
NOTED: Final = 60.0  # seconds of processor time that a killed daemon may forget


def _processor_time() -> float:
    """Return the seconds of processor time of this process and what it started."""
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


@dataclass(slots=True)
class Surroundings:
    """What the heartbeat asks of the machine; a test has its own."""

    # of a time in seconds: whether nobody has wanted anything for so long
    is_quiet: Callable[[float], bool] = lambda seconds: False
    now: Callable[[], float] = time.time
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    spent: Callable[[], float] = _processor_time
    busy: Callable[[], str] = why_busy
    budget: float = BUDGET  # seconds of processor time a day


class Heartbeat:
    """Does works, one at a time; belongs to one event loop.

    Args:
        context: Whose image it is.
        install: Installs a method that a work is sure of, as a person's yes would.
    """

    def __init__(self, context: KernelContext, install: Install) -> None:
        self._context = context
        self._install = install
        self.around = Surroundings()
        self.politeness = Politeness(polite=context.options.polite, look=self._look)
        self.forge: Smithy | None = None
        self._open: Work | None = None  # was broken off
        self._spent = self._noted = 0.0  # of today, and what of it is in the image
        self._day = ""  # of which that is; "": not read yet
        self._nothing: tuple[Any, float] = (None, 0.0)  # state of the image with nothing to do
        self.resting = ""  # why nothing is done just now

    def _look(self) -> str:
        return self.around.busy()

    async def keep(self) -> None:
        """Work while nobody else does, until cancelled."""
        if self._context.options.idle == "off":
            self.resting = "the setting idle is off"
            return
        while True:
            try:
                took = await self.beat()
            except BatError as error:
                log.warning("idle work has failed: %s", error)
                took = 0.0
            await self.around.sleep(max(REST * took, 0.0) or LOOK_SECONDS)

    async def beat(self) -> float:
        """Do one step, if it may be; return how many seconds it took, 0 for none."""
        around = self.around
        self.resting = await self._why_resting()
        if self.resting:
            return 0.0
        work = self._open or await self._next()
        if work is None:
            self.resting = "nothing is left to do"
            return 0.0
        self._open, begun, before = work, around.clock(), around.spent()
        is_done = await self._step(work)
        self._spent += max(around.spent() - before, 0.0)
        if is_done:
            self._open = None
            await self._keep_results(work)
        elif self._spent - self._noted >= NOTED:
            await self._note_spent()
        if is_done is None:
            self.resting = "somebody came"
            return 0.0
        return max(around.clock() - begun, POLL_SECONDS)

    @property
    def spent(self) -> float:
        """Seconds of processor time of today."""
        return self._spent

    async def _why_resting(self) -> str:
        today = dt.datetime.fromtimestamp(self.around.now(), dt.UTC).date().isoformat()
        if today != self._day:
            self._spent = self._noted = await self._context.image.transact(
                lambda root: proposals.spent_on(root, today), note="read the budget"
            )
            self._day = today
        if not self.around.is_quiet(QUIET_SECONDS):
            return "somebody was here a moment ago"
        if self.spent >= self.around.budget:
            return "the budget of today is used up"
        return await self.politeness.ask()

    async def _next(self) -> Work | None:
        now, state = self.around.now(), self._context.image.database.lastTransaction()
        seen, at = self._nothing
        if seen == state and now - at < LOOK_AGAIN:
            return None
        agenda = await survey(
            self._context.image,
            lambda root: read_agenda(root, now, partial(self._was_done, root)),
            note="look for idle work",
        )
        work = agenda[0] if agenda else await self._forge()
        self._nothing = (None if work else state, now)
        return work

    async def _forge(self) -> Work | None:
        """Return the work on the run of the forge that is due, or None."""
        if self.forge is None or not (number := await self.forge.next_run()):
            return None
        work = forge(self.forge, number, self._day)
        now = self.around.now()
        not_now = await self._context.image.transact(
            lambda root: proposals.is_quiet(root, work.kind, now) or self._was_done(root, work.key),
            note="is it wanted",
        )
        return None if not_now else work

    def _key(self, key: str) -> str:
        """Return what a work is remembered by: another model may do it better."""
        roster, personas = self._context.roster, self._context.profile.personas
        models = sorted({roster.digest_of(one) for one in personas})
        return digest(f"{key} {' '.join(models)}")[:16]

    def _was_done(self, root: Root, key: str) -> bool:
        return proposals.was_done(root, self._key(key))

    async def _step(self, work: Work) -> bool | None:
        """Do one step of a work; return whether it is done, None if it was broken off."""
        begun = time.monotonic()
        task = asyncio.create_task(work.step(self._context, work), name=f"idle {work.kind}")
        try:
            while not task.done():
                await asyncio.wait([task], timeout=POLL_SECONDS)
                if not task.done() and not self.around.is_quiet(time.monotonic() - begun):
                    return None
            return task.result()
        except BatError as error:
            log.info("idle work %s came to nothing: %s", work.key, error)
            return True
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_results(self, work: Work) -> None:
        now, context = self.around.now(), self._context

        def write(root: Root) -> list[int]:
            proposals.note_done(root, self._key(work.key), now)
            proposals.note_spent(root, self._day, self.spent)
            if work.settle is not None:
                _settle(root, work.settle, now)
            return proposals.put(root, work.found, at=now)

        numbers = await context.image.transact(write, note=f"idle work: {work.kind}")
        self._noted = self.spent
        for number in numbers:
            log.info("proposal %d: %s", number, work.what)
        may_install = context.options.idle == "install" and not context.options.approve
        if work.sure is not None and may_install:
            await self._install(context, work.sure)  # its proposal goes with its reason
            target, selector = work.sure["target"], work.sure["selector"]
            await context.image.transact(
                lambda root: proposals.note_installed(root, target, selector, now),
                note="installed while idle",
            )
            log.info("installed by itself: %s.%s", target, selector)

    async def _note_spent(self) -> None:
        await self._context.image.transact(
            lambda root: proposals.note_spent(root, self._day, self.spent), note="idle work"
        )
        self._noted = self.spent


def _settle(root: Root, found: Any, at: float) -> None:
    """Note that a method was verified again, or that it does not hold any more."""
    holder = find(root, found["object"])
    method = holder.slots.get(found["selector"])
    if not isinstance(method, Method) or method.current + 1 != found["version"]:
        return
    staleness.settle(root, holder, method, found["why"], at=at)
