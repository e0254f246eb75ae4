"""What Linux takes away from the process that runs learned code.

Runs in the zygote and its children, never in the kernel: nothing here can be undone.
Landlock and seccomp carry the weight and need no privilege; namespaces and an unprivileged
user come on top where the machine allows them. No library is needed beyond the C library.

    zygote, once     namespaces > another user > Landlock: no file, no port, no foreign signal
    child, each      limits on memory, CPU, files, processes > seccomp: the calls in _CALLS only
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from pathlib import Path
from typing import Final

MEMORY: Final = 256 << 20
CPU_SECONDS: Final = 30
OPEN_FILES: Final = 16
NOBODY: Final = 65534

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446  # the same on every architecture
_NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (1 << bit for bit in range(26, 31))


def die_with_parent() -> None:
    """Have this process killed when its parent ends, and keep others from reading it."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def enter_namespaces() -> str:
    """Return which namespaces of its own this process now has; "" for none.

    With a process namespace, only children of this process are inside it.
    """
    alone = _NEWNET | _NEWIPC | _NEWUTS
    user = 0 if os.geteuid() == 0 else _NEWUSER
    uid, gid = os.getuid(), os.getgid()
    for flags, name in (
        (alone | _NEWPID | user, "pid net ipc uts"),
        (alone | _NEWPID | _NEWUSER, "pid net ipc uts"),
        (_NEWNET | _NEWUSER, "net"),
    ):
        if _libc.unshare(flags) == 0:
            if flags & _NEWUSER:
                _map_user(uid, gid)
                return name + " user"
            return name
    return ""


def _map_user(uid: int, gid: int) -> None:
    """Become the user nobody in the new user namespace; without the map it is nobody, too."""
    here = Path("/proc/self")
    try:
        (here / "setgroups").write_text("deny")
        (here / "uid_map").write_text(f"{NOBODY} {uid} 1")
        (here / "gid_map").write_text(f"{NOBODY} {gid} 1")
    except OSError:
        return


def leave_root() -> bool:
    """Return whether this process has stopped being root; every capability goes with it."""
    if os.geteuid() != 0:
        return True
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return False
    return True


def deny_files() -> int:
    """Return the Landlock version that now denies every file and port; 0 without Landlock."""
    version: int = _libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        return 0
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    ports = 3 if version >= 4 else 0
    scopes = 3 if version >= 6 else 0  # abstract sockets and signals of others
    size = 8 if version < 4 else 16 if version < 6 else 24
    rules = struct.pack("QQQ", files, ports, scopes)[:size]
    _no_new_privileges()
    fd = _libc.syscall(_LANDLOCK_CREATE, ctypes.create_string_buffer(rules, size), size, 0)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "landlock_create_ruleset")
    if _libc.syscall(_LANDLOCK_RESTRICT, fd, 0) != 0:
        raise OSError(ctypes.get_errno(), "landlock_restrict_self")
    os.close(fd)
    return version


