"""The image file: its records are compressed, and what fails can never harm it.

    .z and zlib    a record of LEAST bytes and more, if that makes it shorter
    as it is       any other, all that programs before format 7 wrote, and the root: so every
                   program reads the number of the format, and says that the image is newer

No pickle begins with a dot, so each record says what it is. ZODB writes, copies and packs records
as they lie in the file; all that reads one gets it decompressed. What cannot be decompressed is
given as it is, and found damaged like any other that is not a pickle. The mark is that of
zc.zlibstorage, which wraps a storage; here the file itself has to be in hand (decision 29).

A pack replaces the image by its new file in one rename, once that is on the disk. FileStorage
needs two renames; ``packer.finish_pack`` completes a pack that was killed between them.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import FileIterator, TransactionRecord
from ZODB.FileStorage.format import CorruptedError
from ZODB.POSException import StorageError as LostError
from ZODB.utils import z64

from bat_os.errors import DamagedError, StorageError
from bat_os.failpoints import cross
from bat_os.image.files.blob_folder import mend_layout
from bat_os.image.files.durable import Lock
from bat_os.image.files.ending import Ending
from bat_os.image.files.packer import pack_durably
from bat_os.image.files.tail import FIRST, TORN, refuse_damaged, set_tail_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MARK: Final = b".z"
LEAST: Final = 256
LEVEL: Final = 1  # leaves 49% of a record in 0.06 ms; level 6, 47% in 0.10 ms
MOST: Final = 256 << 20  # bytes of a decompressed record; a larger one is damaged


def compress(record: bytes) -> bytes:
    """Return a record as it is written."""
    if not LEAST <= len(record) <= MOST or record.startswith(MARK):
        return record
    packed = MARK + zlib.compress(record, LEVEL)
    return packed if len(packed) < len(record) else record


def decompress(record: bytes) -> bytes:
    """Return a record as it was before it was written."""
    if not record.startswith(MARK):
        return record
    reader = zlib.decompressobj()
    try:
        plain = reader.decompress(memoryview(record)[len(MARK) :], MOST)
    except zlib.error:
        return record
    return plain if reader.eof and not reader.unused_data else record


class CompressedFile(FileStorage):
    """A FileStorage that compresses what it stores, and decompresses what it gives."""

    @staticmethod
    def as_written(oid: bytes, record: bytes | None) -> bytes | None:
        """Return the record of an object as it is written; None if its creation was undone."""
        return record if oid == z64 or not record else compress(record)

    transform_record_data = staticmethod(compress)  # of a resolved conflict; the root has none
    untransform_record_data = staticmethod(decompress)

    def __init__(self, *args: Any, **options: Any) -> None:
        """Open the file as ZODB does, and leave nothing open if that fails."""
        try:
            super().__init__(*args, **options)
        except BaseException as error:
            self._let_go()
            if options.get("read_only") and isinstance(error, TORN):
                refuse_damaged(Path(args[0]))
            raise
        self.registerDB(self)

    def _let_go(self) -> None:
        for name in ("_file", "_tfile", "_lock_file"):
            if (left := getattr(self, name, None)) is not None:
                with contextlib.suppress(OSError):  # what could not be written stays unwritten
                    left.close()

    def _check_sanity(self, index: Any, pos: int) -> Any:
        try:
            return super()._check_sanity(index, pos)
        except TORN:  # an index that points to what is no transaction does not fit
            return 0

    def registerDB(self, _wrapper: Any) -> None:  # noqa: N802 - ZODB's name
        """Have conflicts resolved, and blobs recognised, in decompressed records."""
        super().registerDB(self)

    def _read_data_header(self, pos: int, oid: bytes | None = None, _file: Any = None) -> Any:
        file = _file or self._file
        try:
            return super()._read_data_header(pos, oid, _file)
        except (CorruptedError, ValueError) as error:
            if file.closed:
                raise
            raise damaged_head(oid, pos) from error

    def load(self, oid: bytes, version: str = "") -> tuple[bytes, bytes]:
        """Return the record of an object and its transaction."""
        record, tid = super().load(oid, version)
        return decompress(record), tid

    def loadSerial(self, oid: bytes, serial: bytes) -> bytes:  # noqa: N802 - ZODB's name
        """Return what a transaction wrote of an object."""
        return decompress(super().loadSerial(oid, serial))

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, bytes | None] | None:  # noqa: N802 - ZODB's name
        """Return what an object was before a transaction."""
        found = super().loadBefore(oid, tid)
        return found and (decompress(found[0]), *found[1:])

    def store(self, oid: bytes, serial: bytes, data: bytes, *more: Any) -> Any:
        """Write an object of the transaction."""
        return super().store(oid, serial, self.as_written(oid, data), *more)

    def restore(self, oid: bytes, serial: bytes, data: bytes | None, *more: Any) -> Any:
        """Write an object of a transaction that is copied."""
        return super().restore(oid, serial, self.as_written(oid, data), *more)

    def iterator(self, start: bytes | None = None, stop: bytes | None = None) -> Any:
        """Return the transactions from ``start`` to ``stop``."""
        return _Transactions(self.getName(), start, stop)

    def pack(self, t: float, referencesf: Any, gc: bool | None = None) -> None:
        """Put a packed file in the place of the file."""

        def refer(record: bytes, *more: Any) -> Any:
            return referencesf(decompress(record), *more)

        super().pack(t, refer, gc)


def damaged_head(oid: bytes | None, pos: int) -> DamagedError:
    """Return the error of a record whose head cannot be right."""
    what = oid.hex() if oid else "?"
    return DamagedError(f"the head of the record of object {what} is damaged, at byte {pos}")


class _Transactions(FileIterator):
    def __next__(self) -> Any:
        each = super().__next__()
        about = each.tid, each.status, each.user, each.description, each.extension_bytes
        return _Transaction(*about, each._pos, each._tend, each._file, each._tpos)


class _Transaction(TransactionRecord):
    def __iter__(self) -> Iterator[Any]:
        for record in super().__iter__():
            if record.data is not None:
                record.data = decompress(record.data)
            yield record


class LiveFile(CompressedFile):
    """An image file that is written.

    What is on the disk is unknown when the end of a commit fails, say because fsync does; and ZODB
    leaves the file closed when the switch of a pack fails. From there on everything is refused
    with ZODB's StorageError, and another process has to open the file anew, which sees what is
    there. A commit that fails before its end leaves nothing: neither in the file nor in the buffer.

    Attributes:
        on_loss: Called once when the file cannot be used any more, in the thread that found out.
        is_lost: It has.
    """

    is_lost = False
    _file: Any
    _tfile: Any

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``, made where there is none."""
        self.on_loss: Callable[[], object] = lambda: None
        self._ending = Ending(path)
        self._ending.refuse_empty()
        mend_layout(path)
        self._open(path)
        try:
            self._ending.compare(self.getSize())
        except BaseException:
            self._let_go()
            raise

    def _open(self, path: Path) -> None:
        """Open the file, without an end that is damaged."""
        how = {"blob_dir": f"{path}.blob", "pack_keep_old": False, "packer": pack_durably}
        try:
            super().__init__(str(path), **how)
        except TORN:
            lock = Lock(f"{path}.lock")
            try:
                was_cut = set_tail_aside(path)
            finally:
                lock.close()
            if not was_cut:
                raise
            super().__init__(str(path), **how)

    def tpc_begin(self, *args: Any, **kwargs: Any) -> Any:
        """Begin a transaction."""
        return self._unless_lost(super().tpc_begin, *args, **kwargs)

    def store(self, *args: Any) -> Any:
        """Write an object of the transaction."""
        return self._unless_lost(super().store, *args)

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:  # noqa: N802 - ZODB's name
        """Return what an object was before a transaction."""
        return self._unless_lost(super().loadBefore, oid, tid)

    def tpc_vote(self, transaction: Any) -> Any:
        """Write the transaction, marked as not finished."""
        cross("commit.before")
        with self._lock:
            self._check()
            self._check_place()
            try:
                voted = self._unless_lost(super().tpc_vote, transaction)
            except BaseException:
                if transaction is self._transaction:
                    self._drop_vote()
                raise
        cross("commit.voted")
        return voted

    def pack(self, *args: Any, **kwargs: Any) -> None:
        """Put a packed file in the place of the file."""
        self._check()
        self._check_place()
        try:
            super().pack(*args, **kwargs)
        except BaseException:
            if self._file.closed:  # between the two names, or behind them
                self.lose()
            raise

    def _drop_vote(self) -> None:
        """Take away what a vote wrote before it failed.

        ZODB truncates the file, which first writes out the buffer and so fails again; the rest
        would come out with a later commit, or as a pack closes the file.
        """
        try:
            self._file = _open_anew(self._file, "r+b")
            self._file.truncate(self._pos)
            self._files.flush()
        except Exception:  # noqa: BLE001 - whatever it is, the end of the file is torn
            self.lose()

    def _clear_temp(self) -> None:
        try:
            super()._clear_temp()
        except OSError:  # what a failed commit left in the buffer finds no room
            self._tfile = _open_anew(self._tfile, "w+b")

    def _abort(self) -> None:
        try:
            super()._abort()
        except Exception:
            self.lose()
            raise

    def _finish(self, tid: bytes, user: bytes, text: bytes, more: bytes) -> None:
        try:
            super()._finish(tid, user, text, more)
        except Exception as error:
            self.lose()
            raise LostError(f"a commit could not be ended: {error}") from error
        cross("commit.synced")

    def _finish_finish(self, tid: bytes) -> None:
        try:
            self._file.flush()
            cross("commit.written")
            super()._finish_finish(tid)
        except Exception:
            self.lose()  # before ZODB closes the file under those that use it
            raise
        self._ending.put(self._pos, tid)

    def _clear_index(self) -> None:
        super()._clear_index()
        self._ending.remove()  # both are of the file that a pack replaces

    def _save_index(self) -> None:
        if not self.is_lost:  # it may be of another file
            super()._save_index()

    def lose(self) -> None:
        """Refuse everything from now on: the file has to be opened anew. Idempotent."""
        if not self.is_lost:
            self.is_lost = True
            self._file.raw.close()  # what is in the buffer must not be written
            self.on_loss()

    def _unless_lost(self, do: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self._check()
        try:
            return do(*args, **kwargs)
        except DamagedError:
            self._check_place()  # in a file that was cut short it is no record that is damaged
            raise
        except TORN as error:
            self._check()  # closed meanwhile
            raise LostError(f"the image file cannot be read: {error}") from error

    def _check_place(self) -> None:
        """Refuse a commit to a file that the next start would not find, or not as it is known."""
        if os.name == "nt":
            return  # an open file can be neither removed nor replaced there
        handle, path = self._file.fileno(), Path(self._file_name)
        if not (path.exists() and os.path.samefile(handle, path)):  # noqa: PTH121 - of a handle
            raise StorageError(
                f"{path} was removed or replaced while the daemon serves it; put it back; on "
                f"Linux, cp /proc/{os.getpid()}/fd/{handle} FILE saves what is served"
            )
        # Before the first commit, ZODB's buffer has what is there.
        if os.fstat(handle).st_size < self._pos > FIRST:
            raise StorageError(f"{path} was cut short while the daemon serves it; restart BAT OS")

    def _check(self) -> None:
        if self.is_lost:
            raise LostError("a commit could not be ended; the image has to be opened again")


def _open_anew(file: Any, mode: str) -> Any:
    """Return a file opened once more, without what is in its buffer."""
    file.raw.close()  # not the file: that would write
    return open(file.name, mode)  # noqa: PTH123 - as ZODB has it
