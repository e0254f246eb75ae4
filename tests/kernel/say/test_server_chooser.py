"""An able model on a server chooses: real HTTP, as a model of 7B answers behind Ollama or vLLM."""

import json
import threading

import pytest
import pytest_asyncio

from bat_os.app.library import load_library
from bat_os.core.ability import Ability
from bat_os.engines.model_server import Policy
from bat_os.engines.openai import OpenAiEngine
from bat_os.image.catalog import catalog_in
from bat_os.kernel.say import chooser, room
from tests.kernel.minds import make_mind
from tests.model_servers import Server, serving

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]
ABLE = Ability(writes=0.9, judges=0.8, form=1.0)
METHOD = "```python\ndef frobnicate_number(self, number):\n    return number * 2\n```"
PERCENT = "what is 17% of 340"


class Chat(Server):
    """Streams chat completions; ``refuses`` are fields that it answers with 400."""

    def __init__(self):
        super().__init__()
        self.refuses = set()
        self.choice = {}  # what it chooses: JSON, or a text
        self.beside = ""  # what it says beside the call of a tool
        self.tool = "answer"  # the name that it calls
        self.whole = False  # its calls have an object for arguments, and nothing is streamed
        self.go_on = threading.Event()
        self.go_on.set()

    @property
    def chats(self):
        return [body for path, body in self.asked if path == "/v1/chat/completions"]

    def answer(self, handler, body):
        if handler.path == "/v1/models":
            handler.give({"object": "list", "data": [{"id": "qwen2.5:7b", "owned_by": "library"}]})
        elif handler.path != "/v1/chat/completions":
            handler.refuse(404)
        elif refused := self.refuses & set(body):
            handler.give({"error": {"message": f"{refused.pop()} is not supported"}}, 400)
        else:
            self.go_on.wait(20)
            self.stream(handler, *self.message(body))

    def message(self, body):
        """Return the message, and why it ended."""
        if "Say what to do" not in body["messages"][-1]["content"]:
            return {"content": METHOD}, "stop"
        said = self.choice if isinstance(self.choice, str) else json.dumps(self.choice)
        if "tools" not in body:
            return {"content": said}, "stop"
        given = self.choice if self.whole else said
        call = {"index": 0, "id": "call_1", "type": "function",
                "function": {"name": self.tool, "arguments": given}}  # fmt: skip
        return {"content": self.beside or None, "tool_calls": [call]}, "tool_calls"

    def stream(self, handler, message, reason):
        if self.whole:
            choice = {"index": 0, "message": message, "finish_reason": reason}
            raw = json.dumps({"choices": [choice]}).encode()
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(raw)))
            handler.end_headers()
            return handler.wfile.write(raw)
        parts = [{"content": part} for part in split(message.get("content") or "")]
        for call in message.get("tool_calls", ()):
            head, *rest = split(call["function"]["arguments"])
            parts.append(
                {"tool_calls": [call | {"function": call["function"] | {"arguments": head}}]}
            )
            parts += [{"tool_calls": [{"index": 0, "function": {"arguments": r}}]} for r in rest]
        choices = [{"index": 0, "delta": part, "finish_reason": None} for part in parts]
        choices.append({"index": 0, "delta": {}, "finish_reason": reason})
        events = [f"data: {json.dumps({'choices': [choice]})}\n\n" for choice in choices]
        return handler.give("".join([*events, "data: [DONE]\n\n"]).encode())


def split(text):
    return [text[at : at + 7] for at in range(0, len(text), 7)] or [""]


@pytest.fixture
def server():
    chat = Chat()
    with serving(chat):
        yield chat
        chat.go_on.set()


@pytest_asyncio.fixture(loop_scope="module")
async def mind(image, cell, minilm, server):
    hasty = Policy(attempts=1, backoff=0.001)
    engine = OpenAiEngine("qwen2.5:7b", f"{server.endpoint}/v1", policy=hasty)
    mind = make_mind(image, cell, [], engine=engine, embedder=minilm)
    await load_library(mind)
    yield mind
    server.go_on.set()
    await engine.close()


@pytest.fixture
def able(mind):
    mind.abilities.update(dict.fromkeys(mind.personas, ABLE))


@pytest.fixture
def unsure(able, monkeypatch):
    """Let the scorer never be sure."""
    monkeypatch.setattr(room, "decide", lambda found: "none")


async def test_the_scorer_answers_without_the_model_where_it_is_sure(said, server, able):
    body = await said(PERCENT)
    assert (body["kind"], body["value"], body["model_calls"]) == ("computed", 57.8, 0)
    assert server.chats == []


async def test_a_server_that_takes_a_schema_chooses_in_json(said, server, unsure):
    server.choice = {"do": "skill", "number": 1}
    body = await said(PERCENT)
    assert (body["kind"], body["value"], body["model_calls"]) == ("computed", 57.8, 1)
    (asked,) = server.chats
    form = asked["response_format"]["json_schema"]["schema"]
    assert form["properties"]["do"]["enum"] == ["skill", "answer", "learn", "ask"]
    assert "1. percent_of(17, 340)" in asked["messages"][-1]["content"]


