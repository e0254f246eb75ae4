"""Ways around a scope: missions, methods, schedules, other sessions; each was one once."""

import asyncio
import itertools
import random

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.image import memory, missions
from bat_os.image.objects import find
from bat_os.image.schedules import Schedule
from bat_os.kernel.missions.scheduler import MAX_PER_SESSION
from tests.gateway.conftest import opened
from tests.gateway.test_streams import Events
from tests.kernels import ThinkingKernel

pytestmark = pytest.mark.asyncio(loop_scope="module")
FACT = "the safe code is 4711"
BRIEF = {"selector": "forget", "args": ["safe code"]}
START, FAIL = "start_cognitive_cycle_for_", "_doesNotUnderstand_"


@pytest_asyncio.fixture(autouse=True, scope="module", loop_scope="module")
async def _library(http):
    await load_library(http.kernel.mind)


async def sees_fact(http):
    """Return whether the owner's fact is there, after all missions have ended."""
    while True:
        if not (await http.ask("GET", "/missions?state=running")).json["missions"]:
            break
        await asyncio.sleep(0.01)
    return await http.kernel.mind.image.transact(
        lambda root: FACT in {one.text for one in memory.facts_in(root, every=True)
                              if not one.hidden}, note="look"
    )  # fmt: skip


async def remember(http):
    said = {"body": {"text": f"remember that {FACT}"}}
    answer = await http.rude("POST", "/verbs/say", said, await http.enter())
    assert answer.json["kind"] in ("acted", "said"), answer


@pytest.mark.parametrize(
    ("target", "selector", "args"),
    [("orchestrator_obj", START, [BRIEF, "memory_obj"]),
     ("orchestrator_obj", START,
      [{"selector": START, "args": [BRIEF, "memory_obj"]}, "orchestrator_obj"]),
     ("memory_obj", FAIL, ["forget", "safe code"]),
     ("memory_obj", FAIL, [FAIL, "forget", "safe code"]),
     ("orchestrator_obj", FAIL, [START, BRIEF, "memory_obj"])],
)  # fmt: skip
@pytest.mark.parametrize("way", ["send", "fresh", "brief", "rehearse", "schedule"])
async def test_a_mission_needs_what_its_message_does(http, way, target, selector, args):
    await remember(http)
    fields = {"target": target, "selector": selector, "args": args}
    body = {"fresh": {"fresh": True}, "schedule": {"when": "in 1 second", "kind": "send"}}.get(way)
    fields |= {"body": body} if body else {}
    verb, before = "send" if way == "fresh" else way, await refused(http)
    answer = await http.ask("POST", f"/verbs/{verb}", fields)
    if answer.status == 200 and way == "rehearse":
        assert answer.json["answer"]["type"] == "error"
    elif answer.status == 200:  # what was begun, or is due later, may not send its message
        async with asyncio.timeout(60):
            while await refused(http) == before:  # noqa: ASYNC110 - the image has no event
                await asyncio.sleep(0.05)
    else:
        assert (answer.status, answer.json["code"]) == (403, "UNAUTHORIZED"), answer
    assert await sees_fact(http)


async def refused(http):
    """Return how many missions have ended because they may not send their message."""

    def count(root):
        found = [missions.read(root, name).answer for name in root["missions"]]
        return sum(bool(one) and one["body"].get("code") == "UNAUTHORIZED" for one in found)

    return await http.kernel.mind.image.transact(count, note="look")


WRAPPERS = (START, START.rstrip("_"), FAIL)
HARMS = (
    ("own", "memory_obj", "forget", ["safe code"]),
    ("teach", "harmed_obj", "delete", [True]),
    ("learn", "harmed_obj", "setSlot", ["harm", 1]),
    ("learn", "harmed_obj", "clone", ["harmed_twin_obj"]),
)  # fmt: skip


