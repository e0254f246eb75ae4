"""bat_os.client.client, against real kernels."""

import asyncio
import contextlib
import json
import time

import pytest
import zmq

from bat_os.client.client import KernelClient
from bat_os.client.keys import make_pair
from bat_os.core.protocol import Reply, decode_request, encode_reply
from bat_os.errors import KernelUnreachableError, NotPlainError, RemoteError, TooLargeError

DOUBLE = {"target": "genesis_obj", "selector": "double", "args": [21], "ik": "k"}


async def test_events_come_in_order_between_accepted_and_the_result(thinking):
    thinking.gate.set()
    heard = []
    async with thinking.client() as kernel:
        body = await kernel.request("send", on_event=lambda *said: heard.append(said), **DOUBLE)
    (first, accepted), *events = heard
    assert first == "accepted"
    assert accepted["brief_id"] == body["brief_id"]
    assert [kind for kind, _ in events] == ["event"] * 5
    assert [event["seq"] for _, event in events] == sorted(event["seq"] for _, event in events)
    assert {event["brief_id"] for _, event in events} == {body["brief_id"]}
    assert [event["pct"] for _, event in events] == [10, 30, 40, 80, 100]


async def test_an_error_of_the_kernel_is_raised_with_its_body(thinking):
    async with thinking.client() as kernel:
        with pytest.raises(RemoteError, match="there is no object 'nobody'") as caught:
            await kernel.request("inspect", target="nobody")
    assert caught.value.body["code"] == "NOT_FOUND"
    assert caught.value.body["details"] == {"target": "nobody"}


async def test_one_client_may_ask_again_after_an_error(thinking):
    async with thinking.client() as kernel:
        for _ in range(2):
            with pytest.raises(RemoteError):
                await kernel.request("reboot")
            assert (await kernel.request("ping"))["boot"]


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        (object(), NotPlainError),
        ("\ud800", NotPlainError),
        ("x" * (1 << 20), TooLargeError),
        ([[]] * 100_001, TooLargeError),
    ],
    ids=["object", "half a character", "megabyte", "many items"],
)
async def test_what_no_kernel_would_take_is_refused_before_it_is_sent(thinking, argument, error):
    async with thinking.client() as kernel:
        with pytest.raises(error):
            await kernel.request("send", **DOUBLE | {"args": [argument]})
        assert (await kernel.request("ping"))["boot"]


async def test_requests_of_one_client_that_wait_together_get_each_its_own_answer(thinking):
    async with thinking.client() as kernel:
        learned = asyncio.create_task(kernel.request("send", **DOUBLE))
        for n in range(40):
            await kernel.request(
                "send", target="genesis_obj", selector="setSlot", args=[f"n{n}", n]
            )
        asked = [
            kernel.request("send", target="genesis_obj", selector="getSlot", args=[f"n{n}"])
            for n in range(40)
        ]  # fmt: skip
        answers = await asyncio.gather(*asked)
        thinking.gate.set()
        assert [answer["result"] for answer in answers] == [*range(40)]
        assert (await learned)["result"] == 42


async def test_a_request_that_is_given_up_leaves_the_others_their_answers(thinking):
    async with thinking.client() as kernel:
        learned = asyncio.create_task(kernel.request("send", **DOUBLE))
        dropped = asyncio.create_task(kernel.request("send", **DOUBLE | {"ik": "other"}))
        assert (await kernel.request("ping"))["boot"]
        dropped.cancel()
        await asyncio.wait((dropped,))
        thinking.gate.set()
        assert (await learned)["result"] == 42


@pytest.mark.slow
async def test_a_request_that_takes_too_long_ends_for_the_client_only(thinking):
    async with thinking.client() as kernel:
        with pytest.raises(KernelUnreachableError, match="did not answer in time"):
            await kernel.request("send", timeout=0.3, **DOUBLE)
        thinking.gate.set()
        assert (await kernel.request("send", **DOUBLE))["result"] == 42


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"tcp": "tcp://127.0.0.1:1"}'])
async def test_where_no_kernel_is_the_client_says_how_to_start_one(tmp_path, text):
    if text is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "endpoint.json").write_text(text)
    async with KernelClient.at(tmp_path) as kernel:
        with pytest.raises(KernelUnreachableError, match=r"start one with \./run\.sh"):
            await kernel.request("send", target="genesis_obj", selector="x")


