"""Real processes without the time of their imports: forks of one warm interpreter.

A program of ours spends most of its start on imports, and the tests start some thousand. A command
that begins with ``PYTHON`` instead of ``sys.executable`` is not executed: ``subprocess`` and
asyncio ask a server for the process, which has imported everything already and forks. The process
is a true child of the test (parent, signals and exit status are as ever), has the arguments,
environment, streams and session that the call names, and runs the script as ``__main__``. What
cannot be handed on, such as another locale, takes the usual way; so does all but Linux.

``TRAINER`` is the same for programs that work with torch, whose imports take five seconds.
"""

import atexit
import contextlib
import ctypes
import fcntl
import gc
import importlib
import inspect
import io
import os
import pickle
import platform
import runpy
import socket
import subprocess
import sys
import termios
import threading
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTED = (
    "bat_os.app.listeners", "bat_os.app.logs", "bat_os.app.opening", "bat_os.app.wiring",
    "bat_os.cli.canvas", "bat_os.cli.chat.saying", "bat_os.cli.chat.session", "bat_os.cli.main",
    "bat_os.cli.verbs", "bat_os.cli.watchdog", "bat_os.engines.scripted", "bat_os.gateway.running",
    "bat_os.image.files.pack", "bat_os.image.files.restore", "bat_os.kernel.service",
    "bat_os.natives.calculator", "bat_os.natives.integers", "bat_os.natives.secret",
    "bat_os.natives.units", "bat_os.supervisor.pulse",
    "cryptography.hazmat.primitives.asymmetric.ed25519", "pkgutil", "pytest", "rich.console",
    "snowballstemmer",
)  # fmt: skip
HEAVY = ("bat_os.training.checkpoints", "bat_os.training.learning")
AT_START = ("PYTHON", "LC_", "LANG", "LD_", "TZ", "MALLOC_", "OPENBLAS_", "OMP_")
CAN_FORK = (sys.platform, platform.machine()) == ("linux", "x86_64")
CLONE = 56  # the number of the system call, on x86_64
CLONE_PARENT, CLONE_CHILD_SETTID, SIGCHLD = 0x8000, 0x1000000, 17
THREAD = 512  # integers at the start of what the C library knows of a thread
LARGEST = 1 << 20


class Warm(str):
    """The path of the interpreter, in a command that may be a fork."""

    __slots__ = ()


class Heavy(Warm):
    """The same; the fork has imported torch, too."""

    __slots__ = ()


PYTHON, TRAINER = Warm(sys.executable), Heavy(sys.executable)
_spawn = subprocess.Popen._execute_child
_lock = threading.Lock()
_servers = {}


