"""bat_os.client.client.Places: several kernels on one image, and one of them goes."""

import asyncio
import time

import pytest

from bat_os.client.client import BACK_AFTER, Address, KernelClient, Places, find_kernel
from bat_os.client.keys import KeyRing
from bat_os.errors import KernelUnreachableError, SettingsError
from bat_os.gateway.link import KernelLink
from tests.kernel.missions.test_tending import (
    PATIENCE,
    drawing,
    engine,  # noqa: F401 - a fixture
    make,  # noqa: F401 - a fixture
)

TWO = [lambda: Address("ipc://a"), lambda: Address("ipc://b")]


def test_the_next_place_is_asked_once_one_is_left_and_the_first_again_later(monkeypatch):
    places = Places(TWO)
    assert (places.find().endpoint, places.moved) == ("ipc://a", False)
    places.leave(0)
    places.leave(0)  # two requests that failed together leave one place
    assert (places.find().endpoint, places.moved) == ("ipc://b", True)
    places.moved = False
    now = time.monotonic()
    monkeypatch.setattr("bat_os.client.client.time.monotonic", lambda: now + BACK_AFTER + 1)
    assert (places.find().endpoint, places.moved) == ("ipc://a", True)


def test_places_are_homes_or_addresses_with_keys(tmp_path):
    keys = KeyRing(tmp_path)
    files = [str(keys.make(name, connect=f"tcp://{name}:1")) for name in ("one", "two")]
    places = Places.of("", ",".join(files), tmp_path)
    assert places.find().endpoint == "tcp://one:1"
    places.leave(0)
    assert places.find().endpoint == "tcp://two:1"
    there = Places.of("tcp://x:1, tcp://y:2", files[0], tmp_path)
    assert there.find().endpoint == "tcp://x:1"
    with pytest.raises(KernelUnreachableError, match="no daemon serves"):
        Places.of(f"{tmp_path}/a,{tmp_path}/b", "", tmp_path).find()
    with pytest.raises(SettingsError, match="write tcp://"):
        Places.of("http://x,b", "", tmp_path)
    with pytest.raises(SettingsError, match="batos keys make"):
        Places.of("tcp://x:1,tcp://y:1", "", tmp_path)


@pytest.mark.system
@pytest.mark.slow
async def test_a_client_goes_on_at_the_next_kernel_with_its_key(make):  # noqa: F811
    first, second = await make(0), await make(1)
    places = Places([lambda: find_kernel(first.home.path), lambda: find_kernel(second.home.path)])
    heard = []
    async with KernelClient("", places=places) as client:
        asking = asyncio.create_task(
            client.request("brief", target="genesis_obj", selector="give_seven", ik="k",
                           body={"text": "Give a number."}, timeout=PATIENCE,
                           on_event=lambda kind, _: heard.append(kind))
        )  # fmt: skip
        await drawing(first)
        second.gate.set()
        first.kernel.stop()
        answer = await asking
        assert answer["result"] == 7
        assert "lost" in heard
        assert (places.at, places.moved) == (1, False)
        told = await client.request("brief.get", ik="k", timeout=PATIENCE)
        assert told["brief_id"] == answer["brief_id"]


@pytest.mark.system
@pytest.mark.slow
async def test_what_one_kernel_answered_is_seen_by_the_next(make):  # noqa: F811
    kernels = [await make(0), await make(1)]
    places = Places([lambda: find_kernel(kernels[0].home.path),
                     lambda: find_kernel(kernels[1].home.path)])  # fmt: skip
    async with KernelClient("", places=places) as client:
        for number in range(20):
            await client.request("send", target="genesis_obj", selector="setSlot",
                                 args=["n", number], timeout=PATIENCE)  # fmt: skip
            places.leave(places.at)
            client._disconnect()
            told = await client.request(
                "send", target="genesis_obj", selector="getSlot", args=["n"], timeout=PATIENCE
            )
            assert told["result"] == number


@pytest.mark.system
@pytest.mark.slow
async def test_who_is_asked_while_a_kernel_is_not_there_is_the_next_one(make):  # noqa: F811
    first, second = await make(0), await make(1)
    nobody = first.home.path / "nobody"
    async with KernelClient(
        "", places=Places([lambda: find_kernel(nobody), lambda: find_kernel(first.home.path)])
    ) as client:  # nothing was sent to the first, so the next is asked without a key, too
        told = await client.request(
            "send", target="genesis_obj", selector="getSlot", args=["about"]
        )
        assert "first object" in told["result"]
    places = Places([lambda: find_kernel(first.home.path), lambda: find_kernel(second.home.path)])
    link = KernelLink(lambda: find_kernel(first.home.path), places=places)
    boots = [(await link.request("health"))["boot"]]
    first.kernel.stop()
    await first.task
    boots.append((await link.request("health"))["boot"])
    link.close()
    assert boots == [first.kernel._boot, second.kernel._boot]
