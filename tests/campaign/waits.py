"""What can pass is waited for: a full disk, a failing one, a held image, killed watchdogs in a row.

A real watchdog watches a real kernel. While the condition lasts, the watchdog is there and its
status names it; when it has gone, the kernel serves again by itself, and every key has one answer.
And only a brief that kernels die of is given up, not one that runs while somebody kills them.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil
from zc.lockfile import LockError, LockFile

from bat_os.client.client import KernelClient
from bat_os.errors import BatError, KernelUnreachableError, RemoteError
from bat_os.supervisor.home import Home, read_json
from bat_os.supervisor.program import Program, point_to
from bat_os.supervisor.restart import EXIT_RESTART
from tests.campaign.load import AGAIN, Site
from tests.campaign.odd_kernel import GRACE
from tests.campaign.probes import odd_tree
from tests.campaign.scenario import CampaignFailure, Scenario, Settings
from tests.kernels import ROOT

HOLD = (6.0, 90.0)  # seconds of each condition
DEATHS = 4  # of a kernel, while one brief runs; five would end the watchdog
HOLD_LOCK = (5.0, 15.0)
BACK_SECONDS = 5.0
PATIENCE = 240.0
LOOK = 0.05
SHIM = ROOT / "tests" / "campaign" / "bad_disk.c"


class Watched:
    """A home with a watchdog, on a disk that fails while ``bad`` says so."""

    def __init__(self, settings, **environ):
        self.site = Site(settings.folder, settings.seed)
        self.home = Home(self.site.kernel.home)
        self.disk = settings.folder / "disk"
        self.disk.mkdir()
        self.asked = 0
        self.process = None
        self._environ = os.environ | {
            "BATOS_ENGINE": "scripted",
            "BATOS_SCRIPT": str(self.site.kernel.script),
            "BATOS_TCP_PORT": "-1",
            "CAMPAIGN_DISK": str(self.disk),
            "CAMPAIGN_UNDER": str(self.home.path),
        } | environ  # fmt: skip

    def start(self):
        """Start a watchdog."""
        with (self.home.path.parent / "watchdog.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-u", ROOT / "min_watchdog_service.py", "run",
                 "--home", self.home.path],
                env=self._environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self

    def kill(self):
        """Kill the watchdog."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Stop it in order; what hangs is killed."""
        if (kernel := self.status().get("pid")) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(kernel, signal.SIGCONT)
        self.process.terminate()
        try:
            assert self.process.wait(60) == 0, self.log()
        finally:
            self.process.kill()

    async def restart(self):
        """Have another kernel."""
        last = self.status()["pid"]
        async with KernelClient.at(self.home.path) as client:
            await client.request("shutdown", body={"restart": True})
        await self.until(lambda status: status["state"] == "running" and status["pid"] != last)

    def works(self, status, last):
        """Return True once another kernel than ``last`` serves, and a mission runs in it."""
        running = read_json(self.home.path / "run" / "missions.json").get("ran")
        return status["state"] == "running" and status["pid"] != last and running

    def status(self):
        return read_json(self.home.status)

    def log(self):
        logs = (self.home.path.parent / "watchdog.log", self.home.kernel_log)
        return "\n".join(path.read_text()[-3000:] for path in logs if path.exists())

    async def until(self, so):
        """Wait for a status that is ``so``; return it."""
        give_up = time.monotonic() + PATIENCE
        while not so(status := self.status()):
            if time.monotonic() > give_up or self.process.poll() is not None:
                raise CampaignFailure(f"{status}\n{self.log()}")
            await asyncio.sleep(LOOK)
        return status

    @contextlib.contextmanager
    def bad(self, how):
        """Let the disk fail meanwhile."""
        (self.disk / how).touch()
        try:
            yield
        finally:
            (self.disk / how).unlink()

    async def count(self, key=""):
        """Count once, by a new key or a known one; raise what the kernel answers."""
        if not key:
            self.asked += 1
            key = f"w{self.asked}"
        async with KernelClient.at(self.home.path) as client:
            body = await client.request(
                "send", timeout=PATIENCE, target="genesis_obj", selector="count", args=[key], ik=key
            )
        self.site.told.results[key] = body["result"]
        return key

    async def refuse(self):
        """Ask once while nothing can be stored; return the key, and the code."""
        self.asked += 1
        key = f"w{self.asked}"
        return key, await _code_of(self.count(key))

    async def pack(self):
        """Return the code that a pack ends with."""
        async with KernelClient.at(self.home.path) as client:
            return await _code_of(client.request("pack", timeout=PATIENCE, body={"days": 0}))

    async def come_back(self, *keys):
        """Ask for ``keys`` until all are answered; return the seconds that took."""
        started = time.monotonic()
        for key in keys:
            while True:
                try:
                    await self.count(key)
                except RemoteError as error:
                    if error.body["code"] not in AGAIN:
                        raise
                    await asyncio.sleep(LOOK)
                else:
                    break
        return time.monotonic() - started

    async def last(self, seconds, words):
        """See for so many seconds that the watchdog stays, and that its status says why."""
        await self.until(lambda status: any(word in str(status.get("reason")) for word in words))
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            assert self.process.poll() is None, self.log()
            assert self.status().get("state") != "failed", self.status()
            await asyncio.sleep(1)