async def test_what_a_kernel_said_last_is_heard_although_it_has_gone(tmp_path):
    """Both sides in one loop, so that nothing is read before the other end has gone."""
    endpoint = f"ipc://{tmp_path}/door"
    with zmq.Context() as context, context.socket(zmq.ROUTER) as door:
        door.bind(endpoint)
        async with KernelClient(endpoint) as kernel:
            asking = asyncio.ensure_future(kernel.request("health", timeout=5))
            while not door.poll(0):  # noqa: ASYNC110 - no event of the loop
                await asyncio.sleep(0.01)
            identity, *frames = door.recv_multipart()
            reply = Reply("result", decode_request(frames, "").id, {"said": "last"})
            door.send_multipart([identity, *encode_reply(reply)])
            door.close()
            time.sleep(0.2)  # noqa: ASYNC251 - the loop must not read
            assert await asking == {"said": "last"}


async def answer_next(door, body, *, after=0.0, kind="result"):
    """Answer the next request that is no ping, after so many seconds; or a ping, with a pong."""
    while True:
        while not door.poll(0):  # noqa: ASYNC110 - no event of the loop
            await asyncio.sleep(0.01)
        identity, *frames = door.recv_multipart()
        request = decode_request(frames, "")
        if (request.type == "ping") == (kind == "pong"):
            await asyncio.sleep(after)
            reply = encode_reply(Reply(kind, request.id, body))
            door.send_multipart([identity, *reply])
            return


async def test_an_idle_client_asks_the_kernel_that_came_after(tmp_path):
    endpoint = f"ipc://{tmp_path}/door"
    with zmq.Context() as context:
        async with KernelClient(endpoint) as kernel:
            for number in range(2):
                with context.socket(zmq.ROUTER) as door:
                    door.bind(endpoint)
                    # Long enough to be looked after: the end of the one before is past.
                    answering = answer_next(door, {"n": number}, after=1.5 * number)
                    asking = kernel.request("shutdown", timeout=30)
                    body, _ = await asyncio.gather(asking, answering)
                    assert body == {"n": number}
                await asyncio.sleep(0.2)


async def test_a_kernel_that_goes_is_noticed_and_asked_no_more(tmp_path):
    endpoint = f"ipc://{tmp_path}/door"
    with zmq.Context() as context, context.socket(zmq.ROUTER) as door:
        door.bind(endpoint)
        async with KernelClient(endpoint) as kernel:
            first = answer_next(door, {"boot": "first"}, kind="pong")
            await asyncio.gather(kernel.request("ping"), first)
            asking = asyncio.ensure_future(kernel.request("shutdown", timeout=None))
            while not door.poll(0):  # noqa: ASYNC110 - no event of the loop
                await asyncio.sleep(0.01)
            door.close()
            with pytest.raises(KernelUnreachableError, match="the daemon has gone"):
                await asking
            with context.socket(zmq.ROUTER) as other:
                other.bind(endpoint)
                second = answer_next(other, {"boot": "second"}, kind="pong")
                told, _ = await asyncio.gather(kernel.request("ping", timeout=5), second)
                assert told == {"boot": "second"}


@pytest.mark.slow
@pytest.mark.system
async def test_a_client_that_came_first_finds_the_kernel_that_comes_later(kernel_process):
    async with kernel_process.client() as kernel:
        asking = asyncio.ensure_future(kernel.request("ping", timeout=30))
        kernel_process.start()
        assert (await asking)["boot"]


@pytest.mark.slow
@pytest.mark.system
async def test_a_request_with_a_key_outlives_the_kernel_that_took_it(kernel_process):
    kernel_process.start(failpoint="synthesizing:kill")
    await kernel_process.until_ready()
    heard = []
    async with kernel_process.client() as kernel:
        asking = asyncio.ensure_future(
            kernel.request(
                "send", timeout=None, on_event=lambda kind, _: heard.append(kind), **DOUBLE
            )
        )
        await asyncio.to_thread(kernel_process.wait)
        kernel_process.start()
        assert (await asking)["result"] == 42
    # Once more where it met the new kernel at the old address first.
    assert heard.count("accepted") >= 2
    assert "lost" in heard


