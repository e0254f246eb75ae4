"""Several servers behind one model: real small servers that are slow, busy, gone or other ones."""

import asyncio
import json
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest

from bat_os.engines import replicas
from bat_os.engines.served import ServedEmbedder, ServedEngine
from bat_os.errors import BusyError, ModelError, ModelOutputError
from bat_os.image.knowledge.vectors import PROBE, is_same
from bat_os.ports import Prompt, Sampling
from tests.engines.contract import EngineContract, Listener
from tests.engines.test_openai import KEY, server, talkative  # noqa: F401 - fixtures
from tests.model_servers import Listing, serving

ASKED = Prompt((("user", "hi"),))
CHAT = "/v1/chat/completions"
TOY = {"data": [{"id": "toy", "meta": {"n_params": 7}}]}


@pytest.mark.slow
@pytest.mark.model
class TestContract(EngineContract):
    @pytest.fixture
    def engine(self, server, request):  # noqa: F811 - the fixture
        # A server that draws several together need not give the same text for the same seed.
        places = 4 if "same_time" in request.node.name else 1
        other = server.listening_address.replace("127.0.0.1", "localhost")
        return ServedEngine("smollm2", [server.listening_address, other], key=KEY, places=places)


def say(text):
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": "stop"}
    return f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n".encode()


def answering(text, until=None):
    """Return what answers a chat with a text, once the event is set."""

    def answer(handler, _body):
        if until is not None:
            until.wait(20)
        try:
            handler.give(say(text))
        except OSError:
            handler.close_connection = True  # the client asked another one

    return answer


def breaking_off(handler, _body):
    """Say half of a text, and close the line."""
    handler.send_response(200)
    handler.end_headers()
    part = {"choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": None}]}
    handler.wfile.write(f"data: {json.dumps(part)}\n\n".encode())


def busy(handler, _body):
    handler.refuse(429, Retry_After="30")


@pytest.fixture
def room(monkeypatch):
    """Return what starts servers; each answers the list of models and chats."""
    monkeypatch.setattr(replicas, "PAUSE", 0.01)
    with ExitStack() as stack:

        def start(*chats, models=TOY):
            each = models if isinstance(models, list) else [models] * len(chats)
            return [
                stack.enter_context(serving(Listing({"/v1/models": listed, CHAT: chat})))
                for chat, listed in zip(chats, each, strict=True)
            ]

        yield start


def engine_of(servers, **more):
    return ServedEngine("toy", [one.endpoint for one in servers], **more)


async def ask(engine, **more):
    [completion] = await engine.generate([ASKED], Sampling(max_tokens=5), **more)
    return completion


def chats(one):
    return sum(path == CHAT for path, _ in one.asked)


def states(engine):
    return [row["state"] for row in engine.stats()["replicas"]]


async def until(holds):
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 - servers run in threads of their own
            await asyncio.sleep(0.01)


async def test_the_answer_names_the_server_that_drew_it(room):
    servers = room(answering("one"), answering("two"))
    engine = engine_of(servers)
    completion = await ask(engine)

    drew = next(one for one in servers if chats(one))
    assert completion.server == f"{drew.endpoint}/v1"
    assert sum(map(chats, servers)) == 1
    assert len(engine.digest) == 64


async def test_calls_that_come_together_go_to_the_free_servers(room):
    go = threading.Event()
    servers = room(answering("a", go), answering("b", go), answering("c", go))
    engine = engine_of(servers)
    calls = [asyncio.create_task(ask(engine)) for _ in range(3)]
    await until(lambda: all(chats(one) == 1 for one in servers))
    go.set()

    assert sorted([c.text for c in await asyncio.gather(*calls)]) == ["a", "b", "c"]


async def test_a_server_that_dies_costs_no_call_is_left_out_and_comes_back(room):
    living, dying = room(answering("lives"), answering("dies"))
    engine = engine_of([living, dying])
    await engine.load()
    dying.shutdown()
    dying.server_close()
    for _ in range(6):
        calls = [ask(engine) for _ in range(2)]
        assert {c.text for c in await asyncio.gather(*calls)} == {"lives"}
    assert states(engine) == ["ready", "left out"]
    assert "does not answer" in engine.stats()["replicas"][1]["why"]

    back = Listing({"/v1/models": TOY, CHAT: answering("back")})
    back.server_close()
    back.server_address = dying.server_address
    back.socket = type(dying.socket)(dying.socket.family, dying.socket.type)
    back.allow_reuse_address = True
    back.server_bind()
    back.server_activate()
    with serving(back):
        await until(lambda: states(engine) == ["ready", "ready"])
        assert {c.text for c in await asyncio.gather(ask(engine), ask(engine))} == {"lives", "back"}
    await engine.close()


