"""Missions as tasks: start, watch, resume, stop. One task per unfinished brief.

A mission belongs to the image, not to whoever asked: when a client goes away, its mission
goes on, and when the kernel is killed, the next one takes the mission up again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import State
from bat_os.errors import BatError, BusyError, CancelledError, DeadlineError, NotFoundError
from bat_os.image import missions
from bat_os.image.states import WHO
from bat_os.kernel.cycle import CognitiveCycle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.core.mission import Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.mind import Mind

    Listener = Callable[[Mapping[str, Any]], None]

log = logging.getLogger(__name__)

MAX_QUEUED: Final = 256
MAX_PER_SESSION: Final = 16
RUNNING: Final = 4
_PERCENT: Final = {
    State.IDLE: 0,
    State.DECOMPOSING: 10,
    State.DELEGATING: 30,
    State.SYNTHESIZING: 40,
    State.VALIDATING: 80,
    State.COMPLETE: 100,
    State.FAILED: 100,
}


@dataclass(slots=True, eq=False)
class _Job:
    """One mission that this kernel runs."""

    session: str
    task: asyncio.Task[dict[str, Any]]
    cancel: threading.Event = field(default_factory=threading.Event)
    listeners: list[Listener] = field(default_factory=list)


class Scheduler:
    """Runs missions, RUNNING of them at a time, and tells listeners what happens."""

    def __init__(self, mind: Mind, journal: Listener) -> None:
        self._mind = mind
        self._journal = journal
        self._cycle = CognitiveCycle(mind, self._announce)
        self._jobs: dict[str, _Job] = {}
        self._room = asyncio.Semaphore(RUNNING)
        self._ready = asyncio.Event()

    def open(self) -> None:
        """Let missions run; until then they wait in their first state."""
        self._ready.set()

    @property
    def queued(self) -> int:
        """How many missions have not ended."""
        return len(self._jobs)

    def check_room(self, session: str) -> None:
        """Return nothing when one more brief may come.

        Raises:
            BusyError: MAX_QUEUED briefs wait, or MAX_PER_SESSION of this session.
        """
        if len(self._jobs) >= MAX_QUEUED:
            raise BusyError(f"{MAX_QUEUED} briefs are waiting", queued=len(self._jobs))
        mine = sum(job.session == session for job in self._jobs.values())
        if session and mine >= MAX_PER_SESSION:
            raise BusyError(f"{MAX_PER_SESSION} briefs of this session are waiting", queued=mine)

    def start(self, record: Record) -> None:
        """Run a stored mission, unless it runs already."""
        if record.id in self._jobs or record.answer is not None:
            return
        cancel = threading.Event()
        task = asyncio.create_task(self._run(record, cancel), name=f"mission {record.id}")
        self._jobs[record.id] = _Job(record.session, task, cancel)
        task.add_done_callback(lambda _: self._jobs.pop(record.id, None))

    async def result(self, mission_id: str, listener: Listener | None = None) -> dict[str, Any]:
        """Wait for a mission's end and return its answer; the listener hears of its states."""
        job = self._jobs.get(mission_id)
        if job is not None:
            if listener is not None:
                job.listeners.append(listener)
            try:
                return await asyncio.shield(job.task)
            finally:
                if listener is not None:
                    job.listeners.remove(listener)
        return await self._stored(mission_id)

    def cancel(self, mission_id: str) -> bool:
        """Withdraw a mission; return False when it does not run."""
        job = self._jobs.get(mission_id)
        if job is not None:
            job.cancel.set()
        return job is not None

    async def resume(self) -> int:
        """Take up what an earlier kernel left unfinished; return how many missions."""
        found = await self._mind.image.transact(
            missions.take_up, note="take up unfinished missions"
        )
        for record, may_run in found:
            if may_run:
                self.start(record)
            else:
                text = f"it was running when {missions.MAX_ATTEMPTS} kernels died"
                await self._cycle.fail(record.id, CancelledError(text))
        return len(found)

    async def close(self) -> None:
        """Stop all missions where they stand; the image knows where that is."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.task.cancel()
        await asyncio.gather(*(job.task for job in jobs), return_exceptions=True)

    async def _run(self, record: Record, cancel: threading.Event) -> dict[str, Any]:
        await self._ready.wait()
        seconds = self._mind.options.mission_seconds
        try:
            async with self._room, asyncio.timeout(seconds):
                return await self._cycle.run(record.id, cancel)
        except TimeoutError:
            error: BatError = DeadlineError(f"the mission took over {seconds:.0f} s")
        except BatError as caught:
            error = caught
        except Exception:  # one request: a fault of ours must not take the kernel down
            log.exception("mission %s", record.id)
            error = BatError("the kernel has a fault; its log has the details")
        await self._cycle.fail(record.id, error)
        return await self._stored(record.id)

    async def _stored(self, mission_id: str) -> dict[str, Any]:
        record = await self._mind.image.transact(
            lambda root: missions.read(root, mission_id), note="read a mission"
        )
        if record.answer is None:
            raise NotFoundError(f"the mission {mission_id} has not ended, and does not run")
        return record.answer

    def _announce(self, mission_id: str, mission: Mission, detail: dict[str, Any]) -> None:
        who, does = WHO[mission.state]
        notice = {
            "brief_id": mission_id,
            "seq": len(mission.events),
            "state": str(mission.state),
            "persona": detail.get("persona", who),
            "does": does,
            "pct": _PERCENT[mission.state],
            "detail": detail,
        }
        brief = mission.brief
        self._journal(
            {"at": time.time(), "target": brief.target, "selector": brief.selector} | notice
        )
        job = self._jobs.get(mission_id)
        for listener in list(job.listeners) if job else ():
            listener(notice)
        if self._mind.options.failpoint == f"{mission.state}:kill":
            os.kill(os.getpid(), signal.SIGKILL)
