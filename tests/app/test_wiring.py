"""bat_os.app.wiring: what a kernel loads before it is asked."""

import asyncio


async def until_loaded(kernel):
    """Return the facts about the models once nothing loads any more."""
    await kernel.until_ready()
    async with kernel.client() as client, asyncio.timeout(30):
        while (health := await client.request("health"))["loading"]:
            pass
    return health["models"]["models"]


async def test_a_kernel_loads_the_model_ahead_unless_the_last_one_died_while_it_did(kernel_process):
    mark = kernel_process.home / "run" / "loading-ahead"
    kernel_process.start()
    assert [one["state"] for one in await until_loaded(kernel_process)] == ["resident"]
    assert not mark.exists()
    kernel_process.stop()

    mark.touch()  # as a kernel leaves it that is killed at this moment, for example for its memory
    kernel_process.start()
    assert [one["state"] for one in await until_loaded(kernel_process)] == ["unloaded"]
    assert "the last kernel ended while it did that" in kernel_process.log()
    assert not mark.exists()
