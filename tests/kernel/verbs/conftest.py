"""A mind, and functions that teach it, have it learn, and ask it verbs by their names."""

import pytest

from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.verbs import check
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs import VERBS
from bat_os.kernel.verbs.objects import teach
from tests.kernel.minds import make_mind, open_mission, script

# By name: a program by example takes values in order only, so the model has to write the method.
DOUBLE = [{"args": [], "kwargs": {"number": 21}, "result": 42}]


@pytest.fixture
async def mind(image, cell):
    return make_mind(image, cell, script(" return number * 2"))


@pytest.fixture
def ask(mind):
    """Return a function that calls a verb by its name on the wire."""

    async def run(verb, selector="", target="genesis_obj", args=(), **body):
        request = Request(verb, target=target, selector=selector, args=tuple(args), body=body)
        return await VERBS[verb](mind, check(request), lambda told: None)

    return run


@pytest.fixture
def taught(mind):
    async def run(source, examples=(), target="genesis_obj"):
        body = {"source": source, "examples": list(examples)}
        request = check(Request("teach", target=target, body=body))
        return await teach(mind, request, lambda told: None)

    return run


@pytest.fixture
def brief(mind):
    """Return a function that takes a brief through its mission and returns the last reply."""

    async def run(selector="double", *args, **fields):
        mission = await open_mission(mind.image, selector, *(args or (21,)), **fields)
        return await CognitiveCycle(mind, lambda *_: None).run(mission)

    return run


@pytest.fixture
def learned(brief):
    """Return a function that has a mission learn ``double`` and returns its id."""

    async def run(selector="double", examples=tuple(DOUBLE), **fields):
        answer = await brief(selector, examples=examples, **fields)
        assert answer["type"] == "result", answer
        return answer["body"]["brief_id"]

    return run


@pytest.fixture
def latest(mind):
    """Return a function that tells the id of the last transaction."""

    async def run():
        return await mind.image.transact(
            lambda root: root._p_jar.db().lastTransaction().hex(), note="look"
        )

    return run


@pytest.fixture
def answer(mind):
    """Return a function that sends a message to genesis_obj and returns the value."""

    async def run(selector, *args):
        told = await take_turn(mind.image, mind.cell, Brief("genesis_obj", selector, args))
        return told.value

    return run
