"""What remembering and recalling take, beside one embedding, and how often recall is right.

    python -m benchmarks.memory [--facts 1000] [--rounds 30]

The image is in files, so a commit waits for the disk. Times are the best of the rounds: what the
work takes, without what else the machine does. The ratio to one embedding can be compared between
machines.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bat_os.core.personas import PERSONAS
from bat_os.engines.minilm import MiniLmEmbedder, packaged_embedder
from bat_os.image.awakening import awaken
from bat_os.image.catalog_service import CatalogService
from bat_os.image.store import ImageStore
from bat_os.kernel import memory
from bat_os.kernel.primitives import PRIMITIVES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CASES = Path(__file__).parents[1] / "tests" / "cases" / "facts.toml"
NOW = dt.datetime(2026, 5, 6, 9, 30, tzinfo=dt.UTC)


class Mind(NamedTuple):
    """What memory needs."""

    image: ImageStore
    catalog: CatalogService


async def best(rounds: int, work: Callable[[int], Awaitable[object]]) -> float:
    """Return the milliseconds of the fastest round."""
    fastest = float("inf")
    for number in range(rounds):
        started = time.perf_counter()
        await work(number)
        fastest = min(fastest, time.perf_counter() - started)
    return fastest * 1000


async def measure(mind: Mind, embedder: MiniLmEmbedder, facts: int, rounds: int) -> None:
    """Print the times with ``facts`` facts in the image, then with the cases how many are right."""
    cases = tomllib.loads(CASES.read_text(encoding="utf-8"))
    for at, text in enumerate(cases["facts"]):
        await memory.remember(mind, text, now=NOW + dt.timedelta(seconds=at))
    asked = [case for case in cases["question"] if "fact" in case]
    right = certain = 0
    for case in asked:
        found = await memory.recall(mind, case["say"], now=NOW)
        is_right = bool(found) and found[0].fact.text == cases["facts"][case["fact"]]
        right, certain = right + is_right, certain + (is_right and found[0].certain)
    show("right fact first", f"{right} of {len(asked)}, {certain} of them certain")
    for at in range(facts - len(cases["facts"])):
        when = NOW + dt.timedelta(minutes=at + 1)
        await memory.remember(mind, f"shelf {at} of the store holds part {at * 7919}", now=when)
    one = await best(rounds, lambda n: embedder.embed([f"the number of this sentence is {n}"]))
    told = await best(
        rounds,
        lambda n: memory.remember(mind, f"room {n} has {n + 2} seats", now=dt.datetime.now(dt.UTC)),
    )
    asking = await best(rounds, lambda n: memory.recall(mind, f"what is on shelf {n}?", now=NOW))
    show("facts", str(facts))
    show("one embedding", f"{one:.1f} ms")
    show("remember", f"{told:.1f} ms, {told / one:.1f} embeddings")
    show("recall", f"{asking:.1f} ms, {asking / one:.1f} embeddings")


def show(what: str, value: str) -> None:
    """Print a row."""
    sys.stdout.write(f"{what:18} {value}\n")


async def main() -> int:
    """Run the benchmark; return an exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--facts", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    embedder = packaged_embedder()
    if embedder is None:
        sys.stderr.write("the embedding model is not installed: ./run.sh installs it\n")
        return 1

    with tempfile.TemporaryDirectory() as scratch:
        image = ImageStore.open(Path(scratch) / "image.fs")
        try:
            await image.transact(
                lambda root: awaken(
                    root, image_id="b", created=0.0, personas=PERSONAS, primitives=PRIMITIVES
                ),
                note="awaken",
            )
            mind = Mind(image, CatalogService(image, embedder))
            await measure(mind, embedder, given.facts, given.rounds)
        finally:
            await image.close()
            await embedder.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
