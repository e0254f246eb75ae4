"""Image files: opened so that a pack or a fork can never harm them.

    live_image.fs            what this image wrote
    live_image.fs.blob/      its blobs
    live_image.fs.fork/      of a fork only: what it began with, frozen
        0.fs 0.fs.index 0.fs.blob/     hard links to the files of the image it comes from
        fork.json

A fork is a stack: reads fall through to the frozen files, writes go into its own. Frozen
files are second names of the parent's, so nothing is copied, the parent may be packed, moved
or removed, and what it appends later lies past the end that the fork knows.

A pack replaces the image by its new file in one rename, once that is on the disk. FileStorage
needs two renames; ``finish_pack`` completes a pack that was killed between them.

    root["chronicle"]    what was done to the image as a whole, oldest first: maps with ``kind``
                         (``archive``, ``fork``, ``pack``) and ``at`` (Unix time)

An image that another process holds raises zc.lockfile's LockError; a fork whose frozen files or
record cannot be read, StorageError.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta
from persistent.list import PersistentList
from zc.lockfile import LockFile
from ZODB.DemoStorage import DemoStorage
from ZODB.FileStorage import FileStorage
from ZODB.POSException import StorageError as LostError
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, u64

from bat_os.core import values
from bat_os.core.schema import Record, convert, text
from bat_os.errors import StorageError
from bat_os.failpoints import cross
from bat_os.image.allowlist import guard_pickles
from bat_os.image.files.blob_folder import mend_layout
from bat_os.image.files.ending import Ending
from bat_os.image.files.packer import pack_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

FORK: Final = "fork.json"
FORMAT: Final = 1
MAX_LAYERS: Final = 32
CHRONICLE: Final = "chronicle"


class _ForkRecord(Record, frozen=True, forbid_unknown_fields=False):
    format: Literal[1]
    layers: Annotated[
        tuple[Annotated[str, text(16, pattern="[0-9a-f]{16}")], ...],
        Meta(min_length=1, max_length=MAX_LAYERS),
    ]


class FrozenFile(FileStorage):
    """An image file as it was after one transaction, whatever is appended to it."""

    def __init__(self, path: Path, tid: bytes) -> None:
        """Open ``path`` for reading up to and including transaction ``tid``."""
        self._end = tid
        after = p64(u64(tid) + 1)
        super().__init__(str(path), read_only=True, stop=after, blob_dir=f"{path}.blob")
        self._ltid = tid  # FileStorage takes that of the first transaction after the end

    def iterator(self, start: bytes | None = None, stop: bytes | None = None) -> Any:
        """Return the transactions from ``start`` to ``stop``, none later than the end."""
        return super().iterator(start, self._end if stop is None else min(stop, self._end))


class ForkStorage(DemoStorage):
    """Reads fall through to the frozen files; writes go into the fork's own."""

    def pack(self, t: float, referencesf: Any, gc: bool | None = None) -> None:
        """Pack the fork's own file; what the frozen ones refer to is not known, so all stays.

        ZODB's asks for ``_temporary_changes``, which it sets only where it made the changes.
        """
        self.changes.pack(t, referencesf, gc=False)

    def record_iternext(
        self, next: bytes | None = None
    ) -> tuple[bytes, bytes, bytes, bytes | None]:
        """Return (oid, tid, record, oid to go on with) of the next object; as FileStorage's."""
        oid = min(_next_oids(self, next))
        record, tid = self.load(oid)
        return oid, tid, record, min(_next_oids(self, p64(u64(oid) + 1)), default=None)


def _next_oids(storage: DemoStorage, oid: bytes | None) -> Iterator[bytes]:
    """Yield, of each image file that has one, the first oid that is not below ``oid``."""
    for layer in layers_of(storage):
        with contextlib.suppress(ValueError):
            yield layer._index.minKey(oid)


def open_storage(path: Path) -> Any:
    """Return the storage of the image file at ``path``, made where there is none."""
    guard_pickles()
    finish_pack(path)
    live = LiveFile(path)
    try:
        base = _open_frozen(path)
        if base is None:
            return live
        # Its own transactions come after the parent's, even where the clock was set back.
        live._ts = TimeStamp(max(live._ts.raw(), base.lastTransaction()))
        return ForkStorage(base=base, changes=live)
    except BaseException:
        live.close()
        raise


def open_to_read(path: Path, *, blobs: bool) -> Any:
    """Return the storage of the image file at ``path``, which is not written and not locked.

    If it has no blob folder, none is made.
    """
    guard_pickles()
    live = FileStorage(str(path), read_only=True, blob_dir=f"{path}.blob" if blobs else None)
    try:
        base = _open_frozen(path)
    except BaseException:
        live.close()
        raise
    return live if base is None else ForkStorage(base=base, changes=live)


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


