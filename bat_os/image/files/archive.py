"""An archive: a backup as one file, ``tar`` in ``gzip``, its manifest first.

What comes from elsewhere is read member by member: the manifest says which names, sizes and
digests follow and in which order, and anything else ends the reading. Nothing is linked, no
header of tar's extensions is read, and no name from the archive is used for a path unless the
manifest has it and its form is ours.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import secrets
import tarfile
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from bat_os.core.schema import replace
from bat_os.core.values import ignore_progress
from bat_os.errors import ArgumentsError, BlobError, StorageError, TooLargeError
from bat_os.image.files import backup, disk, manifest
from bat_os.image.files.chronicle import add_to_chronicle
from bat_os.image.files.disk import Copier, coded, in_thread, upkeep
from bat_os.image.files.durable import sync_file
from bat_os.image.files.layers import path_of
from bat_os.image.files.manifest import BlobFile, ImageFile, Manifest, Part
from bat_os.image.files.opening import read_fork

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from bat_os.image.files.backup import Source
    from bat_os.image.store import ImageStore

BLOCK: Final = 512
# Of plain to packed bytes; an image packs some five to one, an empty blob up to a thousand.
MAX_RATIO: Final = 200
_SLACK: Final = 64 << 20
MAX_REASON: Final = 2_000
EVERY: Final = 1.0  # seconds between two words on how far it has come


async def archive(
    image: ImageStore, target: Path, reason: str, progress: Callable[[str], None] = ignore_progress
) -> dict[str, Any]:
    """Write the whole image to ``target``, and note in the image's chronicle that it was done.

    ``progress`` is called every second with how far it has come, in words.

    Returns:
        The entry of the chronicle: ``kind``, ``at``, ``file``, ``reason``, ``sha256`` and
        ``size`` of the archive, ``holds`` (bytes in it), ``tid``, and ``damaged`` as in a backup.
    """
    if not reason.strip() or len(reason) > MAX_REASON:
        raise ArgumentsError(f"say why it is kept, in at most {MAX_REASON} characters")
    source = await image.transact(backup._source, note="read what an archive records")
    copier = Copier()

    def write(stop: threading.Event) -> dict[str, Any]:
        copier.stop = stop
        return _write(source, target, reason.strip(), copier)

    telling = asyncio.create_task(_tell(copier, progress))
    try:
        entry = await in_thread(write)
    finally:
        telling.cancel()
    await image.transact(
        lambda root: add_to_chronicle(root, entry), note=f"chronicle {target.name}"[:70]
    )
    return entry


async def _tell(copier: Copier, progress: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(EVERY)
        progress(f"archiving: {copier.copied >> 20:,} MiB written")


def unpack(path: Path, folder: Path, copier: Copier) -> Manifest:
    """Unpack the archive at ``path`` into the empty ``folder``; return its manifest."""
    for name in ("parts", "blobs"):
        (folder / name).mkdir(mode=0o700)
    try:
        with path.open("rb") as packed, gzip.GzipFile(fileobj=packed) as stream:
            name, size = _header(stream)
            if name != manifest.NAME or size > manifest.MAX_BYTES:
                raise StorageError(f"{path} does not begin with a manifest")
            listing = manifest.parse(_read(stream, size))
            _skip(stream, size)
            if listing.size > MAX_RATIO * path.stat().st_size + _SLACK:
                raise TooLargeError(f"{path} unpacks to {listing.size} bytes; no image does")
            disk.check_room(folder, listing.size)
            for wanted, expected, sha256 in listing.members():
                if _header(stream) != (wanted, expected):
                    raise StorageError(f"{path} does not hold {wanted} where it should")
                if copier.copy(stream, expected, folder / wanted) != sha256:
                    raise BlobError(f"{wanted} in {path} is damaged", file=wanted)
                _skip(stream, expected)
            if any(_read(stream, BLOCK)):
                raise StorageError(f"{path} holds more than its manifest names")
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, UnicodeError) as error:
        raise StorageError(f"{path} cannot be read as an archive: {error}") from error
    (folder / manifest.NAME).write_text(json.dumps(listing.to_plain()), encoding="utf-8")
    return listing


def _write(source: Source, target: Path, reason: str, copier: Copier) -> dict[str, Any]:
    with coded("archive"):  # all of it: whatever touches a path that was asked for may fail
        return _write_draft(source, target, reason, copier)


def _write_draft(source: Source, target: Path, reason: str, copier: Copier) -> dict[str, Any]:
    disk.check_absolute(target, "the file of an archive")
    if target.exists():
        raise ArgumentsError(f"{target} is there already; archives are not overwritten")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.new")
    path = path_of(source.storage)
    try:
        with upkeep(path), backup.open_cuts(source.storage) as cuts:
            listing, streams = _list(source, cuts, reason, copier)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            disk.check_room(target.parent, listing.size // 8)
            with draft.open("xb") as raw:
                with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0) as stream:
                    _write_members(stream, listing, streams, copier)
                raw.flush()
                os.fsync(raw.fileno())
            _check(draft, listing, copier)
            sha256 = copier.hash(draft)
            size = draft.stat().st_size
            draft.rename(target)
            sync_file(target.parent)
    finally:
        if draft.exists():
            draft.unlink()
    return {
        "kind": "archive",
        "at": time.time(),
        "file": str(target),
        "reason": reason,
        "sha256": sha256,
        "size": size,
        "holds": listing.size,
        "tid": listing.files[-1].tid,
        "damaged": list(listing.damaged),
    }


def _list(
    source: Source, cuts: list[backup.Cut], reason: str, copier: Copier
) -> tuple[Manifest, list[BinaryIO | Path]]:
    """Return the manifest, and where the bytes of each of its members come from, in order."""
    files: list[ImageFile] = []
    streams: list[BinaryIO | Path] = []
    for cut in cuts:
        cut.stream.seek(0)
        part = Part(
            f"{secrets.token_hex(16)}.part", cut.size, copier.hash_range(cut.stream, cut.size)
        )
        files.append(ImageFile(cut.name, cut.tid, (0, 0), (part,)))
        cut.stream.seek(0)
        streams.append(cut.stream)
    blobs = []
    for name, oid, tid, path in backup.list_blobs(source.storage):
        size, sha256 = path.stat().st_size, copier.hash(path)
        blobs.append(BlobFile(name, oid.hex(), tid.hex(), size, sha256))
        streams.append(path)
    fork = read_fork(path_of(source.storage))
    made = Manifest(
        time.time(), source.image_id, reason, tuple(files), tuple(blobs), fork, manifest.FORMAT
    )
    return replace(made, damaged=made.lacks(source.sums)), streams


def _write_members(
    stream: gzip.GzipFile, listing: Manifest, sources: list[BinaryIO | Path], copier: Copier
) -> None:
    text = json.dumps(listing.to_plain()).encode()
    _put_header(stream, manifest.NAME, len(text), listing.made)
    stream.write(text + _padding(len(text)))
    for (name, size, sha256), source in zip(listing.members(), sources, strict=True):
        _put_header(stream, name, size, listing.made)
        with source.open("rb") if isinstance(source, Path) else source as one:
            if copier.append(one, size, stream) != sha256:
                raise StorageError(f"{name} changed while it was archived")
        stream.write(_padding(size))
    stream.write(bytes(2 * BLOCK))


def _check(draft: Path, listing: Manifest, copier: Copier) -> None:
    """Read the archive again, and compare every member with the manifest."""
    with gzip.open(draft) as stream:
        _, size = _header(stream)
        _read(stream, size)
        _skip(stream, size)
        for name, size, sha256 in listing.members():
            if _header(stream) != (name, size) or copier.hash_range(stream, size) != sha256:
                raise StorageError(f"{draft} does not hold what was written to it")
            _skip(stream, size)


def _put_header(stream: BinaryIO | gzip.GzipFile, name: str, size: int, made: float) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(made), 0o600
    stream.write(member.tobuf(tarfile.GNU_FORMAT))


def _header(stream: gzip.GzipFile) -> tuple[str, int]:
    """Return (name, size) of the next member: a regular file, with no extensions."""
    member = tarfile.TarInfo.frombuf(_read(stream, BLOCK), "utf-8", "strict")
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.size < 0:
        raise StorageError(f"the archive holds something that is not a file: {member.name[:60]!r}")
    return member.name, member.size


def _read(stream: gzip.GzipFile, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise EOFError("it ends too early")
    return data


def _skip(stream: gzip.GzipFile, size: int) -> None:
    """Read the padding behind a member of ``size`` bytes."""
    _read(stream, len(_padding(size)))


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
