"""What confinement costs: one trivial method through the kernel, the cell, and a bare exec.

python benchmarks/cell.py           some 15 s; prints two tables; the floor is the bare exec

The second table is the processor time of a call in the cell alone, and the pages that it copies.
Pages and their ratio to the time mean the same on a busy machine; the wall clock does not.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.cells.zygote import ZygoteCell  # noqa: E402 - runs from a checkout
from bat_os.clients.client import KernelClient  # noqa: E402 - as above
from bat_os.core.values import Ref  # noqa: E402 - as above
from bat_os.ports import Call, ObjectView  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SOURCE = "def answer(self):\n    return 42\n"
FILL = "def fill(self):\n    self.numbers = list(range(1000, 51000))\n    self._p_changed = True\n"
ROUNDS = 500
TICK = os.sysconf("SC_CLK_TCK")
CLIENTS = 8
NUMBERS = list(range(1000, 1000 + 50_000))  # 150 kB as msgpack


def main() -> int:
    """Print the table."""
    floor = bare()
    cell, cost = asyncio.run(through_cell({}))
    heavy, _ = asyncio.run(through_cell({"numbers": NUMBERS}))
    with tempfile.TemporaryDirectory(prefix="batos-bench-") as folder:
        kernel, fat, rate = asyncio.run(through_kernel(Path(folder)))
    print(f"{'one call of a trivial method':<44}{'p50 ms':>9}{'p99 ms':>9}{'x exec':>9}")
    rows = (
        ("bare exec in this process", floor),
        ("the cell alone", cell),
        ("the cell, 150 kB of slots", heavy),
        ("the kernel, from a client", kernel),
        ("the kernel, 150 kB of slots", fat),
    )
    for name, times in rows:
        p50, p99 = pick(times, 0.5), pick(times, 0.99)
        print(f"{name:<44}{p50:>9.3f}{p99:>9.2f}{p50 / pick(floor, 0.5):>9.0f}")
    print(f"{'calls a second from ' + str(CLIENTS) + ' clients':<44}{rate:>9.0f}")
    print(f"\n{'one call in the cell alone':<44}{'CPU ms':>9}{'pages':>9}")
    for name, (seconds, pages) in cost.items():
        print(f"{name:<44}{seconds * 1e3:>9.3f}{pages:>9.0f}")
    return 0


def bare() -> list[float]:
    """Return seconds per call of compile, exec and call."""
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        names: dict[str, Any] = {}
        exec(compile(SOURCE, "<method>", "exec"), names)  # noqa: S102 - the floor
        names["answer"](None)
        times.append(time.perf_counter() - started)
    return times


async def through_cell(slots: dict[str, Any]) -> tuple[list[float], dict[str, tuple[float, float]]]:
    """Return seconds per call, and per process what a call costs it."""
    cell = ZygoteCell()
    call = Call(SOURCE, "answer", ObjectView(Ref("0" * 16), slots))
    try:
        await cell.start()
        before = spent(cell.stats()["pid"])
        times = await clock(lambda: cell.run(call, send_nothing), ROUNDS)
        after = spent(cell.stats()["pid"])
    finally:
        await cell.close()
    calls = ROUNDS + 10
    cost = {
        name: ((after[name][0] - start) / calls, (after[name][1] - pages) / calls)
        for name, (start, pages) in before.items()
    }
    return times, cost


def spent(started: int) -> dict[str, tuple[float, int]]:
    """Return the processor seconds and page faults of kernel side, zygote and children so far."""
    zygote = ([child.pid for child in psutil.Process(started).children()] or [started])[0]
    if not psutil.Process(zygote).children():  # no namespaces: what was started is the zygote
        zygote = started
    fields = Path(f"/proc/{zygote}/stat").read_text().rpartition(")")[2].split()
    own = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "the caller's side": (own.ru_utime + own.ru_stime, own.ru_minflt),
        "the zygote, which forks": ((int(fields[11]) + int(fields[12])) / TICK, int(fields[7])),
        "the child": ((int(fields[13]) + int(fields[14])) / TICK, int(fields[8])),
    }


async def send_nothing(_nested: Any) -> Any:
    """Never called: the method sends nothing."""
    raise AssertionError


async def through_kernel(folder: Path) -> tuple[list[float], list[float], float]:
    """Return seconds per known message, the same with fat slots, and the rate of 8 clients."""
    script = folder / "script.jsonl"
    script.touch()
    home = folder / "home"
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        [sys.executable, str(ROOT / "batos.py"), "serve", "--home", str(home), "--supervised",
         "--tcp-port", "-1"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script)},
    )  # fmt: skip
    async with KernelClient.at(home) as client:
        await client.request("health", timeout=30)
        await client.request("teach", target="genesis_obj", body={"source": SOURCE})
        await client.request("teach", target="genesis_obj", body={"source": FILL})
        for name in ("thin_obj", "fat_obj"):
            await client.request("send", target="genesis_obj", selector="clone", args=[name])
        await client.request("send", target="fat_obj", selector="fill")
        thin = await clock(lambda: ask(client, "thin_obj"), ROUNDS)
        fat = await clock(lambda: ask(client, "fat_obj"), ROUNDS)
        started = time.perf_counter()
        await asyncio.gather(*(many(home) for _ in range(CLIENTS)))
        rate = CLIENTS * ROUNDS / (time.perf_counter() - started)
        await client.request("shutdown")
    if process.stdin is not None:
        process.stdin.close()
    process.wait(30)
    return thin, fat, rate


async def ask(client: KernelClient, target: str) -> Any:
    """Send the trivial message once."""
    return await client.request("send", target=target, selector="answer")


async def many(home: Path) -> None:
    """Send it ROUNDS times on a connection of its own."""
    async with KernelClient.at(home) as client:
        for _ in range(ROUNDS):
            await ask(client, "thin_obj")


async def clock(call: Callable[[], Awaitable[Any]], rounds: int) -> list[float]:
    """Return seconds per awaited call, after ten that do not count."""
    times = []
    for number in range(rounds + 10):
        started = time.perf_counter()
        await call()
        if number >= 10:
            times.append(time.perf_counter() - started)
    return times


def pick(times: list[float], part: float) -> float:
    """Return a percentile in milliseconds."""
    return sorted(times)[min(len(times) - 1, int(len(times) * part))] * 1e3


if __name__ == "__main__":
    raise SystemExit(main())
