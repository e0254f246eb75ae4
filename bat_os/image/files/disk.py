"""Bytes on their way to a disk: copied, hashed, made durable, and read again."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import errno
import glob
import hashlib
import json
import os
import secrets
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import psutil
from zc.lockfile import LockError
from ZODB.FileStorage.format import CorruptedError
from ZODB.POSException import POSError

from bat_os.errors import (
    ArgumentsError,
    CancelledError,
    DamagedError,
    LockedError,
    StorageError,
    StorageFullError,
)
from bat_os.image.files.durable import Lock, sync_file
from bat_os.image.files.tail import TORN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from gzip import GzipFile
    from pathlib import Path

    Stream = BinaryIO | GzipFile

T = TypeVar("T")

CHUNK: Final = 4 << 20
UPKEEP_SECONDS: Final = 5.0
_LOOK: Final = 0.05  # seconds
DISK_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_EXCHANGE: Final = 2  # RENAME_EXCHANGE of Linux
_HERE: Final = -100  # AT_FDCWD of Linux


@contextlib.contextmanager
def coded(what: str, *others: type[BaseException]) -> Iterator[None]:
    """Turn what can go wrong with files, and ``others``, into coded errors."""
    try:
        yield
    except LockError as error:
        text = f"{what}: the image is in use by another process, backup, fork or pack"
        raise LockedError(text) from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise StorageFullError(f"{what}: the disk is full") from error
        raise StorageError(f"{what}: {error}") from error
    except (POSError, *TORN, *others) as error:
        raise StorageError(f"{what}: {error}") from error
    except (CorruptedError, KeyError) as error:  # ZODB, of what the heads of records say
        text = f"{what}: a record of the image is damaged; batos verify says which ({error})"
        raise DamagedError(text) from error


@contextlib.contextmanager
def upkeep(path: Path) -> Iterator[None]:
    """Keep other backups, forks and packs of the image at ``path`` out for the time.

    One that is under way, like the backup of the day, is waited for up to UPKEEP_SECONDS; this
    blocks its thread. zc.lockfile's LockError is raised if it takes longer.
    """
    lock = _take(f"{path}.upkeep", time.monotonic() + UPKEEP_SECONDS)
    try:
        yield
    finally:
        lock.close()


def _take(path: str, give_up: float) -> Lock:
    while True:
        try:
            return Lock(path)
        except LockError:
            if time.monotonic() >= give_up:
                raise
            time.sleep(_LOOK)


class Copier:
    """Copies files so that they are known to have arrived.

    Every copy is hashed on its way, brought onto the disk, read again and compared.

    Attributes:
        stop: Set it, and the next chunk raises ``CancelledError``.
        copied: Bytes written so far.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.stop = stop or threading.Event()
        self.copied = 0
        self._counting = threading.Lock()

    def copy(self, source: Stream, size: int, target: Path) -> str:
        """Copy ``size`` bytes from where ``source`` stands; return their SHA-256."""
        digest = hashlib.sha256()
        with target.open("xb", buffering=0) as stream, ThreadPoolExecutor(1) as hasher:
            for chunk in self._chunks(source, size):
                hashing = hasher.submit(digest.update, chunk)  # beside the writing
                stream.write(chunk)
                hashing.result()
            os.fsync(stream.fileno())
        with self._counting:
            self.copied += size
        if self.hash(target) != digest.hexdigest():
            raise StorageError(f"{target} does not hold what was written to it")
        return digest.hexdigest()

    def append(self, source: Stream, size: int, stream: Stream) -> str:
        """Write ``size`` bytes of ``source`` to ``stream``; return their SHA-256."""
        digest = hashlib.sha256()
        for chunk in self._chunks(source, size):
            digest.update(chunk)
            stream.write(chunk)
        self.copied += size
        return digest.hexdigest()

    def hash(self, path: Path) -> str:
        """Return the SHA-256 of a file."""
        with path.open("rb", buffering=0) as stream:
            return self.hash_range(stream, os.fstat(stream.fileno()).st_size)

    def hash_range(self, stream: Stream, size: int) -> str:
        """Return the SHA-256 of the next ``size`` bytes."""
        digest = hashlib.sha256()
        for chunk in self._chunks(stream, size):
            digest.update(chunk)
        return digest.hexdigest()

    def _chunks(self, stream: Stream, size: int) -> Iterator[bytes]:
        while size:
            if self.stop.is_set():
                raise CancelledError("the work was cancelled")
            chunk = stream.read(min(CHUNK, size))
            if not chunk:
                raise StorageError(f"{getattr(stream, 'name', 'the file')} ends too early")
            size -= len(chunk)
            yield chunk


def hash_file(path: Path, stop: threading.Event | None = None) -> str:
    """Return the SHA-256 of a file; raises ``CancelledError`` once ``stop`` is set."""
    return Copier(stop).hash(path)


async def in_thread(
    work: Callable[[threading.Event], T], *, drop: Callable[[T], object] = lambda _: None
) -> T:
    """Return ``work(stop)``, run in a thread; cancelling sets ``stop`` and waits for it.

    Args:
        work: What to do; it looks at ``stop`` now and then.
        drop: Called with a result that came although the caller was cancelled.
    """
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        if running.exception() is None:
            drop(running.result())
        raise


def link(source: Path, target: Path) -> bool:
    """Give a file a second name; return False where the file system has none for it."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            return False
        raise
    return True


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace ``path`` in one step that also a failure of power cannot halve."""
    draft = path.with_name(path.name + ".new")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(data, stream, indent=1)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(path)
    sync_file(path.parent)


def sync_tree(folder: Path) -> None:
    """Bring the names below ``folder`` onto the disk."""
    for place in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sync_file(place)


def check_room(folder: Path, size: int) -> None:
    """Raise ``StorageFullError`` unless ``folder`` has room for ``size`` more bytes."""
    free = shutil.disk_usage(folder).free
    if size > free:
        raise StorageFullError(f"{folder}: {size} bytes are needed, and {free} are free")


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; return False where the system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    done = rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    return bool(done == 0)


def name_draft(prefix: str) -> str:
    """Return a name that ``sweep_drafts`` knows, for what is made beside its place."""
    return f"{prefix}{os.getpid()}-{secrets.token_hex(6)}"


def sweep_drafts(folder: Path, prefix: str) -> None:
    """Remove the drafts in ``folder``, files or folders, whose process was killed."""
    for path in folder.glob(f"{glob.escape(prefix)}*"):
        owner = path.name.removeprefix(prefix).partition("-")[0]
        if not owner.isdecimal() or psutil.pid_exists(int(owner)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def check_absolute(path: Path, what: str) -> None:
    """Raise ``ArgumentsError`` if ``path`` is relative: it would differ between processes."""
    if not path.is_absolute() or "\0" in str(path):
        raise ArgumentsError(f"{what} must be an absolute path, not {str(path)[:200]!r}")
