"""Kill kernels of a cluster, and its server, under load; count what is lost or done twice.

    python -m tests.campaign.cluster --kills 1000            three kernels on ZEO
    python -m tests.campaign.cluster --engine postgres       with BATOS_TEST_POSTGRES
    python -m tests.campaign.cluster --server-kills 50       the ZEO server instead of kernels

One kernel is killed at a time, or two at once. Each brief has a key, which its method keeps in its
object. Clients know all kernels, and go on at the next one with the key. In the end a reader that
is no kernel counts each key in the image, and looks for briefs that were accepted and that nobody
ends.
"""

import argparse
import asyncio
import contextlib
import json
import random
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bat_os.client.client import KernelClient, Places, find_kernel
from bat_os.errors import KernelUnreachableError, RemoteError
from bat_os.image import missions
from bat_os.image.store import ImageStore
from tests.kernels import KernelProcess, write_script
from tests.storages import storage_of, where_of

SOURCE = '''def note(self, tag):
    """Keep the tag."""
    self.tags = (getattr(self, "tags", None) or []) + [tag]
    return len(self.tags)
'''
PATIENCE = 300
OBJECTS = 24
CLIENTS = 6


@dataclass
class Row:
    """What a client saw of one brief."""

    asked: float
    accepted: float = 0.0
    at: int = -1  # which kernel has accepted it
    answered: float = 0.0
    fault: str = ""


@dataclass
class Run:
    """Kernels on one image, and what their clients saw."""

    folder: Path
    engine: object
    kernels: list = field(default_factory=list)
    rows: dict = field(default_factory=dict)
    kills: list = field(default_factory=list)  # (when, which kernel)
    over: bool = False

    def start(self, number):
        home = self.folder / f"home{number}" / "data"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        script = write_script(self.folder / "script.jsonl", {})
        one = KernelProcess(home, script)
        one.start(tcp_port=-1, image=self.engine.uri(60), cluster=where_of(self.engine), idle="off")
        return one

    async def prepare(self, count):
        self.kernels = [self.start(0)]
        await self.kernels[0].until_ready()
        async with self.kernels[0].client() as kernel:
            ask = partial(kernel.request, timeout=PATIENCE)
            for number in range(OBJECTS):
                await ask("send", target="genesis_obj", selector="clone", args=[f"c{number}"])
                await ask("teach", target=f"c{number}", selector="note", body={"source": SOURCE})
        self.kernels += [self.start(number) for number in range(1, count)]
        for one in self.kernels:
            await one.until_ready()

    async def client(self, number):
        rng, count = random.Random(number), 0  # noqa: S311
        finds = [partial(find_kernel, one.home) for one in self.kernels]
        first = number % len(finds)
        places = Places(finds[first:] + finds[:first])
        async with KernelClient("", places=places) as client:
            while not self.over:
                count += 1
                key = f"{number}-{count}"
                row = self.rows[key] = Row(time.monotonic())

                def hear(kind, _body, row=row):
                    if kind == "accepted" and not row.accepted:
                        row.accepted = time.monotonic()
                        row.at = (first + places.at) % len(finds)

                target = f"c{rng.randrange(OBJECTS)}"
                while not row.answered:
                    try:
                        await client.request(
                            "brief", target=target, selector="note", args=[key], ik=key,
                            timeout=PATIENCE, on_event=hear,
                        )  # fmt: skip
                        row.answered = time.monotonic()
                    except KernelUnreachableError as error:
                        row.fault = str(error)
                    except RemoteError as error:
                        row.fault = f"{error.body.get('code')} {error}"
                        if not error.body.get("retryable"):
                            break
                    if not row.answered:
                        await asyncio.sleep(0.1)

    async def kill_kernels(self, count):
        while count > 0:
            await asyncio.sleep(random.uniform(0.5, 2.0))  # noqa: S311
            doomed = random.sample(range(len(self.kernels)), min(random.choice((1, 2)), count))  # noqa: S311
            for number in doomed:
                self.kernels[number].kill()
                self.kills.append((time.monotonic(), number))
            for number in doomed:
                self.kernels[number] = self.start(number)
            for number in doomed:
                await self.kernels[number].until_ready()
            count -= len(doomed)

    async def kill_server(self, count):
        for _ in range(count):
            await asyncio.sleep(random.uniform(1.0, 4.0))  # noqa: S311
            with self.engine.away():
                pass
            self.kills.append((time.monotonic(), -1))
            before = sum(bool(row.answered) for row in self.rows.values())
            while (  # noqa: ASYNC110 - what it counts is noted by several
                sum(bool(row.answered) for row in self.rows.values()) < before + CLIENTS
            ):
                await asyncio.sleep(0.1)

    async def judge(self):
        image = await asyncio.to_thread(ImageStore.open, self.engine.uri(60))

        def look(root):
            objects = [root["objects"][f"c{number}"] for number in range(OBJECTS)]
            tags = [tag for obj in objects for tag in obj.slots.get("tags") or []]
            return tags, missions.unfinished(root)

        tags, left = await image.transact(look, note="look")
        await image.close()
        counts = {tag: tags.count(tag) for tag in set(tags)}
        done = [row for row in self.rows.values() if row.answered]
        held = []  # how long those waited that a kernel had when it was killed
        for when, number in self.kills:
            mine = [row for row in done if row.at in (number, -1) or number < 0]
            held += [r.answered - when for r in mine if 0 < r.accepted < when < r.answered]
        held.sort()
        return {
            "kills": len(self.kills),
            "briefs": len(self.rows),
            "answered": len(done),
            "lost": [k for k, row in self.rows.items() if row.answered and not counts.get(k)],
            "twice": [key for key, count in counts.items() if count > 1],
            "unfinished": left,
            "not_answered": {k: r.fault for k, r in self.rows.items() if not r.answered},
            "went_on": len(held),
            "went_on_p50_s": round(held[len(held) // 2], 2) if held else None,
            "went_on_p95_s": round(held[int(len(held) * 0.95)], 2) if held else None,
            "went_on_most_s": round(held[-1], 2) if held else None,
            "went_on_s": [round(each, 2) for each in held],
        }


async def campaign(folder, engine, *, kernels=3, kills=0, server_kills=0):
    """Return what came of so many kills."""
    run = Run(folder, engine)
    try:
        await run.prepare(kernels)
        clients = [asyncio.create_task(run.client(number)) for number in range(CLIENTS)]
        await run.kill_kernels(kills)
        await run.kill_server(server_kills)
        run.over = True
        await asyncio.gather(*clients)
        return await run.judge()
    finally:
        for one in run.kernels:
            with contextlib.suppress(AssertionError):
                one.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--engine", choices=["zeo", "postgres"], default="zeo")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--server-kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1, help="of when and whom it kills")
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as name, storage_of(options.engine) as engine:
        found = asyncio.run(
            campaign(Path(name), engine, kills=options.kills, server_kills=options.server_kills)
        )
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