async def _code_of(asking):
    """Return the code that what is asked for ends with; "" if it is done."""
    try:
        await asyncio.wait_for(asking, 20)
    except RemoteError as error:
        return error.body["code"]
    except (BatError, TimeoutError):
        return "UNREACHABLE"
    return ""


@contextlib.asynccontextmanager
async def watched(settings, **environ):
    one = Watched(settings, **environ)
    await one.site.prepare()
    one.home.prepare()
    if GRACE in environ:
        point_to(one.home, Program(odd_tree(one.home.versions / "odd"), sys.executable, "odd"))
    one.start()
    try:
        await one.until(lambda status: status.get("state") == "running")
        await one.count()
        yield one
    finally:
        one.stop()
    one.site.check(ended=True)


def build(folder):
    """Return the library that makes a disk fail; None where nothing compiles it."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    made = folder / "bad_disk.so"
    command = [compiler, "-shared", "-fPIC", "-o", made, SHIM, "-ldl"]
    return made if subprocess.run(command, check=False).returncode == 0 else None


async def wait_for_disk(settings, how, begin, words, **environ):
    """The disk goes bad as ``how``; the watchdog waits, and the kernel serves again after it.

    Args:
        settings: Of the scenario.
        how: The name of its condition in ``bad_disk.c``.
        begin: Lets a kernel suffer from it; returns the keys that have no answer yet.
        words: One of them is in the reason that the status gives meanwhile.
        environ: More of the environment of watchdog and kernel.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    if (library := build(settings.folder)) is None:
        return f"not tried: no C compiler was found to build a disk that goes bad ({how})"
    async with watched(settings, LD_PRELOAD=str(library), **environ) as one:
        with one.bad(how):
            keys = await begin(one)
            await one.last(HOLD[settings.full], words)
        took = await one.come_back(*keys)
    return _back(settings, took, f"{how} for {HOLD[settings.full]:.0f} s")


async def full_at_start(settings):
    """The kernel is killed while the disk is full; no other can begin until there is room."""

    async def begin(one):
        key, code = await one.refuse()
        assert code == "STORAGE_FULL", code
        os.kill(one.status()["pid"], signal.SIGKILL)
        return [key]

    return await wait_for_disk(settings, "full", begin, ("space", "full"))


async def fsync_fails(settings):
    """Every fsync fails for a while: the file is lost, and no kernel serves until it works."""

    async def begin(one):
        return [(await one.refuse())[0]]

    return await wait_for_disk(settings, "fsync", begin, ("Input/output",))


async def pack_when_full(settings):
    """A pack finds no room, then none for the new name: the file is lost, and opened anew."""

    async def begin(one):
        first = one.status()["pid"]
        with one.bad("full"):
            key, code = await one.refuse()
            packed = await one.pack()
            assert (code, packed) == ("STORAGE_FULL", "STORAGE_FULL"), (code, packed)
            await one.until(lambda status: "nothing can be stored" in str(status.get("reason")))
        await one.come_back(key)
        assert one.status()["pid"] == first, "a pack that found no room has cost the kernel"
        packed = await one.pack()
        assert packed in ("STORAGE_FULL", "SHUTTING_DOWN", "UNREACHABLE"), packed
        await one.until(lambda status: status.get("last_exit") == EXIT_RESTART)
        assert "the image file has failed" in one.log()
        return [key, (await one.refuse())[0]]

    return await wait_for_disk(settings, "switch", begin, ("space", "full"))


