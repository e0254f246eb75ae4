"""The C library's heap: what a burst of work has freed goes back to the system.

glibc keeps freed memory for later. Each thread takes it from an arena of its own, and the free end
of an arena is given back for the main one only: so after large requests a kernel with a dozen
threads would hold a hundred megabytes that nothing is in. Here all threads share the main arena
(Python's lock lets one of them run at a time anyway), and it is trimmed when much of it is free:
much may be freed long after a burst, when Python finds what refers to itself.

Another C library than glibc is left as it is.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY: Final = 1.0  # seconds
GROWN: Final = 4 << 20  # bytes more than the last trim left; a trim takes milliseconds
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
    """Trim the heap whenever more of it is free, for ever; run it as a task."""
    if not has_glibc():
        return
    library = ctypes.CDLL(None)
    measure, left = _measure_of(library), 0
    while True:
        await asyncio.sleep(every)
        left = min(left, measure())
        if measure() - left > GROWN:
            await asyncio.to_thread(library.malloc_trim, 0)
            left = measure()


class _Info(ctypes.Structure):
    """``struct mallinfo2`` of malloc.h: ten sizes; the ninth is what is free."""

    _fields_ = (("before", ctypes.c_size_t * 8), ("free", ctypes.c_size_t),
                ("top", ctypes.c_size_t))  # fmt: skip


def _measure_of(library: ctypes.CDLL) -> Callable[[], int]:
    """Return what counts the free bytes of the heap; before glibc 2.33, all of this process."""
    if not hasattr(library, "mallinfo2"):
        return _resident
    library.mallinfo2.restype = _Info
    return lambda: int(library.mallinfo2().free)


def _resident() -> int:
    """Return the bytes of memory that this process holds."""
    return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
