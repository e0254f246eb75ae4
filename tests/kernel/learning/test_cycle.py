"""bat_os.kernel.learning.cycle: every state of a mission, with the real image and the real cell."""

import asyncio
from dataclasses import replace

import pytest

from bat_os.core.brief import Brief, parameters
from bat_os.core.mission import MAX_DRAFTS, MessageUnderstood, MethodDrafted, QueriesPlanned, State
from bat_os.engines.scripted import ScriptedEngine
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import find
from bat_os.kernel.entries import PLAN_TRIES
from bat_os.kernel.learning.cycle import CognitiveCycle
from tests.cells.scripted_cell import ScriptedCell
from tests.kernel.minds import PLAN, make_mind, open_mission, read, rewind, script

DOUBLE = " return number * 2"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def think(image, cell):
    """Return a function that runs one mission and returns (answer, record, states)."""

    async def run(answers, selector, *args, mind=None, key="", **fields):
        states = []
        mind = mind or make_mind(image, cell, answers)
        cycle = CognitiveCycle(mind, lambda _id, mission, say: states.append((mission.state, say)))
        mission_id = await open_mission(image, selector, *args, key=key, **fields)
        answer = await cycle.run(mission_id)
        return answer, await read(image, mission_id), states

    return run


async def raw(image, name="genesis_obj"):
    """Return the stored bytes of an object and their serial."""

    def work(root):
        obj = find(root, name)
        obj._p_activate()
        return root._p_jar.db().storage.load(obj._p_oid, "")

    return await image.transact(work, note="load")


async def stored_method(image, selector, name="genesis_obj"):
    def work(root):
        method = find(root, name).slots[selector]
        versions = [(v.source, v.status, v.provenance) for v in method.versions]
        return method.current, versions

    return await image.transact(work, note="read a method")


async def teach(image, selector, source, name="genesis_obj"):
    await image.transact(
        lambda root: install(root, find(root, name), Skill(selector, source, "taught", {}, "x")),
        note="teach",
    )


async def test_a_mission_goes_through_every_state_and_answers(think):
    answer, record, states = await think(script(DOUBLE), "double", 21)
    assert [state for state, _ in states] == [
        State.DECOMPOSING, State.DELEGATING, State.SYNTHESIZING, State.VALIDATING, State.COMPLETE,
    ]  # fmt: skip
    body = answer["body"]
    assert (answer["type"], body["result"], body["learned"]) == ("result", 42, True)
    assert (body["status"], body["model_calls"]) == ("provisional", 2)
    assert record.mission.state is State.COMPLETE
    assert record.answer == answer


async def test_the_wish_is_what_is_looked_up_and_nobody_is_asked_for_queries(image, cell, think):
    engine = ScriptedEngine(script(DOUBLE))
    mind = make_mind(image, cell, (), engine=engine)
    _, record, states = await think((), "double", 21, text="double a number", mind=mind)
    assert record.mission.last(QueriesPlanned) == QueriesPlanned(("Double a number.",))
    assert states[1][1]["queries"] == ["Double a number."]
    assert not any(
        "queries" in prompt.messages[0][1] for batch in engine.prompts for prompt in batch
    )


@pytest.fixture
def plan(image, cell, think):
    """Return a function that runs ``double`` with BRICK planning, as ``think`` does."""

    async def run(answers, number=21):
        mind = make_mind(image, cell, answers, plan="fixed")
        return await think((), "double", number, mind=mind)

    return run


async def test_queries_that_are_planned_are_looked_up_as_well_as_the_wish(plan):
    answer, record, _ = await plan(script(DOUBLE))
    assert (answer["body"]["result"], answer["body"]["model_calls"]) == (42, 3)
    assert record.mission.last(QueriesPlanned).queries == ("how to write a method",)


async def test_a_plan_that_cannot_be_read_three_times_fails_with_a_reason(image, plan):
    before = await raw(image)
    answer, record, states = await plan(script(DOUBLE, plan="I think that"))
    assert [state for state, _ in states] == [State.DECOMPOSING, State.FAILED]
    body = answer["body"]
    assert (answer["type"], body["code"]) == ("error", "MODEL_UNAVAILABLE")
    assert "BRICK's plan could not be read 3 times: the plan: not valid JSON" in body["message"]
    assert body["model_calls"] == record.mission.model_calls == PLAN_TRIES
    assert body["tokens"] > 0
    assert await raw(image) == before


