"""What HTTP costs beside the wire, and what the kernel notices of it.

    python -m benchmarks.gateway [--rounds 5] [--hostile 30]

A real kernel and a real gateway, each a process of its own. Rounds of the wire and of HTTP take
turns, so what else the machine does is in both: read the ratios, not the times. ``--hostile``
sends malformed, slow, smuggled and endless requests for so many seconds (0: not at all).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bat_os.client.tokens import TokenRing
from bat_os.supervisor.home import read_json
from tests.kernels import ANSWERS, ROOT, KernelProcess, write_script

if TYPE_CHECKING:
    from bat_os.client.client import KernelClient

KNOWN = {"target": "genesis_obj", "selector": "getSlot", "args": ["about"]}
BODY = json.dumps({"args": ["about"]}).encode()
EACH = 200  # messages of one round


class Gateway:
    """A gateway process, and a raw client of it."""

    def __init__(self, home: Path) -> None:
        """Start it for a home, without its limit on requests a second."""
        environ = os.environ | {"BATOS_HTTP_PORT": "0"}
        code = "import bat_os.gateway.guard as g; g.RATE = g.BURST = 1e9\n"
        code += f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        code += "from bat_os.cli.main import main; raise SystemExit(main())"
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "gateway", "--home", str(home)], env=environ
        )
        while not (url := read_json(home / "run" / "gateway.json").get("url")):
            time.sleep(0.02)
        self.port = int(url.rpartition(":")[2])
        self.token = TokenRing(home).make("bench", "own", 1)

    def megabytes(self) -> float:
        """Return what it takes in memory."""
        return psutil.Process(self.process.pid).memory_info().rss / 1e6

    def request(self, body: bytes = BODY, path: str = "/objects/genesis_obj/getSlot") -> bytes:
        """Return the bytes of a request."""
        head = (
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\n"
            f"authorization: Bearer {self.token}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body

    async def times(self, count: int) -> list[float]:
        """Return the seconds of each of ``count`` known messages."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        raw, taken = self.request(), []
        for _ in range(count):
            started = time.perf_counter()
            writer.write(raw)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            taken.append(time.perf_counter() - started)
        writer.close()
        return taken


async def wire(kernel: KernelClient, count: int) -> list[float]:
    """Return the seconds of each of ``count`` known messages over ZeroMQ."""
    taken = []
    for _ in range(count):
        started = time.perf_counter()
        await kernel.request("send", **KNOWN)
        taken.append(time.perf_counter() - started)
    return taken


def middle(taken: list[float]) -> float:
    """Return the median in microseconds."""
    return statistics.median(taken) * 1e6


async def compare(made: KernelProcess, rounds: int) -> None:
    """Print what a known message takes without a gateway, beside one, and through it."""
    async with made.client() as kernel:
        await wire(kernel, EACH)
        alone = [middle(await wire(kernel, EACH)) for _ in range(rounds)]
        gateway = Gateway(made.home)
        try:
            await gateway.times(20)
            print(f"memory of the gateway, without MCP    {gateway.megabytes():.0f} MB")
            beside, through, paused = [], [], []
            for _ in range(rounds):
                beside.append(middle(await wire(kernel, EACH)))
                through.append(middle(await gateway.times(EACH)))
                gateway.process.send_signal(signal.SIGSTOP)
                paused.append(middle(await wire(kernel, EACH)))
                gateway.process.send_signal(signal.SIGCONT)
            idle, http = statistics.median(beside), statistics.median(through)
            ratio = statistics.median(b / p for b, p in zip(beside, paused, strict=True))
            print(f"ZeroMQ, known message, p50            {idle:.0f} us (alone {min(alone):.0f})")
            print(f"  gateway idle / stopped              {ratio:.2f}x")
            times = statistics.median(h / b for h, b in zip(through, beside, strict=True))
            print(f"HTTP, known message, p50              {http:.0f} us, {times:.2f}x")
            await serve_four(kernel, gateway, idle)
            await announce(gateway)
            await attack(kernel, gateway, OPTIONS.hostile)
        finally:
            gateway.process.terminate()
            gateway.process.wait()


async def serve_four(kernel: KernelClient, gateway: Gateway, idle: float) -> None:
    """Print what the wire takes while four clients send by HTTP."""
    clients = [asyncio.create_task(gateway.times(1_000)) for _ in range(4)]
    await asyncio.sleep(0.2)
    busy = middle(await wire(kernel, EACH))
    for client in clients:
        client.cancel()
    await asyncio.gather(*clients, return_exceptions=True)
    print(f"  while 4 clients send by HTTP        {busy:.0f} us, {busy / idle:.2f}x")


