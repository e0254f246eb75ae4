"""Model files on the disk: staged on their way into the image, linked on their way out.

A stage is put beside the blobs, hashed, and on the disk for sure before it is committed. It
lies in the image's own folder for unfinished blobs, so the commit only renames it. It is a
second name of the source where the source is to be consumed and lies on the same file
system (milliseconds, beside the hashing), else a copy, hashed while it is written. What a
killed process left there is removed by the next intake.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import secrets
import shutil
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psutil

from bat_os.errors import BlobError, CancelledError, StorageFullError
from bat_os.failpoints import cross

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from ZODB.blob import Blob

T = TypeVar("T")

# In each folder of links, in the format of sha256sum, sorted by name: whoever loads the
# folder learns the digest without reading 500 MB again.
SUMS_NAME: Final = "SHA256SUMS"
CHUNK: Final = 1 << 20
_PREFIX: Final = "intake-"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, slots=True)
class Stage:
    """A file that is ready to become a blob.

    Attributes:
        place: Where it lies; removed by ``discard``.
        sha256: Of its content.
        size: In bytes.
    """

    place: Path
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
                shutil.copyfileobj(source, target, CHUNK)
                target.flush()
                os.fsync(target.fileno())
        else:
            blob.consumeFile(str(twin))

    def discard(self) -> None:
        """Remove the stage; what a blob took of it is not touched."""
        for path in (self.place, self.place.with_suffix(".twin")):
            path.unlink(missing_ok=True)


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


def make_stage(
    source: Path, folder: Path, *, move: bool, stop: threading.Event, sha256: str = ""
) -> Stage:
    """Return ``source`` staged in ``folder``.

    Args:
        source: A regular file, or a link to one.
        folder: On the file system of the image.
        move: The source will be consumed: a second name will do where that is possible.
        stop: Set it to give up.
        sha256: Of the source, where that is known already; what is copied is hashed anyway.

    Raises:
        BlobError: The source cannot be read.
        CancelledError: ``stop`` was set.
        StorageFullError: There is no room for the copy.
    """
    place = folder / f"{_PREFIX}{os.getpid()}-{secrets.token_hex(6)}.stage"
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


def hash_file(path: Path, stop: threading.Event | None = None) -> str:
    """Return the SHA-256 of a file.

    Raises:
        CancelledError: ``stop`` was set.
        OSError: The file cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        for chunk in _chunks(stream, stop):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong with ``path`` into coded errors.

    Raises:
        BlobError: It cannot be read.
        StorageFullError: The disk of the image is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            text = f"the disk is full; {path.name} needs more room in the image"
            raise StorageFullError(text) from error
        reason = error.strerror or str(error)
        raise BlobError(f"{path} cannot be taken in: {reason}", file=path.name) from error


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Return ``work(stop)``, run in a thread; cancelling sets ``stop`` and waits for it."""
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        (result,) = await asyncio.gather(running, return_exceptions=True)
        if isinstance(result, Stage):  # it was ready just before: nobody will use it
            result.discard()
        raise


def sweep(folder: Path) -> None:
    """Remove the stages that processes left in ``folder`` when they were killed."""
    for path in folder.glob(f"{_PREFIX}*"):
        owner = path.name.removeprefix(_PREFIX).partition("-")[0]
        dead = owner.isdecimal() and not psutil.pid_exists(int(owner))
        if dead and int(owner) != os.getpid():
            path.unlink(missing_ok=True)


def sync_folders(blob_file: Path) -> None:
    """Make the blob's name durable: ZODB fsyncs its log, but not the folders of blobs."""
    if os.name == "nt":
        return  # folders cannot be opened there
    above = list(blob_file.parents)
    tops = [level for level, folder in enumerate(above) if (folder / ".layout").exists()]
    for folder in above[: tops[0] + 1] if tops else ():
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sums(files: Mapping[str, str]) -> str:
    """Return the content of SHA256SUMS: file name -> SHA-256, sorted by name."""
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))


def list_files(folder: Path) -> dict[str, Path]:
    """Return the files of a folder: name, with ``/`` for folders -> path; no hidden ones."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: path
        for name, path in named.items()
        if name != SUMS_NAME and not any(part.startswith(".") for part in name.split("/"))
    }


def remove(paths: Iterable[Path]) -> None:
    """Delete the files that are still there."""
    for path in paths:
        path.unlink(missing_ok=True)


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
        try:
            link.symlink_to(place.absolute())
        except OSError:  # Windows wants a privilege for it; blob files are read-only anyway
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
    with place.open("r+b" if os.name == "nt" else "rb") as stream:
        os.fsync(stream.fileno())
    return True


def _copy(source: Path, place: Path, stop: threading.Event) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with source.open("rb", buffering=0) as origin, place.open("xb") as target:
        for chunk in _chunks(origin, stop):
            digest.update(chunk)
            size += target.write(chunk)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest(), size


def _chunks(stream: Any, stop: threading.Event | None) -> Iterator[memoryview]:
    """Give the content piece by piece, each good until the next one is asked for."""
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    while count := stream.readinto(buffer):
        if stop is not None and stop.is_set():
            raise CancelledError("taking the file in was given up")
        yield view[:count]