async def test_a_plan_that_can_be_read_in_the_end_is_taken(plan):
    def answers(prompt, sampling, _index):
        if sampling.schema is None:
            return DOUBLE
        return PLAN if sampling.seed == PLAN_TRIES - 1 else "[]"

    answer, record, _ = await plan(answers, 2)
    assert answer["body"]["result"] == 4
    assert record.mission.last(QueriesPlanned).model_calls == PLAN_TRIES


async def test_a_rejected_batch_is_followed_by_another(think):
    answer, record, states = await think(
        script(" return nothing_here + not_there", DOUBLE), "double", 21
    )
    assert answer["body"]["result"] == 42
    assert record.mission.rounds == 2
    assert [state for state, _ in states][3:] == [
        State.VALIDATING, State.SYNTHESIZING, State.VALIDATING, State.COMPLETE,
    ]  # fmt: skip
    assert "nothing_here" in states[4][1]["verdicts"][0]["problem"]


async def test_a_mission_whose_candidates_all_fail_leaves_the_target_byte_for_byte(image, think):
    before = await raw(image)
    answer, record, _ = await think(script(" return nothing_here + not_there"), "double", 21)
    assert await raw(image) == before
    assert (answer["type"], answer["body"]["code"]) == ("error", "SANDBOX_FAILED")
    assert "none of 3 candidates is good enough" in answer["body"]["message"]
    assert record.mission.rounds == MAX_DRAFTS


async def test_a_candidate_that_changes_the_target_and_fails_leaves_it_byte_for_byte(image, think):
    before = await raw(image)
    body = " self.notes = [1]\n    self._p_changed = True\n    raise ValueError('no')"
    await think(script(body), "double", 21)
    assert await raw(image) == before


async def test_what_is_understood_needs_no_model(image, think):
    await teach(image, "double", "def double(self, n):\n    return 2 * n\n")
    answer, record, states = await think([], "double", 21)
    assert (answer["body"]["result"], answer["body"]["model_calls"]) == (42, 0)
    assert [state for state, _ in states] == [State.COMPLETE]
    assert record.mission.events == (MessageUnderstood(),)


async def test_what_was_taught_in_the_middle_of_a_mission_answers_it(image, cell, think):
    gate = asyncio.Event()
    engine = ScriptedEngine(script(DOUBLE), gate=gate)
    mind = make_mind(image, cell, (), engine=engine)
    asking = asyncio.ensure_future(think([], "double", 21, mind=mind))
    while not engine.prompts:  # noqa: ASYNC110 - the fake has no event for it
        await asyncio.sleep(0)
    await teach(image, "double", "def double(self, n):\n    return 'taught'\n")
    gate.set()
    answer, record, _ = await asking
    assert (answer["body"]["result"], answer["body"]["learned"]) == ("taught", False)
    assert record.mission.events[-1] == MessageUnderstood()
    assert len((await stored_method(image, "double"))[1]) == 1


async def test_two_missions_for_the_same_message_teach_it_once(image, think):
    answers = await asyncio.gather(
        think(script(" return 1"), "one_thing", key="a"),
        think(script(" return 1"), "one_thing", key="b"),
    )
    assert [answer["body"]["result"] for answer, _, _ in answers] == [1, 1]
    assert len((await stored_method(image, "one_thing"))[1]) == 1
    assert sorted(answer["body"]["learned"] for answer, _, _ in answers) == [False, True]


async def test_a_method_keeps_where_it_comes_from(image, think):
    await think(script(DOUBLE), "double", 21, text="double the number", key="k")
    current, [(source, status, told)] = await stored_method(image, "double")
    assert (current, status) == (0, "provisional")
    assert source.startswith("def double(self, number):")
    wanted = {
        "mission": "mk", "goal": "Double the number.", "persona": "ALFRED",
        "model": "SmolLM2-135M-Instruct-Q4_1",
        "model_digest": ScriptedEngine([]).digest, "adapter": "", "fixups": [],
    }  # fmt: skip
    assert {key: told[key] for key in wanted} == wanted
    assert told["brief"]["args"] == (21,)
    assert len(told["prompt_sha256"]) == 64
    assert len(told["candidates"]) == 3
    assert {"temperature", "seed", "why", "passages", "created", "draft"} <= set(told)


async def test_a_method_keeps_which_of_several_servers_drew_it(image, cell, think):
    class Served(ScriptedEngine):
        async def generate(self, prompts, sampling, **more):
            drawn = await super().generate(prompts, sampling, **more)
            return [replace(one, server="http://127.0.0.1:8001/v1") for one in drawn]

    mind = make_mind(image, cell, [], engine=Served(script(DOUBLE)))
    await think([], "double", 21, mind=mind, key="k")
    told = (await stored_method(image, "double"))[1][0][2]
    assert told["model_server"] == "http://127.0.0.1:8001/v1"


