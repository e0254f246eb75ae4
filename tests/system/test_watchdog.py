"""The watchdog over the real kernel: start, kill, restart, stop."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from bat_os.client.client import KernelClient
from bat_os.supervisor.home import Home
from bat_os.supervisor.pulse import VARIABLE, BeatListener
from bat_os.supervisor.report import read_status
from tests.cli.clients import verb
from tests.system.conftest import ROOT

pytestmark = [pytest.mark.system, pytest.mark.slow]


def watchdog(home, verb, *options, **environ):
    return subprocess.run(
        [sys.executable, ROOT / "min_watchdog_service.py", verb, "--home", home, *options],
        capture_output=True, text=True, timeout=90, check=False, env=os.environ | environ,
    )  # fmt: skip


@pytest.fixture
def home(tmp_path):
    script = tmp_path / "script.jsonl"
    script.write_text(json.dumps({"contains": "def double(self", "text": " return number * 2"}))
    home = tmp_path / "home"
    settings = {"BATOS_ENGINE": "scripted", "BATOS_SCRIPT": str(script), "BATOS_TCP_PORT": "-1"}
    started = watchdog(home, "start", "--wait", **settings)
    assert started.returncode == 0, started.stderr
    yield home
    watchdog(home, "stop")


async def ask(home, number):
    async with KernelClient.at(home) as kernel:
        told = await kernel.request(
            "send",
            timeout=60,
            target="genesis_obj",
            selector="double",
            args=[number],
            ik=f"{number}",
        )
    return told["result"]


async def test_a_killed_kernel_comes_back_and_knows_what_it_had_learned(home):
    assert await ask(home, 1) == 2
    async with KernelClient.at(home) as kernel:
        before = await kernel.request("health")
        os.kill(before["pid"], signal.SIGKILL)
        while (after := await kernel.request("health", timeout=60))["pid"] == before["pid"]:
            pass
    assert await ask(home, 4) == 8
    status = json.loads((home / "run" / "status.json").read_text())
    assert status["restarts"] == 1
    assert after["image_id"] == before["image_id"]


async def test_a_second_start_changes_nothing(home):
    async with KernelClient.at(home) as kernel:
        before = (await kernel.request("health"))["pid"]
        assert watchdog(home, "start", "--wait").returncode == 0
        assert (await kernel.request("health"))["pid"] == before


async def test_restart_brings_another_kernel_that_knows_what_was_learned(home):
    learned = await ask(home, 4)
    before = read_status(Home(home))
    ended = await verb(home, "restart", "--json")
    assert (ended.status, ended.json["restarted"]) == (0, True)
    after = read_status(Home(home))
    assert after.watchdog_pid == before.watchdog_pid
    assert after.pid != before.pid
    assert await ask(home, 4) == learned


async def test_stop_ends_both_and_status_says_so(home):
    assert watchdog(home, "status").returncode == 0
    stopped = watchdog(home, "stop")
    assert stopped.returncode == 0, stopped.stderr
    assert watchdog(home, "status").returncode == 3
    assert not (home / "run" / "endpoint.json").exists()


async def test_the_shutdown_verb_ends_the_watchdog_too(home):
    async with KernelClient.at(home) as kernel:
        await kernel.request("shutdown")
    while watchdog(home, "status").returncode == 0:
        pass
    assert watchdog(home, "status").returncode == 3


async def test_the_loop_of_a_real_kernel_beats(kernel_process):
    with BeatListener() as listener:
        kernel_process.start(beat=listener.invite()[VARIABLE])
        for _ in range(2):
            while not listener.drain():
                assert kernel_process.process.poll() is None, kernel_process.log()
                await asyncio.sleep(0.02)


def test_help_says_what_there_is(tmp_path):
    told = watchdog(tmp_path, "--help").stdout
    assert all(word in told for word in ("run", "start", "stop", "status", "--home", "78"))


def test_a_second_watchdog_for_one_home_is_refused(home):
    refused = watchdog(home, "run")
    assert (refused.returncode, "already running" in refused.stderr) == (1, True)
