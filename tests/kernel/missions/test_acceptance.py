"""Scheduler.accept and its Writer: briefs that come together are stored together."""

import asyncio

import pytest

from bat_os.core.brief import Brief
from bat_os.errors import BusyError, KeyReusedError, NotFoundError, StorageFullError
from bat_os.image import missions
from bat_os.kernel.missions.scheduler import MAX_PER_SESSION, Scheduler
from tests.kernel.minds import make_mind, script


class CountedImage:
    """A real image that counts its commits of briefs, and may refuse them."""

    def __init__(self, image):
        self.image, self.notes, self.error = image, [], None

    async def transact(self, work, *, note, mission=""):
        if note.startswith("accept"):
            self.notes.append(note)
            if self.error is not None:
                raise self.error
        return await self.image.transact(work, note=note, mission=mission)


@pytest.fixture
async def counted(image):
    return CountedImage(image)


@pytest.fixture
async def intake(counted):
    mind = make_mind(counted, None, script(" return 1"))
    scheduler = Scheduler(mind, lambda event: None)  # not open: nothing runs, so no cell is needed
    yield scheduler
    await scheduler.close()


def brief(number=0, target="genesis_obj"):
    return Brief(target, "double", (number,))


async def unfinished(image):
    return await image.transact(missions.unfinished, note="look")


async def test_briefs_that_come_together_are_one_commit_and_all_are_stored(intake, counted):
    records = await asyncio.gather(*(intake.accept(brief(n), f"s{n}", f"k{n}") for n in range(64)))
    assert counted.notes == ["accept genesis_obj double (64)"]
    assert sorted(one.id for one in records) == await unfinished(counted.image)
    assert [one.mission.brief.args for one in records] == [(n,) for n in range(64)]
    assert intake.queued == 64


async def test_a_brief_that_is_refused_is_refused_alone(intake, counted):
    await intake.accept(brief(1), "s", "k")
    told = await asyncio.gather(
        intake.accept(brief(2), "s", "k"),
        intake.accept(brief(target="nobody"), "s", ""),
        intake.accept(brief(3), "s", "other"),
        return_exceptions=True,
    )
    assert [type(one) for one in told] == [KeyReusedError, NotFoundError, missions.Record]
    assert len(await unfinished(counted.image)) == 2


async def test_the_same_key_twice_in_one_commit_is_one_mission(intake):
    one, other = await asyncio.gather(*(intake.accept(brief(), "s", "k") for _ in range(2)))
    assert one.id == other.id
    assert intake.queued == 1


async def test_a_full_session_may_ask_again_with_its_keys_but_not_with_a_new_one(intake):
    accepting = [intake.accept(brief(n), "s", f"k{n}") for n in range(MAX_PER_SESSION)]
    first, *_ = await asyncio.gather(*accepting)
    assert (await intake.accept(brief(0), "s", "k0")).id == first.id
    for key in ("new", ""):
        with pytest.raises(BusyError) as caught:
            await intake.accept(brief(99), "s", key)
        assert caught.value.retry_after_ms > 0
    assert (await intake.accept(brief(99), "other", "")).id


async def test_a_disk_that_is_full_is_told_to_all_and_the_places_are_free_again(intake, counted):
    counted.error = StorageFullError("full")
    told = await asyncio.gather(
        *(intake.accept(brief(n), "s", "") for n in range(MAX_PER_SESSION)), return_exceptions=True
    )
    assert {type(one) for one in told} == {StorageFullError}
    counted.error = None
    await asyncio.gather(*(intake.accept(brief(n), "s", "") for n in range(MAX_PER_SESSION)))


async def test_a_fault_of_ours_is_told_and_the_next_brief_is_taken(intake, counted, caplog):
    counted.error = ZeroDivisionError()
    with pytest.raises(Exception, match="internal error"):
        await intake.accept(brief(), "s", "k")
    assert "ZeroDivisionError" in caplog.text
    counted.error = None
    assert (await intake.accept(brief(), "s", "k")).id


async def test_what_is_stored_runs_although_its_asker_has_gone(intake, counted):
    asking = asyncio.ensure_future(intake.accept(brief(), "s", "k"))
    await asyncio.sleep(0)
    asking.cancel()
    record = await intake.accept(brief(), "s", "k")
    assert asking.cancelled()
    assert await unfinished(counted.image) == [record.id]
    assert intake.queued == 1
