"""Several kernels on one image: who lives, who leads, whose missions are whose.

    every second, and when somebody asks here for what another kernel runs:
                  who lives? > drop what another one has taken > take over the desks of the dead
                  > run what is mine and has no task > cancel what was withdrawn elsewhere
                  > lead, if nobody does

Who is taken for dead and lives writes nothing any more: the fence is in the image
(``bat_os.image.desks``), and this may be wrong. What only one may do for all (reminders, watches,
effects, packing, pruning, idle work) is done by the kernel that leads. Who waits here for a mission
that runs elsewhere is answered from the image.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError, FormatError
from bat_os.image import desks, missions
from bat_os.image.migrations import FORMAT, check_format
from bat_os.kernel.missions.feed import replay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from bat_os.image.desks import Desks
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.missions.scheduler import Listener, Scheduler
    from bat_os.ports import Cluster

log = logging.getLogger(__name__)

LOOK: Final = 1.0  # seconds between two looks at the others
SOONEST: Final = 0.1  # the same, where somebody waits
FOLLOW: Final = 0.25  # seconds between two looks at a mission that runs elsewhere
TURN: Final = 0.2  # seconds until another try to prepare the image
LEADER: Final = "leader"
PREPARE: Final = "prepare"


class Tending:
    """Looks after missions together with other kernels; belongs to one event loop.

    Attributes:
        living: What the kernels that live say of themselves, by id, at the last look.
        leads: Whether this kernel does what only one may do.
        wakes: Called at each look of the kernel that leads: others may have left work for it.
    """

    def __init__(self, context: KernelContext, cluster: Cluster, scheduler: Scheduler) -> None:
        self.living: dict[str, dict[str, Any]] = {}
        self.leads = False
        self.wakes: list[Callable[[], None]] = []
        self._image = context.image
        self._cluster = cluster
        self._scheduler = scheduler
        self._about: dict[str, Any] = {}
        self._desks: Desks | None = None
        self._turned = asyncio.Event()  # whether this kernel leads has changed
        self._wanted = asyncio.Event()  # a look now
        self._trouble = ""
        scheduler.elsewhere, scheduler.endpoint_of = self.follow, self.endpoint_of

    @property
    def me(self) -> str:
        """Id of this kernel."""
        return str(self._image.database.kernel)

    async def join(self, about: Mapping[str, Any]) -> None:
        """Live from now on; ``about`` is for the others."""
        self._about = {**about, "leads": False}
        await asyncio.to_thread(self._cluster.join, self.me, self._about)

    async def leave(self) -> None:
        """Live no more: what is mine and has not ended goes to the others."""
        with contextlib.suppress(BatError):
            await asyncio.to_thread(self._cluster.leave)

    async def check_alone(self) -> None:
        """See that no other kernel serves an image whose format is about to change.

        Raises:
            FormatError: One does; or the format is newer than this program.
        """

        def is_older(root: Mapping[str, Any]) -> bool:
            if "about" not in root:
                return False
            return check_format(root) < FORMAT

        if not await self._image.transact(is_older, note="look at the format"):
            return
        living = await asyncio.to_thread(self._cluster.look)
        if others := [self.name_of(one, living) for one in living if one != self.me]:
            raise FormatError(
                f"the image has to be brought to format {FORMAT}, and other kernels serve it; "
                f"stop them first: {', '.join(others)}",
                away=True,  # a watchdog waits until they are
            )

    def others(self) -> list[str]:
        """Return the ids of the other kernels that live."""
        return [one for one in self.living if one != self.me]

    @staticmethod
    def name_of(kernel: str, living: Mapping[str, Mapping[str, Any]]) -> str:
        """Return what people know a kernel by: its machine and its home."""
        about = living.get(kernel, {})
        return f"{about.get('host', '?')}:{about.get('home', '?')} ({kernel})"

    async def keep(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
                trouble = ""
            except BatError as error:  # the server is away: the fence holds without this
                trouble = str(error)
                await self._lead(leads=False)
            if trouble != self._trouble:
                self._trouble = trouble
                log.warning("%s", f"the cluster: {trouble}" if trouble else "the cluster is back")
            await asyncio.sleep(SOONEST)
            rest = LOOK * random.uniform(0.75, 1.25) - SOONEST  # noqa: S311 - not all at once
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), rest)

    async def look(self) -> None:
        """See who lives, take over what the dead have left, and run what is mine.

        A kernel that still prepares could not run what it took over: those that serve do.
        """
        self._wanted.clear()
        self.living = await asyncio.to_thread(self._cluster.look)
        await self._lead(leads=await asyncio.to_thread(self._cluster.hold, LEADER))
        running = self._scheduler.running()
        found = self._desks = await self._image.transact(desks.look, note="look at the desks")
        await self._drop(running - set(found.own))
        counts = {} if self._scheduler.awakening else found.counts
        for kernel, count in counts.items():
            if count and kernel not in self.living and kernel != self.me:
                taken = await self._image.transact(
                    lambda root, dead=kernel: desks.take_over(root, dead),  # type: ignore[misc] # mypy cannot infer a lambda with a default
                    note=f"take over from {kernel}",
                )
                log.warning("took over %d missions of the kernel %s", len(taken), kernel)
                await self._scheduler.begin(taken, resumed=True, suspect=True)
        await self._scheduler.begin(found.own)
        for mission_id in found.withdrawn:
            self._scheduler.cancel(mission_id)
        for wake in self.wakes if self.leads else ():
            wake()

    async def _drop(self, missing: set[str]) -> None:
        """Stop what runs here and is another kernel's by now; its next write would be refused."""
        if not missing:
            return
        note = "look whose they are"
        for one in await self._image.transact(lambda root: desks.taken(root, missing), note=note):
            self._scheduler.cancel(one)

    async def _lead(self, *, leads: bool) -> None:
        if leads == self.leads:
            return
        self.leads = leads
        self._turned.set()
        self._turned = asyncio.Event()
        log.info("this kernel %s", "leads" if leads else "does not lead any more")
        self._about |= {"leads": leads}
        with contextlib.suppress(BatError):
            await asyncio.to_thread(self._cluster.join, self.me, self._about)

    async def while_leading(self, keep: Callable[[], Awaitable[None]]) -> None:
        """Run ``keep()`` while this kernel leads, anew each time that it begins to."""
        while True:
            turned = self._turned
            doing = asyncio.ensure_future(keep()) if self.leads else None
            try:
                await turned.wait()
            finally:
                if doing is not None:
                    doing.cancel()
                    await asyncio.gather(doing, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def preparing(self, report: Callable[[str], None]) -> AsyncIterator[None]:
        """Let one kernel at a time fill the image; those after it find all there."""
        while not await asyncio.to_thread(self._cluster.hold, PREPARE):
            report("another kernel prepares the image")
            await asyncio.sleep(TURN)
        try:
            yield
        finally:
            with contextlib.suppress(BatError):
                await asyncio.to_thread(self._cluster.release, PREPARE)

    async def follow(self, mission_id: str, listener: Listener | None) -> dict[str, Any]:
        """Return the answer of a mission, whichever kernel runs it; the listener hears of it."""
        seen, first = 0, True
        while True:
            record = await self._image.transact(
                lambda root: missions.read(root, mission_id), note="follow a mission"
            )
            for event in replay(mission_id, record.mission, seen) if listener else ():
                listener(event)  # type: ignore[misc] # mypy: there are no events without it
            seen = len(record.mission.events)
            if record.answer is not None:
                return record.answer
            if first:  # who asks here may have left a kernel that has died
                self._wanted.set()
            first = False
            await asyncio.sleep(FOLLOW)

    def endpoint_of(self, kernel: str) -> str:
        """Return where a kernel listens; "" if that is not known."""
        return str(self.living.get(kernel, {}).get("endpoint", ""))

    def facts(self) -> dict[str, Any]:
        """Return what ``health`` says of the cluster."""
        counts = self._desks.counts if self._desks is not None else {}
        kernels = sorted({*self.living, *(one for one, count in counts.items() if count)})
        return {
            "kernel": self.me,
            "leads": self.leads,
            "trouble": self._trouble,
            "kernels": [
                {
                    "kernel": one,
                    "living": one in self.living,
                    "leads": self.leads if one == self.me else bool(self._says(one, "leads")),
                    "missions": counts.get(one, 0),
                    "endpoint": self._says(one, "endpoint"),
                    "host": self._says(one, "host"),
                    "home": self._says(one, "home"),
                    "blobs": self._says(one, "blobs"),
                }
                for one in kernels
            ],
        }

    def _says(self, kernel: str, what: str) -> Any:
        return self.living.get(kernel, {}).get(what, "")
