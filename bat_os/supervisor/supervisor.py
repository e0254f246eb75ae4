"""The watchdog's loop: start the kernel, wait for its end, ask the policy, start it again.

Everything that happens arrives in one queue: the end of the kernel, seen at once by a thread
that waits for it, and the request to stop, from a signal handler or another thread. Between two
messages the loop checks whether the kernel serves and beats, and whether an upgrade is ready.

    starting <> waiting > running <> suspect > (killed)
                    |                  |
                 (ended) > restarting > starting ...
                    |             |
                 stopping      upgrading > starting ...      > stopped | failed
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import random
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import UpgradeError
from bat_os.supervisor.home import Home, read_json
from bat_os.supervisor.notify import Notifier
from bat_os.supervisor.process import (
    KernelProcess,
    Launch,
    StopTimes,
    count_memory_kills,
    created_of,
    end_orphan,
    is_orphan,
)
from bat_os.supervisor.pulse import BeatListener, Pulse, PulseLimits, Vital
from bat_os.supervisor.report import Status, read_status, rotate, write_crash, write_status
from bat_os.supervisor.restart import (
    BEFORE,
    EXIT_FAILED,
    EXIT_PERMANENT,
    EXIT_RESTART,
    EXIT_STOPPED,
    EXIT_UPGRADE,
    EXIT_WAIT,
    OUTSIDE,
    Action,
    History,
    RestartPolicy,
    Run,
    Verdict,
    can_pass,
    may_be_its_own,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.supervisor.upgrade.upgrader import Upgrader

log = logging.getLogger(__name__)

LOOK: Final = 0.05  # seconds between two looks for endpoint.json until it is there
IDLE: Final = 1.0  # and from then on; an exit or a request to stop wakes us at once
_CAUSES: Final = {
    Vital.LOST: "the kernel's loop hung: no beat for {0.lost:.0f} s, so it was killed",
    Vital.LATE: "the kernel did not serve within {0.startup:.0f} s, so it was killed",
}


@dataclass(frozen=True, slots=True)
class _Ended:
    code: int
    at: float


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


@dataclass(frozen=True, slots=True)
class _Applied:
    trouble: str = ""


@dataclass(slots=True)
class _Life:
    process: KernelProcess
    pulse: Pulse
    cause: str = ""  # why we killed it
    report: str = ""  # what it reported last


class Supervisor:
    """Keeps one kernel running for one home.

    The caller holds the home's lock. ``run`` blocks; ``stop`` may be called from a signal
    handler or from any thread.

    Attributes:
        notifier: The service manager to report to; may be set before ``run``.
        upgrade: What carries out upgrades; may be set before ``run``.
        limits: When a kernel counts as hanging; may be set before ``run``.
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
        """Remember how; nothing is started yet."""
        self._home = home
        self._command = command
        self._environ = dict(os.environ if environ is None else environ)
        self._policy = policy or RestartPolicy()
        self._stop_times = stop_times or StopTimes()
        self._inbox: queue.SimpleQueue[_Ended | _Stop | _Applied] = queue.SimpleQueue()
        self._status = Status("starting", os.getpid())
        # What ended the kernel before; if its watchdog died too, that came from outside.
        self._before = {BEFORE: OUTSIDE}
        self._stop_again = False  # asked to stop while a kernel was being stopped
        self._beats = BeatListener()
        self.notifier = Notifier()
        self.upgrade: Upgrader | None = None
        self.limits = PulseLimits()

    def stop(self) -> None:
        """Ask ``run`` to stop the kernel and to return."""
        self._inbox.put(_Stop())

    def run(self) -> int:
        """Run kernels until there is none left; return the watchdog's exit status.

        0 if it was stopped, 78 if only a person can help, 1 if the kernel was given up.
        """
        self._end_orphan()
        with self._beats:
            try:
                if self.upgrade is not None and self.upgrade.is_due() and self._replace():
                    return self._finish("stopped", "stopped as asked", EXIT_STOPPED)
                return self._watch()
            except UpgradeError as error:
                return self._finish("failed", str(error), EXIT_PERMANENT)
            except Exception as error:  # the watchdog's own fault: nobody may read "running" then
                log.exception("the watchdog has failed")
                return self._finish("failed", f"the watchdog has failed: {error!r}", EXIT_FAILED)

    def _end_orphan(self) -> None:
        """End what an earlier watchdog left; until then the status file names it, for the next."""
        before = read_status(self._home)
        if before is not None and before.pid is not None and is_orphan(before):
            reason = f"waits for the end of kernel {before.pid}, which an earlier watchdog left"
            self._show("starting", pid=before.pid, pid_created=before.pid_created, reason=reason)
            end_orphan(before.pid, self._stop_times, self.notifier.alive)
            log.info("the kernel of an earlier watchdog has ended")
        self._show("starting", pid=None, pid_created=None, reason="")

    def _watch(self) -> int:
        history = History()
        while True:
            run = self._live()
            if run is None:
                return self._finish("stopped", "stopped as asked", EXIT_STOPPED)
            if run.code == EXIT_UPGRADE and self.upgrade is not None and self.upgrade.is_due():
                if self._replace():
                    return self._finish("stopped", "stopped as asked", EXIT_STOPPED)
                continue
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
        """Run one kernel to its end; return None if we were asked to stop it."""
        command = self._command if self.upgrade is None else self.upgrade.command()
        environ = self._environ | self._beats.invite() | self._before
        launch = Launch(command, self._home.kernel_log, environ)
        kills = count_memory_kills()
        try:
            process = KernelProcess(launch, lambda *how: self._inbox.put(_Ended(*how)))
        except OSError as error:
            log.exception("the kernel cannot be started")
            code = EXIT_WAIT if can_pass(error) else EXIT_PERMANENT
            cause = f"the kernel cannot be started: {error}"
            return Run(code, time.monotonic(), 0.0, cause)
        log.info("kernel %s started", process.pid)
        # While a disk is full, say, one start follows another: what they wait for stays in sight.
        state = "waiting" if self._status.last_exit == EXIT_WAIT else "starting"
        self._show(state, pid=process.pid, pid_created=process.created, boot=None)
        life = _Life(process, Pulse.begin(time.monotonic()))
        while True:
            is_awaited = life.pulse.serving is None and not self._beats.report
            message = self._receive(LOOK if is_awaited else IDLE)
            if isinstance(message, _Ended):
                process.release()
                self._forget(process.pid)
                serving = life.pulse.serving
                served = message.at - serving if serving else 0.0
                run = Run(message.code, message.at, served, life.cause)
                short = kills is None or count_memory_kills() != kills
                is_own = may_be_its_own(run, ran_out_of_memory=short)
                self._before = {BEFORE: "" if is_own else OUTSIDE}
                return run
            if isinstance(message, _Stop):
                self._end(life, "stopping")
                return None
            if self._look(life):
                self._end(life, "upgrading")
                return Run(EXIT_UPGRADE, time.monotonic(), 0.0)

    def _end(self, life: _Life, state: str) -> None:
        """Stop the kernel in a thread: it may take its time, and we keep reporting that we live."""
        log.info("stopping kernel %s", life.process.pid)
        self._show(state)
        threading.Thread(target=life.process.stop, args=(self._stop_times,), name="stop").start()
        while not isinstance(message := self._receive(IDLE), _Ended):
            self._stop_again = self._stop_again or isinstance(message, _Stop)
        self._forget(life.process.pid)
        self._status = replace(self._status, last_exit=message.code)

    def _look(self, life: _Life) -> bool:
        """Check the kernel; return True if it has to make room for an upgrade."""
        now, beat = time.monotonic(), self._beats.drain()
        report = self._beats.report
        life.pulse = life.pulse.look(now, self.limits, beat=beat, waits=bool(report))
        if report != life.report:
            life.report = report
            self._note_report(report)
        if life.pulse.serving is None and self._sees_endpoint(life.process.pid):
            life.pulse = replace(life.pulse, serving=now)
        vital = life.pulse.judge(self.limits)
        if vital in (Vital.LOST, Vital.LATE) and not life.cause:
            life.cause = _CAUSES[vital].format(self.limits)
            log.error("%s", life.cause)
            life.process.kill()
        elif vital is Vital.SUSPECT and self._status.state == "running":
            log.warning("the kernel is silent; the stacks of its threads go into its log")
            self._show("suspect")
        elif vital is Vital.WELL and self._status.state == "suspect":
            log.info("the kernel beats again")
            self._show("running")
        for path in (self._home.kernel_log, self._home.watchdog_log):
            with contextlib.suppress(OSError):  # no room for the copy; the log grows until there is
                rotate(path, in_use=True)
        return self.upgrade is not None and not life.cause and self.upgrade.poll()

    def _note_report(self, report: str) -> None:
        """Show what the kernel reports: why it waits, or why it can store nothing; "" if it can."""
        log.info("the kernel reports %s", report or "that it can store again")
        if self._status.state in ("starting", "waiting"):
            self._show("waiting" if report else "starting", reason=report)
        elif self._status.state in ("running", "suspect"):
            self._show(self._status.state, reason=report)

    def _receive(self, patience: float) -> _Ended | _Stop | _Applied | None:
        """Return the next message within ``patience`` seconds, reporting that we live."""
        give_up = time.monotonic() + patience
        while True:
            self.notifier.alive()
            left = give_up - time.monotonic()
            try:
                return self._inbox.get(timeout=max(0.0, min(left, IDLE)))
            except queue.Empty:
                if left <= IDLE:
                    return None

    def _replace(self) -> bool:
        """Carry out an upgrade while no kernel runs; return True if we were asked to stop."""
        assert self.upgrade is not None  # noqa: S101 - for the type checker; the callers looked
        apply, wanted = self.upgrade.apply, self._stop_again

        def work() -> None:
            trouble = "the upgrade failed unexpectedly; see the watchdog's log"
            try:
                apply(self._show_step)
                trouble = ""
            except UpgradeError as error:
                trouble = str(error)
            finally:
                self._inbox.put(_Applied(trouble))

        threading.Thread(target=work, name="upgrade").start()
        while True:
            message = self._receive(IDLE)
            wanted = wanted or isinstance(message, _Stop)
            if isinstance(message, _Applied):
                if message.trouble:
                    raise UpgradeError(message.trouble)
                return wanted

    def _show_step(self, step: str, pid: int | None) -> None:
        log.info("upgrade: %s", step)
        created = None if pid is None else created_of(pid)
        self._show("upgrading", reason=step, pid=pid, pid_created=created, boot=None)

    def _sees_endpoint(self, pid: int) -> bool:
        endpoint = read_json(self._home.endpoint)
        if endpoint.get("pid") != pid:
            return False
        self._show("running", boot=str(endpoint.get("boot", "")), reason=self._beats.report)
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
        if run.code in (EXIT_STOPPED, EXIT_WAIT, EXIT_RESTART, EXIT_UPGRADE):
            return
        try:
            log.warning("see %s", write_crash(self._home, run, self._status))
        except OSError as error:
            log.warning("no crash report could be written: %s", error)

    def _pause(self, verdict: Verdict) -> bool:
        """Wait before the restart; return True if we were asked to stop."""
        state = "waiting" if self._status.last_exit == EXIT_WAIT else "restarting"
        self._show(state, pid=None, boot=None, restarts=self._status.restarts + 1)
        log.info("restarting in %.1f s", verdict.delay)
        return self._receive(verdict.delay) is not None

    def _finish(self, state: str, reason: str, code: int) -> int:
        self._show(state, pid=None, pid_created=None, boot=None, reason=reason)
        log.log(logging.ERROR if code else logging.INFO, "%s: %s", state, reason)
        return code

    def _show(self, state: str, **changes: Any) -> None:
        """Write the status file; a full disk must not end the watch."""
        self._status = replace(self._status, state=state, **changes)
        self.notifier.state(state, self._status.reason)
        try:
            write_status(self._home, self._status)
        except OSError as error:
            log.warning("%s cannot be written: %s", self._home.status, error)
