"""bat_os.kernel.learning.trial: tests that ALFRED writes in a whole mission, with the real cell."""

import json

import pytest

from bat_os.image.objects import find
from bat_os.kernel.learning.cycle import CognitiveCycle
from tests.kernel.minds import PLAN, make_mind, open_mission, read

pytestmark = pytest.mark.asyncio(loop_scope="module")
RIGHT, WRONG = " return number * 2", " return number + 21"
TESTS = json.dumps({"tests": [{"args": [4], "result": 8}, {"args": [21], "result": 42},
                              {"args": [5], "result": 11}]})  # fmt: skip


def writes(tests, *bodies):
    """Return a script: BRICK's plan, ALFRED's tests, and bodies by their place in a batch."""

    def answer(prompt, sampling, index):
        if sampling.schema is None:
            return bodies[(index + (sampling.temperature > 0)) % len(bodies)]
        return tests if "tests" in sampling.schema["properties"] else PLAN

    return answer


@pytest.fixture
def think(image, cell):
    """Return a function that runs one mission and returns (body, provenance, record)."""

    async def run(answers, **fields):
        mind = make_mind(image, cell, answers, tests="written")
        mission_id = await open_mission(image, "double", 21, **fields)
        answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)

        def provenance(root):
            method = find(root, "genesis_obj").slots.get("double")
            return dict(method.version.provenance) if method is not None else {}

        told = await image.transact(provenance, note="look")
        return answer["body"], told, await read(image, mission_id)

    return run


async def test_strong_tests_and_agreement_verify_and_the_tests_are_kept(think):
    body, told, record = await think(writes(TESTS, RIGHT, RIGHT, WRONG))
    assert body["status"] == "verified"
    assert body["why"] == "3 of 3 candidates agree; passes the written test"
    assert [(one["args"], one["strong"]) for one in told["written_tests"]] == [
        ([4], True), ([21], False), ([5], False),
    ]  # fmt: skip
    assert record.mission.events[-1].model_calls == 1
    assert record.mission.events[-1].tokens > 0


async def test_tests_that_cannot_be_read_leave_the_choice_as_it_was(think):
    body, told, _ = await think(writes("I think so", RIGHT, RIGHT, WRONG))
    assert (body["status"], told["written_tests"]) == ("provisional", [])


async def test_weak_tests_leave_the_choice_as_it_was(think):
    body, told, _ = await think(writes(TESTS, RIGHT))
    assert body["status"] == "provisional"
    assert not any(one["strong"] for one in told["written_tests"])


async def test_where_an_example_is_given_no_test_is_written(think):
    example = {"args": [4], "kwargs": {}, "result": 8}
    body, told, record = await think(writes(TESTS, RIGHT), examples=(example,))
    assert (body["status"], body["why"]) == ("verified", "reproduces the example")
    assert (told["written_tests"], record.mission.events[-1].model_calls) == ([], 0)
