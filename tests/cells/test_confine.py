"""What the machine refuses to a confined child, and the filter that says so."""

import errno

import pytest

from bat_os.cells.zygote.confine import filter_program
from tests.cells.contract import REACH, fail

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
        pytest.param(X86, 53, (1, 0x80001), ALLOW, id="x86 pair of streams"),
        pytest.param(X86, 53, (1, 2), REFUSE, id="x86 pair for datagrams"),
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
    "send to an address": "socket.socketpair()[0].sendto(b'x', '/dev/log')",
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
