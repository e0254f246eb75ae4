"""Files in the image: staged on their way in, checked and linked on their way out.

A file is kept once, under its SHA-256, whichever models name it. Loading a model reads the
committed blob files themselves: no unpacking and no copy.

    root["files_by_sha256"]  sha256 -> StoredFile (one blob)
    root["models"]           name -> StoredModel (file name -> sha256)

A stage is put beside the blobs, hashed, and on the disk for sure before it is committed. It
lies in the image's own folder for unfinished blobs, so the commit only renames it. It is a
second name of the source if the source is to be consumed and lies on the same file system
(milliseconds, beside the hashing), else a copy, hashed while it is written. What a killed
process left there is removed by the next one. ``bat_os.image.models`` makes models of files.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from persistent import Persistent
from ZODB.blob import Blob, remove_committed
from ZODB.POSException import POSError

from bat_os.errors import BlobError, StorageFullError
from bat_os.failpoints import cross
from bat_os.image.files import disk
from bat_os.image.files.disk import Copier, coded, hash_file, in_thread
from bat_os.image.files.durable import sync_file
from bat_os.image.objects import connection_of, tree_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Mapping

    from bat_os.image.store import ImageStore

# In each folder of links, in the format of sha256sum, sorted by name: the digest is then known
# without reading 500 MB again.
SUMS_NAME: Final = "SHA256SUMS"
_PREFIX: Final = "intake-"


class StoredFile(Persistent):
    """One file.

    Attributes:
        name: The name under which it came first; for people.
        sha256: Of the content; the key under which it is kept.
    """

    def __init__(self, name: str, sha256: str, size: int) -> None:
        self.name = name
        self.sha256 = sha256
        self.size = size
        self.blob = Blob()


class StoredModel(Persistent):
    """One model or adapter: names of files, and what is known about it.

    Attributes:
        name: The key under which it is kept.
        files: File name, with ``/`` for folders -> SHA-256.
        meta: Plain data: ``kind`` (one of KINDS), ``source``, ``revision``, ``licence``,
            ``base`` (of an adapter), ``bytes``, ``added`` (Unix time), and whatever the
            caller of the intake gave. Older images may lack any of them.
    """

    def __init__(self, name: str, files: dict[str, str], meta: dict[str, Any]) -> None:
        self.name = name
        self.files = files
        self.meta = meta


@dataclass(frozen=True, slots=True)
class Stage:
    """A file that is ready to become a blob."""

    place: Path  # where it lies; removed by ``discard``
    sha256: str
    size: int

    def fill(self, blob: Blob) -> None:
        """Make the stage the content of ``blob``; the stage itself stays.

        A second name for it is consumed: a conflict throws the first try's blob away, and
        the next try needs the file again.
        """
        twin = self.place.with_suffix(".twin")
        twin.unlink(missing_ok=True)
        try:
            twin.hardlink_to(self.place)
        except OSError:  # a file system without hard links
            with self.place.open("rb") as source, blob.open("w") as target:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
        else:
            blob.consumeFile(str(twin))

    def discard(self) -> None:
        """Remove the stage; what a blob took of it is not touched."""
        for path in (self.place, self.place.with_suffix(".twin")):
            with contextlib.suppress(FileNotFoundError):
                remove_committed(path)  # a blob's other name: Windows removes nothing read-only


class Verified:
    """Which blob files this process has read and found whole.

    Each is read once per start, however often a model is loaded: a file whose size, time
    of change and inode are as they were is not read again.
    """

    def __init__(self) -> None:
        self._whole: dict[Path, tuple[str, tuple[int, int, int]]] = {}

    def holds(self, place: Path, sha256: str) -> bool:
        """Return True when the file at ``place`` has that SHA-256."""
        try:
            facts = place.stat()
            seen = (sha256, (facts.st_size, facts.st_mtime_ns, facts.st_ino))
            if self._whole.get(place) == seen:
                return True
            if hash_file(place) != sha256:
                return False
        except OSError:
            return False
        self._whole[place] = seen
        return True


async def store_file(image: ImageStore, path: Path, name: str, consume: bool) -> str:
    """Store one file, if the image does not have it whole; return its SHA-256.

    The ``name`` is for people. If ``consume`` is set, the file may be moved rather than copied.
    """
    with reading(path):
        size = (await asyncio.to_thread(path.stat)).st_size
    folder, same_size = await image.transact(
        lambda root: _find_same_size(root, size), note="find blobs"
    )
    known = ""
    if same_size:
        with reading(path):
            known = await in_thread(lambda stop: hash_file(path, stop))
        if place := same_size.get(known):
            whole = await asyncio.to_thread(Verified().holds, Path(place), known)
            if whole:
                return known
    await asyncio.to_thread(disk.sweep_drafts, folder, _PREFIX)
    stage = await in_thread(
        lambda stop: make_stage(path, folder, move=consume, stop=stop, sha256=known),
        drop=Stage.discard,
    )

    def store(root: Any) -> None:
        stored = StoredFile(name, stage.sha256, stage.size)
        # A blob that belongs to no connection yet would put its file into /tmp.
        connection_of(root).add(stored.blob)
        stage.fill(stored.blob)
        tree_of(root, "files_by_sha256")[stage.sha256] = stored

    try:
        await image.transact(store, note=f"store file {name}")
    finally:
        await asyncio.to_thread(stage.discard)
    cross("blob.committed")
    places = await image.transact(
        lambda root: find_places(root, [stage.sha256]), note="find a blob"
    )
    if place := places[stage.sha256]:
        with coded(f"store file {name}"):
            await asyncio.to_thread(_sync_folders, Path(place))
    return stage.sha256


def _find_same_size(root: Any, size: int) -> tuple[Path, dict[str, str]]:
    """Return the folder for unfinished blobs, and the blobs of ``size`` bytes by SHA-256."""
    stored = root.get("files_by_sha256", {})
    same = [sha256 for sha256, file in stored.items() if file.size == size]
    return Path(connection_of(root).db().storage.temporaryDirectory()), find_places(root, same)


def find_places(root: Mapping[str, Any], wanted: Iterable[str]) -> dict[str, str]:
    """Return the path of each committed blob; "" where the image does not have it."""
    stored = root.get("files_by_sha256", {})
    places = {}
    for sha256 in wanted:
        try:
            places[sha256] = stored[sha256].blob.committed()
        except (KeyError, AttributeError, POSError):  # POSKeyError: only the blob's file is gone
            places[sha256] = ""
    return places


def make_stage(
    source: Path, folder: Path, *, move: bool, stop: threading.Event, sha256: str = ""
) -> Stage:
    """Return ``source`` staged in ``folder``.

    If ``move`` is set, the source will be consumed, so a second name will do where that is
    possible. A ``sha256`` that is known already is not computed again, unless the source is copied.
    """
    place = folder / f"{disk.name_draft(_PREFIX)}.stage"
    try:
        with reading(source):
            if move and _second_name(source, place):
                stage = Stage(place, sha256 or hash_file(place, stop), place.stat().st_size)
            else:
                stage = Stage(place, *_copy(source, place, stop))
    except BaseException:
        place.unlink(missing_ok=True)
        raise
    cross("blob.staged")
    return stage


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong with ``path`` into coded errors."""
    try:
        yield
    except OSError as error:
        if error.errno in disk.DISK_FULL:
            text = f"the disk is full; {path.name} needs more room in the image"
            raise StorageFullError(text) from error
        reason = error.strerror or str(error)
        raise BlobError(f"{path} cannot be read: {reason}", file=path.name) from error


