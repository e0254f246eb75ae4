"""The zygote: a bare interpreter that forks one confined child for every call.

Started by path, ``python -I -S -E cellmain.py CONFIG``, with an empty environment; it shares
no memory with the kernel. It loads all that a method may import, gives up its rights, then
answers the control socket. What a child says goes to the kernel and never passes through here.

    b"fork" + one descriptor     > b"PID" + the child's pidfd    the descriptor is its socket
    b"wait PID"                  > b"STATUS"                     exit status, or minus a signal

CONFIG is JSON: ``control`` (descriptor), ``path`` (folders to load from), ``modules``.
"""

from __future__ import annotations

import asyncio
import codecs
import gc
import hashlib
import importlib
import json
import os
import random
import socket
import sys
import time
import uuid
import zoneinfo
from datetime import datetime
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable


class Config(TypedDict):
    """What the kernel tells the zygote at its start."""

    control: int
    path: list[str]
    modules: list[str]


_SOCKET = 3
_NOT_CONFINED, _NO_MEMORY = 71, 72
_CODECS = (
    *("ascii", "latin-1", "iso8859-15", "cp1252", "cp437", "mac-roman", "idna", "punycode"),
    *("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "hex", "base64", "rot13"),
    *("unicode-escape", "raw-unicode-escape"),
)
_LAZY = ("_strptime", "asyncio.runners", "dataclasses", "inspect", "locale", "traceback")


def _preload(modules: list[str]) -> list[object]:
    """Return objects to keep; after this, ordinary code opens no file."""
    for name in (*_LAZY, *modules):
        importlib.import_module(name)
    for name in _CODECS:
        codecs.lookup(name)
    datetime.strptime("2024", "%Y").astimezone().strftime("%c")
    time.tzset()
    hashlib.sha256(b"").hexdigest()
    random.seed()
    uuid.uuid4()
    asyncio.run(asyncio.sleep(0))
    return [zoneinfo.ZoneInfo(name) for name in sorted(zoneinfo.available_timezones())]


def main(config: Config) -> None:
    """Load, confine, say hello, then serve the control socket until it closes."""
    modules = config["modules"]
    sys.path += config["path"]
    # The path has to be set before these can be found.
    from bat_os.cells.child import confine, world

    kept = _preload(modules)
    sys.path.clear()
    control = socket.socket(fileno=config["control"])
    baseline = confine.address_space()
    calls = confine.CallFilter()
    confine.die_with_parent()
    names = confine.enter_namespaces()
    if "pid" in names:
        _become_first(control)
    user = confine.leave_root()
    confine.die_with_parent()
    landlock = confine.deny_files()
    gc.collect()
    gc.freeze()
    parent = os.getpid()

    def confine_child() -> None:
        confine.die_with_parent()
        if os.getppid() != parent:
            os._exit(_NOT_CONFINED)
        confine.limit_resources(baseline)
        calls.apply()

    def run_child() -> None:
        confine_child()
        world.run_call(_SOCKET, frozenset(modules))

    hello = {
        "landlock": landlock,
        "seccomp": _probe(confine_child),
        "namespaces": names,
        "unprivileged": user,
        "time_zones": len(kept),
    }
    _silence()
    control.send(json.dumps(hello).encode())
    _serve(control, run_child)


def _become_first(control: socket.socket) -> None:
    """Go on as the first process of the new process namespace; this one waits for it."""
    first = os.fork()
    if first:
        control.close()
        _silence()
        os.waitpid(first, 0)
        os._exit(0)


def _silence() -> None:
    """Give up standard error, which is for what goes wrong before the hello."""
    os.dup2(0, 2)


def _probe(confine_child: Callable[[], None]) -> bool:
    """Return whether a confined child is refused a socket and a process."""
    pid = os.fork()
    if pid == 0:
        try:
            confine_child()
            os._exit(0 if _refused(socket.socket) and _refused(os.fork) else 1)
        finally:
            os._exit(_NOT_CONFINED)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except PermissionError:
        return True
    return False


def _serve(control: socket.socket, run_child: Callable[[], None]) -> None:
    """Answer requests until the kernel closes its end."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(control, 64, 1)
        verb, _, argument = request.partition(b" ")
        if verb == b"fork":
            _fork(control, descriptors[0], run_child)
        elif verb == b"wait":
            control.send(str(_wait(int(argument))).encode())
        else:
            os._exit(0)


def _fork(control: socket.socket, channel: int, run_child: Callable[[], None]) -> None:
    """Fork a child that talks on ``channel``, and tell the kernel its pid and pidfd."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(channel, _SOCKET)
            os.closerange(_SOCKET + 1, 1024)
            run_child()
            os._exit(0)
        except MemoryError:
            os._exit(_NO_MEMORY)
        finally:
            os._exit(_NOT_CONFINED)
    os.close(channel)
    handle = os.pidfd_open(pid)
    socket.send_fds(control, [str(pid).encode()], [handle])
    os.close(handle)


def _wait(pid: int) -> int:
    """Return how a child ended: its exit status, or minus the signal that killed it."""
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