async def test_a_mission_taken_up_by_another_kernel_knows_which_model_wrote_it(image, cell, think):
    class Unloaded(ScriptedEngine):
        @property
        def digest(self):
            return super().digest if self.prompts else ""

    mind = make_mind(image, cell, [], engine=Unloaded(script(DOUBLE)))
    await think([], "double", 21, mind=mind, key="k")
    await forget(image, "double")
    await rewind(image, "mk", 4)
    fresh = make_mind(image, cell, [], engine=Unloaded([]))
    await CognitiveCycle(fresh, lambda *_: None).run("mk")
    told = (await stored_method(image, "double"))[1][0][2]
    assert told["model_digest"] == ScriptedEngine([]).digest


async def forget(image, selector):
    def work(root):
        obj = find(root, "genesis_obj")
        del obj.slots[selector]
        obj._p_changed = True
        root["knowledge_catalog"].remove(f"method:{obj._p_oid.hex()}:{selector}")

    await image.transact(work, note="forget")


@pytest.mark.parametrize("events", range(5))
async def test_a_mission_resumed_from_any_state_has_the_same_events(image, cell, think, events):
    _, first, _ = await think(script(DOUBLE), "double", 21, key="k")
    await forget(image, "double")
    await rewind(image, "mk", events)
    states = []
    cycle = CognitiveCycle(
        make_mind(image, cell, script(DOUBLE)), lambda _, mission, __: states.append(mission.state)
    )
    answer = await cycle.run("mk")
    again = await read(image, "mk")
    assert again.mission == first.mission
    assert len(states) == 5 - events
    assert answer["body"]["result"] == 42


async def test_examples_decide(think):
    examples = ({"args": [3], "kwargs": {}, "result": 6},)
    answer, _, _ = await think(script(DOUBLE), "double", 21, examples=examples)
    assert (answer["body"]["status"], answer["body"]["result"]) == ("verified", 42)
    examples = ({"args": [3], "kwargs": {}, "result": "six"},)
    answer, _, _ = await think(script(DOUBLE), "twice", 21, examples=examples)
    assert "did not reproduce the example" in answer["body"]["message"]


async def test_a_learned_method_may_call_itself(think):
    body = " return 1 if number < 2 else number * self.fact(number - 1)"
    answer, _, _ = await think(script(body), "fact", 5)
    assert answer["body"]["result"] == 120


async def test_a_candidate_that_hides_itself_behind_a_slot_is_rejected(image, think):
    before = await raw(image)
    body = " self.tally = 1\n    self._p_changed = True\n    return 1"
    answer, _, _ = await think(script(body), "tally")
    assert answer["type"] == "error"
    assert "'tally' is a method" in answer["body"]["message"]
    assert await raw(image) == before


@pytest.mark.parametrize("name", ["größe", "self", "_v_x", "n" * 101])
async def test_a_candidate_that_writes_a_slot_of_an_impossible_name_is_rejected(think, name):
    body = f" self.{name} = 1\n    self._p_changed = True\n    return 1"
    answer, record, _ = await think(script(body, " return 2"), "measure")
    assert answer["body"].get("result") == 2, answer
    assert record.mission.rounds == 2


@pytest.mark.parametrize(
    "body",
    [" return 'x' * (1 << 20)", " return list(range(200000))",
     " x = 1\n    for _ in range(40):\n        x = [x]\n    return x"],
)  # fmt: skip
async def test_an_answer_that_no_client_could_read_is_a_reason_to_reject(image, think, body):
    answer, record, _ = await think(script(body, " return 2"), "measure")
    assert answer["body"].get("result") == 2, answer
    assert record.mission.rounds == 2


@pytest.mark.parametrize("value", ["10 ** 4000", "float('nan')", "-float('inf')", "'\\ud800'",
                                   "{1: {2: 3}}", "b'x'"])  # fmt: skip
async def test_an_odd_value_is_an_answer_or_a_reason_but_no_fault(think, value):
    answer, _, _ = await think(script(f" return {value}"), "measure")
    assert answer["type"] == "result" or "candidates is good enough" in answer["body"]["message"]


async def test_thirty_numbers_have_names(think):
    names = parameters(Brief("genesis_obj", "add_all", tuple(range(30))))
    answer, _, _ = await think(script(f" return {' + '.join(names)}"), "add_all", *range(30))
    assert answer["body"].get("result") == 435, answer


