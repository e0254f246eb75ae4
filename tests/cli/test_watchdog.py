"""bat_os.cli.watchdog: real processes, around a small kernel that serves a real socket."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bat_os.supervisor.home import FileLock, Home, is_held
from bat_os.supervisor.report import read_status

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.system, pytest.mark.slow]

KERNEL = '''
import asyncio, os, pathlib, sys, threading
import zmq
from bat_os.core.protocol import Reply
from bat_os.kernel.listeners import Endpoint
from bat_os.kernel.server import Server
from bat_os.supervisor.home import write_json

print("arguments", sys.argv[1:])
home = pathlib.Path(sys.argv[3])


class Mind:
    """Awake at the third question."""

    def __init__(self):
        self.asked = 0
        self.done = asyncio.Event()

    async def handle(self, request, emit):
        self.asked += 1
        if request.type == "shutdown":
            self.done.set()
            return Reply("result", request.id, {})
        awakening = f"Reading page {self.asked}." if self.asked < 3 else ""
        body = {"ready": not awakening, "awakening": awakening, "version": "9.9"}
        return Reply("result", request.id, body)


async def main():
    mind, loop = Mind(), asyncio.get_running_loop()
    with zmq.Context() as context:
        server = Server(context, Endpoint(f"ipc://{home}/run/kernel.sock"))
        server.serve(mind)
        endpoint = home / "run" / "endpoint.json"
        write_json(endpoint, {"pid": os.getpid(), "boot": "b", "ipc": server.address, "tcp": ""})
        # os.read: a thread inside sys.stdin.read() is fatal to an interpreter that ends.
        pipe = lambda: (os.read(0, 1), loop.call_soon_threadsafe(mind.done.set))
        threading.Thread(target=pipe, daemon=True).start()
        await mind.done.wait()
        endpoint.unlink()
        await server.close()


asyncio.run(main())
'''
BROKEN = "import sys; print('the image is damaged'); sys.exit(78)\n"


class Command:
    """min_watchdog_service.py in a tree of its own."""

    def __init__(self, tree):
        self.tree = tree
        self.home = Home(tree / "data")
        self.command = [sys.executable, str(tree / "min_watchdog_service.py")]

    def __call__(self, *arguments):
        reply = subprocess.run(
            [*self.command, *arguments], capture_output=True, encoding="utf-8", check=False
        )
        return reply.returncode, reply.stdout + reply.stderr


@pytest.fixture
def watchdog(tmp_path):
    if os.name == "nt":
        pytest.skip("the small kernel listens on IPC")
    shutil.copy(ROOT / "min_watchdog_service.py", tmp_path)
    (tmp_path / "bat_os").symlink_to(ROOT / "bat_os")
    (tmp_path / "batos.py").write_text(KERNEL)
    command = Command(tmp_path)
    yield command
    code, said = command("stop")
    assert code == 0, said


def test_help_lists_the_verbs(watchdog):
    code, said = watchdog("--help")
    assert code == 0
    assert all(f"\n  {verb}" in said for verb in ("run", "start", "restart", "stop", "status"))


def test_start_shows_the_awakening_and_returns_when_the_kernel_is_ready(watchdog):
    code, said = watchdog("start", "--wait")
    assert code == 0
    assert "Reading page 2." in said
    assert "BAT OS 9.9 is ready." in said


def test_the_kernel_is_told_its_home_and_that_it_is_watched(watchdog):
    watchdog("start", "--wait")
    told = ["serve", "--home", str(watchdog.home.path), "--supervised"]
    assert f"arguments {told}\n" in watchdog.home.kernel_log.read_text()


def test_a_second_start_changes_nothing(watchdog):
    watchdog("start", "--wait")
    before = read_status(watchdog.home)
    code, said = watchdog("start", "--wait")
    assert (code, "is ready" in said) == (0, True)
    assert "BAT OS is running already." in said
    assert read_status(watchdog.home) == before


def test_many_starts_at_once_make_one_watchdog(watchdog):
    starts = [
        subprocess.Popen([*watchdog.command, "start", "--wait"], stderr=subprocess.DEVNULL)
        for _ in range(4)
    ]
    assert [start.wait() for start in starts] == [0] * 4
    log = watchdog.home.watchdog_log.read_text()
    assert log.count("started") == 1


def test_two_watchdogs_cannot_run(watchdog):
    watchdog("start", "--wait")
    code, said = watchdog("run")
    assert (code, "already running" in said) == (1, True)


def test_status_tells_running_from_not_running(watchdog):
    assert watchdog("status")[0] == 3
    watchdog("start", "--wait")
    code, said = watchdog("status")
    assert code == 0
    assert str(read_status(watchdog.home).pid) in said
    watchdog("stop")
    code, said = watchdog("status")
    assert (code, "not running" in said) == (3, True)


def test_stop_ends_watchdog_and_kernel(watchdog):
    watchdog("start", "--wait")
    code, said = watchdog("stop")
    assert (code, "has stopped" in said) == (0, True)
    assert not is_held(watchdog.home.lock)
    assert not watchdog.home.endpoint.exists()
    assert read_status(watchdog.home).last_exit == 0


def test_restart_starts_what_does_not_run_and_ends_what_does_not_say_who_it_is(watchdog):
    code, said = watchdog("restart")
    assert (code, "is ready" in said) == (0, True)
    before = read_status(watchdog.home).pid
    code, said = watchdog("restart")
    assert (code, "is ready" in said) == (0, True)
    assert read_status(watchdog.home).pid != before


def test_stop_works_on_a_kernel_that_does_not_answer(watchdog):
    code = "import sys; sys.stdin.read()\n"
    (watchdog.tree / "batos.py").write_text(code)
    assert watchdog("start")[0] == 0
    assert watchdog("stop")[0] == 0
    assert not is_held(watchdog.home.lock)


def test_a_kernel_that_cannot_run_is_explained_with_the_end_of_its_log(watchdog):
    (watchdog.tree / "batos.py").write_text(BROKEN)
    code, said = watchdog("start", "--wait")
    assert code == 1
    assert "problem is fixed" in said
    assert "the image is damaged" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_watchdog_in_the_foreground(watchdog, number):
    command = [*watchdog.command, "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert any("serves" in line for line in process.stderr)
        process.send_signal(number)
        process.stderr.read()
    assert process.returncode == 0
    assert read_status(watchdog.home).state == "stopped"


def test_the_home_may_be_somewhere_else(watchdog, tmp_path):
    home = Home(tmp_path / "other home")
    assert watchdog("start", "--home", str(home.path), "--wait")[0] == 0
    assert is_held(home.lock)
    assert watchdog("stop", "--home", str(home.path))[0] == 0
    with FileLock(home.lock).acquire() as lock:
        assert lock.descriptor >= 0
