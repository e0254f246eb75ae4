"""Can this user use that home directory? Asked before anything else, so that one line says it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bat_os.errors import BatError, SettingsError, StorageError, StorageFullError
from bat_os.supervisor.home import read_json
from bat_os.supervisor.lock import is_held

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bat_os.supervisor.home import Home

ELSEWHERE: Final = "name one of your own: BATOS_HOME=FOLDER, or --home FOLDER"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def require(home: Path) -> None:
    """Return when this user can use a home directory, or make one there.

    Raises:
        SettingsError: It is someone else's, closed, or no directory.
    """
    if fault := find_fault(home):
        raise SettingsError(fault)


def find_fault(home: Path) -> str:
    """Return why this user cannot use a home directory, and what to do; "" where he can."""
    for folder in _folders(home):
        try:
            about = folder.stat()
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            return f"{home} cannot be a home directory: a part of it is a file; {ELSEWHERE}"
        except OSError as error:
            return f"{folder} cannot be reached: {error.strerror}; {ELSEWHERE}"
        if not stat.S_ISDIR(about.st_mode):
            return f"{folder} is no directory; {ELSEWHERE}"
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return _judge_closed(folder, about)
    return ""


def _folders(home: Path) -> Iterator[Path]:
    """Yield the home and what every start writes into; once run by another, they are his."""
    yield home
    yield home / "run"
    yield home / "log"


def _judge_closed(folder: Path, about: os.stat_result) -> str:
    shown = f"mode {stat.S_IMODE(about.st_mode):04o}"
    if hasattr(os, "getuid") and about.st_uid == os.getuid():
        return f"{folder} is closed to you ({shown}); chmod 700 {folder}, or {ELSEWHERE}"
    mine = f", and you are {_name_user(os.getuid())}" if hasattr(os, "getuid") else ""
    return f"{folder} belongs to {_name_user(about.st_uid)} ({shown}){mine}; {ELSEWHERE}"


def _name_user(uid: int) -> str:
    try:
        import pwd  # not on Windows

        return f"user {pwd.getpwuid(uid).pw_name}"
    except (ImportError, KeyError):
        return f"user {uid}"


def as_coded(error: OSError) -> BatError:
    """Return an error of the system as one of ours: what could not be used, and why.

    >>> str(as_coded(PermissionError(13, "Permission denied", "/etc/shadow")))
    '/etc/shadow cannot be used: Permission denied'
    """
    what = f"{error.filename} " if isinstance(error.filename, (str, Path)) else "a file "
    why = error.strerror or str(error)
    if error.errno in _FULL:
        return StorageFullError(f"{what}cannot be written: {why}; free some space and ask again")
    return StorageError(f"{what}cannot be used: {why}")


def may_come(home: Home) -> bool:
    """Return True when a kernel that does not answer may: it lives, or a watchdog starts one."""
    if is_held(home.lock):
        return True
    told = read_json(home.endpoint)
    pid = told.get("pid")
    if type(pid) is not int:
        return bool(told)
    from psutil import pid_exists  # only where a kernel does not answer

    return bool(pid_exists(pid))
