"""The image file that is written: its commits, its pack, its lock.

A pack replaces the image by its new file in one rename, after that is on the disk. FileStorage
makes it two; ``bat_os.image.files.storage.finish_pack`` completes what was killed between them.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zc.lockfile import LockFile
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.fspack import FileStoragePacker
from ZODB.POSException import StorageError as LostError

from bat_os.failpoints import cross

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS: Final = 40  # that a pack reads between two rests
REST_SECONDS: Final = 0.0001


class Lock(LockFile):
    """A lock that lets go where its file cannot be written, on a full disk say."""

    def __init__(self, path: str) -> None:
        """Take the lock at ``path``.

        Raises:
            LockError: Another process holds it (``zc.lockfile``'s).
        """
        try:
            super().__init__(path)
        except OSError:
            with contextlib.suppress(OSError):  # what could not be written stays unwritten
                self.close()
            raise


class LiveFile(FileStorage):
    """An image file that is written.

    Where the end of a commit fails, say because fsync does, nobody knows what is on the disk.
    ZODB then closes the file; from there on everything is refused with ZODB's StorageError, and
    the file has to be opened anew by another process, which sees what is there.

    Attributes:
        on_loss: Called once when that has happened, in the thread that was committing.
        is_lost: It has.
    """

    is_lost = False

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``, made where there is none."""
        self.on_loss: Callable[[], object] = lambda: None
        try:
            super().__init__(
                str(path), blob_dir=f"{path}.blob", pack_keep_old=False, packer=_pack_durably
            )
        except BaseException:  # ZODB leaves them open, and the image locked
            for name in ("_file", "_tfile", "_lock_file"):
                if (left := getattr(self, name, None)) is not None:
                    left.close()
            raise

    def tpc_begin(self, *args: Any, **kwargs: Any) -> Any:
        """Begin a transaction."""
        return self._unless_lost(super().tpc_begin, *args, **kwargs)

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:  # noqa: N802 - ZODB's name
        """Return what an object was before a transaction."""
        return self._unless_lost(super().loadBefore, oid, tid)

    def tpc_vote(self, transaction: Any) -> Any:
        """Write the transaction, marked as not finished."""
        cross("commit.before")
        voted = super().tpc_vote(transaction)
        cross("commit.voted")
        return voted

    def _finish(self, tid: bytes, user: bytes, text: bytes, more: bytes) -> None:
        try:
            super()._finish(tid, user, text, more)
        except Exception as error:
            self.is_lost = True
            self.on_loss()
            raise LostError(f"a commit could not be ended: {error}") from error
        cross("commit.synced")

    def _finish_finish(self, tid: bytes) -> None:
        try:
            self._file.flush()
            cross("commit.written")
            super()._finish_finish(tid)
        except Exception:
            self.is_lost = True  # before ZODB closes the file under those that use it
            raise

    def _unless_lost(self, do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._check()
        try:
            return do(*args, **kwargs)
        except ValueError:  # closed meanwhile
            self._check()
            raise

    def _check(self) -> None:
        if self.is_lost:
            raise LostError("a commit could not be ended; the image has to be opened again")


def _rest_between(read: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``read``, with a rest after every so many calls."""
    count = 0

    def read_and_rest(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count % RECORDS == 0:
            time.sleep(REST_SECONDS)
        return read(*args, **kwargs)

    return read_and_rest


class _Packer(FileStoragePacker):
    """Lets others run, and syncs most of the new file before it stops others from committing.

    Packing is Python at work without a pause; who waits for the interpreter beside it waits for
    five milliseconds, several times a message. So it rests for a moment now and then.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for reader in (self, self.gc):
            reader._read_data_header = _rest_between(reader._read_data_header)

    def copyToPacktime(self) -> Any:  # noqa: N802 - ZODB's name
        """Return what ZODB's does."""
        done = super().copyToPacktime()
        self._tfile.flush()
        os.fsync(self._tfile.fileno())
        return done


def _pack_durably(storage: Any, referencesf: Any, stop: bytes, gc: bool) -> Any:
    packer = _Packer(storage, referencesf, stop, gc)
    try:
        end = packer.pack()  # with the commit lock held, where there is something to switch to
    finally:
        packer.close()
    if end is None:
        return None
    try:
        sync_file(Path(f"{storage.getName()}.pack"))
        cross("pack.synced")
        storage._clear_index()  # it is of the old file
    except BaseException:
        storage._commit_lock.release()
        raise
    return end, packer.index


def sync_file(path: Path) -> None:
    """Bring a file, or the names in a folder, onto the disk."""
    if os.name == "nt" and path.is_dir():
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
