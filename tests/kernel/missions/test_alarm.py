"""bat_os.kernel.missions.alarm: a real kernel rings when its clock says so, and once."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from bat_os.app.library import load_library
from bat_os.core.brief import Brief
from bat_os.image import schedules
from bat_os.image.schedules import Schedule
from bat_os.kernel.missions import alarm as alarms
from tests.kernels import ThinkingKernel

START = 1_795_420_800.0
DAY = 86_400.0


class Hands:
    """A clock that a test moves."""

    def __init__(self):
        self.at, self.gone = START - 10, 0.0

    def now(self):
        return self.at

    def steady(self):
        return self.gone

    def move(self, seconds, *, jumps=False):
        self.at += seconds
        if not jumps:
            self.gone += seconds


class Ringing(ThinkingKernel):
    """A kernel with such a clock, and a desktop that notes what it was shown."""

    def __init__(self, home):
        super().__init__(home)
        self.hands, self.shown, self.rang = Hands(), [], asyncio.Event()

    async def serve(self, parts):
        def notify(title, text):
            self.shown.append((title, text))
            loop.call_soon_threadsafe(self.rang.set)
            return True

        loop = asyncio.get_running_loop()

        self.mind = replace(self.mind, notify=notify)
        self.gate.set()
        self._clock, alarms.Clock = alarms.Clock, lambda: self.hands
        try:
            return await super().serve(parts)
        finally:
            alarms.Clock = self._clock

    async def look(self):
        """Have the alarm look at the clock, and wait until nothing is left to do."""
        self.kernel.alarm.wake()
        home = self.mind.home_id

        def is_busy(root):
            left = schedules.unsettled(root, home)
            return bool(left or schedules.due_numbers(root, home, self.hands.at))

        for _ in range(3000):
            await asyncio.sleep(0.01)
            if not await self.do(is_busy) and not self.kernel.alarm._woken.is_set():
                return
        raise AssertionError("it never came to rest")

    async def until_shown(self, count):
        """Wait until the desktop has shown so many texts, and return them."""
        while len(self.shown) < count:
            self.rang.clear()
            await self.rang.wait()
        return [text for _, text in self.shown]

    async def do(self, work):
        return await self.mind.image.transact(work, note="test")

    async def add(self, kind="remind", text="call Ann", rule=None, **more):
        about = {"home": self.mind.home_id, **more}
        one = Schedule(kind, text, rule or {"at": START}, "UTC", START, **about)
        return (await self.do(lambda root: schedules.add(root, one))).number

    async def due(self):
        return await self.do(lambda root: schedules.waiting(root, ""))


@asynccontextmanager
async def ringing(folder):
    async with Ringing(folder / "home") as kernel:
        yield kernel


async def test_a_reminder_rings_when_it_is_due_and_once(tmp_path):
    async with ringing(tmp_path) as kernel:
        await kernel.add()
        await kernel.look()
        assert await kernel.due() == []
        kernel.hands.move(11)
        await kernel.look()
        await kernel.look()
        assert [each["text"] for each in await kernel.due()] == ["call Ann"]
        assert await kernel.until_shown(1) == ["call Ann"]
        told = [line["text"] for line in kernel.journal if line["event_type"] == "DUE"]
        assert told == ["call Ann"]


async def test_a_clock_that_jumps_on_and_back_rings_once_each(tmp_path):
    async with ringing(tmp_path) as kernel:
        await kernel.add(rule={"cron": "0 8 * * *"})
        kernel.hands.move(11)
        await kernel.look()
        kernel.hands.move(400 * DAY, jumps=True)
        await kernel.look()
        kernel.hands.move(-400 * DAY, jumps=True)
        await kernel.look()
        nearest = await kernel.do(lambda root: schedules.nearest(root, kernel.mind.home_id))
        assert nearest == START + DAY
        kernel.hands.move(DAY)
        await kernel.look()
        moments = [each["moment"] for each in await kernel.due()]
        assert moments == [START, START + DAY, START + 400 * DAY]


async def test_a_sentence_is_answered_and_its_answer_told(tmp_path):
    async with ringing(tmp_path) as kernel:
        await load_library(kernel.mind)
        await kernel.add("say", "what is 17% of 340?")
        kernel.hands.move(11)
        await kernel.look()
        (told,) = await kernel.due()
        assert told["answer"].startswith("57.8")
        (line,) = await kernel.until_shown(1)
        assert line.startswith("what is 17% of 340?: 57.8")


async def test_a_message_runs_as_a_mission_and_its_answer_is_told(tmp_path):
    async with ringing(tmp_path) as kernel:
        brief = Brief("genesis_obj", "remember", ("milk",)).to_plain()
        await kernel.add("send", "remember", {"cron": "0 8 * * *"}, brief=brief)
        kernel.hands.move(11)
        await kernel.look()
        kernel.hands.move(DAY)
        await kernel.look()
        assert [each["answer"] for each in await kernel.due()] == ["milk", "milk, milk"]


async def test_a_message_that_fails_is_told_too(tmp_path):
    async with ringing(tmp_path) as kernel:
        brief = Brief("genesis_obj", "never_works", (1,)).to_plain()
        await kernel.add("send", "never works", brief=brief)
        kernel.hands.move(11)
        await kernel.look()
        (told,) = await kernel.due()
        assert told["failed"]
        assert told["answer"] == ""


async def test_a_thousand_schedules_cost_one_look_a_minute(tmp_path):
    async with ringing(tmp_path) as kernel:

        def fill(root):
            for at in range(1000):
                rule = {"cron": f"{at % 60} {(8 + at // 60) % 24} * * *"}
                one = Schedule("remind", f"thing {at}", rule, "UTC", START + 60 * at, home=home)
                schedules.add(root, one)

        home = kernel.mind.home_id
        await kernel.do(fill)
        pauses, ring, rung = [], kernel.kernel.alarm._ring, asyncio.Semaphore(0)

        async def counted():
            pauses.append(await ring())
            rung.release()
            return pauses[-1]

        kernel.kernel.alarm._ring = counted
        kernel.hands.move(-990)
        await kernel.look()
        await rung.acquire()  # it may be at it still
        assert pauses == [alarms.LONGEST]
        kernel.hands.move(993)
        await kernel.look()
        await rung.acquire()
        assert pauses[1:] == [7.0]


async def test_missions_of_schedules_that_were_taken_are_settled_by_the_next_kernel(tmp_path):
    async with ringing(tmp_path) as kernel:
        brief = Brief("genesis_obj", "remember", ("milk",)).to_plain()
        number = await kernel.add("send", "remember", brief=brief)
        # The alarm's own clock stands before that moment: it takes nothing.
        taken = await kernel.do(
            lambda root: schedules.take(root, number, START, kernel.mind.home_id, f"{1:024x}")
        )
        assert taken.mission is not None
    async with ringing(tmp_path) as kernel:
        kernel.hands.at = START + 2
        await kernel.look()
        assert [each["answer"] for each in await kernel.due()] == ["milk"]
        async with kernel.client() as client:
            listed = await client.request("missions")
        assert [each["state"] for each in listed["missions"]] == ["complete"]


@pytest.mark.parametrize("caller", ["", "a guest"])
async def test_what_is_due_is_shown_to_its_caller_alone(tmp_path, caller):
    async with ringing(tmp_path) as kernel:
        await kernel.add(caller=caller)
        kernel.hands.move(11)
        await kernel.look()
        async with kernel.client() as client:
            found = (await client.request("due"))["due"]
        assert len(found) == (0 if caller else 1)
        await kernel.until_shown(len(found))
        assert len(kernel.shown) == len(found)
