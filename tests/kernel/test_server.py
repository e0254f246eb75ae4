"""bat_os.kernel.server, with a whole kernel behind it, whose model waits for the test."""

import asyncio
import itertools

import pytest
import zmq
import zmq.asyncio

from bat_os.core.protocol import decode_reply, encode_request
from bat_os.errors import BusyError, RemoteError
from bat_os.kernel.listeners import AT_ONCE, Endpoint
from bat_os.kernel.missions.scheduler import MAX_PER_SESSION
from bat_os.kernel.server import (
    CONGESTED_SECONDS,
    DROPPED_SECONDS,
    MAX_PER_PEER,
    MAX_REQUESTS,
    Peers,
    Server,
)
from tests.core.test_protocol import colliding


class Peer:
    """A DEALER socket that sends what it is told and keeps every reply in order."""

    def __init__(self, door):
        self._context = zmq.asyncio.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.connect(door)
        self.replies = []

    async def send(self, **fields):
        await self.send_frames(encode_request(fields))

    async def send_frames(self, frames):
        await self._socket.send_multipart(frames)

    async def until(self, kind, count=1):
        """Read on until there were ``count`` replies of this kind; return them."""
        while len(found := [reply for reply in self.replies if reply[0] == kind]) < count:
            self.replies.append(decode_reply(await self._socket.recv_multipart()))
        return found

    def close(self):
        self._context.destroy(0)


@pytest.fixture
def peer(thinking):
    made = Peer(thinking.door)
    yield made
    made.close()


def brief(number, **fields):
    told = {"type": "brief", "id": str(number), "target": "genesis_obj", "selector": "double"}
    return told | {"args": [number], "ik": f"k{number}"} | fields


@pytest.mark.timeout(60)
async def test_frames_full_of_keys_of_one_hash_keep_nobody_waiting(thinking, peer):
    frame = b"\x81\xa4args\x91" + colliding(36_000)
    hostile = Peer(thinking.door)
    try:
        for _ in range(20):
            await hostile.send_frames([b"BAT1", frame])
        await peer.send(type="ping", id="1")
        await peer.until("pong")
        errors = await hostile.until("error", 20)
    finally:
        hostile.close()
    assert {body["code"] for _, _, body in errors} == {"BAD_FRAME"}


async def test_a_refused_request_is_answered_under_its_id(peer):
    await peer.send(type="send", id="mine", v=1, ttl_ms=-1)
    ((_, re, body),) = await peer.until("error")
    assert (re, body["code"]) == ("mine", "INVALID_ARGS")


@pytest.mark.slow
async def test_the_seventeenth_brief_of_a_session_is_told_to_come_back(thinking, peer):
    for number in range(MAX_PER_SESSION):
        await peer.send(**brief(number, session="s"))
    await peer.until("accepted", MAX_PER_SESSION)
    await peer.send(**brief(99, session="s"))
    ((_, re, body),) = await peer.until("error")
    assert (re, body["code"], body["retryable"]) == ("99", "BUSY", True)
    assert body["retry_after_ms"] > 0
    await peer.send(**brief(100, session="other"))
    await peer.until("accepted", MAX_PER_SESSION + 1)

    thinking.gate.set()
    results = await peer.until("result", MAX_PER_SESSION + 1)
    assert {re: body["result"] for _, re, body in results} == {
        str(n): 2 * n for n in (*range(MAX_PER_SESSION), 100)
    }
    await peer.send(**brief(99, session="s"))
    await peer.until("result", MAX_PER_SESSION + 2)


@pytest.mark.slow
async def test_briefs_that_come_all_at_once_find_no_more_room_than_others(thinking, peer):
    for number in range(3 * MAX_PER_SESSION):
        await peer.send(**brief(number, session="s"))
    refused = await peer.until("error", 2 * MAX_PER_SESSION)
    assert {body["code"] for _, _, body in refused} == {"BUSY"}
    assert len(await peer.until("accepted", MAX_PER_SESSION)) == MAX_PER_SESSION


async def test_a_known_message_is_answered_while_missions_think(thinking, peer):
    await peer.send(**brief(1))
    await peer.until("accepted")
    async with thinking.client() as kernel:
        told = await kernel.request("send", target="genesis_obj", selector="selectors")
    assert "clone" in told["result"]
    assert [kind for kind, *_ in peer.replies if kind in ("result", "error")] == []


@pytest.mark.slow
async def test_a_brief_over_its_time_goes_on_and_its_key_gives_the_result(thinking):
    async with thinking.client() as kernel:
        with pytest.raises(RemoteError) as caught:
            await kernel.request("send", ttl_ms=200, **_double())
        assert (caught.value.body["code"], caught.value.body["retryable"]) == ("DEADLINE", True)
        thinking.gate.set()
        assert (await kernel.request("send", **_double()))["result"] == 42


