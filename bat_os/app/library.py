"""What a new image knows: the codex, the seed library, and the vectors of both.

The vectors are in ``bat_os/seeds/vectors.npz``, so that the first start does not embed two
thousand sentences. After a change of the codex or of a seed, make them again:

    python -m bat_os.app.library
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

import bat_os
from bat_os.core.digest import digest
from bat_os.core.personas import parse_codex
from bat_os.engines.minilm import MiniLmEmbedder, packaged_embedder, packaged_minilm
from bat_os.errors import ArgumentsError, SettingsError
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_keeping import codex_items, seed_items
from bat_os.image.knowledge.embedding import BATCH, ShippedVectors
from bat_os.image.knowledge.vectors import PROBE
from bat_os.image.shipped import ShippedMethod, ShippedObject, install_library, library_stamp
from bat_os.kernel.say.book import VECTORS as WORDING_VECTORS
from bat_os.kernel.say.book import library_wordings, list_languages
from bat_os.kernel.say.book import read_vectors as read_wording_vectors
from bat_os.method.seeds import parse_seeds
from bat_os.method.shelf import SHELF, seeds_of
from bat_os.natives.table import NATIVES, SUBSYSTEMS
from bat_os.sentence.phrasebook import as_embedded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence
    from importlib.resources.abc import Traversable

    from bat_os.image.catalog import Kind
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext
    from bat_os.method.seeds import Seed
    from bat_os.natives.table import NativeObject

CODEX: Final = bat_os.find_shipped("persona_codex.jsonl")
MAX_CODEX: Final = 4 << 20  # characters
VECTORS: Final = "vectors.npz"
LOADED: Final = "shipped"  # in the root: kind -> SHA-256 of what was loaded, documents
_WORDS: Final = Path(bat_os.__file__).parent / "sentence" / "languages" / "words.en.txt"
_SEEDS: Final = resources.files("bat_os") / "seeds"
log = logging.getLogger(__name__)


async def load_codex(mind: KernelContext) -> None:
    """Load the codex of this program into the image."""

    async def load() -> None:
        await mind.catalog.seed(await asyncio.to_thread(read_codex, text), read_vectors())

    text = await asyncio.to_thread(
        _codex_text, Path(mind.options.home, mind.options.persona_codex_file or CODEX)
    )
    await _load(mind.image, "codex", text, load)


def _codex_text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(MAX_CODEX + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the codex {path} cannot be read: {error}") from error
    if len(text) > MAX_CODEX:
        raise SettingsError(f"the codex {path} has more than {MAX_CODEX} characters")
    return text


async def load_seeds(mind: KernelContext) -> None:
    """Load the seed library of this program into the image."""

    async def load() -> None:
        seeds = await asyncio.to_thread(read_seeds)  # the loop answers others meanwhile
        await mind.catalog.seed_methods(seeds, read_vectors())

    await _load(mind.image, "seed", _seed_text(), load)


async def load_library(mind: KernelContext) -> None:
    """Install the shipped objects of this program in the image."""
    stamp = digest(f"{_seed_text()}\n{_keeper_texts()}\n{NATIVES}\n{SUBSYSTEMS}\n{SHELF}")
    if await mind.image.transact(lambda root: library_stamp(root) == stamp, note="look for it"):
        return
    shelf = await asyncio.to_thread(read_shelf)
    changed = await mind.image.transact(
        lambda root: install_library(root, shelf, stamp, bat_os.__version__),
        note="install the library",
    )
    log.info("the library: %d methods are new or changed", changed)


def read_shelf() -> list[ShippedObject]:
    """Return the objects of the library: the trusted functions first, then the seeds."""
    methods: dict[str, dict[str, ShippedMethod]] = {
        name: {method.selector: method for method in _as_natives(name, native)}
        for name, native in NATIVES.items()
    }
    for name in SHELF:
        held = methods.setdefault(name, {})
        for seed in seeds_of(name):
            held.setdefault(seed.selector, _as_method(seed))
    about = {name: native.about for name, native in NATIVES.items()}
    about |= {name: line for name, (line, _) in SHELF.items()}
    shelf = [
        ShippedObject(name, about[name], tuple(held.values())) for name, held in methods.items()
    ]
    shelf += [
        ShippedObject(name, native.about, _as_natives(name, native), of_awakening=True)
        for name, native in SUBSYSTEMS.items()
    ]
    shelf += [_read_keeper(name, text) for name, text in _keeper_texts().items()]
    return sorted(shelf, key=lambda shipped: shipped.name)


def _as_natives(name: str, native: NativeObject) -> tuple[ShippedMethod, ...]:
    return tuple(ShippedMethod(each, primitive=f"{name}.{each}") for each in native.selectors)


def _keeper_texts() -> dict[str, str]:
    """Return the files of the objects that keep something in their slots, by object."""
    parts = sorted((_SEEDS / "objects").iterdir(), key=lambda part: part.name)
    return {part.name.removesuffix(".toml"): part.read_text(encoding="utf-8") for part in parts}


def _read_keeper(name: str, text: str) -> ShippedObject:
    """Return the object of a file: a line about it, and methods that use its slots."""
    held = tomllib.loads(text)
    sources = [method["source"].strip("\n") + "\n" for method in held["method"]]
    named = [(re.findall(r"^def (\w+)\(", source, re.MULTILINE)[0], source) for source in sources]
    return ShippedObject(name, held["about"], tuple(ShippedMethod(*each) for each in named))


def _as_method(seed: Seed) -> ShippedMethod:
    """Return a seed as a method; its examples are those that every later version can be held to."""
    examples = tuple(
        {"args": list(e.args), "kwargs": dict(e.kwargs), "result": e.value}
        for e in seed.examples
        if e.one_of is None and e.moment is None and not (e.slots or e.after)
    )
    return ShippedMethod(seed.selector, seed.source + "\n", examples=examples)


async def _load(
    image: ImageStore, kind: Kind, text: str, load: Callable[[], Awaitable[None]]
) -> None:
    """Run ``load`` unless the image loaded this very text before, and still has all of it.

    Comparing every entry would take half a second of each start, in which no mission runs.
    """
    stamp = digest(f"{bat_os.__version__}\n{text}")

    def present(root: MutableMapping[str, Any]) -> tuple[str, int]:
        return stamp, len(catalog_in(root).documents(kind))

    def known(root: MutableMapping[str, Any]) -> bool:
        return bool(root.get(LOADED, {}).get(kind) == present(root))

    def note(root: MutableMapping[str, Any]) -> None:
        root[LOADED] = {**root.get(LOADED, {}), kind: present(root)}

    if not await image.transact(known, note=f"look for the shipped {kind}"):
        await load()
        await image.transact(note, note=f"note the shipped {kind}")


def read_codex(text: str = "") -> list[dict[str, str]]:
    """Return the lines of a codex; without a text, of that of the program."""
    return [
        {"persona": line.persona, "prompt": line.prompt, "response": line.response}
        for line in parse_codex(text or CODEX.read_text(encoding="utf-8"))
    ]


def read_seeds() -> tuple[Seed, ...]:
    """Return the seed library."""
    texts = (part.read_text(encoding="utf-8") for part in _seed_files())
    return tuple(seed for text in texts for seed in parse_seeds(text))


def _seed_text() -> str:
    return "\n".join(part.read_text(encoding="utf-8") for part in _seed_files())


def _seed_files() -> list[Traversable]:
    parts = (part for part in _SEEDS.iterdir() if part.name.endswith(".toml"))
    return sorted(parts, key=lambda part: part.name)


def read_vectors() -> ShippedVectors | None:
    """Return the vectors of both, or None if they are missing or damaged."""
    try:
        return ShippedVectors.read((_SEEDS / VECTORS).read_bytes())
    except (OSError, ArgumentsError) as error:
        log.warning("the library will be embedded again: %s", error)
        return None


def texts_of_library() -> list[str]:
    """Return every text of the codex and the seed library that has a vector."""
    items = [*codex_items(read_codex()), *seed_items(read_seeds())]
    return [text for _, passages, _ in items for text in passages]


def texts_of_wordings() -> list[str]:
    """Return every text of the wordings that has a vector."""
    return [
        as_embedded(wording.masked)
        for language in list_languages()
        for wording in library_wordings(language)
    ]


async def make_vectors(
    embedder: MiniLmEmbedder, texts: Sequence[str], known: ShippedVectors | None = None
) -> ShippedVectors:
    """Return vectors of texts: newly made ones, but for those that are known.

    Thousands have one, and a few change at a time.
    """
    # Sorted by length: in a batch, every text costs as much as the longest.
    texts = sorted(set(texts), key=lambda text: (len(text), text))
    (probe,) = await embedder.embed([PROBE])
    vectors, has = np.zeros((len(texts), len(probe)), np.float32), np.zeros(len(texts), np.bool_)
    if known is not None and known.are_of(probe):
        probe, (vectors, has) = known.probe, known.find(texts)
    missing = np.flatnonzero(~has)
    for start in range(0, len(missing), BATCH):
        part = missing[start : start + BATCH]
        vectors[part] = await embedder.embed([texts[at] for at in part])
    return ShippedVectors.make(texts, vectors, probe)


def read_words(place: Path) -> list[str]:
    """Return the whole words of the embedding model's vocabulary, frequent ones first."""
    lines = (place / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return [each for each in lines if each.isascii() and each.isalpha() and len(each) > 1]


def main() -> int:
    """Write the vectors and the word list into the package; return an exit status."""
    embedder, place = packaged_embedder(), packaged_minilm()
    if embedder is None or place is None:
        sys.stderr.write("the embedding model is not installed: ./run.sh installs it\n")
        return 1

    async def make() -> tuple[ShippedVectors, ShippedVectors]:
        try:
            return (
                await make_vectors(embedder, texts_of_library(), read_vectors()),
                await make_vectors(embedder, texts_of_wordings(), read_wording_vectors()),
            )
        finally:
            await embedder.close()

    words = read_words(place)
    _WORDS.write_text("\n".join([*words, ""]), encoding="ascii")
    sys.stdout.write(f"{_WORDS.name}: {len(words)} words\n")
    for name, made in zip((VECTORS, WORDING_VECTORS), asyncio.run(make()), strict=True):
        data = made.write()
        Path(str(_SEEDS / name)).write_bytes(data)
        sys.stdout.write(f"{name}: {len(made.rows.ids)} vectors, {len(data)} bytes\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
