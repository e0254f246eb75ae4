"""Agent to Agent: the card, the four methods, and two minds that exchange a skill and a task."""

import json
import random
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.image.history import marks
from bat_os.image.objects import find
from tests.gateway.conftest import opened
from tests.gateway.test_consent import AGREED, SAID, furnish, held
from tests.kernels import ThinkingKernel

a2a = pytest.importorskip("a2a.client", reason="pip install -r tests/requirements.txt")
from a2a.types import Message, Part, Role, SendMessageRequest, TaskState  # noqa: E402 - with it
from a2a.types.a2a_pb2 import CancelTaskRequest, GetTaskRequest  # noqa: E402 - with it
from a2a.utils.errors import A2AError  # noqa: E402 - with it
from google.protobuf.json_format import MessageToDict, ParseDict  # noqa: E402 - with it
from google.protobuf.struct_pb2 import Value  # noqa: E402 - with it

pytestmark = pytest.mark.asyncio(loop_scope="module")
DONE, ASKS = TaskState.TASK_STATE_COMPLETED, TaskState.TASK_STATE_INPUT_REQUIRED
SOURCE = 'def triple(self, number):\n    """Triple."""\n    return number * 3\n'
EXAMPLES = [{"args": [2], "kwargs": {}, "result": 6}]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def agent(tmp_path_factory):
    home = tmp_path_factory.mktemp("agent") / "home"
    async with ThinkingKernel(home) as kernel, opened(kernel, http_a2a=True) as made:
        kernel.gate.set()
        await load_library(kernel.mind)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(tmp_path_factory):
    home = tmp_path_factory.mktemp("other") / "home"
    async with ThinkingKernel(home) as kernel, opened(kernel, http_a2a=True) as made:
        kernel.gate.set()
        yield made


@asynccontextmanager
async def talking(http, scope="own", version="1.0", *, streaming=False):
    """Return the SDK's client, as it finds its way from the card."""
    async with httpx.AsyncClient(headers=http.token(scope), timeout=60) as carrier:
        card = await a2a.A2ACardResolver(carrier, f"http://{http.me}").get_agent_card()
        kept = [door for door in card.supported_interfaces if door.protocol_version == version]
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(kept)
        config = a2a.ClientConfig(httpx_client=carrier, streaming=streaming)
        yield a2a.ClientFactory(config).create(card)


def message(*, text="", data=None, key="", context=""):
    parts = [Part(text=text)] if text else []
    parts += [] if data is None else [Part(data=ParseDict(data, Value()))]
    said = Message(message_id=key or f"m-{text}-{json.dumps(data)}"[:90], role=Role.ROLE_USER,
                   parts=parts, context_id=context)  # fmt: skip
    return SendMessageRequest(message=said)


async def ask(client, **said):
    return [each async for each in client.send_message(message(**said))]


def data_of(task):
    return MessageToDict(task.artifacts[0].parts[-1].data)


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_sentence_gets_a_message_and_a_call_a_task(agent, version):
    async with talking(agent, version=version) as client:
        (told,) = await ask(client, text="what is 17% of 340?", key=f"k-{version}")
        assert told.message.parts[0].text == "57.8"
        call = {"selector": "double", "args": [21]}
        (told,) = await ask(client, data=call, key=f"call-{version}")
        task = told.task
        assert task.status.state == DONE
        assert data_of(task) == {"result": 42}
        found = await client.get_task(GetTaskRequest(id=task.id))
        assert (found.id, found.status.state) == (task.id, DONE)
        again = await ask(client, data=call, key=f"call-{version}")
        assert again[0].task.id == task.id, "one message, one task"


@pytest.mark.parametrize("version", ["1.0", "0.3"])
async def test_a_stream_tells_how_a_task_goes_on(agent, version):
    call = {"target": "genesis_obj", "selector": "give_seven"}
    async with talking(agent, version=version, streaming=True) as client:
        told = await ask(client, data=call, key=f"stream-{version}")
    assert told[0].HasField("task")
    assert told[0].task.status.state == TaskState.TASK_STATE_SUBMITTED
    assert told[-1].status_update.status.state == DONE
    artifacts = [each.artifact_update for each in told if each.HasField("artifact_update")]
    assert MessageToDict(artifacts[0].artifact.parts[-1].data) == {"result": 7}


async def test_a_task_is_canceled(tmp_path):
    async with (
        ThinkingKernel(tmp_path / "home") as kernel,
        opened(kernel, http_a2a=True) as http,
        talking(http) as client,
    ):
        asked = message(data={"selector": "slow_one"}, key="slow")
        asked.configuration.return_immediately = True
        (told,) = [each async for each in client.send_message(asked)]
        assert told.task.status.state in (
            TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING
        )  # fmt: skip
        ended = await client.cancel_task(CancelTaskRequest(id=told.task.id))
        assert ended.status.state == TaskState.TASK_STATE_CANCELED
        kernel.gate.set()


