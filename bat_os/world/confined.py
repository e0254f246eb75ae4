"""Start somebody's program in a cage: it touches only the files and ports that it is given.

    command(["git", "log"], read=["/home/ann/project"])  >  what to start instead

    this file, run as a program     watch > namespaces > first process > the program itself
        limits for each process; the watch ends them all when together they take too much
        its own processes and network, where the machine gives them; nothing outlives it
        its own view of the disk, where something in its folders is to be hidden or kept
        Landlock: the named files, no other; seccomp: no socket, or no local one; no new privileges

Unlike a cell it has files, processes and threads: it is a program that a person chose, not learned
code. Linux alone has such a cage: ``holds`` says whether this machine has it. Nothing of BAT OS is
imported, so that a start costs some 30 ms.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import re
import shutil
import signal
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LIMITS: Final = {
    "memory": 1 << 30,  # bytes, of each process and of all
    "processes": 256,  # with their threads, of all
    "file": 256 << 20,  # bytes of one file
    "open": 1_024,  # files, of each process
    "seconds": 60,  # of a processor, of each process
}
WATCH_SECONDS: Final = 0.1  # between two looks at what they take
# How the command ends when there was too much; a negative one is a signal, which no program sends.
_TOO_MUCH_MEMORY, _TOO_MANY = 10, 12  # SIGUSR1 and SIGUSR2 of Linux
_OVER: Final = {
    -_TOO_MUCH_MEMORY: "memory", -_TOO_MANY: "processes",
    128 + 24: "seconds", 128 + 25: "file",  # SIGXCPU and SIGXFSZ, as a shell says them
}  # fmt: skip
FAILED: Final = 125  # exit status: the cage could not be built; 126 and 127 as in a shell
# What programs need of a system; nothing of a person is in it.
_SYSTEM: Final = (
    "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ld.so.cache", "/etc/ld.so.conf",
    "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/ssl", "/etc/pki",
    "/etc/ca-certificates", "/etc/mime.types", "/etc/gitconfig", "/etc/os-release",
    "/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/dev/urandom", "/dev/random", "/dev/zero",
)  # fmt: skip
_NETWORK: Final = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf")
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446  # on every architecture
_RUN_AND_READ: Final = 1 << 0 | 1 << 2 | 1 << 3  # run a file, read it, list a folder
_OF_FILES: Final = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15
_CONNECT: Final = 2
_NEWNS, _NEWUSER, _NEWPID, _NEWNET = 1 << 17, 1 << 28, 1 << 29, 1 << 30
_READ_ONLY, _NO_SUID, _NO_DEVICES, _NO_PROGRAMS = 1, 2, 4, 8  # of a mount
_BIND, _WITH_ALL, _PRIVATE = 1 << 12, 1 << 14, 1 << 18
_HERE, _ALL_BELOW = -100, 0x8000  # of a path: the current folder; with what is mounted below
_SET_MOUNT: Final = 442  # mount_setattr, on every architecture; as old as Landlock
_KEPT_CAPABILITIES: Final = frozenset({1, 3})  # of root: files of others, as a person's own
_LOAD, _IF_EQUAL, _IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000 | 13
_LOCAL_SOCKETS: Final = 1  # AF_UNIX: other programs of this machine listen there
# By machine: audit number, socket, keyctl and its kin, first number of an older way to call.
_CALLS: Final = {
    "x86_64": (0xC000003E, 41, (248, 249, 250), 0x40000000),
    "aarch64": (0xC00000B7, 198, (217, 218, 219), 1 << 31),
}
_IO_URING: Final = 425  # would open sockets past the filter


def holds() -> bool:
    """Return whether this machine can confine a program."""
    return sys.platform == "linux" and platform.machine() in _CALLS and _landlock() > 0


def limits_ports() -> bool:
    """Return whether a program that is given some ports reaches no others; from Linux 6.7 on."""
    return holds() and _landlock() >= 4


def command(
    program: Sequence[str],
    *,
    read: Iterable[str] = (),
    write: Iterable[str] = (),
    ports: Iterable[int] | None = (),
    closed: Mapping[str, bool] | None = None,
    limits: Mapping[str, int] | None = None,
) -> list[str]:
    """Return the command that starts a program in a cage. It dies with the thread that starts it.

    The command ends with the exit status of the program; when it is killed, all that the program
    started is killed, too, if the machine has process namespaces.

    Args:
        program: Its name or path, and its arguments.
        read: Files and folders that it may read and run, besides the system's.
        write: Files and folders that it may change as well.
        ports: TCP ports that it may connect to, on any host, and with them UDP; none at all, no
            network. None: the whole network, as with some ports where ``limits_ports`` is false.
        closed: Files and folders in those that it cannot change, each with whether it is empty for
            it, too. Landlock cannot take a part out of a folder: these need a view of the disk of
            its own, and a machine that gives none runs nothing.
        limits: Those that differ from LIMITS; ``limit_over`` says which one a program went over.
    """
    found = shutil.which(program[0]) or program[0]
    cage = {
        "read": [*read, found, str(Path(found).resolve())],
        "write": list(write),
        "closed": dict(closed or {}),
        "ports": None if ports is None else list(ports),
        "limits": {**LIMITS, **(limits or {})},
    }
    return [sys.executable, "-I", "-S", __file__, json.dumps(cage), found, *program[1:]]


def limit_over(status: int) -> str:
    """Return which of LIMITS ended a command, by its exit status; "" if none did."""
    return _OVER.get(status, "")


def main() -> None:
    """Become the program of the command line, confined as its first argument says."""
    cage, program = json.loads(sys.argv[1]), sys.argv[2:]
    # Python ignores these two; the program shall not.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        _die_with_parent()
        has_own = _enter_namespaces(alone=cage["ports"] == [], covers=bool(cage["closed"]))
        _cover(cage["closed"])
        _follow(cage["limits"])  # with a namespace, its first process: all end with it
        if has_own:
            _follow()  # the program, which signals may end as they do elsewhere
        os.setsid()  # no terminal
        _confine(cage)
    except OSError as error:
        print(f"confined: {error}", file=sys.stderr)  # noqa: T201  # a program of its own
        os._exit(FAILED)
    try:
        os.execv(program[0], program)  # noqa: S606  # that is what it is for
    except OSError as error:
        print(f"confined: {program[0]}: {error.strerror}", file=sys.stderr)  # noqa: T201
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _landlock() -> int:
    version: int = _libc().syscall(_LANDLOCK_CREATE, None, 0, 1)
    return version


def _check(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _die_with_parent() -> None:
    _libc().prctl(1, signal.SIGKILL, 0, 0, 0)


def _enter_namespaces(*, alone: bool, covers: bool) -> bool:
    """Return whether children of this process have their processes for themselves."""
    uid, gid = os.getuid(), os.getgid()
    own = (_NEWNET if alone else 0) | (_NEWNS if covers else 0)
    for flags in (_NEWPID | own, _NEWPID | own | _NEWUSER, own | _NEWUSER):
        if flags & _NEWUSER or uid == 0:
            if _libc().unshare(flags) < 0:
                continue
            if flags & _NEWUSER:  # stay who one is, for the owners of files
                here = Path("/proc/self")
                (here / "setgroups").write_text("deny")
                (here / "uid_map").write_text(f"{uid} {uid} 1")
                (here / "gid_map").write_text(f"{gid} {gid} 1")
            return bool(flags & _NEWPID)
    if covers:
        raise OSError(0, "this machine cannot hide a part of a folder from a program")
    return False


def _cover(closed: Mapping[str, bool]) -> None:
    """Lay nothing over what is hidden, and a view that cannot be changed over the other places."""
    if closed:
        _mount("none", "/", None, _WITH_ALL | _PRIVATE)
    for path, is_hidden in closed.items():
        if not Path(path).exists():
            continue  # it has gone since
        if not is_hidden:
            _mount(path, path, None, _BIND | _WITH_ALL)
            wanted = struct.pack("QQQQ", _READ_ONLY, 0, 0, 0)
            held = ctypes.create_string_buffer(wanted, len(wanted))
            arguments = (_SET_MOUNT, _HERE, os.fsencode(path), _ALL_BELOW, held, len(wanted))
            _check(_libc().syscall(*arguments), f"keeping {path}")
        elif Path(path).is_dir():
            _mount("none", path, "tmpfs", _READ_ONLY | _NO_SUID | _NO_DEVICES | _NO_PROGRAMS)
        else:
            _mount(os.devnull, path, None, _BIND)


def _mount(what: str, where: str, kind: str | None, flags: int) -> None:
    named = kind.encode() if kind else None
    done = _libc().mount(os.fsencode(what), os.fsencode(where), named, flags, None)
    _check(done, f"covering {where}")


def _follow(limits: Mapping[str, int] | None = None) -> None:
    """Go on as a child; the parent waits for it, holding none of its pipes, and ends as it did.

    With limits it watches the child, and all below it, until then.
    """
    child = os.fork()
    if child == 0:
        _die_with_parent()
        return
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    if limits is not None:
        _watch(child, limits)
    while True:
        ended, status = os.wait()  # as the first process also for children of others
        if ended == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _counts_alone() -> bool:
    """Return whether the system counts the processes of a user for each namespace of users.

    It does from Linux 5.14 on, and never those of root. Elsewhere the watch counts alone.
    """
    here = Path("/proc/self/uid_map").read_text().split()
    release = re.match(r"(\d+)\.(\d+)", platform.release())
    has_own = here[-1] == "1"  # as ``_enter_namespaces`` maps it
    return bool(
        os.getuid() and has_own and release and tuple(map(int, release.groups())) >= (5, 14)
    )


def _watch(child: int, limits: Mapping[str, int]) -> None:
    """Wait until a child has ended; end it, and this process, if all below take too much."""
    with contextlib.suppress(OSError):  # root alone may: else a storm of processes starves this one
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    _libc().prctl(36, 1, 0, 0, 0)  # without a namespace: what loses its parent stays below
    wanted = {signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    while not _has_ended(child):
        pids, tasks = _below(limits["processes"])
        over = 0
        if tasks > limits["processes"]:
            over = _TOO_MANY
        elif sum(map(_resident, pids)) > limits["memory"] < sum(map(_proportional, pids)):
            over = _TOO_MUCH_MEMORY
        if over:
            _end_all(limits["processes"])
            os.kill(os.getpid(), over)
        signal.sigtimedwait(wanted, WATCH_SECONDS)


def _has_ended(child: int) -> bool:
    """Return whether a child has ended, and forget the others that have."""
    while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
        if found.si_pid == child:
            return True
        os.waitpid(found.si_pid, 0)
    return False


def _end_all(most: int) -> None:
    """Kill what is below this process, and what that starts meanwhile."""
    with contextlib.suppress(ChildProcessError):
        while True:
            for pid in _below(most)[0]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(-1, 0)


def _below(most: int) -> tuple[list[int], int]:
    """Return the processes below this one, and how many threads they have.

    It stops above ``most``: there may be new ones faster than it counts.
    """
    pids, tasks = [os.getpid()], -1  # without this one
    for pid in pids:  # grows meanwhile
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                tasks += 1
                pids += map(int, (task / "children").read_bytes().split())
        if tasks > most:
            break
    return pids[1:], tasks


def _resident(pid: int) -> int:
    """Return the bytes of memory of a process, with those that it shares."""
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGESIZE")
    return 0


def _proportional(pid: int) -> int:
    """Return the bytes of memory of a process, with its part of those that it shares."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines():
            if line.startswith(b"Pss:"):
                return int(line.split()[1]) << 10
    return _resident(pid)


