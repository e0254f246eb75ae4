"""When the daemon does less: on battery, while others compute, in heat, and with little memory.

    the machine > Politeness.reason > idle work and exams sleep
                                    > models that nobody has used for a minute leave memory
                                    > ``status`` says so

This is the one place that decides it. The setting ``polite`` = false has the machine used as if it
were always on mains and alone. What a person asks for is done at any time.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import psutil

from bat_os.models.machine import is_on_mains

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0  # between two looks: one wake-up a minute
KEEP_SECONDS: Final = 60.0  # that an unused model stays in memory meanwhile
LOAD: Final = 0.5  # cores that others use
MEMORY: Final = 1 << 30
HOT: Final = 80.0  # degrees Celsius


def why_busy() -> str:
    """Return why the machine is better left alone, or ""; takes a second."""
    if not is_on_mains():
        return "it runs on its battery"
    own = psutil.Process()
    before = sum(own.cpu_times()[:2])
    used = psutil.cpu_percent(1.0) * (psutil.cpu_count() or 1) / 100
    used -= sum(own.cpu_times()[:2]) - before  # others count, not this process
    if used > LOAD:
        return "other programs are at work"
    if psutil.virtual_memory().available < MEMORY:
        return "little memory is free"
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    if any(one.current and one.current > HOT for each in sensors.values() for one in each):
        return "the machine is hot"
    return ""


class Politeness:
    """Knows whether the daemon should do less now; belongs to one event loop.

    Args:
        polite: The setting; False: never less.
        look: Asks the machine, in a thread.
    """

    def __init__(self, *, polite: bool, look: Callable[[], str] = why_busy) -> None:
        self.polite = polite
        self.reason = ""  # why less is done now, or ""
        self._look = look

    async def ask(self) -> str:
        """Return why less should be done now, or ""."""
        if self.polite:
            found = await asyncio.to_thread(self._look)
            if bool(found) != bool(self.reason):
                log.info("the daemon does %s", f"less: {found}" if found else "all of its work")
            self.reason = found
        return self.reason

    async def keep(self, unload: Callable[[float], Awaitable[object]]) -> None:
        """Look once a minute; while less is done, ``unload`` models unused for so many seconds."""
        while self.polite:
            if await self.ask():
                await unload(KEEP_SECONDS)
            await asyncio.sleep(LOOK_SECONDS)
