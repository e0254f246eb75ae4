"""Model files in the image: files go in as blobs, and come out as a folder of links.

A file is kept once, under its SHA-256, whichever models name it. Loading a model reads the
committed blob files themselves: no unpacking and no copy.

    root["files_by_sha256"]  sha256 -> StoredFile (one blob)
    root["models"]           name -> StoredModel (file name -> sha256)

Taking in is resumable: one transaction per file, and the model's own entry comes last. What
is known about models, and removing them, is in ``bat_os.image.models``.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import re
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree
from persistent import Persistent
from ZODB.blob import Blob

from bat_os.core import values
from bat_os.errors import ArgumentsError, BlobError, ConflictError, NotFoundError
from bat_os.failpoints import cross
from bat_os.image import modelfiles
from bat_os.image.files.disk import coded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping

    from bat_os.image.store import ImageStore

MAX_FILES: Final = 2_000
KINDS: Final = ("transformers", "gguf", "adapter", "embedder")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z", re.ASCII)
_TRIES: Final = 3


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
        meta: Plain data: ``kind`` (one of KINDS), ``source``, ``revision``, ``licence``,
            ``base`` (of an adapter), ``bytes``, ``added`` (Unix time), and whatever the
            caller of the intake gave. Older images may lack any of them.
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

    Sub-folders are included; hidden files and checksum lists stay out. The rest is as in
    ``ingest_files``.
    """
    found = await asyncio.to_thread(modelfiles.list_files, folder)
    if not found:
        raise NotFoundError(f"model {name}: there are no files in {folder}")
    source = "" if consume else str(await asyncio.to_thread(folder.absolute))
    known = {"source": source} | dict(meta or {})
    return await ingest_files(image, name, found, meta=known, consume=consume, progress=progress)


async def ingest_files(
    image: ImageStore,
    name: str,
    found: Mapping[str, Path],
    *,
    meta: Mapping[str, Any] | None = None,
    consume: bool = False,
    progress: Callable[[str], None] = _say_nothing,
) -> str:
    """Take files into the image as model ``name``; return the model's digest.

    Files that the image has are not stored again, unless their blob is damaged: taking a
    model in again is also how it is repaired. A killed or cancelled intake leaves no half
    model, and the next one goes on at the file where it stopped.

    Args:
        image: The store.
        name: Replaces a model of that name; letters, digits, ``._-``.
        found: File name, with ``/`` for folders -> where it is.
        meta: Plain data to keep with the model; see ``StoredModel``. ``kind`` is told by
            the files' names where it is not given.
        consume: Remove the sources once the whole model is committed. On the file system of
            the image they are then moved, which takes the time of reading them once.
        progress: Called with one line per file.

    Raises:
        ArgumentsError: A name cannot be used, or ``name`` is that of an adapter and this is
            a model, or the other way round.
        BlobError: A source cannot be read.
        StorageFullError: The disk is full.
    """
    _check_names(name, found)
    known = dict(meta or {})
    values.check(known, where=f"facts about model {name}")
    if known.setdefault("kind", guess_kind(found)) not in KINDS:
        raise ArgumentsError(f"model {name}: the kind must be one of {', '.join(KINDS)}")
    for _ in range(_TRIES):
        files, size = await _take_all(image, name, found, consume, progress)
        enter = functools.partial(_enter, name=name, files=files, meta=_facts(known, size))
        cross("model.before")
        if await image.transact(enter, note=f"take in model {name}"):
            cross("model.committed")
            break
    else:
        raise ConflictError(f"model {name}: others remove its files all the time; ask again")
    if consume:
        await asyncio.to_thread(modelfiles.remove, found.values())
    return digest_of(files)


