"""LoRA adapters on their way into the image, each with the models that it is for.

    lora_adapters/NAME ── read, find its bases ──→ peft files + adapter.gguf ──→ one entry
    an entry without a base in the profile, as of an older image: the same, from its own files

An adapter is for up to one model of each kind: one in GGUF and one in safetensors, mostly the same
model in two forms. For GGUF it is converted, and the result is kept with it. A process that ends in
between leaves the entry as it was, and the next start does it again.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.engines.adapters import ADAPTER_GGUF, as_folder, find_base, read_adapter, scan_adapters
from bat_os.engines.loragguf import convert_adapter
from bat_os.errors import ImageError, ModelError
from bat_os.image.files.disk import hash_file
from bat_os.image.models import ADAPTER_FILES, digest_of, ingest_adapter, list_models

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from pathlib import Path

    from bat_os.engines.adapters import AdapterFiles
    from bat_os.image.store import ImageStore

    Report = Callable[[str], None]
    Locate = Callable[[str], Awaitable[Path]]
    Rows = Mapping[str, Mapping[str, Any]]  # name -> what ``list_models`` says

log = logging.getLogger(__name__)

GGUF: Final = "gguf"
KINDS: Final = (GGUF, "transformers")  # of models that an adapter can be for


class AdapterStore:
    """The adapters of an image.

    Args:
        image: Where they are kept.
        links: Returns the folder with the files of a stored model or adapter, by its name.
        scratch: Folder for what is being converted.
        wanted: Names of the models that the profile uses.
    """

    def __init__(
        self, image: ImageStore, links: Locate, scratch: Path, wanted: Collection[str]
    ) -> None:
        self._image = image
        self._links = links
        self._scratch = scratch
        self._wanted = frozenset(wanted)

    async def store_all(self, folder: Path, report: Report) -> None:
        """Store the adapters in ``folder``, and find bases for those that the image has.

        An adapter that is broken or fits no base is logged and skipped.
        """
        paths = dict(await asyncio.to_thread(scan_adapters, folder))
        stored = [name for name, row in (await self._rows()).items() if row["kind"] == "adapter"]
        for name in sorted({*paths, *stored}):
            try:
                await self.store(name, paths.get(name) or await self._links(name), report)
            except (ModelError, ImageError) as error:
                log.warning("adapter %s is skipped: %s", name, error)

    async def refit(self, base: str, report: Report) -> None:
        """Make the adapters of a model that was replaced, perhaps in another form, suit it."""
        for name, row in (await self._rows()).items():
            if base in row["bases"]:
                try:
                    await self.store(name, await self._links(name), report)
                except (ModelError, ImageError) as error:
                    log.warning("adapter %s is skipped: %s", name, error)

    async def store(self, name: str, path: Path, report: Report) -> None:
        """Store one adapter under that name, unless the image has it as it should be.

        Raises:
            ModelError: It cannot be used, or fits no model of the image; says why.
        """
        try:
            await self._store(name, path, report)
        finally:
            await asyncio.to_thread(shutil.rmtree, self._scratch, ignore_errors=True)

    async def _store(self, name: str, path: Path, report: Report) -> None:
        adapter = replace(await asyncio.to_thread(read_adapter, path), name=name)
        folder = await asyncio.to_thread(as_folder, adapter, self._scratch)
        digest = await asyncio.to_thread(_digest, folder)
        rows = await self._rows()
        row = rows.get(name, {})
        same = (row.get("kind"), row.get("digest")) == ("adapter", digest)
        kept = _still_there(row["bases"], rows) if same else {}
        ready = GGUF not in kept or ADAPTER_GGUF in row["derived"]
        # It is not tried again: each start would read the whole of its bases.
        if ready and self._wanted.intersection(kept.values()):
            return
        bases, faults = await self._find(adapter, rows, kept)
        try:
            derived = await self._derive(adapter, bases.get(GGUF, ""))
        except ModelError as error:
            derived = {}
            faults.append(str(error))
            del bases[GGUF]
        if not bases:
            raise ModelError("; ".join(faults) or "no model here has its shapes")
        if not ready or bases != kept:
            names = [bases[kind] for kind in KINDS if kind in bases]
            report(f"storing the adapter {name} for {' and '.join(names)}")
            meta = {"source": row["source"]} if same else {}
            await ingest_adapter(self._image, name, folder, names, derived=derived, meta=meta)
            log.info("adapter %s for %s: %s", name, ", ".join(names), digest)

    async def _find(
        self, adapter: AdapterFiles, rows: Rows, kept: Mapping[str, str]
    ) -> tuple[dict[str, str], list[str]]:
        """Return kind -> the model that the adapter is for, and why there is none of a kind.

        Models of the profile come first, then those that are ``kept``.
        """
        bases, faults = dict(kept), []
        for kind in (kind for kind in KINDS if kept.get(kind) not in self._wanted):
            own = {name for name, row in rows.items() if row["kind"] == kind}
            others = set() if kind in kept else own - self._wanted
            for names in (own & self._wanted, others):
                places = await self._places(names)
                base, why = await asyncio.to_thread(find_base, adapter, places)
                if base:
                    bases[kind] = base
                    break
                faults += [why] if places else []
        return bases, faults

    async def _places(self, names: Collection[str]) -> dict[str, Path]:
        """Return each model's GGUF file, or its folder; a damaged one is left out."""
        places = {}
        for name in sorted(names):
            try:
                folder = await self._links(name)
            except ImageError as error:  # only this base; the adapter may be for another
                log.warning("adapters are not tried on %s: %s", name, error)
            else:
                places[name] = await asyncio.to_thread(first_gguf, folder)
        return places

    async def _derive(self, adapter: AdapterFiles, base: str) -> dict[str, Path]:
        """Return the files that llama.cpp needs to put the adapter on ``base``; none for ""."""
        if not base:
            return {}
        file = self._scratch / adapter.name / ADAPTER_GGUF
        await asyncio.to_thread(file.parent.mkdir, parents=True, exist_ok=True)
        place = await asyncio.to_thread(first_gguf, await self._links(base))
        await asyncio.to_thread(convert_adapter, adapter, place, file)
        return {ADAPTER_GGUF: file}

    async def _rows(self) -> Rows:
        return {row["name"]: row for row in await list_models(self._image)}


def _still_there(bases: Mapping[str, str], rows: Rows) -> dict[str, str]:
    """Return kind -> name of those bases that the image has as they were."""
    return {
        rows[name]["kind"]: name
        for name, digest in bases.items()
        if name in rows and digest in ("", rows[name]["digest"])
    }


def first_gguf(folder: Path) -> Path:
    """Return the GGUF file in ``folder``, of several parts the first; ``folder`` without one."""
    return min(folder.glob("*.gguf"), default=folder)


def _digest(folder: Path) -> str:
    """Return the digest under which the image stores the adapter in ``folder``."""
    return digest_of({name: hash_file(folder / name) for name in ADAPTER_FILES})