async def fsync_hangs(settings):
    """An fsync never returns: a kernel with a thread in it ends all the same, and is replaced."""
    patience = {} if settings.full else {GRACE: "3"}

    async def begin(one):
        asking = asyncio.create_task(one.refuse())
        await one.until(lambda status: "a commit does not end" in str(status.get("reason")))
        await one.until(lambda status: status.get("last_exit") == EXIT_RESTART)
        assert "the shutdown hangs" in one.log()
        return [(await asking)[0]]

    return await wait_for_disk(settings, "hang", begin, ("does not answer",), **patience)


async def held_lock(settings):
    """Another process holds the image when the next kernel starts."""
    async with watched(settings) as one:
        lock = await _take(one)
        try:
            await one.last(HOLD_LOCK[settings.full], ("holds the image",))
        finally:
            lock.close()
        took = await one.come_back("w1", "w2")
    return _back(settings, took, f"held for {HOLD_LOCK[settings.full]:.0f} s")


async def _take(one):
    os.kill(one.status()["pid"], signal.SIGKILL)
    while True:
        try:
            return LockFile(f"{one.site.image}.lock")
        except LockError:
            await asyncio.sleep(0)


async def killed_watchdogs(settings):
    """The kernel is stopped, and so its watchdogs wait for it; two of them are killed meanwhile."""
    async with watched(settings) as one:
        orphan = psutil.Process(one.status()["pid"])
        orphan.suspend()
        for _ in range(2 + settings.full):
            one.kill()
            first = one.start().process.pid
            named = await one.until(lambda status, pid=first: status.get("watchdog_pid") == pid)
            assert named["pid"] == orphan.pid, named
        await one.until(
            lambda status: status.get("state") == "running" and status["pid"] != orphan.pid
        )
        # It has ended, even if init has not collected its exit status yet.
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
        await one.come_back("w1", "w2")
    return f"{2 + settings.full} watchdogs killed; the next ended the orphan and served"


async def blame(settings):
    """One brief runs at each of some deaths: only those that it can have caused count."""
    said = []
    for how, end in ((signal.SIGKILL, ""), (signal.SIGSEGV, "CANCELLED")):
        folder = settings.folder / how.name
        code, words = await _die_often(Settings(settings.full, settings.seed, folder), how)
        said.append(f"{DEATHS} deaths by {how.name}: {code or 'answered'}")
        assert (code, "3 kernel crashes" in words) == (end, bool(end)), (said, words)
    return "; ".join(said)


async def _die_often(settings, how):
    """Let kernels die so while one brief runs in them; return the code and words of its end."""
    async with watched(settings) as one:
        slow = " import time\n    time.sleep(1)\n    return 7"
        with one.site.kernel.script.open("a") as script:
            script.write(json.dumps({"contains": "def slow_one(", "text": slow}) + "\n")
        await one.restart()
        asking, last = asyncio.create_task(_ask_on(one.home.path)), None
        for _ in range(DEATHS):
            status = await one.until(lambda status, last=last: one.works(status, last))
            last = status["pid"]
            os.kill(last, how)
        return await asking


async def _ask_on(home):
    """Ask for what is slow, again by its key while no kernel answers."""
    while True:
        try:
            async with KernelClient.at(home) as client:
                await client.request(
                    "send", timeout=PATIENCE, target="genesis_obj", selector="slow_one", args=[],
                    ik="slow",
                )  # fmt: skip
        except KernelUnreachableError:
            await asyncio.sleep(LOOK)
        except RemoteError as error:
            return error.body["code"], str(error)
        else:
            return "", ""


def _back(settings, took, how):
    assert took <= BACK_SECONDS or not settings.full, f"back after {took:.1f} s"
    return f"{how}: the watchdog waited and said why; served {took:.1f} s after it had gone"


SCENARIOS = (
    Scenario("full disk at start", "waits, back ≤ 5 s", full_at_start),
    Scenario("fsync fails for a while", "waits, back ≤ 5 s, keys resolved", fsync_fails),
    Scenario("pack on a full disk", "says so, 75, waits, back ≤ 5 s", pack_when_full),
    Scenario("fsync never returns", "75, waits, back ≤ 5 s, keys resolved", fsync_hangs),
    Scenario("held image", "waits, back ≤ 5 s", held_lock),
    Scenario("killed watchdogs in a row", "the next one serves", killed_watchdogs),
    Scenario("deaths while a brief runs", "only its own count", blame),
)
