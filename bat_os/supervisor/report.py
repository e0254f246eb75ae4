"""What the watchdog leaves on disk for others: ``status.json`` and one file per crash."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from bat_os import __version__
from bat_os.supervisor.home import Home, read_json, write_json
from bat_os.supervisor.logfile import tail
from bat_os.supervisor.restart import describe_exit

if TYPE_CHECKING:
    from pathlib import Path

    from bat_os.supervisor.restart import Run

CRASHES_KEPT: Final = 20


@dataclass(frozen=True, slots=True)
class Status:
    """What the watchdog is doing.

    Attributes:
        state: ``starting``, ``running`` (the kernel serves), ``suspect`` (it does not beat),
            ``restarting`` (waits before the next start), ``upgrading``, ``stopping``,
            ``stopped`` or ``failed`` (given up).
        watchdog_pid: The watchdog itself.
        pid: The kernel process, while there is one.
        pid_created: When that process was made, Unix time; with ``pid`` it names one
            process for good, for numbers are used again.
        boot: The kernel's own name for this life of it, once it serves.
        restarts: Since the watchdog started.
        last_exit: Exit status of the last kernel that ended.
        reason: Why, for people.
        since: When this state began, ISO 8601 in UTC; filled in when it is written.
        version: Of BAT OS.
    """

    state: str
    watchdog_pid: int
    pid: int | None = None
    pid_created: float | None = None
    boot: str | None = None
    restarts: int = 0
    last_exit: int | None = None
    reason: str = ""
    since: str = ""
    version: str = __version__


def write_status(home: Home, status: Status) -> None:
    """Replace ``run/status.json``."""
    write_json(home.status, {**asdict(status), "since": _now().isoformat(timespec="seconds")})


def read_status(home: Home) -> Status | None:
    """Return what ``run/status.json`` says; None when there is none that makes sense."""
    data = read_json(home.status)
    known = {name: data[name] for name in Status.__dataclass_fields__ if name in data}
    if not isinstance(known.get("state"), str) or not isinstance(known.get("watchdog_pid"), int):
        return None
    return Status(**known)


def write_crash(home: Home, run: Run, status: Status) -> Path:
    """Return the new ``log/crash/<timestamp>.json``, with the end of the kernel's log.

    The newest CRASHES_KEPT stay.
    """
    path = home.crashes / f"{_now():%Y%m%dT%H%M%S.%fZ}.json"
    report = {
        "time": _now().isoformat(timespec="milliseconds"),
        "exit": run.code,
        "reason": run.cause or describe_exit(run.code),
        "served_seconds": round(run.served, 3),
        "status": asdict(status),
        "log": tail(home.kernel_log, lines=100),
    }
    write_json(path, report)
    for old in sorted(home.crashes.glob("*.json"))[:-CRASHES_KEPT]:
        old.unlink(missing_ok=True)
    return path


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