def layers_of(storage: Any) -> list[FileStorage]:
    """Return the image files that a storage reads, the oldest first, its own last."""
    if isinstance(storage, DemoStorage):
        return [*layers_of(storage.base), *layers_of(storage.changes)]
    if isinstance(storage, FileStorage):
        return [storage]
    raise StorageError(
        "this image is not a file on this machine; carry it with the tools of its storage"
    )


def is_in_files(storage: Any) -> bool:
    """Return True when the image is in files that this process writes."""
    return isinstance(storage, DemoStorage | FileStorage)


@contextlib.contextmanager
def present(storage: Any) -> Iterator[Any]:
    """Give a storage as it is now; that of a database server is at the moment of its last look."""
    if not hasattr(storage, "poll_invalidations"):
        yield storage
        return
    view = storage.new_instance()
    try:
        view.poll_invalidations()
        yield view
    finally:
        view.release()


def when_lost(storage: Any, call: Callable[[], object]) -> None:
    """Have ``call`` called, in any thread, when the image file cannot be used any more."""
    for layer in layers_of(storage) if is_in_files(storage) else ():
        if isinstance(layer, LiveFile):
            layer.on_loss = call


def path_of(storage: Any) -> Path:
    """Return where the image file is that ``storage`` writes."""
    return Path(layers_of(storage)[-1].getName()).absolute()


def frozen_folder(path: Path) -> Path:
    """Return where the frozen files of the fork at ``path`` are."""
    return Path(f"{path}.fork")


def read_fork(path: Path) -> dict[str, Any]:
    """Return what is known about the fork at ``path``; an empty map where it is none."""
    folder = frozen_folder(path)
    if not folder.is_dir():
        return {}
    try:
        facts = json.loads((folder / FORK).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StorageError(f"the fork {path} cannot be read: {error}") from error
    check_fork(facts)
    return dict(facts)


def check_fork(facts: Any) -> None:
    """Raise ``StorageError`` unless ``facts`` are the record of a fork."""
    convert(facts, _ForkRecord, StorageError, "the record of the fork")


@contextlib.contextmanager
def upkeep(path: Path) -> Iterator[None]:
    """Keep other backups, forks and packs of the image at ``path`` out for the time."""
    lock = Lock(f"{path}.upkeep")
    try:
        yield
    finally:
        lock.close()


def _open_frozen(path: Path) -> Any:
    facts = read_fork(path)
    base: Any = None
    try:
        for number, tid in enumerate(facts.get("layers", ())):
            frozen = FrozenFile(frozen_folder(path) / f"{number}.fs", bytes.fromhex(tid))
            base = frozen if base is None else DemoStorage(base=base, changes=frozen)
    except BaseException:
        if base is not None:
            base.close()
        raise
    return base


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


class LiveFile(FileStorage):
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
        mend_layout(path)
        try:
            super().__init__(
                str(path), blob_dir=f"{path}.blob", pack_keep_old=False, packer=pack_durably
            )
            self._ending.compare(self.getSize())
        except BaseException:  # ZODB leaves them open, and the image locked
            for name in ("_file", "_tfile", "_lock_file"):
                if (left := getattr(self, name, None)) is not None:
                    with contextlib.suppress(OSError):  # what could not be written stays unwritten
                        left.close()
            raise

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
        except ValueError:  # closed meanwhile
            self._check()
            raise

    def _check(self) -> None:
        if self.is_lost:
            raise LostError("a commit could not be ended; the image has to be opened again")


def _open_anew(file: Any, mode: str) -> Any:
    """Return a file opened once more, without what is in its buffer."""
    file.raw.close()  # not the file: that would write
    return open(file.name, mode)  # noqa: PTH123 - as ZODB has it


def sync_file(path: Path) -> None:
    """Bring a file, or the names in a folder, onto the disk."""
    if os.name == "nt" and path.is_dir():
        return  # folders cannot be opened there
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def add_to_chronicle(root: MutableMapping[str, Any], entry: Mapping[str, Any]) -> None:
    """Append an entry; inside ``ImageStore.transact`` only."""
    values.check(dict(entry), where="an entry of the chronicle")
    if CHRONICLE not in root:
        root[CHRONICLE] = PersistentList()
    root[CHRONICLE].append(dict(entry))


def chronicle(root: Mapping[str, Any], kind: str = "") -> list[dict[str, Any]]:
    """Return all entries, or those of one kind, the oldest first."""
    return [dict(entry) for entry in root.get(CHRONICLE, ()) if kind in ("", entry["kind"])]
