"""Measure the knowledge catalog: additions, image growth, searches, sentence splitting.

    python benchmarks/catalog.py [PASSAGES]

Texts are drawn from a vocabulary with the frequencies of natural words, vectors are
random: this measures the index and the image, not an embedding model.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bat_os.core.chunking import split_sentences
from bat_os.image.catalog import catalog_in
from bat_os.image.store import ImageStore

PER_DOCUMENT = 10
WIDTH = 384
random = np.random.default_rng(0)


def passage() -> str:
    """Return 80 words, few of them often."""
    return " ".join(f"word{number}" for number in random.zipf(1.3, 80) % 20_000)


def unit(count: int) -> np.ndarray:
    """Return random vectors of length 1."""
    vectors = random.normal(size=(count, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


async def measure(path: Path, count: int) -> None:
    """Print how fast an image at ``path`` takes and finds ``count`` passages."""
    image = ImageStore.open(path)
    documents = [
        ([passage() for _ in range(PER_DOCUMENT)], unit(PER_DOCUMENT))
        for _ in range(count // PER_DOCUMENT)
    ]
    start = time.perf_counter()
    for i, (texts, vectors) in enumerate(documents):
        await image.transact(
            lambda root, i=i, t=texts, v=vectors: catalog_in(root).add(f"d{i}", f"title {i}", t, v),
            note="add",
        )
    seconds = time.perf_counter() - start
    size = (await asyncio.to_thread(path.stat)).st_size / count
    rate = count / seconds
    print(f"{count} passages, {PER_DOCUMENT} a transaction: {rate:.0f} passages/s")
    print(f"image: {size:.0f} bytes a passage before packing")
    times = []
    for _ in range(50):
        query, vector = " ".join(passage().split()[:8]), unit(1)
        start = time.perf_counter()
        await image.transact(
            lambda root, q=query, v=vector: catalog_in(root).search([q], v, top_k=5), note="search"
        )
        times.append(time.perf_counter() - start)
    times.sort()
    print(f"search: p50 {times[25] * 1e3:.1f} ms, worst {times[-1] * 1e3:.1f} ms")
    await image.close()


def measure_splitting() -> None:
    """Print how fast text becomes sentences."""
    split_sentences("Warm. Up.")
    text = "Dr. Smith wrote it, e.g. on Monday. It holds 3.5 kg of text! " * 1000
    start = time.perf_counter()
    sentences = split_sentences(text)
    print(f"splitting: {len(sentences) / (time.perf_counter() - start):.0f} sentences/s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        amount = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
        asyncio.run(measure(Path(folder) / "image.fs", amount))
    measure_splitting()
