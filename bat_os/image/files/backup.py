"""Back up an image while it serves: only what is new, and every byte is read again.

An image file only grows, so a backup adds a part with what was appended since the last one;
after a pack it starts anew. A blob never changes and is kept once, as a second name of the
image's own file where both are on one file system. The new manifest is put in place last, in
one step: a backup that is killed leaves the one before it whole.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from bat_os.core.schema import replace
from bat_os.errors import ArgumentsError, BlobError, StorageError
from bat_os.failpoints import cross
from bat_os.image.files import disk, manifest
from bat_os.image.files.blob_folder import blob_files
from bat_os.image.files.disk import Copier, coded, upkeep
from bat_os.image.files.durable import sync_file
from bat_os.image.files.heads import damaged_heads
from bat_os.image.files.layers import layers_of, path_of
from bat_os.image.files.manifest import BlobFile, ImageFile, Manifest, Part
from bat_os.image.files.opening import read_fork

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    from ZODB.FileStorage import FileStorage

    from bat_os.image.store import ImageStore

# More parts than this, and the next backup puts them together.
MAX_PARTS: Final = 200
HASHERS: Final = 4  # hashing is most of the work, and lets other threads run


@dataclass(frozen=True, slots=True)
class Source:
    """What is to be backed up."""

    storage: Any
    image_id: str
    sums: dict[str, str]  # oid of a blob in hexadecimal -> the SHA-256 that the image records


@dataclass(frozen=True, slots=True)
class Cut:
    """An image file, open, and how much of it belongs to the backup.

    A pack that replaces the file does not touch what is open here.
    """

    name: str
    stream: BinaryIO
    size: int
    tid: str
    inode: tuple[int, int]


async def back_up(
    image: ImageStore, target: Path, *, full: bool = False, copy: bool = False
) -> dict[str, Any]:
    """Bring the backup in ``target`` up to the image as it is now; the image serves meanwhile.

    Args:
        image: The store.
        target: A folder of its own; made where it is not there.
        full: Write everything again.
        copy: Copy blobs even where a second name would do.

    Returns:
        ``tid`` of the last transaction, ``size`` and ``blobs`` (how many) of the whole backup,
        ``added`` bytes, ``full``, ``seconds``, and ``damaged``: the SHA-256 of stored files
        that are missing, or no longer what they were when they came in; and ``record`` with the
        id of each object whose record has a damaged head.
    """
    source = await image.transact(_source, note="read what a backup records")
    return await disk.in_thread(
        lambda stop: back_up_source(source, target, Copier(stop), full=full, copy=copy)
    )


def back_up_source(
    source: Source, target: Path, copier: Copier, *, full: bool = False, copy: bool = False
) -> dict[str, Any]:
    """Do what ``back_up`` does, in this thread."""
    disk.check_absolute(target, "the folder of a backup")
    started = time.monotonic()
    with coded("backup"):
        _make_folder(target)
        path = path_of(source.storage)
        with upkeep(path), upkeep(target / "backup"):
            before = manifest.read(target)
            _remove_unnamed(target, before)
            known = () if full or before is None else before.files
            # A blob that comes later than the cuts does no harm.
            with open_cuts(source.storage) as cuts, ThreadPoolExecutor(1) as beside:
                taking = beside.submit(
                    lambda: tuple(_take_file(cut, target, known, copier) for cut in cuts)
                )
                kept = _whole_blobs(target, before, copier if full else None)
                blobs = _take_blobs(source, target, kept, copier, copy=copy)
                files = taking.result()
            made = Manifest(
                time.time(), source.image_id, "", files, blobs, read_fork(path), manifest.FORMAT
            )
            made = replace(made, damaged=made.lacks(source.sums))
            heads = damaged_heads(source.storage, stop=copier.stop.is_set)
            records = [f"record {oid.hex()}" for oid in heads]
            for folder in ("parts", "blobs"):
                sync_file(target / folder)
            cross("backup.before")
            disk.write_json(target / manifest.NAME, made.to_plain())  # now it is the backup
            cross("backup.switched")
            _remove_unnamed(target, made)
    return {
        "folder": str(target),
        "tid": files[-1].tid,
        "size": made.size,
        "blobs": len(blobs),
        "added": copier.copied,
        "full": not known or files[-1].parts[:1] != known[-1].parts[:1],
        "damaged": [*made.damaged, *records],
        "seconds": round(time.monotonic() - started, 3),
    }


def verify(target: Path) -> dict[str, Any]:
    """Read the whole backup again.

    Returns:
        ``folder``, ``tid``, ``size``, ``files`` (how many), ``made``, ``image_id``, ``reason``, and
        ``damaged``: the SHA-256 of stored files that were missing or damaged when it was made.
    """
    copier = Copier()
    with coded("verify"):
        listing = manifest.read(target)
        if listing is None:
            raise StorageError(f"there is no backup in {target}")
        count = 0
        for name, size, sha256 in listing.members():
            check_member(target / name, size, sha256, copier)
            count += 1
    return {
        "folder": str(target),
        "tid": listing.files[-1].tid,
        "size": listing.size,
        "files": count,
        "made": listing.made,
        "image_id": listing.image_id,
        "reason": listing.reason,
        "damaged": list(listing.damaged),
    }


def check_member(path: Path, size: int, sha256: str, copier: Copier) -> None:
    """Raise ``BlobError`` unless a file of a backup is whole."""
    if not path.is_file():
        raise BlobError(f"{path} is missing from the backup", file=path.name)
    if path.stat().st_size != size or copier.hash(path) != sha256:
        raise BlobError(f"{path} is damaged; make another backup", file=path.name)


@contextlib.contextmanager
def open_cuts(storage: Any) -> Iterator[list[Cut]]:
    """Give the image files of ``storage``, open, each up to its last transaction."""
    with contextlib.ExitStack() as opened:
        cuts = []
        for name, layer in _named_layers(storage):
            # Commits and the end of a pack hold this lock: size, tid and file belong together.
            with layer._lock:
                stream = opened.enter_context(Path(layer.getName()).open("rb", buffering=0))
                size, tid = layer.getSize(), layer.lastTransaction()
            about = os.fstat(stream.fileno())
            cuts.append(Cut(name, stream, size, tid.hex(), (about.st_dev, about.st_ino)))
        yield cuts


def list_blobs(storage: Any) -> list[tuple[str, bytes, bytes, Path]]:
    """Return (image file as in a manifest, oid, tid, path) of each blob."""
    return [
        (name, oid, tid, path)
        for name, layer in _named_layers(storage)
        for _, oid, tid, path in blob_files([layer])
    ]


def _named_layers(storage: Any) -> list[tuple[str, FileStorage]]:
    layers = layers_of(storage)
    names = [f"image.fs.fork/{number}.fs" for number in range(len(layers) - 1)] + ["image.fs"]
    return list(zip(names, layers, strict=True))


def _source(root: MutableMapping[str, Any]) -> Source:
    storage = root._p_jar.db().storage  # type: ignore[attr-defined]  # ZODB: the root's connection
    return Source(storage, str(root.get("about", {}).get("id", "")), sums_of(root))


def sums_of(root: Mapping[str, Any]) -> dict[str, str]:
    """Return the SHA-256 of every stored file that the image refers to, by the blob's oid."""
    stored = root.get("files_by_sha256", {})
    return {file.blob._p_oid.hex(): file.sha256 for file in stored.values()}


