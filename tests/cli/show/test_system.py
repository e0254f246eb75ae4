"""bat_os.cli.show.system: status and logs as processes."""

import asyncio
import json
import os
import signal
import sys

import pytest

from bat_os.cli.show.system import LogReader, describe_event
from bat_os.errors import ArgumentsError
from bat_os.supervisor.home import FileLock, Home
from bat_os.supervisor.report import Status, write_status
from tests.cli.clients import ENVIRON, finish, launch, verb
from tests.kernels import ROOT

EVENT = {"at": 0, "target": "robot_obj", "selector": "wave", "state": "failed", "persona": "ALFRED"}


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "home")
    made.prepare()
    return made


# ---- status -----------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.slow
async def test_where_nothing_runs_the_status_is_three(home):
    ended = await verb(home.path, "status")
    assert (ended.status, ended.out.splitlines()[0]) == (3, "BAT OS is not running.")


@pytest.mark.system
@pytest.mark.slow
async def test_a_kernel_without_a_watchdog_is_told_with_what_it_says(thinking):
    ended = await verb(thinking.home.path, "status")
    assert ended.status == 0
    assert "is running, without a watchdog." in ended.out
    assert "  says     ready, up " in ended.out


@pytest.mark.system
@pytest.mark.slow
async def test_the_watchdogs_own_words_are_in_the_status(home):
    write_status(home, Status("restarting", os.getpid(), restarts=2, reason="it crashed"))
    with FileLock(home.lock).acquire():
        ended = await verb(home.path, "status", "--json")
    assert (ended.status, ended.json["running"], ended.json["kernel"]) == (0, True, None)
    assert ended.json["watchdog"]["reason"] == "it crashed"


# ---- logs -------------------------------------------------------------------------------


@pytest.mark.system
@pytest.mark.slow
async def test_logs_shows_the_last_lines(home):
    home.kernel_log.write_text("".join(f"line {n}\n" for n in range(100)))
    ended = await verb(home.path, "logs", "--lines", "2")
    assert (ended.status, ended.out) == (0, "line 98\nline 99\n")


@pytest.mark.system
@pytest.mark.slow
async def test_logs_shows_events_one_a_line_and_as_json(home):
    journal = home.path / "metacognition.jsonl"
    journal.write_text(json.dumps(EVENT) + "\n[1, 2\n")
    told = (await verb(home.path, "logs", "--events", "--json")).json
    assert told == {"log": str(journal), "events": [EVENT, {"line": "[1, 2"}]}


@pytest.mark.system
@pytest.mark.slow
async def test_without_a_log_it_says_where_it_looked(home):
    ended = await verb(home.path, "logs")
    assert (ended.status, ended.out) == (2, "")
    assert str(home.kernel_log) in ended.err


@pytest.mark.system
@pytest.mark.slow
async def test_logs_follows_what_comes_until_it_is_interrupted(home):
    home.kernel_log.write_text("before\n")
    process = await launch("batos.py", home.path, "logs", "--follow")
    assert await process.stdout.readline() == b"before\n"
    with home.kernel_log.open("a") as log:
        log.write("after\n")
    assert await process.stdout.readline() == b"after\n"
    process.send_signal(signal.SIGINT)
    ended = await finish(process)
    assert (ended.status, ended.out, ended.err) == (130, "", "")


@pytest.mark.system
@pytest.mark.slow
async def test_logs_ends_quietly_when_its_reader_has_seen_enough(home):
    home.kernel_log.write_text("one\n")
    ours, theirs = os.pipe()
    command = [sys.executable, ROOT / "batos.py", "logs", "--follow", "--home", home.path]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=theirs, stderr=asyncio.subprocess.PIPE, env=ENVIRON
    )
    os.close(theirs)
    with os.fdopen(ours, "rb") as reader:
        assert await asyncio.to_thread(reader.readline) == b"one\n"
    with home.kernel_log.open("a") as log:
        log.write("two\n")
    assert (await process.communicate())[1] == b""
    assert process.returncode == 0


def test_a_log_that_is_rotated_is_followed_into_the_new_file(tmp_path):
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    reader = LogReader(path)
    assert reader.last(1) == ["two"]
    with path.open("a") as log:
        log.write("three\n")
    path.rename(tmp_path / "log.1")
    assert reader.news() == ["three"]
    path.write_text("four\nfi")
    assert reader.news() == ["four"]
    with path.open("a") as log:
        log.write("ve\n")
    assert reader.news() == ["five"]
    reader.close()


def test_the_end_of_a_large_log_is_read_without_the_rest(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"x" * 10_000_000 + b"\n" + b"last\xff\n")
    reader = LogReader(path)
    assert reader.last(1) == ["last\ufffd"]
    assert reader.news() == []
    reader.close()


def test_a_log_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ArgumentsError, match="there is no log"):
        LogReader(tmp_path / "log")


@pytest.mark.parametrize(
    "event", [EVENT, {}, {"at": "x", "detail": 5}, {"at": 1e300, "state": None}, {"at": True}]
)
def test_any_event_becomes_one_line(event):
    assert len(describe_event(event | {"does": "a\nb"}).splitlines()) == 1
