"""Models and adapters in the image: add, link, list, remove them.

Adding is resumable: one transaction per file, and the model's own entry comes last. The files
themselves go in and out in ``bat_os.image.blobs``.

NotFoundError: the image has no such model, or a source is missing. BlobError: a stored file is
missing or damaged, or a source cannot be read; the message says which, and how to repair it.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import values
from bat_os.core.digest import digest
from bat_os.errors import ArgumentsError, BlobError, ConflictError, NotFoundError
from bat_os.failpoints import cross
from bat_os.image import blobs
from bat_os.image.blobs import StoredModel
from bat_os.image.objects import tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping

    from bat_os.image.store import ImageStore

    Progress = Callable[[str], None]
    Also = Callable[[MutableMapping[str, Any]], None]

MAX_FILES: Final = 2_000
KINDS: Final = ("transformers", "gguf", "adapter", "embedder")
ADAPTER_FILES: Final = ("adapter_config.json", "adapter_model.safetensors")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z", re.ASCII)
_TRIES: Final = 3
ABILITIES: Final = "abilities"  # in the root: key -> figures


async def ingest_folder(
    image: ImageStore,
    name: str,
    folder: Path,
    *,
    meta: Mapping[str, Any] | None = None,
    consume: bool = False,
    progress: Progress = values.ignore_progress,
) -> str:
    """Add all files of ``folder`` as model ``name``; return the model's digest.

    Sub-folders are included; hidden files and checksum lists stay out. The rest is as in
    ``ingest_files``.
    """
    found = await asyncio.to_thread(blobs.list_files, folder)
    if not found:
        raise NotFoundError(f"model {name}: there are no files in {folder}")
    source = "" if consume else str(await asyncio.to_thread(folder.absolute))
    known = {"source": source} | dict(meta or {})
    return await ingest_files(image, name, found, meta=known, consume=consume, progress=progress)


async def ingest_file(
    image: ImageStore,
    name: str,
    path: Path,
    *,
    meta: Mapping[str, Any] | None = None,
    progress: Progress = values.ignore_progress,
) -> str:
    """Add a single GGUF file as it is; return the model's digest.

    The first bytes are checked here; ``engines.gguf.check_header`` checks the whole header.
    """
    if not await asyncio.to_thread(path.is_file):
        raise NotFoundError(f"model {name}: found no file {path}")
    with blobs.reading(path):
        is_gguf = await asyncio.to_thread(_begins_as_gguf, path)
    if not is_gguf:
        raise ArgumentsError(f"model {name}: {path.name} is not a GGUF file")
    source = str(await asyncio.to_thread(path.absolute))
    known = {"source": source} | dict(meta or {}) | {"kind": "gguf"}
    return await ingest_files(image, name, {path.name: path}, meta=known, progress=progress)


async def ingest_adapter(  # noqa: PLR0913 - a model, and what is known of it
    image: ImageStore,
    name: str,
    folder: Path,
    bases: Iterable[str],
    *,
    derived: Mapping[str, Path] | None = None,
    meta: Mapping[str, Any] | None = None,
    also: Also | None = None,
) -> str:
    """Add the LoRA adapter in ``folder`` for the models ``bases``; return its digest.

    Only its configuration and its weights are stored, what was made of them, and which models it
    is for: as ``bases``, the name of each and its digest. The caller checks whether it fits.
    ``derived`` has the files that were made of these two, by name; they are no part of the digest.
    """
    found = {file_name: folder / file_name for file_name in ADAPTER_FILES}
    for path in found.values():
        if not await asyncio.to_thread(path.is_file):
            raise NotFoundError(f"adapter {name}: found no file {path}")
    made = dict(derived or {})
    known = {"source": str(await asyncio.to_thread(folder.absolute))} | dict(meta or {})
    known |= {"kind": "adapter", "derived": sorted(made)}
    known["bases"] = {base: await model_digest(image, base) for base in bases}
    known["base"] = next(iter(known["bases"]), "")  # older programs know this one
    return await ingest_files(image, name, found | made, meta=known, also=also)


async def ingest_files(  # noqa: PLR0913 - a model, and what is known of it
    image: ImageStore,
    name: str,
    found: Mapping[str, Path],
    *,
    meta: Mapping[str, Any] | None = None,
    consume: bool = False,
    progress: Progress = values.ignore_progress,
    also: Also | None = None,
) -> str:
    """Add files as model ``name``; return the model's digest.

    Files that the image has are not stored again, unless their blob is damaged: adding a model
    again is also how it is repaired. If this is killed or cancelled, there is no half model, and
    the next call resumes at the file where it stopped.

    Args:
        image: The store.
        name: Replaces a model of that name; letters, digits, ``._-``.
        found: File name, with ``/`` for folders -> where it is.
        meta: Plain data to keep with the model; see ``StoredModel``. The files' names decide
            ``kind`` if it is not given.
        consume: Remove the sources once the whole model is committed. On the file system of
            the image they are then moved, which takes the time of reading them once.
        progress: Called with one line per file.
        also: Called in the transaction that makes the model known.
    """
    _check_names(name, found)
    known = dict(meta or {})
    values.check(known, where=f"facts about model {name}")
    if known.setdefault("kind", guess_kind(found)) not in KINDS:
        raise ArgumentsError(f"model {name}: the kind must be one of {', '.join(KINDS)}")
    blank = {"source": "", "revision": "", "licence": "", "base": ""}
    for _ in range(_TRIES):
        files, size = await _store_all(image, name, found, consume, progress)
        facts = blank | known | {"bytes": size, "added": time.time()}
        enter = partial(_enter, name=name, files=files, meta=facts, also=also)
        cross("model.before")
        if await image.transact(enter, note=f"add model {name}"):
            cross("model.committed")
            break
    else:
        raise ConflictError(
            f"model {name}: its files are being removed at the same time; ask again"
        )
    if consume:
        for path in found.values():
            await asyncio.to_thread(path.unlink, missing_ok=True)
    return _identity(StoredModel(name, files, known))


async def link_folder(
    image: ImageStore, name: str, under: Path, *, verified: blobs.Verified | None = None
) -> Path:
    """Return a folder of links to the committed files of model ``name``, all verified.

    The folder is made in ``under``, or used again while it is as it should be; its file
    SHA256SUMS lists the digests. Reads every file once, about a second per GB, unless
    ``verified`` knows that it was read before.
    """
    memory = blobs.Verified() if verified is None else verified

    def read(root: MutableMapping[str, Any]) -> tuple[dict[str, str], str, dict[str, str]]:
        model = model_in(root, name)
        places = blobs.find_places(root, model.files.values())
        return dict(model.files), str(model.meta.get("source") or ""), places

    files, source, places = await image.transact(read, note="read a model")
    for file_name, sha256 in files.items():
        place = places[sha256]
        if not place or not await asyncio.to_thread(memory.holds, Path(place), sha256):
            raise _broken(name, file_name, source, missing=not place)
    _check_names(name, files)
    linked = {file_name: Path(places[sha256]) for file_name, sha256 in files.items()}
    folder = under / f"{name}-{digest_of(files)[:12]}"
    return await asyncio.to_thread(blobs.link, folder, linked, blobs.sums(files))


async def link_file(
    image: ImageStore, name: str, under: Path, *, verified: blobs.Verified | None = None
) -> Path:
    """Return a link to the committed GGUF file of model ``name``; of several parts, the first."""
    folder = await link_folder(image, name, under, verified=verified)
    parts = await asyncio.to_thread(lambda: sorted(folder.glob("*.gguf")))
    if not parts:
        raise BlobError(f"model {name} has no GGUF file; llama.cpp cannot load it", model=name)
    return parts[0]


async def model_names(image: ImageStore) -> list[str]:
    """Return the names of all models that are in the image whole, sorted."""
    return await image.transact(lambda root: list(root.get("models", ())), note="list models")


async def model_digest(image: ImageStore, name: str) -> str:
    """Return the SHA-256 of the model's list of files: equal exactly when all files are.

    Files that were derived from the others are left out.
    """
    return await image.transact(lambda root: _identity(model_in(root, name)), note="read a model")


async def list_models(image: ImageStore) -> list[dict[str, Any]]:
    """Return what is known about each model, sorted by name, as plain data.

    Each has ``name``, ``kind``, ``source``, ``revision``, ``licence``, ``base`` (of an adapter, a
    model of the image that it is for), ``bases`` (all of them: name -> digest at that time),
    ``derived`` (names of its files that were made of the others), ``added`` (Unix time, 0 where
    unknown), ``digest``, ``files`` (how many), ``size`` (bytes of all its files), ``bytes`` (the
    same without files that an earlier model of the list has, so that the sum is what all take),
    ``same_as`` (names of the models that have all of its files, whatever they call them), and
    ``damaged``: ``yes`` where a file is missing or has another size, else ``unknown``, since
    nothing is read.
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
    space on the disk back. Its links in the folder ``links`` are removed too.

    Returns:
        ``{"name", "files": how many were forgotten, "bytes": of those, "adapters": names of
        adapters that have no base in the image now}``.
    """

    def work(root: MutableMapping[str, Any]) -> dict[str, Any]:
        model = model_in(root, name)
        del root["models"][name]
        sizes = _forget_unnamed(root, model.files.values())
        left = root["models"]
        adapters = [
            other.name
            for other in left.values()
            if name in (bases := _bases(other)) and not any(base in left for base in bases)
        ]
        return {"name": name, "files": len(sizes), "bytes": sum(sizes), "adapters": adapters}

    removed = await image.transact(work, note=f"remove model {name}")
    if links is not None:
        await asyncio.to_thread(_remove_links, links, name)
    return removed


async def read_abilities(image: ImageStore) -> dict[str, dict[str, Any]]:
    """Return what exams found out, by the key of ``keep_ability``."""
    return await image.transact(
        lambda root: {key: dict(entry) for key, entry in root.get(ABILITIES, {}).items()},
        note="read abilities",
    )


async def keep_ability(image: ImageStore, key: str, entry: Mapping[str, Any]) -> None:
    """Store what an exam found out, plain data, in place of what an earlier one did.

    The key names model and adapter by their digests: a model that is stored again under its name
    keeps its figures, and another one under that name has none.
    """
    known = dict(entry)
    values.check(known, where="the figures of an exam")

    def work(root: MutableMapping[str, Any]) -> None:
        tree_of(root, ABILITIES)[key] = known

    await image.transact(work, note="keep the figures of an exam")


def remove_strays(root: MutableMapping[str, Any]) -> list[int]:
    """Forget files that no model names, which unfinished additions left; return their sizes.

    An addition that runs at the same time stores its files again.
    """
    return _forget_unnamed(root, root.get("files_by_sha256", ()))


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
    """Return the model of that name; inside ``ImageStore.transact`` only."""
    model: StoredModel | None = root.get("models", {}).get(name)
    if model is None:
        raise NotFoundError(f"the image has no model {name} (batos models lists them)")
    return model


def digest_of(files: Mapping[str, str]) -> str:
    """Return the SHA-256 of a list of files; see ``model_digest``."""
    return digest(blobs.sums(files))


def check_name(name: str) -> None:
    """Raise ``ArgumentsError`` unless ``name`` can be a model's, and so also a folder's."""
    if not _NAME.match(name):
        raise ArgumentsError(f"{name[:60]!r} cannot name a model; use letters, digits and ._-")


def _check_names(name: str, files: Iterable[str]) -> None:
    check_name(name)
    names = list(files)
    if len(names) > MAX_FILES:
        raise ArgumentsError(f"model {name}: {len(names)} files; a model has at most {MAX_FILES}")
    for file_name in names:
        parts = file_name.split("/")
        if any(part in ("", ".", "..") for part in parts) or set(file_name) & set('\\:\n\r\0"'):
            raise ArgumentsError(f"model {name}: {file_name[:60]!r} cannot name a file of a model")


async def _store_all(
    image: ImageStore, name: str, found: Mapping[str, Path], consume: bool, progress: Progress
) -> tuple[dict[str, str], int]:
    """Store all files; return file name -> SHA-256, and the sum of their sizes."""
    files: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for number, (file_name, path) in enumerate(found.items(), start=1):
        with blobs.reading(path):
            size = (await asyncio.to_thread(path.stat)).st_size
        text = f"{name}: {file_name} ({size / 1e6:.1f} MB), {number} of {len(found)}"
        progress(values.Counted(text, number, len(found)))
        files[file_name] = sha256 = await blobs.store_file(image, path, file_name, consume)
        sizes[sha256] = size
    return files, sum(sizes.values())


def _enter(
    root: MutableMapping[str, Any], name: str, files: Mapping[str, str], meta: Mapping[str, Any],
    also: Also | None,
) -> bool:  # fmt: skip
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
    tree_of(root, "models")[name] = model
    if before is not None:
        _forget_unnamed(root, before.files.values())
    if also is not None:
        also(root)
    return True


def _forget_unnamed(root: MutableMapping[str, Any], files: Iterable[str]) -> list[int]:
    """Forget those of ``files`` that no model names; return their sizes.

    The disk gets the space back with the next pack.
    """
    stored = root.get("files_by_sha256", {})
    models = root.get("models", {}).values()
    named = {sha256 for model in models for sha256 in model.files.values()}
    sizes = []
    for sha256 in set(files) - named:
        if (file := stored.get(sha256)) is not None:
            file._p_changed = True  # conflicts with an addition that counts on it
            sizes.append(file.size)
            del stored[sha256]
    return sizes


def _identity(model: StoredModel) -> str:
    derived = model.meta.get("derived", ())
    return digest_of({name: own for name, own in model.files.items() if name not in derived})


def _bases(model: StoredModel) -> dict[str, str]:
    """Return the models that an adapter is for: name -> digest; an older image has one."""
    older = (
        {base: str(model.meta.get("base_digest", ""))} if (base := model.meta.get("base")) else {}
    )
    return dict(model.meta.get("bases") or older)


def _is_adapter(model: StoredModel) -> bool:
    return str(model.meta.get("kind") or guess_kind(model.files)) == "adapter"


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


def _describe(
    root: MutableMapping[str, Any], model: StoredModel, counted: set[str]
) -> dict[str, Any]:
    stored = root.get("files_by_sha256", {})
    mine = set(model.files.values())
    sizes = {sha256: stored[sha256].size for sha256 in mine if sha256 in stored}
    whole = len(sizes) == len(mine) and all(_has_its_size(stored[sha256]) for sha256 in mine)
    facts = {key: str(model.meta.get(key, "")) for key in ("source", "revision", "licence")}
    bases = {name: own for name, own in _bases(model).items() if name in root["models"]}
    described = {
        "name": model.name,
        "kind": str(model.meta.get("kind") or guess_kind(model.files)),
        **facts,
        "base": next(iter(bases), str(model.meta.get("base", ""))),
        "bases": bases,
        "derived": list(model.meta.get("derived", ())),
        "added": model.meta.get("added", 0),
        "digest": _identity(model),
        "files": len(model.files),
        "size": sum(sizes.values()),
        "bytes": sum(size for sha256, size in sizes.items() if sha256 not in counted),
        "same_as": [
            other.name
            for other in root["models"].values()
            if other is not model and mine <= set(other.files.values())
        ],
        "damaged": "unknown" if whole else "yes",
    }
    counted |= mine
    return described


def _has_its_size(stored: Any) -> bool:
    try:
        return bool(Path(stored.blob.committed()).stat().st_size == stored.size)
    except (KeyError, OSError):  # POSKeyError, where the blob's file is gone, is a KeyError
        return False


def _begins_as_gguf(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) == b"GGUF"


def _remove_links(links: Path, name: str) -> None:
    mine = re.compile(re.escape(name) + r"-[0-9a-f]{12}(\.partial)?")
    for folder in links.iterdir() if links.is_dir() else ():
        if mine.fullmatch(folder.name):
            shutil.rmtree(folder, ignore_errors=True)
