"""bat_os.kernel.listeners: what is open to whom, with real sockets and keys."""

import asyncio

import pytest
import zmq
import zmq.asyncio

from bat_os.client.keys import make_pair
from bat_os.core.protocol import Reply, decode_reply, encode_request
from bat_os.errors import SettingsError
from bat_os.kernel.curve import Curve, start_authenticator
from bat_os.kernel.listeners import Endpoint, bind_endpoint, is_local
from bat_os.kernel.server import MAX_PER_PEER, Server

TCP = "tcp://127.0.0.1:*"


class Waiting:
    """Takes requests, and answers all of them once it is told to."""

    def __init__(self, body=None):
        self.go = asyncio.Event()
        self.body = body or {}

    async def handle(self, request, send):
        await self.go.wait()
        return Reply("pong", request.id, self.body)


class Lock:
    """The keys of a kernel, and of a client that it allows."""

    def __init__(self):
        self.public, secret = make_pair()
        self.client = make_pair()
        self.allowed = {self.client[0]}
        self.curve = Curve(self.public.encode(), secret.encode(), self.allowed.__contains__)


async def ask(context, server, keys=None, public="", kind="health"):
    """Return (type, body) of the reply to one request, over a socket with these keys."""
    with context.socket(zmq.DEALER, socket_class=zmq.asyncio.Socket) as socket:
        socket.set(zmq.LINGER, 0)
        if keys:
            socket.set(zmq.CURVE_PUBLICKEY, keys[0].encode())
            socket.set(zmq.CURVE_SECRETKEY, keys[1].encode())
            socket.set(zmq.CURVE_SERVERKEY, public.encode())
        socket.connect(server.address)
        await socket.send_multipart(encode_request({"type": kind, "id": "1"}))
        kind, _, body = decode_reply(await socket.recv_multipart())
        return kind, body


@pytest.fixture
def context():
    made = zmq.Context()
    yield made
    made.destroy(0)


@pytest.mark.parametrize(
    ("endpoint", "local"),
    [
        ("ipc:///run/kernel.sock", True),
        ("inproc://x", True),
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.9.9.9:*", True),
        ("tcp://localhost:5555", True),
        ("tcp://[::1]:5555", True),
        ("tcp://*:5555", False),
        ("tcp://0.0.0.0:5555", False),
        ("tcp://[::]:5555", False),
        ("tcp://192.168.1.5:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://localhost.example:5555", False),
        ("udp://127.0.0.1:5555", False),
    ],
)
def test_it_is_known_what_other_machines_can_reach(endpoint, local):
    assert is_local(endpoint) is local


@pytest.mark.parametrize("endpoint", ["tcp://*:*", "tcp://0.0.0.0:*", "tcp://[::]:*"])
def test_no_endpoint_for_other_machines_is_bound_without_keys(context, endpoint):
    with pytest.raises(SettingsError, match="so it needs keys: batos keys make NAME"):
        bind_endpoint(context, Endpoint(endpoint))


async def test_who_has_an_allowed_key_comes_in_and_is_shut_out_at_once_when_it_is_not(context):
    lock, waiting = Lock(), Waiting()
    waiting.go.set()
    endpoint = Endpoint(TCP, curve=lock.curve)
    authenticator = start_authenticator(context, [endpoint])
    server = Server(context, endpoint)
    server.serve(waiting)
    with context.socket(zmq.DEALER, socket_class=zmq.asyncio.Socket) as socket:
        socket.set(zmq.CURVE_PUBLICKEY, lock.client[0].encode())
        socket.set(zmq.CURVE_SECRETKEY, lock.client[1].encode())
        socket.set(zmq.CURVE_SERVERKEY, lock.public.encode())
        socket.connect(server.address)
        told = []
        for _ in range(2):
            await socket.send_multipart(encode_request({"type": "health", "id": "1"}))
            told.append(decode_reply(await socket.recv_multipart()))
            lock.allowed.clear()
    assert told[0][0] == "pong"
    assert (told[1][0], told[1][2]["code"]) == ("error", "UNAUTHORIZED")
    await server.close()
    authenticator.stop()


async def test_where_nobody_asks_the_list_a_handshake_alone_opens_nothing(context):
    lock, waiting = Lock(), Waiting()
    waiting.go.set()
    server = Server(context, Endpoint(TCP, curve=lock.curve))  # no start_authenticator
    server.serve(waiting)
    kind, body = await ask(context, server, lock.client, lock.public, kind="ping")
    assert (kind, body["code"]) == ("error", "UNAUTHORIZED")
    await server.close()


@pytest.mark.slow
async def test_one_connection_takes_its_share_of_the_requests_and_leaves_the_others_theirs(context):
    waiting = Waiting()
    server = Server(context, Endpoint(TCP))
    server.serve(waiting)
    with context.socket(zmq.DEALER, socket_class=zmq.asyncio.Socket) as greedy:
        greedy.set(zmq.LINGER, 0)
        greedy.connect(server.address)
        for number in range(MAX_PER_PEER + 3):
            await greedy.send_multipart(encode_request({"type": "health", "id": str(number)}))
        refused = [decode_reply(await greedy.recv_multipart()) for _ in range(3)]
        assert {body["code"] for _, _, body in refused} == {"BUSY"}
        other = asyncio.ensure_future(ask(context, server))
        waiting.go.set()
        assert (await other)[0] == "pong"
        answered = [decode_reply(await greedy.recv_multipart()) for _ in range(MAX_PER_PEER)]
        assert {kind for kind, _, _ in answered} == {"pong"}
    await server.close()
    assert not server._peers._asking


@pytest.mark.slow
async def test_who_leaves_a_thousand_answers_unread_is_served_again_when_it_has_read(context):
    waiting = Waiting({"text": "y" * 9000})  # long: they fill what the system buffers, too
    waiting.go.set()
    server = Server(context, Endpoint(TCP))
    server.serve(waiting)
    with context.socket(zmq.DEALER, socket_class=zmq.asyncio.Socket) as deaf:
        deaf.set(zmq.LINGER, 0)
        deaf.set(zmq.RCVHWM, 1)
        deaf.set(zmq.RCVBUF, 65536)  # else the system takes many megabytes for it
        deaf.connect(server.address)
        asked = answered = 0
        async with asyncio.timeout(60):
            while not server._peers._congested:
                for _ in range(100):
                    await deaf.send_multipart(encode_request({"type": "health", "id": "early"}))
                asked += 100
                await asyncio.sleep(0)
        assert (await ask(context, server))[0] == "pong"
        ids = set()
        async with asyncio.timeout(60):
            while "late" not in ids:  # one that comes while there is no room is dropped as well
                await deaf.send_multipart(encode_request({"type": "health", "id": "late"}))
                while await deaf.poll(200):
                    kind, answers, _ = decode_reply(await deaf.recv_multipart())
                    assert kind == "pong"
                    ids.add(answers)
                    answered += answers == "early"
        assert 1000 <= answered < asked  # the others were dropped
    await server.close()
