"""A clock that can be set forward, for a Python process and all it starts.

    write_clock(folder) > environ of the processes > Clock.forward(seconds)

A process that has this module as its ``sitecustomize`` reads all times, those that never jump
included, with what the file in ``BATOS_CLOCK`` adds to them, so its timers go off as if it had
waited. The file is mapped: a change counts at once, in every process.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import gc
import mmap
import os
import selectors
import shutil
import struct
import time
from pathlib import Path

FILE = "BATOS_CLOCK"
LOOK = 0.02  # seconds after which an event loop looks at the clock again
_LAYOUT = struct.Struct("d")


class Clock:
    """What time it is for the processes that have its file."""

    def __init__(self, folder: Path) -> None:
        """Make the file, and a folder that lets processes read it."""
        self._folder, self._ahead = folder, 0.0
        folder.mkdir()
        (folder / "ahead").write_bytes(_LAYOUT.pack(0.0))
        shutil.copy(__file__, folder / "sitecustomize.py")
        with (folder / "ahead").open("r+b") as stream:
            self._map = mmap.mmap(stream.fileno(), _LAYOUT.size)

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment."""
        return {"PYTHONPATH": str(self._folder), FILE: str(self._folder / "ahead")}

    def now(self) -> float:
        """Return the Unix seconds that it is there."""
        return time.time() + self._ahead

    def forward(self, seconds: float) -> None:
        """Let so many seconds go by there."""
        self._ahead += seconds
        _LAYOUT.pack_into(self._map, 0, self._ahead)


def install(file: str) -> None:
    """Have this process read its times from the file."""
    with Path(file).open("rb") as stream:
        held = mmap.mmap(stream.fileno(), _LAYOUT.size, access=mmap.ACCESS_READ)

    def shifted(read):
        return lambda: read() + _LAYOUT.unpack_from(held)[0]

    time.time, time.monotonic = shifted(time.time), shifted(time.monotonic)
    time.time_ns = lambda: int(time.time() * 1e9)
    time.monotonic_ns = lambda: int(time.monotonic() * 1e9)
    _put(dt.datetime, now=lambda cls, tz=None: cls.fromtimestamp(time.time(), tz))
    _put(dt.date, today=lambda cls: cls.fromtimestamp(time.time()))
    select = selectors.DefaultSelector.select
    selectors.DefaultSelector.select = lambda self, timeout=None: select(
        self, LOOK if timeout is None else min(timeout, LOOK)
    )


def _put(cls: type, **methods) -> None:
    """Put class methods into a class of C, whose objects C code has to know."""
    names = gc.get_referents(cls.__dict__)[0]
    names.update({name: classmethod(method) for name, method in methods.items()})
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))


if __name__ == "sitecustomize" and os.environ.get(FILE):
    install(os.environ[FILE])