def address_space() -> int:
    """Return the bytes of address space that this process has mapped."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def limit_resources(baseline: int) -> None:
    """Set the limits that children inherit, of an address space with ``baseline`` bytes so far."""
    for what, most in (
        (resource.RLIMIT_AS, baseline + MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def limit_child() -> None:
    """Set the limits that hold for a child alone.

    Open files are among them: Linux counts the descriptors that are on their way from a user,
    unread, against this limit of the sender, and the zygote sends one for every child.
    """
    # One more for the hard limit: at the soft one the signal says that it was the CPU.
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))


# System calls a child may make, by number on x86-64 and on aarch64; None where there is none.
# Not among them: open, socket, socketpair, connect, sendmsg, clone, execve, kill, ptrace, prctl,
# seccomp.
_CALLS: Final[dict[str, tuple[int | None, int | None]]] = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "poll": (7, None),
    "lseek": (8, 62), "munmap": (11, 215),
    "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "readv": (19, 65), "writev": (20, 66), "select": (23, None),
    "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "nanosleep": (35, 101),
    "getpid": (39, 172), "exit": (60, 93), "gettimeofday": (96, 169),
    "sigaltstack": (131, 132), "gettid": (186, 178), "time": (201, None), "futex": (202, 98),
    "epoll_create": (213, None), "restart_syscall": (219, 128), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "clock_nanosleep": (230, 115), "exit_group": (231, 94),
    "epoll_wait": (232, None), "epoll_ctl": (233, 21), "pselect6": (270, 72), "ppoll": (271, 73),
    "set_robust_list": (273, 99), "epoll_pwait": (281, 22), "epoll_create1": (291, 20),
    "getrandom": (318, 278), "membarrier": (324, 283), "rseq": (334, 293),
}  # fmt: skip
_NO_CODE: Final = (0, 1, 2, 3)  # memory to read and write, and not to run
# Calls with one harmless use: numbers of arguments, and the values that each may have.
# fcntl could aim signals at others (F_SETOWN), sendto could name a datagram socket of the
# machine. Out-of-band data on the channel to the kernel reaches code of Linux that nothing else
# needs; so does a file mapped to be run.
_GUARDED: Final[dict[str, tuple[tuple[int, int], dict[int, tuple[int, ...]]]]] = {
    "mmap": ((9, 222), {2: _NO_CODE}),
    "mprotect": ((10, 226), {2: _NO_CODE}),
    "fcntl": ((72, 25), {1: (1, 2, 3, 4, 1030)}),  # get and set flags, duplicate
    "ioctl": ((16, 29), {1: (0x5421, 0x5450, 0x5451)}),  # blocking or not, close on exec or not
    "sendto": ((44, 206), {3: (0,), 4: (0,)}),  # no flags, no address
    "recvfrom": ((45, 207), {3: (0,)}),  # no flags
}
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_MACHINES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
_OLD_ABI: Final = 0x40000000  # x32 calls on x86-64 start here

_Step = tuple[int, int, int, int]


def filter_program(machine: str) -> list[_Step]:
    """Return the seccomp filter for ``machine`` as (code, jump if so, jump if not, value)."""
    if machine not in _MACHINES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {machine}")
    column, arch = _MACHINES[machine]
    steps: list[_Step] = [
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_IF_AT_LEAST, 0, 1, _OLD_ABI),
        (_RETURN, 0, 0, _KILL),
    ]
    for numbers in _CALLS.values():
        number = numbers[column]
        if number is not None:
            steps += [(_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    for pair, rules in _GUARDED.values():
        checks = [step for rule in rules.items() for step in _guard(*rule)]
        body = [*checks, (_RETURN, 0, 0, _ALLOW)]
        steps += [(_IF_EQUAL, 0, len(body), pair[column]), *body]
    return [*steps, (_RETURN, 0, 0, _REFUSE)]


def _guard(argument: int, values: tuple[int, ...]) -> list[_Step]:
    """Return the steps that refuse a call unless its argument is one of ``values``."""
    low = 16 + 8 * argument  # little-endian: the high half follows
    tests = [(_IF_EQUAL, len(values) - at, 0, value) for at, value in enumerate(values)]
    return [
        (_LOAD, 0, 0, low + 4),
        (_IF_EQUAL, 1, 0, 0),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, low),
        *tests,
        (_RETURN, 0, 0, _REFUSE),
    ]


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_ushort),
        ("jt", ctypes.c_ubyte),
        ("jf", ctypes.c_ubyte),
        ("k", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


class CallFilter:
    """The seccomp filter of this machine, made once and applied in each child."""

    def __init__(self) -> None:
        steps = filter_program(platform.machine())
        self._steps = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
        self._program = _Program(len(steps), self._steps)

    def apply(self) -> None:
        """Allow this process no other system call from here on."""
        _no_new_privileges()
        if _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(self._program), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp")


def _no_new_privileges() -> None:
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
