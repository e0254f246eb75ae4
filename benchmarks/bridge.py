"""What the kernel adds to its parts: to a commit, to an echo, to the cell; all in one run.

python benchmarks/bridge.py             a minute; prints one table
python benchmarks/bridge.py --model     also while the real model generates; two minutes

Parts and whole are measured in turn, so that a busy machine slows both: read the ratios.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transaction
import zmq
import zmq.asyncio
import ZODB
from ZODB.FileStorage import FileStorage

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.cells.zygote.zygote_cell import ZygoteCell  # noqa: E402 - runs from a checkout
from bat_os.client.client import KernelClient  # noqa: E402 - as above
from bat_os.core.brief import Brief  # noqa: E402 - as above
from bat_os.core.personas import PERSONAS  # noqa: E402 - as above
from bat_os.core.values import Ref  # noqa: E402 - as above
from bat_os.errors import KernelUnreachableError  # noqa: E402 - as above
from bat_os.image import missions  # noqa: E402 - as above
from bat_os.image.awakening import awaken  # noqa: E402 - as above
from bat_os.image.store import ImageStore  # noqa: E402 - as above
from bat_os.kernel.missions.scheduler import Scheduler  # noqa: E402 - as above
from bat_os.kernel.primitives import PRIMITIVES  # noqa: E402 - as above
from bat_os.ports import Call, ObjectView  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

SOURCE = "def answer(self):\n    return 42\n"
STEP = "def step(self):\n    self.steps += 1\n    self._p_changed = True\n    return 42\n"
KNOWN = {"target": "genesis_obj", "selector": "answer"}
CLIENTS, ROUNDS, EACH = 64, 15, 150
SETTLE = 0.02  # seconds for a cell to end a child and fork the next: no row pays for another
ECHO = """
import asyncio, sys, zmq, zmq.asyncio
async def main():
    socket = zmq.asyncio.Context().socket(zmq.ROUTER)
    socket.bind(sys.argv[1])
    while True:
        await socket.send_multipart(await socket.recv_multipart())