async def test_no_server_at_all_is_an_error_that_names_each(room):
    servers = room(answering("a"), answering("b"))
    for one in servers:
        one.shutdown()
        one.server_close()
    with pytest.raises(ModelError, match=r"none of its servers.*does not answer") as raised:
        await ask(engine_of(servers))

    assert all(one.endpoint in str(raised.value) for one in servers)


async def test_a_busy_server_is_not_a_broken_one(room):
    full, free = room(busy, answering("free"))
    engine = engine_of([full, free])
    texts = {(await ask(engine)).text for _ in range(4)}

    assert texts == {"free"}
    assert chats(full) <= 1
    assert "left out" not in states(engine)


async def test_when_all_say_that_they_are_busy_the_caller_is_told_so(room, monkeypatch):
    monkeypatch.setattr(replicas, "BUSY_TRIES", 1)
    monkeypatch.setattr(replicas, "BUSY_SECONDS", 0.01)
    with pytest.raises(BusyError) as raised:
        await ask(engine_of(room(busy, busy)))

    assert 1000 < raised.value.retry_after_ms <= 30_000


async def test_more_calls_than_twice_the_places_are_refused_at_once(room):
    go = threading.Event()
    engine = engine_of(room(answering("a", go), answering("b", go)), places=2)
    calls = [asyncio.create_task(ask(engine)) for _ in range(8)]
    await until(lambda: sum(row["running"] for row in engine.stats()["replicas"]) == 8)
    with pytest.raises(BusyError, match="4 places"):
        await ask(engine)
    go.set()

    assert len(await asyncio.gather(*calls)) == 8


async def test_a_server_with_another_model_is_left_out_until_it_has_the_same(room):
    other = {"data": [{"id": "toy", "meta": {"n_params": 8}}]}
    first, second = room(answering("a"), answering("b"), models=[TOY, other])
    engine = engine_of([first, second], places=2)
    await ask(engine)
    assert [row["why"] for row in engine.stats()["replicas"]] == [
        "", "its model is another one than that of the other servers",
    ]  # fmt: skip
    assert chats(second) == 0

    second.replies["/v1/models"] = TOY
    await until(lambda: states(engine) == ["ready", "ready"])
    await engine.close()


async def test_a_server_whose_list_is_garbage_is_left_out(room):
    engine = engine_of(room(answering("a"), answering("b"), models=[TOY, b"<html>"]))
    await ask(engine)

    assert states(engine) == ["ready", "left out"]
    await engine.close()


async def test_ollamas_digest_tells_two_models_of_one_name_apart(room):
    listed = {"data": [{"id": "toy", "owned_by": "library"}]}
    first, second = room(answering("a"), answering("b"), models=listed)
    for one, digest in ((first, "1" * 12), (second, "2" * 12)):
        one.replies["/api/tags"] = {"models": [{"name": "toy", "digest": digest}]}
    engine = engine_of([first, second])
    await engine.load()

    assert states(engine) == ["ready", "left out"]
    await engine.close()


async def test_an_engine_that_is_dead_behind_its_list_is_left_out(room):
    first, second = room(answering("a"), answering("b"))
    second.replies["/health"] = 500
    engine = engine_of([first, second])
    await engine.load()

    assert states(engine) == ["ready", "left out"]
    await engine.close()


async def test_a_late_server_is_not_waited_for_where_another_one_has_a_place(room):
    stuck = threading.Event()
    quick, slow = room(answering("quick"), answering("slow"))
    engine = engine_of([quick, slow], hedge=True)
    for _ in range(replicas.ENOUGH):
        await ask(engine)
    slow.replies[CHAT] = quick.replies[CHAT] = answering("stuck", stuck)
    call = asyncio.create_task(ask(engine))
    await until(lambda: engine.stats()["hedged"] == 1)
    stuck.set()

    assert (await call).text == "stuck"
    assert [row["running"] for row in engine.stats()["replicas"]] != [2, 0]


