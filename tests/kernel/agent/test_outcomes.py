"""What a request that takes steps becomes: divided work, judgements, later versions, other ways.

The model is scripted; image, cell, guardian and the learning of methods are the real ones.
"""

import pytest

from bat_os.core.brief import Brief
from bat_os.core.protocol import Request
from bat_os.core.schema import replace
from bat_os.errors import DraftsError, GrantWantedError
from bat_os.image import flows, grants
from bat_os.image.history.provenance import explain
from bat_os.image.objects import find, ref_of
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.missions.scheduler import Scheduler
from bat_os.kernel.sinks import sink_of
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs.history import redo, verify_method
from tests.kernel.agent.conftest import READ, step
from tests.kernel.minds import open_mission, read

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("trusting")]


async def call(mind, selector, *args):
    brief = Brief("genesis_obj", selector, args)
    return await take_turn(mind.image, mind.cell, brief, reach=mind, commit_reads=False)


async def test_a_judgement_becomes_a_method_that_asks_the_model(works, mind, model, driver):
    record = await works("what is the mood of /a?", READ, {"answer": "curious"}, args=("/a",))
    body = record.answer["body"]
    assert (body["status"], body["learned"], body["asks"]) == ("said", True, "ALFRED"), body
    driver.boxes["/a"], model.says = "hooray", "cheerful"
    again = await call(mind, "do_it", "/a")
    assert (again.value, again.status, len(again.drawn)) == ("cheerful", "provisional", 1)
    assert "hooray" in model.asked[-1][1]
    why = await mind.image.transact(
        lambda root: explain(root, find(root, "genesis_obj"), "do_it", 0, {}), note="why"
    )
    assert why["origin"]["asks"] == "ALFRED"


async def test_a_model_that_judges_otherwise_when_asked_again_gives_no_method(works, model):
    model.says = "no idea"
    record = await works("what is the mood of /a?", READ, {"answer": "curious"}, args=("/a",))
    assert (record.answer["body"]["learned"], record.answer["body"]["result"]) == (False, "curious")
    assert "judges otherwise" in record.mission.events[-1].reason


async def test_another_source_may_not_ask_the_model(works, mind, model):
    await works("what is the mood of /a?", READ, {"answer": "curious"}, args=("/a",))
    model.bodies, asked = " return self.alfred.infer('say all about ' + text)", len(model.asked)
    mission_id = await open_mission(mind.image, "do_it", "/a", text="what is it?", fresh=True)
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    assert (await read(mind.image, mission_id)).answer["body"]["code"] == GrantWantedError.code
    assert len(model.asked) == asked


async def test_what_was_read_goes_to_the_model_only_where_a_flow_lets_it(works, mind):
    await works("what is the mood of /a?", READ, {"answer": "curious"}, args=("/a",))

    def forbid(root):
        flows.disallow(root, ref_of(find(root, "a_obj")).oid, sink_of(root, "ALFRED"))

    await mind.image.transact(forbid, note="disallow")
    with pytest.raises(GrantWantedError, match="something read from"):
        await call(mind, "do_it", "/a")


async def test_a_later_version_is_judged_on_the_kept_world_alone(works, mind, model, driver):
    record = await works("how long is /a?", READ, {"answer": 5}, args=("/a",))
    assert record.answer["body"]["learned"], record.answer
    driver.boxes["/a"] = "changed since"
    driver.asked.clear()
    model.bodies = " return sum(1 for letter in self.a.read(text))"
    mission_id = await open_mission(mind.image, "do_it", "/a", text="how long is /a?", fresh=True)
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    done = await read(mind.image, mission_id)
    assert done.answer["type"] == "result", done.answer
    assert len(driver.asked) == 1, "only the call itself reads, no trial does"
    assert done.answer["body"]["result"] == len("changed since")


async def test_a_later_version_that_asks_for_more_than_was_kept_is_refused(
    works, mind, model, driver
):
    await works("how long is /a?", READ, {"answer": 5}, args=("/a",))
    driver.asked.clear()
    model.bodies = " return len(self.a.read(text)) + 0 * len(self.b.read('/b'))"
    mission_id = await open_mission(mind.image, "do_it", "/a", text="how long is /a?", fresh=True)
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    done = await read(mind.image, mission_id)
    assert (done.answer["type"], driver.asked) == ("error", [])


CHEATS = {
    "constant": " return 5",
    "reads and ignores": " return 5 if self.a.read(text) else 5",
    "table": " return {'see b': 5}[self.a.read(text)]",
    "insists": " assert self.a.read(text) == 'see b'\n    return 5",
}


async def relearn(mind, model, body):
    model.bodies = body
    mission_id = await open_mission(mind.image, "do_it", "/a", text="how long is /a?", fresh=True)
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    return await read(mind.image, mission_id)


@pytest.mark.parametrize("body", CHEATS.values(), ids=CHEATS)
async def test_a_later_version_that_only_repeats_the_one_trace_is_refused(works, mind, model, body):
    await works("how long is /a?", READ, {"answer": 5}, args=("/a",))
    done = await relearn(mind, model, body)
    assert done.answer["type"] == "error", done.answer
    problems = {verdict["problem"] for verdict in done.mission.events[-1].verdicts}
    assert len(problems) == 1, problems
    assert "does not depend on" in str(problems) or "fails on all but" in str(problems)


async def test_one_trace_makes_no_later_version_verified(works, mind, model):
    await works("how long is /a?", READ, {"answer": 5}, args=("/a",))
    done = await relearn(mind, model, " return sum(1 for letter in self.a.read(text))")
    assert done.answer["body"]["status"] == "provisional", done.answer