@pytest.mark.slow
@pytest.mark.system
async def test_a_request_without_a_key_is_never_sent_twice(kernel_process):
    kernel_process.start(failpoint="decomposing:kill")
    await kernel_process.until_ready()
    fields = {key: value for key, value in DOUBLE.items() if key != "ik"}
    async with kernel_process.client() as kernel:
        asking = asyncio.ensure_future(kernel.request("send", timeout=None, **fields))
        await asyncio.to_thread(kernel_process.wait)
        with pytest.raises(KernelUnreachableError):
            await asking


@pytest.mark.slow
@pytest.mark.system
async def test_over_tcp_the_client_finds_and_shows_the_token(serving):
    told = serving.endpoint()
    path = serving.home / "run" / "endpoint.json"
    path.write_text(json.dumps(told | {"ipc": ""}))
    async with serving.client() as kernel:
        assert (await kernel.request("health"))["pid"] == told["pid"]
    token = serving.home / "run" / "token"
    right = token.read_text()
    token.write_text("wrong")
    async with serving.client() as stranger:
        with pytest.raises(RemoteError) as caught:
            await stranger.request("health")
        assert caught.value.body["code"] == "UNAUTHORIZED"
        assert (await stranger.request("ping"))["boot"] == told["boot"]
    token.write_text(right)


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"  # of ZeroMQ's protocol, up to the mechanism


@contextlib.asynccontextmanager
async def listen(home, mechanism, **more):
    """Give what a server hears that greets as ZeroMQ does; the home names it as its kernel."""
    heard, serving, came = [], [], asyncio.Event()

    async def answer(reader, writer):
        serving.append(asyncio.current_task())
        came.set()
        writer.write(GREETING + mechanism.ljust(20, b"\0") + bytes(32))
        if mechanism == b"NULL":
            writer.write(b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER")
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                heard.append(data)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    address = f"tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    (home / "run").mkdir()
    (home / "run" / "token").write_text("the secret token")
    told = {"boot": "b", "ipc": "", "tcp": address, "pid": 1} | more
    (home / "run" / "endpoint.json").write_text(json.dumps(told))
    yield heard
    await came.wait()  # the client has tried; what it sent may be lost if it has closed first
    server.close()
    await asyncio.gather(*serving)


async def ask_in_vain(home, kind, **fields):
    async with KernelClient.at(home, lambda: False) as kernel:
        with pytest.raises(KernelUnreachableError):
            await kernel.request(kind, **fields)


@pytest.mark.parametrize("mechanism", [b"NULL", b"CURVE", b"PLAIN"])
async def test_who_listens_on_the_port_of_a_kernel_that_was_killed_hears_no_secret(
    tmp_path, mechanism
):
    async with listen(tmp_path, mechanism, key=make_pair()[0]) as heard:
        await ask_in_vain(tmp_path, "send", **DOUBLE)
    assert not any(word in b"".join(heard) for word in (b"secret", b"genesis_obj", b"double"))


async def test_a_key_of_another_kernel_opens_nothing(serving):
    path = serving.home / "run" / "endpoint.json"
    told = serving.endpoint()
    path.write_text(json.dumps(told | {"ipc": "", "key": make_pair()[0]}))
    async with KernelClient.at(serving.home, lambda: False) as kernel:
        with pytest.raises(KernelUnreachableError, match="no daemon answers at"):
            await kernel.request("health")
    path.write_text(json.dumps(told))


async def test_a_token_is_never_sent_to_an_endpoint_without_a_key(tmp_path):
    async with listen(tmp_path, b"NULL") as heard:
        await ask_in_vain(tmp_path, "health", timeout=1)
    assert b"health" in b"".join(heard), "it was asked"
    assert b"secret" not in b"".join(heard)
