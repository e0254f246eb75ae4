"""The zygote: a bare interpreter that forks one confined child for every call.

Started by path, ``python -I -S -E main.py CONFIG``, with an empty environment; it shares
no memory with the kernel. It loads all that a method may import, gives up its rights, then
answers the control socket. A child talks to the kernel directly, never through this process.

    b"fork" + one descriptor     > b"PID" + the child's pidfd    the descriptor is its socket
    b"wait PID"                  > b"STATUS"                     exit status, or minus a signal

CONFIG is JSON: ``control`` (descriptor), ``path`` (folders to load from), ``modules``, ``zones``.

A fork costs by the page and by the mapping, and so does every page that a child then writes to.
So what is loaded is kept small: modules that nothing may import stay out, time zones stay bytes
until one is asked for, and no hook of a library runs in a new process.
"""

from __future__ import annotations

import _imp
import codecs
import gc
import importlib
import io
import json
import os
import socket
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import CodeType

    from bat_os.cells.zygote.child import Stage


class Config(TypedDict):
    """What the kernel tells the zygote at its start."""

    control: int
    path: list[str]
    modules: list[str]
    zones: list[str]


_SOCKET = 3
_NOT_CONFINED, NO_MEMORY = 71, 72  # exit statuses
_REHEARSALS = 50  # enough for Python to tune all bytecode that a call runs
_REMEMBERED = 256
# Libraries use these if they can be imported and do without them otherwise.
_KEPT_OUT: Final = ("bz2", "lzma", "ssl", "_sysconfigdata")
_CODECS: Final = (
    *("ascii", "latin-1", "iso8859-15", "cp1252", "cp437", "mac-roman", "idna", "punycode"),
    *("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "hex", "base64", "rot13"),
    *("unicode-escape", "raw-unicode-escape"),
)
_LAZY: Final = (
    "_strptime",
    "asyncio.runners",
    "ctypes",
    "inspect",
    "locale",
    "socket",
    "traceback",
)


def main(config: Config) -> None:
    """Load, confine, say hello, then serve the control socket until it closes."""
    sys.path += config["path"]
    stage, zones = _load(config)
    # The path had to be set before this can be found.
    from bat_os.cells.zygote import confine

    baseline = confine.address_space()
    forget_paths(config)
    control = socket.socket(fileno=config["control"])
    calls = confine.CallFilter()
    confine.die_with_parent()
    names = confine.enter_namespaces()
    if "pid" in names:
        _become_first(control)
    user = confine.leave_root()
    confine.die_with_parent()
    landlock = confine.deny_files()
    confine.limit_resources(baseline)
    gc.collect()
    gc.freeze()
    parent = os.getpid()

    def confine_child() -> None:
        confine.die_with_parent()
        if os.getppid() != parent:
            os._exit(_NOT_CONFINED)
        confine.limit_child()
        calls.apply()

    def run_child() -> None:
        confine_child()
        stage.run_call(_SOCKET)
        # An end takes a processor that the answer needs on its way: that comes when it is killed.
        os.read(_SOCKET, 1)

    hello = {
        "landlock": landlock,
        "seccomp": _probe(confine_child),
        "namespaces": names,
        "unprivileged": user,
        "time_zones": zones,
    }
    _silence()
    control.send(json.dumps(hello).encode())
    _serve(control, run_child)


def _load(config: Config) -> tuple[Stage, int]:
    """Return the rehearsed stage for calls, and how many time zones there are."""
    forget_fork_hooks()
    from bat_os.cells.zygote import child

    zones = preload(config["modules"], config["zones"])
    stage = child.Stage(frozenset(config["modules"]))
    stage.rehearse(_REHEARSALS)
    return stage, zones


def _become_first(control: socket.socket) -> None:
    """Continue as the first process of the new process namespace; this one waits for it."""
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
    ended: dict[int, int] = {}  # pid -> status of children not waited for yet
    room = socket.CMSG_SPACE(4)
    while True:
        request, rights, _, _ = control.recvmsg(64, room)
        if request == b"fork":
            channel = int.from_bytes(rights[0][2], sys.byteorder)
            _fork(control, channel, run_child, ended)
            _reap(ended)
        elif request[:5] == b"wait ":
            control.send(b"%d" % _wait(int(request[5:]), ended))
        else:
            os._exit(0)


def _fork(
    control: socket.socket, channel: int, run_child: Callable[[], None], ended: dict[int, int]
) -> None:
    """Fork a child that talks on ``channel``, and send the kernel its pid and pidfd."""
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(channel, _SOCKET)
            # Also 0 to 2: their open files are the zygote's, and flags that one child sets there
            # would be seen by the next.
            os.closerange(0, _SOCKET)
            os.closerange(_SOCKET + 1, 1024)
            run_child()
            os._exit(0)
        except MemoryError:
            os._exit(NO_MEMORY)
        finally:
            os._exit(_NOT_CONFINED)
    os.close(channel)
    ended.pop(pid, None)
    handle = os.pidfd_open(pid)
    right = handle.to_bytes(4, sys.byteorder)
    control.sendmsg([b"%d" % pid], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, right)])
    os.close(handle)


