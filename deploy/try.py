"""Three kernels on one PostgreSQL, a load, a kill, and a report: here, in a scratch folder.

    .venv/bin/python deploy/try.py [--seconds N]

Needs the server programs of PostgreSQL from the distribution, and requirements-cluster.txt. No
model is loaded: a script answers instead. Everything is removed at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.client.client import KernelClient, Places  # noqa: E402 - found by the line above
from bat_os.errors import BatError  # noqa: E402

KERNELS = ("one", "two", "three")
COUNTERS, WORKERS, WISHES = 8, 6, 12
COUNT = (
    "def count_one(self):\n    self.total = getattr(self, 'total', 0) + 1\n"
    "    self._p_changed = True\n    return self.total\n"
)


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if os.name == "posix" else []
    named = shutil.which("pg_ctl")
    if not found and not named:
        sys.exit("no PostgreSQL here; install it (Debian, Ubuntu: apt install postgresql)")
    return found[-1].parent if found else Path(str(named)).parent


class Postgres:
    """A server of the distribution in a folder; as the user postgres, if this is root."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder / "pg", find_programs()
        self.folder.mkdir()
        self.user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def run(self, name: str, *words: str) -> None:
        """Run one of its programs."""
        subprocess.run(
            [self.programs / name, *words], check=True, stdout=subprocess.DEVNULL, cwd="/",
            user=self.user if os.geteuid() == 0 else None,
        )  # fmt: skip

    def __enter__(self) -> str:
        """Start it, and return the address of a database."""
        data = str(self.folder / "data")
        self.run("initdb", "-D", data, "-A", "trust")
        how = f"-k {self.folder} -c listen_addresses=127.0.0.1 -p {self.port}"
        self.run("pg_ctl", "-D", data, "-w", "-l", str(self.folder / "log"), "-o", how, "start")
        self.run("createdb", "-h", str(self.folder), "-p", str(self.port), "mind")
        return f"postgres://{self.user}@127.0.0.1:{self.port}/mind"

    def __exit__(self, *_: object) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-m", "fast", "stop")


