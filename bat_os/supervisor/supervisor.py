"""The watchdog's loop: start the kernel, wait for its end, ask the policy, start it again.

Everything that happens arrives in one queue: the end of the kernel, seen at once by a thread
that waits for it, and the wish to stop, from a signal handler or another thread.

    starting > running > (ended) > restarting > starting ...
                    |                  |
                 stopping > stopped    failed
"""

from __future__ import annotations

import logging
import os
import queue
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.restart import (
    EXIT_FAILED,
    EXIT_PERMANENT,
    EXIT_RESTART,
    EXIT_STOPPED,
    Action,
    History,
    RestartPolicy,
    Run,
    Verdict,
)
from bat_os.supervisor.home import Home, read_json
from bat_os.supervisor.process import KernelProcess, Launch, StopTimes, end_orphan
from bat_os.supervisor.report import Status, read_status, write_crash, write_status

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

log = logging.getLogger(__name__)

LOOK: Final = 0.05  # seconds between two looks for endpoint.json until it is there
IDLE: Final = 1.0  # and from then on; an exit or a wish to stop wakes us at once


@dataclass(frozen=True, slots=True)
class _Ended:
    code: int
    at: float


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


class Supervisor:
    """Keeps one kernel running for one home.

    The caller holds the home's lock. ``run`` blocks; ``stop`` may be called from a signal
    handler or from any thread.
    """

    def __init__(
        self,
        home: Home,
        command: Sequence[str],
        *,
        environ: Mapping[str, str] | None = None,
        policy: RestartPolicy | None = None,
        stop_times: StopTimes | None = None,
    ) -> None:
        """Remember how; nothing is started yet.

        Args:
            home: Prepared home directory.
            command: The kernel's program and arguments.
            environ: The kernel's environment; None hands on our own.
            policy: When to restart.
            stop_times: How long a kernel that is asked to stop may take.
        """
        self._home = home
        self._launch = Launch(command, home.kernel_log, environ)
        self._policy = policy or RestartPolicy()
        self._stop_times = stop_times or StopTimes()
        self._inbox: queue.SimpleQueue[_Ended | _Stop] = queue.SimpleQueue()
        self._status = Status("starting", os.getpid())

    def stop(self) -> None:
        """Ask ``run`` to stop the kernel and to return."""
        self._inbox.put(_Stop())

    def run(self) -> int:
        """Return the watchdog's exit status when there is no kernel any more.

        0 when it was stopped, 78 when only a person can help, 1 when it was given up.
        """
        before = read_status(self._home)
        self._show("starting", reason="")
        if end_orphan(before, self._stop_times):
            log.info("the kernel of an earlier watchdog has ended")
        history = History()
        while True:
            run = self._live()
            if run is None:
                return self._finish("stopped", "stopped as asked", EXIT_STOPPED)
            verdict = self._policy.judge(history, run, jitter=random.random())  # noqa: S311 - no secret
            self._note(run, verdict)
            if verdict.action is Action.STAY_DOWN:
                return self._finish("stopped", verdict.reason, EXIT_STOPPED)
            if verdict.action is Action.GIVE_UP:
                permanent = run.code == EXIT_PERMANENT
                status = EXIT_PERMANENT if permanent else EXIT_FAILED
                return self._finish("failed", verdict.reason, status)
            history = verdict.history
            if self._pause(verdict):
                return self._finish("stopped", "stopped as asked", EXIT_STOPPED)

    def _live(self) -> Run | None:
        """Run one kernel to its end; None when we were asked to stop it."""
        try:
            process = KernelProcess(self._launch, lambda *how: self._inbox.put(_Ended(*how)))
        except OSError:
            log.exception("the kernel cannot be started")
            return Run(EXIT_PERMANENT, time.monotonic(), 0.0)
        log.info("kernel %s started", process.pid)
        self._show("starting", pid=process.pid, pid_created=process.created, boot=None)
        serving: float | None = None
        while True:
            try:
                message = self._inbox.get(timeout=LOOK if serving is None else IDLE)
            except queue.Empty:
                if serving is None and self._sees_endpoint(process.pid):
                    serving = time.monotonic()
                continue
            if isinstance(message, _Stop):
                log.info("stopping kernel %s", process.pid)
                self._show("stopping")
                code = process.stop(self._stop_times)
                self._forget(process.pid)
                self._status = replace(self._status, last_exit=code)
                return None
            process.release()
            self._forget(process.pid)
            return Run(message.code, message.at, message.at - serving if serving else 0.0)

    def _sees_endpoint(self, pid: int) -> bool:
        endpoint = read_json(self._home.endpoint)
        if endpoint.get("pid") != pid:
            return False
        self._show("running", boot=str(endpoint.get("boot", "")), reason="")
        log.info("kernel %s serves", pid)
        return True

    def _forget(self, pid: int) -> None:
        """Remove the endpoint that a killed kernel left, so that no client waits for it."""
        if read_json(self._home.endpoint).get("pid") == pid:
            self._home.endpoint.unlink(missing_ok=True)

    def _note(self, run: Run, verdict: Verdict) -> None:
        """Log how a kernel ended and keep a report of a crash."""
        self._status = replace(self._status, last_exit=run.code, reason=verdict.reason)
        log.info("%s", verdict.reason)
        if run.code in (EXIT_STOPPED, EXIT_RESTART):
            return
        try:
            log.warning("see %s", write_crash(self._home, run, self._status))
        except OSError as error:
            log.warning("no crash report could be written: %s", error)

    def _pause(self, verdict: Verdict) -> bool:
        """Wait before the restart; True when we were asked to stop meanwhile."""
        self._show("restarting", pid=None, boot=None, restarts=self._status.restarts + 1)
        log.info("starting again in %.1f s", verdict.delay)
        try:
            self._inbox.get(timeout=verdict.delay)
        except queue.Empty:
            return False
        return True

    def _finish(self, state: str, reason: str, code: int) -> int:
        self._show(state, pid=None, pid_created=None, boot=None, reason=reason)
        log.log(logging.ERROR if code else logging.INFO, "%s: %s", state, reason)
        return code

    def _show(self, state: str, **changes: Any) -> None:
        """Write the status file; a full disk must not end the watch."""
        self._status = replace(self._status, state=state, **changes)
        try:
            write_status(self._home, self._status)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._home.status, error)
