"""A home that clients send briefs to while its kernel dies, again and again.

Each brief has a key of its own. Most count (``self.n += 1``, and a tag that must be found once),
some have to be learned. Whoever got no answer asks again with the same key, as the protocol
says; what clients were told goes into ``Told``, for the checker.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys

from bat_os.client.client import KernelClient
from bat_os.errors import KernelUnreachableError, RemoteError
from tests.campaign.checker import Told, find_faults, look
from tests.kernels import ROOT, KernelProcess

COUNT = '''def count(self, tag):
    """Count, and remember what was counted."""
    self.n = getattr(self, "n", 0) + 1
    self.seen = getattr(self, "seen", []) + [tag]
    self._p_changed = True
    return self.n
'''
CLIENTS = 3
LEARN_EVERY = 7
AGAIN = ("BUSY", "SHUTTING_DOWN", "STORAGE_FULL", "STORAGE_ERROR")
PATIENCE = 300.0  # of a test: the machine may be busy
LOOK = 0.005
_PREPARED = []  # the bytes of an image, once one is made


class HurtKernel(KernelProcess):
    """As ``KernelProcess``, but the kernel is that of ``hurt_kernel`` where ``hurt`` is set."""

    hurt = ""

    def start(self, **settings):
        if not self.hurt:
            return super().start(tcp_port=-1, **settings)
        environ = {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(self.script)}
        environ |= {f"BATOS_{key.upper()}": str(value) for key, value in settings.items()}
        command = [sys.executable, "-m", "tests.campaign.hurt_kernel", "serve", "--supervised"]
        between = {"CAMPAIGN_BETWEEN": "commit.before:kill"} if "between" in settings else {}
        with (self.home.parent / "kernel.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--home", self.home, "--tcp-port", "-1"],
                cwd=ROOT, env=os.environ | environ | between | {"CAMPAIGN_HURT": self.hurt},
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        return self


class Site:
    """One home, its kernel and its clients.

    Attributes:
        told: What the clients know.
        refused: Key -> code of the error that its brief ended with.
        learn_every: One in so many briefs has to be learned; 0: none.
        fail_every: One in so many fails; 0: none.
    """

    def __init__(self, folder, seed, hurt=""):
        folder.mkdir(parents=True, exist_ok=True)
        script = folder / "script.jsonl"
        rules = {"def skill_": " return 7", "def fail_": " return no_such_name_here"}
        lines = [{"contains": part, "text": text} for part, text in rules.items()]
        script.write_text("".join(json.dumps(line) + "\n" for line in lines))
        self.kernel = HurtKernel(folder / "home", script)
        self.kernel.hurt = hurt
        self.told = Told()
        self.refused = {}
        self.learn_every = LEARN_EVERY
        self.fail_every = 0
        self.random = random.Random(seed)  # noqa: S311 - moments to kill at, no secrets
        self._open = {}
        self._again = []
        self._count = 0
        self._answered = asyncio.Event()

    @property
    def image(self):
        return self.kernel.home / "live_image.fs"

    async def prepare(self):
        """Make an image that can count; later homes begin with the first one's."""
        if _PREPARED:
            self.kernel.home.mkdir(mode=0o700)
            self.image.write_bytes(_PREPARED[0])
            return
        self.kernel.start()
        await self.kernel.until_ready()
        async with self.kernel.client() as client:
            await client.request("teach", target="genesis_obj", body={"source": COUNT})
        self.kernel.stop()
        _PREPARED.append(self.image.read_bytes())

    async def die(self, after=None, *, working=False, how=signal.SIGKILL, **settings):
        """Start a kernel under load and return the status with which it died.

        Args:
            after: Kill it so many seconds after it opened its door; None: it dies by itself.
            working: Count the seconds from its first answer instead.
            how: The signal that it gets.
            settings: Of the kernel.
        """
        self.kernel.start(**settings)
        self._answered.clear()
        async with self._clients():
            if after is not None:
                await (self._answered.wait() if working else self._announced())
                await asyncio.sleep(after)  # that moment is what is tried
                self.kernel.process.send_signal(how)
            try:
                status = await asyncio.to_thread(self.kernel.process.wait, PATIENCE)
            finally:
                self.kernel.process.kill()
                self.kernel.process.stdin.close()
        return status

    async def settle(self):
        """Start a kernel in peace and ask until every brief has its answer; then stop it."""
        self.kernel.start()
        await self.kernel.until_ready()
        async with self.kernel.client() as client:
            for key in list(self._open):
                assert await self._ask(client, key), key
            while (await client.request("health"))["queued"]:  # noqa: ASYNC110 - its, not ours
                await asyncio.sleep(LOOK)
        self.kernel.stop()

    def faults(self, *, ended=False):
        """Return what the checker finds in the image as it lies on the disk."""
        return find_faults(look(self.image), self.told, ended=ended)

    def check(self, *, ended=False):
        found = self.faults(ended=ended)
        assert not found, f"{len(found)} faults: " + "; ".join(found[:5])

    @contextlib.asynccontextmanager
    async def _clients(self):
        self._again = list(self._open)
        tasks = [asyncio.create_task(self._work()) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if not isinstance(error, asyncio.CancelledError):
                raise error

    async def _announced(self):
        alive = self.kernel.process.poll
        while not self.kernel.is_announced() and alive() is None:  # noqa: ASYNC110 - a file
            await asyncio.sleep(LOOK)

    async def _work(self):
        """Ask one thing after another, until cancelled."""
        await self._announced()
        async with KernelClient.at(self.kernel.home, lambda: False) as client:
            while True:
                key = self._again.pop() if self._again else self._think()
                if not await self._ask(client, key):
                    await asyncio.sleep(LOOK)  # it is dead, or going down
                    self._again.append(key)

    def _think(self):
        self._count += 1
        key = f"k{self._count}"
        if self.fail_every and self._count % self.fail_every == 0:
            self._open[key] = (f"fail_{self._count}", [])
        elif self.learn_every and self._count % self.learn_every == 0:
            self._open[key] = (f"skill_{self._count}", [])
        else:
            self._open[key] = ("count", [f"t{self._count}"])
        return key

    async def _ask(self, client, key):
        """Return whether the brief has ended; what is heard goes into ``told``."""
        selector, args = self._open[key]

        def heard(kind, body):
            if kind == "accepted":
                self.told.accepted[key] = body["brief_id"]

        try:
            body = await client.request(
                "send", timeout=PATIENCE, on_event=heard,
                target="genesis_obj", selector=selector, args=args, ik=key,
            )  # fmt: skip
        except KernelUnreachableError:
            return False
        except RemoteError as error:
            if error.body["code"] in AGAIN:
                return False
            self.refused[key] = error.body["code"]
        else:
            before = self.told.results.setdefault(key, body["result"])
            assert before == body["result"], f"{key}: {before!r}, then {body['result']!r}"
        del self._open[key]
        self._answered.set()
        return True
