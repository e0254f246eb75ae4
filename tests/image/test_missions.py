"""bat_os.image.missions and awakening: what is stored, and found again."""

from typing import TYPE_CHECKING

import pytest

from bat_os.core.brief import Brief
from bat_os.core.mission import BriefAccepted, MissionFailed, State
from bat_os.core.personas import PERSONAS
from bat_os.errors import FormatError, KeyReusedError, NotFoundError, TransitionError
from bat_os.image import desks, missions
from bat_os.image.awakening import awaken

if TYPE_CHECKING:
    from bat_os.image.objects import UvmObject

BRIEF = Brief("genesis_obj", "double", (2,), {"b": 1, "a": 2})
ABOUT = {"session": "s", "accepted": 100.0}


def wake(root):
    return awaken(root, image_id="i", created=1.0, personas=PERSONAS, primitives=["clone"])


@pytest.fixture
async def awake(image):
    await image.transact(wake, note="awaken")
    return image


async def open_one(image, brief=BRIEF, key="k", mission_id="m1"):
    return await image.transact(
        lambda root: missions.open_brief(root, brief, mission_id=mission_id, key=key, about=ABOUT),
        note="open",
    )


async def test_the_first_awakening_makes_the_root_objects_and_the_next_changes_nothing(image):
    assert await image.transact(wake, note="awaken")
    names = await image.transact(lambda root: set(root["objects"]), note="list")
    wanted = {"traits_obj", "pLLM_obj", "genesis_obj", "orchestrator_obj", "knowledge_catalog_obj"}
    wanted |= {f"{name.lower()}_obj" for name in PERSONAS} | {f"state_{s}_obj" for s in State}
    assert names == wanted
    assert not await image.transact(wake, note="awaken")


async def test_an_image_of_a_newer_format_is_refused(awake):
    def age(root):
        root["about"] = root["about"] | {"format": 99}

    await awake.transact(age, note="age")
    with pytest.raises(FormatError, match="start the newer program"):
        await awake.transact(wake, note="awaken")


async def test_the_same_key_finds_the_same_mission(awake):
    first, again = await open_one(awake), await open_one(awake, mission_id="m2")
    assert first.id == again.id == "m1"


async def test_the_order_of_keyword_arguments_makes_no_other_brief(awake):
    await open_one(awake)
    turned = Brief("genesis_obj", "double", (2,), {"a": 2, "b": 1})
    assert (await open_one(awake, turned, mission_id="m2")).id == "m1"


async def test_a_key_with_another_brief_is_refused(awake):
    await open_one(awake)
    with pytest.raises(KeyReusedError):
        await open_one(awake, Brief("genesis_obj", "halve"), mission_id="m2")


async def test_a_mission_delegates_to_the_prototype_of_its_state(awake):
    record = await open_one(awake)
    after = record.mission.advance(BriefAccepted())
    await awake.transact(lambda root: missions.write(root, "m1", after), note="write")

    def ask(root):
        mission: UvmObject = missions.stored(root, "m1")
        return mission.lookup("persona")[1], mission.lookup("state")[1]

    assert await awake.transact(ask, note="ask") == ("BRICK", "decomposing")


async def test_what_has_not_ended_is_taken_up_again_three_times(awake):
    await open_one(awake)
    tries = [await awake.transact(take_up, note="take up") for _ in range(4)]
    assert tries == [True, True, True, False]


async def test_what_was_put_down_in_order_may_be_taken_up_for_ever(awake):
    await open_one(awake)
    for _ in range(9):
        assert await awake.transact(take_up, note="take up")
        await awake.transact(lambda root: desks.put_down(root, ["m1"]), note="put down")


async def test_a_mission_that_has_moved_on_is_not_written_over(awake):
    record = await open_one(awake)
    after = record.mission.advance(BriefAccepted())
    await awake.transact(lambda root: missions.write(root, "m1", after), note="write")
    failed = record.mission.advance(MissionFailed("DEADLINE", "x"))
    with pytest.raises(TransitionError, match="advanced"):
        await awake.transact(lambda root: missions.write(root, "m1", failed, {}), note="late")
    assert await awake.transact(missions.unfinished, note="look") == ["m1"]


