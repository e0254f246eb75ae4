"""The whole path of a mission through a real kernel process: learn, answer, know."""

import asyncio

import pytest

from bat_os.errors import RemoteError

pytestmark = pytest.mark.system


async def ask(kernel, selector, *args, **fields):
    return await kernel.request(
        "send", timeout=60, target="genesis_obj", selector=selector, args=list(args), **fields
    )


async def test_what_is_not_understood_is_learned_and_then_known(serving):
    states = []
    async with serving.client() as kernel:
        first = await ask(
            kernel, "double", 21, on_event=lambda kind, body: states.append(body.get("state", kind))
        )
        second = await ask(kernel, "double", 4)
    assert (first["result"], first["learned"], first["status"]) == (42, True, "provisional")
    assert first["model_calls"] > 0
    assert states == [
        "accepted", "decomposing", "delegating", "synthesizing", "validating", "complete",
    ]  # fmt: skip
    assert (second["result"], second["learned"], second["model_calls"]) == (8, False, 0)


async def test_the_effects_of_the_first_call_are_there_exactly_once(serving):
    async with serving.client() as kernel:
        assert (await ask(kernel, "remember", "milk"))["result"] == ["milk"]
        assert (await ask(kernel, "notes"))["result"] == ["milk"]
        assert (await ask(kernel, "remember", "eggs"))["result"] == ["milk", "eggs"]


async def test_a_method_that_cannot_be_learned_fails_and_leaves_the_target_as_it_was(serving):
    async with serving.client() as kernel:
        before = await kernel.request("inspect", target="genesis_obj")
        with pytest.raises(RemoteError, match="none of 8 candidates is good enough") as caught:
            await ask(kernel, "never_works")
        assert await kernel.request("inspect", target="genesis_obj") == before
    body = caught.value.body
    assert body["code"] == "SANDBOX_FAILED"
    assert len(body["details"]["verdicts"]) == 8
    assert "undefined_name_here" in body["details"]["verdicts"][0]["problem"]


async def test_examples_make_a_method_verified_or_refuse_it(serving):
    examples = {"examples": [{"args": [3], "result": 6}]}
    async with serving.client() as kernel:
        answer = await ask(kernel, "double", 5, body=examples)
        with pytest.raises(RemoteError, match="did not reproduce"):
            await ask(kernel, "give_seven", body={"examples": [{"args": [], "result": "x"}]})
    assert (answer["result"], answer["status"]) == (10, "verified")


async def test_the_journal_has_one_json_line_per_event(serving):
    import json

    async with serving.client() as kernel:
        await ask(kernel, "double", 1)
    serving.stop()
    lines = (serving.home / "metacognition.jsonl").read_text().splitlines()
    events = [json.loads(line) for line in lines]
    moved = [event for event in events if event["event_type"] == "STATE_TRANSITION"]
    assert [event["state"] for event in moved] == [
        "idle", "decomposing", "delegating", "synthesizing", "validating", "complete",
    ]  # fmt: skip
    assert [event["transition_to"] for event in moved] == [
        event["state"].upper() for event in moved
    ]
    assert [event["event_type"] for event in events if event not in moved] == [
        "ARTIFACT_GENERATED", "RESEARCH_COMPLETE", "ARTIFACT_GENERATED", "VALIDATION_SUCCESS",
        "FINAL_OUTCOME",
    ]  # fmt: skip
    assert events[-1]["outcome"] == "COMPLETE"
    common = {"cycle_id", "mission_brief_hash", "current_state", "timestamp"}
    assert all(common <= event.keys() for event in events)
    assert len({event["mission_brief_hash"] for event in events}) == 1


async def test_a_brief_is_answered_once_per_key(serving):
    async with serving.client() as kernel:
        first = await ask(kernel, "remember", "milk", ik="k1")
        again = await ask(kernel, "remember", "milk", ik="k1")
        assert again == first
        assert (await ask(kernel, "notes"))["result"] == ["milk"]
        with pytest.raises(RemoteError) as caught:
            await ask(kernel, "remember", "eggs", ik="k1")
    assert caught.value.body["code"] == "KEY_REUSED"


async def test_brief_get_tells_where_a_brief_stands(serving):
    async with serving.client() as kernel:
        first = await ask(kernel, "double", 2, ik="k1")
        told = await kernel.request("brief.get", body={"brief_id": first["brief_id"]})
        assert (told["state"], told["answer"]["body"]["result"]) == ("complete", 4)
        assert (await kernel.request("brief.get", ik="k1"))["brief_id"] == first["brief_id"]
        with pytest.raises(RemoteError) as caught:
            await kernel.request("brief.get", body={"brief_id": "nope"})
    assert caught.value.body["code"] == "NOT_FOUND"


async def test_two_clients_with_different_briefs_get_their_own_answers(serving):
    async with serving.client() as one, serving.client() as other:
        answers = await asyncio.gather(ask(one, "double", 2), ask(other, "give_seven"))
    assert [answer["result"] for answer in answers] == [4, 7]


async def test_sixteen_clients_with_a_known_message_get_their_own_answers(serving):
    async with serving.client() as kernel:
        await ask(kernel, "double", 1)

    async def many(number):
        async with serving.client() as kernel:
            return [(await ask(kernel, "double", number * 100 + n))["result"] for n in range(5)]

    answers = await asyncio.gather(*(many(number) for number in range(16)))
    assert answers == [[2 * (number * 100 + n) for n in range(5)] for number in range(16)]


async def test_an_object_is_cloned_linked_and_used_over_the_wire(serving):
    async with serving.client() as kernel:

        async def send(target, selector, *args):
            told = await kernel.request("send", target=target, selector=selector, args=list(args))
            return told["result"]

        ref = await send("genesis_obj", "clone", "robot_obj")
        assert ref["ref"] == "robot_obj"
        await send("robot_obj", "setSlot", "friend", {"ref": "genesis_obj"})
        assert (await send("robot_obj", "friend"))["ref"] == "genesis_obj"
        names = [one["name"] for one in (await kernel.request("list"))["objects"]]
    assert "robot_obj" in names


async def test_the_cell_is_tried_at_start_and_health_says_what_held(serving):
    async with serving.client() as kernel:
        cell = (await kernel.request("health"))["cell"]
    assert cell["self_test"]["ok"]
    assert len(cell["self_test"]["held"]) >= 10
    assert cell["self_test"]["through"] == []
    assert cell["confinement"]["seccomp"]
    assert cell["confinement"]["landlock"]


async def test_a_setting_that_cannot_be_used_ends_the_kernel_for_good(kernel_process):
    kernel_process.start(script=kernel_process.home)  # a folder is no script
    assert await asyncio.to_thread(kernel_process.wait) == 78
    assert "BATOS_SCRIPT=" in kernel_process.log()
    assert "Traceback" not in kernel_process.log()


async def test_monty_can_be_chosen_and_learns_and_keeps_state_too(kernel_process):
    kernel_process.start(cell="monty")
    health = await kernel_process.until_ready()
    assert (health["cell"]["kind"], health["cell"]["self_test"]["through"]) == ("monty", [])
    async with kernel_process.client() as kernel:
        assert (await ask(kernel, "double", 21))["result"] == 42
        assert (await ask(kernel, "remember", "milk"))["result"] == ["milk"]
        known = await ask(kernel, "remember", "eggs")
    assert (known["result"], known["model_calls"]) == (["milk", "eggs"], 0)