async def announce(gateway: Gateway) -> None:
    """Print how long after a method was taught a listener hears of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    head = gateway.request(b"", "/events").decode().replace("POST", "GET", 1)
    writer.write(head.encode())
    await reader.readuntil(b": open")
    await asyncio.sleep(1.0)  # the subscription stands
    taken = []
    for number in range(5):
        source = f"def bench_{number}(self):\n    return {number}\n"
        body = {"target": "genesis_obj", "body": {"source": source}}
        sender, out = await asyncio.open_connection("127.0.0.1", gateway.port)
        started = time.perf_counter()
        out.write(gateway.request(json.dumps(body).encode(), "/verbs/teach"))
        await reader.readuntil(f'"bench_{number}"'.encode())
        taken.append(time.perf_counter() - started)
        await sender.readuntil(b"\r\n\r\n")
        out.close()
    writer.close()
    print(f"a taught method is announced after    {max(taken) * 1000:.0f} ms, with the teaching")


async def attack(kernel: KernelClient, gateway: Gateway, seconds: float) -> None:
    """Print what the wire and the gateway notice of an attack, and fail if anything came in."""
    if not seconds:
        return
    before, memory = middle(await wire(kernel, EACH)), gateway.megabytes()
    draw = random.Random(7)  # noqa: S311 - no secret
    end, answers = time.monotonic() + seconds, dict[bytes, int]()
    await asyncio.gather(*(one_attacker(gateway, end, draw, answers) for _ in range(16)),
                         watch(kernel, end, before))  # fmt: skip
    await asyncio.sleep(12.0)
    came_in = sum(count for status, count in answers.items() if status.startswith(b"2"))
    total = sum(answers.values())
    print(f"  {total} refused requests, {came_in} came in; "
          f"memory {gateway.megabytes() - memory:+.1f} MB")  # fmt: skip
    assert came_in == 0, answers


async def watch(kernel: KernelClient, end: float, before: float) -> None:
    """Print what the wire takes meanwhile."""
    taken: list[float] = []
    while time.monotonic() < end:
        taken += await wire(kernel, 20)
        await asyncio.sleep(0.05)
    during = middle(taken)
    print(f"hostile HTTP: ZeroMQ p50              {during:.0f} us, {during / before:.2f}x")


async def one_attacker(
    gateway: Gateway, end: float, draw: random.Random, answers: dict[bytes, int]
) -> None:
    """Send hostile requests, each on a connection of its own, and count the answers."""
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        except OSError:
            continue
        try:
            async with asyncio.timeout(2.0):
                for part in pieces(gateway, draw):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(draw.choice((0, 0, 0.05)))
                status = (await reader.readline()).split(b" ")[1:2]
            for each in status:
                answers[each] = answers.get(each, 0) + 1
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()


def pieces(gateway: Gateway, draw: random.Random) -> list[bytes]:
    """Return the parts of one hostile request."""
    me = f"127.0.0.1:{gateway.port}".encode()
    good = gateway.request().replace(gateway.token.encode(), b"bat_" + b"x" * 32)
    changed = bytearray(good)
    for _ in range(draw.randrange(1, 20)):
        changed[draw.randrange(len(changed))] = draw.randrange(256)
    smuggled = b"POST /message HTTP/1.1\r\nhost: %s\r\ncontent-length: 4\r\n" % me
    smuggled += b"transfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /objects HTTP/1.1\r\n\r\n"
    endless = good.replace(b"content-length: 19", b"content-length: 999999")
    kinds = (
        [draw.randbytes(draw.randrange(1, 5000))],
        [bytes(changed)],
        [bytes([byte]) for byte in good[: draw.randrange(30, 120)]],  # a byte at a time
        [b"GET / HTTP/1.1\r\n", *(b"x-%d: %s\r\n" % (n, b"y" * 900) for n in range(40))],
        [smuggled],
        [endless, b"z" * 200_000],
        [good.replace(me, b"evil.example")],
        [good * 20],
    )
    return draw.choice(kinds)


def import_seconds() -> float:
    """Return what the imports of the gateway take."""
    code = (
        "import time; t = time.perf_counter(); import bat_os.gateway.running as r; "
        "r.import_server(); import bat_os.gateway.connection; print(time.perf_counter() - t)"
    )
    run = [sys.executable, "-c", code]
    return min(float(subprocess.run(run, capture_output=True, check=True).stdout) for _ in range(5))


async def main() -> int:
    """Run the benchmark; return an exit status."""
    print(f"import of the gateway, without MCP    {import_seconds():.2f} s")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = KernelProcess(folder / "home", write_script(folder / "script.jsonl", ANSWERS))
        made.start()
        try:
            await made.until_ready()
            await compare(made, OPTIONS.rounds)
        finally:
            made.stop()
    return 0


if __name__ == "__main__":
    PARSER = argparse.ArgumentParser(description=__doc__)
    PARSER.add_argument("--rounds", type=int, default=5)
    PARSER.add_argument("--hostile", type=float, default=30.0)
    OPTIONS = PARSER.parse_args()
    sys.exit(asyncio.run(main()))