@pytest.mark.slow
async def test_no_chain_of_missions_sends_more_than_its_caller_may(http):
    """Each mission keeps the scope of who began the first one, however deep it lies."""
    await remember(http)
    await http.ask("POST", "/objects/genesis_obj/clone", {"args": ["harmed_obj"]})
    chains = [chain for depth in (1, 2, 3) for chain in itertools.product(WRAPPERS, repeat=depth)]
    draw = random.Random(11)  # noqa: S311 - no secret
    drawn = draw.sample([(h, c) for h in HARMS for c in chains], 40)
    for (scope, target, selector, args), chain in drawn:
        brief, holder = {"selector": selector, "args": args}, target
        for wrapper in chain:
            if wrapper == FAIL:
                brief = {"selector": FAIL, "args": [brief["selector"], *brief["args"]]}
            else:
                brief = {"selector": wrapper, "args": [brief, holder]}
                holder = "orchestrator_obj"
        path, sent = f"/objects/{holder}/{brief['selector']}", {"args": brief["args"]}
        answer = await http.ask("POST", path, sent, scope=scope)
        assert answer.status in (200, 403), answer
    assert await sees_fact(http)
    assert await http.kernel.mind.image.transact(is_unharmed, note="look")


def is_unharmed(root):
    return "harm" not in find(root, "harmed_obj").slots and "harmed_twin_obj" not in root["objects"]


async def test_a_mission_keeps_the_scope_of_its_caller_over_a_restart(tmp_path):
    home = tmp_path / "home"
    async with ThinkingKernel(home) as kernel, opened(kernel) as http:
        begun = await http.ask(
            "POST", "/message", {"method_name": "slow_one", "args": [1]}, scope="learn"
        )
        assert begun.status == 202, begun
    async with ThinkingKernel(home) as kernel:
        record = await kernel.mind.image.transact(
            lambda root: missions.read(root, begun.json["brief_id"]), note="look"
        )
        assert record.mission.brief.may == "learn"
        kernel.gate.set()
        async with kernel.client() as client:
            await client.request("ping")


async def test_a_rehearsal_begins_no_mission_and_is_kept_by_who_may_teach(http):
    known = len((await http.ask("GET", "/missions?limit=200")).json["missions"])
    brief = {"selector": "slotNames", "args": []}
    fields = {"target": "orchestrator_obj", "selector": START, "args": [brief, "memory_obj"]}
    begun = await http.ask("POST", "/verbs/rehearse", fields)
    assert begun.json["answer"]["type"] == "error", begun
    assert len((await http.ask("GET", "/missions?limit=200")).json["missions"]) == known
    kept = {"target": "genesis_obj", "selector": "give_seven", "body": {"keep": True}}
    refused = await http.ask("POST", "/verbs/rehearse", kept, scope="learn")
    assert (refused.status, refused.json["code"]) == (403, "UNAUTHORIZED")


async def test_no_token_takes_back_what_others_have_committed(http):
    await remember(http)
    rows = (await http.ask("GET", "/moments?limit=1")).json["moments"]
    taken = await http.ask("POST", "/verbs/undo", {"body": {"transaction": rows[0]["id"]}})
    assert (taken.status, taken.json["code"]) == (403, "UNAUTHORIZED")


@pytest.mark.parametrize(("selector", "args"), [("setSlot", ["a", 1]), ("delete", [True])])
async def test_a_mission_changes_no_object_for_a_caller_who_may_not(http, selector, args):
    await http.ask("POST", "/objects/genesis_obj/clone", {"args": ["twin_obj"]})
    brief = {"selector": selector, "args": args}
    sent = {"args": [brief, "twin_obj"]}
    answer = await http.ask("POST", f"/objects/orchestrator_obj/{START}", sent, scope="learn")
    assert (answer.status, answer.json["code"]) == (403, "UNAUTHORIZED")
    harmless = {"args": [{"selector": "slotNames", "args": []}, "twin_obj"]}
    begun = await http.ask("POST", f"/objects/orchestrator_obj/{START}", harmless, scope="learn")
    assert begun.status == 200, begun
    assert await sees_fact(http) in (True, False)  # all have ended
    slots = await http.kernel.mind.image.transact(
        lambda root: dict(find(root, "twin_obj").slots), note="look"
    )
    assert "a" not in slots


