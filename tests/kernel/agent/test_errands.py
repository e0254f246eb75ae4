"""Steps that are missions of their own: methods that are wanted, wishes to objects and personas.

The model is scripted; image, cell, guardian and the learning of methods are the real ones.
"""

import pytest

from bat_os.errors import CancelledError
from bat_os.image import desks, missions
from bat_os.image.history.provenance import explain
from bat_os.image.history.versions import unlearn
from bat_os.image.objects import Method, find
from bat_os.kernel.agent.budget import CALLS
from bat_os.kernel.learning import asking
from bat_os.kernel.learning.cycle import CognitiveCycle
from tests.kernel.agent.conftest import READ, Died, step
from tests.kernel.minds import open_mission, read

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("trusting")]
VOWELS = " return sum(letter in 'aeiou' for letter in text)"
WRITE = {"write": "count the vowels in a text", "args": ["see b"]}


@pytest.fixture
def model(model):
    model.bodies = VOWELS
    return model


async def test_a_method_is_written_as_a_step_and_is_a_learned_method(works, mind):
    record = await works("how many vowels are in /a?", READ, WRITE, {"answer": 2}, args=("/a",))
    body = record.answer["body"]
    assert (body["result"], body["learned"]) == (2, True), body
    assert body["steps"][1] == "forge('count the vowels in a text', 'see b')"
    why = await mind.image.transact(
        lambda root: [
            explain(root, find(root, "genesis_obj"), name, 0, {})
            for name in ("count_vowels_in_text", "do_it")
        ],
        note="why",
    )
    assert why[0]["status"] in ("verified", "provisional")
    assert why[0]["mission"]["id"] == f"{record.id}.1"
    assert "forge('count the vowels in a text'" in why[1]["origin"]["why"]
    assert "self.count_vowels_in_text(" in why[1]["source"]


async def test_its_tests_are_written_beside_it_and_run(works, mind):
    record = await works("how many vowels are in /a?", READ, WRITE, {"answer": 2}, args=("/a",))
    tests = await mind.image.transact(
        lambda root: (
            find(root, "genesis_obj")
            .slots["count_vowels_in_text"]
            .version.provenance["written_tests"]
        ),
        note="look",
    )
    assert record.answer["type"] == "result"
    assert [(one["args"], one["passed"]) for one in tests] == [
        (["banana"], [0, 1, 2]),
        (["xyz"], [0, 1, 2]),
    ]


async def test_what_the_guardian_refuses_is_no_method_and_the_error_is_data(works, mind, model):
    model.bodies = " return __import__('os').system('id')"
    record = await works("how many vowels are in /a?", READ, WRITE, {"answer": "see b"},
                         args=("/a",))  # fmt: skip
    assert record.answer["body"]["result"] == "see b"
    assert "forge('count the vowels" in model.asked[-1][1]
    assert "failed, as data" in model.asked[-1][1]
    assert not await mind.image.transact(
        lambda root: find(root, "genesis_obj").lookup("count_vowels_in_text"), note="look"
    )


async def test_a_written_method_can_be_unlearned(works, mind):
    await works("how many vowels are in /a?", READ, WRITE, {"answer": 2}, args=("/a",))
    await mind.image.transact(
        lambda root: unlearn(root, find(root, "genesis_obj"), "count_vowels_in_text", at=1.0),
        note="undo",
    )
    assert not await mind.image.transact(
        lambda root: find(root, "genesis_obj").lookup("count_vowels_in_text"), note="look"
    )


async def test_another_persona_does_a_part_with_what_was_found(works, model):
    record = await works(
        "what do /a and /b say?", READ, {"wish": "read /b", "of": "BABS"}, {"answer": "secret 42"},
        args=("/a", "/b"), BABS=[step("read", path="/b"), {"answer": "secret 42"}],
    )  # fmt: skip
    assert record.answer["body"]["result"] == "secret 42", record.answer
    assert record.answer["body"]["steps"][1] == "mission.wish('read /b', 'BABS')"
    (asked, *_) = [text for who, text in model.asked if who == "BABS"]
    assert "see b" in asked, "what was found before goes with the wish"


