"""bat_os.supervisor.home, lock and report: what is on disk."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bat_os.errors import LockedError
from bat_os.supervisor import report
from bat_os.supervisor.home import FileLock, Home, is_held, read_json, write_json, write_whole
from bat_os.supervisor.report import Status, read_status, rotate, tail, write_crash, write_status
from bat_os.supervisor.restart import Run

HOLDER = """
import pathlib, sys
from bat_os.supervisor.home import FileLock
lock = FileLock(pathlib.Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(home):
    """Another process that holds the lock until its stdin closes."""
    command = [sys.executable, "-c", HOLDER, str(home.lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        yield process


def test_the_home_is_closed_to_other_users(home):
    for folder in (home.path, home.lock.parent, home.kernel_log.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_the_home_is_the_one_that_the_environment_names(tmp_path):
    assert Home.find({"BATOS_HOME": str(tmp_path)}, tmp_path / "code").path == tmp_path
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "batos.py").touch()
    assert Home.find({}, tmp_path / "code").path == tmp_path / "code" / "data"


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", {}, ".local/share/batos"),
        ("linux", {"XDG_DATA_HOME": "/srv/data"}, "/srv/data/batos"),
        ("linux", {"XDG_DATA_HOME": "relative"}, ".local/share/batos"),
        ("darwin", {"XDG_DATA_HOME": "/srv/data"}, "Library/Application Support/batos"),
        ("win32", {"LOCALAPPDATA": "/appdata"}, "/appdata/batos"),
        ("win32", {}, "AppData/Local/batos"),
    ],
)
def test_an_installed_program_has_its_home_where_the_platform_keeps_data(
    platform, environ, folder, tmp_path, monkeypatch
):
    monkeypatch.setattr("sys.platform", platform)
    assert Home.find(environ, tmp_path).path == Path.home() / folder


@pytest.mark.parametrize("text", ["", "{", "[1]", "\x00"])
def test_a_damaged_file_reads_as_an_empty_object(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    assert read_json(tmp_path / "x.json") == {}


def test_writing_leaves_no_draft_behind(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")
def test_what_is_written_is_the_owners_alone_whatever_the_umask(tmp_path):
    (tmp_path / "x.new").touch()
    (tmp_path / "x.new").chmod(0o666)
    before = os.umask(0o002)
    try:
        write_whole(tmp_path / "x", "é\n")
        write_json(tmp_path / "y", {})
    finally:
        os.umask(before)
    assert (tmp_path / "x").read_bytes() == "é\n".encode()
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.system
@pytest.mark.usefixtures("holder")
def test_a_lock_that_another_process_holds_cannot_be_taken(home):
    assert is_held(home.lock)
    with pytest.raises(LockedError):
        FileLock(home.lock).acquire(patience=0.0)


@pytest.mark.system
def test_a_killed_process_loses_its_lock(home, holder):
    holder.kill()
    holder.wait()
    assert not is_held(home.lock)
    with FileLock(home.lock).acquire() as lock:
        assert lock.descriptor >= 0
        assert is_held(home.lock)
    assert not is_held(home.lock)


def test_a_lock_without_a_file_is_not_held(home):
    assert not is_held(home.lock)
    assert not home.lock.exists()


def test_a_large_log_is_set_aside_and_three_older_ones_stay(tmp_path):
    log = tmp_path / "kernel.log"
    for number in range(6):
        log.write_text(f"{number}" * 20)
        rotate(log, largest=10)
    names = {path.name: path.read_text()[0] for path in tmp_path.iterdir()}
    assert names == {"kernel.log.1": "5", "kernel.log.2": "4", "kernel.log.3": "3"}


def test_a_small_log_stays_where_it_is(tmp_path):
    log = tmp_path / "kernel.log"
    log.write_text("short")
    rotate(log, largest=10)
    assert log.read_text() == "short"


def test_a_log_that_is_being_written_is_emptied_and_its_text_kept(tmp_path):
    log = tmp_path / "kernel.log"
    with log.open("ab", buffering=0) as writer:
        for number in range(5):
            writer.write(f"{number}".encode() * 20)
            assert rotate(log, largest=10, in_use=True)
        writer.write(b"short")
        assert not rotate(log, largest=10, in_use=True)
    names = {path.name: path.read_text()[:5] for path in tmp_path.iterdir()}
    assert names == {
        "kernel.log": "short",
        "kernel.log.1": "44444",
        "kernel.log.2": "33333",
        "kernel.log.3": "22222",
    }


def test_the_tail_is_the_last_lines_even_of_a_long_or_broken_log(tmp_path):
    log = tmp_path / "kernel.log"
    log.write_bytes(b"x" * 50_000 + b"\n\xff one\ntwo\n")
    assert tail(log, lines=2) == ["\ufffd one", "two"]
    assert tail(tmp_path / "none") == []


def test_a_status_reads_back_as_it_was_written(home):
    write_status(home, Status("running", 12, pid=34, boot="b", restarts=2, last_exit=-9))
    status = read_status(home)
    assert (status.state, status.watchdog_pid, status.pid, status.boot) == ("running", 12, 34, "b")
    assert status.since.endswith("+00:00")


def test_a_status_without_its_main_fields_is_no_status(home):
    write_json(home.status, {"state": "running"})
    assert read_status(home) is None


def test_only_the_newest_crash_reports_stay(home, monkeypatch):
    monkeypatch.setattr(report, "CRASHES_KEPT", 2)
    paths = [write_crash(home, Run(n, 0.0, 0.0), Status("starting", 1)) for n in range(4)]
    assert sorted(home.crashes.iterdir()) == paths[-2:]
    assert json.loads(paths[-1].read_text())["exit"] == 3
