"""bat_os.cli.chatroom.names: what the image understands, kept fresh in the background."""

import asyncio

import pytest

from bat_os.cli.chatroom.names import LiveNames
from bat_os.client.client import KernelClient

pytestmark = pytest.mark.slow


class News:
    """Waits until names are as they are wanted."""

    def __init__(self, names):
        self._names = names
        self._came = asyncio.Event()
        names.on_news = self._came.set

    async def until(self, holds):
        while not holds(self._names):
            self._came.clear()
            await self._came.wait()


@pytest.fixture
async def keep():
    """Return a function that keeps names of a connection fresh until the test ends."""
    tasks = []

    def begin(connect):
        names = LiveNames(connect)
        tasks.append(asyncio.create_task(names.run()))
        return names

    yield begin
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_anybody_has_learned_is_known_soon(thinking, keep):
    thinking.gate.set()
    names = keep(thinking.client)
    news = News(names)
    await news.until(lambda names: names.reachable)
    assert "genesis_obj" in names.objects
    assert "clone" in names.messages("genesis_obj")
    assert "double" not in names.messages("genesis_obj")
    before = names.count
    async with thinking.client() as someone_else:
        told = {"target": "genesis_obj", "selector": "double", "args": [1], "ik": "k"}
        await someone_else.request("send", timeout=None, **told)
    await news.until(lambda names: "double" in names.messages("genesis_obj"))
    assert names.count == before + 1


async def test_without_a_kernel_there_are_no_names_and_no_error(tmp_path, keep):
    names = keep(lambda: KernelClient.at(tmp_path, lambda: False))
    await News(names).until(lambda names: names.reachable is False)
    assert names.objects == []
    assert names.messages("genesis_obj") == []