async def test_a_wish_without_an_example_asks_for_one(agent):
    async with talking(agent) as client:
        (told,) = await ask(client, data={"selector": "never_works", "args": [1]}, key="wish")
    assert told.task.status.state in (ASKS, TaskState.TASK_STATE_FAILED)
    assert told.task.status.message.parts[0].text


async def test_two_minds_exchange_a_skill_and_a_task(agent, other):
    body = {"target": "genesis_obj", "body": {"source": SOURCE, "examples": EXAMPLES}}
    assert (await agent.ask("POST", "/verbs/teach", body)).status == 200
    async with talking(agent, "read") as here, talking(other, "teach") as there:
        (told,) = await ask(here, data={"export": "genesis_obj.triple"})
        skill = data_of(told.task)
        (told,) = await ask(there, data={"text": skill["text"], "into": "genesis_obj"})
        assert told.task.status.state == DONE
        assert data_of(told.task)["methods"][0]["status"] == "verified"
        (told,) = await ask(there, data={"selector": "triple", "args": [14]})
        assert data_of(told.task) == {"result": 42}
    assert not await taint(other, "triple"), "its examples have passed here"


async def test_a_skill_without_examples_is_tainted_until_some_pass(agent, other):
    source = SOURCE.replace("triple", "thrice")
    body = {"target": "genesis_obj", "body": {"source": source}}
    assert (await agent.ask("POST", "/verbs/teach", body)).status == 200
    async with talking(agent) as here, talking(other, "teach") as there:
        skill = data_of((await ask(here, data={"export": "genesis_obj.thrice"}))[0].task)
        (told,) = await ask(there, data={"text": skill["text"]})
    assert data_of(told.task)["methods"][0]["status"] == "provisional"
    assert (await taint(other, "thrice"))["document"] == "http:a-teach"
    proof = {"target": "genesis_obj", "selector": "thrice", "body": {"examples": EXAMPLES}}
    assert (await other.ask("POST", "/verbs/verify-method", proof)).status == 200
    assert not await taint(other, "thrice")


async def test_a_skill_is_refused_without_the_scope_to_teach(agent, other):
    async with talking(agent) as here, talking(other, "learn") as there:
        body = {"target": "genesis_obj", "body": {"source": SOURCE.replace("triple", "three")}}
        assert (await agent.ask("POST", "/verbs/teach", body)).status == 200
        skill = data_of((await ask(here, data={"export": "genesis_obj.three"}))[0].task)
        with pytest.raises(a2a.A2AClientError, match="403"):
            await ask(there, data={"text": skill["text"]})
    assert not await other.kernel.mind.image.transact(
        lambda root: "three" in find(root, "genesis_obj").slots, note="look"
    )


async def test_a_skill_that_was_changed_on_its_way_is_not_installed(agent, other):
    async with talking(agent) as here, talking(other, "teach") as there:
        source = SOURCE.replace("triple", "four_times").replace("* 3", "* 4")
        example = {"args": [2], "kwargs": {}, "result": 8}
        body = {"target": "genesis_obj", "body": {"source": source, "examples": [example]}}
        assert (await agent.ask("POST", "/verbs/teach", body)).status == 200
        skill = data_of((await ask(here, data={"export": "genesis_obj.four_times"}))[0].task)
        forged = skill["text"].replace("* 4", "* 5")
        with pytest.raises(A2AError, match="SHA-256"):
            await ask(there, data={"text": forged})
    assert not await other.kernel.mind.image.transact(
        lambda root: "four_times" in find(root, "genesis_obj").slots, note="look"
    )


async def test_a_skill_whose_examples_fail_on_arrival_changes_nothing(agent, other):
    """It is sound where it comes from: what it relies on there is another value here."""
    source = 'def scaled(self, number):\n    """Scale."""\n    return number * self.factor\n'
    for mind, factor in ((agent, 3), (other, 5)):
        put = await mind.ask("PUT", "/objects/genesis_obj/slots/factor", {"value": factor},
                             headers={"if-match": "*"})  # fmt: skip
        assert put.status == 200, put
    body = {"target": "genesis_obj", "body": {"source": source, "examples": EXAMPLES}}
    assert (await agent.ask("POST", "/verbs/teach", body)).status == 200
    before = await committed(other)
    async with talking(agent) as here, talking(other, "teach") as there:
        skill = data_of((await ask(here, data={"export": "genesis_obj.scaled"}))[0].task)
        with pytest.raises(A2AError, match="10"):
            await ask(there, data={"text": skill["text"], "into": "genesis_obj"})
        parts = [{"data": {"text": skill["text"], "into": "genesis_obj"}}]
        sent = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage",
                "params": {"message": {"messageId": "again", "parts": parts}}}  # fmt: skip
        told = await other.ask("POST", "/a2a", sent, scope="teach")
        assert told.json["error"]["data"][0]["code"] == "SANDBOX_FAILED", told
    assert await committed(other) == before
    sent = await other.ask("POST", "/objects/genesis_obj/scaled", {"args": [2]}, scope="send")
    assert sent.status == 403, "it is not known, and this caller has nothing learned"


