"""What makes the watchdog a service of its user: a file, and the commands that register it.

    Linux     systemd user unit: notify, watched every 30 s, at most 5 starts in 300 s
    macOS     launchd agent: started again unless it ended well
    Windows   task of the Task Scheduler, at logon

Nothing is written or run here.
"""

from __future__ import annotations

import plistlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from bat_os.core.digest import digest
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.supervisor.home import Home

_TEMPLATES: Final = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Place:
    """Which user the service belongs to, and where."""

    platform: str  # ``linux``, ``darwin`` or ``win32``
    user: str  # name of the user; on Windows with its domain
    uid: int  # number of the user, 0 on Windows
    folder: Path  # the user's home folder; not the home of the image
    config: Path  # the user's folder of settings, ``~/.config``
    # True for the home directory beside the program; others get their own service name
    usual: bool = True


@dataclass(frozen=True, slots=True)
class Service:
    """One service of one home."""

    path: Path  # where its file belongs
    content: bytes  # of the file
    enable: tuple[tuple[str, ...], ...]  # commands that register it and start it
    disable: tuple[tuple[str, ...], ...]  # commands that stop it and unregister it
    absent: tuple[int, ...] = ()  # statuses by which a command says that there is none to stop


def describe(home: Home, command: Sequence[str], root: Path, place: Place) -> Service:
    """Return the service that runs ``command`` for ``home``.

    Raises:
        ArgumentsError: A path has characters that a service file cannot hold.
    """
    for text in (str(home.path), str(root), *command):
        if not text.isprintable():
            raise ArgumentsError(f"a service file cannot contain {text!r}; use another path")
    mark = digest(str(home.path))[:8]
    name = "batos" if place.usual else f"batos-{mark}"
    if place.platform == "darwin":
        return _launchd(name, home, command, root, place)
    if place.platform == "win32":
        return _task(name, home, command, root, place)
    return _systemd(name, home, command, root, place)


def _read_template(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _systemd(name: str, home: Home, command: Sequence[str], root: Path, place: Place) -> Service:
    unit = f"{name}.service"
    text = _read_template("systemd.service").format(
        home=str(home.path).replace("%", "%%"),
        command=" ".join(map(_quote, command)),
        folder=str(root).replace("%", "%%"),
    )
    systemctl = ("systemctl", "--user")
    return Service(
        place.config / "systemd" / "user" / unit,
        text.encode(),
        ((*systemctl, "daemon-reload"), (*systemctl, "enable", "--now", unit)),
        ((*systemctl, "disable", "--now", unit), (*systemctl, "daemon-reload")),
    )


def _quote(word: str) -> str:
    r"""Return a word of ExecStart that systemd reads as it is.

    >>> print(_quote('/a b/100%/"$x"'))
    "/a b/100%%/\"$$x\""
    """
    for sign, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        word = word.replace(sign, written)
    return f'"{word}"'


def _launchd(name: str, home: Home, command: Sequence[str], root: Path, place: Place) -> Service:
    label = f"org.{name}.watchdog"
    path = place.folder / "Library" / "LaunchAgents" / f"{label}.plist"
    facts = {
        "Label": label,
        "ProgramArguments": list(command),
        "WorkingDirectory": str(root),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 60,
        "ExitTimeOut": 60,
        "Umask": 0o077,
        "StandardOutPath": str(home.watchdog_log),
        "StandardErrorPath": str(home.watchdog_log),
    }
    domain = f"gui/{place.uid}"
    leave = ("launchctl", "bootout", f"{domain}/{label}")
    return Service(
        path,
        plistlib.dumps(facts, sort_keys=False),
        # One that is loaded keeps its old file, and a second bootstrap of it fails.
        (leave, ("launchctl", "bootstrap", domain, str(path))),
        (leave,),
        absent=(3,),  # "Boot-out failed: 3: No such process"
    )


def _task(name: str, home: Home, command: Sequence[str], root: Path, place: Place) -> Service:
    path = home.path / f"{name}.task.xml"
    title = f"BAT OS ({name})"
    text = _read_template("task.xml").format(
        home=escape(str(home.path)),
        user=escape(place.user),
        program=escape(command[0]),
        arguments=escape(subprocess.list2cmdline(command[1:])),
        folder=escape(str(root)),
    )
    return Service(
        path,
        text.replace("\n", "\r\n").encode("utf-16"),
        (
            ("schtasks", "/Create", "/TN", title, "/XML", str(path), "/F"),
            ("schtasks", "/Run", "/TN", title),
        ),
        (("schtasks", "/End", "/TN", title), ("schtasks", "/Delete", "/TN", title, "/F")),
    )
