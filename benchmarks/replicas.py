"""One model on four servers, of which one is slow: by cost, with a second try, and in turns.

    python -m benchmarks.replicas [--seconds N]

Real servers on this machine that speak the protocol and draw nothing: each has four places and a
queue, an answer takes 50 to 200 ms, and at the fourth five times as long. 55 calls a second come by
chance, the same ones for each policy. A call that is refused as BUSY comes again when it may, and
counts from its first try.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from contextlib import AsyncExitStack
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from bat_os.engines import served
from bat_os.engines.replicas import ReplicaSet
from bat_os.errors import BusyError
from bat_os.ports import Prompt, Sampling

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACES = 4
PACES = (1.0, 1.0, 1.0, 5.0)
RATE = 55.0
AIM = 0.1
MODELS = {"data": [{"id": "toy"}]}
SAID = {"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]}


class Server:
    """A model server: places, a queue before them, and a pace."""

    def __init__(self, pace: float) -> None:
        self._pace, self._places, self._random = pace, asyncio.Semaphore(PLACES), random.Random(1)  # noqa: S311 - a load
        self.drawn = 0

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            sizes = [
                line for line in head.lower().splitlines() if line.startswith("content-length")
            ]
            if sizes:
                await reader.readexactly(int(sizes[0].split(":")[1]))
            kind, body = "application/json", json.dumps(MODELS)
            if head.startswith("POST"):
                kind, body = "text/event-stream", f"data: {json.dumps(SAID)}\n\ndata: [DONE]\n\n"
                async with self._places:
                    self.drawn += 1
                    await asyncio.sleep(self._pace * self._random.uniform(0.05, 0.2))
            status = "404 Not Found" if head.startswith("GET /health") else "200 OK"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                f"Connection: close\r\n\r\n{body}".encode()
            )
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()


class Turns(ReplicaSet[Any]):
    """Asks one after the other, however they do."""

    _turn = 0

    def _choose(self, failed: Iterable[Any]) -> Any:
        present = super()._choose(failed) and [one for one in self._all if not one.why]
        self._turn += 1
        return present[self._turn % len(present)] if present else None


async def ask(engine: served.ServedEngine, took: list[float]) -> None:
    """Ask once, again while all are busy, and note the seconds."""
    began = time.perf_counter()
    while True:
        try:
            await engine.generate([Prompt((("user", "hi"),))], Sampling(max_tokens=4))
            break
        except BusyError as busy:
            await asyncio.sleep(busy.retry_after_ms / 1000)
    took.append(time.perf_counter() - began)


async def measure(kind: type[ReplicaSet[Any]], hedge: bool, seconds: float) -> dict[str, Any]:
    """Return what the calls took under one policy, seconds."""
    served.ReplicaSet, calls, took = kind, [], list[float]()  # type: ignore[misc]  # for turns
    chance = random.Random(3)  # noqa: S311 - a load
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(Server(pace)) for pace in PACES]
        urls = [server.url for server in servers]
        engine = served.ServedEngine("toy", urls, places=PLACES, hedge=hedge)
        await engine.load()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            calls.append(asyncio.create_task(ask(engine, took)))
            await asyncio.sleep(chance.expovariate(RATE))
        await asyncio.gather(*calls)
        hedged = engine.stats()["hedged"] / len(calls)
        await engine.close()
    cuts = quantiles(took, n=100)
    drawn = [server.drawn for server in servers]
    return {"p50": cuts[49], "p99": cuts[98], "hedged": hedged, "drawn": drawn}


async def main(seconds: float) -> None:
    """Print the table."""
    print(f"{'policy':<24}{'p50':>10}{'p99':>10}{'of turns':>10}{'hedged':>9}  drawn by each")
    turns = 0.0
    for name, kind, hedge in (
        ("in turns", Turns, False), ("by cost", ReplicaSet, False),
        ("by cost, with hedging", ReplicaSet, True),
    ):  # fmt: skip
        got = await measure(kind, hedge, seconds)
        turns = turns or got["p99"]
        print(
            f"{name:<24}{1000 * got['p50']:>7.0f} ms{1000 * got['p99']:>7.0f} ms"
            f"{got['p99'] / turns:>10.3f}{got['hedged']:>8.1%}  {got['drawn']}",
            flush=True,
        )
    print(f"aim: the last p99 at most {AIM} of that in turns")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each policy")
    asyncio.run(main(parser.parse_args().seconds))
