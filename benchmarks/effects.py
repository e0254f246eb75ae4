"""What the world costs: messages without it, a read, an effect after the commit, one before it.

    python benchmarks/effects.py                      one table, half a minute
    python benchmarks/effects.py --before FOLDER      and an older checkout, turn by turn

Real daemons on real sockets, without a model. The daemons take turns in blocks, so what else the
machine does falls on all of them; "ratio" is of the medians. Commits are those in the image file.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from ZODB.FileStorage import FileStorage  # noqa: E402 - runs from a checkout

from bat_os.client.client import KernelClient  # noqa: E402 - as above
from bat_os.errors import KernelUnreachableError  # noqa: E402 - as above
from benchmarks.processor import processor_seconds  # noqa: E402 - as above

BLOCKS, BLOCK = 30, 20
EFFECTS = 60
METHODS = (
    "def double(self, number):\n    return number * 2\n",
    "def count(self, number):\n    self.n = getattr(self, 'n', 0) + 1\n    return self.n\n",
    "def look(self, path):\n    return len(self.notes.read(path))\n",
    "def note(self, text):\n    return self.notes.append('b.txt', text)\n",
)
FIRST = ("double", 21), ("count", 1)
WORLD = ("look", "a.txt"), ("note", "milk")


class Daemon:
    """A daemon of one checkout, and its home."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.home = folder / "home"
        script = folder / "script.jsonl"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text('{"contains": "", "text": ""}\n')
        told = {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script)}
        self.process = subprocess.Popen(
            [sys.executable, str(checkout / "batos.py"), "serve", "--home", str(self.home),
             "--supervised", "--tcp-port", "-1"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | told,
        )  # fmt: skip
        self.client = KernelClient.at(self.home)

    async def prepare(self, methods: tuple[str, ...]) -> None:
        """Wait for the daemon, and teach it."""
        while not await self._is_ready():  # noqa: ASYNC110 - a poll is meant
            await asyncio.sleep(0.05)
        for source in methods:
            await self.client.request("teach", target="genesis_obj", body={"source": source})

    async def _is_ready(self) -> bool:
        try:
            return bool((await self.client.request("health", timeout=300)).get("ready"))
        except KernelUnreachableError:
            return False

    async def send(self, selector: str, arg: Any) -> float:
        """Return the seconds that one message takes."""
        started = time.perf_counter()
        await self.client.request(
            "send", timeout=300, target="genesis_obj", selector=selector, args=[arg]
        )
        return time.perf_counter() - started

    async def send_alone(self, selector: str, arg: Any) -> None:
        """Send one message on a connection of its own, beside others."""
        async with KernelClient.at(self.home) as client:
            await client.request(
                "send", timeout=300, target="genesis_obj", selector=selector, args=[arg]
            )

    async def end(self) -> None:
        """End it as its watchdog would."""
        self.client.close()
        if self.process.stdin is not None:
            self.process.stdin.close()
        await asyncio.to_thread(self.process.wait, 60)

    def commits(self) -> int:
        """Return how many transactions the image file has; to be called after ``end``."""
        storage = FileStorage(str(self.home / "live_image.fs"), read_only=True)
        try:
            return sum(1 for _ in storage.iterator())
        finally:
            storage.close()


async def compare(daemons: list[Daemon], selector: str, arg: Any) -> list[tuple[float, float]]:
    """Return p50 and processor time of a message in each daemon, in ms; they take turns."""
    took: list[list[float]] = [[] for _ in daemons]
    spent = [0.0 for _ in daemons]
    for _ in range(BLOCKS):
        for number, daemon in enumerate(daemons):
            before = processor_seconds(daemon.process.pid)
            took[number] += [await daemon.send(selector, arg) for _ in range(BLOCK)]
            spent[number] += processor_seconds(daemon.process.pid) - before
    count = BLOCKS * BLOCK
    return [
        (median(each) * 1e3, used / count * 1e3) for each, used in zip(took, spent, strict=True)
    ]


async def measure(folder: Path, before: Path | None) -> None:
    """Print the table."""
    print(f"{'message':<44}{'p50 ms':>9}{'cpu ms':>9}{'ratio':>8}")
    checkouts = [ROOT, *([before] if before else [])]
    daemons = [Daemon(each, folder / str(number)) for number, each in enumerate(checkouts)]
    for daemon in daemons:
        await daemon.prepare(METHODS[:2])
    for name, arg in FIRST:
        found = await compare(daemons, name, arg)
        for checkout, (p50, spent) in zip(checkouts, found, strict=True):
            where = "" if checkout == ROOT else ", before"
            print(f"{name + where:<44}{p50:>9.2f}{spent:>9.2f}{p50 / found[-1][0]:>8.2f}")
    ours = daemons[0]
    world = folder / "world"
    world.mkdir()
    (world / "a.txt").write_text("milk\n")
    body = {"what": str(world), "write": True, "name": "notes"}
    await ours.client.request("grant", body=body)
    for source in METHODS[2:]:
        await ours.client.request("teach", target="genesis_obj", body={"source": source})
    plain = found[0][0]
    for name, arg in WORLD:
        ((p50, spent),) = await compare([ours], name, arg)
        print(f"{name:<44}{p50:>9.2f}{spent:>9.2f}{p50 / plain:>8.2f}")
    await idle(ours)
    for daemon in daemons:
        await daemon.end()
    await count_commits(folder / "commits")


async def count_commits(folder: Path) -> None:
    """Print how many commits an effect takes, done one after the other and at once."""
    world = folder / "world"
    world.mkdir(parents=True)
    for title, at_once in (("one after the other", 1), ("as fast as they come", EFFECTS)):
        counts = []
        for number in (0, EFFECTS):  # the same without effects: what starting takes
            daemon = Daemon(ROOT, folder / f"{at_once}-{number}")
            await daemon.prepare(METHODS)
            body = {"what": str(world), "write": True, "name": "notes"}
            await daemon.client.request("grant", body=body)
            for start in range(0, number, at_once):
                texts = range(start, min(start + at_once, number))
                await asyncio.gather(*(daemon.send_alone("note", str(each)) for each in texts))
                if at_once == 1:
                    await idle(daemon)
            await idle(daemon)
            await daemon.end()
            counts.append(daemon.commits())
        each = (counts[1] - counts[0]) / EFFECTS
        print(f"commits of an effect, {title:<22}{each:>9.2f}")


async def idle(daemon: Daemon) -> None:
    """Wait until nothing is staged."""
    while (await daemon.client.request("effects"))["effects"]:  # noqa: ASYNC110 - a poll is meant
        await asyncio.sleep(0.005)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="an older checkout to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batos-bench-") as folder:
        asyncio.run(measure(Path(folder), options.before))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