async def link_folder(
    image: ImageStore, name: str, under: Path, *, verified: modelfiles.Verified | None = None
) -> Path:
    """Return a folder of links to the committed files of model ``name``, all verified.

    The folder is made in ``under``, or used again while it is as it should be; its file
    SHA256SUMS lists the digests. Reads every file once, about a second per GB, unless
    ``verified`` knows that it was read before.

    Raises:
        NotFoundError: The image has no such model.
        BlobError: A file is missing or damaged; the message says which, and the command
            that repairs it.
    """
    memory = modelfiles.Verified() if verified is None else verified

    def read(root: MutableMapping[str, Any]) -> tuple[dict[str, str], str]:
        model = model_in(root, name)
        return dict(model.files), str(model.meta.get("source") or "")

    files, source = await image.transact(read, note="read a model")
    places = await image.transact(lambda root: _places(root, files.values()), note="find blobs")
    for file_name, sha256 in files.items():
        place = places[sha256]
        if not place or not await asyncio.to_thread(memory.holds, Path(place), sha256):
            raise _broken(name, file_name, source, missing=not place)
    _check_names(name, files)
    linked = {file_name: Path(places[sha256]) for file_name, sha256 in files.items()}
    folder = under / f"{name}-{digest_of(files)[:12]}"
    return await asyncio.to_thread(modelfiles.link, folder, linked, modelfiles.sums(files))


async def model_names(image: ImageStore) -> list[str]:
    """Return the names of all models that are in the image whole, sorted."""
    return await image.transact(lambda root: list(root.get("models", ())), note="list models")


async def model_digest(image: ImageStore, name: str) -> str:
    """Return the SHA-256 of the model's list of files: equal exactly when all files are.

    Raises:
        NotFoundError: The image has no such model.
    """
    return await image.transact(
        lambda root: digest_of(model_in(root, name).files), note="read a model"
    )


def guess_kind(names: Iterable[str]) -> str:
    """Return which of KINDS the files of these names are.

    >>> guess_kind(["config.json", "model.safetensors"]), guess_kind(["adapter_config.json"])
    ('transformers', 'adapter')
    """
    known = set(names)
    if "adapter_config.json" in known:
        return "adapter"
    if "modules.json" in known:
        return "embedder"
    return "gguf" if known and all(name.endswith(".gguf") for name in known) else "transformers"


def model_in(root: MutableMapping[str, Any], name: str) -> StoredModel:
    """Return the model of that name; inside ``ImageStore.transact`` only.

    Raises:
        NotFoundError: There is none.
    """
    model: StoredModel | None = root.get("models", {}).get(name)
    if model is None:
        raise NotFoundError(f"the image has no model {name}")
    return model


def digest_of(files: Mapping[str, str]) -> str:
    """Return the SHA-256 of a list of files; see ``model_digest``."""
    return hashlib.sha256(modelfiles.sums(files).encode()).hexdigest()


async def _take_all(
    image: ImageStore,
    name: str,
    found: Mapping[str, Path],
    consume: bool,
    progress: Callable[[str], None],
) -> tuple[dict[str, str], int]:
    """Bring all files in; return file name -> SHA-256, and the bytes that they are."""
    files: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for number, (file_name, path) in enumerate(found.items(), start=1):
        with modelfiles.reading(path):
            size = (await asyncio.to_thread(path.stat)).st_size
        text = f"{name}: {file_name} ({size / 1e6:.1f} MB), {number} of {len(found)}"
        progress(values.Counted(text, number, len(found)))
        files[file_name] = sha256 = await _take_file(image, path, file_name, consume)
        sizes[sha256] = size
    return files, sum(sizes.values())


async def _take_file(image: ImageStore, path: Path, name: str, consume: bool) -> str:
    """Bring one file into the image, if it is not there whole; return its SHA-256."""
    with modelfiles.reading(path):
        size = (await asyncio.to_thread(path.stat)).st_size
    folder, same_size = await image.transact(lambda root: _look(root, size), note="find blobs")
    known = ""
    if same_size:
        with modelfiles.reading(path):
            known = await modelfiles.in_thread(lambda stop: modelfiles.hash_file(path, stop))
        if place := same_size.get(known):
            whole = await asyncio.to_thread(modelfiles.Verified().holds, Path(place), known)
            if whole:
                return known
    await asyncio.to_thread(modelfiles.sweep, folder)
    stage = await modelfiles.in_thread(
        lambda stop: modelfiles.make_stage(path, folder, move=consume, stop=stop, sha256=known)
    )

    def store(root: Any) -> None:
        stored = StoredFile(name, stage.sha256, stage.size)
        # A blob that belongs to no connection yet would put its file into /tmp.
        root._p_jar.add(stored.blob)
        stage.fill(stored.blob)
        _tree(root, "files_by_sha256")[stage.sha256] = stored

    try:
        await image.transact(store, note=f"take in file {name}")
    finally:
        await asyncio.to_thread(stage.discard)
    cross("blob.committed")
    places = await image.transact(lambda root: _places(root, [stage.sha256]), note="find a blob")
    if place := places[stage.sha256]:
        with coded(f"take in file {name}"):
            await asyncio.to_thread(modelfiles.sync_folders, Path(place))
    return stage.sha256


