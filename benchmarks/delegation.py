"""What it costs that a parent answers: the same message, answered 0, 1, 3 and 8 levels above.

python -m benchmarks.delegation                  two minutes; prints one table
python -m benchmarks.delegation --other FOLDER   also the kernel of another checkout, in turn

All levels are asked in turn, so that a busy machine slows them alike: read the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import random
import statistics
import sys
import tempfile
import timeit
from pathlib import Path

from bat_os.image.objects import Method, UvmObject
from benchmarks.bridge import SETTLE, SOURCE, ms, row, serving, timed_await

LEVELS = (0, 1, 3, 8)
EACH = 400
READS = 100_000


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--other", type=Path, help="checkout of another version")
    options = parser.parse_args()
    look_up()
    with tempfile.TemporaryDirectory(prefix="batos-bench-") as name:
        asyncio.run(messages(Path(name), options.other))
    return 0


def look_up() -> None:
    """Print the lookup alone, in one process."""
    own = 0.0
    for level in LEVELS:
        find = functools.partial(_line(level).lookup, "answer")
        took = min(timeit.repeat(find, number=READS, repeat=5))
        own = own or took
        row(f"lookup, {level} levels above", f"{took / READS * 1e9:.0f} ns", took / own)


def _line(level: int) -> UvmObject:
    """Return an object whose ancestor, so many levels above, has the method."""
    obj = UvmObject()
    method = Method("answer")
    method.add_version(SOURCE, "taught", {})
    obj.set_slot("answer", method)
    for _ in range(level):
        obj = UvmObject(parents=(obj,))
    return obj


async def messages(folder: Path, other: Path | None) -> None:
    """Print known messages through a real kernel."""
    scripted = {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": os.devnull}
    async with contextlib.AsyncExitStack() as stack:
        kernel = await stack.enter_async_context(serving(folder / "home", **scripted))
        await kernel.request("teach", target="genesis_obj", body={"source": SOURCE})
        above = "genesis_obj"
        for level in range(1, max(LEVELS) + 1):
            await kernel.request("derive", target=above, body={"name": f"level{level}_obj"})
            above = f"level{level}_obj"
        works = {
            f"known message, {level} levels above": _sender(kernel, _name_of(level))
            for level in LEVELS
        }
        if other is not None:
            old = await stack.enter_async_context(
                serving(folder / "other", program=other, **scripted)
            )
            await old.request("teach", target="genesis_obj", body={"source": SOURCE})
            works["the same, of the other version"] = _sender(old, "genesis_obj")
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(20):
            for work in works.values():
                await work()
        for turn in range(EACH):
            for name in random.Random(turn).sample(list(works), len(works)):  # noqa: S311 - an order
                times[name].append(await timed_await(works[name]))
                await asyncio.sleep(SETTLE)
    own = ms(times["known message, 0 levels above"])
    for name, took in times.items():
        spread = statistics.quantiles(took, n=100)[98] * 1000
        row(name, f"{ms(took):.2f} ms", ms(took) / own, f"p99 {spread:.1f} ms")


def _name_of(level: int) -> str:
    return f"level{level}_obj" if level else "genesis_obj"


def _sender(kernel, target: str):
    async def send() -> None:
        answer = await kernel.request("send", target=target, selector="answer")
        assert answer["result"] == 42

    return send


if __name__ == "__main__":
    sys.exit(main())
