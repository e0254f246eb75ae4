"""When a kernel that ended is started again: a pure rule over exit codes and times.

    exit 0    stay down
    exit 74   what it needs cannot be had now (a full disk, say): restart after 0, 1, 2, 2 ... s
    exit 75   its image file failed, or somebody asked for a restart: the same
    exit 76   it went down so that it can be upgraded: restart at once
    exit 78   never restart: only a person can fix the cause
    others    a crash: restart after 0, 1, 2, 4 ... 60 s

Crashes and upgrades are counted. A kernel that needs more than ``limit`` restarts for them within
``window`` seconds is given up; one that has served for ``reset_after`` seconds starts afresh. What
ends with 74 or 75 is never given up: a disk that is full or fails may be well again at any moment.
Times are monotonic seconds and, like the random number, they are passed in.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from bat_os.errors import BatError, LockedError, StorageFullError

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1
EXIT_WAIT: Final = 74
EXIT_RESTART: Final = 75
EXIT_UPGRADE: Final = 76
EXIT_PERMANENT: Final = 78

BEFORE: Final = "BATOS_BEFORE"  # set by the watchdog for its kernel
OUTSIDE: Final = "outside"  # its value where what ended the kernel before came from outside
_KILL: Final = 9
_FROM_OUTSIDE: Final = (1, 2, 3, 15)  # hang-up, interrupt, quit, terminate: people send these
# Errors of the system that may be gone a moment later, though nothing of ours was changed.
_PASSING: Final = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN"),
        *("EBUSY", "ENOLCK", "ESTALE", "ETIMEDOUT", "EHOSTDOWN", "ENOTCONN"),
    )
    if hasattr(errno, name)
)


def can_pass(error: BaseException | None) -> bool:
    """Return True if waiting may help.

    There is no room, a disk or server fails, an image is in use, or what an error calls ``away`` is
    not there yet.
    """
    while error is not None:
        if isinstance(error, BatError) and error.details.get("away"):
            return True
        if isinstance(error, (LockedError, StorageFullError)):
            return True
        if isinstance(error, OSError) and error.errno in _PASSING:
            return True
        error = error.__cause__ or error.__context__
    return False


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
    waits: int = 0  # the same of those that ended with 74 or 75


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
    patience: float = 2.0  # the same after 74 or 75: service has to be back soon after the disk is
    reset_after: float = 10.0  # seconds of service after which the history is forgotten
    spread: float = 0.2  # part of a delay that is left to chance, so that many do not start at once

    def judge(self, history: History, run: Run, *, jitter: float) -> Verdict:
        """Return what to do after ``run``.

        ``jitter`` is a random number in [0, 1); 0 means the full delay.
        """
        reason = run.cause or describe_exit(run.code)
        if run.code in (EXIT_STOPPED, EXIT_PERMANENT):
            action = Action.STAY_DOWN if run.code == EXIT_STOPPED else Action.GIVE_UP
            return Verdict(action, 0.0, reason, history)
        if run.served >= self.reset_after:
            history = History()
        if run.code in (EXIT_WAIT, EXIT_RESTART):
            delay = min(self.patience, self.backoff(history.waits))
            return Verdict(Action.RESTART, delay, reason, replace(history, waits=history.waits + 1))
        recent = tuple(t for t in history.restarts if run.ended - t < self.window)
        if len(recent) >= self.limit:
            reason = f"{reason}, after {len(recent)} restarts in {self.window:.0f} s"
            return Verdict(Action.GIVE_UP, 0.0, reason, history)
        restarts = (*recent, run.ended)
        if run.code == EXIT_UPGRADE:
            return Verdict(Action.RESTART, 0.0, reason, replace(history, restarts=restarts))
        delay = self.backoff(history.crashes) * (1.0 - self.spread * jitter)
        history = replace(history, restarts=restarts, crashes=history.crashes + 1)
        return Verdict(Action.RESTART, delay, reason, history)

    def backoff(self, crashes: int) -> float:
        """Return the full delay in seconds after ``crashes`` earlier crashes: 0, 1, 2, 4 ...

        >>> [RestartPolicy().backoff(n) for n in range(9)]
        [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
        """
        if crashes == 0:
            return 0.0
        return min(self.longest, 2.0 ** min(crashes - 1, 32))


def may_be_its_own(run: Run, *, ran_out_of_memory: bool) -> bool:
    """Return True if what the kernel was doing can have ended it; False if it came from outside.

    A fault of its own code ends it by a signal that nobody sends, or with a status that it does not
    choose; the system kills it when memory runs out (``ran_out_of_memory``: so many processes were
    killed for that more than before, or nobody knows); we kill it when its loop hangs.
    """
    if run.cause:
        return True
    if -run.code in _FROM_OUTSIDE:
        return False
    if run.code == -_KILL:
        return ran_out_of_memory
    return run.code not in (EXIT_STOPPED, EXIT_WAIT, EXIT_RESTART, EXIT_UPGRADE, EXIT_PERMANENT)


def describe_exit(code: int) -> str:
    """Return a sentence about an exit status, for people."""
    known = {
        EXIT_STOPPED: "the kernel stopped as asked",
        EXIT_WAIT: "the kernel cannot have what it needs now",
        EXIT_RESTART: "the kernel asked for a restart",
        EXIT_UPGRADE: "the kernel stopped for an upgrade",
        EXIT_PERMANENT: "the kernel cannot run until its problem is fixed",
    }
    if code < 0:
        return f"the kernel was ended by signal {-code}"
    return known.get(code, f"the kernel ended with status {code}")
