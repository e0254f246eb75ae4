"""bat_os.world.confined: a program touches what it is given, and ends when it is told to."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bat_os.world import confined
from bat_os.world.confined import FAILED, command, filter_steps, holds, limit_over

PYTHON = (sys.prefix, sys.base_prefix)  # where this Python lies
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 13
caged = pytest.mark.skipif(not holds(), reason="this system has no cage")


def start(*program, read=(), **given):
    return subprocess.Popen(
        command(program, read=read, **given),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={"PATH": os.defpath},
    )  # fmt: skip


def run(*program, **given):
    """Return the exit status of a confined program, and what it wrote."""
    process = start(*program, **given)
    written, said = process.communicate(timeout=60)
    return process.returncode, written + said


def python(source, **given):
    return run(sys.executable, "-c", source, read=PYTHON, **given)


@caged
def test_a_program_reads_and_changes_the_folders_that_it_was_given(tmp_path):
    for name in ("seen", "own", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    given = {"read": [str(tmp_path / "seen")], "write": [str(tmp_path / "own")]}

    assert run("cat", str(tmp_path / "seen" / "a"), **given) == (0, "seen")
    assert run("sh", "-c", f"echo new > {tmp_path}/own/b; cat {tmp_path}/own/b", **given) == (
        0, "new\n",
    )  # fmt: skip
    assert (tmp_path / "own" / "b").read_text() == "new\n"
    for refused in ("cat {}/hidden/a", "echo x > {}/seen/a", "rm {}/seen/a", "ls {}"):
        status, said = run("sh", "-c", refused.format(tmp_path), **given)
        assert status != 0, refused
        assert "denied" in said, refused
    assert (tmp_path / "seen" / "a").read_text() == "seen"


@caged
@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/1/environ", "/root", "/home", "/"])
def test_a_program_sees_nothing_of_the_system_that_is_a_persons(path):
    status, said = run("head", "-c1", path) if path.count("/") > 1 else run("ls", path)
    assert status != 0, said


@caged
def test_a_program_cannot_end_one_that_is_not_its_own():
    assert run("sh", "-c", f"kill -9 {os.getpid()}")[0] != 0


@caged
@pytest.mark.parametrize(
    "family", ["AF_INET, SOCK_STREAM", "AF_INET6, SOCK_DGRAM", "AF_UNIX, SOCK_STREAM"]
)
def test_a_program_without_a_port_has_no_socket(family):
    status, said = python(f"from socket import *; socket({family})")
    assert (status, "PermissionError" in said) == (1, True), said


@caged
def test_a_program_with_a_port_reaches_that_one_and_no_local_socket():
    with (
        socket.create_server(("127.0.0.1", 0)) as first,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        ports = [each.getsockname()[1] for each in (first, other)]
        source = "import socket; socket.create_connection(('127.0.0.1', {}))"
        assert python(source.format(ports[0]), ports=ports[:1])[0] == 0
        assert "PermissionError" in python(source.format(ports[1]), ports=ports[:1])[1]
    assert "PermissionError" in python("from socket import *; socket(AF_UNIX)", ports=ports)[1]


@caged
def test_processes_and_threads_work_inside():
    source = (
        "import asyncio, subprocess, threading\n"
        "t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "asyncio.run(asyncio.sleep(0))\n"
        "subprocess.run(['true'], check=True)\n"
    )
    assert python(source) == (0, "thread\n")


@caged
def test_the_exit_status_is_the_programs():
    assert run("sh", "-c", "exit 7")[0] == 7
    assert run("sh", "-c", "kill -9 $$")[0] == 128 + signal.SIGKILL
    assert run("no-such-program")[0] == 127
    assert run("/etc/hostname")[0] == 126


@caged
def test_a_cage_that_cannot_be_built_runs_nothing():
    status, said = run("echo", "ran", ports=[1 << 20])
    assert (status, "ran" in said) == (FAILED, False)


@caged
def test_what_a_program_started_ends_with_it():
    """A child in a session of its own, which holds the pipe open, would keep the reader waiting."""
    process = start("sh", "-c", "setsid sleep 600 & echo started; sleep 600")
    assert process.stdout.readline() == "started\n"
    process.kill()
    assert process.communicate(timeout=60) == ("", "")
    process = start("sh", "-c", "setsid sleep 600 & echo started")
    assert process.communicate(timeout=60) == ("started\n", "")


@caged
def test_the_memory_of_a_process_is_bounded():
    assert "MemoryError" in python("bytearray(1 << 30)", limits={"memory": 512 << 20})[1]


# It doubles, as a fork bomb does; here it stops by itself at 500.
STORM = "b() { [ $1 -lt 9 ] && { b $(($1+1)) & b $(($1+1)) & }; sleep 600; }; b 0"
HOG = """
import os, sys, time
for _ in range(8):
    if os.fork() == 0:
        held = bytearray(os.urandom(1 << 20) * 40)
        time.sleep(600)