def _sync_folders(blob_file: Path) -> None:
    """Make the blob's name durable: ZODB fsyncs its log, but not the folders of blobs."""
    above = list(blob_file.parents)
    tops = [level for level, folder in enumerate(above) if (folder / ".layout").exists()]
    for folder in above[: tops[0] + 1] if tops else ():
        sync_file(folder)


def list_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder: name, with ``/`` for folders -> path; no hidden ones."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: path
        for name, path in named.items()
        if name != SUMS_NAME and not any(part.startswith(".") for part in name.split("/"))
    }


def sums(files: Mapping[str, str]) -> str:
    """Return the content of SHA256SUMS: file name -> SHA-256, sorted by name."""
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))


def link(folder: Path, linked: Mapping[str, Path], listing: str) -> Path:
    """Make ``folder`` hold links to the blobs and SHA256SUMS, and return it.

    It appears whole or not at all, and is left alone while it is as it should be.
    """
    if _is_current(folder, linked, listing):
        return folder
    partial = folder.with_name(folder.name + ".partial")
    for stale in (partial, folder):
        shutil.rmtree(stale, ignore_errors=True)
    partial.mkdir(mode=0o700, parents=True)
    for name, place in linked.items():
        link = partial / name
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # Windows wants a privilege for it
            link.symlink_to(place.absolute())
        if not link.is_file():  # Wine makes none, and says it did; blob files are read-only anyway
            link.hardlink_to(place)
    (partial / SUMS_NAME).write_text(listing, encoding="utf-8")
    return partial.rename(folder)


def _is_current(folder: Path, linked: Mapping[str, Path], listing: str) -> bool:
    try:
        same = (folder / SUMS_NAME).read_text(encoding="utf-8") == listing
        return same and all((folder / name).samefile(place) for name, place in linked.items())
    except OSError:
        return False


def _second_name(source: Path, place: Path) -> bool:
    try:
        place.hardlink_to(source.resolve(strict=True))
    except OSError:
        return False  # another file system, or one without hard links: it is copied
    sync_file(place)
    return True


def _copy(source: Path, place: Path, stop: threading.Event) -> tuple[str, int]:
    with source.open("rb", buffering=0) as origin, place.open("xb") as target:
        size = os.fstat(origin.fileno()).st_size
        sha256 = Copier(stop).append(origin, size, target)
        target.flush()
        os.fsync(target.fileno())
    return sha256, size
