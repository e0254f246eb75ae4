"""Measure a mind with a long history: fork, the past, why, backup, and packing while it serves.

    python benchmarks/history.py [--quick]

The image is made on the spot: 100,000 objects, 10,000 transactions, a method with ten versions
and 256 MB of model files (--quick: 5,000, 500 and 32 MB). Each row has a floor that was
measured in the same run: the least that the operating system or ZODB takes for that work.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.client.client import KernelClient  # noqa: E402 - runs from a checkout
from bat_os.core.personas import PERSONAS  # noqa: E402 - as above
from bat_os.core.settings import IMAGE  # noqa: E402 - as above
from bat_os.image.awakening import awaken  # noqa: E402 - as above
from bat_os.image.files.backup import back_up, verify  # noqa: E402 - as above
from bat_os.image.files.fork import drop_fork, fork  # noqa: E402 - as above
from bat_os.image.files.restore import restore  # noqa: E402 - as above
from bat_os.image.history.moments import read_at  # noqa: E402 - as above
from bat_os.image.history.provenance import explain  # noqa: E402 - as above
from bat_os.image.history.versions import Skill, install  # noqa: E402 - as above
from bat_os.image.models import ingest_folder  # noqa: E402 - as above
from bat_os.image.objects import UvmObject  # noqa: E402 - as above
from bat_os.image.store import ImageStore  # noqa: E402 - as above
from bat_os.kernel.primitives import PRIMITIVES  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

BATCH = 5_000
FULL = (100_000, 10_000, 256)
QUICK = (5_000, 500, 32)
TIMES = 15


def percentile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of all lies at or below."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def row(what: str, value: str, goal: str, floor: str, ratio: float) -> None:
    """Print one line of the table."""
    print(f"| {what} | {value} | {goal} | {floor} | {ratio:.1f} |", flush=True)


def ms(seconds: float) -> str:
    """Return a time as the table has it."""
    return f"{seconds * 1000:.1f} ms"


def files_in(home: Path) -> list[Path]:
    """Return all files of a home."""
    return [path for path in home.rglob("*") if path.is_file()]


async def clock(work: Callable[[], Awaitable[Any]], times: int = TIMES) -> list[float]:
    """Return how long each of some runs took."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - started)
    return taken


async def build(home: Path, objects: int, transactions: int, megabytes: int) -> None:
    """Make the image, as a kernel would have over time."""
    image = ImageStore.open(home / IMAGE)
    await image.transact(
        lambda root: awaken(
            root, image_id="bench", created=1.0, personas=PERSONAS, primitives=PRIMITIVES
        ),
        note="awaken",
    )

    def add(root: Any, first: int) -> None:
        traits = root["objects"]["traits_obj"]
        for number in range(first, min(first + BATCH, objects)):
            obj = UvmObject(f"thing_{number}", (traits,))
            obj.set_slot("colour", "red")
            obj.set_slot("size", number)
            root["objects"][obj.name] = obj

    for first in range(0, objects, BATCH):
        await image.transact(lambda root, first=first: add(root, first), note="add objects")

    def learn(root: Any, number: int) -> None:
        source = f"def wave(self):\n    return {number}\n"
        skill = Skill("wave", source, "taught", {"persona": "ARCHITECT"}, "wave", None)
        install(root, root["objects"]["genesis_obj"], skill)

    for number in range(10):
        await image.transact(lambda root, number=number: learn(root, number), note="learn wave")

    def change(root: Any, number: int) -> None:
        obj = root["objects"][f"thing_{number % objects}"]
        obj.set_slot("text", f"{number} " * 40)

    for number in range(transactions):
        step = number * 7919
        await image.transact(lambda root, step=step: change(root, step), note=f"change {number}")
    model = home / "model"
    model.mkdir()
    data = random.Random(7)  # noqa: S311 - no secret
    with (model / "weights.bin").open("wb") as stream:
        for _ in range(megabytes):
            stream.write(data.randbytes(1 << 20))
    (model / "config.json").write_text("{}", encoding="utf-8")
    await ingest_folder(image, "bench", model, meta={"kind": "transformers"})
    shutil.rmtree(model)
    await image.close()


async def measure_fork(image: ImageStore, home: Path) -> None:
    """Fork, against second names for the same files."""
    names = iter(range(1000))
    inside: list[float] = []

    async def work() -> None:
        told = await fork(image, f"f{next(names)}")
        inside.append(told["seconds"])

    taken = await clock(work)
    files = files_in(home)
    place = home / "floor"

    async def least() -> None:
        place.mkdir()
        for number, path in enumerate(files):
            (place / str(number)).hardlink_to(path)
        shutil.rmtree(place)

    floor = percentile(await clock(least), 0.5)
    value = percentile(taken, 0.5)
    worst = f"{ms(value)} (p99 {ms(percentile(taken, 0.99))})"
    row("fork", worst, "<= 100 ms", f"{ms(floor)}, link(2) of its {len(files)} files",
        value / floor)  # fmt: skip
    for number in range(TIMES):
        drop_fork(home / IMAGE, f"f{number}")