def _confine(cage: dict[str, Any]) -> None:
    import resource  # Linux and macOS alone have it, and only the cage wants it

    limits = cage["limits"]
    # Not the address space: node reserves far more than it uses.
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_NOFILE, limits["open"]),
        (resource.RLIMIT_CPU, limits["seconds"]),
        *([(resource.RLIMIT_NPROC, limits["processes"])] if _counts_alone() else []),
    ):
        _, allowed = resource.getrlimit(kind)
        soft = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        # One more for the hard limit: at the soft one the signal says that it was the processor.
        more = kind == resource.RLIMIT_CPU and soft == most
        resource.setrlimit(kind, (soft, soft + more))
    for capability in range(64):
        if capability not in _KEPT_CAPABILITIES:
            _libc().prctl(24, capability, 0, 0, 0)
    _check(_libc().prctl(38, 1, 0, 0, 0), "no new privileges")
    _restrict_files(cage)
    _filter_calls(local_alone=cage["ports"] != [])


def _restrict_files(cage: dict[str, Any]) -> None:
    version, ports = _landlock(), cage["ports"]
    if version < 1:
        raise OSError(0, "this machine has no Landlock")
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    scopes = 3 if version >= 6 else 0  # abstract sockets, and signals to others
    size = 8 if version < 4 else 16 if version < 6 else 24
    handled = struct.pack("QQQ", every, 0 if ports is None else 3, scopes)[:size]
    rules = _check(_libc().syscall(_LANDLOCK_CREATE, handled, size, 0), "Landlock")
    seen = [*_SYSTEM, *cage["read"], *([] if ports == [] else _NETWORK)]
    for paths, rights in ((seen, _RUN_AND_READ), ([*cage["write"], "/dev/null"], every)):
        for path in paths:
            try:
                handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # not on this system
            allowed = rights if Path(path).is_dir() else rights & _OF_FILES & every
            _add(rules, 1, struct.pack("=Qi", allowed, handle), path)
            os.close(handle)
    for port in ports or () if version >= 4 else ():
        _add(rules, 2, struct.pack("=QQ", _CONNECT, port), f"port {port}")
    _check(_libc().syscall(_LANDLOCK_RESTRICT, rules, 0), "Landlock")
    os.close(rules)


