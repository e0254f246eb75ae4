"""The second stage of the set-up: installed in the background while the daemon serves.

    requirements.txt without requirements-first.txt: PyTorch, transformers and what trains adapters

A thread of the watchdog does it, so it outlives the terminal and comes back with every start. The
installer is a process of the lowest priority that holds the set-up's lock: killed at any time, it
leaves what the next one completes or repeats. It only adds packages; what is installed may be
loaded and keeps its version.

    waiting <> installing > complete         lean (left out), stopped (``batos setup --later``)

It waits on battery, on a metered network as far as the system says, on a nearly full disk, and
for a set-up in a terminal. ``batos setup`` shows all that, from ``.venv/.setup/later.json``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.cli.environment import ROOT, draft_setting, load, require
from bat_os.cli.progress import Progress
from bat_os.cli.setup import FRONT, LOCK, MB, Setup
from bat_os.cli.show.command import Command, read_input
from bat_os.core.settings import FILE
from bat_os.errors import BusyError, LockedError, SettingsError
from bat_os.models.machine import is_on_mains
from bat_os.supervisor.home import FileLock, Home, is_held, read_json, write_json, write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

log = logging.getLogger(__name__)

SIZE: Final = "about 1.4 GB; 6 GB where pip brings NVIDIA's libraries"
ROOM: Final = 5_000 * MB  # free on the disk, so that the image has room too
SETTLE: Final = 30.0  # seconds from a start: the first answer goes first
LOOK: Final = 30.0  # seconds between two looks at what it waits for
RETRY: Final = 60.0  # seconds after a failure; doubled each time
SELDOM: Final = 3600.0  # seconds at most between two tries
METERED: Final = (
    "busctl", "get-property", "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager",
    "org.freedesktop.NetworkManager", "Metered",
)  # fmt: skip
_METERED: Final = ("u 1", "u 3")  # yes, and a guessed yes


class Background:
    """What the second stage of one checkout does, for any process that asks."""

    def __init__(self, root: Path, home: Home, environ: Mapping[str, str]) -> None:
        """Look at ``root``, the directory of run.sh; change nothing yet."""
        self.setup = Setup(root, "later.log", in_background=True)
        self.home = home
        self.lock = self.setup.stamps / "later.lock"
        self.state = self.setup.stamps / "later.json"
        self._paused = self.setup.stamps / "paused"
        self._left_out = self.setup.stamps / "lean"  # for each home of this checkout
        self._environ = environ

    def describe(self) -> dict[str, Any]:
        """Return ``state``, ``reason``, ``step``, ``size`` and ``log``.

        States: ``complete``, ``waiting`` or ``installing``, ``lean`` (that setting leaves it out),
        ``stopped`` (``batos setup --later``, or no watchdog runs), ``absent`` without a ``.venv``
        that run.sh made, or in an installation that cannot be changed.
        """
        about = {"state": "", "reason": "", "step": "", "size": SIZE, "log": str(self.setup.log)}
        known: Mapping[str, Any] = read_json(self.state)
        if not self.setup.is_ours():
            why = "run.sh did not make this environment"
            if self.setup.is_installed:
                why = "it is installed where this user cannot add packages"
            known = {"state": "absent", "reason": why}
        elif not self.setup.missing("all"):
            known = {"state": "complete", "size": ""}
        elif reason := self.is_lean():
            known = {"state": "lean", "reason": reason}
        elif self.is_paused():
            known = {"state": "stopped", "reason": "by batos setup --later"}
        elif not is_held(self.lock):
            known = {"state": "stopped", "reason": "it resumes when BAT OS starts"}
        return about | {key: str(known[key]) for key in about if key in known}

    def is_lean(self) -> str:
        """Return why it is left out, by ``setup --lean`` or the setting; "" if it is not."""
        try:
            found = load(self.home.path, self._environ)
        except SettingsError:
            return ""
        if found.settings.lean:
            return f"lean is true ({found.origins['lean']})"
        return "by batos setup --lean" if self._left_out.exists() else ""

    def leave_out(self) -> None:
        """Leave it out of this checkout until ``resume``, whichever home asks."""
        self._left_out.touch()

    def is_paused(self) -> bool:
        """Return True after ``pause``."""
        return self._paused.exists()

    def pause(self) -> None:
        """Stop it, until ``resume``. Return when no installer runs, or after some seconds."""
        self._paused.touch()
        give_up = time.monotonic() + 15.0
        while is_held(self.setup.stamps / LOCK) and time.monotonic() < give_up:
            time.sleep(0.1)

    def resume(self) -> None:
        """Take back ``pause`` and ``leave_out``."""
        self._paused.unlink(missing_ok=True)
        self._left_out.unlink(missing_ok=True)

    def find_obstacle(self) -> str:
        """Return what it waits for now; "" if nothing."""
        if self.setup.missing("first"):
            return "the first stage has changed; ./run.sh start completes it"
        if change := self.setup.describe_change("all"):
            return change
        free = shutil.disk_usage(self.setup.stamps).free
        if free < ROOM:
            return f"{free // MB} MB are free on the disk, and {ROOM // MB} MB are wanted"
        if not is_on_mains():
            return "on battery"
        return "the network is metered" if _is_metered() else ""


def describe(about: Mapping[str, Any]) -> str:
    """Return what ``Background.describe`` says, as one line.

    >>> describe({"state": "waiting", "reason": "on battery", "step": "", "size": "1 GB"})
    'waiting: on battery (1 GB)'
    """
    detail = about["step"] or about["reason"]
    size = f" ({about['size']})" if about["size"] else ""
    return f"{about['state']}{f': {detail}' if detail else ''}{size}"


def _is_metered() -> bool:
    """Return True if NetworkManager says so; other systems are not asked."""
    if shutil.which(METERED[0]) is None:
        return False
    try:
        reply = subprocess.run(METERED, capture_output=True, text=True, timeout=5.0, check=False)  # noqa: S603 - our own words
    except (OSError, subprocess.TimeoutExpired):
        return False
    return reply.stdout.strip() in _METERED


class Worker:
    """The thread of the watchdog that lets the second stage be installed.

    As a context manager it starts the thread; at the end it ends the installer and the thread.

    Args:
        settle: Seconds before it begins.
    """

    def __init__(self, background: Background, settle: float = SETTLE) -> None:
        self._background = background
        self._setup = background.setup
        self._settle = settle
        self._lock = FileLock(background.lock)
        self._retry = RETRY
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="setup", daemon=True)

    def __enter__(self) -> Self:
        if self._setup.is_ours():
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def _run(self) -> None:
        wait = self._settle
        with contextlib.suppress(LockedError):
            self._lock.acquire()
            self._note("waiting", "the first answer goes first")
        try:
            while not self._ending.wait(wait) and self._setup.missing("all"):
                wait = self._look()
        except OSError as error:  # the requirements cannot be read: the folder is being removed
            log.warning("second stage of the set-up: %s", error)
        finally:
            self._lock.release()

    def _look(self) -> float:
        """Install if that is possible now; return the seconds until the next look."""
        try:
            if self._lock.descriptor < 0:
                self._lock.acquire()
            if not self._background.is_paused() and not self._background.is_lean():
                self._install()
        except LockedError:
            pass  # the watchdog of another home does it
        except BusyError as reason:
            self._note("waiting", str(reason))
        except (SettingsError, OSError) as error:
            text = str(error).splitlines()[0]
            self._note("waiting", f"{text}; next try in {self._retry:.0f} s")
            log.warning("second stage of the set-up: %s", error)
            self._retry = min(2 * self._retry, SELDOM)
            return self._retry / 2
        return LOOK

    def _install(self) -> None:
        self._check()
        report = _Report(self)
        with self._setup.take(LOCK, report) as lock:
            self._setup.carry_out("all", report, lock, hold=True)
        self._note("complete", "")
        log.info("second stage of the set-up: complete")

    def _check(self) -> None:
        """Raise what hinders a step that is about to begin."""
        if reason := self._background.find_obstacle():
            raise BusyError(reason)

    def _make_room(self) -> None:
        """Raise if the installer has to end."""
        if self._ending.is_set() or self._background.is_paused() or self._background.is_lean():
            raise BusyError("stopped")
        if is_held(self._setup.stamps / FRONT):
            raise BusyError("a set-up in a terminal goes first")

    def _note(self, state: str, reason: str, step: str = "") -> None:
        """Write down what it does; if the disk is full, nobody learns it."""
        with contextlib.suppress(OSError):
            write_json(self._background.state, {"state": state, "reason": reason, "step": step})


class _Report(Progress):
    """What set-up shows in a terminal goes to the file that ``batos setup`` reads."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    def restart(self) -> None:
        self._worker._check()

    def show(self, text: str, detail: str = "") -> None:
        self._worker._make_room()
        self._worker._note("installing", "", text + detail)

    def say(self, text: str) -> None:
        log.info("second stage of the set-up: %s", text)

    def done(self, text: str) -> None:
        self.say(text)


