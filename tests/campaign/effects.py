"""Effects on files, while the kernel that does them dies: at every step of one, and at random.

Each message stages three, one of each kind, through an object of its own: a file that is written
(may be repeated), a line that is added (the driver looks whether it is there), and a line that is
added where nobody can look (must not be repeated). Lines in files are counted.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys

from bat_os.errors import KernelUnreachableError, RemoteError
from bat_os.image import outbox
from bat_os.image.store import ImageStore
from tests.campaign.crash import AWAITED, EFFECTS
from tests.campaign.scenario import Scenario
from tests.kernels import ROOT, KernelProcess, write_script

TIMES = (1, 5)  # each failpoint
MESSAGES = (12, 334)  # of three effects each
LONGEST = (1.0, 3.0)  # seconds of service before a kill
PATIENCE = 300.0
LOOK = 0.02
SHOP = '''def shop(self, tag):
    """Have three things done outside."""
    self.shopped = getattr(self, "shopped", 0) + 1
    self.seen.append("seen.txt", tag)
    self.blind.append("blind.txt", tag)
    self.pages.write(tag + ".txt", tag)
    return self.shopped
'''


BUY = '''def buy(self, tag):
    """Have one thing done outside, and count it."""
    self.blind.append("blind.txt", tag)
    self.bought = getattr(self, "bought", 0) + 1
    return self.bought
'''


class WorldKernel(KernelProcess):
    """The kernel of ``world_kernel``."""

    awaits = ""
    without = ""
    steps = ""

    @property
    def hold(self):
        """The folder of files that deeds wait for."""
        folder = self.home.parent / "hold"
        folder.mkdir(exist_ok=True)
        return folder

    def start(self, **settings):
        environ = {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(self.script)}
        environ |= {f"BATOS_{key.upper()}": str(value) for key, value in settings.items()}
        with (self.home.parent / "kernel.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.campaign.world_kernel", "serve", "--supervised",
                 "--home", self.home, "--tcp-port", "-1"],
                cwd=ROOT,
                env=os.environ | environ | {
                    "CAMPAIGN_AWAIT": self.awaits, "CAMPAIGN_HOLD": str(self.hold),
                    "CAMPAIGN_WITHOUT": self.without, "CAMPAIGN_STEPS": self.steps,
                },
                stdin=subprocess.PIPE, stdout=log, stderr=log,
            )  # fmt: skip
        return self


class Shop:
    """A home whose messages stage effects, and the folder of those.

    Attributes:
        tags: Of the messages that were answered.
    """

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.kernel = WorldKernel(folder / "home", write_script(folder / "script.jsonl", {}))
        self.world = folder / "world"
        self.world.mkdir()
        self.tags = []

    async def prepare(self):
        self.kernel.start()
        await self.kernel.until_ready()
        async with self.kernel.client() as client:
            for name in ("seen", "blind", "pages"):
                body = {"what": str(self.world), "write": True, "name": name}
                await client.request("grant", body=body)
            for source in (SHOP, BUY):
                await client.request("teach", target="genesis_obj", body={"source": source})
        self.kernel.stop()

    async def ask(self, client, tag):
        """Return whether the message was answered; asked again, it is the same one."""
        try:
            await client.request(
                "send", timeout=PATIENCE, target="genesis_obj", selector="shop", args=[tag], ik=tag
            )
        except KernelUnreachableError:
            return False
        self.tags.append(tag)
        return True

    async def settle(self, *tags):
        """Ask what is open, and wait until nothing is left that a kernel does by itself."""
        self.kernel.start()
        await self.kernel.until_ready()
        async with self.kernel.client() as client:
            for tag in tags:
                assert await self.ask(client, tag)
            while await self._is_busy(client):  # noqa: ASYNC110 - its, not ours
                await asyncio.sleep(LOOK)
        self.kernel.stop()

    async def _is_busy(self, client):
        listed = (await client.request("effects"))["effects"]
        return bool({"staged", "performing"} & {one["state"] for one in listed})

    def have_wait(self, name):
        """Have the deeds that come wait for a file; one of before may have said that it waits."""
        (self.kernel.hold / "waits").unlink(missing_ok=True)
        (self.kernel.hold / name).touch()

    async def until_held(self):
        """Wait until a deed waits."""
        while not (self.kernel.hold / "waits").exists():  # noqa: ASYNC110 - its, not ours
            await asyncio.sleep(LOOK)

    def release(self, name):
        """Let the deeds go on that wait for a file."""
        for each in (name, "waits"):
            (self.kernel.hold / each).unlink(missing_ok=True)

    async def check(self):
        """Return how many effects are not known; fail where one was lost, or done twice."""
        found = await look(self.kernel.home / "live_image.fs")
        assert len(found) == 3 * len(self.tags), f"{len(found)} effects of {len(self.tags)}"
        blind, seen = lines(self.world / "blind.txt"), lines(self.world / "seen.txt")
        assert sorted(seen) == sorted(self.tags), "a line that can be looked at: once each"
        unknown = {args[1] for args, state in found if state == "unknown"}
        for args, state in found:
            where, tag = args
            assert state in ("done", "unknown"), f"{args}: {state}"
            assert state == "done" or where == "blind.txt", f"{args}: {state}"
        for tag in self.tags:
            count = blind.count(tag)
            assert count <= 1, f"{tag}: {count} times, and it must not be repeated"
            assert count == 1 or tag in unknown, f"{tag}: lost in silence"
            assert (self.world / f"{tag}.txt").read_text() == tag
        left = [path.name for path in self.world.glob(".*")]
        assert not left, f"drafts are left: {left}"
        return len(unknown)


async def look(path):
    """Return arguments and state of all effects in an image."""
    image = ImageStore.open(path)
    try:
        return await image.transact(
            lambda root: [
                (each.args, each.state)
                for each in (*outbox.pending(root), *outbox.ended(root, 10_000))
            ],
            note="look",
        )
    finally:
        await image.close()


def lines(path):
    return path.read_text().split() if path.exists() else []


async def at_every_step(settings):
    shop, unknown, kills = Shop(settings.folder), 0, 0
    await shop.prepare()
    for turn in range(TIMES[settings.full]):
        for name in EFFECTS:
            crossing = 1 + turn % 2 if name == "effect.written" else 1
            shop.kernel.start(failpoint=f"{name}:{crossing}:kill")
            tag = f"t{turn}{name.partition('.')[2]}"
            await shop.kernel.until_ready()
            async with shop.kernel.client() as client:
                answered = await shop.ask(client, tag)
            status = await asyncio.to_thread(shop.kernel.process.wait, PATIENCE)
            shop.kernel.process.stdin.close()
            assert status == -signal.SIGKILL, f"{name}: {status}: {shop.kernel.log()[-2000:]}"
            kills += 1
            await shop.settle(*(() if answered else (tag,)))
            unknown = await shop.check()
    return f"{kills} kills at {len(EFFECTS)} points: 0 lost, 0 twice, {unknown} asked"


async def while_it_is_awaited(settings):
    """Killed at each step of an effect that its message waits for, and asked again by its key."""
    shop, asked = Shop(settings.folder), 0
    shop.kernel.awaits = "yes"
    await shop.prepare()
    for turn in range(TIMES[settings.full]):
        for name in AWAITED:
            shop.kernel.start(failpoint=f"{name}:kill")
            tag = f"t{turn}{name.partition('.')[2]}"
            await shop.kernel.until_ready()
            async with shop.kernel.client() as client:
                buying = asyncio.ensure_future(buy(client, tag))
                status = await asyncio.to_thread(shop.kernel.process.wait, PATIENCE)
                buying.cancel()
                await asyncio.gather(buying, return_exceptions=True)
            shop.kernel.process.stdin.close()
            assert status == -signal.SIGKILL, f"{name}: {status}: {shop.kernel.log()[-2000:]}"
            shop.kernel.start()
            await shop.kernel.until_ready()
            async with shop.kernel.client() as client:
                code = ""
                try:
                    await buy(client, tag)
                except RemoteError as error:
                    code = error.body["code"]
            shop.kernel.stop()
            wanted = "EFFECT_UNKNOWN" if name in ("await.begun", "await.done") else ""
            assert code == wanted, f"{name}: {code}"
            count = lines(shop.world / "blind.txt").count(tag)
            assert count == (name != "await.begun"), f"{name}: {count} times"
            asked += bool(code)
    return f"{len(AWAITED)} points x{turn + 1}: 0 lost, 0 twice, {asked} asked"


async def buy(client, tag):
    await client.request(
        "send", timeout=PATIENCE, target="genesis_obj", selector="buy", args=[tag], ik=tag
    )


async def at_random(settings):
    shop, kills = Shop(settings.folder), 0
    moments = random.Random(settings.seed)  # noqa: S311 - moments to kill at, no secrets
    await shop.prepare()
    waiting = [f"t{number}" for number in range(MESSAGES[settings.full])]
    while waiting:
        shop.kernel.start()
        await shop.kernel.until_ready()
        kernel = shop.kernel.process
        after = LONGEST[settings.full] * moments.random()
        asyncio.get_running_loop().call_later(after, kernel.send_signal, signal.SIGKILL)
        async with shop.kernel.client() as client:
            while waiting and await shop.ask(client, waiting[-1]):
                waiting.pop()
        await asyncio.to_thread(kernel.wait, PATIENCE)
        kernel.stdin.close()
        kills += 1
    await shop.settle()
    unknown = await shop.check()
    return f"{3 * len(shop.tags)} effects, {kills} kills: 0 lost, 0 twice, {unknown} asked"


TARGET = "0 lost in silence, 0 twice that must not"
SCENARIOS = (
    Scenario("effects, killed at each step", TARGET, at_every_step),
    Scenario("effects, killed while awaited", TARGET, while_it_is_awaited),
    Scenario("effects, random SIGKILL", TARGET, at_random),
)
