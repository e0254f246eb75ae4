"""bat_os.cli.main: doors, token, files and exit statuses of a kernel process."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import bat_os
from tests.campaign.odd_kernel import GRACE
from tests.campaign.probes import OddKernelProcess, Wire
from tests.cli.clients import ENVIRON
from tests.kernels import ANSWERS, ROOT, write_script

pytestmark = [pytest.mark.system, pytest.mark.slow]

ASKS = """
import logging, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from bat_os.cli import main
from bat_os.core.settings import Settings
from bat_os.supervisor.home import Home

async def ask(*_, **__):
    import httpx2
    server = HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler)
    Thread(target=server.handle_request, daemon=True).start()
    async with httpx2.AsyncClient(trust_env=False) as client:
        reply = await client.get(f"http://127.0.0.1:{server.server_port}/README.md")
    logging.getLogger("batos").info("asked")
    return reply.status_code != 200

main._serve = ask
sys.exit(main.serve(Home(Path(sys.argv[1])), Settings(), supervised=False))
"""

LOGS = """
import logging, sys
from pathlib import Path
from bat_os.cli import main
from bat_os.core.settings import Settings
from bat_os.supervisor.home import Home

async def log(*_, **__):
    logging.getLogger("batos").warning("looks odd")
    logging.getLogger("batos").error("went wrong", exc_info=ValueError("of this"))

main._serve = log
main.serve(Home(Path(sys.argv[1])), Settings(log_level=sys.argv[2]), supervised=False)
"""


def batos(*arguments, **environ):
    return subprocess.run(
        [sys.executable, ROOT / "batos.py", *arguments],
        env=ENVIRON | environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BATOS_TCP_PORT", "many", "must be a port, 0 (any) or -1 (none), not 'many'"),
        ("BATOS_TCP_PORT", "70000", "must be a port, 0 (any) or -1 (none), not 70000"),
        ("BATOS_ENGINE", "magic", "BATOS_ENGINE must be"),
        ("BATOS_SCRIPT", "/nowhere/script.jsonl", "BATOS_SCRIPT=/nowhere/script.jsonl"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_and_final(tmp_path, name, value, said):
    environ = {"BATOS_ENGINE": "scripted"} | {name: value}
    ended = batos("serve", "--home", tmp_path / "home", **environ)
    assert ended.returncode == 78
    assert ended.stderr.splitlines()[-1].startswith("batos: ")
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_log_has_no_line_for_each_request_to_a_model_server(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", ASKS, tmp_path / "home"],
        cwd=ROOT, env=ENVIRON, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "INFO batos: asked" in ended.stderr
    assert "httpx" not in ended.stderr


@pytest.mark.parametrize(("shift", "level"), [(0, "warning"), (0, "error"), (1, "error")])
def test_the_log_holds_what_the_setting_says_and_tells_the_journal_how_much_it_matters(
    tmp_path, shift, level
):
    read, write = os.pipe()
    about = os.fstat(write)
    environ = ENVIRON | {"JOURNAL_STREAM": f"{about.st_dev}:{about.st_ino + shift}"}
    command = [sys.executable, "-c", LOGS, tmp_path / "home", level]
    subprocess.run(command, cwd=ROOT, env=environ, stderr=write, timeout=60, check=False)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    assert any("ValueError: of this" in line for line in lines)
    odd, *rest = sorted(lines, key=lambda line: "looks odd" not in line)
    assert ("looks odd" in odd) == (level == "warning")
    if shift:  # another stream than the one that systemd names
        assert not [line for line in lines if line.startswith("<")]
    else:
        assert {line[:3] for line in rest} == {"<3>"}  # the traceback's lines, too
        assert odd[:3] == ("<4>" if level == "warning" else "<3>")


async def test_home_token_and_socket_are_closed_to_others(serving):
    assert serving.home.stat().st_mode & 0o777 == 0o700
    assert (serving.home / "run" / "token").stat().st_mode & 0o777 == 0o600
    assert (serving.home / "run").stat().st_mode & 0o077 == 0
    assert len(serving.token()) >= 40


async def test_endpoint_json_says_where_the_kernel_is_while_it_is_there(serving):
    told = serving.endpoint()
    assert set(told) == {"pid", "boot", "version", "ipc", "tcp", "key", "remote", "token_file"}
    assert told["remote"] == ""
    assert told["pid"] == serving.process.pid
    assert told["tcp"].startswith("tcp://127.0.0.1:")
    assert Path(told["token_file"]) == serving.home / "run" / "token"
    serving.process.send_signal(signal.SIGINT)
    assert serving.wait() == 0
    assert not (serving.home / "run" / "endpoint.json").exists()


async def test_the_token_stays_and_the_boot_id_changes_with_every_start(serving):
    token, boot = serving.token(), serving.endpoint()["boot"]
    serving.stop()
    serving.start()
    await serving.until_ready()
    assert serving.token() == token
    assert serving.endpoint()["boot"] != boot


async def test_a_tcp_port_that_is_taken_closes_that_door_only(kernel_process):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        kernel_process.start(tcp_port=port)
        health = await kernel_process.until_ready()
    assert [endpoint[:4] for endpoint in health["endpoints"]] == ["ipc:"]
    assert len(health["closed_doors"]) == 1
    assert f"tcp://127.0.0.1:{port}" in health["closed_doors"][0]


async def test_a_home_whose_path_is_too_long_for_a_socket_still_has_one(kernel_process, tmp_path):
    kernel_process.home = tmp_path / ("a name with spaces and ümlauts " * 3).strip() / "home"
    kernel_process.home.parent.mkdir()
    kernel_process.start()
    health = await kernel_process.until_ready()
    assert len(health["endpoints"][0]) <= len("ipc://") + 100
    assert health["closed_doors"] == []
    kernel_process.stop()
    assert not Path(health["endpoints"][0].removeprefix("ipc://")).parent.exists()


async def test_a_kernel_whose_loop_hangs_ends_when_it_is_asked_to_and_its_log_says_where(tmp_path):
    process = OddKernelProcess(tmp_path / "home", write_script(tmp_path / "script.jsonl", ANSWERS))
    process.start(knobs={GRACE: "0.5"})
    await process.until_ready()
    with Wire(process.endpoint()["ipc"]) as wire:
        wire.send("campaign.block")
        wire.send("ping")
        while "in block" not in process.log():
            process.process.send_signal(signal.SIGUSR2)
            await asyncio.sleep(0.05)
    process.process.stdin.close()
    assert await asyncio.to_thread(process.process.wait, 60) == 1
    assert "Timeout (0:00:00.6" in process.log()


def test_help_says_where_the_verbs_are():
    ended = batos("--help")
    assert ended.returncode == 0
    assert "./run.sh VERB --help" in ended.stdout
    assert ended.stderr == ""


def test_without_a_verb_it_prints_the_help_and_serves_nothing(tmp_path):
    ended = batos(BATOS_HOME=str(tmp_path / "home"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: ./run.sh ")
    assert not (tmp_path / "home").exists()
    version = batos("--version")
    assert (version.returncode, version.stdout) == (0, f"BAT OS {bat_os.__version__}\n")


@pytest.mark.parametrize("verb", ["serve", "list"])
def test_where_the_packages_are_missing_it_says_what_to_do(tmp_path, verb):
    ended = subprocess.run(
        [Path(sys.executable).resolve(), "-S", ROOT / "batos.py", verb, "--home", tmp_path],
        env=ENVIRON, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 78
    assert "start with ./run.sh" in ended.stderr
    assert "Traceback" not in ended.stderr
