"""A mind that reaches a folder through a performer, and a driver whose deeds are counted."""

import asyncio
import contextlib
from dataclasses import replace

import pytest

from bat_os.app.library import load_library
from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.image import outbox
from bat_os.kernel.effects.performer import Performer
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs import VERBS
from bat_os.world.files import Files
from tests.kernel.minds import make_mind, script


@pytest.fixture
def driver():
    return Files()


@pytest.fixture
def told():
    """Lines of the journal."""
    return []


@pytest.fixture
async def mind(image, cell, driver, told):
    mind = replace(
        make_mind(image, cell, script(" return 1")), drivers={driver.name: driver}, home_id="home"
    )
    mind.orchestrator.performer = Performer(mind, told.append)
    await load_library(mind)
    return mind


@pytest.fixture
def performing(mind):
    """Return a context manager in which a performer works."""

    @contextlib.asynccontextmanager
    async def perform():
        mind.orchestrator.performer = performer = Performer(mind, mind.orchestrator.performer.tell)
        task = asyncio.create_task(performer.keep())
        try:
            await asyncio.sleep(0)
            yield performer
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return perform


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.txt").write_text("one\n")
    return folder


@pytest.fixture
def send(mind):
    """Return a function that sends a message and returns the value."""

    async def run(target, selector, *args, **kwargs):
        brief = Brief(target, selector, args, kwargs)
        return (await take_turn(mind.image, mind.cell, brief, commit_reads=False, reach=mind)).value

    return run


@pytest.fixture
def ask(mind):
    """Return a function that calls a verb by its name on the wire."""

    async def run(verb, target="genesis_obj", selector="", **body):
        request = check(Request(verb, target=target, selector=selector, body=body))
        return await VERBS[verb](mind, request, lambda _: None)

    return run


@pytest.fixture
def taught(ask):
    async def run(source, target="genesis_obj"):
        return await ask("teach", target, source=source)

    return run


@pytest.fixture
def pending(mind):
    """Return a function that reads what is in the outbox, as (state, text)."""

    async def read():
        return await mind.image.transact(
            lambda root: [(each.state, each.text) for each in outbox.pending(root)], note="look"
        )

    return read
