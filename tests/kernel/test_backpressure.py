"""bat_os.kernel.backpressure."""

import asyncio

import pytest

from bat_os.errors import BusyError
from bat_os.kernel.backpressure import DEAF_SECONDS, MAX_PER_PEER, MAX_REQUESTS, Peers


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


async def test_a_peer_is_deaf_for_a_moment():
    peers = Peers()
    peers.note_deaf(b"a")
    assert peers.is_deaf(b"a")
    assert not peers.is_deaf(b"b")
    async with asyncio.timeout(30):
        while peers.is_deaf(b"a"):  # noqa: ASYNC110 - a timer's doing
            await asyncio.sleep(DEAF_SECONDS)
