"""bat_os.image.missions and awakening: what is stored, and found again."""

from typing import TYPE_CHECKING

import pytest

from bat_os.core.brief import Brief
from bat_os.core.events import BriefAccepted, MissionFailed
from bat_os.core.mission import State
from bat_os.core.personas import PERSONAS
from bat_os.errors import FormatError, KeyReusedError, NotFoundError, TransitionError
from bat_os.image import missions
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
        mission: UvmObject = root["missions"]["m1"]
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
        await awake.transact(lambda root: missions.put_down(root, ["m1"]), note="put down")


async def test_a_mission_that_has_moved_on_is_not_written_over(awake):
    record = await open_one(awake)
    after = record.mission.advance(BriefAccepted())
    await awake.transact(lambda root: missions.write(root, "m1", after), note="write")
    failed = record.mission.advance(MissionFailed("DEADLINE", "x"))
    with pytest.raises(TransitionError, match="moved on"):
        await awake.transact(lambda root: missions.write(root, "m1", failed, {}), note="late")
    assert await awake.transact(lambda root: list(root["unfinished"]), note="look") == ["m1"]


@pytest.mark.parametrize("record", [{}, {"brief": {}, "events": []}, None])
async def test_a_record_that_cannot_be_read_says_so(awake, record):
    await open_one(awake)

    def spoil(root):
        root["missions"]["m1"].slots["record"] = record
        root["missions"]["m1"]._p_changed = True

    await awake.transact(spoil, note="spoil")
    with pytest.raises(TransitionError, match="cannot be read"):
        await awake.transact(lambda root: missions.read(root, "m1"), note="read")


def take_up(root):
    return missions.take_up(root, "m1")


async def test_what_has_ended_is_not_taken_up(awake):
    record = await open_one(awake)
    done = record.mission.advance(MissionFailed("CANCELLED", "x"))
    answer = {"type": "error", "body": {}}
    await awake.transact(lambda root: missions.write(root, "m1", done, answer), note="write")
    assert await awake.transact(lambda root: list(root["unfinished"]), note="look") == []
    assert (await open_one(awake)).answer == answer


async def test_an_unknown_mission_is_not_found(awake):
    with pytest.raises(NotFoundError):
        await awake.transact(lambda root: missions.read(root, "nope"), note="read")
