"""``batos cluster try``: three kernels on one PostgreSQL, a load, a kill, and a report.

Needs the server programs of PostgreSQL from the distribution, and requirements-cluster.txt. All of
it is in a scratch folder, with a database of its own. No model is loaded: a script answers instead.
Everything is removed at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.environment import script_command
from bat_os.cli.show.command import Command
from bat_os.client.client import KernelClient, Places
from bat_os.errors import ArgumentsError, BatError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

KERNELS: Final = ("one", "two", "three")
COUNTERS, WORKERS, WISHES = 8, 6, 12
COUNT: Final = (
    "def count_one(self):\n    self.total = getattr(self, 'total', 0) + 1\n"
    "    self._p_changed = True\n    return self.total\n"
)
_PACKAGES: Final = ("psycopg2", "relstorage")


def find_programs() -> Path:
    """Return the folder of PostgreSQL's programs."""
    if os.name != "posix":
        raise ArgumentsError("batos cluster try runs on Linux and macOS")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("pg_ctl")
    if not found and not named:
        raise ArgumentsError(
            "no PostgreSQL here; install it (Debian, Ubuntu: apt install postgresql)"
        )
    if not all(importlib.util.find_spec(name) for name in _PACKAGES):
        raise ArgumentsError("pip install -r requirements-cluster.txt installs what servers need")
    return found[-1].parent if found else Path(str(named)).parent


class Postgres:
    """A server of the distribution in a folder; as the user postgres, if this is root."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder / "pg", find_programs()
        self.folder.mkdir()
        folder.chmod(0o711)  # the server may be another user's
        self.user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]

    def run(self, name: str, *words: str) -> None:
        """Run one of its programs."""
        subprocess.run(  # noqa: S603 - a program of the distribution, and no shell
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

    def launch(self, name: str) -> None:
        """Start the process of one."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(  # noqa: S603 - this program, and no shell
                [*script_command("batos.py"), "serve", "--home", str(self.folder / name)],
                env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def start(self, name: str) -> None:
        """Start one, and wait until missions can run."""
        self.launch(name)
        async with asyncio.timeout(120):
            while True:
                if self.running[name].poll() is not None:
                    log = (self.folder / f"{name}.log").read_text()
                    raise ResourceError(f"kernel {name} ended: {log[-500:]}")
                with contextlib.suppress(BatError, OSError):
                    async with KernelClient.at(self.folder / name, lambda: False) as kernel:
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


async def prepare(kernels: Kernels, say: Callable[[str], None]) -> None:
    """Start the kernels, and make what is counted."""
    for name in KERNELS:
        await kernels.start(name)
        say(f"kernel {name} serves")
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


async def _try(seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Return what came of it; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="batos-try-"))
    try:
        with Postgres(folder) as address:
            say(f"PostgreSQL serves at {address}")
            kernels = Kernels(folder, address)
            try:
                return await _load_and_kill(kernels, seconds, say)
            finally:
                await asyncio.to_thread(kernels.stop)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _load_and_kill(
    kernels: Kernels, seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    await prepare(kernels, say)
    load = Load(kernels)
    workers = [asyncio.create_task(load.work(number)) for number in range(WORKERS)]
    await asyncio.sleep(seconds / 2)
    wishes = [asyncio.create_task(load.wish(number)) for number in range(WISHES)]
    await asyncio.sleep(0.3)
    before = len(load.waits)
    kernels.running["one"].send_signal(signal.SIGKILL)
    say(f"kernel one is killed, with {WISHES} requests to learn under way")
    right: list[Any] = await asyncio.gather(*wishes, return_exceptions=True)
    await asyncio.sleep(seconds / 2)
    load.over = True
    await asyncio.gather(*workers)
    found = await count(kernels)
    async with kernels.client(1) as kernel:
        cluster = (await kernel.request("health", timeout=30.0))["cluster"]
    waits, answered = sorted(load.waits), len(load.waits)
    learned = sum(one is True for one in right)
    told = {
        "answered": answered,
        "before": before,
        "refused": load.failed,
        "lost": max(0, answered - found),
        "twice": max(0, found - answered - len(load.failed)),
        "waits": [round(waits[int(answered * part)], 3) for part in (0.5, 0.99)] + waits[-1:],
        "learned": learned,
        "asked": WISHES,
        "kernels": [one["home"] for one in cluster["kernels"] if one["living"]],
    }
    fine = not (told["lost"] or told["twice"]) and learned == WISHES
    return told | {"exit_status": int(not fine)}


async def _cluster(ask: Ask) -> Mapping[str, Any]:
    return await _try(ask.options.seconds, ask.screen.note)


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    p50, p99, longest = body["waits"]
    rows = [
        ("messages answered", f"{body['answered']}, {body['before']} before the kill"),
        ("refused", f"{len(body['refused'])} {'; '.join(body['refused'][:2])}"),
        ("lost, done twice", f"{body['lost']}, {body['twice']}"),
        ("wait p50, p99, longest", f"{p50:.3f}, {p99:.3f}, {longest:.3f} s"),
        ("learned over the kill", f"{body['learned']} of {body['asked']}"),
        ("kernels that live", ", ".join(body["kernels"])),
    ]
    screen.table(rows, ("WHAT", "HOW"))


COMMANDS: Final[Mapping[str, Command]] = {"cluster": Command(_show, _cluster)}
