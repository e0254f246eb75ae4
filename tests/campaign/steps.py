"""Requests that are answered step by step, while the kernel that takes the steps dies.

Each request reads two files, and adds a line to both: to one where the driver looks whether it is
there, and to one where nobody can look. An able model, which is scripted, decides on the steps;
each change waits for a yes. The kernel is killed right after each commit of the mission, and at
each step of an effect; the next one goes on.
"""

import asyncio
import signal

from bat_os.errors import RemoteError
from tests.campaign.crash import ACTING
from tests.campaign.effects import PATIENCE, WorldKernel, lines
from tests.campaign.scenario import Scenario
from tests.kernels import write_script

COMMITS = ((3, 6), tuple(range(1, 12)))  # of a mission in ACTING: short, full
POINTS = (
    ("effect.begun",),
    ("effect.staged", "effect.begun", "effect.done", "effect.stored", "commit.before",
     "commit.voted", "commit.written", "commit.synced", "validating", "complete",
     "effect.begun:2", "effect.done:2", "effect.stored:2"),  # of the one that nobody can look at
)  # fmt: skip
FILES = ("seen.txt", "blind.txt")
LOOK = 0.05
DECISIONS = 5  # of one request; what was decided is not decided again


class Errands:
    """A home whose requests take steps, and the folder that they are about."""

    def __init__(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        self.kernel = WorldKernel(folder / "home", write_script(folder / "script.jsonl", {}))
        self.kernel.steps = "yes"
        self.world = folder / "world"
        self.world.mkdir()
        for name in FILES:
            (self.world / name).touch()

    async def prepare(self):
        self.kernel.start()
        await self.kernel.until_ready()
        async with self.kernel.client() as client:
            body = {"what": str(self.world), "write": True, "name": "errands_obj"}
            await client.request("grant", body=body)
            await client.request("allow", body={"source": "errands_obj", "sink": "alfred_obj"})
        self.kernel.stop()

    async def die(self, tag, failpoint):
        """Ask, say yes to what it asks, until the kernel dies; then let the next one end it."""
        self.kernel.start(failpoint=f"{failpoint}:kill")
        await self.kernel.until_ready()
        asking = asyncio.ensure_future(self._bring_to_its_end(tag))
        ended = asyncio.ensure_future(asyncio.to_thread(self.kernel.process.wait, PATIENCE))
        await asyncio.wait((asking, ended), return_when=asyncio.FIRST_COMPLETED)
        if asking.done() and asking.exception() is None:
            self.kernel.process.kill()
            raise AssertionError(f"{failpoint}: it lived: {asking.result()}")
        status = await ended
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        self.kernel.process.stdin.close()
        assert status == -signal.SIGKILL, f"{failpoint}: {status}: {self.kernel.log()[-2000:]}"
        self.kernel.start()
        await self.kernel.until_ready()
        body = await self._bring_to_its_end(tag)
        self.kernel.stop()
        return body

    async def _bring_to_its_end(self, tag):
        where = " and ".join(str(self.world / name) for name in FILES)
        text = f"both {where} lack the word {tag}, see to it"
        async with self.kernel.client() as client:
            while True:
                try:
                    told = await client.request("brief.get", ik=tag)
                except RemoteError:  # it was not accepted yet
                    await client.request("say", timeout=PATIENCE, body={"text": text}, ik=tag)
                    continue
                answer = told["answer"]
                if answer is None:
                    await asyncio.sleep(LOOK)
                elif answer["body"].get("code") != "GRANT_WANTED":
                    return told | {"text": text}
                else:
                    await self._say_yes(client, told["brief_id"])

    async def _say_yes(self, client, brief_id):
        try:
            await client.request(
                "missions.leave", timeout=PATIENCE, body={"brief_id": brief_id, "way": "once"}
            )
        except RemoteError as error:  # it asks for the next yes
            if error.body["code"] != "GRANT_WANTED":
                raise


async def at_every_step(settings):
    errands, unknown = Errands(settings.folder), 0
    await errands.prepare()
    points = [f"{name}:{count}" for name in ACTING for count in COMMITS[settings.full]]
    points += POINTS[settings.full]
    for number, point in enumerate(points):
        tag = f"tag{number:02}"
        told = await errands.die(tag, point)
        assert told["state"] == "complete", f"{point}: {told}"
        seen = lines(errands.world / "seen.txt").count(tag)
        blind = lines(errands.world / "blind.txt").count(tag)
        assert seen == 1, f"{point}: {seen} times"
        assert blind <= 1, f"{point}: {blind} times, and it must not be repeated"
        assert told["model_calls"] == DECISIONS, f"{point}: {told['model_calls']} decisions"
        unknown += not blind
    return f"{len(points)} kills: 0 lost, 0 twice, {unknown} asked"


SCENARIOS = (Scenario("steps, killed at each one", "0 lost in silence, 0 twice", at_every_step),)