def _look(root: Any, size: int) -> tuple[Path, dict[str, str]]:
    """Return the folder for unfinished blobs, and the blobs of ``size`` bytes by SHA-256."""
    stored = root.get("files_by_sha256", {})
    same = [sha256 for sha256, file in stored.items() if file.size == size]
    return Path(root._p_jar.db().storage.temporaryDirectory()), _places(root, same)


def _enter(
    root: MutableMapping[str, Any], name: str, files: Mapping[str, str], meta: Mapping[str, Any]
) -> bool:
    """Make the model known; return False where one of its files was removed meanwhile."""
    stored = root.get("files_by_sha256", {})
    if any(sha256 not in stored for sha256 in files.values()):
        return False
    model = StoredModel(name, dict(files), dict(meta))
    before = root.get("models", {}).get(name)
    if before is not None and _is_adapter(before) != _is_adapter(model):
        raise ArgumentsError(
            f"{name} names {'an adapter' if _is_adapter(before) else 'a model'} in the image "
            "already; choose another name, or remove that one first"
        )
    for sha256 in set(files.values()):
        stored[sha256]._p_changed = True  # conflicts with a removal at the same time
    _tree(root, "models")[name] = model
    if before is not None:
        drop_files(root, before)
    return True


def drop_files(root: MutableMapping[str, Any], model: StoredModel) -> list[int]:
    """Forget the files of ``model`` that no model names; return their sizes.

    ``model`` itself is no longer in the root, or another one is there in its place. The disk
    gets the space back with the next pack.
    """
    stored = root.get("files_by_sha256", {})
    named = {sha256 for other in root["models"].values() for sha256 in other.files.values()}
    sizes = []
    for sha256 in set(model.files.values()) - named:
        if (file := stored.get(sha256)) is not None:
            file._p_changed = True  # conflicts with an intake that counts on it
            sizes.append(file.size)
            del stored[sha256]
    return sizes


def _is_adapter(model: StoredModel) -> bool:
    return str(model.meta.get("kind") or guess_kind(model.files)) == "adapter"


def _facts(known: Mapping[str, Any], size: int) -> dict[str, Any]:
    blank = {"source": "", "revision": "", "licence": "", "base": ""}
    return blank | dict(known) | {"bytes": size, "added": time.time()}


def _broken(name: str, file_name: str, source: str, *, missing: bool) -> BlobError:
    command = shlex.join(["batos", "models", "add", name, source or "SOURCE"])
    hint = "" if source else " (where it came from is not recorded)"
    return BlobError(
        f"model {name}: the stored file {file_name} is {'missing' if missing else 'damaged'}; "
        f"repair it with: {command}{hint}",
        model=name,
        file=file_name,
        command=command,
    )


def check_name(name: str) -> None:
    """Refuse a name that no model can have; one that is taken can also name a folder.

    Raises:
        ArgumentsError: It has other signs, or too many.
    """
    if not _NAME.match(name):
        raise ArgumentsError(f"{name[:60]!r} cannot name a model; use letters, digits and ._-")


def _check_names(name: str, files: Iterable[str]) -> None:
    check_name(name)
    names = list(files)
    if len(names) > MAX_FILES:
        raise ArgumentsError(f"model {name}: {len(names)} files; at most {MAX_FILES} are taken in")
    for file_name in names:
        parts = file_name.split("/")
        if any(part in ("", ".", "..") for part in parts) or set(file_name) & set('\\:\n\r\0"'):
            raise ArgumentsError(f"model {name}: {file_name[:60]!r} cannot name a file of a model")


def _places(root: MutableMapping[str, Any], wanted: Iterable[str]) -> dict[str, str]:
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
