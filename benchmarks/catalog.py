"""Measure the knowledge catalog: growth, speed at scale, and what its answers are worth.

    python -m benchmarks.catalog [--quick] [--no-model]

Texts are docstrings and source code of the packages that are installed here. The scale run
gives them random vectors in clusters, so that it measures index and image and takes minutes;
the quality run embeds them with MiniLM: the first line of a docstring is the question, the
rest of it the passage to be found. The peer in both runs is bm25s (``pip install bm25s``),
with NLTK's Snowball stemmer, and float32 vectors in numpy beside it, fused in the same way.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import random
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import bm25s
import numpy as np
from nltk.stem.snowball import SnowballStemmer

from bat_os.documents.chunking import split_sentences
from bat_os.engines.minilm import packaged_embedder
from bat_os.image.catalog import catalog_in
from bat_os.image.knowledge.ranking import DEPTH, fuse
from bat_os.image.knowledge.shelf import SegmentCache
from bat_os.image.knowledge.text import rank_words
from bat_os.image.store import ImageStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH = 384
PER_DOCUMENT = 10
TEXT_CHARS = 520
QUERIES = 150
CLUSTERS = 500
SIZES = (1_000, 10_000, 100_000)


def sources() -> Iterator[str]:
    """Yield the Python sources that are installed here, always in the same order."""
    paths = sysconfig.get_paths()
    files = [*Path(paths["stdlib"]).rglob("*.py"), *Path(paths["purelib"]).rglob("*.py")]
    chosen = sorted({path for path in files if "test" not in str(path).lower()})
    random.Random(7).shuffle(chosen)  # noqa: S311 - no secret
    for path in chosen:
        try:
            yield path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue


def passages(count: int) -> list[str]:
    """Return source text in pieces of TEXT_CHARS characters, cut at lines."""
    found: list[str] = []
    for text in sources():
        piece = ""
        for line in text.splitlines():
            piece += line[:200] + "\n"
            if len(piece) >= TEXT_CHARS:
                found.append(piece)
                piece = ""
        if len(found) >= count:
            return found[:count]
    sys.exit(f"only {len(found)} passages are installed here")


def questions(count: int) -> list[tuple[str, str]]:
    """Return (first line of a docstring, the rest of it) of functions and classes."""
    found: dict[str, str] = {}
    kinds = (ast.FunctionDef, ast.ClassDef)
    for text in sources():
        try:
            nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
        except (SyntaxError, ValueError):
            continue
        for node in nodes[:20]:
            first, _, rest = (ast.get_docstring(node) or "").partition("\n\n")
            first = " ".join(first.split())
            if 4 <= len(first.split()) <= 25 and len(rest.split()) >= 25:
                found.setdefault(first, " ".join(rest.split())[:1000])
        if len(found) >= count:
            break
    unique = {rest: first for first, rest in found.items()}
    return [(first, rest) for rest, first in unique.items()][:count]


def clustered(count: int, seed: int) -> np.ndarray:
    """Return unit vectors around CLUSTERS centres, as texts on some subjects have them."""
    draw = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(CLUSTERS, WIDTH)).astype(np.float32)
    noise = draw.normal(size=(count, WIDTH)).astype(np.float32)
    vectors = centres[draw.integers(0, CLUSTERS, count)] + noise
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def milliseconds(work: Callable[[int], object], times: int = QUERIES) -> str:
    """Return p50 and p99 of ``work(i)`` by the clock, and its mean of processor time."""
    taken = []
    busy = time.process_time()
    for i in range(times):
        start = time.perf_counter()
        work(i)
        taken.append((time.perf_counter() - start) * 1e3)
    busy = (time.process_time() - busy) * 1e3 / times
    return "{:.2f} / {:.2f} ({:.2f})".format(*np.percentile(taken, [50, 99]), busy)


class Peer:
    """bm25s with a stemmer, and float32 vectors in numpy."""

    def __init__(self, texts: list[str], vectors: np.ndarray) -> None:
        self._stemmer = SnowballStemmer("english").stem
        self._index = bm25s.BM25()
        self._index.index(self._split(texts), show_progress=False)
        self._vectors = vectors

    def _split(self, texts: list[str]) -> object:
        stem = self._stemmer
        return bm25s.tokenize(
            texts, stopwords="en", stemmer=lambda words: list(map(stem, words)), show_progress=False
        )

    def words(self, query: str) -> list[int]:
        """Return the best places by words."""
        depth = min(DEPTH, len(self._vectors))
        found = self._index.retrieve(self._split([query]), k=depth, show_progress=False)
        return [int(i) for i, score in zip(found[0][0], found[1][0], strict=True) if score > 0]

    def near(self, vector: np.ndarray) -> list[int]:
        """Return the best places by meaning; exact."""
        cosines = self._vectors @ vector
        depth = min(DEPTH, len(cosines))
        best = np.argpartition(-cosines, depth - 1)[:depth]
        return best[np.argsort(-cosines[best])].tolist()

    def both(self, query: str, vector: np.ndarray) -> list[int]:
        """Return the best places by both."""
        return [i for i, _ in fuse([self.near(vector), self.words(query)], 10)]


async def fill(image: ImageStore, texts: list[str], vectors: np.ndarray, first: int = 0) -> float:
    """Add documents of PER_DOCUMENT passages, each in its transaction; return the seconds."""
    start = time.perf_counter()
    for at in range(0, len(texts), PER_DOCUMENT):
        part = slice(at, at + PER_DOCUMENT)
        name = f"d{first + at}"
        await image.transact(
            lambda root, n=name, p=part: catalog_in(root).add(n, n, texts[p], vectors[p]),
            note="add",
        )
        while await image.transact(lambda root: catalog_in(root).merge_step(), note="merge"):
            pass
    return time.perf_counter() - start


async def scale(folder: Path, sizes: tuple[int, ...]) -> None:
    """Print growth and query times of one image that grows from size to size."""
    texts, vectors = passages(max(sizes)), clustered(max(sizes), 2)
    path, done = folder / "image.fs", 0
    asked = [" ".join(texts[i * 997 % len(texts)].split()[3:9]) for i in range(QUERIES)]
    queries = clustered(QUERIES, 3)
    print("ms a query: p50 / p99 (processor time); with the transaction, without embedding")
    for size in sizes:
        image = ImageStore.open(path)
        seconds = await fill(image, texts[done:size], vectors[done:size], done)
        print(f"\n{size} passages: {(size - done) / seconds:.0f} added a second")
        grown = path.stat().st_size
        await asyncio.to_thread(image._db.pack)
        letters = sum(len(text.encode()) for text in texts[:size])
        for name, width in (("float32", 4 * WIDTH), ("int8", WIDTH)):
            raw = letters + size * width
            print(f"  growth   {grown / raw:.2f} times text and {name} vectors, "
                  f"{path.stat().st_size / raw:.2f} times when packed")  # fmt: skip
        await image.close()
        image = await waken(path)
        print(f"  catalog  {await times(image, asked, queries)}")
        near = await image.transact(
            lambda root: catalog_in(root).vectors.rank(queries, None), note="rank"
        )
        found = [ids[:10] for ids in near]  # documents are in order, so an id is a row
        await image.close()
        peer = Peer(texts[:size], vectors[:size])
        ranked = (peer.near(query)[:10] for query in queries)
        recall = np.mean([len({*a} & {*b}) / 10 for a, b in zip(ranked, found, strict=True)])
        print(f"           recall@10 of the vectors: {recall:.4f}")
        parts = (
            milliseconds(lambda i, peer=peer: peer.words(asked[i])),
            milliseconds(lambda i, peer=peer: peer.near(queries[i])),
            milliseconds(lambda i, peer=peer: peer.both(asked[i], queries[i])),
        )
        print("  bm25s    words {}   vectors {}   both {}".format(*parts))
        done = size


async def waken(path: Path) -> ImageStore:
    """Return the image opened anew; print how long that and the first search take."""
    start = time.perf_counter()
    image = ImageStore.open(path)
    await image.transact(lambda root: len(catalog_in(root)), note="look")
    opened = time.perf_counter() - start
    query = clustered(1, 4)
    await image.transact(
        lambda root: catalog_in(root).search(["import"], query, top_k=5), note="search"
    )
    print(f"  opening  {opened * 1e3:.0f} ms; with the first search, which loads and checks the "
          f"indexes, {(time.perf_counter() - start) * 1e3:.0f} ms")  # fmt: skip
    return image


async def times(image: ImageStore, asked: list[str], queries: np.ndarray) -> str:
    """Return query times and the memory of the indexes."""
    cache = SegmentCache()
    loop = asyncio.get_running_loop()

    def ask(work: Callable[[object], object]) -> object:
        waiting = image.transact(work, note="search")
        return asyncio.run_coroutine_threadsafe(waiting, loop).result()

    def both(i: int, **limits: object) -> object:
        return ask(lambda root: catalog_in(root).search(
            [asked[i]], queries[i : i + 1], top_k=5, cache=cache, **limits))  # fmt: skip

    def words(i: int) -> object:
        return ask(lambda root: rank_words(catalog_in(root)._text, asked[i], None, cache))

    def near(i: int) -> object:
        return ask(lambda root: catalog_in(root).vectors.rank(queries[i : i + 1], None, cache))

    parts = [await asyncio.to_thread(milliseconds, work) for work in (words, near, both)]
    return (
        "words {}   vectors {}   both {}".format(*parts)
        + f"\n           {cache.nbytes() / 1e6:.0f} MB of memory for the indexes"
    )


async def quality(folder: Path, count: int) -> None:
    """Print MRR@10 of the catalog and of the peer on the same questions and vectors."""
    embedder = packaged_embedder()
    if embedder is None:
        sys.exit("MiniLM is not installed: ./run.sh installs it")

    pairs = questions(count)
    texts = [rest for _, rest in pairs]
    asked = [first for first, _ in pairs[:: max(1, count // 500)]]
    target = [texts.index(rest) for _, rest in pairs[:: max(1, count // 500)]]
    start = time.perf_counter()
    vectors = await embedder.embed(texts)
    seconds = time.perf_counter() - start
    queries = await embedder.embed(asked)
    await embedder.close()
    print(f"\nquality: {len(texts)} passages, {len(asked)} questions; {len(texts) / seconds:.0f} "
          "passages embedded a second")  # fmt: skip
    image = ImageStore.open(folder / "quality.fs")
    await image.transact(
        lambda root: [
            catalog_in(root).add(f"{i:06}", "", [text], vectors[i : i + 1])
            for i, text in enumerate(texts)
        ],
        note="fill",
    )

    def rankings(root: object) -> dict[str, list[list[int]]]:
        catalog = catalog_in(root)
        return {
            "words": [rank_words(catalog._text, q, None) for q in asked],
            "vectors": catalog.vectors.rank(queries, None),
            "both": [
                [int(p.doc_id) for p in catalog.search([q], v[np.newaxis], top_k=10)]
                for q, v in zip(asked, queries, strict=True)
            ],
        }

    ours = await image.transact(rankings, note="search")
    await image.close()
    peer = Peer(texts, vectors)
    theirs = {
        "words": [peer.words(q) for q in asked],
        "vectors": [peer.near(v) for v in queries],
        "both": [peer.both(q, v) for q, v in zip(asked, queries, strict=True)],
    }
    for name, ranked in (("catalog", ours), ("bm25s + numpy f32", theirs)):
        scores = "   ".join(f"{kind} {mrr(ranked[kind], target):.3f}" for kind in ranked)
        print(f"  {name:18} MRR@10  {scores}")


def mrr(ranked: list[list[int]], target: list[int]) -> float:
    """Return the mean reciprocal rank of the right passages among the first ten."""
    places = [
        found[:10].index(right) + 1 if right in found[:10] else 0
        for found, right in zip(ranked, target, strict=True)
    ]
    return float(np.mean([1 / place if place else 0 for place in places]))


def splitting() -> None:
    """Print how fast text becomes sentences."""
    split_sentences("Warm. Up.")
    text = "Dr. Smith wrote it, e.g. on Monday. It holds 3.5 kg of text! " * 1000
    start = time.perf_counter()
    sentences = split_sentences(text)
    print(f"\nsplitting: {len(sentences) / (time.perf_counter() - start):.0f} sentences a second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, about a minute")
    parser.add_argument("--no-model", action="store_true", help="leave the quality run out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(scale(Path(scratch), SIZES[:1] if options.quick else SIZES))
        if not options.no_model:
            asyncio.run(quality(Path(scratch), 200 if options.quick else 2_000))
    splitting()