def take_terminal():
    """Make standard input the terminal of this session, so that its Ctrl-C is a signal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _execute_child(process, *given):
    """Do what ``Popen`` does at this place, by a fork where the command asks for it."""
    call = inspect.signature(_spawn).bind(process, *given).arguments
    command, environ = call["args"], call["env"]
    environ = dict(os.environ if environ is None else environ)
    if not (isinstance(command, (list, tuple)) and isinstance(command[0], Warm)):
        return _spawn(process, *given)
    unusual = [call["shell"], call["pass_fds"], not call["close_fds"]]
    unusual += [call["preexec_fn"] not in (None, take_terminal), not CAN_FORK]
    unusual += [str(command[1]).startswith("-") and command[1] not in ("-m", "-c")]
    if any(unusual) or _read_at_start(environ) != _read_at_start(os.environ):
        return _spawn(process, *given)
    ends = call["p2cread"], call["c2pwrite"], call["errwrite"]
    fds = [number if fd == -1 else fd for number, fd in enumerate(ends)]
    session = call["start_new_session"], call["preexec_fn"] is take_terminal
    words, folder = [os.fspath(word) for word in command[1:]], call["cwd"] or Path.cwd()
    with _lock:
        server = _start_server(isinstance(command[0], Heavy))
        socket.send_fds(server, [pickle.dumps((words, folder, environ, *session))], fds)
        process.pid = int(server.recv(32))
    process._child_created = True
    others = call["p2cwrite"], call["c2pread"], call["errread"]
    process._close_pipe_fds(ends[0], others[0], others[1], ends[1], others[2], ends[2])
    return None


def _read_at_start(environ):
    return {key: text for key, text in environ.items() if key.startswith(AT_START)}


def _start_server(heavy):
    """Return the socket of a server of this process, which ends with it."""
    if heavy not in _servers:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with its:
            server = subprocess.Popen(
                [str(PYTHON), "-m", "tests.forks", str(its.fileno()), *["heavy"] * heavy],
                cwd=ROOT, stdin=subprocess.DEVNULL, pass_fds=[its.fileno()],
                env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip
        _servers[heavy] = ours
        atexit.register(_end_server, ours, server)
    return _servers[heavy]


def _end_server(ours, server):
    ours.close()
    server.wait()


def _serve(ours, *, heavy):
    """Fork once per message; return its words in the child, and None at the end of the tests."""
    if heavy:
        importlib.import_module("bat_os.engines.base").prepare(1)
    for name in HEAVY if heavy else IMPORTED:
        importlib.import_module(name)
    importlib.import_module("bat_os.app.library").read_seeds()  # which are kept
    gc.collect()
    gc.freeze()  # else each fork looks through it all, and copies it for that
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "a thread cannot be forked"
    while True:
        message, fds, _, _ = socket.recv_fds(ours, LARGEST, 3)
        if not message:
            return None
        if pid := _fork():
            ours.send(b"%d" % pid)
            for fd in fds:
                os.close(fd)
            continue
        words, folder, environ, session, terminal = pickle.loads(message)  # noqa: S301 - our own
        for number, fd in enumerate(fds):
            os.dup2(fd, number)
        os.closerange(3, 1 + max(fds[-1], ours.detach()))
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        if session:
            os.setsid()
        if terminal:
            take_terminal()
        return words


def _fork():
    """Fork a child of our parent; return its process id, and 0 in the child.

    ``os.fork`` would make it our own child. The C library keeps the number of the thread at a
    place that it does not name; the kernel of the system is asked to write the child's there.
    """
    libc = ctypes.PyDLL(None)
    libc.pthread_self.restype, libc.syscall.restype = ctypes.c_void_p, ctypes.c_long
    start = libc.pthread_self()
    known = (ctypes.c_int * THREAD).from_address(start)
    place = start + 4 * known[:].index(os.getpid())
    flags = CLONE_PARENT | CLONE_CHILD_SETTID | SIGCHLD
    ctypes.pythonapi.PyOS_BeforeFork()
    pid = libc.syscall(CLONE, ctypes.c_long(flags), None, None, ctypes.c_void_p(place), None)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
    else:
        ctypes.pythonapi.PyOS_AfterFork_Parent()
        assert pid > 0, "the system cannot fork"
    return pid


def _open_streams():
    """Open the standard streams as an interpreter does at its start."""
    bare = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        kind, buffering = ("wb", 0 if bare else -1) if number else ("rb", -1)
        stream = io.TextIOWrapper(
            os.fdopen(number, kind, buffering, closefd=False),
            old.encoding,
            old.errors,
            newline="\n" if number else None,
            line_buffering=number == 2 or (number == 1 and os.isatty(1)),
            write_through=bool(number and bare),
        )
        stream.mode = "w" if number else "r"
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run(words):
    """Run a script or module to its end; one that ends in order does so without taking down.

    To free what was imported costs as much as to import it. Anything but an exit status goes
    the usual way, and so does a stream that cannot be flushed.
    """
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        elif words[0] == "-c":
            sys.argv = ["-c", *words[2:]]
            exec(compile(words[1], "<string>", "exec"), {"__name__": "__main__"})  # noqa: S102
        else:
            sys.argv = words
            sys.path[0] = str(Path(words[0]).parent)
            runpy.run_path(words[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        status = end.code or 0
    threading._shutdown()
    atexit._run_exitfuncs()
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status & 255)
    sys.exit(status)


if __name__ == "__main__":
    _words = _serve(socket.socket(fileno=int(sys.argv[1])), heavy=len(sys.argv) > 2)
    if _words is not None:
        _open_streams()
        _run(_words)
else:
    subprocess.Popen._execute_child = _execute_child