async def test_a_brief_that_is_withdrawn_ends_as_cancelled(thinking, peer):
    await peer.send(**brief(1))
    await peer.until("accepted")
    await peer.send(type="cancel", id="c", ik="k1")
    ((_, re, body),) = await peer.until("error")
    assert (re, body["code"], body["retryable"]) == ("1", "CANCELLED", False)
    assert ("result", "c", {"cancelled": True}) in await peer.until("result")
    async with thinking.client() as kernel:
        assert (await kernel.request("brief.get", ik="k1"))["state"] == "failed"
        with pytest.raises(RemoteError) as caught:
            await kernel.request("cancel", ik="nobody")
    assert caught.value.body["code"] == "NOT_FOUND"


async def test_two_who_ask_with_one_key_get_the_one_result(thinking, peer):
    await peer.send(**brief(1))
    await peer.send(**brief(1, id="again"))
    await peer.until("accepted", 2)
    thinking.gate.set()
    (one, other) = await peer.until("result", 2)
    assert {one[1], other[1]} == {"1", "again"}
    assert one[2] == other[2]


async def test_a_kernel_that_goes_down_answers_what_it_cannot_finish(thinking, peer):
    await peer.send(**brief(1))
    await peer.until("accepted")
    thinking.kernel.stop()
    ((_, re, body),) = await peer.until("error")
    assert (re, body["code"], body["retryable"]) == ("1", "SHUTTING_DOWN", True)


async def test_a_request_that_cannot_be_read_is_answered_under_its_id(thinking):
    async with thinking.client() as kernel:
        for fields in ({"args": "x"}, {"kwargs": {"not a name": 1}}, {"target": "x" * 300}):
            with pytest.raises(RemoteError) as caught:
                await kernel.request("send", timeout=20, **(_double() | fields))
            assert caught.value.body["code"] == "INVALID_ARGS"


async def test_one_who_does_not_read_costs_the_others_nothing(thinking):
    lazy = Peer(thinking.door)
    for number in range(3000):
        await lazy.send(type="health", id=str(number))
    async with thinking.client() as kernel:
        assert (await kernel.request("ping"))["boot"]
    lazy.close()


async def test_an_endpoint_that_is_taken_is_an_error_and_not_a_second_server(thinking):
    with zmq.Context() as context, Server(context, Endpoint("tcp://127.0.0.1:*"))._socket as taken:
        with pytest.raises(zmq.ZMQError):
            Server(context, Endpoint(taken.get_string(zmq.LAST_ENDPOINT).rstrip("\0")))
        taken.close(0)


def _double():
    return {"target": "genesis_obj", "selector": "double", "args": [21], "ik": "k"}


def test_a_peer_has_its_share_and_gets_it_back():
    peers = Peers()
    for _ in range(MAX_PER_PEER):
        peers.enter(b"many")
    with pytest.raises(BusyError, match="of yours"):
        peers.enter(b"many")
    peers.enter(b"few")
    peers.leave(b"many")
    peers.enter(b"many")


def test_all_together_have_a_limit_too():
    peers = Peers()
    for number in range(MAX_REQUESTS):
        peers.enter(b"%d" % number)
    with pytest.raises(BusyError, match=f"{MAX_REQUESTS} requests"):
        peers.enter(b"another")
    peers.leave(b"0")
    peers.enter(b"another")


async def test_a_peer_is_congested_for_a_moment():
    peers = Peers()
    peers.note_congested(b"a")
    assert peers.is_congested(b"a")
    assert not peers.is_congested(b"b")
    async with asyncio.timeout(30):
        while peers.is_congested(b"a"):  # noqa: ASYNC110 - a timer's doing
            await asyncio.sleep(CONGESTED_SECONDS)


async def test_one_who_reads_no_answers_is_read_from_slowly_and_others_are_answered(
    thinking, peer, monkeypatch
):
    loop, deaf = asyncio.get_running_loop(), Peer(thinking.door)
    rounds, drain, is_congested = [], Server._drain, Peers.is_congested
    await deaf.send(type="ping", id="1")
    await deaf.until("pong")
    await peer.send(type="ping", id="1")
    await peer.until("pong")
    dropped = []

    def is_deaf(self, identity):
        dropped.append(identity)
        return identity == dropped[0] or is_congested(self, identity)

    def look(self):
        rounds.append((loop.time(), len(dropped)))
        drain(self)

    monkeypatch.setattr(Peers, "is_congested", is_deaf)
    monkeypatch.setattr(Server, "_drain", look)
    try:
        for number in range(20 * AT_ONCE):
            await deaf.send(type="ping", id=f"{number}")
        while len(dropped) < 20 * AT_ONCE:  # noqa: ASYNC110 - a timer's doing
            await asyncio.sleep(0.01)
        await peer.send(type="ping", id="2")
        await peer.until("pong", 2)
    finally:
        deaf.close()
    full = [when for (when, had), (_, has) in itertools.pairwise(rounds) if has - had == AT_ONCE]
    assert len(full) > 1
    waits = [later - when for when, later in itertools.pairwise(full)]
    assert min(waits) >= DROPPED_SECONDS / 2  # the loop's clock has a resolution
    assert [kind for kind, *_ in deaf.replies] == ["pong"]
