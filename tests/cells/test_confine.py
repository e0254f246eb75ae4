"""What the machine refuses to a confined child, and the filter that says so."""

import errno
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bat_os.cells.zygote.confine import filter_program
from tests.cells.attack_table import ESCAPES, PLACES
from tests.cells.contract import REACH, fail, run

X86, ARM = ("x86_64", 0xC000003E), ("aarch64", 0xC00000B7)
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM


def decide(machine, number, *args, arch=None):
    """Return what the filter says to a call, as the machine would work it out."""
    name, own = machine
    data = number | (arch or own) << 32
    for at, value in enumerate(args):
        data |= value << (128 + 64 * at)
    steps, at, loaded = filter_program(name), 0, 0
    while True:
        code, so, not_so, value = steps[at]
        at += 1
        if code == 0x20:
            loaded = data >> (8 * value) & 0xFFFFFFFF
        elif code == 0x06:
            return value
        else:
            at += so if (loaded == value if code == 0x15 else loaded >= value) else not_so


@pytest.mark.parametrize(
    ("machine", "number", "args", "verdict"),
    [
        pytest.param(X86, 0, (), ALLOW, id="x86 read"),
        pytest.param(X86, 334, (), ALLOW, id="x86 rseq"),
        pytest.param(X86, 2, (), REFUSE, id="x86 open"),
        pytest.param(X86, 257, (), REFUSE, id="x86 openat"),
        pytest.param(X86, 41, (), REFUSE, id="x86 socket"),
        pytest.param(X86, 46, (), REFUSE, id="x86 sendmsg"),
        pytest.param(X86, 56, (), REFUSE, id="x86 clone"),
        pytest.param(X86, 435, (), REFUSE, id="x86 clone3"),
        pytest.param(X86, 62, (), REFUSE, id="x86 kill"),
        pytest.param(X86, 101, (), REFUSE, id="x86 ptrace"),
        pytest.param(X86, 425, (), REFUSE, id="x86 io_uring_setup"),
        pytest.param(X86, 0x40000000, (), KILL, id="x32 read"),
        pytest.param(X86, 72, (3, 4), ALLOW, id="x86 fcntl set flags"),
        pytest.param(X86, 72, (3, 8), REFUSE, id="x86 fcntl set owner"),
        pytest.param(X86, 72, (3, 4 | 1 << 32), REFUSE, id="x86 fcntl of 64 bits"),
        pytest.param(X86, 44, (3, 9, 1, 0, 0), ALLOW, id="x86 send"),
        pytest.param(X86, 44, (3, 9, 1, 0, 64), REFUSE, id="x86 send to an address"),
        pytest.param(X86, 44, (3, 9, 1, 0, 1 << 40), REFUSE, id="x86 send to a high address"),
        pytest.param(X86, 44, (3, 9, 1, 1, 0), REFUSE, id="x86 send out of band"),
        pytest.param(X86, 44, (3, 9, 1, 1 << 40, 0), REFUSE, id="x86 send with high flags"),
        pytest.param(X86, 45, (3, 9, 1, 0, 0), ALLOW, id="x86 receive"),
        pytest.param(X86, 45, (3, 9, 1, 1, 0), REFUSE, id="x86 receive out of band"),
        pytest.param(X86, 53, (1, 0x80001), REFUSE, id="x86 pair of streams"),
        pytest.param(X86, 9, (0, 4096, 3, 0x22), ALLOW, id="x86 map memory"),
        pytest.param(X86, 9, (0, 4096, 7, 0x22), REFUSE, id="x86 map memory to run"),
        pytest.param(X86, 9, (0, 4096, 4, 0x22), REFUSE, id="x86 map code"),
        pytest.param(X86, 10, (4096, 4096, 1), ALLOW, id="x86 protect memory"),
        pytest.param(X86, 10, (4096, 4096, 5), REFUSE, id="x86 let memory run"),
        pytest.param(X86, 16, (3, 0x5421), ALLOW, id="x86 blocking or not"),
        pytest.param(X86, 16, (3, 0x5412), REFUSE, id="x86 type into a terminal"),
        pytest.param(ARM, 63, (), ALLOW, id="arm read"),
        pytest.param(ARM, 0, (), REFUSE, id="arm io_setup"),
        pytest.param(ARM, 56, (), REFUSE, id="arm openat"),
        pytest.param(ARM, 198, (), REFUSE, id="arm socket"),
        pytest.param(ARM, 220, (), REFUSE, id="arm clone"),
        pytest.param(ARM, 129, (), REFUSE, id="arm kill"),
        pytest.param(ARM, 25, (3, 8), REFUSE, id="arm fcntl set owner"),
        pytest.param(ARM, 206, (3, 9, 1, 0, 0), ALLOW, id="arm send"),
        pytest.param(ARM, 206, (3, 9, 1, 1, 0), REFUSE, id="arm send out of band"),
        pytest.param(ARM, 207, (3, 9, 1, 1, 0), REFUSE, id="arm receive out of band"),
        pytest.param(ARM, 199, (1, 1), REFUSE, id="arm pair of streams"),
        pytest.param(ARM, 222, (0, 4096, 3, 0x22), ALLOW, id="arm map memory"),
        pytest.param(ARM, 222, (0, 4096, 7, 0x22), REFUSE, id="arm map memory to run"),
        pytest.param(ARM, 226, (4096, 4096, 5), REFUSE, id="arm let memory run"),
    ],
)
def test_the_filter_allows_what_is_harmless_and_nothing_else(machine, number, args, verdict):
    assert decide(machine, number, *args) == verdict


