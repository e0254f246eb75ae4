"""A kernel with a door for other machines: encrypted, and only for keys of the allow-list."""

import asyncio

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from bat_os.client.client import KernelClient
from bat_os.client.keys import ClientKey, KeyRing, make_pair
from bat_os.core.protocol import decode_reply, encode_request
from bat_os.errors import KernelUnreachableError, RemoteError
from tests.cli.clients import verb
from tests.kernels import ANSWERS, KernelProcess, write_script

pytestmark = [pytest.mark.system, pytest.mark.slow]
DOOR = "tcp://127.0.0.1:*"
SECONDS_20 = 20_000


@pytest.fixture(scope="module")
def process(tmp_path_factory):
    """One kernel for all tests of this page; its home has the key ``laptop``."""
    folder = tmp_path_factory.mktemp("remote")
    made = KernelProcess(folder / "home", write_script(folder / "script.jsonl", ANSWERS))
    KeyRing(made.home).make("laptop")
    made.start(listen=DOOR)
    asyncio.run(made.until_ready())
    yield made
    made.stop()


@pytest.fixture
def ring(process):
    return KeyRing(process.home)


@pytest.fixture
def key(ring):
    return ClientKey.read(ring.folder / "laptop.key")


@pytest.fixture
def remote(process):
    return process.endpoint()["remote"]


def dealer(context, key=None, server=""):
    """Return a socket with these keys, and a monitor of what becomes of its handshake."""
    socket = context.socket(zmq.DEALER)
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.RCVTIMEO, SECONDS_20)
    if key is not None:
        socket.set(zmq.CURVE_SERVERKEY, (server or key.server).encode())
        socket.set(zmq.CURVE_PUBLICKEY, key.public.encode())
        socket.set(zmq.CURVE_SECRETKEY, key.secret.encode())
    failed = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    monitor = socket.get_monitor_socket(
        failed | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_SUCCEEDED
        | zmq.EVENT_DISCONNECTED
    )  # fmt: skip
    monitor.set(zmq.RCVTIMEO, SECONDS_20)
    return socket, monitor


async def test_with_a_key_a_client_elsewhere_does_what_one_here_does(process, key, remote):
    assert remote.startswith("tcp://127.0.0.1:")
    async with KernelClient.remote(key, remote) as kernel:
        fields = {"target": "genesis_obj", "selector": "double", "args": [21], "ik": "k"}
        assert (await kernel.request("send", timeout=60, **fields))["result"] == 42
    answered = await verb(
        process.home.parent, "list", "--json",
        BATOS_CONNECT=remote, BATOS_KEY_FILE=str(process.home / "keys" / "laptop.key"),
    )  # fmt: skip
    assert (answered.status, "objects" in answered.json) == (0, True)


async def test_a_key_that_is_not_allowed_does_not_get_through_the_door(key, remote):
    public, secret = make_pair()
    stranger = ClientKey(public, secret, key.server)
    with zmq.Context() as context:
        socket, monitor = dealer(context, stranger)
        with socket, monitor:
            socket.connect(remote)
            told = await asyncio.to_thread(recv_monitor_message, monitor)
            assert told["event"] != zmq.EVENT_HANDSHAKE_SUCCEEDED


@pytest.mark.parametrize("kind", ["no key", "another kernel's key"])
async def test_without_the_right_keys_no_handshake_succeeds(key, remote, kind):
    with zmq.Context() as context:
        keys = (None, "") if kind == "no key" else (key, make_pair()[0])
        socket, monitor = dealer(context, *keys)
        with socket, monitor:
            socket.connect(remote)
            told = await asyncio.to_thread(recv_monitor_message, monitor)
            assert told["event"] != zmq.EVENT_HANDSHAKE_SUCCEEDED


async def test_keys_come_and_go_while_the_kernel_runs(ring, key, remote):
    public, secret = make_pair()
    ring.allow("phone", public)
    async with KernelClient.remote(ClientKey(public, secret, key.server), remote) as kernel:
        assert (await kernel.request("health", timeout=60))["ready"]
        ring.revoke("phone")
        with pytest.raises(RemoteError) as caught:
            await kernel.request("health", timeout=60)
    assert caught.value.body["code"] == "UNAUTHORIZED"


async def test_the_other_doors_stay_as_they_are(process):
    told = process.endpoint()
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.RCVTIMEO, SECONDS_20)
        for name, value in process.curve().items():
            socket.set(getattr(zmq, name), value)
        socket.connect(told["tcp"])
        socket.send_multipart(encode_request({"type": "health", "id": "1"}))
        kind, _, body = decode_reply(socket.recv_multipart())
    assert (kind, body["code"]) == ("error", "UNAUTHORIZED")


async def test_a_door_for_other_machines_without_keys_is_refused_at_the_start(kernel_process):
    kernel_process.start(listen="tcp://0.0.0.0:0")
    assert await asyncio.to_thread(kernel_process.wait) == 78
    assert "run `batos keys make NAME` first" in kernel_process.log()


async def test_a_client_that_is_not_let_in_is_told_what_may_be_wrong(key, remote):
    stranger = ClientKey(*make_pair(), key.server)
    async with KernelClient.remote(stranger, remote) as kernel:
        with pytest.raises(KernelUnreachableError, match="is this key authorised"):
            await kernel.request("send", timeout=20, target="genesis_obj", selector="x")