@pytest.mark.parametrize("record", [{}, {"brief": {}, "events": []}, None])
async def test_a_record_that_cannot_be_read_says_so(awake, record):
    await open_one(awake)

    def spoil(root):
        missions.stored(root, "m1").slots["record"] = record
        missions.stored(root, "m1")._p_changed = True

    await awake.transact(spoil, note="spoil")
    with pytest.raises(TransitionError, match="cannot be read"):
        await awake.transact(lambda root: missions.read(root, "m1"), note="read")


def take_up(root):
    return desks.take_up(root, "m1")


async def test_what_has_ended_is_not_taken_up(awake):
    record = await open_one(awake)
    done = record.mission.advance(MissionFailed("CANCELLED", "x"))
    answer = {"type": "error", "body": {}}
    await awake.transact(lambda root: missions.write(root, "m1", done, answer), note="write")
    assert await awake.transact(missions.unfinished, note="look") == []
    assert (await open_one(awake)).answer == answer


async def test_an_unknown_mission_is_not_found(awake):
    with pytest.raises(NotFoundError):
        await awake.transact(lambda root: missions.read(root, "nope"), note="read")


def end(root, mission_id):
    mission = missions.read(root, mission_id).mission.advance(MissionFailed("CANCELLED", "x"))
    missions.write(root, mission_id, mission, {"type": "error", "body": {"retryable": True}})


async def test_what_is_unfinished_and_what_has_ended_are_found_alike(awake):
    for number in range(5):
        await open_one(awake, key=f"k{number}", mission_id=f"m{number}")
    for mission_id in ("m1", "m3"):
        await awake.transact(lambda root, one=mission_id: end(root, one), note="end")

    def look(root):
        assert set(root["missions"]) == {"m1", "m3"}
        assert [missions.stored(root, f"m{n}").slots["key"] for n in range(5)] == [
            f"k{n}" for n in range(5)
        ]
        ids = [missions.id_of(root, f"k{n}") for n in (*range(5), 9)]
        return ids, list(missions.ids_after(root, "")), list(missions.ids_after(root, "m1"))

    ids = [f"m{n}" for n in range(5)]
    assert await awake.transact(look, note="look") == ([*ids, ""], ids, ids[2:])


async def test_a_key_that_is_asked_with_again_leads_to_the_new_mission(awake):
    await open_one(awake)
    await awake.transact(lambda root: end(root, "m1"), note="end")
    again = await open_one(awake, mission_id="m2")
    assert again.id == "m2"
    assert await awake.transact(lambda root: missions.id_of(root, "k"), note="look") == "m2"
    await awake.transact(lambda root: end(root, "m2"), note="end")
    assert await awake.transact(lambda root: missions.id_of(root, "k"), note="look") == "m2"


@pytest.mark.parametrize("key", ["m1", "#m1", "#", "$", "a" * 24, "~"])
async def test_no_key_is_taken_for_the_id_of_a_mission(awake, key):
    await open_one(awake, key=key)
    assert await awake.transact(missions.unfinished, note="look") == ["m1"]
    assert await awake.transact(lambda root: missions.id_of(root, key), note="look") == "m1"
    for name in ("#" + key, "", "#"):
        with pytest.raises(NotFoundError):
            await awake.transact(lambda root, one=name: missions.stored(root, one), note="look")


async def test_a_mission_whose_record_is_lost_can_be_let_go(awake):
    await open_one(awake)
    await open_one(awake, key="k2", mission_id="m2")

    def lose(root):
        missions.stored(root, "m1").slots = None
        missions.let_go(root, "m1")
        missions.let_go(root, "nobody")

    await awake.transact(lose, note="lose")
    assert await awake.transact(missions.unfinished, note="look") == ["m2"]
    assert await awake.transact(lambda root: missions.id_of(root, "k"), note="look") == "m1"


@pytest.mark.parametrize(("kernel", "written"), [("", 2), ("a", 3)])
async def test_accepting_a_brief_writes_few_objects_however_much_is_kept(awake, kernel, written):
    awake.database.kernel = kernel

    def fill(root):
        for number in range(300):
            mission_id = f"m{number:03}"
            about = dict(ABOUT)
            missions.open_brief(root, BRIEF, mission_id=mission_id, key=mission_id, about=about)
            end(root, mission_id)

    await awake.transact(fill, note="fill")
    await open_one(awake, mission_id="m999")

    def count(root):
        storage = root._p_jar.db().storage
        last = storage.lastTransaction()
        return [len(list(one)) for one in storage.iterator(last, last)]

    assert await awake.transact(count, note="count") == [written]
