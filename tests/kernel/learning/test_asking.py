"""A mission that has to ask for leave waits in the image, and goes on with the answer."""

import asyncio
from dataclasses import replace

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.core.brief import Brief
from bat_os.core.mission import State
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.errors import ArgumentsError, GrantWantedError, NotFoundError
from bat_os.image import grants
from bat_os.image.objects import find
from bat_os.kernel.learning import asking
from bat_os.kernel.missions.scheduler import Scheduler
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs.missions import MissionVerbs
from tests.kernel.minds import make_mind, open_mission, read, script
from tests.world.scripted import Scripted

pytestmark = pytest.mark.asyncio(loop_scope="module")
READS = " return len(self.files.read(text))"


@pytest.fixture
def driver():
    return Scripted({"/notes": "one two", "/other": "x"})


@pytest_asyncio.fixture(loop_scope="module")
async def mind(image, cell, driver):
    mind = replace(make_mind(image, cell, script(READS)), drivers={"files": driver})
    await load_library(mind)
    return mind


@pytest_asyncio.fixture(loop_scope="module")
async def scheduler(mind):
    scheduler = Scheduler(mind, lambda event: None)
    scheduler.open()
    yield scheduler
    await scheduler.close()


@pytest.fixture
def begin(mind, scheduler):
    """Return a function that begins a mission and returns its id and its last reply."""

    async def run(path="/notes", key="one", **fields):
        fields = {"text": "how many letters are in the file", **fields}
        mission = await open_mission(mind.image, "count_letters", path, key=key, **fields)
        scheduler.start(await read(mind.image, mission))
        return mission, await scheduler.result(mission)

    return run


async def live(mind):
    return await mind.image.transact(
        lambda root: [one.name for one in grants.live(root, 1e9)], note="look"
    )


async def ask_again(mind, path="/notes"):
    brief = Brief("genesis_obj", "count_letters", (path,))
    return (await take_turn(mind.image, mind.cell, brief, reach=mind)).value


async def test_candidates_that_want_the_same_make_one_question_and_hold_nothing(
    mind, begin, scheduler
):
    mission, answer = await begin()
    assert (answer["type"], answer["body"]["code"]) == ("error", "GRANT_WANTED")
    details = answer["body"]["details"]
    assert (details["driver"], details["operation"], details["scope"]) == (
        "files", "read", "/notes",
    )  # fmt: skip
    assert scheduler.queued == 0
    record = await read(mind.image, mission)
    assert (record.mission.state, record.mission.rounds) == (State.FAILED, 1)


async def test_once_is_for_this_mission_alone(mind, begin, scheduler, driver):
    mission, _ = await begin()
    calls = (await read(mind.image, mission)).mission.model_calls
    assert await asking.answer(mind, scheduler, mission, "once")
    answer = await scheduler.result(mission)
    assert (answer["type"], answer["body"]["result"]) == ("result", 7)
    record = await read(mind.image, mission)
    assert record.mission.model_calls == calls  # it went on with what was drawn
    assert await live(mind) == []
    with pytest.raises(GrantWantedError):
        await ask_again(mind)


async def test_always_puts_the_object_into_the_slot(mind, begin, scheduler):
    mission, _ = await begin()
    await asking.answer(mind, scheduler, mission, "always")
    assert (await scheduler.result(mission))["body"]["result"] == 7
    assert await live(mind) == ["notes_obj"]
    assert await ask_again(mind) == 7
    slots = await mind.image.transact(
        lambda root: find(root, "genesis_obj").slots["files"].name, note="look"
    )
    assert slots == "notes_obj"


async def test_no_is_kept_and_not_asked_again(mind, begin, scheduler, monkeypatch):
    mission, _ = await begin()
    assert not await asking.answer(mind, scheduler, mission, "no")
    _, answer = await begin(key="two")
    assert answer["body"]["code"] == "NOT_GRANTED"
    assert "you refused that on" in answer["body"]["message"]
    monkeypatch.setattr(asking, "KEPT", -1.0)  # the thirty days are over
    _, answer = await begin(key="three")
    assert answer["body"]["code"] == "GRANT_WANTED"


async def test_a_path_that_the_person_did_not_say_is_no_scope(mind, begin, scheduler, cell):
    other = make_mind(mind.image, cell, script(" return len(self.files.read('/other') + text)"))
    for part in ("roster", "cast"):
        object.__setattr__(mind, part, getattr(other, part))
    mission, answer = await begin()
    assert answer["body"]["details"]["scope"] == ""
    assert "/other" not in answer["body"]["message"]
    with pytest.raises(ArgumentsError, match="say what may be reached"):
        await asking.answer(mind, scheduler, mission, "once")
    await asking.answer(mind, scheduler, mission, "once", "/other")
    assert (await scheduler.result(mission))["body"]["result"] == len("x/notes")


async def test_a_wish_that_was_read_gives_no_scope(mind, begin):
    def label(root):
        return grants.give(root, mind.drivers["files"], {"path": "/other"}, "o_obj", given=1.0).oid

    oid = await mind.image.transact(label, note="grant")
    _, answer = await begin(label=(oid,))
    assert "scope" not in answer["body"]["details"]


async def test_an_answer_counts_once_also_late_and_by_another_kernel(mind, begin, scheduler):
    mission, _ = await begin()
    await scheduler.close()  # the kernel that asked is gone
    later = Scheduler(mind, lambda event: None)
    later.open()
    try:
        answers = await asyncio.gather(
            *(asking.answer(mind, later, mission, "once", by=who) for who in ("ann", "bob")),
            return_exceptions=True,
        )
        assert {type(one) for one in answers} == {bool, ArgumentsError}
        assert (await later.result(mission))["body"]["result"] == 7
        with pytest.raises(ArgumentsError, match="asks for nothing"):
            await asking.answer(mind, later, mission, "always")
        assert await live(mind) == []
    finally:
        await later.close()


async def test_a_question_whose_mission_was_pruned_is_told(mind, begin, scheduler):
    mission, _ = await begin()
    await mind.image.transact(lambda root: root["missions"].pop(mission) and None, note="prune")
    with pytest.raises(NotFoundError):
        await asking.answer(mind, scheduler, mission, "once")


async def test_missions_say_which_wait_for_leave_and_how_it_is_given(mind, begin, scheduler):
    mission, _ = await begin()
    verbs = MissionVerbs(mind, scheduler).table()

    async def listed(state=""):
        request = check(Request("missions", body={"state": state}))
        body = (await verbs["missions"](request, lambda _: None)).body
        return body["missions"]

    (row,) = await listed("waiting")
    assert (row["brief_id"], row["state"], row["waits"]) == (mission, "failed", "leave")
    await asking.answer(mind, scheduler, mission, "no")
    assert await listed("waiting") == []
    (row,) = await listed("failed")
    assert "waits" not in row