async def _setup(ask: Ask) -> Mapping[str, Any]:
    options, home = ask.options, Home(ask.home)
    background = Background(ROOT, home, os.environ)
    before = background.describe()
    if before["state"] == "absent" and (options.all or options.later):
        raise SettingsError(f"{before['reason']}; pip install -r requirements.txt installs all")
    if options.lean:
        require(ask.home)
        await asyncio.to_thread(_set_lean, ask.home, lean=True)
        if before["state"] != "absent":
            background.leave_out()
    elif options.later:
        await asyncio.to_thread(background.pause)
    elif options.all:
        background.resume()
        if Background(ROOT, home, {}).is_lean():  # in the file
            await asyncio.to_thread(_set_lean, ask.home, lean=False)
        setup, hold = Setup(ROOT), is_held(home.lock)
        read_input(lambda: setup.complete("all", hold=hold))
    return background.describe()


def _set_lean(home: Path, *, lean: bool) -> None:
    """Write the setting into the settings file of a home; what else is there stays."""
    text = draft_setting(home, "lean", lean)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(home / FILE, text)


def _show_setup(body: Mapping[str, Any], screen: Screen) -> None:
    screen.say(f"what GPUs, safetensors and training need: {describe(body)}")
    if body["state"] in ("waiting", "installing"):
        screen.note(f"its log is {body['log']}; batos setup --later stops it")
    elif body["state"] in ("stopped", "lean"):
        screen.note("batos setup --all installs it now")


COMMANDS: Final[Mapping[str, Command]] = {"setup": Command(_show_setup, _setup)}
