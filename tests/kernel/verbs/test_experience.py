"""The verb experience: a record per mission, which outlives the mission."""

import json

import pytest

from bat_os.core.brief import Brief
from bat_os.core.mission import BriefAccepted, MissionFailed
from bat_os.errors import ArgumentsError
from bat_os.image import missions
from bat_os.image.history import experience
from bat_os.image.history.uses import flush
from bat_os.kernel.missions.retention import prune_answers
from tests.kernel.minds import open_mission
from tests.kernel.verbs.conftest import DOUBLE

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def forget_all(image):
    """Do what pruning does to each mission, whatever its id."""

    def work(root):
        for mission_id in list(root["missions"]):
            experience.keep(root, mission_id)
            del root["missions"][mission_id]

    await image.transact(work, note="forget")


async def test_a_record_has_brief_plan_passages_prompts_candidates_verdicts_and_cost(learned, ask):
    mission = await learned()
    (told,) = (await ask("experience"))["experience"]
    assert (told["mission"], told["format"], told["state"]) == (mission, 1, "complete")
    assert (told["object"], told["selector"]) == ("genesis_obj", "double")
    assert told["brief"]["examples"] == DOUBLE
    assert told["brief"]["signature"] == "def double(self, number):"
    assert told["plan"]["queries"] == ["Double."]
    chosen = [one for one in told["candidates"] if one["chosen"]]
    assert [(one["passed"], one["problem"]) for one in chosen] == [(1, "")]
    assert "number * 2" in chosen[0]["source"]
    assert all(one["prompt"] in told["prompts"] for one in told["candidates"] if one["prompt"])
    steps = told["steps"]
    assert [one["state"] for one in steps][-2:] == ["validating", "complete"]
    assert all(one["seconds"] >= 0 for one in steps)
    assert sum(one["tokens"] for one in steps) == told["tokens"] > 0
    assert told["outcome"] == {
        "kind": "learned", "status": "verified", "reason": "reproduces the example",
    }  # fmt: skip
    assert (told["later"]["version"], told["later"]["current"]) == (1, True)
    assert json.loads(json.dumps(told)) == told


async def test_a_failed_mission_is_a_record_with_every_draft_and_its_problem(brief, ask):
    await brief("double", 21, examples=({"args": [21], "kwargs": {}, "result": "no"},))
    (told,) = (await ask("experience"))["experience"]
    assert (told["state"], told["outcome"]["kind"]) == ("failed", "failed")
    assert told["outcome"]["code"] == "SANDBOX_FAILED"
    assert {one["round"] for one in told["candidates"]} == {1, 2, 3}
    assert all("preview" in one for one in told["candidates"])
    assert told["later"] == {}


async def test_what_was_understood_at_once_and_what_has_not_ended_is_no_experience(
    mind, taught, brief, ask
):
    await taught("def double(self, number):\n    return number * 2\n")
    assert (await brief())["type"] == "result"
    await open_mission(mind.image, "triple", 2)
    assert await ask("experience") == {"experience": [], "after": ""}


async def test_a_record_outlives_its_mission_and_still_tells_what_became_of_the_method(
    mind, learned, ask
):
    await learned()
    await flush(mind.image)
    (before,) = (await ask("experience"))["experience"]
    await forget_all(mind.image)
    await ask("unlearn", "double")
    (after,) = (await ask("experience"))["experience"]
    assert after == before | {"later": before["later"] | {"current": False}}


async def test_pruning_keeps_the_record_of_what_it_forgets(mind, ask):
    brief, mission_id = Brief("genesis_obj", "double", (1,)), f"{1000:012x}ab"

    def store(root):
        about = {"session": "s", "accepted": 1.0}
        record = missions.open_brief(root, brief, mission_id=mission_id, key="k", about=about)
        begun = record.mission.advance(BriefAccepted())
        missions.write(root, mission_id, begun)
        body = {"code": "DEADLINE", "retryable": False, "seconds": 2.0}
        over = begun.advance(MissionFailed("DEADLINE", "too slow", tokens=7))
        missions.write(root, mission_id, over, {"type": "error", "body": body})

    await mind.image.transact(store, note="store")
    assert await prune_answers(mind.image, 10.0 + missions.KEEP_SECONDS) == 1
    (told,) = (await ask("experience"))["experience"]
    assert (told["mission"], told["tokens"], told["seconds"]) == (mission_id, 7, 2.0)
    assert told["outcome"] == {"kind": "failed", "code": "DEADLINE", "reason": "too slow"}


async def test_records_come_page_by_page_each_once_and_in_order(mind, brief, ask):
    for selector in ("double", "twice", "redouble"):
        await brief(selector, 21, fresh=True)
    await forget_all(mind.image)
    await brief("again", 21, fresh=True)
    seen, after = [], ""
    while True:
        page = await ask("experience", after=after, limit=1)
        seen += [one["selector"] for one in page["experience"]]
        if not (after := page["after"]):
            break
    assert seen == ["double", "twice", "redouble", "again"]


async def test_only_so_many_records_are_kept_and_the_oldest_go(mind, learned, monkeypatch):
    monkeypatch.setattr(experience, "MAX_KEPT", 1)
    await learned()
    last = await learned("twice")
    await forget_all(mind.image)
    kept = await mind.image.transact(lambda root: list(root["experience"]), note="look")
    assert kept == [last]


async def test_a_record_that_is_too_long_is_told_without_its_longest_parts(
    learned, ask, monkeypatch
):
    monkeypatch.setattr(experience, "MAX_RECORD", 2_000)
    await learned()
    (told,) = (await ask("experience"))["experience"]
    assert (told["trimmed"][0], told["passages"]) == ("passages", [])
    assert told["later"]["version"] == 1


async def test_a_record_that_cannot_be_read_is_named_and_the_others_are_told(mind, learned, ask):
    broken = await learned()
    whole = await learned("twice")

    def damage(root):
        root["missions"][broken].slots["record"] = {"brief": 1}
        root["missions"][broken]._p_changed = True

    await mind.image.transact(damage, note="damage")
    first, second = (await ask("experience"))["experience"]
    assert (first["mission"], "cannot be read" in first["problem"]) == (broken, True)
    assert second["mission"] == whole


@pytest.mark.parametrize("body", [{"after": 1}, {"limit": 0}, {"limit": "x"}, {"limit": 10_000}])
async def test_an_id_or_a_number_that_is_none_is_refused(ask, body):
    with pytest.raises(ArgumentsError):
        await ask("experience", **body)
