"""What kernels have to live through: a full disk, a kill at any moment, floods, a dead cell."""

import asyncio
import math
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from bat_os.errors import RemoteError
from tests.kernels import write_script

ODD = {
    "deep": " x = 1\n    for _ in range(60):\n        x = [x]\n    return x",
    "many": " return list(range(10 ** 6))",
    "long": " return 'x' * (2 << 20)",
    "half_a_pair": " return chr(0xd800)",
    "bad_text": " raise ValueError(chr(0xd800) * 9000)",
    "leaves": " raise SystemExit",
    "imports": " import os",
    "no_number": " return float('nan')",
    "huge": " return 10 ** 4000",
    "odd_keys": " return {1: {2.5: {None: (1, {3})}}}",
    "much_print": " print('x' * 10 ** 4)\n    return 1",
}

pytestmark = [pytest.mark.system, pytest.mark.slow]


async def ask(kernel, selector, *args, **fields):
    return await kernel.request(
        "send", timeout=60, target="genesis_obj", selector=selector, args=list(args), **fields
    )


def limit_files(process, size):
    """Let no file of the process grow over ``size`` bytes; None: without end."""
    hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def open_files(pid):
    """Return what the descriptors of a process stand for."""
    return {os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir()}  # noqa: PTH115 - no paths


def is_there(pid):
    return Path(f"/proc/{pid}").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process")
async def test_a_full_disk_refuses_writes_and_loses_nothing(serving):
    async with serving.client() as kernel:
        await ask(kernel, "remember", "milk")
        image = serving.home / "live_image.fs"
        limit_files(serving.process, image.stat().st_size)
        for selector, args in (("remember", ["eggs"]), ("give_seven", [])):
            with pytest.raises(RemoteError, match="the disk is full") as caught:
                await ask(kernel, selector, *args)
            assert (caught.value.body["code"], caught.value.body["retryable"]) == (
                "STORAGE_FULL", True,
            )  # fmt: skip
        assert (await ask(kernel, "notes"))["result"] == ["milk"]
        limit_files(serving.process, None)
        assert (await ask(kernel, "remember", "eggs"))["result"] == ["milk", "eggs"]
        assert (await ask(kernel, "give_seven"))["result"] == 7
    serving.kill()
    serving.start()
    await serving.until_ready()
    async with serving.client() as kernel:
        assert (await ask(kernel, "notes"))["result"] == ["milk", "eggs"]


@pytest.mark.skipif(sys.platform != "linux", reason="sets the limit of another process")
async def test_a_mission_that_meets_a_full_disk_goes_on_when_there_is_room(kernel_process):
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        image = kernel_process.home / "live_image.fs"
        limit_files(kernel_process.process, image.stat().st_size + 2500)  # room for the brief
        with pytest.raises(RemoteError, match="the disk is full"):
            await ask(kernel, "remember", "milk", ik="k1")
        limit_files(kernel_process.process, None)
        assert (await ask(kernel, "remember", "milk", ik="k1"))["result"] == ["milk"]


@pytest.mark.parametrize("size", [0, 1, 1000, 20_000, 100_000])
async def test_an_awakening_killed_at_any_moment_begins_again(kernel_process, size):
    kernel_process.start()
    image = kernel_process.home / "live_image.fs"
    async with asyncio.timeout(30):
        while not (image.exists() and image.stat().st_size >= size):  # noqa: ASYNC110 - a file
            await asyncio.sleep(0)
    kernel_process.kill()
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        assert (await ask(kernel, "double", 4))["result"] == 8


async def test_a_kernel_stopped_in_the_middle_of_a_mission_leaves_it_to_the_next(kernel_process):
    answers = '{"contains": "def remember(self", "text": " import time\\n    time.sleep(1)\\n'
    answers += "    self.last = text\\n    self.n = getattr(self, 'n', 0) + 1\\n"
    answers += '    return self.n"}\n'
    kernel_process.script.write_text(answers)
    kernel_process.start()
    await kernel_process.until_ready()
    validating = asyncio.Event()
    async with kernel_process.client() as kernel:
        asking = asyncio.ensure_future(
            ask(
                kernel, "remember", "x", ik="k1",
                on_event=lambda _, body: body.get("state") == "validating" and validating.set(),
            )
        )  # fmt: skip
        await validating.wait()
        kernel_process.process.send_signal(signal.SIGTERM)
        with pytest.raises(RemoteError) as caught:
            await asking
        assert (caught.value.body["code"], caught.value.body["retryable"]) == (
            "SHUTTING_DOWN", True,
        )  # fmt: skip
        assert await asyncio.to_thread(kernel_process.wait) == 0
        kernel_process.start()
        await kernel_process.until_ready()
        assert (await ask(kernel, "remember", "x", ik="k1"))["result"] == 1
        told = await kernel.request("brief.get", ik="k1")
    assert (told["state"], told["attempts"]) == ("complete", 1)
    assert "Traceback" not in kernel_process.log()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_cell_holds_neither_the_image_nor_its_lock_nor_a_socket_of_the_kernel(serving):
    async with serving.client() as kernel:
        await ask(kernel, "double", 4)
        cell = (await kernel.request("health"))["cell"]["pid"]
    links, mine = open_files(cell), open_files(serving.process.pid)
    assert any("live_image" in link for link in mine)
    assert not [link for link in links if "live_image" in link or str(serving.home) in link]
    assert not {link for link in links if link.startswith("socket")} & mine


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_cell_dies_with_its_kernel(serving):
    async with serving.client() as kernel:
        await ask(kernel, "double", 4)
        cell = (await kernel.request("health"))["cell"]["pid"]
    serving.kill()
    async with asyncio.timeout(10):
        while is_there(cell):  # noqa: ASYNC110 - another process tells no event
            await asyncio.sleep(0.01)


async def test_a_flood_of_slow_messages_is_answered_in_turn(serving):
    async with serving.client() as kernel:
        await ask(kernel, "double", 0)

    async def one(number):
        async with serving.client() as kernel:
            return (await ask(kernel, "double", number))["result"]

    assert await asyncio.gather(*map(one, range(100))) == [2 * n for n in range(100)]


async def test_whatever_learned_code_does_the_kernel_answers_and_serves_on(kernel_process):
    write_script(kernel_process.script, {f"def {name}(": body for name, body in ODD.items()})
    kernel_process.start(candidates=1)
    await kernel_process.until_ready()
    answers = {}
    async with kernel_process.client() as kernel:
        for name in ODD:
            try:
                answers[name] = (await ask(kernel, name))["result"]
            except RemoteError as error:
                answers[name] = error.body["code"]
    works = {name: answer for name, answer in answers.items() if answer != "SANDBOX_FAILED"}
    assert works.pop("huge") == str(10**4000)
    assert math.isnan(works.pop("no_number"))
    assert works == {"odd_keys": {"1": {"2.5": {"None": [1, [3]]}}}, "much_print": 1}
    assert "Traceback" not in kernel_process.log()