async def test_another_object_does_a_part(works, mind, model):
    model.bodies = " return text.upper()"
    record = await works(
        "say what is in /a to the robot", READ, {"wish": 'shout "see b"', "of": "robot_obj"},
        {"answer": "SEE B"}, args=("/a",),
    )  # fmt: skip
    assert record.answer["body"]["result"] == "SEE B", record.answer
    assert await mind.image.transact(
        lambda root: find(root, "robot_obj").lookup("shout") is not None, note="look"
    )


async def test_a_persona_touches_what_the_image_lets_it(works, model, driver):
    record = await works(
        "put it into /b", {"wish": "append 'x' to /b", "of": "BABS"}, {"answer": "/b"},
        args=("/b",), BABS=[step("append", path="/b", text="x")],
    )  # fmt: skip
    assert "files.append" not in next(text for who, text in model.asked if who == "BABS")
    assert driver.done == []
    assert "error" in record.mission.events[2].result


async def test_a_person_changes_what_a_persona_may_touch(works, mind, model):
    def work(root):
        find(root, "babs_obj").set_slot("touches", ["files.names"])

    await mind.image.transact(work, note="set")
    await works("what is in /b", {"wish": "read /b", "of": "BABS"}, {"answer": "/b"},
                args=("/b",), BABS=[step("read", path="/b")])  # fmt: skip
    asked = next(text for who, text in model.asked if who == "BABS")
    assert "files.names" in asked
    assert "files.read" not in asked


async def test_all_errands_spend_one_budget_and_none_is_deeper_than_three(works, model, mind):
    deeper = [{"wish": f"ask about /a {who}", "of": who} for who in ("BABS", "ALFRED")]
    await mind.image.transact(
        lambda root: find(root, "babs_obj").set_slot("touches", ["wish", "reads"]), note="set"
    )
    record = await works("what is /a", deeper[0], args=("/a",), BABS=[deeper[1]])
    ids = await mind.image.transact(
        lambda root: [one for one in missions.ids_after(root, "") if one.startswith(record.id)],
        note="list",
    )
    assert max(one.count(".") for one in ids) == 3
    assert record.mission.state == "failed"


async def test_an_errand_that_spends_it_all_ends_the_whole_and_more_goes_on(works, mind, model):
    calls = [step(op, path=f"/{box}") for op in ("read", "facts", "names") for box in "ab"]
    record = await works(
        "look at /a and /b", *calls[:4], {"wish": "look at /a and /b", "of": "BABS"},
        {"answer": "see b"}, args=("/a", "/b"), BABS=[*calls, {"answer": "see b"}],
    )  # fmt: skip
    body = record.answer["body"]
    assert (body["code"], "of 8 steps" in body["message"]) == ("DEADLINE", True), body
    assert record.id in body["message"]
    assert f"{record.id}." not in body["message"]
    await mind.image.transact(lambda root: desks.resume(root, record.id, more=True), note="resume")
    await CognitiveCycle(mind, lambda *_: None).run(record.id)
    again = await read(mind.image, record.id)
    assert again.answer["body"].get("result") == "see b", again.answer


async def test_a_yes_to_what_an_errand_wants_is_asked_by_the_mission(works, mind, driver):
    record = await works(
        "put 'x' into /b", {"wish": "append 'x' to /b", "of": "ROBIN"}, {"answer": "x"},
        args=("x", "/b"), ROBIN=[step("append", path="/b", text="x")],
    )  # fmt: skip
    assert "error" in record.mission.events[2].result, "ROBIN touches nothing"
    await mind.image.transact(
        lambda root: find(root, "robin_obj").set_slot("touches", ["changes"]), note="set"
    )
    record = await works(
        "put 'x' into /b", {"wish": "append 'x' to /b", "of": "ROBIN"}, {"answer": "x"},
        args=("x", "/b"), ROBIN=[step("append", path="/b", text="x"), {"answer": "x"}],
    )  # fmt: skip
    body = record.answer["body"]
    assert body["code"] == "GRANT_WANTED"

    class Resuming:
        async def resume_failed(self, mission_id, *, leave):
            await mind.image.transact(
                lambda root: desks.resume(root, mission_id, leave=leave), note="resume"
            )

    assert await asking.answer(mind, Resuming(), record.id, "once")
    await CognitiveCycle(mind, lambda *_: None).run(record.id)
    done = await read(mind.image, record.id)
    assert done.answer["body"].get("effects"), done.answer


