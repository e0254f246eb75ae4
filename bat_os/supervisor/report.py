"""What the watchdog leaves on disk for others: ``status.json``, crash reports, log files.

A log file is set aside when it is large; readers get its end. Standard library only, because
set-up runs before anything is installed.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bat_os import __version__
from bat_os.supervisor.home import Home, read_json, write_json, write_whole
from bat_os.supervisor.restart import describe_exit

if TYPE_CHECKING:
    from pathlib import Path

    from bat_os.supervisor.restart import Run

CRASHES_KEPT: Final = 20
STATUS_ROOM: Final = 2_000  # bytes of the status file, so that any text fits in its place


@dataclass(frozen=True, slots=True)
class Status:
    """What the watchdog is doing."""

    # ``starting``, ``waiting`` (for what the kernel needs: room on the disk, the image),
    # ``running`` (it serves; with a reason: it can store nothing now), ``suspect`` (it is silent),
    # ``restarting`` (waits before the next start), ``upgrading``, ``stopping``, ``stopped`` or
    # ``failed`` (given up)
    state: str
    watchdog_pid: int  # the watchdog itself
    pid: int | None = None  # the kernel process, while there is one
    # when that process was made, Unix time; with ``pid`` it names one process for good, since
    # numbers are reused
    pid_created: float | None = None
    boot: str | None = None  # the kernel's own name for this life of it, once it serves
    restarts: int = 0  # since the watchdog started
    last_exit: int | None = None  # exit status of the last kernel that ended
    reason: str = ""  # why, for people
    since: str = ""  # when this state began, ISO 8601 in UTC; filled in when it is written
    version: str = __version__  # of BAT OS


def write_status(home: Home, status: Status) -> None:
    """Replace ``run/status.json``.

    On a full disk the file is written over in its place, which takes no room: a reader may see half
    of it for a moment, but nobody reads for long what is not so any more.

    Raises:
        OSError: That failed too; then the file is gone, or it cannot even be removed.
    """
    data = {**asdict(status), "since": _now().isoformat(timespec="seconds")}
    text = json.dumps(data).ljust(STATUS_ROOM) + "\n"
    try:
        write_whole(home.status, text, durable=False)
    except OSError:
        home.status.with_name(home.status.name + ".new").unlink(missing_ok=True)
        try:
            with home.status.open("r+b", buffering=0) as stream:
                stream.write(text.encode())
                stream.truncate()
        except OSError:
            home.status.unlink(missing_ok=True)
            raise


def read_status(home: Home) -> Status | None:
    """Return what ``run/status.json`` says; None if it is missing or invalid."""
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


LARGEST: Final = 10_000_000
KEPT: Final = 3


def rotate(path: Path, *, largest: int = LARGEST, kept: int = KEPT, in_use: bool = False) -> bool:
    """Set ``path`` aside as ``path.1`` if it is over ``largest`` bytes; return True if it was.

    ``kept`` older files stay, the oldest with the highest number. On Windows no process may
    have the file open.

    Args:
        path: The log file.
        largest: Bytes that it may have.
        kept: Files to keep beside it.
        in_use: A process appends to it and keeps it open. The text is copied and the file
            emptied; what is written between the two is lost, a line at most in practice.
    """
    if not path.exists() or path.stat().st_size <= largest:
        return False
    older = [path.with_name(f"{path.name}.{number}") for number in range(1, kept + 1)]
    for source, target in reversed(list(pairwise(older))):
        if source.exists():
            source.replace(target)
    if in_use:
        shutil.copyfile(path, older[0])
        with path.open("r+b") as stream:
            stream.truncate(0)
    else:
        path.replace(older[0])
    return True


def tail(path: Path, *, lines: int = 20, limit: int = 16_000) -> list[str]:
    """Return up to ``lines`` last lines of ``path``, of its last ``limit`` bytes."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return text.splitlines()[-lines:]
