"""Model files in the image: a folder goes in as blobs, and comes out as a folder of links.

A file is kept once, under its SHA-256, whichever models name it. Loading a model reads the
committed blob files themselves: no unpacking and no copy.

    root["files_by_sha256"]  sha256 -> StoredFile (one blob)
    root["models"]           name -> StoredModel (file name -> sha256)

Taking in is resumable: one transaction per file, and the model's own entry comes last.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from ZODB.blob import Blob

from bat_os.errors import BlobError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.image.store import ImageStore

# In each folder of links, in the format of sha256sum, sorted by name: whoever loads the
# folder learns the digest without reading 500 MB again.
SUMS_NAME: Final = "SHA256SUMS"
CHUNK: Final = 1 << 20


class StoredFile(Persistent):
    """One file.

    Attributes:
        name: The name under which it came first; for people.
        sha256: Of the content; the key under which it is kept.
        size: In bytes.
        blob: The content.
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
        meta: Plain data.
    """

    def __init__(self, name: str, files: dict[str, str], meta: dict[str, Any]) -> None:
        self.name = name
        self.files = files
        self.meta = meta


def _say_nothing(_line: str) -> None:
    return


async def ingest_folder(
    image: ImageStore,
    name: str,
    folder: Path,
    *,
    meta: Mapping[str, Any] | None = None,
    consume: bool = False,
    progress: Callable[[str], None] = _say_nothing,
) -> str:
    """Take all files of ``folder`` into the image as model ``name``; return its digest.

    Files that the image has are not stored again, unless their blob is damaged: taking a
    model in again is also how it is repaired. Hidden files and checksum lists stay out.

    Args:
        image: The store.
        name: Replaces a model of that name.
        folder: Sub-folders included.
        meta: Plain data to keep with the model.
        consume: Remove the files from ``folder`` once the whole model is committed. On the
            file system of the image they are then moved, which takes milliseconds.
        progress: Called with one line per file.

    Raises:
        NotFoundError: ``folder`` has no files.
    """
    found = await asyncio.to_thread(_list_files, folder)
    if not found:
        raise NotFoundError(f"model {name}: there are no files in {folder}")
    files: dict[str, str] = {}
    for number, (file_name, path) in enumerate(found.items(), start=1):
        size = (await asyncio.to_thread(path.stat)).st_size
        progress(f"{name}: {file_name} ({size / 1e6:.1f} MB), {number} of {len(found)}")
        files[file_name] = await asyncio.to_thread(_sha256, path)
        await _ingest_file(image, path, StoredFile(file_name, files[file_name], size), consume)

    def enter(root: MutableMapping[str, Any]) -> None:
        _tree(root, "models")[name] = StoredModel(name, files, dict(meta or {}))

    await image.transact(enter, note=f"take in model {name}")
    if consume:
        await asyncio.to_thread(_remove, list(found.values()))
    return _digest(files)


async def _ingest_file(image: ImageStore, path: Path, new: StoredFile, consume: bool) -> None:
    sha256 = new.sha256
    if await _whole(image, sha256):
        return

    def store(root: MutableMapping[str, Any]) -> None:
        stored = StoredFile(new.name, sha256, new.size)
        _fill(stored.blob, path, consume=consume)
        _tree(root, "files_by_sha256")[sha256] = stored

    await image.transact(store, note=f"take in file {new.name}")
    place = await image.transact(lambda root: _places(root, [sha256]), note="find a blob")
    if place[sha256]:
        await asyncio.to_thread(_sync_folders, Path(place[sha256]))


async def link_folder(image: ImageStore, name: str, under: Path) -> Path:
    """Return a folder of links to the committed files of model ``name``, all verified.

    The folder is made in ``under``, or used again while it is as it should be; its file
    SHA256SUMS lists the digests. Reads every file once: about a second per GB.

    Raises:
        NotFoundError: The image has no such model.
        BlobError: A file is missing or damaged; the message says which.
    """
    files = await image.transact(lambda root: _model(root, name).files, note="read a model")
    places = await image.transact(lambda root: _places(root, files.values()), note="find blobs")
    for file_name, sha256 in files.items():
        place = places[sha256]
        if not place or await asyncio.to_thread(_sha256_or_none, Path(place)) != sha256:
            state = "damaged" if place else "missing"
            raise BlobError(
                f"model {name}: the stored file {file_name} is {state}; "
                "take the model in again from its source, or restore a backup",
                model=name,
                file=file_name,
            )
    linked = {file_name: Path(places[sha256]) for file_name, sha256 in files.items()}
    return await asyncio.to_thread(_link, under / f"{name}-{_digest(files)[:12]}", linked, files)


async def model_names(image: ImageStore) -> list[str]:
    """Return the names of all models that are in the image whole, sorted."""
    return await image.transact(lambda root: list(root.get("models", ())), note="list models")


async def model_digest(image: ImageStore, name: str) -> str:
    """Return the SHA-256 of the model's list of files: equal exactly when all files are.

    Raises:
        NotFoundError: The image has no such model.
    """
    return await image.transact(lambda root: _digest(_model(root, name).files), note="read a model")


async def _whole(image: ImageStore, sha256: str) -> bool:
    places = await image.transact(lambda root: _places(root, [sha256]), note="find a blob")
    place = places[sha256]
    return bool(place) and await asyncio.to_thread(_sha256_or_none, Path(place)) == sha256


def _model(root: MutableMapping[str, Any], name: str) -> StoredModel:
    model: StoredModel | None = root.get("models", {}).get(name)
    if model is None:
        raise NotFoundError(f"the image has no model {name}")
    return model


def _places(root: MutableMapping[str, Any], wanted: Any) -> dict[str, str]:
    """Return the path of each committed blob; "" where the image does not have it."""
    stored = root.get("files_by_sha256", {})
    places = {}
    for sha256 in wanted:
        try:
            places[sha256] = stored[sha256].blob.committed()
        except KeyError:  # POSKeyError, where only the blob's file is gone, is one too
            places[sha256] = ""
    return places


def _tree(root: MutableMapping[str, Any], key: str) -> Any:
    if key not in root:
        root[key] = OOBTree()
    return root[key]


def _digest(files: Mapping[str, str]) -> str:
    return hashlib.sha256(_sums(files).encode()).hexdigest()


def _sums(files: Mapping[str, str]) -> str:
    return "".join(f"{sha256}  {name}\n" for name, sha256 in sorted(files.items()))


def _list_files(folder: Path) -> dict[str, Path]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: path
        for name, path in named.items()
        if name != SUMS_NAME and not any(part.startswith(".") for part in name.split("/"))
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sha256_or_none(path: Path) -> str | None:
    try:
        return _sha256(path)
    except OSError:
        return None


def _fill(blob: Blob, path: Path, *, consume: bool) -> None:
    """Put the file's content into ``blob``, on the disk for sure; the file itself stays."""
    if consume:
        # A second name for the same file is consumed: a conflict throws the first try's
        # blob away, and the next try needs the file again.
        twin = path.with_name(f".{path.name}.{os.getpid()}.twin")
        try:
            twin.unlink(missing_ok=True)
            twin.hardlink_to(path)
        except OSError:
            pass  # a file system without hard links: copied below
        else:
            with path.open("r+b") as stream:
                os.fsync(stream.fileno())
            blob.consumeFile(str(twin))
            return
    with path.open("rb") as source, blob.open("w") as target:
        shutil.copyfileobj(source, target, CHUNK)
        target.flush()
        os.fsync(target.fileno())


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _sync_folders(blob_file: Path) -> None:
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


def _link(folder: Path, linked: Mapping[str, Path], files: Mapping[str, str]) -> Path:
    if _is_current(folder, linked, files):
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
    (partial / SUMS_NAME).write_text(_sums(files), encoding="utf-8")
    return partial.rename(folder)


def _is_current(folder: Path, linked: Mapping[str, Path], files: Mapping[str, str]) -> bool:
    try:
        same = (folder / SUMS_NAME).read_text(encoding="utf-8") == _sums(files)
        return same and all((folder / name).samefile(place) for name, place in linked.items())
    except OSError:
        return False
