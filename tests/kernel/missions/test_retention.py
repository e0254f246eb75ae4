"""bat_os.kernel.missions.retention: what ended long ago is forgotten, and nothing else."""

import asyncio
from heapq import merge
from types import SimpleNamespace

import pytest

from bat_os.core.brief import Brief
from bat_os.core.mission import MissionFailed
from bat_os.image import answered, missions
from bat_os.kernel.missions import retention as pruning
from bat_os.kernel.missions.retention import is_due, prune_answers, prune_if_sure

DAY = 86_400.0
NOW = 2_000_000_000.0


async def keep(image, number, days_ago, *, took=1.0, ended=True):
    """Store a mission that was accepted so many days ago."""
    accepted = NOW - days_ago * DAY
    mission_id, key = f"{int(accepted * 1000):012x}{number:012x}", f"k{number}"
    brief = Brief("genesis_obj", "double", (number,))

    def work(root):
        about = {"session": "s", "accepted": accepted}
        record = missions.open_brief(root, brief, mission_id=mission_id, key=key, about=about)
        if ended:
            over = record.mission.advance(MissionFailed("CANCELLED", "x"))
            body = {"code": "CANCELLED", "retryable": False, "seconds": took}
            missions.write(root, mission_id, over, {"type": "error", "body": body})

    await image.transact(work, note="keep")
    return mission_id


async def left(image):
    def look(root):
        return list(missions.ids_after(root, "")), sorted(merge(*root["keys"].values()))

    return await image.transact(look, note="look")


async def test_answers_older_than_seven_days_go_with_their_keys(image):
    await keep(image, 1, 8)
    fresh = await keep(image, 2, 6)
    assert await prune_answers(image, NOW) == 1
    assert await left(image) == ([fresh], ["k2"])
    assert await prune_answers(image, NOW) == 0


async def test_answers_of_what_is_no_mission_go_with_them(image):
    def work(root):
        for days in (6, 8, 15):
            answered.put(root, f"k{days}", "asked", NOW - days * DAY, b"reply", "coming")

    await image.transact(work, note="answer")
    assert await image.transact(lambda root: is_due(root, NOW), note="look")
    await prune_answers(image, NOW)
    assert await image.transact(lambda root: list(root["answers"]), note="look") == ["k6"]
    assert not await image.transact(lambda root: is_due(root, NOW), note="look")


async def test_the_first_look_is_at_once_and_the_next_comes_a_day_later(image, monkeypatch):
    pauses = []

    async def pause(seconds):
        pauses.append((seconds, (await left(image))[1]))
        if len(pauses) == 2:
            raise asyncio.CancelledError
        await keep(image, 2, 15)

    monkeypatch.setattr(pruning, "asyncio", SimpleNamespace(sleep=pause))
    monkeypatch.setattr(pruning, "time", SimpleNamespace(time=lambda: NOW))
    await keep(image, 1, 15)
    with pytest.raises(asyncio.CancelledError):
        await pruning.keep_pruning(image)
    assert pauses == [(DAY, []), (DAY, [])]


async def test_answers_go_a_week_at_a_time(image):
    assert not await image.transact(lambda root: is_due(root, NOW), note="empty")
    await keep(image, 1, 13)
    await keep(image, 2, 8)
    assert not await image.transact(lambda root: is_due(root, NOW), note="look")
    assert await image.transact(lambda root: is_due(root, NOW + 1.5 * DAY), note="look")
    assert await prune_if_sure(image, NOW + 1.5 * DAY, answers=False) == 0
    assert await prune_if_sure(image, NOW + 1.5 * DAY) == 2


async def test_the_seven_days_begin_with_the_answer_and_what_has_none_stays(image):
    slow = await keep(image, 1, 8, took=2 * DAY)
    waiting = await keep(image, 2, 30, ended=False)
    assert await prune_answers(image, NOW) == 0
    assert sorted((await left(image))[0]) == sorted([slow, waiting])


async def test_a_key_that_went_on_to_a_new_mission_stays_with_it(image):
    old = await keep(image, 1, 9)
    new = await keep(image, 2, 1)

    def repoint(root):
        root["keys"][missions.shard_of("k1")]["k1"] = new

    await image.transact(repoint, note="repoint")
    assert await prune_answers(image, NOW) == 1
    ids, keys = await left(image)
    assert old not in ids
    assert keys == ["k1", "k2"]


async def test_many_are_pruned_in_several_short_transactions(image, monkeypatch):
    monkeypatch.setattr(pruning, "AT_ONCE", 3)
    for number in range(8):
        await keep(image, number, 20 - number)
    await keep(image, 9, 15.5, ended=False)
    assert await prune_answers(image, NOW) == 8
    assert len((await left(image))[0]) == 1


@pytest.mark.parametrize("answer", [None, "text", {"type": "error"}, {"body": 7}])
async def test_a_record_that_cannot_be_read_does_not_stop_the_others(image, answer):
    bad = await keep(image, 1, 10)
    await keep(image, 2, 9)

    def spoil(root):
        root["missions"][bad].slots["answer"] = answer
        root["missions"][bad].slots["accepted"] = "long ago"
        root["missions"][bad]._p_changed = True

    await image.transact(spoil, note="spoil")
    assert await prune_answers(image, NOW) == 1
    assert (await left(image))[0] == [bad]


async def test_a_clock_that_jumped_ahead_makes_no_answer_old(image):
    fresh = await keep(image, 1, 1)
    assert await prune_if_sure(image, NOW) == 0
    for day in range(7):
        assert await prune_if_sure(image, NOW + (400 + day) * DAY) == 0
    assert (await left(image))[0] == [fresh]
    assert await prune_if_sure(image, NOW + 407 * DAY) == 1


async def test_where_the_clock_never_jumped_old_answers_go_at_once(image):
    await keep(image, 1, 8)
    assert await prune_if_sure(image, NOW) == 1