@pytest.mark.parametrize("whole", [False, True], ids=["streamed", "with an object"])
async def test_a_server_without_schemas_chooses_by_the_call_of_a_tool(said, server, unsure, whole):
    server.refuses, server.whole = {"response_format"}, whole
    server.choice = {"do": "skill", "number": 1, "args": [50, 340]}
    server.beside = "I will use the percentage skill."
    body = await said(PERCENT)
    assert (body["kind"], body["value"], body["model_calls"]) == ("computed", 170, 1)
    first = len(server.chats)
    assert server.chats[-1]["tools"][0]["function"]["name"] == "answer"
    assert (await said("what is 18% of 340"))["value"] == 170
    assert len(server.chats) == first + 1  # it is not offered again what it has refused
    assert "response_format" not in server.chats[-1]


async def test_a_server_without_tools_is_asked_in_words_alone(said, server, unsure):
    server.refuses = {"response_format", "tools"}
    server.choice = {"do": "skill", "number": 1}
    assert (await said(PERCENT))["value"] == 57.8
    assert not {"tools", "response_format"} & set(server.chats[-1])


async def test_a_tool_that_was_not_offered_is_not_called(said, server, unsure):
    server.refuses, server.tool = {"response_format"}, "delete_everything"
    server.choice = {"do": "skill", "number": 1}
    body = await said(PERCENT)
    assert (body["kind"], body["learned"]) == ("unable", False)


@pytest.mark.parametrize(
    "choice",
    [
        '{"do": "skill", "num',
        "Sure! The answer is 57.8.",
        {"do": "fly", "number": 1},
        {"do": "skill", "number": 99},
        {"do": "skill", "number": 1, "args": "17, 340"},
        {"do": "skill", "number": 1, "args": ["seventeen", {"a": 1}]},
        {"do": "skill", "number": "first"},
        {"do": "answer", "text": 57.8},
        {"do": "answer", "text": "  "},
        [1],
        "",
    ],
)
@pytest.mark.parametrize("refuses", [set(), {"response_format"}], ids=["schema", "tool"])
async def test_a_choice_that_cannot_be_used_leaves_the_scorers_word(
    said, server, unsure, choice, refuses
):
    server.choice, server.refuses = choice, refuses
    body = await said(PERCENT)
    assert (body["kind"], body["learned"]) == ("unable", False)
    assert server.chats


async def test_a_server_that_is_too_slow_leaves_the_scorers_word(said, server, unsure, monkeypatch):
    monkeypatch.setattr(chooser, "SECONDS", 0.2)
    server.choice = {"do": "skill", "number": 1}
    server.go_on.clear()
    assert (await said(PERCENT))["kind"] == "unable"
    server.go_on.set()
    monkeypatch.setattr(chooser, "SECONDS", 60.0)
    assert (await said(PERCENT))["value"] == 57.8


async def test_a_server_that_fails_leaves_the_scorers_word(said, server, unsure):
    server.refuses = {"messages"}
    assert (await said(PERCENT))["kind"] == "unable"


async def test_a_question_of_the_model_is_asked(said, server, unsure):
    server.choice = {"do": "ask", "text": "Which report?"}
    body = await said("zorb the report")
    assert (body["kind"], body["needs"]) == ("asked", "clarification")
    assert (body["text"], body["model_calls"]) == ("Which report?", 1)


async def test_what_the_model_wants_learned_is_announced_with_its_time_and_stays_a_guess(
    said, server, unsure
):
    server.choice = {"do": "learn"}
    body = await said("frobnicate the number 12")
    assert (body["kind"], body["value"], body["learned"]) == ("guess", 24, False)
    assert body["model_calls"] >= 1
    announced = next(event for event in body["events"] if "expected" in event)
    assert announced["expected"] > 0
    assert f"{announced['expected']} s" in announced["text"]


def kept(root):
    """Return what could keep a model's words: methods that were learned, and facts."""
    return len(catalog_in(root).documents("method")), len(root.get("facts", ()))


@pytest.mark.parametrize(
    "text",
    [
        "write a short poem about the sea in winter",
        "what do you think about modern art?",
        "explain photosynthesis in two sentences",
    ],
)
async def test_an_able_model_answers_in_its_own_words_and_nothing_is_kept(
    said, server, mind, able, text
):
    server.choice = {"do": "answer", "text": "Grey waves, and quiet gulls."}
    before = await mind.image.transact(kept, note="look")
    body = await said(text)
    assert (body["kind"], body["text"]) == ("said", "Grey waves, and quiet gulls.")
    assert body["model_calls"] == len(server.chats) == 1
    assert (body["learned"], body["value"], body["sources"]) == (False, None, [])
    assert await mind.image.transact(kept, note="look") == before
    server.choice = {"do": "fly"}  # an answer of the model is not kept as a fact
    assert (await said("what do you know about gulls?"))["kind"] != "recalled"


LACKING = (
    "write a short poem about the sea in winter",
    "what will the weather be like in Oslo tomorrow?",
    "call my mother",
    "open the file report.pdf",
    "what do you think about modern art?",
)


@pytest.mark.parametrize("ability", [None, Ability(writes=0.9), Ability(judges=0.8, form=0.5)])
async def test_a_model_that_is_not_able_is_never_asked(said, server, mind, ability):
    if ability is not None:
        mind.abilities.update(dict.fromkeys(mind.personas, ability))
    server.choice = {"do": "answer", "text": "No."}
    for text in LACKING:
        body = await said(text)
        assert (body["kind"], body["model_calls"]) in {("unable", 0), ("asked", 0)}, text
        assert body["needs"] in {"", "grant"}, text
        assert not any("expected" in event for event in body["events"]), text
    assert server.chats == []
