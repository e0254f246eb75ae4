"""What the image knows about its models: list them, add single files and adapters, remove.

The files themselves go in and out in ``bat_os.image.blobs``.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError, BlobError, NotFoundError
from bat_os.image.blobs import (
    digest_of,
    drop_files,
    guess_kind,
    ingest_files,
    link_folder,
    model_digest,
    model_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.image.blobs import StoredModel
    from bat_os.image.modelfiles import Verified
    from bat_os.image.store import ImageStore

ADAPTER_FILES: Final = ("adapter_config.json", "adapter_model.safetensors")
_LINKS: Final = r"-[0-9a-f]{12}(\.partial)?"


def _say_nothing(_line: str) -> None:
    return


async def ingest_file(
    image: ImageStore,
    name: str,
    path: Path,
    *,
    meta: Mapping[str, Any] | None = None,
    consume: bool = False,
    progress: Callable[[str], None] = _say_nothing,
) -> str:
    """Take a single file, such as a GGUF, into the image as it is; return the digest.

    The first bytes are checked here; ``engines.gguf.read_header`` checks the whole header.

    Raises:
        ArgumentsError: It is not a GGUF file.
        NotFoundError: There is no such file.
    """
    if not await asyncio.to_thread(path.is_file):
        raise NotFoundError(f"model {name}: there is no file {path}")
    if await asyncio.to_thread(_first_bytes, path) != b"GGUF":
        raise ArgumentsError(f"model {name}: {path.name} is not a GGUF file")
    source = "" if consume else str(await asyncio.to_thread(path.absolute))
    known = {"source": source} | dict(meta or {}) | {"kind": "gguf"}
    found = {path.name: path}
    return await ingest_files(image, name, found, meta=known, consume=consume, progress=progress)


async def ingest_adapter(
    image: ImageStore,
    name: str,
    folder: Path,
    base: str,
    *,
    meta: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = _say_nothing,
) -> str:
    """Take the LoRA adapter in ``folder`` into the image for model ``base``; return its digest.

    Only its configuration and its weights are taken, and with them which base it is for: its
    name and, as ``base_digest``, its digest. Whether the adapter fits is the caller's to
    know, by ``engines.adapters``.

    Raises:
        NotFoundError: The image has no such base, or a file is missing in ``folder``.
    """
    found = {file_name: folder / file_name for file_name in ADAPTER_FILES}
    for path in found.values():
        if not await asyncio.to_thread(path.is_file):
            raise NotFoundError(f"adapter {name}: there is no file {path}")
    known = {"source": str(await asyncio.to_thread(folder.absolute))} | dict(meta or {})
    known |= {"kind": "adapter", "base": base, "base_digest": await model_digest(image, base)}
    return await ingest_files(image, name, found, meta=known, progress=progress)


async def link_file(
    image: ImageStore, name: str, under: Path, *, verified: Verified | None = None
) -> Path:
    """Return a link to the committed GGUF file of model ``name``; of several parts, the first.

    Raises:
        NotFoundError: The image has no such model.
        BlobError: It is damaged, or the model has no GGUF file.
    """
    folder = await link_folder(image, name, under, verified=verified)
    parts = await asyncio.to_thread(lambda: sorted(folder.glob("*.gguf")))
    if not parts:
        raise BlobError(f"model {name} has no GGUF file; llama.cpp cannot load it", model=name)
    return parts[0]


async def list_models(image: ImageStore) -> list[dict[str, Any]]:
    """Return what is known about each model, sorted by name, as plain data.

    Each has ``name``, ``kind``, ``source``, ``revision``, ``licence``, ``base``, ``added``
    (Unix time, 0 where unknown), ``digest``, ``files`` (how many), ``size`` (bytes of all its
    files), ``bytes`` (the same without files that an earlier model of the list has, so that
    the sum is what all take), and ``damaged``: ``yes`` where a file is missing or has another
    size, else ``unknown``, since nothing is read.
    """

    def work(root: MutableMapping[str, Any]) -> list[dict[str, Any]]:
        counted: set[str] = set()
        return [_describe(root, model, counted) for model in root.get("models", {}).values()]

    return await image.transact(work, note="list models")


async def remove_model(
    image: ImageStore, name: str, *, links: Path | None = None
) -> dict[str, Any]:
    """Remove a model or adapter in one transaction; return what that was.

    Files that no other model names are forgotten with it, and the next pack gives their
    space on the disk back.

    Args:
        image: The store.
        name: Of the model.
        links: The folder of link folders, where those of this model go too.

    Returns:
        ``{"name", "files": how many were forgotten, "bytes": of those, "adapters": names of
        adapters whose base it was}``.

    Raises:
        NotFoundError: The image has no such model.
    """

    def work(root: MutableMapping[str, Any]) -> dict[str, Any]:
        model = model_in(root, name)
        del root["models"][name]
        sizes = drop_files(root, model)
        left = root["models"].items()
        adapters = [other for other, stored in left if stored.meta.get("base") == name]
        return {"name": name, "files": len(sizes), "bytes": sum(sizes), "adapters": adapters}

    removed = await image.transact(work, note=f"remove model {name}")
    if links is not None:
        await asyncio.to_thread(_remove_links, links, name)
    return removed


async def remove_strays(image: ImageStore) -> dict[str, int]:
    """Forget files that no model names: what intakes left that were never finished.

    An intake that runs at the same time takes its files in again.

    Returns:
        ``{"files": how many, "bytes": of those}``.
    """

    def work(root: MutableMapping[str, Any]) -> dict[str, int]:
        stored = root.get("files_by_sha256", {})
        models = root.get("models", {}).values()
        named = {sha256 for model in models for sha256 in model.files.values()}
        strays = [sha256 for sha256 in stored if sha256 not in named]
        size = sum(stored[sha256].size for sha256 in strays)
        for sha256 in strays:
            stored[sha256]._p_changed = True  # conflicts with an intake that counts on it
            del stored[sha256]
        return {"files": len(strays), "bytes": size}

    return await image.transact(work, note="remove files of unfinished intakes")


def _describe(
    root: MutableMapping[str, Any], model: StoredModel, counted: set[str]
) -> dict[str, Any]:
    stored = root.get("files_by_sha256", {})
    mine = set(model.files.values())
    sizes = {sha256: stored[sha256].size for sha256 in mine if sha256 in stored}
    whole = len(sizes) == len(mine) and all(_has_its_size(stored[sha256]) for sha256 in mine)
    told = {key: str(model.meta.get(key, "")) for key in ("source", "revision", "licence", "base")}
    described = {
        "name": model.name,
        "kind": str(model.meta.get("kind") or guess_kind(model.files)),
        **told,
        "added": model.meta.get("added", 0),
        "digest": digest_of(model.files),
        "files": len(model.files),
        "size": sum(sizes.values()),
        "bytes": sum(size for sha256, size in sizes.items() if sha256 not in counted),
        "damaged": "unknown" if whole else "yes",
    }
    counted |= mine
    return described


def _has_its_size(stored: Any) -> bool:
    try:
        return bool(Path(stored.blob.committed()).stat().st_size == stored.size)
    except (KeyError, OSError):  # POSKeyError, where the blob's file is gone, is a KeyError
        return False


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(4)
    except OSError as error:
        raise BlobError(f"{path} cannot be read: {error.strerror}", file=path.name) from error


def _remove_links(links: Path, name: str) -> None:
    mine = re.compile(re.escape(name) + _LINKS)
    for folder in links.iterdir() if links.is_dir() else ():
        if mine.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
