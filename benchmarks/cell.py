"""What confinement costs: one trivial method through the kernel, the cell, and a bare exec.

python benchmarks/cell.py           some 30 s; prints three tables; the floor is the bare exec

The second table is the processor time of a call in the cell alone, and the pages that it copies.
Pages and their ratio to the time mean the same on a busy machine; the wall clock does not. The
third is the processor time of the guardian for the worst texts that it takes.
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

import ormsgpack
import psutil

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.cells.zygote.zygote_cell import ZygoteCell  # noqa: E402 - runs from a checkout
from bat_os.client.client import KernelClient  # noqa: E402 - as above
from bat_os.core.values import Ref  # noqa: E402 - as above
from bat_os.method.guardian import PersistenceGuardian  # noqa: E402 - as above
from bat_os.ports import Call, ObjectView  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SOURCE = "def answer(self):\n    return 42\n"
FILL = "def fill(self):\n    self.numbers = list(range(1000, 51000))\n    self._p_changed = True\n"
ROUNDS = 500
FORK = """
import os, sys, time
exec(sys.argv[3])
for _ in range(200):
    started = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    print(time.perf_counter() - started)
"""
PRELOAD = """
import gc
sys.path += [sys.argv[1], os.path.dirname(os.path.dirname(sys.argv[2]))]
from bat_os.cells.zygote import child, main
import zoneinfo
from bat_os.method.guardian import SAFE_MODULES
main.preload(sorted(SAFE_MODULES), zoneinfo.TZPATH)
gc.collect()
gc.freeze()
"""
HEAD = "def m(self, x):\n"
TEXTS = {
    "an ordinary method": HEAD + "    self.n = x + 1\n    return self.n\n",
    "20 kB of brackets": "(" * 20_000,
    "brackets up to the limit, many times": HEAD + ("    x = " + "(" * 29 + ")" * 29 + "\n") * 290,
    "digits": HEAD + "    x = " + "9" * 4200 + "\n" + ("    x = " + "9" * 4200 + "\n") * 3,
    "one long line of statements": HEAD + "    " + "a=b;" * 1990 + "\n",
    "one long text": HEAD + "    x = '" + "a" * 19_900 + "'\n",
    "decorators": "@cache\n" * 2_500 + HEAD + "    pass\n",
    "names that NFKC changes": HEAD + "    \ufb01\u212a = \u2460\n" * 1_000,
    "names of 20 kB in ligatures": HEAD + "    " + "\ufb03" * 19_000 + " = 1\n",
    "surrogates": HEAD + "    x = '" + "\ud800" * 19_000 + "'\n",
    "null bytes": "\0" * 20_000,
    "blocks inside each other": "".join(" " * n + "if a:\n" for n in range(195)),
    "ways out of try and finally": HEAD
    + "    try:\n" + "        return self.a.pop()\n" * 660 + "    finally:\n        self.b = 1\n",
    "formatted texts": HEAD + "    x = f'" + "{x}" * 1_900 + "'\n",
    "dots": HEAD + "    x" + ".a" * 59 + "\n" + ("    x" + ".a" * 59 + "\n") * 120,
}  # fmt: skip
TICK = os.sysconf("SC_CLK_TCK")
CLIENTS = 8
NUMBERS = list(range(1000, 1000 + 50_000))  # 150 kB as msgpack


def main() -> int:
    """Print the table."""
    floor = bare()
    forks, preloaded = fork_alone(""), fork_alone(PRELOAD)
    cell, cost = asyncio.run(through_cell({}))
    paused, _ = asyncio.run(through_cell({}, pause=0.01))
    heavy, _ = asyncio.run(through_cell({"numbers": NUMBERS}))
    with tempfile.TemporaryDirectory(prefix="batos-bench-") as folder:
        kernel, fat, rate = asyncio.run(through_kernel(Path(folder)))
    print(f"{'one call of a trivial method':<44}{'p50 ms':>9}{'p99 ms':>9}{'x exec':>9}")
    rows = (
        ("bare exec in this process", floor),
        ("fork and exit of a bare interpreter", forks),
        ("the same with the modules of a method", preloaded),
        ("the cell alone, after a pause of 10 ms", paused),
        ("the cell alone, back to back", cell),
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
    print(f"\n{'the guardian, audit and repair of':<44}{'CPU ms':>9}")
    for name, seconds in audits():
        print(f"{name:<44}{seconds * 1e3:>9.3f}")
    return 0


def fork_alone(first: str) -> list[float]:
    """Return seconds per fork, exit and wait of an interpreter that has run ``first``."""
    command = [sys.executable, "-I", "-S", "-c", FORK, str(ROOT), ormsgpack.__file__, first]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(line) for line in told.stdout.split()]


def audits() -> list[tuple[str, float]]:
    """Return the processor seconds of the guardian for one text each, the best of three."""
    guardian, rows = PersistenceGuardian(), []
    for name, text in TEXTS.items():
        times = []
        for _ in range(3):
            started = time.process_time()
            guardian.repair(text, "m")
            guardian.audit(text, "m")
            times.append(time.process_time() - started)
        rows.append((name, min(times)))
    return rows


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


async def through_cell(
    slots: dict[str, Any], *, pause: float = 0.0
) -> tuple[list[float], dict[str, tuple[float, float]]]:
    """Return seconds per call, and per process what a call costs it.

    Args:
        slots: Of the receiver.
        pause: Seconds between two calls; a few milliseconds let the next child be ready.
    """
    cell = ZygoteCell()
    call = Call(SOURCE, "answer", ObjectView(Ref("0" * 16), slots))
    try:
        await cell.start()
        before = spent(cell.stats()["pid"])
        times = await clock(lambda: cell.run(call, send_nothing), ROUNDS, pause)
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


async def clock(call: Callable[[], Awaitable[Any]], rounds: int, pause: float = 0.0) -> list[float]:
    """Return seconds per awaited call, after ten that do not count."""
    times = []
    for number in range(rounds + 10):
        await asyncio.sleep(pause)
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
