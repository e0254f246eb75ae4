"""bat_os.kernel.service: what is done before missions can run, and what after that."""

import asyncio
import os

import pytest

from bat_os.errors import ModelError, StorageFullError
from tests.kernels import ThinkingKernel


class Loading(ThinkingKernel):
    """A kernel that loads ahead what ``load`` does."""

    def __init__(self, home, load):
        super().__init__(home)
        self.ahead = [load]


async def health(client):
    return await client.request("health")


async def ready(client):
    """Answer what ``health`` says once the kernel is awake: it answers before."""
    async with asyncio.timeout(30):
        while not (told := await health(client))["ready"]:
            pass
    return told


async def test_a_kernel_that_loads_ahead_is_ready_and_says_what_it_loads(tmp_path):
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def load(report):
        report("loading the model A")
        begun.set()
        await go_on.wait()

    async with Loading(tmp_path / "home", load) as kernel, kernel.client() as client:
        await begun.wait()
        told = await health(client)
        assert (told["ready"], told["awakening"], told["loading"]) == (
            True,
            "",
            "loading the model A",
        )
        heard = []
        kernel.gate.set()
        learned = await client.request(
            "send", timeout=30, target="genesis_obj", selector="give_seven",
            on_event=lambda kind, body: heard.append((kind, body)),
        )  # fmt: skip
        assert learned["result"] == 7, "no mission waits for it"
        assert heard[0][0] == "accepted"
        assert heard[0][1]["awakening"] == "loading the model A"
        go_on.set()
        async with asyncio.timeout(10):
            while (await health(client))["loading"]:
                pass


@pytest.mark.parametrize("error", [ModelError("the model is not there"), ValueError("a fault")])
async def test_what_cannot_be_loaded_ahead_is_logged_and_stops_nothing(tmp_path, error, caplog):
    done = asyncio.Event()

    async def load(report):
        report("loading the model A")
        done.set()
        raise error

    async with Loading(tmp_path / "home", load) as kernel, kernel.client() as client:
        await done.wait()
        told = await health(client)
    assert (told["ready"], told["loading"], told["problem"]) == (True, "", "")
    assert str(error) in caplog.text


@pytest.mark.parametrize("noted", [None, "rubbish"], ids=["cut", "cut, its note unreadable"])
async def test_a_kernel_whose_image_lost_its_end_serves_and_says_so(tmp_path, noted):
    home, image = tmp_path / "home", tmp_path / "home" / "live_image.fs"
    async with ThinkingKernel(home) as kernel, kernel.client() as client:
        assert (await health(client))["lost"] == []
        size = image.stat().st_size
        await client.request("learn", timeout=30, body={"text": "Bees dance.", "title": "bees"})
    os.truncate(image, size + 300)
    if noted:
        image.with_name(image.name + ".lost").write_text(noted)
        image.with_name(image.name + ".end").unlink()
    async with ThinkingKernel(home) as kernel, kernel.client() as client:
        told = await ready(client)
        assert ("not valid JSON" if noted else f"{image}.tr0") in told["lost"][0]


async def test_a_step_that_finds_no_room_is_named_and_taken_once_there_is_some(tmp_path):
    has_room = asyncio.Event()

    async def store(report):
        if not has_room.is_set():
            raise StorageFullError("the disk is full")

    kernel = ThinkingKernel(tmp_path / "home")
    kernel.steps = [store]
    async with kernel, kernel.client() as client:
        while not (told := await health(client))["problem"]:
            pass
        assert (told["problem"], told["ready"]) == ("the disk is full", False)
        has_room.set()
        assert (await ready(client))["problem"] == ""


@pytest.mark.parametrize("restart", [False, True])
async def test_a_kernel_that_is_asked_to_end_knows_whether_another_has_to_follow(tmp_path, restart):
    async with ThinkingKernel(tmp_path / "home") as kernel, kernel.client() as client:
        await client.request("shutdown", body={"restart": restart})
        await kernel.task
        assert kernel.kernel.wants_restart is restart
