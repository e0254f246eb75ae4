"""What every command starts from: this checkout, a home directory, its settings, the programs.

Whether this user can use the home is checked first, so that one line says it. Imports nothing
heavy: the watchdog and every verb start with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import errno
import json
import os
import stat
import sys
from dataclasses import fields
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.errors import BatError, SettingsError, StorageError, StorageFullError
from bat_os.failpoints import VARIABLE as FAILPOINT
from bat_os.supervisor.home import Home
from bat_os.supervisor.program import Program, read_program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.settings import Resolved

ROOT: Final = bat_os.ROOT
# No library sends figures on its users: a general sign, and those of two that have their own.
UNTRACKED: Final = {
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "OTEL_SDK_DISABLED": "true",
}
ELSEWHERE: Final = "choose one of your own: BATOS_HOME=FOLDER, or --home FOLDER"
MIND: Final = "BATOS_MIND"
MAX_BYTES: Final = 256 << 10
_SCRIPTS: Final = {
    "batos.py": "bat_os.cli.main import main",
    "chat_client.py": "bat_os.cli.main import chat",
    "min_watchdog_service.py": "bat_os.cli.watchdog import main",
}
# Read by the scripts that start us, by clients and by tests.
_OTHERS: Final = (
    "BATOS_BEAT", "BATOS_BEFORE", "BATOS_CONNECT", "BATOS_FAILPOINT", "BATOS_HOME",
    "BATOS_KEY_FILE", "BATOS_MIND", "BATOS_MINDS", "BATOS_PYTHON", "BATOS_WINE",
)  # fmt: skip
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def prefer_sockets() -> None:
    """On Windows, use the event loop that can wait for ZeroMQ's sockets; the default cannot."""
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())


def find_name() -> str:
    """Return what a person types before a verb here, so that advice can be pasted."""
    script = ROOT / ("puter.bat" if sys.platform == "win32" else "run.sh")
    if which("batos") or not script.is_file():
        return "batos"
    if Path.cwd() == ROOT:
        return script.name if sys.platform == "win32" else f"./{script.name}"
    return f'"{script}"' if " " in str(script) else str(script)


def find_home(named: str | Path | None) -> Home:
    """Return the home that ``--home`` names; without it as ``Home.find`` does."""
    return Home(Path(named).absolute()) if named else Home.find(os.environ, ROOT)


def take_mind(words: list[str]) -> list[str]:
    """Return a command line without ``--mind NAME`` before it, and have that mind be meant.

    Without the option it is the mind that ``BATOS_MIND`` names, if any.

    Raises:
        SettingsError: The directory of minds has none of that name.
    """
    name = os.environ.get(MIND, "")
    if words[:1] == ["--mind"]:
        name, words = (words[1] if len(words) > 1 else " "), words[2:]
    elif words and words[0].startswith("--mind="):
        name, words = words[0].partition("=")[2] or " ", words[1:]
    if name:
        enter_mind(name)
    return words


def enter_mind(name: str) -> None:
    """Have this process, and those that it starts, mean a mind of the directory.

    Raises:
        SettingsError: The directory has none of that name.
    """
    from bat_os.supervisor.minds import find_mind  # set-up runs before what this needs is there

    mind = find_mind(os.environ, name)
    os.environ[MIND] = name
    for variable in ("BATOS_HOME", "BATOS_KEY_FILE", "BATOS_CONNECT"):
        os.environ.pop(variable, None)
    given = {
        "BATOS_HOME": mind.home,
        "BATOS_KEY_FILE": mind.key_file,
        "BATOS_CONNECT": mind.connect,
    }
    os.environ.update({variable: value for variable, value in given.items() if value})


def require(home: Path) -> None:
    """Check that this user can use a home directory, or create one there."""
    if fault := find_fault(home):
        raise SettingsError(fault)


def find_fault(home: Path) -> str:
    """Return why this user cannot use a home directory, and what to do; "" if they can."""
    # Every start writes to these folders, and another user may own one of them.
    for folder in (home, home / "run", home / "log"):
        try:
            about = folder.stat()
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            return f"{home} cannot be a home directory: a part of it is a file; {ELSEWHERE}"
        except OSError as error:
            return f"{folder} cannot be reached: {error.strerror}; {ELSEWHERE}"
        if not stat.S_ISDIR(about.st_mode):
            return f"{folder} is not a directory; {ELSEWHERE}"
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return _judge_closed(folder, about)
    return _find_stranger(home) if os.name != "nt" else ""


