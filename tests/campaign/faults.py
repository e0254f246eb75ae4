"""A disk that fails: the Nth call, an fsync under a serving kernel, no room."""

import asyncio
import errno
import json
import resource
import signal
import subprocess
import sys
import time

from bat_os.errors import RemoteError
from bat_os.supervisor.restart import EXIT_RESTART
from tests.campaign.load import Site
from tests.campaign.scenario import Scenario
from tests.kernels import ROOT

CALLS = (
    ("write", errno.ENOSPC),
    ("write", errno.EIO),
    ("fsync", errno.EIO),
    ("fsync", errno.ENOSPC),
    ("open", errno.EIO),
    ("open", errno.EMFILE),
)
SHORT_CALLS = 3
STEP = (4, 1)
FSYNCS = (range(2, 3), range(1, 9))  # which one fails, under a serving kernel
ROOM = 3_000  # bytes that the image may still grow by
BACK_SECONDS = 1.0


async def nth_call(settings):
    calls = CALLS if settings.full else CALLS[:SHORT_CALLS]
    tried, codes = 0, set()
    for number, (kind, error) in enumerate(calls):
        step = STEP[settings.full]
        told = await asyncio.to_thread(
            _run_worker, kind, error, 1 + settings.seed % step, step, settings.folder / f"{number}"
        )
        assert not told["faults"], f"{len(told['faults'])}: {'; '.join(told['faults'][:3])}"
        tried += told["tried"]
        codes |= set(told["codes"])
    return f"{tried} failing writes, fsyncs, opens: no lost ack; {', '.join(sorted(codes))} only"


def _run_worker(kind, error, first, step, folder):
    words = [kind, error, first, step, folder]
    done = subprocess.run(
        [sys.executable, "-m", "tests.campaign.bad_disk", *map(str, words)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=580,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


async def failing_fsync(settings):
    """A serving kernel whose fsync fails ends with 75; the next one knows how it went."""
    tried = 0
    for number in FSYNCS[settings.full]:
        site = Site(settings.folder / f"{number}", settings.seed, hurt=f"fsync:{number}")
        await site.prepare()
        status = await site.die(0, working=True, how=signal.SIGUSR1)
        assert status == EXIT_RESTART, f"status {status}: {site.kernel.log()[-3000:]}"
        log = site.kernel.log()
        ours = ("ERROR bat_os", "ERROR asyncio", "unhandled")  # ZODB says what it sees
        assert not any(part in log for part in ours), log[-2000:]
        site.check()
        await site.settle()
        site.check(ended=True)
        tried += 1
    return f"{tried} kernels ended with {EXIT_RESTART}, every key was resolved by the next"


async def disk_full(settings):
    """The image cannot grow: reads are served, writes refused by name, and all is well after."""
    site = Site(settings.folder, settings.seed)
    await site.prepare()
    kernel = site.kernel.start()
    await kernel.until_ready()
    rounds, slowest = (5 if settings.full else 1), 0.0
    async with kernel.client() as client:
        for number in range(rounds):
            limit = site.image.stat().st_size + ROOM
            resource.prlimit(kernel.process.pid, resource.RLIMIT_FSIZE, (limit, -1))
            refused = await _fill(client, site, number)
            for _ in range(3):  # what was refused changes nothing of this
                assert await _send(client, "respondsTo", "count") is True
                assert await _send(client, "n") == len(site.told.results)
            resource.prlimit(kernel.process.pid, resource.RLIMIT_FSIZE, (-1, -1))
            started = time.monotonic()
            body = await client.request(
                "send", timeout=60, target="genesis_obj", selector="count", args=[refused],
                ik=refused,
            )  # fmt: skip
            slowest = max(slowest, time.monotonic() - started)
            site.told.results[refused] = body["result"]
    assert kernel.process.poll() is None, kernel.log()[-2000:]
    kernel.stop()
    site.check(ended=True)
    assert slowest <= BACK_SECONDS or not settings.full, f"{slowest:.2f} s"
    return f"{rounds} times full: reads served; writes again {slowest:.2f} s after there was room"


async def _fill(client, site, number):
    """Count until the disk is full; return the key that was refused."""
    for count in range(1000):
        key = f"full {number} {count}"
        try:
            body = await client.request(
                "send", timeout=60, target="genesis_obj", selector="count", args=[key], ik=key
            )
        except RemoteError as error:
            if error.body["code"] != "STORAGE_FULL":
                raise
            return key
        site.told.results[key] = body["result"]
    raise AssertionError("the disk was never full")


async def _send(client, selector, *args):
    body = await client.request(
        "send", timeout=60, target="genesis_obj", selector=selector, args=list(args)
    )
    return body["result"]


SCENARIOS = (
    Scenario("fail the Nth write, fsync, open", "no lost ack, clean code", nth_call),
    Scenario("fsync fails under load", "exit 75, the key resolves it", failing_fsync),
    Scenario("disk full", "serves reads, recovers ≤ 1 s", disk_full),
)