def _add(rules: int, kind: int, rule: bytes, what: str) -> None:
    held = ctypes.create_string_buffer(rule, len(rule))
    _check(_libc().syscall(_LANDLOCK_ADD, rules, kind, held, 0), f"Landlock, {what}")


def filter_steps(machine: str, *, local_alone: bool) -> list[tuple[int, int, int, int]]:
    """Return the seccomp filter as (code, jump if so, jump if not, value).

    Args:
        machine: ``x86_64`` or ``aarch64``.
        local_alone: Refuse sockets of this machine alone, not all sockets.
    """
    audit, socket, keys, older = _CALLS[machine]
    refuse = (_RETURN, 0, 0, _REFUSE)
    wanted = [(_LOAD, 0, 0, 16), (_IF_EQUAL, 0, 1, _LOCAL_SOCKETS)] if local_alone else []
    body = [*wanted, refuse, (_RETURN, 0, 0, _ALLOW)]
    steps = [
        (_LOAD, 0, 0, 4),
        (_IF_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        (_IF_AT_LEAST, 0, 1, older),
        (_RETURN, 0, 0, _KILL),
        (_IF_EQUAL, 0, len(body), socket),
        *body,
    ]
    for number in (*keys, _IO_URING):
        steps += [(_IF_EQUAL, 0, 1, number), refuse]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _filter_calls(*, local_alone: bool) -> None:
    steps = filter_steps(platform.machine(), local_alone=local_alone)
    held = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in steps))
    program = struct.pack("@HP", len(steps), ctypes.addressof(held))
    _check(_libc().prctl(22, 2, program, 0, 0), "seccomp")


if __name__ == "__main__":
    main()
