"""bat_os.image.writer: what waits for the same commit goes together."""

import asyncio

import pytest

from bat_os.errors import NotFoundError, StorageFullError
from bat_os.image.writer import Writer


class Slow:
    """A real image whose commits wait until they may."""

    def __init__(self, image):
        self.image, self.notes, self.may = image, [], asyncio.Event()
        self.begun = asyncio.Event()
        self.error = None

    async def transact(self, work, *, note, mission=""):
        self.notes.append((note, mission))
        self.begun.set()
        await self.may.wait()
        if self.error is not None:
            raise self.error
        return await self.image.transact(work, note=note, mission=mission)


@pytest.fixture
def slow(image):
    return Slow(image)


def setting(name):
    return lambda root: root.update({name: 1}) or name


async def names(slow):
    return sorted(await slow.image.transact(list, note="list"))


async def begin(writer, slow):
    """Begin a commit; what is written from now on waits for it."""
    first = asyncio.create_task(writer.write(setting("a"), note="set a", mission="m"))
    await slow.begun.wait()
    return first


async def test_what_waits_is_one_commit_and_who_is_refused_is_refused_alone(slow):
    writer = Writer(slow)

    def refused(root):
        raise NotFoundError("no such thing")

    first = await begin(writer, slow)
    works = (setting("b"), "set b"), (refused, "set none"), (setting("c"), "set b")
    waiting = [asyncio.create_task(writer.write(work, note=note)) for work, note in works]
    await asyncio.sleep(0)
    slow.may.set()
    told = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [str(one) for one in told] == ["a", "b", "no such thing", "c"]
    assert slow.notes == [("set a", "m"), ("set b (2); set none", "")]
    assert await names(slow) == ["a", "b", "c"]


async def test_what_is_cancelled_is_not_written_unless_it_has_begun(slow):
    writer = Writer(slow)
    first = await begin(writer, slow)
    second = asyncio.create_task(writer.write(setting("b"), note="set b"))
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert not first.done()  # it ends when its commit has ended
    slow.may.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await names(slow) == ["a"]


async def test_a_commit_that_fails_is_told_to_all(slow):
    writer, slow.error = Writer(slow), StorageFullError("full")
    first = await begin(writer, slow)
    others = [asyncio.create_task(writer.write(setting(name), note="set")) for name in "bc"]
    slow.may.set()
    told = await asyncio.gather(first, *others, return_exceptions=True)
    assert {type(one) for one in told} == {StorageFullError}
    assert await names(slow) == []
