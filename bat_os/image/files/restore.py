"""Make a home of a backup or an archive: built beside its place, checked, then put there.

    parts + blobs > NAME.restoring-* > every digest > opened, every object counted > NAME

An image that a process holds is never touched, and one that is there already only where the
caller says so; it is then kept beside the new one. The switch is one step on Linux; elsewhere
two, and what was killed between them has both homes beside the place.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.settings import IMAGE
from bat_os.errors import ArgumentsError, BlobError, NotFoundError, StorageError
from bat_os.failpoints import cross
from bat_os.image.allowlist import AllowListDB
from bat_os.image.files import archive as tarball
from bat_os.image.files import disk, manifest
from bat_os.image.files.backup import check_member, sums_of
from bat_os.image.files.blob_folder import make_blob_folder, place_blob
from bat_os.image.files.disk import Copier, coded
from bat_os.image.files.durable import Lock, sync_file
from bat_os.image.files.opening import FORK, open_storage
from bat_os.image.files.pack import count_objects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bat_os.image.files.manifest import ImageFile, Manifest

_MARK: Final = ".restoring-"


def restore(backup: Path, home: Path, *, replace: bool = False) -> dict[str, Any]:
    """Make ``home`` hold the image in ``backup``: a folder, or the file of an archive.

    Returns:
        ``home``, ``tid`` of its last transaction, ``size``, ``kept`` (where the home that was
        there is now, or ""), ``objects``: class -> how many the image holds, and ``damaged``: the
        SHA-256 of stored files that the image refers to and the backup does not hold whole.
    """
    copier = Copier()
    disk.check_absolute(home, "the home to restore to")
    with coded("restore"):
        _check_free(home, replace=replace)
        home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk.sweep_drafts(home.parent, f"{home.name}{_MARK}")
        draft = home.with_name(disk.name_draft(f"{home.name}{_MARK}"))
        draft.mkdir(mode=0o700)
        try:
            with _opened(backup, draft, copier) as (folder, listing):
                _build(folder, listing, draft, copier)
            counted, damaged = _check_image(draft / IMAGE, listing)
            disk.sync_tree(draft)
            cross("restore.built")
            kept = _put(draft, home)
            cross("restore.done")
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return {
        "home": str(home),
        "tid": listing.files[-1].tid,
        "size": listing.size,
        "kept": kept,
        "objects": counted,
        "damaged": damaged,
        "reason": listing.reason,
    }


@contextlib.contextmanager
def _opened(backup: Path, draft: Path, copier: Copier) -> Iterator[tuple[Path, Manifest]]:
    """Give the folder of the backup and its manifest; an archive is unpacked for the time."""
    if backup.is_dir():
        listing = manifest.read(backup)
        if listing is None:
            raise StorageError(f"there is no backup in {backup}")
        yield backup, listing
        return
    if not backup.exists():
        raise NotFoundError(f"{backup} does not exist")
    folder = draft / "unpacked"
    folder.mkdir(mode=0o700)
    yield folder, tarball.unpack(backup, folder, copier)
    shutil.rmtree(folder)


def _check_free(home: Path, *, replace: bool) -> None:
    if not home.exists():
        return
    if not home.is_dir():
        raise ArgumentsError(f"{home} is a file; name a folder")
    if any(home.iterdir()) and not replace:
        raise ArgumentsError(
            f"{home} is there already; name a new folder, or restore with --replace, "
            "which keeps the old one beside it"
        )
    if (home / f"{IMAGE}.lock").exists():
        Lock(str(home / f"{IMAGE}.lock")).close()  # fails where a process holds the image


def _build(folder: Path, listing: Manifest, draft: Path, copier: Copier) -> None:
    disk.check_room(draft, sum(file.size for file in listing.files))
    if listing.fork:
        (draft / f"{IMAGE}.fork").mkdir(mode=0o700)
        disk.write_json(draft / f"{IMAGE}.fork" / FORK, listing.fork)
    for file in listing.files:
        _join(folder, file, _place(draft, file.name), copier)
        make_blob_folder(_place(draft, file.name))
    for blob in listing.blobs:
        source = folder / "blobs" / blob.name
        check_member(source, blob.size, blob.sha256, copier)
        blobs = Path(f"{_place(draft, blob.of)}.blob")
        place = place_blob(blobs, bytes.fromhex(blob.oid), bytes.fromhex(blob.tid))
        if not disk.link(source, place):
            disk.check_room(draft, blob.size)
            with source.open("rb", buffering=0) as stream:
                copier.copy(stream, blob.size, place)
            place.chmod(0o400)


def _place(draft: Path, name: str) -> Path:
    return draft / (IMAGE + name.removeprefix("image.fs"))


def _join(folder: Path, file: ImageFile, target: Path, copier: Copier) -> None:
    with target.open("xb", buffering=0) as stream:
        for part in file.parts:
            source = folder / "parts" / part.name
            if not source.is_file() or source.stat().st_size != part.size:
                raise BlobError(f"{source} is missing or damaged", file=part.name)
            with source.open("rb", buffering=0) as piece:
                if copier.append(piece, part.size, stream) != part.sha256:
                    raise BlobError(f"{source} is damaged", file=part.name)
        os.fsync(stream.fileno())


def _check_image(path: Path, listing: Manifest) -> tuple[dict[str, int], list[str]]:
    """Open what was built as a kernel would, and read every object; writes the index files.

    Returns:
        How many objects of each class there are, and the stored files that are not whole.
    """
    storage = open_storage(path)
    try:
        tid = listing.files[-1].tid
        if listing.fork and not int(tid, 16):  # it has none of its own yet
            tid = listing.files[-2].tid
        if storage.lastTransaction().hex() not in (listing.files[-1].tid, tid):
            raise StorageError("the image in the backup does not end where its manifest says")
        counted = count_objects(storage)  # before anything of it is loaded
        database = AllowListDB(storage)
        connection = database.open()
        try:
            damaged = listing.lacks(sums_of(connection.root()))
        finally:
            connection.close()
            database.close()
    finally:
        storage.close()
    return counted, list(damaged)


def _put(draft: Path, home: Path) -> str:
    """Give ``draft`` the name ``home``; return where the old home is now, or ""."""
    if not home.exists() or not any(home.iterdir()):
        if os.name == "nt" and home.exists():
            home.rmdir()
        draft.replace(home)
        sync_file(home.parent)
        return ""
    lock = home / f"{IMAGE}.lock"
    held = Lock(str(lock)) if (home / IMAGE).exists() else None
    try:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        kept = home.with_name(f"{home.name}.before-{stamp}-{secrets.token_hex(2)}")
        if disk.exchange(draft, home):
            cross("restore.exchanged")
            draft.rename(kept)
        else:
            home.rename(kept)
            draft.rename(home)
        sync_file(home.parent)
    finally:
        if held is not None:
            held.close()
    return str(kept)
