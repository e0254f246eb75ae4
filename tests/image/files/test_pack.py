"""bat_os.image.files.pack: room is given back, and nothing that anyone needs goes."""

import asyncio
import math
import threading

import pytest
from zc.lockfile import LockError

from bat_os.core.settings import IMAGE
from bat_os.errors import ArgumentsError, LockedError
from bat_os.image.files import disk
from bat_os.image.files import pack as housekeeping
from bat_os.image.files.chronicle import chronicle
from bat_os.image.files.disk import upkeep
from bat_os.image.files.fork import fork
from bat_os.image.files.layers import path_of
from bat_os.image.files.pack import Policy, clock_steady_for, pack, pack_if_due, should_pack, space
from bat_os.image.files.packer import finish_pack
from tests.image.files.images import noise, open_image, put, slot

DAY = 86_400.0
NOW = 2_000_000_000.0


async def fill(image, times=10):
    for number in range(times):
        await put(image, "robot_obj", text=f"{number} {noise(number, 10_000)}")


async def test_a_pack_forgets_what_was_superseded_and_says_so_in_the_chronicle(image):
    await fill(image)
    told = await pack(image, days=0)
    assert told["after"] < told["before"] - 80_000
    assert (await slot(image, "robot_obj", "text")).startswith("9 ")
    assert [one["kind"] for one in await image.transact(chronicle, note="read")] == ["pack"]


async def test_a_pack_keeps_the_days_that_it_is_told_to_keep(image):
    await fill(image)
    told = await pack(image, days=1)
    assert told["after"] >= told["before"]
    for days in (-1, float("nan"), 1e9):
        with pytest.raises(ArgumentsError, match="days"):
            await pack(image, days=days)


@pytest.mark.parametrize(
    ("size", "packed", "since", "due"),
    [
        (1000, 0, 1e5, True),
        (1000, 499, 1e5, True),
        (1000, 501, 1e5, False),
        (999, 0, 1e5, False),
        (1000, 0, 60, False),
    ],
)
def test_an_image_is_packed_unasked_when_it_has_doubled_and_is_worth_it(size, packed, since, due):
    assert should_pack(size, packed, since, Policy(floor=1000)) is due
    assert not should_pack(size, packed, since, Policy(auto=False, floor=1000))


async def test_tending_packs_by_the_policy_of_the_image_once(image):
    await fill(image)
    assert await pack_if_due(image, now=1e10) is None  # small files are left alone
    await housekeeping.set_policy(image, {"days": 0, "floor": 1000})
    told = await pack_if_due(image, now=1e10)
    assert told["days"] == 0
    assert await pack_if_due(image, now=1e10) is None
    await put(image, "robot_obj", more=noise(99, 300_000))
    assert await pack_if_due(image, now=told["at"] + 60) is None  # so soon it is not done again
    told = await pack_if_due(image, now=told["at"] + 7200)
    assert await pack_if_due(image, now=told["at"] + 7200) is None  # it grew before this one


async def test_history_that_only_a_jump_of_the_clock_made_old_is_not_packed(image):
    await fill(image)
    await housekeeping.set_policy(image, {"days": 30, "floor": 1000})
    assert await pack_if_due(image, now=1e10, steady=29 * 86_400.0) is None
    assert await pack_if_due(image, now=1e10, steady=31 * 86_400.0) is not None


@pytest.mark.parametrize(
    "wanted", [None, [], {"auto": 1}, {"days": "x"}, {"days": -1}, {"floor": 0.5}, {"other": 1}]
)
async def test_a_policy_that_cannot_be_is_refused(image, wanted):
    with pytest.raises(ArgumentsError):
        await housekeeping.set_policy(image, wanted)
    assert (await space(image))["policy"] == {
        "auto": True, "days": housekeeping.KEEP_DAYS, "floor": housekeeping.FLOOR,
    }  # fmt: skip


