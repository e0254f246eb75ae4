"""The heartbeat: what an idle mind does, in which order, and that it only proposes."""

import asyncio

import pytest

from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.errors import CellError, NotFoundError, NotUnderstoodError
from bat_os.image import proposals
from bat_os.image.history.beside import record_of
from bat_os.image.history.faults import faults_of
from bat_os.image.history.uses import USES, flush
from bat_os.image.objects import Method
from bat_os.kernel.idle.heartbeat import BUDGET, LOOK_SECONDS, NOTED, REST, Heartbeat, Surroundings
from bat_os.kernel.idle.telling import describe
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs import VERBS
from bat_os.kernel.verbs.idle import install
from tests.kernel.minds import make_mind, open_mission

pytestmark = pytest.mark.asyncio(loop_scope="module")
FLAT = ({"args": [[[1], [2]]], "kwargs": {}, "result": [1, 2]},)
GOOD = " return [y for x in items for y in x]"
OTHER = " return items[0] + items[1]"


class Clock:
    """Surroundings that a test moves: nobody is there, nothing is busy, each step takes 10 s."""

    def __init__(self):
        self.time, self.used, self.step = 1_000_000.0, 0.0, 10.0
        self.slept, self.quiet, self.why = [], True, ""

    def around(self):
        return Surroundings(
            is_quiet=lambda seconds: self.quiet, now=lambda: self.time,
            clock=self.tick, sleep=self.sleep, spent=self.use, busy=lambda: self.why,
        )  # fmt: skip

    def tick(self):
        self.time += self.step / 2
        return self.time

    def use(self):
        self.used += self.step / 2
        return self.used

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class Script:
    """What the model writes, by the words of the wish; it can change."""

    def __init__(self):
        self.bodies = {}
        self.asked = []
        self.default = " return undefined_name"

    def __call__(self, prompt, sampling, index):
        if sampling.schema is not None:
            return '{"queries": ["x"]}'
        asked = prompt.messages[-1][1] + prompt.prefill
        self.asked.append(asked)
        found = next((bodies for word, bodies in self.bodies.items() if word in asked), None)
        return self.default if found is None else found[index % len(found)]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def model():
    return Script()


@pytest.fixture
async def mind(image, cell, model):
    return make_mind(image, cell, model)


@pytest.fixture
def heart(mind, clock):
    made = mind.orchestrator.heartbeat = Heartbeat(mind, install)
    made.around = clock.around()
    return made


@pytest.fixture
def fail(mind):
    """Return a function that has a mission fail and returns its id."""

    async def run(selector="flatten", *args, examples=FLAT, **fields):
        given = args or ([[1], [2]],)
        mission = await open_mission(mind.image, selector, *given, examples=examples, **fields)
        answer = await CognitiveCycle(mind, lambda *_: None).run(mission)
        assert answer["type"] == "error", answer
        return mission

    return run


async def ask(mind, verb, target="", selector="", **body):
    request = check(Request(verb, target=target, selector=selector, body=body))
    return await VERBS[verb](mind, request, lambda told: None)


async def beat_all(heart, most=60):
    """Beat until nothing is left; return how many beats worked."""
    for count in range(most):
        if not await heart.beat():
            return count
    raise AssertionError("it does not come to an end")


async def graph(image):
    """Return all that objects hold, with every version of every method."""

    def work(root):
        return {
            name: {
                key: (value.current, [v.sha256 for v in value.versions], dict(value.approvals))
                if isinstance(value, Method)
                else repr(value)
                for key, value in obj.slots.items()
            }
            for name, obj in root["objects"].items()
        }

    return await image.transact(work, note="look")


