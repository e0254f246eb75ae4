"""What the kernel does for its image unasked, now and then, while it serves."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from bat_os.errors import BatError
from bat_os.image.files import clock_jumps as clock
from bat_os.image.files import pack as housekeeping

if TYPE_CHECKING:
    from bat_os.image.store import ImageStore

log = logging.getLogger(__name__)

EVERY: Final = 600.0


async def keep_house(image: ImageStore, *, every: float = EVERY) -> None:
    """Look at once and then every so many seconds whether a pack is due; ends when cancelled.

    What stands in the way (a backup, a full disk) is logged, and the next look tries again.
    """
    while True:
        try:
            now = time.time()
            steady = await image.transact(
                lambda root, now=now: clock.look(root, now),  # type: ignore[misc] # mypy cannot infer a lambda with a default
                note="look at the clock",
            )
            told = await housekeeping.tend(image, now=now, steady=steady)
            if told is not None:
                log.info("packed the image: %s bytes, before %s", told["after"], told["before"])
        except BatError as error:
            log.warning("housekeeping: %s", error)
        await asyncio.sleep(every)