asyncio.run(main())
"""


class OnlyImage:
    """As much of a mind as storing briefs needs."""

    def __init__(self, image: ImageStore) -> None:
        self.image = image
        self.options = None


def main() -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="batos-bench-", dir=os.environ.get("TMPDIR")) as name:
        asyncio.run(commits(Path(name)))
        asyncio.run(round_trips(Path(name)))
        if "--model" in sys.argv:
            asyncio.run(while_thinking(Path(name)))
    return 0


async def commits(folder: Path) -> None:
    """Print what a brief costs until it is acknowledged, and what sharing a commit saves."""
    storage = FileStorage(str(folder / "bare.fs"))
    bare_db = ZODB.DB(storage)
    image = ImageStore.open(folder / "image.fs")
    await image.transact(
        lambda root: awaken(
            root, image_id="i", created=1.0, personas=PERSONAS, primitives=PRIMITIVES
        ),
        note="awaken",
    )
    scheduler = idle_scheduler(image)
    await accept(scheduler, 0)
    bare, aside, durable = await alternate(bare_db, image, scheduler)
    with slower_disk():
        slow_bare, _, slow_durable = await alternate(bare_db, image, scheduler)
    single, together = [], []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for number in range(CLIENTS):
            await store_alone(image, number)
        single.append(CLIENTS / (time.perf_counter() - start))
        scheduler = idle_scheduler(image)
        start = time.perf_counter()
        await asyncio.gather(*(client(scheduler, n) for n in range(CLIENTS)))
        together.append(3 * CLIENTS / (time.perf_counter() - start))
    bare_db.close()
    await image.close()
    row("bare FileStorage commit", f"{ms(bare):.2f} ms")
    row("the same, off the event loop", f"{ms(aside):.2f} ms", ms(aside) / ms(bare))
    row("durable accept, one client", f"{ms(durable):.2f} ms", ms(durable) / ms(bare), "<= 1.5 x")
    row("  of the commit off the loop", "", ms(durable) / ms(aside))
    row("bare commit, the disk 2 ms slower", f"{ms(slow_bare):.2f} ms")
    ratio = ms(slow_durable) / ms(slow_bare)
    row("durable accept on it", f"{ms(slow_durable):.2f} ms", ratio, "<= 1.5 x")
    one, many = statistics.median(single), statistics.median(together)
    gain = statistics.median(b / a for a, b in zip(single, together, strict=True))
    row("one commit per brief", f"{one:.0f}/s")
    row(f"group commit, {CLIENTS} clients", f"{many:.0f}/s", gain, ">= 5 x")


async def alternate(bare_db: Any, image: ImageStore, scheduler: Scheduler) -> list[list[float]]:
    """Return the seconds of bare commits, of such in a thread, and of accepted briefs."""
    times: list[list[float]] = [[], [], []]
    for number in range(EACH):
        times[0].append(timed(lambda n=number: commit_bare(bare_db, n)))
        aside = asyncio.to_thread(commit_bare, bare_db, number)
        times[1].append(await timed_await(lambda one=aside: one))
        times[2].append(await timed_await(lambda n=number: accept(scheduler, n)))
        await image.transact(end_all, note="end")  # as its mission would
    return times


@contextlib.contextmanager
def slower_disk() -> Iterator[None]:
    """Let every fsync of a commit take 2 ms more, as on a disk that is slower than this one."""
    module = importlib.import_module("ZODB.FileStorage.FileStorage")  # its name is a class's too
    fsync = module.fsync

    def slow(file: int) -> None:
        time.sleep(0.002)
        fsync(file)

    module.fsync = slow
    try:
        yield
    finally:
        module.fsync = fsync


def idle_scheduler(image: ImageStore) -> Any:
    """Return a scheduler that stores places for briefs and runs none."""
    scheduler = Scheduler(OnlyImage(image), lambda event: None)
    scheduler.start = lambda record: None
    return scheduler


async def accept(scheduler: Scheduler, number: int) -> None:
    """Store one brief under a key of its own."""
    await scheduler.accept(Brief("genesis_obj", "double", (number,)), "", os.urandom(8).hex())


async def client(scheduler: Scheduler, number: int) -> None:
    """Be one of many who ask again as soon as they are answered."""
    for _ in range(3):
        await accept(scheduler, number)


async def store_alone(image: ImageStore, number: int) -> None:
    """Store one brief in a commit of its own."""
    key, brief = os.urandom(8).hex(), Brief("genesis_obj", "double", (number,))
    about = {"session": "", "accepted": time.time()}
    await image.transact(
        lambda root: missions.open_brief(root, brief, mission_id=key, key=key, about=about).id,
        note="accept",
    )


def end_all(root: Any) -> None:
    """Take away what waits, as missions that end do."""
    for mission_id in missions.unfinished(root):
        missions.let_go(root, mission_id)


def commit_bare(db: Any, number: int) -> None:
    """Commit one small change."""
    manager = transaction.TransactionManager()
    connection = db.open(manager)
    connection.root()["number"] = number
    manager.commit()
    connection.close()


async def round_trips(folder: Path) -> None:
    """Print a known message beside an echo and the cell alone."""
    async with serving(folder / "home", BATOS_ENGINE="scripted", BATOS_SCRIPT=os.devnull) as kernel:
        for source in (SOURCE, STEP):
            await kernel.request("teach", target="genesis_obj", body={"source": source})
        await kernel.request("send", target="genesis_obj", selector="setSlot", args=["steps", 0])
        address = f"ipc://{folder}/echo"
        echoing = subprocess.Popen([sys.executable, "-c", ECHO, address])  # noqa: ASYNC220 - it only starts it
        context = zmq.asyncio.Context()
        socket = context.socket(zmq.DEALER)
        socket.connect(address)
        cell = ZygoteCell()
        call = Call(SOURCE, "answer", ObjectView(Ref("0" * 16, "o"), {}, frozenset()))
        echo, ping, plain, alone, whole, first, writing = [], [], [], [], [], [], []
        inner, step = KNOWN | {"selector": "slotNames"}, KNOWN | {"selector": "step"}
        try:
            for _ in range(20):
                await bounce(socket), await cell.run(call, unused), await kernel.request("ping")
                await kernel.request("send", **KNOWN)
            for _ in range(2 * EACH):
                for times, work in (
                    (echo, lambda: bounce(socket)),
                    (ping, lambda: kernel.request("ping")),
                    (plain, lambda: kernel.request("send", **inner)),
                    (alone, lambda: cell.run(call, unused)),
                    (whole, lambda: kernel.request("send", **KNOWN)),
                ):
                    times.append(await timed_await(work))
                    await asyncio.sleep(SETTLE)
            for _ in range(EACH):
                for times, known in ((writing, step), (first, KNOWN)):
                    times.append(await timed_await(lambda k=known: kernel.request("send", **k)))
                    await asyncio.sleep(SETTLE)
        finally:
            await cell.close()
            context.destroy(0)
            echoing.kill()
            echoing.wait()
    peer = await asyncio.to_thread(notebook)
    show(echo, ping, plain, alone, whole, first, writing, peer)


def show(*all_times: list[float]) -> None:
    """Print the rows of the round trips."""
    echo, ping, plain, alone, whole, first, writing, peer = all_times
    row("raw zmq.asyncio echo", f"{ms(echo):.2f} ms")
    row("ping, through the kernel", f"{ms(ping):.2f} ms")
    row("a message that needs no cell", f"{ms(plain):.2f} ms")
    row("the cell alone", f"{ms(alone):.2f} ms")
    goal = 2 * ms(echo) + ms(alone)
    row("a known message", f"{ms(whole):.2f} ms", ms(whole) / goal, "<= 1 x (2 echoes + the cell)")
    row("the same, after the image has changed", f"{ms(first):.2f} ms", ms(first) / goal)
    row("a known message that changes a slot", f"{ms(writing):.2f} ms", ms(writing) / goal)
    if peer:
        row(
            "ipykernel executes 42",
            f"{ms(peer):.2f} ms",
            ms(peer) / ms(whole),
            "of a known message",
        )
    else:
        print("ipykernel is not installed: no row for it")


def notebook() -> list[float]:
    """Return how long ipykernel takes for the least cell, each time; [] where there is none."""
    try:
        from ipykernel import __version__  # noqa: F401 - only whether it is there
        from jupyter_client.manager import start_new_kernel
    except ImportError:
        return []
    manager, client = start_new_kernel(kernel_name="python3", stderr=subprocess.DEVNULL)
    try:
        times = []
        for _ in range(20 + EACH):
            start = time.perf_counter()
            client.execute_interactive("42", store_history=False, output_hook=lambda _: None)
            times.append(time.perf_counter() - start)
            time.sleep(SETTLE)
        return times[20:]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


async def while_thinking(folder: Path) -> None:
    """Print known messages alone, and while the real model generates."""
    async with serving(folder / "thinking") as kernel:
        await kernel.request("teach", target="genesis_obj", body={"source": SOURCE})
        quiet = [await timed_await(lambda: kernel.request("send", **KNOWN)) for _ in range(EACH)]
        async with KernelClient.at(folder / "thinking") as other:
            brief = {"target": "genesis_obj", "selector": "count_vowels", "args": ["banana"]}
            thinking = asyncio.ensure_future(
                other.request("brief", timeout=None, **brief, body={"text": "count the vowels"})
            )
            busy = []
            while not thinking.done():
                busy.append(await timed_await(lambda: kernel.request("send", **KNOWN)))
                await asyncio.sleep(0.02)
            await asyncio.gather(thinking, return_exceptions=True)
    row("a known message, model idle", f"{ms(quiet):.2f} ms")
    row(f"while a mission thinks ({len(busy)} messages)", f"{ms(busy):.2f} ms", 0, "<= 5 ms")


class serving:  # noqa: N801 - used as a function
    """A kernel process of its own; gives a client once it is ready."""

    def __init__(self, home: Path, program: Path = ROOT, **environ: str) -> None:
        self.home = home
        self.program = program
        self.environ = os.environ | {"BATOS_TCP_PORT": "-1"} | environ

    async def __aenter__(self) -> KernelClient:
        command = [
            sys.executable,
            self.program / "batos.py",
            "serve",
            "--home",
            self.home,
            "--supervised",
        ]
        self.process = subprocess.Popen(  # noqa: ASYNC220 - it only starts it
            command, env=self.environ, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.client = KernelClient.at(self.home)
        while True:
            with contextlib.suppress(KernelUnreachableError):  # it is slow to start, then
                if (await self.client.request("health", timeout=120))["ready"]:
                    return self.client
            assert self.process.poll() is None, "the kernel has ended"
            await asyncio.sleep(0.1)

    async def __aexit__(self, *_: object) -> None:
        self.client.close()
        self.process.stdin.close()
        self.process.wait()


async def bounce(socket: zmq.asyncio.Socket) -> None:
    """Send 150 bytes and wait for them."""
    await socket.send(b"x" * 150)
    await socket.recv()


async def unused(_: Any) -> Any:
    """Stand for the kernel of a method that sends nothing."""


def timed(work: Callable[[], None]) -> float:
    """Return the seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


async def timed_await(work: Callable[[], Awaitable[Any]]) -> float:
    """Return the seconds until ``work`` is done."""
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


def ms(seconds: list[float]) -> float:
    """Return the median in milliseconds."""
    return statistics.median(seconds) * 1000


def row(what: str, value: str, ratio: float = 0, goal: str = "") -> None:
    """Print one row."""
    shown = f"{ratio:.2f} x" if ratio else ""
    print(f"{what:<44}{value:>12}{shown:>10}   {goal}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
