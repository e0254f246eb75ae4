"""The cell in a real kernel process: what a method reaches, and where it cannot run."""

import sys

import psutil
import pytest

from bat_os.errors import RemoteError
from tests.kernels import ANSWERS, write_script

pytestmark = [
    pytest.mark.system,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the first cell is for Linux"),
]
WITH_HEAP = " import heapq\n    return heapq.nsmallest(2, numbers)"
WITHOUT = " return sorted(numbers)[:2]"


async def ask(kernel, target, selector, *args):
    return await kernel.request(
        "send", timeout=60, target=target, selector=selector, args=list(args)
    )


async def teach(kernel, target, *sources):
    for source in sources:
        await kernel.request("teach", target=target, body={"source": source})


async def make(kernel, name, /, **slots):
    await ask(kernel, "genesis_obj", "clone", name)
    for key, value in slots.items():
        await ask(kernel, name, "setSlot", key, value)


async def refusal(kernel, target, selector, *args):
    """Return the error of a message; the kernel answers the next one."""
    with pytest.raises(RemoteError) as caught:
        await ask(kernel, target, selector, *args)
    assert (await ask(kernel, "genesis_obj", "respondsTo", "clone"))["result"] is True
    return caught.value.body


async def two_least(process, cell, body):
    """Return what a kernel with this cell, whose writer knows this body, says of it, and twice."""
    write_script(process.script, ANSWERS | {"def two_least(self": body})
    process.start(cell=cell)
    health = await process.until_ready()
    async with process.client() as kernel:
        answers = [await ask(kernel, "genesis_obj", "two_least", [3, 1, 2]) for _ in range(2)]
        told = await kernel.request("inspect", target="genesis_obj")
    process.stop()
    assert [one["result"] for one in answers] == [[1, 2], [1, 2]]
    return health["cell"], [one["learned"] for one in answers], told["methods"]["two_least"]


async def test_a_method_that_the_cell_of_this_start_cannot_run_is_learned_anew(kernel_process):
    zygote, first, learned = await two_least(kernel_process, "zygote", WITH_HEAP)
    monty, second, anew = await two_least(kernel_process, "monty", WITHOUT)

    assert first == second == [True, False]
    assert "heapq" in learned["source"]
    assert "heapq" not in anew["source"]
    assert [one["provenance"]["cell"] for one in (learned, anew)] == ["zygote", "monty"]
    assert anew["version"] == learned["version"] + 1
    for told, kind in ((zygote, "zygote"), (monty, "monty")):  # health says what held
        assert (told["kind"], told["self_test"]["ok"]) == (kind, True)
        assert told["self_test"]["through"] == []
        assert {"read a file", "open a socket", "take memory", "loop for ever"} <= set(
            told["self_test"]["held"]
        )


async def test_a_method_reaches_its_slots_and_arguments_and_is_told_why_nothing_else(serving):
    async with serving.client() as kernel:
        await make(kernel, "vault_obj", secret=4711, _pin=1)
        await make(kernel, "friend_obj")
        await make(kernel, "thief_obj", friend={"ref": "friend_obj"}, name="vault_obj")
        await teach(
            kernel,
            "thief_obj",
            "def by_name(self):\n    return self.send('vault_obj', 'secret')\n",
            "def by_slot(self):\n    return self.send(self.name, 'secret')\n",
            "def by_friend(self):\n    return self.friend.send('getSlot', 'secret')\n",
            "def given(self, other):\n    return other.secret()\n",
            "def pin(self, other):\n    return other.send('_pin')\n",
            "def read_pin(self, other):\n    return other.getSlot('_pin')\n",
            "def set_pin(self, other):\n    return other.setSlot('_pin', 0)\n",
            "def drop_pin(self, other):\n    return other.removeSlot('_pin')\n",
        )
        vault = {"ref": "vault_obj"}

        assert (await ask(kernel, "thief_obj", "given", vault))["result"] == 4711
        for selector in ("by_name", "by_slot"):
            assert "holds no reference" in (await refusal(kernel, "thief_obj", selector))["message"]
        assert "no slot" in (await refusal(kernel, "thief_obj", "by_friend"))["message"]
        for selector in ("pin", "read_pin", "set_pin", "drop_pin"):
            assert "private" in (await refusal(kernel, "thief_obj", selector, vault))["message"]
        assert (await ask(kernel, "vault_obj", "getSlot", "_pin"))["result"] == 1


async def test_storms_depth_and_cycles_of_messages_end_with_a_coded_error(serving):
    process = psutil.Process(serving.process.pid)
    async with serving.client() as kernel:
        await make(kernel, "a_obj")
        await make(kernel, "b_obj", other={"ref": "a_obj"})
        await ask(kernel, "a_obj", "setSlot", "other", {"ref": "b_obj"})
        ping = "def ping(self):\n    return self.other.ping()\n"
        await teach(kernel, "a_obj", ping)
        await teach(kernel, "b_obj", ping)
        await teach(
            kernel,
            "a_obj",
            "def dig(self):\n    return self.dig()\n",
            "def storm(self):\n    for n in range(5000):\n"
            "        self.send(self, 'respondsTo', 'x')\n",
            "def stubborn(self):\n    for n in range(5000):\n        try:\n"
            "            self.send(self, 'respondsTo', 'x')\n        except Exception:\n"
            "            pass\n    return 'through'\n",
            "def branch(self, depth):\n    try:\n        self.branch(depth + 1)\n"
            "    except Exception:\n        pass\n    return self.branch(depth + 1)\n",
        )
        before = process.memory_info().rss

        for selector in ("ping", "dig"):
            assert "nested deeper" in (await refusal(kernel, "a_obj", selector))["message"]
        for selector in ("storm", "stubborn"):
            told = await refusal(kernel, "a_obj", selector)
            assert (told["code"], told["details"]["kind"]) == ("SANDBOX_FAILED", "limit")
        assert (await refusal(kernel, "a_obj", "branch", 0))["code"] == "SANDBOX_FAILED"
        assert process.memory_info().rss - before < 10e6
