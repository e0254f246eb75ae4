"""One kernel process: started, its end noticed at once, stopped step by step.

The kernel's stdin is a pipe from us. When it closes, because we stop it or because we died,
the kernel shuts down by itself: a watchdog that is killed leaves no kernel behind.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from bat_os.supervisor.report import rotate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.supervisor.report import Status

WINDOWS: Final = sys.platform == "win32"


@dataclass(frozen=True, slots=True)
class StopTimes:
    """Seconds after the pipe was closed."""

    terminate: float = 15.0  # when a kernel that is still there gets SIGTERM
    kill: float = 30.0  # when it is killed


@dataclass(frozen=True, slots=True)
class Launch:
    """How a kernel is started."""

    command: Sequence[str]  # program and arguments
    log: Path  # its output is appended to this file, which is rotated before
    environ: Mapping[str, str] | None = None  # its environment; None passes on our own


class KernelProcess:
    """A running kernel.

    Attributes:
        pid: Of the process.
        created: When the process was made, in Unix time; None if it ended too soon.
    """

    def __init__(self, launch: Launch, on_exit: Callable[[int, float], None]) -> None:
        """Start it.

        A thread calls ``on_exit`` once, with the exit status and the monotonic time.

        Raises:
            OSError: The program cannot be started.
        """
        rotate(launch.log)
        with launch.log.open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - our own command, no shell
                launch.command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=launch.environ,
                # Ctrl+C in a terminal is for the watchdog, which then stops the kernel.
                start_new_session=not WINDOWS,
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
                | getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        self.pid = self._popen.pid
        self.created = created_of(self.pid)
        self._ended = threading.Event()
        self._on_exit = on_exit
        threading.Thread(target=self._wait, name="kernel-exit", daemon=True).start()

    def _wait(self) -> None:
        code = self._popen.wait()
        self._ended.set()
        self._on_exit(code, time.monotonic())

    def stop(self, times: StopTimes) -> int:
        """Close the pipe, then terminate, then kill; return the exit status."""
        self.release()
        if not self._ended.wait(times.terminate):
            if not WINDOWS:  # there it would end it at once, without a chance to clean up
                self._popen.terminate()
            if not self._ended.wait(max(0.0, times.kill - times.terminate)):
                self._popen.kill()
        return self._popen.wait()

    def kill(self) -> None:
        """End it at once; ``on_exit`` follows."""
        self._popen.kill()

    def release(self) -> None:
        """Close our end of the pipe. Idempotent."""
        if self._popen.stdin is not None:
            self._popen.stdin.close()


def is_orphan(status: Status | None) -> bool:
    """Return True if the kernel that an earlier watchdog started still runs."""
    if status is None or status.pid is None or status.pid == os.getpid():
        return False
    return status.pid_created is not None and created_of(status.pid) == status.pid_created


def end_orphan(pid: int, times: StopTimes, look: Callable[[], object]) -> None:
    """End a kernel that an earlier watchdog left behind; call ``look`` again and again meanwhile.

    Its pipe is closed, so it is on its way out; one that hangs is terminated, then killed.
    """
    with contextlib.suppress(psutil.NoSuchProcess):
        orphan = psutil.Process(pid)
        if not _await_end(orphan, times.terminate, look):
            orphan.terminate()
            if not _await_end(orphan, times.kill - times.terminate, look):
                orphan.kill()
                _await_end(orphan, times.kill, look)


def _await_end(process: psutil.Process, patience: float, look: Callable[[], object]) -> bool:
    give_up = time.monotonic() + patience
    while created_of(process.pid) == process.create_time():
        if time.monotonic() >= give_up:
            return False
        look()
        time.sleep(0.02)
    return True


def created_of(pid: int) -> float | None:
    """Return when process ``pid`` was made; None when it has ended.

    A process that has ended stays a zombie until its parent asks, which in a container may
    be never.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def count_memory_kills() -> int | None:
    """Return how many processes this system has killed as memory ran out; None if it keeps silent.

    Linux counts them in /proc/vmstat, those of containers too.
    """
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return None
    counts = [line.split()[1] for line in lines if line.startswith("oom_kill ")]
    return int(counts[0]) if counts and counts[0].isdecimal() else None
