"""Keeps a second process beside the kernel, while the owner wants one.

    off <> wanted > running > (ended) > waiting > running ...
                                 exit 78: a person must act > off until the settings change

It holds nothing, so nobody waits for it, and the kernel does not know of it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Final, Self

from bat_os.supervisor.process import KernelProcess, Launch, StopTimes
from bat_os.supervisor.restart import EXIT_PERMANENT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)

LOOK: Final = 0.5  # seconds between two looks at what is wanted
FIRST_DELAY, MAX_DELAY = 0.2, 30.0  # seconds before a restart; doubled each time
SOUND: Final = 60.0  # seconds after which the next restart is quick again
TIMES: Final = StopTimes(terminate=4.0, kill=8.0)


class Keeper:
    """A thread that keeps one process; as a context manager it runs meanwhile.

    Args:
        name: Of the process, for the log.
        command: Returns how it is started.
        wanted: Returns what it is wanted for: another text restarts it, "" ends it.
        log_file: Gets its output.
        environ: Its environment.
        on_end: Hears with which status it ended, other than as it was asked.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], Sequence[str]],
        wanted: Callable[[], str],
        *,
        log_file: Path,
        environ: Mapping[str, str],
        on_end: Callable[[int], object] = lambda code: None,
    ) -> None:
        self._name = name
        self._on_end = on_end
        self._command = command
        self._wanted = wanted
        self._log_file = log_file
        self._environ = environ
        self._process: KernelProcess | None = None
        self._for = ""  # what the process was started for
        self._code: int | None = None  # how the last one ended
        self._given_up = ""  # what no process can be had for
        self._delay, self._next, self._started = FIRST_DELAY, 0.0, 0.0
        self._wake = threading.Event()
        self._ending = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        self._wake.set()
        self._thread.join(timeout=TIMES.kill + 2.0)

    def _run(self) -> None:
        while not self._ending:
            try:
                self._look()
            except OSError as error:
                log.warning("the %s cannot be started: %s", self._name, error)
                self._wait_longer()
            self._wake.wait(LOOK)
            self._wake.clear()
        self._stop()

    def _look(self) -> None:
        wanted = self._wanted()
        if self._process is not None and self._code is not None:
            self._note_end(self._code)
        if self._process is not None and wanted != self._for:
            self._stop()
        is_due = time.monotonic() >= self._next and wanted != self._given_up
        if wanted and self._process is None and is_due:
            self._start(wanted)

    def _start(self, wanted: str) -> None:
        self._code, self._for, self._given_up = None, wanted, ""
        self._started = time.monotonic()
        launch = Launch(self._command(), self._log_file, self._environ)
        self._process = KernelProcess(launch, self._ended)
        log.info("%s %s started", self._name, self._process.pid)

    def _ended(self, code: int, _at: float) -> None:
        self._code = code
        self._wake.set()

    def _note_end(self, code: int) -> None:
        if self._process is not None:
            self._process.release()
        self._process = None
        log.warning("the %s ended with status %s; see %s", self._name, code, self._log_file)
        self._on_end(code)
        if code == EXIT_PERMANENT:
            self._given_up = self._for
            return
        if time.monotonic() - self._started > SOUND:
            self._delay = FIRST_DELAY
        self._wait_longer()

    def _wait_longer(self) -> None:
        jitter = random.uniform(0.9, 1.1)  # noqa: S311 - no secret
        self._next = time.monotonic() + self._delay * jitter
        self._delay = min(2 * self._delay, MAX_DELAY)

    def _stop(self) -> None:
        if self._process is not None:
            self._process.stop(TIMES)
            log.info("the %s has stopped", self._name)
        self._process, self._next, self._delay = None, 0.0, FIRST_DELAY
