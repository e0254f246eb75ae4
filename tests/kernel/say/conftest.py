"""A real image with the shipped library, the real embedding model, and a model with a script."""

import itertools
from dataclasses import replace

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.core.protocol import Request, decode_reply, encode_reply
from bat_os.core.verbs import check
from bat_os.kernel.dispatcher import Dispatcher
from bat_os.kernel.missions.scheduler import Scheduler
from bat_os.kernel.verbs import VERBS
from tests.kernel.minds import make_mind, script
from tests.kernels import ThinkingKernel


@pytest.fixture
def writes():
    """Return what the model writes: a body per round of candidates. Tests override it."""
    return script(" return None")


@pytest.fixture
def drivers():
    """Return what reaches outside the image: nothing. Tests override it."""
    return {}


@pytest_asyncio.fixture(loop_scope="module")
async def mind(image, cell, minilm, writes, drivers):
    mind = replace(make_mind(image, cell, writes, embedder=minilm), drivers=drivers)
    await load_library(mind)
    return mind


@pytest_asyncio.fixture(loop_scope="module")
async def dispatcher(mind):
    scheduler = Scheduler(mind, lambda event: None)
    scheduler.open()
    about = {"awakening": "", "loading": "", "boot": "b", "version": "0", "image_id": "i"}
    dispatcher = Dispatcher(
        mind, scheduler, lambda: about | {"limits": {}}, lambda restart: None, VERBS
    )
    yield dispatcher
    await dispatcher.room.close()
    await scheduler.close()


@pytest.fixture
def said(dispatcher):
    """Return a function that says a sentence and returns the body of the answer."""
    keys = itertools.count()

    async def say(text, session="s", caller="", key="", **body):
        events = []
        request = Request("say", session=session, body={"text": text, **body})
        request = replace_fields(check(request), caller=caller, key=key or f"k{next(keys)}")
        reply = await dispatcher.handle(request, events.append)
        decode_reply(encode_reply(reply))
        return dict(reply.body) | {"events": [event.body for event in events]}

    return say


@pytest.fixture
async def talk(tmp_path):
    """Return a function that says sentences in one conversation and returns their answers."""
    async with ThinkingKernel(tmp_path / "home") as thinking:
        thinking.gate.set()
        await load_library(thinking.mind)
        async with thinking.client() as client:

            async def say(text, session="one"):
                return await client.request("say", timeout=60, session=session, body={"text": text})

            say.mind = thinking.mind
            yield say


def replace_fields(request, **fields):
    from bat_os.core.schema import replace as with_fields

    return with_fields(request, **fields)