async def test_a_wish_that_failed_is_practised_and_one_behaviour_becomes_a_question(
    mind, heart, fail, model
):
    await fail()
    model.bodies = {"flatten": [GOOD]}
    before = await graph(mind.image)
    assert await beat_all(heart) == 8 + 1  # 64 drafts, and the weekly look
    assert await graph(mind.image) == before
    (row,) = (await ask(mind, "proposals"))["proposals"]
    assert row["kind"] == "practice"
    assert row["what"].endswith("is flatten([[2], [1]]) to be [2, 1]?")
    assert row["command"] == "batos accept 1"
    assert row["evidence"]["drafts"] == 64

    done = await ask(mind, "accept", n=1)
    assert done["result"]["status"] == "verified"
    told = await take_turn(mind.image, mind.cell, Brief("genesis_obj", "flatten", ([[4], [5]],)))
    assert told.value == [4, 5]
    assert (await ask(mind, "proposals"))["proposals"] == []


async def test_drafts_end_where_two_behaviours_fit_and_what_tells_them_apart_is_asked(
    mind, heart, fail, model
):
    await fail()
    model.bodies = {"flatten": [GOOD, OTHER]}
    await beat_all(heart)
    (row,) = (await ask(mind, "proposals"))["proposals"]
    assert row["evidence"]["drafts"] == 8
    assert " or " in row["what"]
    assert len(row["choices"]) == 2


async def test_without_an_example_sixteen_drafts_are_enough(mind, heart, fail, model):
    await fail("shrink", 7, examples=())
    model.asked.clear()
    model.bodies = {"shrink": [" return number - 1", " return number // 2"]}
    await beat_all(heart)
    assert len(model.asked) == 16
    (row,) = (await ask(mind, "proposals"))["proposals"]
    assert row["what"].startswith('"Shrink" failed before and has drafts that run: is shrink(')


async def test_without_an_example_nobody_is_asked_about_a_draft_that_would_have_no_vote(
    mind, heart, fail, model
):
    await fail("fuel_lasts", 3, examples=(), text="Tell whether the fuel lasts for some hours.")
    model.bodies = {"fuel_lasts": [" return hours * 7", " return hours < 2", " return 77"]}
    await beat_all(heart)
    (row,) = (await ask(mind, "proposals"))["proposals"]
    assert "is fuel_lasts(4) to be False?" in row["what"]


async def test_a_proposal_is_gone_when_its_reason_has_gone(mind, heart, fail, model):
    await fail()
    model.bodies = {"flatten": [GOOD]}
    await beat_all(heart)
    source = "def flatten(self, value):\n    return sum(value, [])\n"
    await ask(mind, "teach", target="genesis_obj", source=source)
    assert (await ask(mind, "proposals"))["proposals"] == []
    with pytest.raises(NotFoundError):
        await ask(mind, "accept", n=1)


async def test_what_is_dismissed_does_not_come_again_and_a_kind_goes_quiet(
    mind, heart, fail, model
):
    for name in ("flatten", "unfold", "unpack_all"):
        await fail(name)
    model.default = GOOD
    await beat_all(heart)
    rows = (await ask(mind, "proposals"))["proposals"]
    assert len(rows) == 3
    quiet = [(await ask(mind, "dismiss", n=row["n"]))["quiet"] for row in rows]
    assert quiet == [False, False, True]
    await fail("spread_out", examples=({**FLAT[0], "result": "never"},))
    await mind.image.transact(lambda root: root["idle"].pop("done"), note="forget it was done")
    await beat_all(heart)
    assert (await ask(mind, "proposals"))["proposals"] == []