def list_unread(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the BATOS_ variables that nothing reads, each with the one that is meant, or ""."""
    from bat_os.core.settings import PREFIX, Settings  # no sentence needs them

    known = [PREFIX + field.name.upper() for field in fields(Settings)]
    unread = {key for key in environ if key.startswith(PREFIX)} - {*known, *_OTHERS}
    near = ((key, difflib.get_close_matches(key, known, n=1)) for key in sorted(unread))
    return [(key, found[0] if found else "") for key, found in near]


# What a home decides by these: the program that runs, who may ask, who may upgrade, the settings.
_TRUSTED: Final = (
    "", "run", "log", "run/token", "run/endpoint.json", "program.json", "versions", "upgrade",
    "upgrade_keys", "update_instructions.json", "keys", "batos.toml", "profiles.toml",
)  # fmt: skip


def _find_stranger(home: Path) -> str:
    """Return what in a home another user made or can change, and what to do; "" for nothing.

    A folder that others can write to may hold what they put there, such as a program to run.
    """
    closed = False  # to all others: what is inside cannot be reached, whatever its mode
    for name in _TRUSTED:
        path = home / name
        found = []  # a link, and what it leads to
        with contextlib.suppress(OSError):
            found = [path.lstat()]
            found.append(path.stat())
        if not found:
            continue
        about = found[-1]
        if not name:
            closed = not about.st_mode & 0o077
        for owner in (each.st_uid for each in found):
            if owner not in (os.getuid(), 0):
                whose, mine = _name_user(owner), _name_user(os.getuid())
                return f"{path} belongs to {whose}, and you are {mine}; {ELSEWHERE}"
        if about.st_mode & 0o022 and not closed and not stat.S_ISLNK(about.st_mode):
            shown = f"mode {stat.S_IMODE(about.st_mode):04o}"
            advice = f"chmod go-w {path} if everything in it is yours, or {ELSEWHERE}"
            return f"other users can change {path} ({shown}); {advice}"
    return ""


def _judge_closed(folder: Path, about: os.stat_result) -> str:
    if hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY:
        return f"{folder} is on a disk that can only be read; {ELSEWHERE}"
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


def load(home: Path, environ: Mapping[str, str], /, **flags: Any) -> Resolved:
    """Return the settings of a home directory, and where each came from.

    ``batos.toml`` of the home counts least, ``BATOS_*`` variables more, flags most.

    Raises:
        SettingsError: The home or the file cannot be used, or a value in the file, in the
            environment or in the flags; the message says where and what is allowed.
    """
    from bat_os.core.settings import FILE, PREFIX, Resolved, resolve  # as above

    require(home)
    path = home / FILE
    resolved = resolve(_read_settings(path), environ, flags | {"home": str(home)}, path=str(path))
    if "home" not in flags:
        origin = f"{PREFIX}HOME" if environ.get(f"{PREFIX}HOME") else "default"
        return Resolved(resolved.settings, {**resolved.origins, "home": origin})
    return resolved


def draft_setting(home: Path, name: str, value: str | int) -> str:
    """Return the text of the settings file of a home with another value, checked.

    Args:
        home: The directory; it need not be there.
        name: Of the setting.
        value: Its value.

    Raises:
        SettingsError: The file cannot be read, or something in it cannot be used.
    """
    from bat_os.core.settings import FILE, resolve, write_setting  # as above

    path = home / FILE
    text = write_setting(_read_settings(path), name, json.dumps(value, ensure_ascii=False))
    resolve(text, {}, {}, path=str(path))
    return text


def _read_settings(path: Path) -> str:
    """Return the text of a settings file; "" without one."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{path} has more than {MAX_BYTES} bytes; settings need far fewer")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}, line {line}: not UTF-8 text") from error


def kernel_command(home: Home, program: Program | None = None) -> list[str]:
    """Return the command that starts the kernel."""
    program = program or read_program(home, ROOT, bat_os.__version__)
    words = script_command("batos.py", program.python, program.tree)
    return [words[0], "-u", *words[1:], "serve", "--home", str(home.path), "--supervised"]


def watchdog_command(home: Home) -> list[str]:
    """Return the command that runs the watchdog in the foreground."""
    return [*script_command("min_watchdog_service.py"), "run", "--home", str(home.path)]


def script_command(name: str, python: str | Path = sys.executable, root: Path = ROOT) -> list[str]:
    """Return the command that runs one of the three scripts, of a checkout or of an install."""
    if bat_os.is_checkout(root):
        return [str(python), str(root / name)]
    code = f"from {_SCRIPTS[name]} as main; raise SystemExit(main())"
    return [str(python), "-P", "-c", code]  # -P: the current folder has no modules of ours


def kernel_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the kernel's environment: ours, with no network for the model libraries.

    Variables that the service manager and the tests set for the watchdog are left out, and those
    that would have Python load other modules than the program's own.
    """
    ours = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "PYTHONPATH", "PYTHONHOME"}
    if environ.get(FAILPOINT, "").startswith("upgrade."):
        ours.add(FAILPOINT)
    kept = {key: text for key, text in environ.items() if key not in ours}
    return {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", **kept, **UNTRACKED}