def _make_folder(target: Path) -> None:
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (target / manifest.NAME).exists():
        ours = ("parts", "blobs", "backup.upkeep", f"{manifest.NAME}.new")
        theirs = [path.name for path in target.iterdir() if path.name not in ours]
        if theirs:
            raise ArgumentsError(f"{target} holds {theirs[0]!r} already; name a folder of its own")
    for name in ("parts", "blobs"):
        (target / name).mkdir(mode=0o700, exist_ok=True)


def _take_file(cut: Cut, target: Path, before: Sequence[ImageFile], copier: Copier) -> ImageFile:
    known = next((file for file in before if file.name == cut.name), None)
    parts: Sequence[Part] = ()
    if known is not None and len(known.parts) < MAX_PARTS and _is_grown(cut, known, copier):
        parts = known.parts
    done = sum(part.size for part in parts)
    if done < cut.size:
        disk.check_room(target, cut.size - done)
        name = f"{secrets.token_hex(16)}.part"
        cut.stream.seek(done)
        sha256 = copier.copy(cut.stream, cut.size - done, target / "parts" / name)
        parts = (*parts, Part(name, cut.size - done, sha256))
    return ImageFile(cut.name, cut.tid, cut.inode, tuple(parts))


def _is_grown(cut: Cut, known: ImageFile, copier: Copier) -> bool:
    """Return True when the file begins with all that the backup has of it.

    The same file can only have grown, so a look at the last part will do; of another file
    (moved, restored, packed) all is compared.
    """
    if known.size > cut.size or not known.parts:
        return False
    some = known.parts[-1:] if known.inode == cut.inode else known.parts
    cut.stream.seek(known.size - sum(part.size for part in some))
    return all(copier.hash_range(cut.stream, part.size) == part.sha256 for part in some)


def _whole_blobs(
    target: Path, before: Manifest | None, copier: Copier | None
) -> dict[str, BlobFile]:
    """Return by name the blobs to keep; with a copier, after reading them."""
    kept = {}
    for blob in before.blobs if before else ():
        place = target / "blobs" / blob.name
        there = place.is_file() and place.stat().st_size == blob.size
        if there and (copier is None or copier.hash(place) == blob.sha256):
            kept[blob.name] = blob
    return kept


def _take_blobs(
    source: Source, target: Path, kept: dict[str, BlobFile], copier: Copier, *, copy: bool
) -> tuple[BlobFile, ...]:
    def take(stored: tuple[str, bytes, bytes, Path]) -> BlobFile:
        name, oid, tid, path = stored
        blob = BlobFile(name, oid.hex(), tid.hex(), path.stat().st_size, "")
        if blob.name in kept:
            return replace(kept[blob.name], of=name)
        sha256 = _take_blob(path, target / "blobs" / blob.name, blob.size, copier, copy=copy)
        return replace(blob, sha256=sha256)

    with ThreadPoolExecutor(HASHERS) as pool:
        return tuple(pool.map(take, list_blobs(source.storage)))


def _take_blob(path: Path, place: Path, size: int, copier: Copier, *, copy: bool) -> str:
    """Bring one blob into the backup, under a name that no manifest has until it is whole."""
    draft = place.with_suffix(".new")
    if not copy and disk.link(path, draft):
        sync_file(draft)
        sha256 = copier.hash(draft)
    else:
        disk.check_room(place.parent, size)
        with path.open("rb", buffering=0) as stream:
            sha256 = copier.copy(stream, size, draft)
        draft.chmod(0o400)
    draft.replace(place)
    return sha256


def _remove_unnamed(target: Path, listing: Manifest | None) -> None:
    named = {name for name, _, _ in listing.members()} if listing is not None else set()
    for folder in ("parts", "blobs"):
        for path in (target / folder).iterdir():
            if f"{folder}/{path.name}" not in named:
                path.unlink()