@pytest.mark.parametrize("after", range(2, 12))
async def test_a_kernel_that_dies_in_an_errand_leaves_the_rest_to_the_next(
    mind, model, driver, after
):
    model.lines = {
        "ALFRED": [READ, {"wish": "read /b", "of": "BABS"}, {"answer": "secret 42"}],
        "BABS": [step("read", path="/b"), {"answer": "secret 42"}],
    }
    mission_id = await open_mission(
        mind.image, "do_it", "/a", "/b", text="read /a and /b", mode="tools"
    )
    seen = []

    def die(_id, mission, _said):
        seen.append(mission)
        if len(seen) == after:
            raise Died

    with pytest.raises(Died):
        await CognitiveCycle(mind, die).run(mission_id)
    waiting = await mind.image.transact(missions.unfinished, note="look")
    assert waiting in ([mission_id], []), "the next kernel takes up the mission, and it its errands"
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    record = await read(mind.image, mission_id)
    assert record.answer["body"]["result"] == "secret 42"
    assert [one[1:3] for one in driver.asked] == [("read", "/a"), ("read", "/b")]
    assert record.answer["body"]["model_calls"] == 5


async def test_a_mission_that_is_cancelled_ends_its_errands(mind, model):
    model.lines = {"ALFRED": [{"wish": "read /b", "of": "BABS"}], "BABS": [READ]}
    mission_id = await open_mission(mind.image, "do_it", "/a", text="read /a", mode="tools")

    def die(an_id, mission, _said):
        if "." in an_id:
            raise Died

    with pytest.raises(Died):
        await CognitiveCycle(mind, die).run(mission_id)
    await CognitiveCycle(mind, lambda *_: None).fail(mission_id, CancelledError("cancelled"))
    left = await mind.image.transact(
        lambda root: [one for one in root["unfinished"][""] if one.startswith(mission_id)],
        note="look",
    )
    assert left == []


LOOKS = 9  # of each message below; three of them are more than a mission may look


async def test_what_a_method_reads_counts_for_the_mission_that_sent_it(works, mind, driver):
    def teach(root):
        robot = find(root, "robot_obj")
        robot.set_slot("a", find(root, "a_obj"))
        for name in ("weigh", "measure", "count"):
            method = Method(name)
            read = f"self.a.read('/a') for _ in range({LOOKS})"
            source = f"def {name}(self, text):\n    return len([{read}])\n"
            method.add_version(source, "taught", {})
            robot.set_slot(name, method)

    await mind.image.transact(teach, note="teach")
    wishes = [{"wish": f'{name} "see b"', "of": "robot_obj"} for name in ("weigh", "measure")]
    record = await works("what is in /a?", READ, *wishes, {"answer": LOOKS}, args=("/a",))
    assert record.answer["body"].get("result") == LOOKS, record.answer
    more = {"wish": 'count "see b"', "of": "robot_obj"}
    record = await works("what is in it, in /a?", READ, *wishes, more, READ, args=("/a",))
    body = record.answer["body"]
    assert body["code"] == "DEADLINE", body
    assert f"{3 * LOOKS + 1} of {CALLS} calls of the world" in body["message"]
    assert len(driver.asked) == 2 * (2 * LOOKS + 1) + LOOKS


async def test_what_a_method_reads_while_it_is_written_counts_too(works, mind, model, driver):
    model.bodies = f" return max(len(self.a.read('/a') + text) for _ in range({LOOKS}))"
    model.tests = [{"args": ["see b"], "result": 10}, {"args": ["xyz"], "result": 8}]
    write = [{"write": f"measure the {what} with it", "args": ["see b"]} for what in ("a", "b")]
    record = await works("how long is /a?", READ, *write, READ, args=("/a",))
    body = record.answer["body"]
    assert "calls of the world" in body["message"], body
    assert f"{len(driver.asked)} of {CALLS} calls of the world" in body["message"]
