"""What was said to remember outlives the process that heard it."""

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]
FACT = "the spare key is under the flowerpot"


async def send(process, target, selector, *args):
    async with process.client() as kernel:
        reply = await kernel.request("send", target=target, selector=selector, args=list(args))
        return reply["result"]


async def test_facts_and_lists_survive_a_kill(serving):
    await send(serving, "memory_obj", "remember", FACT)
    await send(serving, "lists_obj", "add", ["milk", "eggs"], "shopping")
    await send(serving, "lists_obj", "tick", "milk", "shopping")
    await send(serving, "counters_obj", "add", "coffees", 2)
    serving.kill()
    serving.start()
    await serving.until_ready()
    found = await send(serving, "memory_obj", "recall", FACT)
    assert [one["text"] for one in found] == [FACT]
    entries = await send(serving, "lists_obj", "entries", "the shopping list")
    assert entries == [{"text": "milk", "done": True}, {"text": "eggs", "done": False}]
    assert await send(serving, "counters_obj", "total", "coffee") == 2
    await send(serving, "memory_obj", "forget", FACT)
    serving.kill()
    serving.start()
    await serving.until_ready()
    assert await send(serving, "memory_obj", "facts") == []
