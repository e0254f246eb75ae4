"""bat_os.image.history.marks: calls counted in memory, written now and then."""

import asyncio

import pytest

from bat_os.errors import ShuttingDownError
from bat_os.image.history.uses import CLIENT, MAX_CALLERS, OTHERS, flush, keep_flushing, uses_of
from bat_os.image.store import ImageStore


def used(selector="wave"):
    return lambda root, robot: uses_of(root, robot.slots[selector])


async def test_calls_are_added_up_by_method_version_and_caller(image, change, learn):
    await learn("wave", 1)
    # The child inherits: it is the robot's method that answers.
    image.uses.record([("robot", "wave", CLIENT), ("child", "wave", CLIENT)])
    assert await flush(image) == 2
    await learn("wave", 2)
    image.uses.record([("robot", "wave", "genesis_obj")])
    await flush(image)
    told = await change(used())
    assert (told["count"], told["versions"]) == (3, {1: 2, 2: 1})
    assert told["callers"] == {"client": 2, "genesis_obj": 1}
    assert 0 < told["first"] <= told["last"]


async def test_counting_writes_nothing_until_it_is_flushed(image, change, learn):
    await learn("wave")
    before = await image.transact(lambda root: root._p_jar.db().lastTransaction(), note="t")
    for _ in range(1000):
        image.uses.record([("robot", "wave", CLIENT)])
    assert await change(lambda root, _: root._p_jar.db().lastTransaction()) == before
    assert await flush(image) == 1000
    after = await change(lambda root, _: root._p_jar.db().lastTransaction())
    assert after != before
    assert await flush(image) == 0
    assert await change(lambda root, _: root._p_jar.db().lastTransaction()) == after


async def test_what_no_learned_method_answers_is_not_counted(image, change, learn, unlearn):
    await learn("wave")
    await unlearn("wave")
    for target, selector in (("robot", "wave"), ("nobody", "x"), ("00" * 8, "x"), ("robot", "x")):
        image.uses.record([(target, selector, CLIENT)])
    await flush(image)
    assert (await change(used()))["count"] == 0


async def test_many_callers_are_counted_together(image, change, learn):
    await learn("wave")
    for number in range(MAX_CALLERS + 5):
        image.uses.record([("robot", "wave", f"caller{number}")])
    await flush(image)
    callers = (await change(used()))["callers"]
    assert (len(callers), callers[OTHERS]) == (MAX_CALLERS + 1, 5)


async def test_what_could_not_be_written_is_written_the_next_time(image, change, learn):
    await learn("wave")
    closed = ImageStore.in_memory()
    await closed.close()
    closed.uses.record([("robot", "wave", CLIENT)])
    with pytest.raises(ShuttingDownError):
        await flush(closed)
    image.uses.put_back(closed.uses.take())
    image.uses.record([("robot", "wave", CLIENT)])
    assert await flush(image) == 2
    assert (await change(used()))["count"] == 2


async def test_the_task_flushes_once_more_when_it_is_cancelled(image, change, learn):
    await learn("wave")
    task = asyncio.create_task(keep_flushing(image, every=3600))
    await asyncio.sleep(0)  # it begins
    image.uses.record([("robot", "wave", CLIENT)])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await change(used()))["count"] == 1
