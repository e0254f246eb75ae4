"""What a new image knows: the codex, the seed library, and the vectors of both.

The vectors stand in ``bat_os/seeds/vectors.npz``, so that a first awakening does not embed
two thousand sentences. After a change of the codex or of a seed, make them anew:

    python -m bat_os.app.library
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import bat_os
from bat_os.core.personas import parse_codex
from bat_os.engines.embedding import MiniLmEmbedder
from bat_os.engines.gguf import packaged_minilm
from bat_os.errors import ArgumentsError
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import codex_items, seed_items
from bat_os.image.knowledge.embedding import BATCH
from bat_os.image.knowledge.shipped import ShippedVectors
from bat_os.image.knowledge.upkeep import PROBE
from bat_os.method.seeds import parse_seeds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from bat_os.image.catalog import Kind
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import Mind
    from bat_os.method.seeds import Seed

CODEX: Final = Path(bat_os.__file__).parents[1] / "persona_codex.jsonl"
VECTORS: Final = "vectors.npz"
TAKEN_IN: Final = "shipped"  # in the root: kind -> SHA-256 of what was taken in, documents
_SEEDS: Final = resources.files("bat_os") / "seeds"
log = logging.getLogger(__name__)


async def take_in_codex(mind: Mind) -> None:
    """Have the image know the codex of this program."""

    async def take_in() -> None:
        await mind.catalog.seed(read_codex(), read_vectors())

    await _take_in(mind.image, "codex", CODEX.read_text(encoding="utf-8"), take_in)


async def take_in_seeds(mind: Mind) -> None:
    """Have the image know the seed library of this program."""

    async def take_in() -> None:
        await mind.catalog.seed_methods(read_seeds(), read_vectors())

    await _take_in(mind.image, "seed", _seed_text(), take_in)


async def _take_in(
    image: ImageStore, kind: Kind, text: str, take_in: Callable[[], Awaitable[None]]
) -> None:
    """Take in what is shipped, unless the image had just this of it, and still has it.

    Comparing every entry takes half a second of each start, in which no mission runs.
    """
    stamp = hashlib.sha256(f"{bat_os.__version__}\n{text}".encode()).hexdigest()

    def present(root: MutableMapping[str, Any]) -> tuple[str, int]:
        return stamp, len(catalog_in(root).documents(kind))

    def known(root: MutableMapping[str, Any]) -> bool:
        return bool(root.get(TAKEN_IN, {}).get(kind) == present(root))

    def note(root: MutableMapping[str, Any]) -> None:
        root[TAKEN_IN] = {**root.get(TAKEN_IN, {}), kind: present(root)}

    if not await image.transact(known, note=f"look for what is shipped as {kind}"):
        await take_in()
        await image.transact(note, note=f"note what is shipped as {kind}")


def read_codex() -> list[dict[str, str]]:
    """Return the lines of the codex.

    Raises:
        ArgumentsError: A line is not what it should be.
    """
    return [
        {"persona": line.persona, "prompt": line.prompt, "response": line.response}
        for line in parse_codex(CODEX.read_text(encoding="utf-8"))
    ]


def read_seeds() -> tuple[Seed, ...]:
    """Return the seed library.

    Raises:
        ArgumentsError: A seed is not what it should be.
    """
    return parse_seeds(_seed_text())


def _seed_text() -> str:
    parts = sorted(_SEEDS.iterdir(), key=lambda part: part.name)
    texts = [part.read_text(encoding="utf-8") for part in parts if part.name.endswith(".toml")]
    return "\n".join(texts)


def read_vectors() -> ShippedVectors | None:
    """Return the vectors of both, or None where they are missing or damaged."""
    try:
        return ShippedVectors.read((_SEEDS / VECTORS).read_bytes())
    except (OSError, ArgumentsError) as error:
        log.warning("the library is embedded anew: %s", error)
        return None


def texts_of_library() -> list[str]:
    """Return every text of the codex and the seed library that has a vector."""
    items = [*codex_items(read_codex()), *seed_items(read_seeds())]
    return [text for _, passages, _ in items for text in passages]


async def make_vectors(embedder: MiniLmEmbedder) -> ShippedVectors:
    """Return the vectors of the library, made anew.

    Raises:
        ModelError: The embedding model cannot be had.
    """
    # Of one length together: the model reads a batch as long as its longest text.
    texts = sorted(set(texts_of_library()), key=lambda text: (len(text), text))
    starts = range(0, len(texts), BATCH)
    parts = [await embedder.embed(texts[start : start + BATCH]) for start in starts]
    (probe,) = await embedder.embed([PROBE])
    return ShippedVectors.make(texts, np.concatenate(parts), probe)


def main() -> int:
    """Write the vectors where the package has them; return an exit status."""
    place = packaged_minilm()
    if place is None:
        sys.stderr.write("the embedding model is not installed: ./run.sh installs it\n")
        return 1

    async def folder() -> Path:
        return place

    async def make() -> ShippedVectors:
        embedder = MiniLmEmbedder(folder)
        try:
            return await make_vectors(embedder)
        finally:
            await embedder.close()

    data = asyncio.run(make()).write()
    Path(str(_SEEDS / VECTORS)).write_bytes(data)
    sys.stdout.write(f"{len(texts_of_library())} vectors, {len(data)} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
