"""What a newcomer waits for: start, first mission, known answers, memory. Real model.

    python benchmarks/mission.py            about two minutes; prints one table

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

import psutil
import zmq

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.client.client import KernelClient  # noqa: E402 - runs from a checkout

SENTENCE = "create a method to report the current system time"
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
    rows.append(("first awakening: models and codex into the image", f"{took:.1f} s"))
    stop(kernel)

    kernel = start(home)
    took = await until(home, "pid")
    rows.append(("kernel up without model, process start to health", f"{took:.2f} s"))
    rows.append(("memory idle (RSS, without the cell)", memory(kernel)))
    await until(home, "ready")
    first = await once(home)
    rows.append(("first mission, with loading the model", f"{first['seconds']:.1f} s"))
    rows.append(
        ("  of it: batches the model ran, tokens", f"{first['model_calls']}, {first['tokens']}")
    )
    rows.append(("memory with model and embedder (RSS)", memory(kernel)))

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
    await once(home)
    took = time.perf_counter() - started
    rows.append(("kill -9 to the first known answer of the next", f"{took:.2f} s"))
    stop(kernel)
    return rows


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
    async with KernelClient.at(home) as client:
        while not (await client.request("health", timeout=300)).get(key):  # noqa: ASYNC110 - a poll is meant
            await asyncio.sleep(0.05)
    return time.perf_counter() - started


async def once(home: Path) -> dict:
    """Return the body of the answer to the time message."""
    async with KernelClient.at(home) as client:
        return await client.request(
            "send",
            timeout=300,
            target="genesis_obj",
            selector="report_current_system_time",
            body={"text": "report the current system time"},
            ik=os.urandom(8).hex(),
        )


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


def memory(kernel: subprocess.Popen[bytes]) -> str:
    """Return the resident memory of a kernel process."""
    return f"{psutil.Process(kernel.pid).memory_info().rss / 1e6:.0f} MB"


if __name__ == "__main__":
    raise SystemExit(main())
