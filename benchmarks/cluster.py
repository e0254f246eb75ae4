"""Several kernels on one image: commits a second, and how often writers collide, by engine.

python -m benchmarks.cluster                 all engines; four minutes, more on a busy machine
python -m benchmarks.cluster --engines file  one kernel on a plain file; half a minute
python -m benchmarks.cluster --at-once 4     each kernel does four at a time, as it learns

A ZEO server is started in a scratch folder. PostgreSQL is the one that BATOS_TEST_POSTGRES names.
Each kernel is a process that runs the project's own transactions as fast as it can.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bat_os.core.brief import Brief
from bat_os.core.personas import PERSONAS
from bat_os.errors import ConflictError, StorageError
from bat_os.image import missions
from bat_os.image.awakening import awaken
from bat_os.image.catalog import KnowledgeCatalog, catalog_in
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import UvmObject
from bat_os.image.store import ImageStore
from bat_os.kernel.primitives import PRIMITIVES
from tests.storages import POSTGRES, storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    Root = MutableMapping[str, Any]

ROOT = Path(__file__).parents[1]
ENGINES = {"file": (1,), "zeo": (1, 2, 4), "postgres": (1, 2, 4)}
KINDS = {
    "known": "known messages (looks)",
    "slot": "one slot of 1,000 objects",
    "one": "all on one object",
    "accept": "accept a brief, one a commit",
    "learn": "learn: method and catalog",
    "folded": "the same, and one kernel indexes them",
}
OBJECTS, D, SEEDS = 1_000, 384, 1_500
FOLD = 32  # lessons of the kernel that leads, between two times that it indexes all


def vector(number: int, rows: int = 1) -> Any:
    """Return unit vectors, the same for a number."""
    drawn = np.random.default_rng(number).normal(size=(rows, D)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def fill(root: Root) -> None:
    """Make an image as it is after awakening: a codex of SEEDS passages, and the objects."""
    awaken(root, image_id="b", created=0.0, personas=PERSONAS, primitives=PRIMITIVES)
    texts = [f"passage {n} of the codex says word{n % 97} and word{n % 89}" for n in range(SEEDS)]
    catalog_in(root).add("codex:all", "codex", texts, vector(1, SEEDS), kind="codex")
    traits = root["objects"]["traits_obj"]
    for number in range(OBJECTS):
        obj = UvmObject(f"o{number}_obj", (traits,))
        obj.slots["n"] = 0
        root["objects"][obj.name] = obj


class Worker:
    """One kernel: counts its commits, and how often one had to be tried."""

    def __init__(self, image: ImageStore, who: int) -> None:
        self.image = image
        self.who = who
        self.commits = self.tries = self.begun = 0
        self.random = random.Random(who)  # noqa: S311 - which object is written
        if hasattr(type(image.database), "kernel"):
            image.database.kernel = f"k{who}"

    async def commit(self, work: Callable[[Root], Any], note: str) -> None:
        """Commit, and count how often it ran."""

        def counted(root: Root) -> Any:
            self.tries += 1
            return work(root)

        try:
            await self.image.transact(counted, note=note)
        except (ConflictError, StorageError):  # one that never pauses may starve the others
            return
        self.commits += 1

    async def known(self) -> None:
        """Look at what is known, as a message does that changes nothing."""

        def look(root: Root) -> int:
            return int(root["objects"]["o1_obj"].slots["n"])

        await self.image.read(("o1_obj", "n"), look, note="read o1_obj")
        self.commits += 1
        self.tries += 1

    async def slot(self) -> None:
        """Change one of many objects."""
        await self._raise(f"o{self.random.randrange(OBJECTS)}_obj")

    async def one(self) -> None:
        """Change the object that all change."""
        await self._raise("o0_obj")

    async def _raise(self, name: str) -> None:
        def work(root: Root) -> None:
            obj = root["objects"][name]
            obj.set_slot("n", obj.slots["n"] + 1)

        await self.commit(work, "setSlot")

    async def accept(self) -> None:
        """Store a brief."""
        name = f"{int(time.time() * 1000):012x}{self.who:02x}{self.commits:06x}"
        about = {"session": "s", "accepted": time.time()}
        brief = Brief("genesis_obj", "wish", (self.commits,))
        await self.commit(
            lambda root: (
                missions.open_brief(root, brief, mission_id=name, key=f"key {name}", about=about).id
            ),
            "accept",
        )

    async def learn(self) -> None:
        """Install a method that the search finds."""
        number, self.begun = self.who * 1_000_000 + self.begun, self.begun + 1
        text = f"tell the number word{number} of the bat\ndef m{number}(self):"
        source = f"def m{number}(self):\n    return {number}\n"
        skill = Skill(f"m{number}", source, "verified", {}, text, vector(number), [])
        name = f"o{self.who * 100 + number % 100}_obj"
        await self.commit(lambda root: install(root, root["objects"][name], skill), "learn")

    async def folded(self) -> None:
        """Learn, and index what all have learned, if this kernel leads."""
        await self.learn()
        if self.who == 0 and self.commits % FOLD == 0 and hasattr(KnowledgeCatalog, "fold"):
            with contextlib.suppress(ConflictError):  # as the kernel, which tries again later
                while await self.image.transact(
                    lambda root: catalog_in(root).fold(64), note="fold"
                ):
                    pass


async def work(location: str, kind: str, who: int, seconds: float, at_once: int) -> None:
    """Be a kernel; begins when a line comes in, and prints what it did."""
    image = ImageStore.open(location)
    worker = Worker(image, who)
    run = getattr(worker, kind)
    await worker.known()
    worker.commits = worker.tries = 0
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    taken, began, worked = [], time.perf_counter(), time.process_time()

    async def repeat() -> None:
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            await run()
            taken.append(time.perf_counter() - start)

    await asyncio.gather(*(repeat() for _ in range(at_once)))
    spent = time.perf_counter() - began
    told = {"commits": worker.commits, "tries": worker.tries, "seconds": spent, "taken": taken}
    told["worked"] = time.process_time() - worked
    print(json.dumps(told), flush=True)
    await image.close()


def run_kernels(location: str, kind: str, count: int, seconds: float, at_once: int) -> str:
    """Run some kernels at once; return a row of the table."""
    command = [sys.executable, "-m", "benchmarks.cluster", "--work", kind, "--at", location]
    command += ["--at-once", str(at_once)]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    kernels = [
        subprocess.Popen([*command, "--who", str(n), "--seconds", str(seconds)], **pipes)
        for n in range(count)
    ]
    for kernel in kernels:
        assert kernel.stdout.readline() == "ready\n"
    for kernel in kernels:
        kernel.stdin.write("\n")
        kernel.stdin.flush()
    told = [json.loads(kernel.stdout.readline()) for kernel in kernels]
    for kernel in kernels:
        kernel.communicate()
    commits, tries = (sum(one[name] for one in told) for name in ("commits", "tries"))
    rate = sum(one["commits"] / one["seconds"] for one in told)
    taken = sorted(seconds for one in told for seconds in one["taken"])
    lost = sum(len(one["taken"]) - one["commits"] for one in told)
    p50, p99 = statistics.median(taken), taken[int(len(taken) * 0.99)]
    conflicts = (tries - commits) / max(commits, 1)
    worked = sum(one["worked"] for one in told) / max(commits, 1)
    shown = " ".join(f"{each * 1000:8.2f}" for each in (worked, p50, p99))
    return f"{rate:9.1f}/s {conflicts:6.2f} {shown}{f'  {lost} gave up' * (lost > 0)}"


async def prepare(location: str) -> None:
    """Make the image."""
    image = ImageStore.open(location)
    await image.transact(fill, note="awaken")
    await image.close()


def measure(engine: str, kinds: list[str], seconds: float, at_once: int) -> None:
    """Print the rows of an engine."""
    if engine == "postgres" and POSTGRES not in os.environ:
        print(f"postgres: left out; {POSTGRES} names no server")
        return
    for kind in kinds:
        for count in ENGINES[engine]:
            with storage_of(engine) as storage, tempfile.TemporaryDirectory() as folder:
                location = storage.uri() or f"{folder}/image.fs"
                asyncio.run(prepare(location))
                shown = run_kernels(location, kind, count, seconds, at_once)
            print(f"{KINDS[kind]:40} {engine:9} {count} {shown}", flush=True)


def main() -> None:
    """Print the table, or be one of the kernels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--kinds", nargs="+", default=list(KINDS), choices=list(KINDS))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--at", help=argparse.SUPPRESS)
    parser.add_argument("--who", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        asyncio.run(work(given.at, given.work, given.who, given.seconds, given.at_once))
        return
    print(f"{'':40} {'engine':9} k   commits/s  again   cpu ms   p50 ms   p99 ms")
    for engine in given.engines:
        measure(engine, given.kinds, given.seconds, given.at_once)


if __name__ == "__main__":
    main()
