"""A kernel that is killed while it indexes what was learned indexes each lesson once."""

import asyncio
import signal

import pytest

from bat_os.errors import KernelUnreachableError
from tests.system.test_history import send

pytestmark = [pytest.mark.system, pytest.mark.slow]


async def test_a_lesson_is_found_once_after_a_kill_in_the_fold(kernel_process):
    kernel_process.start(failpoint="fold.done:kill")
    await kernel_process.until_ready()

    async def find(kernel):
        found = await kernel.request("search", body={"text": "give seven", "kind": "method"})
        return [one["doc_id"] for one in found["passages"]]

    async with kernel_process.client() as kernel:
        assert await send(kernel, "give_seven") == 7
        waiting = await find(kernel)
        assert len(waiting) == 1
        with pytest.raises(KernelUnreachableError):
            await kernel.request("verify", timeout=120)  # indexes what waits
    await asyncio.to_thread(kernel_process.process.wait, 120)
    assert kernel_process.wait() == -signal.SIGKILL
    kernel_process.start()
    await kernel_process.until_ready()
    async with kernel_process.client() as kernel:
        assert await find(kernel) == waiting
        checked = await kernel.request("verify", timeout=120)  # indexes what waits
        assert checked["damaged"] == []
        assert await find(kernel) == waiting
        assert await send(kernel, "give_seven") == 7
