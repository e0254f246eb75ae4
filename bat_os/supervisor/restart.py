"""When a kernel that ended is started again: a pure rule over exit codes and times.

    exit 0    stay down
    exit 75   restart at once
    exit 76   the same: it went down so that it can be upgraded
    exit 78   never restart: only a person can fix the cause
    others    a crash: restart after 0, 1, 2, 4 ... 60 s

Restarts are counted. A kernel that needs more than ``limit`` of them within ``window`` seconds is
given up; one that has served for ``reset_after`` seconds starts afresh. Times are monotonic seconds
and, like the random number, they are passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_RESTART: Final = 75
EXIT_UPGRADE: Final = 76
EXIT_PERMANENT: Final = 78


class Action(Enum):
    """What to do about a kernel that has ended."""

    STAY_DOWN = "stay down"
    RESTART = "restart"
    GIVE_UP = "give up"


@dataclass(frozen=True, slots=True)
class Run:
    """One life of a kernel process."""

    code: int  # exit status; -9 when signal 9 ended it
    ended: float  # when, in monotonic seconds
    served: float  # for how many seconds it could be talked to
    cause: str = ""  # why it was ended, where the watchdog did it


@dataclass(frozen=True, slots=True)
class History:
    """What counts against a kernel."""

    # monotonic times of the restarts within the window, oldest first
    restarts: tuple[float, ...] = ()
    crashes: int = 0  # crashes since the last healthy run; the exponent of the back-off


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do now."""

    action: Action  # restart, or not
    delay: float  # seconds to wait before the restart
    reason: str  # for people, ``"the kernel was ended by signal 9"``
    history: History = field(default_factory=History)  # to be passed to the next ``judge``


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """The limits."""

    limit: int = 5  # restarts within ``window``; one more and the kernel is given up
    window: float = 300.0  # seconds
    longest: float = 60.0  # the back-off grows up to this many seconds
    reset_after: float = 10.0  # seconds of service after which the history is forgotten
    spread: float = 0.2  # part of a delay that is left to chance, so that many do not start at once

    def judge(self, history: History, run: Run, *, jitter: float) -> Verdict:
        """Return what to do after ``run``.

        ``jitter`` is a random number in [0, 1); 0 means the full delay.
        """
        reason = run.cause or describe_exit(run.code)
        if run.code == EXIT_STOPPED:
            return Verdict(Action.STAY_DOWN, 0.0, reason)
        if run.code == EXIT_PERMANENT:
            return Verdict(Action.GIVE_UP, 0.0, reason, history)
        if run.served >= self.reset_after:
            history = History()
        recent = tuple(t for t in history.restarts if run.ended - t < self.window)
        if len(recent) >= self.limit:
            reason = f"{reason}, after {len(recent)} restarts in {self.window:.0f} s"
            return Verdict(Action.GIVE_UP, 0.0, reason, history)
        restarts = (*recent, run.ended)
        if run.code in (EXIT_RESTART, EXIT_UPGRADE):
            return Verdict(Action.RESTART, 0.0, reason, History(restarts, history.crashes))
        delay = self.backoff(history.crashes) * (1.0 - self.spread * jitter)
        return Verdict(Action.RESTART, delay, reason, History(restarts, history.crashes + 1))

    def backoff(self, crashes: int) -> float:
        """Return the full delay in seconds after ``crashes`` earlier crashes: 0, 1, 2, 4 ...

        >>> [RestartPolicy().backoff(n) for n in range(9)]
        [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        """
        if crashes == 0:
            return 0.0
        return min(self.longest, 2.0 ** min(crashes - 1, 32))


def describe_exit(code: int) -> str:
    """Return a sentence about an exit status, for people."""
    known = {
        EXIT_STOPPED: "the kernel stopped as asked",
        EXIT_RESTART: "the kernel asked for a restart",
        EXIT_UPGRADE: "the kernel stopped for an upgrade",
        EXIT_PERMANENT: "the kernel cannot run until its problem is fixed",
    }
    if code < 0:
        return f"the kernel was ended by signal {-code}"
    return known.get(code, f"the kernel ended with status {code}")