async def measure_past(image: ImageStore) -> None:
    """A look at an object as it was, and why: each against the same look at the present."""
    database = image.database
    latest = int.from_bytes(database.lastTransaction(), "big")
    first = int.from_bytes(next(iter(database.storage.iterator())).tid, "big")
    chosen = random.Random(3)  # noqa: S311 - no secret

    def look(root: Any) -> Any:
        name = f"thing_{chosen.randrange(100)}"
        return root["objects"][name].slots["colour"] if name in root["objects"] else None

    moments = [first + (latest - first) * (5 + number) // (TIMES + 10) for number in range(TIMES)]
    left = iter(moments)
    past = await clock(lambda: read_at(image, f"{next(left):016x}", look))
    now = percentile(await clock(lambda: image.transact(look, note="read")), 0.5)
    value = percentile(past, 0.5)
    row("open at= and read one object", f"{ms(value)} (p99 {ms(percentile(past, 0.99))})",
        "<= 50 ms", f"{ms(now)}, the same read of the present", value / now)  # fmt: skip

    def ask(root: Any) -> Any:
        return explain(root, root["objects"]["genesis_obj"], "wave")

    why = await clock(lambda: image.transact(ask, note="why"))
    row("why, of ten versions", f"{ms(percentile(why, 0.5))} (p99 {ms(percentile(why, 0.99))})",
        "<= 50 ms", f"{ms(now)}, the same", percentile(why, 0.5) / now)  # fmt: skip


async def measure_backup(image: ImageStore, home: Path) -> None:
    """A whole backup with copies of the models, against cp; and one of what is new."""
    size = sum(path.stat().st_size for path in files_in(home))
    target, other = home.parent / "backup", home.parent / "cp"
    taken, floors = [], []
    for _ in range(3):
        started = time.perf_counter()
        await asyncio.to_thread(
            subprocess.run, ["/bin/cp", "-r", str(home), str(other)], check=True
        )
        floors.append(time.perf_counter() - started)
        shutil.rmtree(other)
        shutil.rmtree(target, ignore_errors=True)
        started = time.perf_counter()
        told = await back_up(image, target, copy=True)
        taken.append(time.perf_counter() - started)
    value, floor = min(taken), min(floors)
    speed = f"{told['size'] / value / 1e6:.0f} MB/s, {floor / value:.0%} of cp"
    row("backup, everything copied, hashed, read again, on the disk", speed, ">= 50%",
        f"{size / floor / 1e6:.0f} MB/s, cp -r (no hash, no fsync)", value / floor)  # fmt: skip
    shutil.rmtree(target)
    started = time.perf_counter()
    await back_up(image, target)
    linked = time.perf_counter() - started
    row("the same, models as second names (the default)", f"{floor / linked:.0%} of cp", ">= 50%",
        ms(floor) + ", cp -r", linked / floor)  # fmt: skip
    started = time.perf_counter()
    await back_up(image, target)
    again = time.perf_counter() - started
    row("backup when nothing is new", ms(again), "", ms(floor) + ", cp -r", again / floor)
    started = time.perf_counter()
    await asyncio.to_thread(verify, target)
    checked = time.perf_counter() - started
    row("verify", ms(checked), "", ms(floor) + ", cp -r", checked / floor)
    started = time.perf_counter()
    await asyncio.to_thread(restore, target, home.parent / "restored")
    back = time.perf_counter() - started
    row("restore, every object read", ms(back), "", ms(floor) + ", cp -r", back / floor)


async def measure_pack(home: Path, script: Path) -> None:
    """Known messages to a running kernel, in peace and while it packs all that is old."""
    environ = os.environ | {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script)}
    with (home.parent / "kernel.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
            [sys.executable, ROOT / "batos.py", "serve", "--home", home, "--tcp-port", "-1"],
            env=environ, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        async with KernelClient.at(home, lambda: True) as asking, KernelClient.at(home) as busy:
            while not (await asking.request("health", timeout=120))["ready"]:  # noqa: ASYNC110 - another process gets ready
                await asyncio.sleep(0.1)

            async def read() -> None:
                await asking.request("send", timeout=60, target="genesis_obj", selector="wave")

            await clock(read, 100)
            quiet = await clock(read, 1000)
            packing = asyncio.ensure_future(busy.request("pack", timeout=600, body={"days": 0.0}))
            loaded: list[float] = []
            while not packing.done():
                loaded += await clock(read, 1)
            told = await packing
    finally:
        process.terminate()
        process.wait(60)
    value, floor = percentile(loaded, 0.99), percentile(quiet, 0.99)
    row(f"known message while packing {told['before'] / 1e6:.0f} MB ({told['seconds']:.1f} s, "
        f"{len(loaded)} sent), p50 / p99", f"{ms(percentile(loaded, 0.5))} / {ms(value)}",
        "p99 <= 50 ms", f"{ms(percentile(quiet, 0.5))} / {ms(floor)}, in peace",
        value / floor)  # fmt: skip


async def run(folder: Path, size: tuple[int, int, int]) -> None:
    """Print the table."""
    home = folder / "home"
    home.mkdir()
    started = time.perf_counter()
    await build(home, *size)
    about = f"{size[0]:,} objects, {size[1]:,} transactions, {size[2]} MB of model files"
    image = ImageStore.open(home / IMAGE)
    taken = time.perf_counter() - started
    print(
        f"{about}; image file {(home / IMAGE).stat().st_size / 1e6:.0f} MB; made in {taken:.0f} s"
    )
    print("\n| what | value | goal | floor | times the floor |\n|---|---|---|---|---|")
    await measure_fork(image, home)
    await measure_past(image)
    await measure_backup(image, home)
    await image.close()
    script = folder / "script.jsonl"
    script.write_text("", encoding="utf-8")
    await measure_pack(home, script)


def main() -> None:
    """Make the image, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batos-history-") as folder:
        asyncio.run(run(Path(folder), QUICK if options.quick else FULL))


if __name__ == "__main__":
    main()
