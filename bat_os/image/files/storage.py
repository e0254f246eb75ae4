"""Image files: opened so that a pack or a fork can never harm them.

    live_image.fs            what this image wrote
    live_image.fs.blob/      its blobs
    live_image.fs.fork/      of a fork only: what it began with, frozen
        0.fs 0.fs.index 0.fs.blob/     hard links to the files of the image it comes from
        fork.json

A fork is a stack: reads fall through to the frozen files, writes go into its own. Frozen
files are second names of the parent's, so nothing is copied, the parent may be packed, moved
or removed, and what it appends later lies past the end that the fork knows.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ZODB.DemoStorage import DemoStorage
from ZODB.FileStorage import FileStorage
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, u64

from bat_os.errors import StorageError
from bat_os.image.allowlist import guard_pickles
from bat_os.image.files.livefile import LiveFile, Lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


FORK: Final = "fork.json"
FORMAT: Final = 1
MAX_LAYERS: Final = 32
_TID: Final = re.compile(r"[0-9a-f]{16}\Z")


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
        self,
        next: bytes | None = None,
    ) -> tuple[bytes, bytes, bytes, bytes | None]:
        """Return (oid, tid, record, oid to go on with) of the next object; as FileStorage's.

        Raises:
            ValueError: There is none.
        """
        oid = min(_next_oids(self, next))
        record, tid = self.load(oid)
        return oid, tid, record, min(_next_oids(self, p64(u64(oid) + 1)), default=None)


def _next_oids(storage: DemoStorage, oid: bytes | None) -> Iterator[bytes]:
    """Yield, of each image file that has one, the first oid that is not below ``oid``."""
    for layer in layers_of(storage):
        with contextlib.suppress(ValueError):
            yield layer._index.minKey(oid)


def open_storage(path: Path) -> Any:
    """Return the storage of the image file at ``path``, made where there is none.

    Raises:
        StorageError: It is a fork whose frozen files cannot be read.
        LockError: Another process holds the image (``zc.lockfile``'s).
    """
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

    Args:
        path: Of the image file.
        blobs: Whether it has a blob folder; where it has not, none is made.

    Raises:
        StorageError: It is a fork whose frozen files cannot be read.
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
    """Complete or clear away a pack that was killed.

    Raises:
        LockError: Another process holds the image.
    """
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
    """Return the image files that a storage reads, the oldest first, its own last.

    Raises:
        StorageError: The image is not in files.
    """
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
    """Return what is known about the fork at ``path``; an empty map where it is none.

    Raises:
        StorageError: It is a fork, but its record is damaged.
    """
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
    """Return nothing when ``facts`` are the record of a fork.

    Raises:
        StorageError: They are not.
    """
    layers = facts.get("layers") if isinstance(facts, dict) else None
    if (
        not isinstance(layers, list)
        or facts.get("format") != FORMAT
        or not 1 <= len(layers) <= MAX_LAYERS
        or not all(isinstance(tid, str) and _TID.match(tid) for tid in layers)
    ):
        raise StorageError("the record of the fork is not one that this program reads")


@contextlib.contextmanager
def upkeep(path: Path) -> Iterator[None]:
    """Keep other backups, forks and packs of the image at ``path`` out meanwhile.

    Raises:
        LockError: Another one is at work.
    """
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


def blob_files(layers: Sequence[FileStorage]) -> Iterator[tuple[FileStorage, bytes, bytes, Path]]:
    """Yield (layer, oid, tid, path) of each committed blob file, old revisions included."""
    for layer in layers:
        end = layer.lastTransaction()
        helper = layer.fshelper
        for oid, folder in helper.listOIDs():
            for path in sorted(Path(folder).iterdir()):
                _, tid = helper.splitBlobFilename(str(path))
                if tid is not None and tid <= end:
                    yield layer, oid, tid, path
