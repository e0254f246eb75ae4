"""A mind that works with tools: its models are scripted, all else is the real kernel.

The world is the scripted driver, so that all that left the machine is known.
"""

import json
from dataclasses import replace

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.core.ability import Ability
from bat_os.image import flows, grants
from bat_os.image.flows import Flow
from bat_os.image.objects import UvmObject, find, ref_of
from bat_os.kernel.effects.performer import Performer
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.sinks import sink_of
from tests.kernel.minds import make_mind, open_mission, read
from tests.world.scripted import OPERATIONS, Scripted

BOXES = {"a": "see b", "b": "secret 42", "x": ""}


class Model:
    """Decides line by line, each persona with lines of its own; writes methods and tests.

    Attributes:
        lines: Persona -> what it says, one after the other, then the last one for ever.
        bodies: What it writes for the body of a method.
        tests: What it writes for tests.
        says: What it answers to a question in words.
        asked: Persona and prompt of each decision and each question in words.
    """

    def __init__(self):
        self.lines, self.bodies, self.says, self.asked = {}, " return None", "curious", []
        self.tests = [{"args": ["banana"], "result": 3}, {"args": ["xyz"], "result": 0}]

    @property
    def texts(self):
        return [text for _, text in self.asked]

    def __call__(self, prompt, sampling, index):
        system, asked = prompt.messages[0][1], prompt.messages[-1][1]
        who = system.partition(",")[0].removeprefix("You are ")
        if "tests" in (sampling.schema or {}).get("properties", {}):
            return json.dumps({"tests": self.tests})
        if "def " in asked or prompt.prefill:
            return self.bodies
        self.asked.append((who, asked))
        if sampling.schema is None:
            return self.says
        lines = self.lines[who]
        line = lines.pop(0) if len(lines) > 1 else lines[0]
        return line if isinstance(line, str) else json.dumps(line)


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def driver():
    return Scripted({f"/{name}": text for name, text in BOXES.items()})


@pytest_asyncio.fixture(loop_scope="module")
async def mind(image, cell, driver, model):
    mind = replace(make_mind(image, cell, model), drivers={"files": driver}, home_id="home")
    mind.abilities.update(dict.fromkeys(mind.personas, Ability(tools=1.0)))
    mind.orchestrator.performer = Performer(mind, lambda line: None)
    await load_library(mind)

    def prepare(root):
        for box in BOXES:
            given = grants.give(
                root, driver, {"path": f"/{box}"}, f"{box}_obj", given=1.0, operations=[*OPERATIONS]
            )
            find(root, "genesis_obj").set_slot(box, find(root, given.oid))
        robot = UvmObject("robot_obj", (root["objects"]["traits_obj"],))
        root["objects"]["robot_obj"] = robot

    await image.transact(prepare, note="prepare")
    return mind


@pytest.fixture
def let(mind):
    """Return a function that lets what was read through grants go to a sink, or to ALFRED."""

    async def allow(*names, sink="ALFRED"):
        def work(root):
            known = sink in mind.personas
            to = sink_of(root, sink) if known else ref_of(find(root, sink)).oid
            for name in names:
                flows.allow(root, Flow(ref_of(find(root, name)).oid, to, 1.0))

        await mind.image.transact(work, note="allow")

    return allow


@pytest_asyncio.fixture(loop_scope="module")
async def trusting(mind, let):
    """Let every persona have what is read of /a and /b."""
    for persona in mind.personas:
        await let("a_obj", "b_obj", sink=persona)


@pytest.fixture
def works(mind, model):
    """Return a function that runs a request with what ALFRED, and others, decide."""

    async def run(text, *lines, args=(), emit=lambda *_: None, **others):
        model.lines = {"ALFRED": [*lines], **others}
        mission_id = await open_mission(mind.image, "do_it", *args, text=text, mode="tools")
        await CognitiveCycle(mind, emit).run(mission_id)
        return await read(mind.image, mission_id)

    return run


def step(tool, **args):
    return {"tool": f"files.{tool}", "args": args}


READ = step("read", path="/a")


class Died(BaseException):
    """Stands for SIGKILL: nothing of ours may catch it."""