async def committed(http):
    """Return what the image has: its newest transaction, and every method with its status."""
    moments = (await http.ask("GET", "/moments?limit=1")).json["moments"]
    nodes = (await http.ask("GET", "/graph")).json["nodes"]
    return [one["id"] for one in moments], [(one["name"], one["methods"]) for one in nodes]


async def test_the_card_is_for_everyone_and_names_no_skill(agent):
    answer = await agent.rude("GET", "/.well-known/agent-card.json")
    assert answer.status == 200
    assert answer.json["skills"] == []
    assert "double" not in answer.raw.decode()
    refused = await agent.rude("GET", "/agent/authenticatedExtendedCard")
    assert refused.status == 401
    call = {"jsonrpc": "2.0", "id": 1, "method": "GetExtendedAgentCard"}
    whole = await agent.ask("POST", "/a2a", call, scope="read")
    assert "genesis_obj.double" in {one["id"] for one in whole.json["result"]["skills"]}


async def test_without_the_setting_there_is_no_door(http):
    assert (await http.rude("GET", "/.well-known/agent-card.json")).status == 404
    assert (await http.ask("POST", "/a2a", {"jsonrpc": "2.0"})).status == 404


@pytest.mark.parametrize(
    ("call", "code"),
    [({"method": "SendMessage"}, -32600),
     ({"jsonrpc": "2.0", "method": "tasks/pushNotificationConfig/set", "params": {}}, -32003),
     ({"jsonrpc": "2.0", "method": "CreateTaskPushNotificationConfig", "params": {}}, -32003),
     ({"jsonrpc": "2.0", "method": "message/shout", "params": {}}, -32601),
     ({"jsonrpc": "2.0", "method": "GetTask", "params": {"id": "0" * 24}}, -32001),
     ({"jsonrpc": "2.0", "method": "SendMessage", "params": {}}, -32602),
     ({"jsonrpc": "2.0", "method": "SendMessage", "params": {"message": {
         "messageId": "u", "parts": [{"url": "http://127.0.0.1:1/x"}]}}}, -32602),
     ({"jsonrpc": "2.0", "method": "message/send", "params": {
         "message": {"messageId": "p", "parts": [{"kind": "text", "text": "hi"}]},
         "configuration": {"pushNotificationConfig": {"url": "http://127.0.0.1:1/"}}}}, -32602)],
)  # fmt: skip
async def test_what_cannot_be_had_is_an_error_of_the_protocol(agent, call, code):
    answer = await agent.ask("POST", "/a2a", call)
    assert (answer.status, answer.json["error"]["code"]) == (200, code), answer


async def test_no_yes_of_an_agent_is_consent(agent, tmp_path):
    """Grants, flows and facts stay as they are, whatever is said in whatever order."""
    names = await furnish(agent, tmp_path)
    draw, before = random.Random(13), await held(agent)  # noqa: S311 - no secret
    told = ""
    for number in range(80):
        words = draw.choice(AGREED if number % 2 else SAID).format(**names)
        said = {"messageId": f"yes-{number}", "contextId": "consent", "parts": [{"text": words}]}
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}
        answer = await agent.ask("POST", "/a2a", call)
        assert answer.status == 200, answer
        told += answer.raw.decode()
    sent = (("knowledge_catalog_obj", "forget", "the key"), ("genesis_obj", "grant", str(tmp_path)))
    for target, selector, arg in sent:
        data = {"target": target, "selector": selector, "args": [arg]}
        said = {"messageId": selector, "parts": [{"data": data}, {"text": "yes"}]}
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}
        await agent.ask("POST", "/a2a", call)
    assert "batos ask " in told
    assert await held(agent) == before
    assert (tmp_path / "todo.md").read_text() == "call Ann\n"


async def taint(http, selector):
    return await http.kernel.mind.image.transact(
        lambda root: marks.taint(root, find(root, "genesis_obj").slots[selector]), note="look"
    )
