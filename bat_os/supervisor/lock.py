"""A file that one process at a time can hold, and that frees itself when the process dies.

The same locks as ``zc.lockfile`` (``flock``, or the first byte on Windows), with the standard
library only: set-up needs one before anything is installed. The file is never deleted: a process
that waits for it would end up with a lock on a file that no other process can see.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Self

from bat_os.errors import LockedError

if TYPE_CHECKING:
    from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """An exclusive lock on ``path``, held until ``release`` or the end of the process.

    Attributes:
        descriptor: Of the open file. A child that inherits it keeps the lock with us.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = -1

    def acquire(self, *, patience: float = 0.5) -> Self:
        """Take the lock and return self.

        Args:
            patience: Seconds to keep trying; ``is_held`` takes the lock for a moment.

        Raises:
            LockedError: Another process holds it.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        give_up = time.monotonic() + patience
        while True:
            try:
                _lock(descriptor)
            except OSError as error:
                if time.monotonic() >= give_up:
                    os.close(descriptor)
                    raise LockedError(f"{self._path} is held by another process") from error
                time.sleep(0.02)
            else:
                self.descriptor = descriptor
                return self

    def release(self) -> None:
        """Let go. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Return True when some process holds the lock on ``path``."""
    if not path.exists():
        return False
    try:
        FileLock(path).acquire(patience=0.0).release()
    except LockedError:
        return True
    return False
