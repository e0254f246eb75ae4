"""Open an image: its file, and below it the frozen files that a fork began with.

    live_image.fs            what this image wrote
    live_image.fs.blob/      its blobs
    live_image.fs.fork/      of a fork only: what it began with, frozen
        0.fs 0.fs.index 0.fs.blob/     hard links to the files of the image it comes from
        fork.json

A fork is a stack: reads fall through to the frozen files, writes go into its own. Frozen
files are second names of the parent's, so nothing is copied, the parent may be packed, moved
or removed, and what it appends later lies past the end that the fork knows.

An image that another process holds raises zc.lockfile's LockError; a fork whose frozen files or
record cannot be read, StorageError.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import Meta
from ZODB.DemoStorage import DemoStorage
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, u64

from bat_os.core.schema import Record, convert, text
from bat_os.errors import StorageError
from bat_os.image.allowlist import guard_pickles
from bat_os.image.files.layers import layers_of
from bat_os.image.files.packer import finish_pack
from bat_os.image.files.storage import CompressedFile, LiveFile

if TYPE_CHECKING:
    from collections.abc import Iterator

FORK: Final = "fork.json"
FORMAT: Final = 1
MAX_LAYERS: Final = 32


class _ForkRecord(Record, frozen=True, forbid_unknown_fields=False):
    format: Literal[1]
    layers: Annotated[
        tuple[Annotated[str, text(16, pattern="[0-9a-f]{16}")], ...],
        Meta(min_length=1, max_length=MAX_LAYERS),
    ]


class FrozenFile(CompressedFile):
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
    live = CompressedFile(str(path), read_only=True, blob_dir=f"{path}.blob" if blobs else None)
    try:
        base = _open_frozen(path)
    except BaseException:
        live.close()
        raise
    return live if base is None else ForkStorage(base=base, changes=live)


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
