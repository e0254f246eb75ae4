"""What a newcomer waits for: start, first missions, known answers, memory. Real model.

    python benchmarks/mission.py            about a minute; prints one table

"cpu s" is processor time of the kernel and its children, which hardly depends on what else the
machine does.

Floors of the same run: a raw pyzmq echo for the round trip of a known message, and
``python -c pass`` for the one-shot client.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any

import zmq

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.client.client import KernelClient  # noqa: E402 - runs from a checkout
from bat_os.errors import RemoteError  # noqa: E402 - as above
from benchmarks.processor import processor_seconds, resident_mb  # noqa: E402 - as above

SENTENCE = "create a method to report the current system time"
TIME = "report_current_system_time", "report the current system time", ()
FACTORIAL = "calculate_the_factorial", "calculate the factorial of a number", (5,)
ROUNDS = 300


def main() -> int:
    """Print the table."""
    with tempfile.TemporaryDirectory(prefix="batos-bench-") as folder:
        rows = asyncio.run(measure(Path(folder) / "home"))
    print(f"\n{'what':<52}{'value':>12}")
    for what, value in rows:
        print(f"{what:<52}{value:>12}")
    return 0


async def measure(home: Path) -> list[tuple[str, str]]:
    """Return (what, value) rows."""
    rows = []
    kernel = start(home)
    took = await until(home, "ready")
    spent = processor_seconds(kernel.pid)
    rows.append(("first awakening: models and codex into the image", f"{took:.1f} s"))
    rows.append(("  the same in processor time", f"{spent:.1f} cpu s"))
    stop(kernel)
    rows.append(("image after it, on disk", size(home)))

    kernel = start(home)
    took = await until(home, "pid")
    rows.append(("kernel up without model, process start to health", f"{took:.2f} s"))
    rows.append(("memory idle (RSS, without the cell)", f"{resident_mb(kernel.pid):.0f} MB"))
    await until(home, "ready")
    for name, wish in (("first mission of a kernel", TIME), ("the next mission", FACTORIAL)):
        rows += await mission(home, kernel, name, *wish)

    known = await round_trips(home)
    echo = await asyncio.to_thread(raw_echo)
    rows.append(("known message, warm client, p50", f"{median(known) * 1e3:.2f} ms"))
    rows.append(("known message, warm client, p99", f"{sorted(known)[-3] * 1e3:.2f} ms"))
    rows.append(("  raw pyzmq echo over IPC, p50", f"{median(echo) * 1e3:.2f} ms"))
    rows.append(("  ratio", f"{median(known) / median(echo):.0f} x"))
    chat = [sys.executable, str(ROOT / "chat_client.py"), "--home", str(home), SENTENCE]
    times = [timed(chat) for _ in range(10)]
    bare = [timed([sys.executable, "-c", "pass"]) for _ in range(10)]
    rows.append(("one-shot client, known sentence, p50", f"{median(times) * 1e3:.0f} ms"))
    rows.append(("  python -c pass, p50", f"{median(bare) * 1e3:.0f} ms"))

    kernel.kill()
    kernel.wait()
    started = time.perf_counter()
    kernel = start(home)
    await once(home, *TIME)
    took = time.perf_counter() - started
    rows.append(("kill -9 to the first known answer of the next", f"{took:.2f} s"))
    stop(kernel)
    return rows


async def mission(
    home: Path, kernel: subprocess.Popen[bytes], name: str, *wish: Any
) -> list[tuple[str, str]]:
    """Return rows on a mission that has to be learned."""
    spent = processor_seconds(kernel.pid)
    answer = await once(home, *wish)
    spent = processor_seconds(kernel.pid) - spent
    return [
        (f"{name}: {wish[1]}", f"{answer['seconds']:.1f} s"),
        ("  the same in processor time", f"{spent:.1f} cpu s"),
        ("  batches, tokens drawn", f"{answer['model_calls']}, {answer['tokens']}"),
        ("  memory after it (RSS)", f"{resident_mb(kernel.pid):.0f} MB"),
    ]


def start(home: Path) -> subprocess.Popen[bytes]:
    """Return a kernel process that serves ``home``."""
    command = [sys.executable, str(ROOT / "batos.py"), "serve", "--home", str(home)]
    return subprocess.Popen(
        [*command, "--supervised", "--tcp-port", "-1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )


def stop(kernel: subprocess.Popen[bytes]) -> None:
    """End a kernel as its watchdog would."""
    if kernel.stdin is not None:
        kernel.stdin.close()
    kernel.wait(60)


async def until(home: Path, key: str) -> float:
    """Return the seconds until ``health`` has ``key``."""
    started = time.perf_counter()
    while not (home / "run" / "endpoint.json").exists():  # noqa: ASYNC110 - as below
        await asyncio.sleep(0.05)
    async with KernelClient.at(home) as client:
        while not (await client.request("health", timeout=300)).get(key):  # noqa: ASYNC110 - a poll is meant
            await asyncio.sleep(0.05)
    return time.perf_counter() - started


async def once(home: Path, selector: str, text: str, args: tuple) -> dict:
    """Return the body of the answer to a message; ``model_calls`` and ``tokens`` of a refusal."""
    async with KernelClient.at(home) as client:
        try:
            return await client.request(
                "send",
                timeout=300,
                target="genesis_obj",
                selector=selector,
                args=args,
                body={"text": text},
                ik=os.urandom(8).hex(),
            )
        except RemoteError as error:
            return error.body


async def round_trips(home: Path) -> list[float]:
    """Return seconds per known message, one after the other, on one connection."""
    times = []
    async with KernelClient.at(home) as client:
        for _ in range(ROUNDS):
            started = time.perf_counter()
            await client.request(
                "send", target="genesis_obj", selector="report_current_system_time"
            )
            times.append(time.perf_counter() - started)
    return times


def raw_echo() -> list[float]:
    """Return seconds per round trip of a bare ROUTER echo in a thread."""
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        endpoint = f"ipc://{folder}/echo"
        server, client = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        server.bind(endpoint)
        client.connect(endpoint)

        def serve() -> None:
            for _ in range(ROUNDS):
                server.send_multipart(server.recv_multipart())

        thread = threading.Thread(target=serve)
        thread.start()
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            client.send(b"x" * 150)
            client.recv()
            times.append(time.perf_counter() - started)
        thread.join()
        server.close()
        client.close()
    return times


def timed(command: list[str]) -> float:
    """Return the seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def size(home: Path) -> str:
    """Return how much disk the image and its blobs take; a second name counts once."""
    files = {
        (facts.st_dev, facts.st_ino): facts.st_blocks * 512
        for path in home.rglob("live_image.fs*")
        for facts in map(os.lstat, [path, *path.rglob("*")])
    }
    return f"{sum(files.values()) / 1e6:.0f} MB"


if __name__ == "__main__":
    raise SystemExit(main())