async def test_a_second_server_is_never_asked_without_hedging(room):
    go = threading.Event()
    servers = room(answering("a"), answering("b"))
    engine = engine_of(servers)
    for _ in range(replicas.ENOUGH + 1):
        await ask(engine)
    before = sum(map(chats, servers))
    for one in servers:
        one.replies[CHAT] = answering("late", go)
    call = asyncio.create_task(ask(engine))
    await until(lambda: sum(map(chats, servers)) == before + 1)
    await asyncio.wait({call}, timeout=0.2)
    go.set()

    assert (await call).text == "late"
    assert (sum(map(chats, servers)), engine.stats()["hedged"]) == (before + 1, 0)


async def test_a_text_that_the_caller_has_heard_is_not_begun_anew(room):
    engine = engine_of(room(breaking_off, breaking_off))
    listener = Listener()
    with pytest.raises(ModelError, match="broke off"):
        await ask(engine, on_text=listener)

    assert listener.text(0) == "half"


async def test_what_nobody_heard_of_is_asked_of_another_server(room):
    servers = room(breaking_off, answering("whole"))
    engine = engine_of(servers)
    texts = [(await ask(engine)).text for _ in range(4)]

    assert texts == ["whole"] * 4


async def test_a_caller_who_cancels_while_all_are_busy_gets_nothing_at_once(room):
    cancel = threading.Event()
    engine = engine_of(room(busy, busy))
    call = asyncio.create_task(ask(engine, cancel=cancel))
    await until(lambda: "busy" in states(engine))
    cancel.set()
    completion = await call

    assert (completion.text, completion.finished) == ("", False)


async def test_a_slow_server_gets_the_smaller_part(room):
    def paced(seconds):
        def answer(handler, _body):
            time.sleep(seconds)
            handler.give(say("x"))

        return answer

    quick, slow = room(paced(0.005), paced(0.2))
    engine = engine_of([quick, slow], places=2)
    for _ in range(12):
        await asyncio.gather(ask(engine), ask(engine))

    assert chats(quick) > 2 * chats(slow)


def embedding(turn):
    """Return what answers with a vector of the length of each text, turned by ``turn``."""

    def answer(handler, body):
        rows = [
            {"index": at, "embedding": [len(text) * 1.0, turn, 1.0]}
            for at, text in enumerate(body["input"])
        ]
        handler.give({"data": rows[::-1]})  # an index counts, not the place

    return answer


@pytest.fixture
def embedders(monkeypatch):
    monkeypatch.setattr(replicas, "PAUSE", 0.01)
    with ExitStack() as stack:

        def start(*answers):
            servers = [
                stack.enter_context(serving(Listing({"/v1/embeddings": one}))) for one in answers
            ]
            urls = [one.endpoint for one in servers]
            return servers, ServedEmbedder("toy", urls, PROBE, is_same, model="toy", places=4)

        yield start


async def test_an_embedding_server_gives_unit_vectors_in_the_order_of_the_texts(embedders):
    servers, embedder = embedders(embedding(0), embedding(0))
    vectors = await embedder.embed(["a", "bbb"])

    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert np.allclose(vectors[1], np.array([3, 0, 1]) / np.sqrt(10))
    assert servers[0].asked[0][1]["input"] == [PROBE]
    await embedder.close()


async def test_an_embedding_server_that_answers_the_probe_otherwise_is_left_out(embedders):
    servers, embedder = embedders(embedding(0), embedding(40))
    for _ in range(3):
        await embedder.embed(["a"])

    assert [row["state"] for row in embedder.stats()] == ["ready", "left out"]
    assert all(body["input"] == [PROBE] for _, body in servers[1].asked)
    await embedder.close()


BAD_VECTORS = {
    "no data": {},
    "too few": {"data": []},
    "no vector": {"data": [{"index": 0}]},
    "texts": {"data": [{"embedding": ["1", "2"]}]},
    "zeros": {"data": [{"embedding": [0, 0]}]},
    "no numbers": b'{"data": [{"embedding": [NaN, 1]}]}',
    "too large": {"data": [{"embedding": [1e300, 1]}]},
    "huge": {"data": [{"embedding": [10**400, 1]}]},
    "true": {"data": [{"embedding": [True, 1]}]},
    "endless": {"data": [{"embedding": [1] * 9000}]},
}


@pytest.mark.parametrize("reply", BAD_VECTORS.values(), ids=BAD_VECTORS.keys())
async def test_vectors_that_cannot_be_read_are_an_error_with_a_code(embedders, reply):
    _, embedder = embedders(reply)
    with pytest.raises((ModelError, ModelOutputError)) as raised:
        await embedder.embed(["a"])

    assert raised.value.code == "MODEL_UNAVAILABLE"