async def test_with_install_only_two_examples_with_different_answers_are_enough(
    image, cell, model, clock
):
    mind = make_mind(image, cell, model, idle="install")
    heart = Heartbeat(mind, install)
    heart.around = clock.around()
    one = {**FLAT[0], "result": "1-2!"}  # the search for programs finds nothing that fits
    two = one, {"args": [[[3]]], "kwargs": {}, "result": "3!"}
    for name, examples in (("flatten", two), ("unfold", (one,))):
        mission = await open_mission(image, name, [[1], [2]], examples=examples)
        answer = await CognitiveCycle(mind, lambda *_: None).run(mission)
        assert answer["type"] == "error", answer
    model.default = ' return "-".join(str(y) for x in items for y in x) + "!"'
    await beat_all(heart)
    found = await graph(image)
    assert "flatten" in found["genesis_obj"]
    assert "unfold" not in found["genesis_obj"]
    told = (await ask(mind, "since"))["text"]
    assert "I learned flatten, which had failed: it gives all of your examples; " in told
    assert "`batos unlearn genesis_obj flatten` takes it back." in told
    assert told.endswith("Nothing else was changed.")
    assert (await ask(mind, "since"))["text"] == ""


async def test_nothing_is_done_while_somebody_is_there_or_the_machine_is_busy(
    mind, heart, fail, clock, model
):
    await fail()
    model.asked.clear()
    for quiet, why in ((False, ""), (True, "the machine is hot")):
        clock.quiet, clock.why = quiet, why
        assert await heart.beat() == 0
        assert heart.resting
    assert model.asked == []


async def test_the_budget_of_a_day_ends_the_work_and_the_next_day_has_its_own(
    mind, heart, fail, clock
):
    await fail()
    clock.step = BUDGET
    assert await heart.beat()
    assert await heart.beat()
    assert await heart.beat() == 0
    assert heart.resting == "the budget of today is used up"
    clock.time += 86_400
    assert await heart.beat()


async def test_it_rests_three_times_as_long_as_it_worked(heart, fail, clock):
    await fail()
    task = asyncio.create_task(heart.keep())
    while LOOK_SECONDS not in clock.slept:  # noqa: ASYNC110 - what ends it has no event
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    worked = [slept for slept in clock.slept if slept != LOOK_SECONDS]
    assert worked
    assert all(slept >= REST * clock.step / 2 for slept in worked)


async def test_off_is_off(image, cell, model, clock):
    heart = Heartbeat(make_mind(image, cell, model, idle="off"), install)
    heart.around = clock.around()
    await heart.keep()
    assert heart.resting == "the setting idle is off"


async def test_a_message_breaks_a_draw_off_and_it_is_done_again_later(
    image, cell, model, clock, fail
):
    gate = asyncio.Event()
    gate.set()
    mind = make_mind(image, cell, model, gate=gate)
    await fail()
    heart = Heartbeat(mind, install)
    heart.around = clock.around()
    model.bodies = {"flatten": [GOOD]}
    gate.clear()
    beat = asyncio.create_task(heart.beat())
    while not mind.roster.stats()["waiting"] and not heart._open:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    clock.quiet = False
    await beat
    assert heart._open is not None
    assert await mind.image.transact(proposals.standing, note="look") == []
    clock.quiet = True
    gate.set()
    await beat_all(heart)
    assert len(await mind.image.transact(proposals.standing, note="look")) == 1


async def test_a_provisional_method_that_new_drafts_contradict_is_doubted(mind, heart, model):
    model.bodies = {"halve": [" return number - 5"]}
    mission = await open_mission(mind.image, "halve", 10)
    answer = await CognitiveCycle(mind, lambda *_: None).run(mission)
    assert answer["body"]["status"] == "provisional", answer
    model.bodies = {"halve": [" return number / 2"]}
    before = await graph(mind.image)
    await beat_all(heart)
    assert await graph(mind.image) == before
    (row,) = (await ask(mind, "proposals"))["proposals"]
    assert row["kind"] == "doubt"
    assert row["what"] == "I doubt genesis_obj.halve: is halve(11) 6 or 5.5?"
    assert row["evidence"]["doubt"] == 1.0
    assert row["why"] == "0 of 32 new drafts agree with it"
    assert (await ask(mind, "why", "genesis_obj", "halve"))["grade"] == {
        "grade": "none", "why": "provisional and hardly used",
    }  # fmt: skip
    await ask(mind, "accept", n=row["n"], choice=2)
    told = await take_turn(mind.image, mind.cell, Brief("genesis_obj", "halve", (30,)))
    assert told.value == 15


