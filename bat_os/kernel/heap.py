"""The C library's heap: what a burst of work has freed goes back to the system.

glibc keeps freed memory for later. Each thread takes it from an arena of its own, and the free end
of an arena is given back for the main one only: so after large requests a kernel with a dozen
threads would hold a hundred megabytes that nothing is in. Here all threads share the main arena
(Python's lock lets one of them run at a time anyway), and it is trimmed once a burst is over.

Another C library than glibc is left as it is.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from pathlib import Path
from typing import Final

EVERY: Final = 1.0  # seconds
GROWN: Final = 4 << 20  # bytes of memory more than after the last trim; a trim takes milliseconds
_ARENA_MAX: Final = -8  # M_ARENA_MAX of malloc.h
_STATM: Final = Path("/proc/self/statm")


def share_arena() -> None:
    """Have all threads of this process take memory from the main arena; call it before they run."""
    if has_glibc():
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def has_glibc() -> bool:
    """Return True if this process uses a C library whose heap can be trimmed."""
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "malloc_trim")


async def keep_trimming(every: float = EVERY) -> None:
    """Trim the heap whenever memory has grown, for ever; run it as a task."""
    if not has_glibc():
        return
    trim, held = ctypes.CDLL(None).malloc_trim, 0
    while True:
        await asyncio.sleep(every)
        held = min(held, _resident())
        if _resident() - held > GROWN:
            await asyncio.to_thread(trim, 0)
            held = _resident()


def _resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