@pytest.mark.parametrize("text", ["a\0b", '"""', "\\", "\u202e", "x" * 20_000, "\n"])
async def test_odd_words_make_no_broken_method(think, text):
    answer, _, _ = await think(script(DOUBLE), "double", 2, text=text)
    assert answer["body"].get("result") == 4, answer


async def test_queries_that_cannot_be_sent_are_mended(plan):
    answer, record, _ = await plan(script(DOUBLE, plan='{"queries": ["\\ud800 x"]}'), 2)
    assert answer["body"]["result"] == 4
    "".join(record.mission.last(QueriesPlanned).queries).encode()


async def test_a_plan_of_brackets_is_no_fault(plan):
    answer, _, _ = await plan(script(DOUBLE, plan="[" * 100_000), 2)
    assert "could not be read" in answer["body"]["message"]


async def test_a_target_that_changes_during_the_trial_is_tried_again(image, cell, think):
    changes = []

    class Busy:
        async def run(self, call, send):
            if len(changes) < 4:
                changes.append(1)
                await image.transact(
                    lambda root: find(root, "genesis_obj").set_slot("n", len(changes)), note="move"
                )
            return await cell.run(call, send)

        def stats(self):
            return cell.stats()

    mind = make_mind(image, Busy(), script(DOUBLE))
    answer, record, _ = await think([], "double", 21, mind=mind)
    assert answer["body"]["result"] == 42
    assert isinstance(record.mission.last(MethodDrafted), MethodDrafted)


async def test_the_writer_is_told_what_the_cells_python_lacks(image):
    class Small(ScriptedCell):
        def stats(self):
            return super().stats() | {"lacks": ["yield", "del"]}

    engine = ScriptedEngine(script(" return 1"))
    mind = make_mind(image, Small({"m": lambda _self: 1}), (), engine=engine)
    mission_id = await open_mission(image, "m")
    await CognitiveCycle(mind, lambda *_: None).run(mission_id)
    told = [prompts[0].messages[0][1] for prompts in engine.prompts]
    assert told[-1].endswith("Do without yield; del.")


UNSURE = tuple(f" return number * 2 + {n}" for n in range(4))


@pytest.fixture
def disagreeing(image, cell):
    """Return a mind whose candidates all answer something else."""
    return make_mind(
        image, cell, lambda prompt, s, i: PLAN if s.schema else UNSURE[i + (s.temperature > 0)]
    )


async def test_candidates_that_disagree_install_nothing_and_ask_for_an_example(
    image, think, disagreeing
):
    before = await raw(image)
    answer, record, _ = await think((), "double", 21, mind=disagreeing)
    body = answer["body"]
    assert (answer["type"], body["code"]) == ("error", "EXAMPLE_WANTED")
    assert record.mission.state is State.FAILED
    assert [choice["result"] for choice in body["details"]["choices"]] == [43, 44]
    assert record.mission.rounds == 2
    assert len(body["details"]["candidates"]) == 6
    assert "Is double(21) 43 or 44?" in body["message"]
    assert await raw(image) == before


async def test_the_example_that_was_asked_for_decides(think, disagreeing):
    await think((), "double", 21, mind=disagreeing)
    example = {"args": [4], "kwargs": {}, "result": 9}
    answer, _, _ = await think((), "double", 21, mind=disagreeing, examples=(example,))
    assert (answer["body"]["result"], answer["body"]["status"]) == (43, "verified")


async def test_an_unlearned_method_is_learned_again_only_if_it_passes_its_old_examples(
    image, think
):
    example = {"args": [4], "kwargs": {}, "result": 8}
    await think(script(DOUBLE), "double", 21, examples=(example,))

    def unlearn(root):
        find(root, "genesis_obj").slots["double"].current = -1

    await image.transact(unlearn, note="unlearn")
    answer, _, _ = await think(script(" return number + 1", DOUBLE), "double", 21)
    assert (answer["body"]["result"], answer["body"]["status"]) == (42, "verified")
    assert [s for _, s, _ in (await stored_method(image, "double"))[1]] == ["verified"] * 2


@pytest.mark.parametrize("target", ["traits_obj", "pLLM_obj"])
async def test_no_model_writes_what_every_object_inherits(think, image, target):
    answer, record, _ = await think(script(DOUBLE), "double", 4, target=target)
    assert (answer["type"], answer["body"]["code"]) == ("error", "INVALID_ARGS")
    assert "batos teach" in answer["body"]["message"]
    assert (record.mission.state, record.mission.model_calls) == (State.FAILED, 0)
