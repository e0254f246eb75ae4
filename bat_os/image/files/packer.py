"""Writes the packed image file; other threads run meanwhile, and it is on the disk when it serves.

``FileStorage.pack`` calls ``pack_durably`` and then puts the new file in its place, with the
commit lock held. That takes two renames; ``finish_pack`` completes a pack that was killed between
them.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ZODB.FileStorage.fspack import FileStoragePacker

from bat_os.failpoints import cross
from bat_os.image.files.durable import Lock

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS: Final = 40  # that a pack reads between two pauses
PAUSE_SECONDS: Final = 0.0001


def finish_pack(path: Path) -> None:
    """Complete or clear away a pack that was killed."""
    new, old = Path(f"{path}.pack"), Path(f"{path}.old")
    if not (new.exists() or old.exists()):
        return
    lock = Lock(f"{path}.lock")
    try:
        if not path.exists() and old.exists():
            (new if new.exists() else old).rename(path)  # the new one is on the disk by then
        if path.exists():
            new.unlink(missing_ok=True)
            old.unlink(missing_ok=True)
    finally:
        lock.close()


def _pause_between(read: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``read``, with a pause after every RECORDS calls."""
    count = 0

    def read_and_pause(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count % RECORDS == 0:
            time.sleep(PAUSE_SECONDS)
        return read(*args, **kwargs)

    return read_and_pause


class _Held:
    """A lock that notes whether we hold it."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self.is_held = False

    def acquire(self) -> None:
        self._lock.acquire()
        self.is_held = True

    def release(self) -> None:
        self.is_held = False
        self._lock.release()


class _Packer(FileStoragePacker):
    """Lets other threads run, and syncs most of the new file before it stops their commits.

    A pack would keep the interpreter busy without a pause, and every other thread would wait five
    milliseconds for it (Python's switch interval), several times a message. One that fails lets go
    of the commit lock, whatever failed: on a full disk ZODB's trips over closing its files, and
    nobody could commit again.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._commit_lock: _Held = _Held(args[0]._commit_lock)
        for reader in (self, self.gc):
            reader._read_data_header = _pause_between(reader._read_data_header)

    def pack(self) -> Any:
        """Return what ZODB's does."""
        try:
            return super().pack()
        except BaseException:
            if self._commit_lock.is_held:
                self._commit_lock.release()
            raise

    def writePackedDataRecord(self, h: Any, data: bytes | None, new_tpos: int) -> None:  # noqa: N802 - ZODB's name
        """Write a record from before the time of the pack, compressed."""
        super().writePackedDataRecord(h, self._storage.as_written(h.oid, data), new_tpos)

    def fetchDataViaBackpointer(self, oid: bytes, back: int) -> bytes | None:  # noqa: N802 - ZODB's name
        """Return what an undone change leads back to, as it lies in the new file."""
        data: bytes | None = super().fetchDataViaBackpointer(oid, back)
        return self._storage.as_written(oid, data) if back < self.gc.packpos else data

    def copyToPacktime(self) -> Any:  # noqa: N802 - ZODB's name
        """Return what ZODB's does."""
        done = super().copyToPacktime()
        self._tfile.flush()
        os.fsync(self._tfile.fileno())
        return done


def pack_durably(storage: Any, referencesf: Any, stop: bytes, gc: bool) -> Any:
    """Write the packed file beside the old one; as ``FileStorage.packer``."""
    packer = _Packer(storage, referencesf, stop, gc)
    try:
        end = packer.pack()  # with the commit lock held, where there is something to switch to
    finally:
        with contextlib.suppress(OSError):  # nothing is left to be written, unless it failed
            packer.close()
    if end is None:
        return None
    try:
        with Path(f"{storage.getName()}.pack").open("r+b") as packed:
            os.fsync(packed.fileno())
        cross("pack.synced")
        storage._clear_index()  # it is of the old file
    except BaseException:
        storage._commit_lock.release()
        raise
    return end, packer.index