def test_calls_of_another_architecture_are_fatal():
    assert decide(X86, 0, arch=ARM[1]) == decide(ARM, 63, arch=X86[1]) == KILL


def test_every_call_outside_the_table_is_refused():
    allowed = [number for number in range(512) if decide(X86, number) == ALLOW]

    assert len(allowed) < 50
    assert {decide(X86, number) for number in range(512)} == {ALLOW, REFUSE}


def test_a_machine_without_a_table_has_no_filter():
    with pytest.raises(OSError, match="riscv64"):
        filter_program("riscv64")


FORBIDDEN = {
    "open a file": "os.open('/etc/passwd', 0)",
    "list a folder": "os.listdir('/')",
    "ask for its user": "os.stat('/')",
    "open a socket": "socket.socket()",
    "pair sockets for datagrams": "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "pair sockets": "socket.socketpair()",
    "send to an address": "socket.socket(fileno=3).sendto(b'x', '/dev/log')",
    "send out of band": "socket.socket(fileno=3).send(b'x', socket.MSG_OOB)",
    "receive out of band": "socket.socket(fileno=3).recv(1, socket.MSG_OOB)",
    "look ahead": "socket.socket(fileno=3).recv(1, socket.MSG_PEEK)",
    "aim signals at the parent": "sys.modules['fcntl'].fcntl(3, 8, 1)",
    "control a device": "sys.modules['fcntl'].ioctl(3, 0x5412, b'x')",
    "fork": "os.fork()",
    "run a program": "os.execv('/bin/true', ['true'])",
    "signal": "os.kill(1, 0)",
    "make a pipe": "os.pipe()",
}


@pytest.mark.system
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", FORBIDDEN)
async def test_the_kernel_of_the_machine_refuses_to(cell, name):
    error = await fail(cell, REACH + f"    {FORBIDDEN[name]}")

    assert error.details["type"] == "PermissionError"


@pytest.mark.system
@pytest.mark.asyncio(loop_scope="module")
async def test_a_child_has_its_channel_and_no_other_descriptor(cell):
    source = REACH + (
        "    there, fcntl = [], sys.modules['fcntl'].fcntl\n    for fd in range(1024):\n"
        "        try:\n            fcntl(fd, 1)\n        except OSError:\n            continue\n"
        "        there.append(fd)\n    return there\n"
    )
    assert (await run(cell, source)).value == [3]


@pytest.mark.system
@pytest.mark.asyncio(loop_scope="module")
async def test_memory_cannot_be_made_to_run(cell):
    source = REACH + (
        "    ctypes = sys.modules['ctypes']\n    c = ctypes.CDLL(None, use_errno=True)\n"
        "    c.mmap.restype = ctypes.c_void_p\n"
        "    place = c.mmap(None, 4096, 3, 0x22, -1, 0)\n"
        "    done = c.mprotect(ctypes.c_void_p(place), 4096, 5), ctypes.get_errno()\n"
        "    ctypes.set_errno(0)\n    both = c.mmap(None, 4096, 7, 0x22, -1, 0)\n"
        "    return done, both == 2**64 - 1, ctypes.get_errno()\n"
    )
    assert (await run(cell, source)).value == ((-1, errno.EPERM), True, errno.EPERM)


@pytest.mark.system
@pytest.mark.asyncio(loop_scope="module")
async def test_event_loops_work_without_sockets(cell):
    source = (
        "import asyncio\ndef m(self):\n    async def add(a, b):\n"
        "        await asyncio.sleep(0.01)\n        return a + b\n    async def both():\n"
        "        return await asyncio.gather(add(1, 2), asyncio.wait_for(add(3, 4), 1))\n"
        "    return [asyncio.run(both()) for _ in range(3)]\n"
    )
    assert (await run(cell, source)).value == [[3, 7]] * 3


@pytest.mark.system
@pytest.mark.asyncio(loop_scope="module")
async def test_a_child_does_not_know_where_the_program_lies(cell):
    assert (await run(cell, REACH + "    return sys.argv, sys.orig_argv")).value == ([], [])
    (walk,) = (path for path in ESCAPES if path.stem.startswith("f63"))
    found = (await run(cell, walk.read_text(encoding="utf-8"), deadline=60.0)).value
    assert len(found) > 20  # it did look
    assert not [text for text in found if any(place in text for place in PLACES)]


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is of Linux")
def test_landlock_alone_denies_files_and_what_else_the_system_supports(tmp_path):
    (tmp_path / "own.txt").write_text("own")
    script = """
import json, os, socket, sys
from bat_os.cells.zygote import confine
folder, port, other = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
acts = {
    "read": lambda: open(f"{folder}/own.txt").read(),
    "write": lambda: open(f"{folder}/new.txt", "w"),
    "list": lambda: os.listdir(folder),
    "remove": lambda: os.remove(f"{folder}/own.txt"),
    "connect": lambda: socket.create_connection(("127.0.0.1", port), 5).close(),
    "signal": lambda: os.kill(other, 0),
}
def refused():
    found = []
    for name, act in acts.items():
        try:
            act()
        except PermissionError:
            found.append(name)
    return found
before = [acts["read"](), acts["list"](), acts["connect"](), acts["signal"]()]
print(json.dumps([confine.deny_files(), refused()]))
"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        arguments = (tmp_path, server.getsockname()[1], os.getpid())
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            cwd=Path(__file__).parents[2], capture_output=True, check=True, timeout=60,
        )  # fmt: skip
    version, refused = json.loads(done.stdout)
    expected = ["read", "write", "list", "remove"]
    expected += ["connect"] if version >= 4 else []
    expected += ["signal"] if version >= 6 else []
    assert version >= 1
    assert refused == expected
