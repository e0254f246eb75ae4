"""A kernel that is killed loses nothing that it has acknowledged, and runs nothing twice."""

import asyncio
import signal
import subprocess

import pytest

from bat_os.client.client import KernelClient
from bat_os.errors import KernelUnreachableError, RemoteError
from bat_os.supervisor.restart import EXIT_RESTART
from tests.forks import PYTHON
from tests.system.conftest import ROOT

pytestmark = pytest.mark.system
STATES = ("decomposing", "delegating", "synthesizing", "validating", "complete")


async def send(kernel, selector, *args, **fields):
    return await kernel.request(
        "send", timeout=60, target="genesis_obj", selector=selector, args=list(args), **fields
    )


@pytest.mark.parametrize("state", STATES)
async def test_a_mission_killed_in_any_state_ends_once(kernel_process, state):
    kernel_process.start(failpoint=f"{state}:kill")
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        asking = asyncio.ensure_future(send(kernel, "remember", "milk", ik="k1"))
        assert await asyncio.to_thread(kernel_process.wait) == -signal.SIGKILL
        kernel_process.start()
        answer = await asking
        assert answer["result"] == ["milk"]
        assert await send(kernel, "remember", "milk", ik="k1") == answer
        assert (await send(kernel, "notes"))["result"] == ["milk"]
        told = await kernel.request("brief.get", ik="k1")
    assert told["state"] == "complete"
    assert told["attempts"] == (0 if state == "complete" else 1)


async def test_a_failed_mission_killed_at_its_end_stays_failed(kernel_process):
    kernel_process.start(failpoint="failed:kill")
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        asking = asyncio.ensure_future(send(kernel, "never_works", ik="k1"))
        await asyncio.to_thread(kernel_process.wait)
        kernel_process.start()
        with pytest.raises(Exception, match="none of 8 candidates is good enough"):
            await asking
        assert (await kernel.request("brief.get", ik="k1"))["state"] == "failed"


async def test_a_mission_that_every_kernel_dies_of_is_given_up(kernel_process):
    kernel_process.start(failpoint="decomposing:kill")
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        asking = asyncio.ensure_future(send(kernel, "double", 1, ik="k1"))
        await asyncio.to_thread(kernel_process.wait)
        for state in ("delegating", "synthesizing", "validating"):
            kernel_process.start(failpoint=f"{state}:kill")
            await asyncio.to_thread(kernel_process.wait)
        kernel_process.start()
        with pytest.raises(RemoteError, match="3 kernel crashes") as caught:
            await asking
    assert caught.value.body["code"] == "CANCELLED"


@pytest.mark.slow
async def test_ten_learned_methods_answer_after_ten_kills(kernel_process):
    lines = [f'{{"contains": "def skill_{n}(self", "text": " return {n}"}}\n' for n in range(10)]
    kernel_process.script.write_text("".join(lines))
    kernel_process.start()
    for number in range(10):
        await kernel_process.until_ready()
        async with kernel_process.client() as kernel:
            assert (await send(kernel, f"skill_{number}"))["result"] == number
        kernel_process.kill()
        kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        answers = [await send(kernel, f"skill_{number}") for number in range(10)]
    assert [answer["result"] for answer in answers] == list(range(10))
    assert [answer["model_calls"] for answer in answers] == [0] * 10


async def test_a_second_kernel_on_the_same_image_is_refused(serving):
    again = await asyncio.to_thread(
        subprocess.run,
        [PYTHON, ROOT / "batos.py", "serve", "--home", serving.home, "--tcp-port", "-1"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert again.returncode == 78
    assert "another process holds the image" in again.stderr
    assert "Traceback" not in again.stderr


async def test_the_kernel_goes_down_when_its_watchdog_has_gone(serving):
    serving.process.stdin.close()
    assert await asyncio.to_thread(serving.process.wait, 30) == 0
    assert not (serving.home / "run" / "endpoint.json").exists()


async def test_sigterm_and_shutdown_end_the_kernel_with_status_zero(kernel_process):
    kernel_process.start()
    await kernel_process.until_ready()
    kernel_process.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(kernel_process.wait) == 0
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        assert (await kernel.request("shutdown"))["stopping"]
    assert await asyncio.to_thread(kernel_process.wait) == 0


async def test_a_kernel_that_is_asked_to_come_back_ends_with_the_status_for_that(kernel_process):
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        await kernel.request("shutdown", body={"restart": True})
    assert await asyncio.to_thread(kernel_process.wait) == EXIT_RESTART


async def test_without_a_kernel_the_client_says_what_to_do(tmp_path):
    async with KernelClient.at(tmp_path) as kernel:
        with pytest.raises(KernelUnreachableError, match=r"start one with \./run\.sh"):
            await kernel.request("health", timeout=0.1)
