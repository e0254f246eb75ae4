"""The Architect teaches a kernel: the same audit, cell and tests as for a model's method."""

import asyncio
import json
import math
import re
from pathlib import Path

import psutil
import pytest

from bat_os.errors import BatError, RemoteError
from tests.cells.attack_table import CANARY, VAULT, lay_bait
from tests.cli.clients import verb
from tests.method.test_guardian import LEFT_TO_THE_CELL

pytestmark = pytest.mark.system
CASES = Path(__file__).parents[1] / "cases"
BENIGN = "def add(self, a, b):\n    return a + b\n"


def read_case(path, bait=()):
    text = path.read_text()
    for mark, real in bait:
        text = text.replace(mark, str(real))
    meta = json.loads(re.match(r"# META (.*)", text)[1])
    return text, meta, re.search(r"^def (\w+)\(self", text, re.MULTILINE)[1]


async def make(kernel, name, slots):
    await kernel.request("send", target="genesis_obj", selector="clone", args=[name])
    for key, value in slots.items():
        await kernel.request("send", target=name, selector="setSlot", args=[key, value])


async def teach(kernel, target, source, **body):
    return await kernel.request("teach", target=target, body={"source": source} | body)


async def ask(kernel, target, selector, *args, **kwargs):
    told = await kernel.request(
        "send", timeout=30, target=target, selector=selector, args=list(args), kwargs=kwargs
    )
    return told["result"]


async def held_by(process, most):
    """Return the bytes of memory of a kernel, which gives back soon what it has freed."""
    for _ in range(100):
        held = process.memory_info().rss
        if held < most:
            break
        await asyncio.sleep(0.1)
    return held


@pytest.mark.slow
async def test_all_ordinary_methods_can_be_taught_and_answer(serving):
    async with serving.client() as kernel:
        for number, path in enumerate(sorted((CASES / "methods").glob("*.py"))):
            source, meta, selector = read_case(path)
            name = f"case{number}_obj"
            await make(kernel, name, meta.get("slots", {}))
            taught = await teach(kernel, name, source)
            assert (taught["selector"], taught["status"]) == (selector, "taught"), path.name
            result = await ask(kernel, name, selector, *meta["args"], **meta.get("kwargs", {}))
            if "regex" in meta:
                assert re.search(meta["regex"], str(result)), path.name
            else:
                assert result == meta["expect"], path.name
            for key, value in meta.get("slots_after", {}).items():
                assert await ask(kernel, name, key) == value, path.name


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_no_attack_gets_through_and_after_each_the_kernel_is_as_before(
    kernel_process, tmp_path, monkeypatch
):
    monkeypatch.setenv("SECRET_OF_THE_KERNEL", CANARY)
    kernel_process.start()
    await kernel_process.until_ready()
    process = psutil.Process(kernel_process.process.pid)
    ran, before = [], 0
    with lay_bait(tmp_path) as (bait, got):
        async with kernel_process.client() as kernel:
            await make(kernel, "vault", {"secret": VAULT})
            await make(kernel, "calculator", {})
            await teach(kernel, "calculator", BENIGN)
            for number, path in enumerate(sorted((CASES / "escapes").glob("*.py"))):
                source, meta, _ = read_case(path, bait.items())
                name = f"attack{number}_obj"
                await make(kernel, name, meta["slots"] | {"calculator": {"ref": "calculator"}})
                try:
                    await teach(kernel, name, source)
                    ran.append(path.stem)
                    told = await kernel.request("send", timeout=30, target=name, selector="m")
                except BatError as error:
                    told = {"error": str(error)}
                assert CANARY not in str(told), path.name
                assert VAULT not in str(told), path.name
                assert await ask(kernel, "calculator", "add", 1, 2) == 3, path.name
                held = await held_by(process, before + 10e6 if before else math.inf)
                before = before or held
                assert held - before < 10e6, path.name
            assert (await kernel.request("health"))["pid"] == process.pid
    assert got == []
    assert set(ran) >= LEFT_TO_THE_CELL


async def test_a_taught_method_says_who_taught_it(serving):
    async with serving.client() as kernel:
        await teach(kernel, "genesis_obj", BENIGN)
        told = await kernel.request("inspect", target="genesis_obj")
    method = told["methods"]["add"]
    assert (method["status"], method["version"]) == ("taught", 1)
    assert method["provenance"]["persona"] == "ARCHITECT"
    assert method["source"] == BENIGN


async def test_teaching_the_same_source_again_changes_nothing_and_another_is_a_new_version(serving):
    async with serving.client() as kernel:
        versions = [
            (await teach(kernel, "genesis_obj", source))["version"]
            for source in (BENIGN, BENIGN, BENIGN + "# other\n")
        ]
    assert versions == [1, 1, 2]


async def test_the_covenant_is_added_where_it_is_missing(serving):
    async with serving.client() as kernel:
        await make(kernel, "counter_obj", {"n": 1})
        taught = await teach(
            kernel, "counter_obj", "def up(self):\n    self.n += 1\n    return self.n\n"
        )
        assert "self._p_changed = True" in taught["source"]
        assert await ask(kernel, "counter_obj", "up") == 2
        assert await ask(kernel, "counter_obj", "n") == 2


async def test_what_the_guardian_refuses_is_not_installed_and_the_findings_say_why(serving):
    async with serving.client() as kernel:
        with pytest.raises(RemoteError, match="line 1") as caught:
            await teach(
                kernel, "genesis_obj", "import os\ndef bad(self):\n    return os.getcwd()\n"
            )
        assert caught.value.body["code"] == "AUDIT_REJECTED"
        assert "bad" not in (await kernel.request("inspect", target="genesis_obj"))["methods"]


async def test_examples_are_run_before_a_method_is_installed(serving):
    right, wrong = ({"args": [1, 2], "result": result} for result in (3, 4))
    async with serving.client() as kernel:
        with pytest.raises(RemoteError, match=r"gives 3, not 4"):
            await teach(kernel, "genesis_obj", BENIGN, examples=[wrong])
        assert (await teach(kernel, "genesis_obj", BENIGN, examples=[right]))["version"] == 1


@pytest.mark.parametrize(
    "source", ["", "  ", None, 5, "x = 1\n", "def (", "def send(self):\n    return 1\n"]
)
async def test_what_is_no_method_is_a_coded_error(serving, source):
    async with serving.client() as kernel:
        with pytest.raises(RemoteError) as caught:
            await teach(kernel, "genesis_obj", source)
    assert caught.value.body["code"] in ("INVALID_ARGS", "AUDIT_REJECTED")


async def test_the_verb_reads_a_file_or_standard_input(serving, tmp_path):
    file = tmp_path / "add.py"
    file.write_text(BENIGN)
    told = await verb(serving.home, "teach", "genesis_obj", str(file), "--json")
    assert (told.status, told.json["version"]) == (0, 1), told.err
    told = await verb(
        serving.home, "teach", "genesis_obj", "-", "--json", given=b"def g(self):\n    return 1\n"
    )
    assert (told.status, told.json["selector"]) == (0, "g"), told.err
    told = await verb(serving.home, "teach", "genesis_obj", str(tmp_path / "nothing.py"))
    assert told.status == 2
    assert "there is no file" in told.err
