"""Briefs are stored before they are acknowledged; those that arrive together, in one commit.

    accept --+                       +--> started and acknowledged
    accept --+--> one transaction ---+
    accept --+    the next ones gather

A commit ends with an fsync, which takes longer than everything else: shared, its price is
divided by how many wait. A brief that is refused does not affect the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError, BusyError
from bat_os.failpoints import cross
from bat_os.image import missions
from bat_os.image.objects import find

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.missions.scheduler import Scheduler

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

MAX_TOGETHER: Final = 256


@dataclass(slots=True, eq=False)
class _Entry:
    """One brief on its way into the image."""

    brief: Brief  # what is asked
    mission_id: str  # for its mission, if its key is not known
    key: str  # idempotency key; the mission's id if the client gave none
    about: dict[str, Any]  # ``session`` and ``accepted``
    stored: asyncio.Future[Record]  # gets the record; cancelled when its client goes away
    # its place in the queue, held until it is started
    place: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    busy: BusyError | None = None  # why it has none; a known key needs none

    def store(self, root: Root) -> Record | BatError:
        try:
            if self.busy is not None and not missions.id_of(root, self.key):
                return self.busy
            find(root, self.brief.target)
            return missions.open_brief(
                root, self.brief, mission_id=self.mission_id, key=self.key, about=self.about
            )
        except BatError as error:  # nothing of it was written
            return error


def new_mission_id(now: float) -> str:
    """Return an id for a mission that begins now; ids sort by time."""
    return f"{int(now * 1000):012x}{secrets.token_hex(6)}"


class Intake:
    """Stores briefs and starts their missions."""

    def __init__(self, context: KernelContext, scheduler: Scheduler) -> None:
        self._context = context
        self._scheduler = scheduler
        self._waiting: list[_Entry] = []
        self._writer: asyncio.Task[None] | None = None

    async def accept(self, brief: Brief, session: str, key: str) -> Record:
        """Store a brief, or find the one with the same key; return its record, committed.

        Its mission runs from then on, even if the client goes away.

        Raises:
            BusyError: No room for one more, here or for this session.
            KeyReusedError: The key is known with another brief.
            NotFoundError: No such target.
            ShuttingDownError: The kernel is going down.
            StorageFullError: The disk is full; nothing was stored.
            StorageError: The outcome is unknown; ask again with the key.
        """
        now = time.time()
        mission_id = new_mission_id(now)
        about = {"session": session, "accepted": now}
        stored: asyncio.Future[Record] = asyncio.get_running_loop().create_future()
        entry = _Entry(brief, mission_id, key or mission_id, about, stored)
        try:
            entry.place.enter_context(self._scheduler.room(session))
        except BusyError as error:
            if not key:
                raise
            entry.busy = error
        self._waiting.append(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="store briefs")
        return await stored

    async def _write(self) -> None:
        while self._waiting:
            together = self._waiting[:MAX_TOGETHER]
            del self._waiting[:MAX_TOGETHER]
            cross("accept.before")
            outcomes = await self._commit(together)
            cross("accept.stored")
            for entry, outcome in zip(together, outcomes, strict=True):
                self._settle(entry, outcome)

    async def _commit(self, together: list[_Entry]) -> list[Record | BatError]:
        first = together[0]
        note = f"accept {first.brief.target} {first.brief.selector}"[:70]
        if len(together) > 1:
            note = f"accept {len(together)} briefs"
        try:
            return await self._context.image.transact(
                lambda root: [entry.store(root) for entry in together],
                note=note,
                mission=first.mission_id if len(together) == 1 else "",
            )
        except BatError as error:
            return [error for _ in together]
        except Exception:  # one request, or several: their askers must hear of it
            log.exception("storing %d briefs", len(together))
            return [BatError("internal error; the daemon's log has the details") for _ in together]

    def _settle(self, entry: _Entry, outcome: Record | BatError) -> None:
        try:
            if not isinstance(outcome, BatError):
                self._scheduler.start(outcome)
        except BatError as error:  # going down: the next kernel runs it
            outcome = error
        entry.place.close()
        if entry.stored.done():
            return
        if isinstance(outcome, BatError):
            entry.stored.set_exception(outcome)
        else:
            entry.stored.set_result(outcome)
