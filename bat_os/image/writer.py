"""Short commits of one kernel: those that wait for the one before go together.

    write --+                       +--> done
    write --+--> one transaction ---+
    write --+    the next ones gather

A commit ends with an fsync, or waits for a server, which takes longer than everything else:
shared, its price is divided by how many wait. Work that is refused does not affect the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bat_os.image.store import ImageStore

    # The work, the callback for its outcome, the note and the mission.
    _Waiting = tuple[Callable[[Any], Any], Callable[[Any], None], str, str]

MAX_TOGETHER: Final = 256

log = logging.getLogger(__name__)


class Writer:
    """Gathers commits; belongs to one event loop."""

    def __init__(self, image: ImageStore) -> None:
        self._image = image
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    def put(
        self, work: Callable[[Any], Any], tell: Callable[[Any], None], note: str, mission: str = ""
    ) -> _Waiting:
        """Have ``work(root)`` committed; ``tell`` gets what it returned, or a BatError.

        It raises a BatError before it has changed anything, or none.
        """
        waiting = work, tell, note, mission
        self._waiting.append(waiting)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(), name="write")
        return waiting

    async def write(self, work: Callable[[Any], Any], *, note: str, mission: str = "") -> Any:
        """Return what ``work(root)`` returned, once it is committed; as ``ImageStore.transact``.

        What is cancelled while it waits is not written.
        """
        told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        mine = self.put(work, partial(settle, told), note, mission)
        try:
            return await asyncio.shield(told)
        except asyncio.CancelledError:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:  # it has begun, and what follows has to see what became of it
                await asyncio.wait([told])
                told.exception()
            raise

    async def _write(self) -> None:
        while together := self._waiting[:MAX_TOGETHER]:
            del self._waiting[:MAX_TOGETHER]
            outcomes = await self._commit(together)
            for (_, tell, *_), outcome in zip(together, outcomes, strict=True):
                tell(outcome)

    async def _commit(self, together: list[_Waiting]) -> list[Any]:
        notes = Counter(note for *_, note, _ in together)
        note = "; ".join(f"{one} ({n})" if n > 1 else one for one, n in notes.items())[:70]
        mission = together[0][-1] if len(together) == 1 else ""
        failed: BatError
        try:
            return await self._image.transact(
                lambda root: [_try(work, root) for work, *_ in together], note=note, mission=mission
            )
        except BatError as error:
            failed = error
        except Exception:  # one request, or several: their askers must hear of it
            log.exception("%s", note)
            failed = BatError("internal error; the daemon's log has the details")
        return [failed for _ in together]


def settle(told: asyncio.Future[Any], outcome: Any) -> None:
    """Give a future the outcome of a commit, unless its task was cancelled."""
    if not told.done():
        (told.set_exception if isinstance(outcome, BatError) else told.set_result)(outcome)


def _try(work: Callable[[Any], Any], root: Any) -> Any:
    try:
        return work(root)
    except BatError as error:  # nothing of it was written
        return error
