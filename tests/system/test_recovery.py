"""A kernel that is killed loses nothing that it has acknowledged, and runs nothing twice."""

import asyncio
import signal
import subprocess

import pytest

from bat_os.client.client import KernelClient
from bat_os.errors import KernelUnreachableError, RemoteError
from bat_os.supervisor.restart import EXIT_PERMANENT, EXIT_RESTART
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


async def _stopped_image(kernel_process):
    """Return the image of a kernel that has served and was stopped."""
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        assert (await send(kernel, "remember", "milk", ik="k1"))["result"] == ["milk"]
    kernel_process.stop()
    return kernel_process.home / "live_image.fs"


@pytest.mark.parametrize("count", [512, 20_000])
async def test_a_kernel_serves_an_image_whose_end_is_zeros_and_says_what_is_lost(
    kernel_process, count
):
    path = await _stopped_image(kernel_process)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size - count)
        file.write(bytes(count))
    kernel_process.start()
    health = await kernel_process.until_ready()
    assert f"{path}.tr0 has what was cut off" in "".join(health["lost"])
    async with kernel_process.client() as kernel:
        told = await kernel.request("verify", timeout=60)
        assert (await send(kernel, "double", 4))["result"] == 8
    assert [one["kind"] for one in told["damaged"]] == ["end"]
    assert "Traceback" not in kernel_process.log()


@pytest.mark.parametrize("fault", ["middle", "rubbish", "empty", "gone"])
async def test_an_image_that_only_a_person_can_help_ends_the_kernel_once_with_status_78(
    kernel_process, fault
):
    path = await _stopped_image(kernel_process)
    whole = path.read_bytes()
    second = 4 + int.from_bytes(whole[12:20]) + 8  # behind the length of the first transaction
    torn = whole[: second + 30] + bytes(70) + whole[second + 100 :]
    left = {"middle": torn, "rubbish": b"#" * 9_000, "empty": b""}
    path.with_name(f"{path.name}.index").unlink()
    path.write_bytes(left[fault]) if fault in left else path.unlink()
    kernel_process.start()
    assert await asyncio.to_thread(kernel_process.wait) == EXIT_PERMANENT
    said = kernel_process.log().splitlines()[-1]
    assert said.startswith("batos: ")
    assert "backup" in said
    assert "Traceback" not in kernel_process.log()
    assert (path.read_bytes() if path.exists() else None) == left.get(fault)
    path.write_bytes(whole)


async def test_an_image_that_is_replaced_while_it_serves_is_named_and_nothing_is_acknowledged(
    serving,
):
    path = serving.home / "live_image.fs"
    other = path.with_name("other.fs")
    other.write_bytes(path.read_bytes())
    kept = path.with_name("kept.fs")
    async with serving.client() as kernel:
        path.rename(kept)
        other.rename(path)
        with pytest.raises(RemoteError, match="replaced while the daemon serves it") as caught:
            await send(kernel, "double", 1, ik="k1")
        assert caught.value.body["code"] == "STORAGE_ERROR"
        while not (problem := (await kernel.request("health"))["problem"]):
            pass
        assert f"{path} was removed or replaced" in problem
        kept.rename(path)
        while (await kernel.request("health"))["problem"]:
            pass
        assert (await send(kernel, "double", 1, ik="k1"))["result"] == 2
