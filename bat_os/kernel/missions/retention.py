"""Answers are kept for seven days; this forgets the older ones, at start and once a day.

What a mission went through stays as a packed record (``bat_os.image.history.experience``).
After a jump of the clock nothing is forgotten for as long (``bat_os.image.files.clock_jumps``).
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from bat_os.errors import BatError
from bat_os.image import missions
from bat_os.image.files import clock_jumps as clock
from bat_os.image.history import experience

if TYPE_CHECKING:
    from bat_os.image.store import ImageStore

log = logging.getLogger(__name__)

EVERY: Final = 86_400.0
AT_ONCE: Final = 500  # missions that one transaction looks at


async def prune_answers(image: ImageStore, now: float) -> int:
    """Forget what ended over KEEP_SECONDS before ``now``; return how many missions.

    What has not ended stays, however old. Each transaction is short, so the rest of the
    kernel does not wait.

    Raises:
        BatError: The image cannot be written; what is done so far stays done.
    """
    before, gone = now - missions.KEEP_SECONDS, 0
    after: str | None = ""
    while after is not None:
        start = after
        more, after = await image.transact(
            lambda root, start=start: missions.prune(  # type: ignore[misc] # mypy cannot infer a lambda with a default
                root, before, start, AT_ONCE, experience.keep
            ),
            note="prune old missions",
        )
        gone += more
    return gone


async def prune_if_sure(image: ImageStore, now: float) -> int:
    """Do as ``prune_answers``, unless the clock jumped less than KEEP_SECONDS ago.

    Raises:
        BatError: As ``prune_answers``.
    """
    steady = await image.transact(lambda root: clock.look(root, now), note="look at the clock")
    if steady < missions.KEEP_SECONDS:
        log.warning("the clock has jumped: answers are kept for now")
        return 0
    return await prune_answers(image, now)


async def keep_pruning(image: ImageStore) -> None:
    """Prune now and once a day; ends when it is cancelled."""
    while True:
        try:
            if gone := await prune_if_sure(image, time.time()):
                log.info("forgot %d missions that ended over 7 days ago", gone)
        except BatError as error:  # a full disk, say; tomorrow is another day
            log.warning("old missions are kept for now: %s", error)
        await asyncio.sleep(EVERY)