class Kernels:
    """Three kernels on the image of one database."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.running = folder, dict[str, subprocess.Popen[bytes]]()
        script = folder / "script.jsonl"
        answers = [
            {"contains": f"def wish_{n}(self", "text": f" return {n}"} for n in range(WISHES)
        ]
        script.write_text("".join(json.dumps(one) + "\n" for one in answers))
        blobs = f"keep_history=1&blob_dir={folder}/blobs&shared_blob_dir=1"
        self.environ = {
            **{name: text for name, text in os.environ.items() if not name.startswith("BATOS_")},
            "BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script), "BATOS_TCP_PORT": "-1",
            "BATOS_IDLE": "off", "BATOS_IMAGE": f"{address}?driver=psycopg2&{blobs}",
            "BATOS_CLUSTER": address,
        }  # fmt: skip

    async def start(self, name: str) -> None:
        """Start one, and wait until missions can run."""
        home = self.folder / name
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, ROOT / "batos.py", "serve", "--home", home],
                env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        async with asyncio.timeout(120):
            while True:
                if self.running[name].poll() is not None:
                    sys.exit((self.folder / f"{name}.log").read_text()[-2000:])
                with contextlib.suppress(BatError, OSError):
                    async with KernelClient.at(home, lambda: False) as kernel:
                        if (await kernel.request("health", timeout=5.0))["ready"]:
                            return
                await asyncio.sleep(0.2)

    def client(self, first: int = 0) -> KernelClient:
        """Return a client of all, which asks one of them first."""
        names = [*KERNELS[first:], *KERNELS[:first]]
        where = ",".join(str(self.folder / name) for name in names)
        return KernelClient("", places=Places.of(where, "", self.folder / names[0]))

    def stop(self) -> None:
        """Stop those that run."""
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.wait(60)


class Load:
    """Messages that count, each with a key, and what came of them."""

    def __init__(self, kernels: Kernels) -> None:
        self.kernels, self.waits, self.failed = kernels, list[float](), list[str]()
        self.over = False

    async def work(self, number: int) -> None:
        """Send messages one after the other until it is over."""
        sent = 0
        async with self.kernels.client(number % len(KERNELS)) as kernel:
            while not self.over:
                sent += 1
                target = f"counter_{(number + sent) % COUNTERS}_obj"
                began = time.perf_counter()
                try:
                    await kernel.request(
                        "send", timeout=60.0, target=target, selector="count_one", args=[],
                        ik=f"load-{number}-{sent}",
                    )  # fmt: skip
                    self.waits.append(time.perf_counter() - began)
                except BatError as error:
                    self.failed.append(f"{error.code}: {error}"[:120])

    async def wish(self, number: int) -> bool:
        """Have a method learned at the first kernel; return whether the answer is right."""
        async with self.kernels.client() as kernel:
            told = await kernel.request(
                "brief", timeout=90.0, target="genesis_obj", selector=f"wish_{number}", args=[],
                ik=f"wish-{number}", body={"text": f"give the number {number}"},
            )  # fmt: skip
        return bool(told["result"] == number)


async def prepare(kernels: Kernels) -> None:
    """Start the kernels, and make what is counted."""
    for name in KERNELS:
        await kernels.start(name)
        print(f"kernel {name} serves", flush=True)
    async with kernels.client() as kernel:
        for number in range(COUNTERS):
            name = f"counter_{number}_obj"
            await kernel.request("derive", timeout=30.0, target="traits_obj", body={"name": name})
            await kernel.request("teach", timeout=60.0, target=name, selector="count_one",
                                 body={"source": COUNT})  # fmt: skip


async def count(kernels: Kernels) -> int:
    """Return how often was counted, by the image."""
    total = 0
    async with kernels.client(1) as kernel:
        for number in range(COUNTERS):
            told = await kernel.request("send", timeout=30.0, target=f"counter_{number}_obj",
                                        selector="getSlot", args=["total"])  # fmt: skip
            total += int(told["result"] or 0)
    return total


async def main(seconds: float) -> int:
    """Return 0 if nothing was lost, and nothing done twice."""
    folder = Path(tempfile.mkdtemp(prefix="batos-try-"))
    folder.chmod(0o755)
    try:
        with Postgres(folder) as address:
            print(f"PostgreSQL at {address}", flush=True)
            kernels = Kernels(folder, address)
            try:
                return await try_it(kernels, seconds)
            finally:
                await asyncio.to_thread(kernels.stop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def try_it(kernels: Kernels, seconds: float) -> int:
    """Run the load, kill a kernel in the middle, and report."""
    await prepare(kernels)
    load = Load(kernels)
    workers = [asyncio.create_task(load.work(number)) for number in range(WORKERS)]
    await asyncio.sleep(seconds / 2)
    wishes = [asyncio.create_task(load.wish(number)) for number in range(WISHES)]
    await asyncio.sleep(0.3)
    before = len(load.waits)
    kernels.running["one"].send_signal(signal.SIGKILL)
    print(f"kernel one killed, with {WISHES} requests to learn under way", flush=True)
    right: list[Any] = await asyncio.gather(*wishes, return_exceptions=True)
    await asyncio.sleep(seconds / 2)
    load.over = True
    await asyncio.gather(*workers)
    found = await count(kernels)
    async with kernels.client(1) as kernel:
        cluster = (await kernel.request("health", timeout=30.0)).get("cluster", {})
    waits, answered = sorted(load.waits), len(load.waits)
    print(
        f"\nmessages answered            {answered} ({before} before the kill)\n"
        f"refused                      {len(load.failed)} {load.failed[:2] or ''}\n"
        f"counted in the image         {found}\n"
        f"lost                         {max(0, answered - found)}\n"
        f"done twice                   {max(0, found - answered - len(load.failed))}\n"
        f"wait p50, p99, longest       {waits[answered // 2]:.3f}, "
        f"{waits[int(answered * 0.99)]:.3f}, {waits[-1]:.3f} s\n"
        f"learned over the kill        {sum(one is True for one in right)} of {WISHES}\n"
        f"the cluster now              {json.dumps(cluster, default=str)[:300]}"
    )
    for one in right:
        if one is not True:
            print(f"  not learned: {one!r}")
    fine = answered <= found <= answered + len(load.failed) and all(one is True for one in right)
    return 0 if fine else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of load")
    sys.exit(asyncio.run(main(parser.parse_args().seconds)))
