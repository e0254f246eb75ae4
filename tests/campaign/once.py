"""Acts with keys, while the kernel that does them dies: each is done once, and answered alike.

Sentences and verbs are sent with a key each, one after the other. The kernel is killed at each
place before and after the commit that holds an act with its answer, and at random; the next one is
asked again for what was under way, twice, and for what was answered before. What there is in the
image is counted at the end.
"""

import asyncio
import contextlib
import random
import signal
from collections import Counter

from bat_os.errors import KernelUnreachableError
from tests.campaign.crash import ANSWERS
from tests.campaign.scenario import Scenario
from tests.kernels import KernelProcess, write_script

POINTS = (ANSWERS, (*ANSWERS, "commit.before", "commit.voted", "commit.written", "commit.synced"))
TIMES = (1, 20)  # each point
KILLS = (1, 100)  # at random
LONGEST = 3.0  # seconds of service before one of these
CROSSINGS = 6
PATIENCE = 300.0
AGAIN = 5  # answers from before that are asked for again after each kill


def request(number):
    """Return the verb and the fields of an act: each kind in turn, and each time a new one."""
    name = f"person{number}"
    kinds = (
        ("say", {"body": {"text": f"remind me tomorrow at 9 to call {name}"}}),
        ("say", {"body": {"text": f"add {name} to my shopping list"}}),
        ("schedule", {"body": {"text": f"visit {name}", "when": "tomorrow at 10"}}),
        ("say", {"body": {"text": f"set a timer for {600 + number} minutes"}}),
        ("derive", {"target": "genesis_obj", "body": {"name": f"{name}_obj"}}),
    )
    return kinds[number % len(kinds)]


class Acts:
    """A home, what was asked there, and what was answered.

    Attributes:
        answered: The body of each answer, by the number of the act.
        asked: How many acts there are.
    """

    def __init__(self, folder, seed):
        folder.mkdir(parents=True, exist_ok=True)
        self.kernel = KernelProcess(folder / "home", write_script(folder / "script.jsonl", {}))
        self.chance = random.Random(seed)  # noqa: S311 - the same acts every time
        self.answered, self.asked = {}, 0

    async def die(self, failpoint="", after=0.0):
        """Send acts until the kernel dies, or is killed; return how it ended."""
        self.kernel.start(tcp_port=-1, failpoint=failpoint)
        try:
            await self.kernel.until_ready()
        except AssertionError:  # it died as it began, at a commit of its own
            assert failpoint, self.kernel.log()[-2000:]
            return self.kernel.wait()
        acting = asyncio.ensure_future(self._act())
        if not failpoint:
            await asyncio.sleep(after)  # the moment of the kill
            self.kernel.process.kill()
        ended = asyncio.ensure_future(asyncio.to_thread(self.kernel.process.wait, PATIENCE))
        await asyncio.wait((acting, ended), return_when=asyncio.FIRST_COMPLETED)
        if acting.done():  # the client sees the end first, or an act has failed
            with contextlib.suppress(KernelUnreachableError):
                acting.result()
        status = await ended
        acting.cancel()
        await asyncio.gather(acting, return_exceptions=True)
        self.kernel.process.stdin.close()
        return status

    async def _act(self):
        async with self.kernel.client() as client:
            while True:
                number = self.asked
                self.asked += 1
                self.answered[number] = await self._ask(client, number)

    async def _ask(self, client, number):
        verb, fields = request(number)
        return await client.request(verb, timeout=PATIENCE, ik=f"act {number}", **fields)

    async def go_on(self):
        """Ask the next kernel for what has no answer, and for some of what has."""
        self.kernel.start(tcp_port=-1)
        await self.kernel.until_ready()
        lost = [number for number in range(self.asked) if number not in self.answered]
        known = self.chance.sample(sorted(self.answered), min(AGAIN, len(self.answered)))
        async with self.kernel.client() as client:
            for number in lost:
                self.answered[number] = await self._ask(client, number)
            for number in (*lost, *known):
                again = await self._ask(client, number)
                assert again == self.answered[number], f"act {number} is answered in another way"
            await self._count(client)
        self.kernel.stop()

    async def _count(self, client):
        rows = (await client.request("schedules", timeout=PATIENCE))["schedules"]
        found = Counter("timer" if row["kind"] == "timer" else row["text"] for row in rows)
        items = await client.request("send", target="lists_obj", selector="show", args=["shopping"])
        found.update(items["result"] or ())
        page = {"limit": 2_000}
        found.update(each["name"] for each in (await client.request("list", body=page))["objects"])
        numbers = range(self.asked)
        texts = {0: "call person{}", 1: "person{}", 2: "visit person{}", 4: "person{}_obj"}
        wanted = [texts[n % 5].format(n) for n in numbers if n % 5 in texts]
        wrong = {text: found[text] for text in wanted if found[text] != 1}
        assert not wrong, f"lost or twice: {wrong}"
        timers = sum(number % 5 == 3 for number in numbers)
        assert found["timer"] == timers, f"{found['timer']} timers of {timers}"


async def at_every_point(settings):
    acts, kills = Acts(settings.folder, settings.seed), 0
    for name in POINTS[settings.full] * TIMES[settings.full]:
        crossing = acts.chance.randint(1, CROSSINGS)
        status = await acts.die(f"{name}:{crossing}:kill")
        assert status == -signal.SIGKILL, f"{name}: {status}: {acts.kernel.log()[-2000:]}"
        await acts.go_on()
        kills += 1
    return f"{kills} kills, {acts.asked} acts: 0 lost, 0 twice, 0 answered in another way"


async def at_random(settings):
    acts, kills = Acts(settings.folder, settings.seed), settings.kills or KILLS[settings.full]
    for _ in range(kills):
        await acts.die(after=LONGEST * acts.chance.random())
        await acts.go_on()
    return f"{kills} kills, {acts.asked} acts: 0 lost, 0 twice, 0 answered in another way"


TARGET = "0 lost, 0 twice, 0 answered in another way"
SCENARIOS = (
    Scenario("acts with keys, killed at each point", TARGET, at_every_point),
    Scenario("acts with keys, random SIGKILL", TARGET, at_random),
)