time.sleep(600)
"""


@caged
@pytest.mark.parametrize(
    ("order", "over"),
    [
        ("python", "memory"), (STORM, "processes"),
        ("while :; do :; done", "seconds"), ("cat /dev/zero > big", "file"),
    ],
)  # fmt: skip
def test_a_program_that_goes_over_a_limit_is_ended_and_says_which(tmp_path, order, over):
    limits = {"memory": 200 << 20, "processes": 40, "file": 1 << 20, "seconds": 1}
    if over in ("memory", "processes"):
        limits["seconds"] = 60
    program = (sys.executable, "-c", HOG) if order == "python" else ("sh", "-c", order)
    process = subprocess.Popen(
        command(program, read=PYTHON, write=[str(tmp_path)], limits=limits), cwd=tmp_path,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    below = psutil.Process(process.pid)
    assert limit_over(process.wait(120)) == over
    assert not below.is_running() or not below.children()
    assert all(path.stat().st_size <= 1 << 20 for path in tmp_path.iterdir())


@caged
def test_what_a_program_left_behind_counts_where_there_are_no_namespaces():
    source = (
        f"import sys; sys.path.insert(0, {str(Path(confined.__file__).parent)!r}); import confined;"
        "confined._enter_namespaces = lambda **_: False; confined.main()"
    )
    storm = "for i in 1 2 3 4 5 6 7 8 9; do (sleep 600 & sleep 600 &); done; wait; sleep 600"
    caged = command(("sh", "-c", storm), limits={"processes": 12})
    file = caged.index(confined.__file__)
    process = subprocess.Popen([*caged[:file], "-c", source, *caged[file + 1 :]])
    left = psutil.Process(process.pid)
    assert limit_over(process.wait(60)) == "processes"
    assert not left.is_running() or not left.children()


@caged
def test_a_program_opens_so_many_files_and_no_more():
    source = "held = [open('/dev/zero') for _ in range(64)]"
    assert "Too many open files" in python(source, limits={"open": 64})[1]


@caged
def test_a_program_within_its_limits_is_left_alone():
    assert python("import time; held = bytearray(50 << 20); print(len(held))") == (
        0, f"{50 << 20}\n",
    )  # fmt: skip


def decide(machine, audit, number, first=0, *, local_alone):
    """Return what the filter says to a call, as the machine would work it out."""
    data = {0: number, 4: audit, 16: first}
    steps, at, loaded = filter_steps(machine, local_alone=local_alone), 0, 0
    while True:
        code, so, not_so, value = steps[at]
        at += 1
        if code == 0x20:
            loaded = data[value]
        elif code == 0x06:
            return value
        else:
            at += so if (loaded == value if code == 0x15 else loaded >= value) else not_so


@pytest.mark.parametrize(
    ("machine", "audit", "socket_call", "pair_call"),
    [("x86_64", 0xC000003E, 41, 53), ("aarch64", 0xC00000B7, 198, 199)],
)
def test_the_filter_refuses_sockets_and_older_ways_to_call(machine, audit, socket_call, pair_call):
    def says(number, first=0, *, of=audit, local_alone=False):
        return decide(machine, of, number, first, local_alone=local_alone)

    assert {says(socket_call, family) for family in (1, 2, 10, 16)} == {REFUSE}
    assert says(socket_call, 1, local_alone=True) == REFUSE
    assert says(socket_call, 2, local_alone=True) == ALLOW
    assert says(425, local_alone=True) == REFUSE, "io_uring"
    assert says(pair_call) == ALLOW
    assert says(0) == ALLOW
    assert says(0, of=0x40000003) == KILL, "a call of another machine"
    if machine == "x86_64":
        assert says(0x40000000 | socket_call) == KILL
