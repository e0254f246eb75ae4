"""A lock on a file, and bytes that are on the disk when a call returns."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from zc.lockfile import LockFile

if TYPE_CHECKING:
    from pathlib import Path


class Lock(LockFile):
    """A lock that is released if its file cannot be written, on a full disk say."""

    def __init__(self, path: str) -> None:
        """Take the lock at ``path``."""
        try:
            super().__init__(path)
        except OSError:
            with contextlib.suppress(OSError):  # what could not be written stays unwritten
                self.close()
            raise


def sync_file(path: Path) -> None:
    """Bring a file, or the names in a folder, onto the disk."""
    if os.name == "nt" and path.is_dir():
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
