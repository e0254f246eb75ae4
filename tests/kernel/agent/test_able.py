"""Longer wishes by a model on a server: real HTTP, as a model of 7B behaves, its bad habits too."""

import itertools
from dataclasses import replace

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.core.ability import Ability
from bat_os.engines.model_server import Policy
from bat_os.engines.openai import OpenAiEngine
from bat_os.image import flows, grants
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
from tests.model_servers import serving

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


@pytest_asyncio.fixture(loop_scope="module")
async def works(image, cell, notes, server):
    """Return a function that runs a wish and returns the record of its mission."""
    engine = OpenAiEngine("able", server.url, policy=Policy(attempts=1, backoff=0.001))
    driver = Files()
    mind = replace(make_mind(image, cell, [], engine=engine), drivers={"files": driver})
    mind.abilities["ALFRED"] = Ability(tools=1.0)
    await load_library(mind)

    def grant(root):
        given = grants.give(root, driver, driver.scope(str(notes)), "notes_obj", given=1.0)
        find(root, "genesis_obj").set_slot("notes", find(root, given.oid))
        to = sink_of(root, "ALFRED")
        flows.allow(root, Flow(ref_of(find(root, "notes_obj")).oid, to, 1.0))

    await image.transact(grant, note="grant")

    numbers = itertools.count()

    async def run(wish):
        args = [value_of(one) for one in things_in(read_request(wish))]
        selector = f"wish_{next(numbers)}"  # what one wish taught answers no other one
        mission_id = await open_mission(image, selector, *args, text=wish, mode="tools")
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