async def test_space_counts_each_object_once_and_finds_what_a_pack_gives_back(image):
    await fill(image)
    told = await space(image)
    assert told["kinds"]["objects"]["classes"]["UvmObject"] > 5
    assert told["blobs"]["files"] == 2
    assert 80_000 < told["history"] < told["file"]
    await pack(image, days=0)
    assert (await space(image))["history"] < 20_000


async def test_two_works_on_one_image_do_not_mix(image, monkeypatch):
    monkeypatch.setattr(disk, "UPKEEP_SECONDS", 0.0)
    path = path_of(image.storage)
    with upkeep(path):
        with pytest.raises(LockedError):
            await pack(image)
        with pytest.raises(LockedError):
            await fork(image, "trial")


async def test_a_work_waits_for_a_short_one(image, monkeypatch):
    refused, take = threading.Event(), disk.Lock

    def look(path):
        try:
            return take(path)
        except LockError:
            refused.set()
            raise

    with upkeep(path_of(image.storage)):
        monkeypatch.setattr(disk, "Lock", look)
        waiting = asyncio.create_task(pack(image))
        assert await asyncio.to_thread(refused.wait, 60)
    assert (await waiting)["after"] > 0


@pytest.mark.parametrize("left", ["pack", "old", "both"])
async def test_a_pack_that_was_killed_in_the_middle_of_its_switch_is_completed(image, home, left):
    await image.close()
    path = home / IMAGE
    whole = path.read_bytes()
    if left == "pack":  # the new file was not whole yet
        path.with_name(f"{IMAGE}.pack").write_bytes(whole[:100])
    else:
        path.rename(path.with_name(f"{IMAGE}.old"))
    if left == "both":
        path.with_name(f"{IMAGE}.pack").write_bytes(whole)
    finish_pack(path)
    again = open_image(path)
    assert await slot(again, "robot_obj", "colour") == "red"
    await again.close()
    assert sorted(one.suffix for one in home.glob(f"{IMAGE}.*") if one.is_file()) == [
        ".end", ".index", ".lock", ".tmp",
    ]  # fmt: skip


async def test_tending_clears_away_what_killed_forks_left(image, home):
    dead = home / "forks" / ".draft-999999999-abcd"
    dead.mkdir(parents=True)
    await pack_if_due(image, now=0.0)
    assert not dead.exists()


# --- the clock ---


def test_a_clock_that_never_jumped_is_believed_from_the_first_look_on():
    root = {}
    days = [0, 0.01, 0.5, 1, 3, 5.9]
    assert {clock_steady_for(root, NOW + day * DAY) for day in days} == {math.inf}


@pytest.mark.parametrize("jump", [400 * DAY, 4 * DAY, -400 * DAY, -3600.0])
def test_after_a_jump_the_seconds_are_counted_anew(jump):
    root = {}
    clock_steady_for(root, NOW)
    there = NOW + jump
    assert clock_steady_for(root, there) == 0
    assert clock_steady_for(root, there + 60) == 60
    assert clock_steady_for(root, there + DAY) == DAY
    assert clock_steady_for(root, there + 3 * DAY) == 3 * DAY
    assert clock_steady_for(root, NOW - 500 * DAY) == 0


def test_a_second_jump_begins_the_count_again():
    root = {}
    for moment in (NOW, NOW + 400 * DAY, NOW + 401 * DAY):
        clock_steady_for(root, moment)
    assert clock_steady_for(root, NOW) == 0
    assert clock_steady_for(root, NOW + DAY) == DAY


def test_the_image_is_written_to_only_now_and_then():
    root = {}
    clock_steady_for(root, NOW)
    note = dict(root["clock"])
    clock_steady_for(root, NOW + 3600)
    assert root["clock"] == note
    clock_steady_for(root, NOW + 7 * 3600)
    assert root["clock"] == {"seen": NOW + 7 * 3600, "steady": math.inf}


def test_a_clock_that_is_set_right_by_a_second_has_not_jumped():
    root = {}
    clock_steady_for(root, NOW)
    assert clock_steady_for(root, NOW - 1) == math.inf