async def test_what_only_repeats_the_kept_world_does_not_come_back(works, mind):
    """Verify and redo try a version on the world that was kept, and on others."""
    await works("how long is /a?", READ, {"answer": 5}, args=("/a",))

    def work(root):
        method = find(root, "genesis_obj").slots["do_it"]
        method.add_version(f"def do_it(self, text):\n   {CHEATS['table']}\n", "verified", {})

    await mind.image.transact(work, note="an older program let it in")
    asked = Request("", target="genesis_obj", selector="do_it", body={"examples": (), "version": 2})
    first = replace(asked, body={"version": 1})
    with pytest.raises(DraftsError, match="fails on all but"):
        await verify_method(mind, asked, lambda line: None)
    assert (await redo(mind, first, lambda line: None))["version"] == 1
    with pytest.raises(DraftsError, match="fails on all but"):
        await redo(mind, asked, lambda line: None)


async def test_a_mission_for_which_no_method_can_be_written_goes_on_with_tools(mind, model, driver):
    model.bodies = " return __import__('os').getcwd()"
    model.lines = {"ALFRED": [READ, {"answer": "see b"}]}
    mission_id = await open_mission(mind.image, "show_it", "/a", text="read the file")
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    done = await read(mind.image, mission_id)
    assert done.answer["body"].get("result") == "see b", done.answer
    kinds = [type(event).__name__ for event in done.mission.events]
    assert kinds[kinds.index("ToolsOffered") - 1] == "MethodDrafted"
    assert done.answer["body"]["learned"]
    assert (await call(mind, "show_it", "/a")).value == "see b"


async def test_without_tools_it_stays_a_failure(mind, model):
    def revoke(root):
        for name in ("a_obj", "b_obj", "x_obj"):
            grants.revoke(root, ref_of(find(root, name)).oid, 2.0)

    await mind.image.transact(revoke, note="revoke")
    model.bodies = " return __import__('os').getcwd()"
    mission_id = await open_mission(mind.image, "show_it", "/a", text="read the file")
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    assert (await read(mind.image, mission_id)).answer["body"]["code"] == "SANDBOX_FAILED"


async def divide(mind, **entries):
    def work(root):
        for key, value in {"step": "divided", **entries}.items():
            find(root, "state_acting_obj").set_slot(key, value)

    await mind.image.transact(work, note="divide")


def parts(**others):
    return {
        "BRICK": [{"plan": ["read /a", "say it"]}],
        "BABS": [READ, {"answer": "see b"}],
        "ROBIN": [{"serves": True, "remark": "it does"}],
        **others,
    }


async def test_personas_divide_the_work(works, mind, model):
    await divide(mind)
    record = await works("what does /a say?", {"answer": "see b"}, args=("/a",), **parts())
    body = record.answer["body"]
    assert (body["result"], body["learned"]) == ("see b", True), body
    assert [one.partition("(")[0] for one in body["steps"]] == [
        "BRICK.plans", "files.read", "BABS.gathers", "ALFRED.writes", "ROBIN.checks"
    ]  # fmt: skip
    assert [who for who, _ in model.asked] == ["BRICK", "BABS", "BABS", "ALFRED", "ROBIN"]
    assert [event.step["by"] for event in record.mission.events if hasattr(event, "step")] == [
        "BRICK", "BABS", "BABS", "ALFRED", "ROBIN"
    ]  # fmt: skip
    assert "say it" in model.asked[3][1]
    assert "see b" in model.asked[4][1]


async def test_what_does_not_serve_is_written_again_once(works, mind, model):
    await divide(mind)
    others = parts(ROBIN=[{"serves": False, "remark": "say what it means"}])
    record = await works("what does /a say?", {"answer": "b"}, {"answer": "see b"}, args=("/a",),
                         **others)  # fmt: skip
    assert record.answer["body"]["result"] == "see b"
    assert "say what it means" in [text for who, text in model.asked if who == "ALFRED"][1]


async def test_a_person_says_who_does_what(works, mind, model):
    await divide(mind, plans="", checks="", gathers="ROBIN")
    await mind.image.transact(
        lambda root: find(root, "robin_obj").set_slot("touches", ["reads"]), note="set"
    )
    await works("what does /a say?", {"answer": "see b"}, args=("/a",), ROBIN=parts()["BABS"])
    assert [who for who, _ in model.asked] == ["ROBIN", "ROBIN", "ALFRED"]


@pytest.mark.parametrize("after", range(1, 6))
async def test_a_request_is_cancelled_between_any_two_steps(mind, model, driver, after):
    model.lines = {"ALFRED": [READ, step("read", path="/b"), {"answer": "see b"}]}
    mission_id = await open_mission(mind.image, "do_it", "/a", "/b", text="/a, /b", mode="tools")
    scheduler, seen = Scheduler(mind, lambda event: None), []
    scheduler.open()

    def hear(event):
        seen.append(event)
        if len(seen) == after:
            assert scheduler.cancel(mission_id)

    scheduler.start(await read(mind.image, mission_id))
    answer = await scheduler.result(mission_id, hear)
    await scheduler.close()
    assert answer["body"]["code"] == "CANCELLED"
    assert len(driver.asked) == (after - 1) // 2
    done = (await read(mind.image, mission_id)).mission
    assert [type(event).__name__ for event in done.events][-1] == "MissionFailed"
