"""Missions as tasks: accept, start, watch, resume, stop. One task per unfinished brief.

A mission belongs to the image, not to the client that asked: if the client goes away, its mission
goes on, and if the kernel is killed, the next one resumes it. RUNNING missions progress side by
side: while the model draws for one, others search and try candidates. Sessions take turns.

What ran when a kernel died may have killed it. It runs again alone, so that a death that follows is
its own: a mission that kernels die of MAX_ATTEMPTS times so is given up. A death that came from
outside counts for nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.journal import write_due, write_journal
from bat_os.errors import (
    ArgumentsError,
    BatError,
    BusyError,
    CancelledError,
    DeadlineError,
    FencedError,
    NotFoundError,
    ShuttingDownError,
    StorageError,
    TransitionError,
    as_fault,
)
from bat_os.failpoints import cross
from bat_os.image import desks, missions
from bat_os.image.objects import find
from bat_os.image.writer import settle
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.missions.fairness import FairGate
from bat_os.kernel.missions.feed import Feed, TextFeed, notice
from bat_os.kernel.missions.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping

    from bat_os.core.brief import Brief
    from bat_os.core.mission import Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext

    Listener = Callable[[Mapping[str, Any]], None]

log = logging.getLogger(__name__)

MAX_QUEUED: Final = 256
MAX_PER_SESSION: Final = 16
RUNNING: Final = 4
# Until a mission has ended, one is assumed to take this long; it sets the pause of a refusal.
_GUESS_SECONDS: Final = 4.0
_SOONEST_MS: Final = 250
_LATEST_MS: Final = 30_000
# Before the last try of a mission that kernels die of; a watchdog begins to count anew by then.
SERVE_FIRST: Final = 12.0
MAX_STOPS: Final = 20  # of one mission, over an image that cannot be used; then it fails


@dataclass(slots=True, eq=False)
class _Job:
    """One mission that this kernel runs."""

    session: str
    resumed: bool  # an earlier kernel left it
    counts: bool = False  # the image has to count that it runs again
    task: asyncio.Task[dict[str, Any]] | None = None  # ends with the mission's answer
    listeners: list[Listener] = field(default_factory=list)  # called with each of its states
    begun: bool = False  # its task has had its first step
    withdrawn: bool = False  # the client has cancelled it
    ending: bool = False  # it is over, and only its end has to be stored


def new_mission_id(now: float) -> str:
    """Return an id for a mission that begins now; ids sort by time."""
    return f"{int(now * 1000):012x}{secrets.token_hex(6)}"


class Scheduler:
    """Runs missions, RUNNING of them at a time, and tells listeners what happens.

    Attributes:
        feed, changes: Tell those who subscribed of all missions, and of what was committed.
        text_feed: Sends on the text that models write.
        ledger: Knows what runs, for the next kernel.
        elsewhere, endpoint_of: Wait for a mission of another kernel; say where that listens.
        awakening: What missions wait for before they run; "" once they do.
        loading: What is loaded ahead meanwhile, or "".
    """

    awakening = "waking up"
    loading = ""
    elsewhere: Callable[[str, Listener | None], Awaitable[dict[str, Any]]] | None = None
    endpoint_of: Callable[[str], str] = staticmethod(lambda kernel: "")

    def __init__(self, context: KernelContext, journal: Listener) -> None:
        self.feed, self.changes = Feed(), Feed()
        self._context = context
        self._journal = journal
        self.text_feed = TextFeed()
        self.ledger = Ledger()
        self._cycle = CognitiveCycle(context, self.announce, self.text_feed)
        self.writer = self._cycle.writer
        self._jobs: dict[str, _Job] = {}
        self._coming: list[str] = []
        self._turns: dict[str, asyncio.Task[Any]] = {}
        self._places = FairGate(RUNNING)
        self._usual_seconds = _GUESS_SECONDS
        self._ready = asyncio.Event()
        self._closing = False
        self._running: set[str] = set()
        self._counted: set[str] = set()  # those whose attempt the image counts, until they end
        self._suspects: frozenset[str] | None = None  # what may have killed the last kernel
        self._one_suspect = asyncio.Lock()
        self._stops = Counter[str]()  # how often each stood still as the image could not be used

    def open(self) -> None:
        """Let missions run; until then they wait in their first state."""
        self._ready.set()

    @property
    def queued(self) -> int:
        """How many missions have not ended."""
        return len(self._jobs)

    def running(self) -> set[str]:
        """Return the ids of the missions that have a task."""
        return set(self._jobs)

    @contextlib.contextmanager
    def room(self, session: str) -> Iterator[None]:
        """Hold a place for one more brief until it is stored and started.

        Raises:
            BusyError: MAX_QUEUED briefs wait, or MAX_PER_SESSION of this session.
            ShuttingDownError: The kernel is going down.
        """
        self._check_open()
        waiting = len(self._jobs) + len(self._coming)
        if waiting >= MAX_QUEUED:
            text = f"{MAX_QUEUED} briefs are waiting"
            raise BusyError(text, self._pause(RUNNING), queued=waiting)
        mine = sum(job.session == session for job in self._jobs.values())
        mine += self._coming.count(session)
        if session and mine >= MAX_PER_SESSION:
            text = f"{MAX_PER_SESSION} briefs of this session are waiting"
            raise BusyError(text, self._pause(1), queued=mine)
        self._coming.append(session)
        try:
            yield
        finally:
            self._coming.remove(session)

    async def accept(self, brief: Brief, session: str, key: str, asked: str = "") -> Record:
        """Store a brief, or find the one with its key; return its record. Its mission runs now.

        ``asked`` is a digest of the request that the brief was made of: what is made of it a second
        time may differ.

        Raises:
            BusyError, ShuttingDownError: As ``room``; StorageError: as ``ImageStore.transact``.
            KeyReusedError, NotFoundError: The key has another brief; no such target.
        """
        mission_id = new_mission_id(now := time.time())
        place, busy = contextlib.ExitStack(), None
        try:
            place.enter_context(self.room(session))
        except BusyError as error:
            if not key:
                raise
            busy = error  # a known key needs no place

        def store(root: Any) -> Record:
            if busy is not None and not missions.id_of(root, key):
                raise busy
            find(root, brief.target)
            about, known = {"session": session, "accepted": now}, key or mission_id
            return missions.open_brief(
                root, brief, mission_id=mission_id, key=known, about=about, asked=asked
            )

        told: asyncio.Future[Record] = asyncio.get_running_loop().create_future()

        def begin(outcome: Record | BatError) -> None:
            cross("accept.stored")
            try:
                if not isinstance(outcome, BatError):
                    self.start(outcome)
            except BatError as error:  # it goes down: the next kernel runs it
                outcome = error
            place.close()  # held until it is started
            settle(told, outcome)

        cross("accept.before")
        self.writer.put(store, begin, f"accept {brief.target} {brief.selector}"[:70], mission_id)
        return await told

    def start(self, record: Record, *, resumed: bool = False) -> None:
        """Run a stored mission, unless it has ended or runs already, here or elsewhere.

        Raises:
            ShuttingDownError: The kernel is going down; the next one will run it.
        """
        if record.id in self._jobs or record.answer is not None or not self.is_own(record):
            return
        self._check_open()
        job = self._jobs[record.id] = _Job(record.session, resumed)
        if not resumed:  # its first state, which clients need not hear of
            first = notice(record.id, record.mission, {}) | {"at": record.accepted}
            self._write_down(first, record.mission)
        job.task = asyncio.create_task(self._run(record.id, job), name=f"mission {record.id}")
        job.task.add_done_callback(lambda task: self._forget(record.id, task))

    def is_own(self, record: Record) -> bool:
        """Return True if this kernel runs a mission."""
        return record.owner == self._context.kernel_id

    async def resume_failed(
        self, mission_id: str, *, more: bool = False, leave: Any = None
    ) -> None:
        """Have a mission that failed go on, from the state in which it failed.

        ``leave`` is as ``bat_os.image.desks.resume`` takes it.

        Raises:
            ArgumentsError: It did not fail, or needs ``more`` batches to go on.
            BusyError, ShuttingDownError: As ``room``.
        """
        with self.room(""):
            try:
                record = await self._context.image.transact(
                    lambda root: desks.resume(root, mission_id, more=more, leave=leave),
                    note="resume a mission that failed",
                    mission=mission_id,
                )
            except TransitionError as error:
                raise ArgumentsError(str(error)) from error
            self.announce(mission_id, record.mission, {"resumed": True, "more": more})
            self.start(record)

    async def result(self, mission_id: str, listener: Listener | None = None) -> dict[str, Any]:
        """Wait for a mission's end and return its answer; the listener hears of its states."""
        cross("accept.told")
        job = self._jobs.get(mission_id)
        if job is None or job.task is None:
            return await self._stored(mission_id, listener)
        if listener is not None:
            job.listeners.append(listener)
        try:
            return await asyncio.shield(job.task)
        except FencedError:  # another kernel has it
            return await self._stored(mission_id, listener)
        finally:
            if listener is not None:
                job.listeners.remove(listener)

    def cancel(self, mission_id: str) -> bool:
        """Withdraw a mission, also one that waits; return False when it does not run."""
        job = self._jobs.get(mission_id)
        if job is None or job.task is None or job.ending:
            return False
        if not job.withdrawn:
            job.withdrawn = True
            if job.begun:  # a task that has not had its first step would end without a word
                job.task.cancel()
        return True

    @contextlib.contextmanager
    def cancellable(self, key: str) -> Iterator[None]:
        """Let ``cancel_turn`` end what runs inside the ``with`` block of this task."""
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("only a task can be cancelled")
        self._turns[key] = task
        try:
            yield
        except asyncio.CancelledError:
            if key in self._turns:  # the client, or the kernel that shuts down
                raise
            task.uncancel()
            raise CancelledError("cancelled by the asker") from None
        finally:
            self._turns.pop(key, None)

    def cancel_turn(self, key: str) -> bool:
        """Cancel the turn that answers a message with this key; return False if none runs."""
        task = self._turns.pop(key, None)
        return task is not None and task.cancel()

    async def resume(self) -> int:
        """Take up what is unfinished and does not run; return how many missions."""
        image = self._context.image
        if is_first := self._suspects is None:
            self._suspects = self._find_suspects()
        unfinished = await image.transact(desks.look, note="look for unfinished missions")
        await self.begin(unfinished.own, resumed=is_first)
        return len(unfinished.own)

    async def begin(
        self, mission_ids: Iterable[str], *, resumed: bool = False, suspect: bool = False
    ) -> None:
        """Run stored missions that do not run; ``suspect``: alone, if a kernel died of them."""
        for mission_id in [one for one in mission_ids if one not in self._jobs]:
            try:
                record = await self._context.image.transact(
                    partial(missions.check, mission_id=mission_id), note="check a mission"
                )
                if suspect and record.attempts:
                    self._suspects = (self._suspects or frozenset()) | {mission_id}
                self.start(record, resumed=resumed)
            except BatError:  # one bad record must not keep the kernel down
                log.exception("mission %s is left alone", mission_id)

    def _find_suspects(self) -> frozenset[str]:
        """Return what may have killed the last kernel; what cannot have done so is not counted.

        Only a mission that ran alone can be known to have killed it.
        """
        left, theirs = self.ledger.read(), self.ledger.may_be_theirs
        guilty = left.ran if theirs and len(left.ran) == 1 else frozenset()
        self._counted = set(left.counted - guilty)  # the attempt goes on with this kernel
        self._note()
        if left.ran:
            what = "may have killed the last kernel" if theirs else "ran when it was ended"
            log.warning("what %s: missions %s", what, ", ".join(sorted(left.ran)))
        return left.ran if theirs else frozenset()

    def _note(self) -> None:
        self.ledger.write(self._running, self._counted)

    async def close(self) -> None:
        """Stop all missions where they stand; the image knows where that is."""
        self._closing = True
        self.feed.close()
        self.changes.close()
        jobs = dict(self._jobs)
        tasks = [job.task for job in jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        counted = list(self._counted)
        try:
            if counted:
                await self._context.image.transact(
                    lambda root: desks.put_down(root, counted), note="put missions down"
                )
            self._counted.clear()
        except BatError:  # a full disk, or a lost file; the next kernel does it
            log.exception("missions were not put down")
        self._running.clear()
        self._note()

    async def _run(self, mission_id: str, job: _Job) -> dict[str, Any]:
        seconds = self._context.options.mission_seconds
        job.begun = True
        if job.withdrawn and job.task is not None:
            job.task.cancel()  # takes effect at the first await that has to wait
        try:
            await self._ready.wait()
            async with self._place(mission_id, job), asyncio.timeout(seconds):
                started = time.monotonic()
                if job.counts:
                    await self._take_up(mission_id)
                answer = await self._cycle.run(mission_id)
                self._usual_seconds += (time.monotonic() - started - self._usual_seconds) / 4
                self._counted.discard(mission_id)
                self._stops.pop(mission_id, None)
                return answer
        except asyncio.CancelledError:
            if self._closing or not job.withdrawn:
                raise
            error: BatError = CancelledError("cancelled by the asker")
        except TimeoutError:
            error = DeadlineError(
                f"gave up after {seconds:.0f} s{_busy()}; the setting mission_seconds allows more"
            )
        except StorageError as caught:
            if self._is_left(mission_id):
                raise
            error = caught
        except BatError as caught:
            error = caught
        except Exception as fault:  # one request: a fault of ours must not take the kernel down
            log.exception("mission %s", mission_id)
            error = as_fault(fault)
        job.ending = True
        self._stops.pop(mission_id, None)
        await self._cycle.fail(mission_id, error)
        self._counted.discard(mission_id)
        self._note()
        return await self._stored(mission_id)

    def _is_left(self, mission_id: str) -> bool:
        """Return whether a mission stays where it stands until the image can be used again."""
        self._stops[mission_id] += 1
        return self._context.image.in_doubt and self._stops[mission_id] <= MAX_STOPS

    @contextlib.asynccontextmanager
    async def _place(self, mission_id: str, job: _Job) -> AsyncIterator[None]:
        """Hold a place for a mission; all of them for one that may have killed a kernel."""
        async with contextlib.AsyncExitStack() as held:
            wanted = 1
            if self._suspects and mission_id in self._suspects:
                record = await self._cycle.read(mission_id)
                if record.attempts == desks.MAX_ATTEMPTS - 1:
                    await asyncio.sleep(SERVE_FIRST)
                await held.enter_async_context(self._one_suspect)
                wanted = RUNNING
            for _ in range(wanted):
                await held.enter_async_context(self._places.enter(job.session))
            self._running.add(mission_id)
            if job.resumed and mission_id not in self._counted:
                self._counted.add(mission_id)  # before it is: what is being committed counts
                job.counts = True
            self._note()
            try:
                yield
            finally:
                self._running.discard(mission_id)
                self._note()

    async def _take_up(self, mission_id: str) -> None:
        """Count that this kernel runs what an earlier one left."""
        image = self._context.image
        if await image.transact(
            lambda root: desks.take_up(root, mission_id), note="take up a mission"
        ):
            return
        await image.transact(  # it does not run: the kernels that died of it stay counted
            lambda root: desks.put_down(root, [mission_id]), note="put a mission down"
        )
        raise CancelledError(
            f"gave up after {desks.MAX_ATTEMPTS} kernel crashes, each while only this request "
            "ran, again after an earlier one"
        )

    def _forget(self, mission_id: str, task: asyncio.Task[dict[str, Any]]) -> None:
        self._jobs.pop(mission_id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            coded = isinstance(error, BatError)  # a full disk, say, which is reported elsewhere too
            level = logging.WARNING if coded else logging.ERROR
            log.log(level, "mission %s has stopped: %r", mission_id, error)

    def _pause(self, at_once: int) -> int:
        """Return in how many milliseconds a place should be free, where so many run at once."""
        milliseconds = int(self._usual_seconds / at_once * 1000)
        return min(max(milliseconds, _SOONEST_MS), _LATEST_MS)

    def _check_open(self) -> None:
        if self._closing:
            raise ShuttingDownError("the daemon is shutting down; ask again in a moment")

    async def _stored(self, mission_id: str, listener: Listener | None = None) -> dict[str, Any]:
        record = await self._cycle.read(mission_id)
        if record.answer is None and self.elsewhere is not None:
            return await self.elsewhere(mission_id, listener)
        if record.answer is None:
            raise NotFoundError(f"the mission {mission_id} has not ended, and does not run")
        return record.answer

    def announce(self, mission_id: str, mission: Mission, detail: dict[str, Any]) -> None:
        """Publish a mission's new state, which is committed."""
        event = notice(mission_id, mission, detail)
        job = self._jobs.get(mission_id.partition(".")[0])  # what an errand does, too
        for listener in list(job.listeners) if job else ():
            listener(event)
        self._write_down(self.feed.publish(event, mission), mission)
        cross(mission.state.value)

    def tell(self, due: Mapping[str, Any], line: str) -> None:
        """Publish that something is due; only the journal gets its words."""
        event = self.feed.tell("something is due", {"due": due["key"]})
        self._journal(write_due(event, line))

    def _write_down(self, event: Mapping[str, Any], mission: Mission) -> None:
        for line in write_journal(event, mission):
            self._journal(line)


def _busy() -> str:
    """Return how busy this machine is, if it is; "" where nothing tells."""
    cores = os.cpu_count() or 1
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    shown = f"{cores} core" if cores == 1 else f"{cores} cores"
    return f" (the machine is busy: load {load:.0f} on {shown})" if load > cores else ""