def _reap(ended: dict[int, int]) -> None:
    """Reap the children that have ended; the kernel waits for few of them."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        ended[pid] = os.waitstatus_to_exitcode(status)
        if len(ended) > _REMEMBERED:
            del ended[next(iter(ended))]


def _wait(pid: int, ended: dict[int, int]) -> int:
    """Return how a child ended: its exit status, or minus the signal that killed it."""
    if pid in ended:
        return ended.pop(pid)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


def forget_fork_hooks() -> None:
    """Keep libraries that are imported from now on from running hooks in a forked child.

    The hooks make new locks and a new seed, and write to a hundred pages doing so. No lock is
    ever held at a fork here, since there is one thread, and each child draws its own seed
    (child.py).
    """
    os.register_at_fork = lambda **hooks: None


def forget_paths(config: Config) -> None:
    """Take out of Python's objects where it and the program lie: a user's name may be in there.

    What native code can read of this process still has it.
    """
    places = {sys.prefix, sys.base_prefix, sys.exec_prefix, *config["path"], *config["zones"]}
    for paths in (sys.argv, sys.orig_argv, sys.path, config["path"], config["zones"]):
        paths.clear()
    sys.path_importer_cache.clear()
    for name in ("executable", "_base_executable", "_stdlib_dir", "_home", "pycache_prefix"):
        setattr(sys, name, "")
    for name in ("prefix", "exec_prefix", "base_prefix", "base_exec_prefix"):
        setattr(sys, name, "/")
    for name, module in sys.modules.items():
        if type(module) is ModuleType:  # typing.io is a class
            _forget_place(name, module, places)
    rename: Callable[[CodeType, str], None] = vars(_imp)["_fix_co_filename"]
    for function in gc.get_objects():
        if type(function) is FunctionType:
            rename(function.__code__, f"<{function.__module__}>")
    rename(sys._getframe(2).f_code, "<main>")


def _forget_place(name: str, module: ModuleType, places: set[str]) -> None:
    is_package = hasattr(module, "__path__")
    module.__spec__ = ModuleSpec(name, None, is_package=is_package)
    if is_package:
        module.__path__ = []
    for part in ("__file__", "__cached__", "__loader__"):
        vars(module).pop(part, None)
    for part, value in vars(module).items():
        if type(value) is str and any(place in value for place in places):
            vars(module)[part] = ""


def preload(modules: Sequence[str], zones: Sequence[str]) -> int:
    """Load ``modules`` and what they need at work; return how many time zones there are.

    After this, ordinary code opens no file.
    """
    for name in _KEPT_OUT:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # import takes it as missing
    known = _load_zones(zones)
    for name in (*_LAZY, *modules):
        importlib.import_module(name)
    for name in _CODECS:
        codecs.lookup(name)
    _spare_sockets()
    _warm_up_libraries()
    for name in _KEPT_OUT:
        if sys.modules.get(name) is None:
            sys.modules.pop(name, None)
    return known


def _load_zones(folders: Sequence[str]) -> int:
    """Have ``ZoneInfo`` read its files from memory; return how many there are."""
    os.environ["PYTHONTZPATH"] = ""  # else a table of build settings is loaded to find the path
    import zoneinfo
    from zoneinfo import _common

    del os.environ["PYTHONTZPATH"]
    known: dict[str, bytes] = {}
    same: dict[bytes, bytes] = {}
    for root in folders:  # the first that has a zone is the one that counts
        for folder, inner, names in os.walk(root):
            inner[:] = [name for name in inner if name not in ("posix", "right")]  # copies
            for name in names:
                place = Path(folder, name)
                key = str(place)[len(root) + 1 :]
                if key not in known and key != "posixrules" and place.is_file():
                    data = place.read_bytes()
                    if data.startswith(b"TZif"):
                        known[key] = same.setdefault(data, data)

    def load_zone(key: str) -> io.BytesIO:
        if key not in known:
            raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}")
        return io.BytesIO(known[key])

    _common.load_tzdata = load_zone  # type: ignore[assignment]  # another stream of bytes
    zoneinfo.available_timezones = lambda: set(known)
    return len(known)


def _spare_sockets() -> None:
    """Have event loops do without the pair of sockets by which threads and signals wake them.

    A child has neither, and may not make sockets.
    """
    from asyncio.selector_events import BaseSelectorEventLoop as Loop

    for name in ("_make_self_pipe", "_close_self_pipe", "_write_to_self"):
        setattr(Loop, name, lambda _loop: None)


def _warm_up_libraries() -> None:
    """Call once what loads something at its first call."""
    import asyncio
    import hashlib
    import random
    import time
    import uuid
    from datetime import datetime

    datetime.strptime("2024", "%Y").astimezone().strftime("%c")
    time.tzset()
    hashlib.sha256(b"").hexdigest()
    random.seed()
    uuid.uuid4()
    asyncio.run(asyncio.sleep(0))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