async def test_a_provisional_method_that_new_drafts_agree_with_is_left_alone(mind, heart, model):
    model.bodies = {"halve": [" return number / 2"]}
    mission = await open_mission(mind.image, "halve", 10)
    await CognitiveCycle(mind, lambda *_: None).run(mission)
    await beat_all(heart)
    assert (await ask(mind, "proposals"))["proposals"] == []


async def learn(mind, selector, *args, known=""):
    """Have a mission learn a method; with ``known``, as one adapted from that function."""
    mission = await open_mission(mind.image, selector, *args, text=WISHES.get(selector, ""))
    answer = await CognitiveCycle(mind, lambda *_: None).run(mission)
    assert answer["body"]["status"] == "provisional", answer

    def adapt(root):
        method = root["objects"]["genesis_obj"].slots[selector]
        method.versions[0].provenance["adapted_from"] = known
        method.versions[0]._p_changed = True

    await mind.image.transact(adapt, note="adapt")


WISHES = {
    "count_long": "Count the words of a text that have over four letters.",
    "twice": "Double the number 21.",
    "warm": "Give the average of the highest and the lowest temperature.",
    "mild": "Give the average of a list of temperatures.",
}
MEAN, MIDDLE = " return sum(numbers) / len(numbers)", " return max(numbers) / 2 + min(numbers) / 2"
HALVE, LESS = " return number / 2", " return number - 5"
DOUBTS = {
    "half of the drafts agree": ("halve", (10,), [LESS], [HALVE, LESS], "", ""),
    "a quarter of them does": (
        "halve", (10,), [LESS], [HALVE, HALVE, HALVE, LESS], "", "is halve(11) 6 or 5.5?"),
    "most do, and words of the wish play no part": (
        "warm", ([10, 20, 12],), [MEAN], [MEAN, MEAN, MEAN, MIDDLE], "",
        "is warm([10, 20, 12]) 14.0 or 15.0?"),
    "most do, and its words do": (
        "mild", ([10, 20, 12],), [MEAN], [MEAN, MEAN, MEAN, MIDDLE], "", ""),
    "it is adapted from a known function": ("halve", (10,), [LESS], [HALVE], "seed:1", ""),
    "it differs at what it is compared with only": (
        "halve", (10,), [" return number / 2 if number != 70 else 0"], [HALVE], "",
        "is halve(70) 0 or 35"),
    "one fails where the other answers": (
        "halve", ([4, 6],), [" return numbers[0] / 2"],
        [" return numbers[0] / 2 if numbers else None"], "", ""),
    "the others have no voice": ("halve", (10,), [LESS], [" return 5"], "", ""),
    "a number of the wish plays no part": (
        "count_long", ("to be or not",), [" return len(text.split())"],
        [" return len(text.split())"], "", "4 was asked for and plays no part. Is"),
    "a number of the wish is what the call is about": (
        "twice", (21,), [" return number * 2"], [" return number * 2"], "", ""),
    "it plays one": (
        "count_long", ("to write or not",), [" return sum(len(w) > 4 for w in text.split())"],
        [" return sum(len(w) > 4 for w in text.split())"], "", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", DOUBTS)
async def test_what_is_doubted_of_a_method_by_what_new_drafts_answer(mind, heart, model, case):
    selector, args, bodies, others, known, question = DOUBTS[case]
    model.bodies = {selector: bodies}
    await learn(mind, selector, *args, known=known)
    model.bodies = {selector: others}
    before = await graph(mind.image)
    await beat_all(heart)
    assert await graph(mind.image) == before
    told = [row["what"] for row in (await ask(mind, "proposals"))["proposals"]]
    assert len(told) == bool(question)
    assert all(question in one for one in told)


async def test_a_method_that_failed_in_use_is_mended_on_a_fork(mind, heart, model):
    model.bodies = {"first_of": [" return value[0]"]}
    example = ({"args": [[7, 8]], "kwargs": {}, "result": 7},)
    mission = await open_mission(mind.image, "first_of", [1, 2], examples=example)
    answer = await CognitiveCycle(mind, lambda *_: None).run(mission)
    assert answer["type"] == "result", answer
    for wrong in (5, 6, None):
        with pytest.raises(CellError):
            await take_turn(mind.image, mind.cell, Brief("genesis_obj", "first_of", (wrong,)))
    safe = " return number[0] if isinstance(number, list) else number"
    model.bodies = {"first_of": [safe]}
    before = await graph(mind.image)
    await beat_all(heart)
    assert await graph(mind.image) == before
    rows = (await ask(mind, "proposals"))["proposals"]
    assert [row["kind"] for row in rows] == ["mend"]
    await ask(mind, "accept", n=rows[0]["n"])
    told = await take_turn(mind.image, mind.cell, Brief("genesis_obj", "first_of", (5,)))
    assert told.value == 5


async def test_a_method_under_which_something_changed_is_verified_again(mind, heart, model):
    await ask(mind, "teach", target="genesis_obj", source="def base(self):\n    return 2\n")
    source = "def scaled(self, value):\n    return value * self.base()\n"
    example = [{"args": [3], "kwargs": {}, "result": 6}]
    await ask(mind, "teach", target="genesis_obj", source=source, examples=example)

    async def stale():
        return (await ask(mind, "list", stale=True))["stale"]

    again = "def base(self):\n    return 1 + 1\n"
    await ask(mind, "teach", target="genesis_obj", source=again)
    assert [row["selector"] for row in await stale()] == ["scaled"]
    await beat_all(heart)
    assert await stale() == []
    assert (await ask(mind, "proposals"))["proposals"] == []

    await ask(mind, "teach", target="genesis_obj", source="def base(self):\n    return 3\n")
    await beat_all(heart)
    found = {row["kind"]: row["what"] for row in (await ask(mind, "proposals"))["proposals"]}
    assert found == {
        "stale": "genesis_obj.scaled no longer holds: scaled(3) gives 9, not 6",
        "canary": "Since version 3 of genesis_obj.base, genesis_obj.scaled(3) comes to 9 and not "
        "to 6",
    }
    (row,) = await stale()
    assert (row["selector"], row["broken"][:22]) == ("scaled", "scaled(3) gives 9, not")


async def test_the_news_are_one_paragraph_and_silent_without_any(mind, heart, fail, model):
    assert (await ask(mind, "since"))["text"] == ""
    await fail()
    model.bodies = {"flatten": [GOOD]}
    await beat_all(heart)
    text = (await ask(mind, "since"))["text"]
    assert text.startswith("While you were away I worked ")
    assert '"Flatten" failed before and now fits your example' in text
    assert text.endswith("`batos accept 1`. Nothing was changed.")
    assert (await ask(mind, "since"))["text"] == ""
    assert describe([], 60.0, BUDGET) == ""


async def test_faults_keep_the_call_that_failed(mind):
    await ask(mind, "teach", target="genesis_obj", source="def boom(self, a):\n    return a[0]\n")
    with pytest.raises(CellError):
        await take_turn(mind.image, mind.cell, Brief("genesis_obj", "boom", (5,)))

    def look(root):
        method = root["objects"]["genesis_obj"].slots["boom"]
        return [fault["asked"] for fault in faults_of(root, method, 1)]

    assert await mind.image.transact(look, note="look") == ["([5], {})"]


async def test_each_work_is_done_once_and_the_most_urgent_first(mind, heart, fail, model):
    model.bodies = {"halve": [" return number - 5"]}
    mission = await open_mission(mind.image, "halve", 10)
    await CognitiveCycle(mind, lambda *_: None).run(mission)
    source = "def scaled(self, value):\n    return value * self.base()\n"
    await ask(mind, "teach", target="genesis_obj", source="def base(self):\n    return 2\n")
    example = [{"args": [3], "kwargs": {}, "result": 6}]
    await ask(mind, "teach", target="genesis_obj", source=source, examples=example)
    await ask(mind, "teach", target="genesis_obj", source="def base(self):\n    return 3\n")
    await fail()
    begun = []
    keep_results = heart._keep_results

    async def note(work):
        begun.append(work.key.split()[0])
        await keep_results(work)

    heart._keep_results = note
    await beat_all(heart)
    assert begun == ["practice", "doubt", "canary", "look", "verify"]
    asked = len(model.asked)
    assert await heart.beat() == 0
    assert heart.resting == "nothing is left to do"
    assert len(model.asked) == asked


async def test_a_restart_forgets_neither_what_was_done_nor_what_it_took(
    mind, heart, fail, clock, model
):
    await fail()
    await beat_all(heart)
    assert (await ask(mind, "proposals"))["proposals"] == []
    spent, asked = heart.spent, len(model.asked)
    assert spent > 0
    again = Heartbeat(mind, install)
    again.around = clock.around()
    assert await again.beat() == 0
    assert again.resting == "nothing is left to do"
    assert (again.spent, len(model.asked)) == (spent, asked)


async def test_looks_write_nothing(mind, heart):
    await beat_all(heart)
    before = mind.image.database.lastTransaction()
    assert await heart.beat() == 0
    assert mind.image.database.lastTransaction() == before


async def test_a_long_work_notes_what_it_takes_before_it_ends(mind, heart, fail, clock):
    await fail()
    clock.step = NOTED * 2
    await heart.beat()
    assert heart._open is not None
    day = heart._day
    noted = await mind.image.transact(lambda root: proposals.spent_on(root, day), note="look")
    assert noted == heart.spent > 0
    before, clock.step = mind.image.database.lastTransaction(), 0
    await heart.beat()
    assert heart._open is not None
    assert mind.image.database.lastTransaction() == before  # nothing is noted twice


async def test_a_slow_method_and_one_that_hides_another_are_found(mind, heart, model):
    model.bodies = {"halve": [" return number / 2"], "third": [" return number / 3"]}
    for selector in ("halve", "third"):
        mission = await open_mission(mind.image, selector, 12)
        await CognitiveCycle(mind, lambda *_: None).run(mission)

    def prepare(root):
        genesis = root["objects"]["genesis_obj"]
        uses = record_of(root, USES, genesis.slots["halve"])
        uses.update(count=40, first=1.0, last=2e9, versions={1: 40}, callers={}, slow={1: 3})

    await mind.image.transact(prepare, note="slow")
    above = "def third(self, number):\n    return round(number / 3, 2)\n"
    await ask(mind, "teach", target="traits_obj", source=above)
    await beat_all(heart)
    found = {row["kind"]: row for row in (await ask(mind, "proposals"))["proposals"]}
    assert found["slow"]["why"] == "3 of its 40 calls took over 100 ms"
    assert found["shadowed"]["what"] == "genesis_obj.third hides traits_obj.third"
    await ask(mind, "accept", n=found["shadowed"]["n"])
    told = await take_turn(mind.image, mind.cell, Brief("genesis_obj", "third", (10,)))
    assert told.value == 3.33


async def test_a_call_that_takes_long_is_counted_as_slow(mind):
    source = "def spin(self):\n    return sum(n for n in range(9_000_000))\n"
    await ask(mind, "teach", target="genesis_obj", source=source)
    await ask(mind, "teach", target="genesis_obj", source="def quick(self):\n    return 1\n")
    for selector in ("spin", "quick"):
        await take_turn(mind.image, mind.cell, Brief("genesis_obj", selector))
    await flush(mind.image)

    def look(root):
        slots = root["objects"]["genesis_obj"].slots
        records = [record_of(root, USES, slots[name]) for name in ("spin", "quick")]
        return [record["slow"][1] for record in records]

    assert await mind.image.transact(look, note="look") == [1, 0]


async def test_curiosity_counts_kinds_of_wishes_that_nothing_can_be_relied_on_for(
    mind, heart, fail, model
):
    assert (await ask(mind, "proposals"))["curiosity"] == 0
    await fail()
    await fail("flatten", [[2], [1]])
    model.bodies = {"halve": [" return number / 2"]}
    example = ({"args": [8], "kwargs": {}, "result": 4},)
    mission = await open_mission(mind.image, "halve", 10, examples=example)
    await CognitiveCycle(mind, lambda *_: None).run(mission)
    assert (await ask(mind, "proposals"))["curiosity"] == 1
    model.bodies = {"flatten": [GOOD]}
    await beat_all(heart)
    (row,) = (await ask(mind, "proposals"))["proposals"]
    await ask(mind, "accept", n=row["n"])
    assert (await ask(mind, "proposals"))["curiosity"] == 0


async def test_an_answer_that_is_left_to_chance_is_no_example(mind, heart, fail, model):
    await fail("invent_word", 6, examples=())
    six = " return ''.join(random.choice('abc') for _ in range(number))"
    model.bodies = {"invent_word": [six, " return 'abc' * number"]}
    await beat_all(heart)
    (row,) = (await ask(mind, "proposals"))["proposals"]
    assert "a text of 6, another one each time" in row["what"]
    assert any("another one each time" in shown for shown in row["choices"])
    choice = 1 + next(at for at, text in enumerate(row["choices"]) if "each time" in text)
    await ask(mind, "accept", n=row["n"], choice=choice)
    told = await take_turn(mind.image, mind.cell, Brief("genesis_obj", "invent_word", (4,)))
    assert len(told.value) == 4


async def test_a_call_that_fails_is_told_apart_in_words(mind, heart, fail, model):
    await fail("halve_it", 8, examples=())
    model.bodies = {"halve_it": [" return 8 / number * 4", " return number / 2"]}
    await beat_all(heart)
    (row,) = (await ask(mind, "proposals"))["proposals"]
    assert "Failure" not in str(row)


async def test_the_weeks_count_what_was_kept_corrected_asked_and_failed(mind, heart, fail, model):
    example = ({"args": [8], "kwargs": {}, "result": 4},)
    model.bodies = {"halve": [" return number / 2"], "third": [" return number / 3"]}
    for selector, examples in (("halve", example), ("third", ())):
        mission = await open_mission(mind.image, selector, 12, examples=examples)
        await CognitiveCycle(mind, lambda *_: None).run(mission)
    await fail()

    async def this_week():
        weeks = (await ask(mind, "proposals", weeks=True))["weeks"]
        assert [row["week"] for row in weeks] == sorted(row["week"] for row in weeks)
        return {key: sum(row[key] for row in weeks) for key in weeks[-1] if key != "week"}

    before = await this_week()
    assert before["kept"] == 2
    assert before["corrected"] == 0
    assert before["asked"] + before["failed"] == 1
    await ask(mind, "unlearn", "genesis_obj", "third")
    assert await this_week() == before | {"kept": 1, "corrected": 1}
    assert "weeks" not in await ask(mind, "proposals")


async def test_what_was_accepted_says_how_it_is_taken_back(mind, heart, fail, model):
    await fail()
    model.bodies = {"flatten": [GOOD]}
    await beat_all(heart)
    (row,) = (await ask(mind, "proposals"))["proposals"]
    undo = (await ask(mind, "accept", n=row["n"]))["undo"]
    assert undo == {
        "verb": "unlearn", "target": "genesis_obj", "selector": "flatten", "version": 0,
    }  # fmt: skip
    await ask(mind, undo["verb"], undo["target"], undo["selector"])
    with pytest.raises(NotUnderstoodError):
        await take_turn(mind.image, mind.cell, Brief("genesis_obj", "flatten", ([[1]],)))