@pytest.mark.parametrize(
    ("selector", "args"), [("forget", ["safe code"]), ("delete", [True])]
)  # fmt: skip
async def test_nothing_is_scheduled_that_the_caller_may_not_send(http, selector, args):
    answer = await http.ask(
        "POST", "/verbs/schedule", scope="teach",
        body={"target": "memory_obj", "selector": selector, "args": args,
              "body": {"when": "in 1 second", "kind": "send"}},
    )  # fmt: skip
    assert (answer.status, answer.json["code"]) == (403, "UNAUTHORIZED")


@pytest.mark.parametrize("target", ["memory_obj", "knowledge_catalog_obj"])
async def test_no_method_forgets(http, target):
    await remember(http)
    source = 'def wipe(self, text):\n    """Wipe."""\n    return self.forget(text)\n'
    taught = await http.ask("POST", "/verbs/teach", {"target": target, "body": {"source": source}})
    assert taught.status == 200, taught
    sent = await http.ask("POST", f"/objects/{target}/wipe", {"args": ["safe code"]})
    assert sent.status == 422
    assert "a method cannot send forget" in sent.json["detail"]
    assert await sees_fact(http)


@pytest.mark.parametrize("caller", ["http:a-own", "0123456789abcdefhttp:a-own"])
async def test_a_sentence_of_a_schedule_is_said_for_who_made_it(http, caller):
    """Over TCP the name of a caller begins with the digest of a key."""
    await remember(http)
    kept = Schedule("say", "forget the safe code", {"at": 0.0}, "UTC", None, caller=caller)
    answer = await http.kernel.kernel.alarm.say_it(kept, "")
    assert answer["kind"] == "unable"
    assert await sees_fact(http)


async def test_a_caller_who_may_send_adds_no_wording(http):
    for scope, kept in (("send", 0), ("learn", 1)):
        before = await wordings(http)
        for text, value in (("what is the square root of 9?", 3), ("no, 81", 81)):
            asked = {"body": {"text": text}}
            answer = await http.ask("POST", "/verbs/say", asked, scope=scope)
            assert answer.json["value"] == value, answer.json
        assert await wordings(http) - before == kept, scope


async def wordings(http):
    rows = (await http.ask("GET", "/moments?limit=200")).json["moments"]
    return sum(row["note"] == "keep a wording" for row in rows)


async def test_sessions_of_one_caller_share_the_room_for_missions(tmp_path):
    async with ThinkingKernel(tmp_path / "home") as kernel, opened(kernel) as http:
        sent = [
            await http.ask("POST", "/message", {"method_name": "slow_one", "args": [number]},
                           headers={"batos-session": f"s{number}"})
            for number in range(MAX_PER_SESSION + 1)
        ]  # fmt: skip
        assert [each.status for each in sent] == [*[202] * MAX_PER_SESSION, 429]
        other = await http.ask("POST", "/message", {"method_name": "slow_one"}, scope="learn")
        assert other.status == 202
        kernel.gate.set()


async def test_a_stream_ends_with_its_token(http, monkeypatch):
    http.tokens.pop("read", None)
    http.tokens["read"] = http.ring.make("passing", "read", 1)
    events = await Events.open(http, "/events", scope="read")
    del http.tokens["read"]

    async def change(number):
        put = await http.ask("PUT", "/objects/genesis_obj/slots/mood", {"value": number},
                             headers={"if-match": "*"})  # fmt: skip
        assert put.status == 200

    asyncio.get_running_loop().call_later(0, asyncio.ensure_future, change(1))
    await events.until("change")
    http.ring.revoke("passing")
    await change("secret")
    async with asyncio.timeout(60):
        left = await events.reader.readuntil(b"0\r\n\r\n")
    assert b"event: change" not in left
    events.close()
