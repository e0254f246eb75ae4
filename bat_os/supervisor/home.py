"""The home directory: where the image, the logs and the run-time files are.

    live_image.fs        the living image
    log/                 kernel.log, watchdog.log, crash/
    run/                 endpoint.json (kernel), status.json and watchdog.lock (watchdog)
    home.json            the id of this home: the one whose kernel may change the world
    program.json         which program and libraries serve, once there was an upgrade
    versions/            those programs
    upgrade/             the journal of the upgrade in progress, and its backup

Only the owner may enter it (mode 0700). ``FileLock`` is a file that one process at a time can
hold: the same locks as ``zc.lockfile`` (``flock``, or the first byte on Windows). Uses the standard
library only, because set-up runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os import is_checkout
from bat_os.errors import LockedError
from bat_os.failpoints import cross

if TYPE_CHECKING:
    from collections.abc import Mapping

IDENTITY: Final = "home.json"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under one home directory."""

    path: Path  # the directory itself, absolute
    trial: bool = False  # A kernel on trial serves it, at endpoints that no client knows

    @classmethod
    def find(cls, environ: Mapping[str, str], root: Path) -> Home:
        """Return the home that ``BATOS_HOME`` names; without it ``data`` of a checkout at ``root``.

        An installed program has the folder that the platform has for data of applications.
        """
        named = environ.get("BATOS_HOME")
        if named:
            return cls(Path(named).expanduser().absolute())
        return cls(root / "data" if is_checkout(root) else _data_folder(environ) / "batos")

    @property
    def kernel_log(self) -> Path:
        """What the kernel prints."""
        return self.path / "log" / "kernel.log"

    @property
    def watchdog_log(self) -> Path:
        """What the detached watchdog prints."""
        return self.path / "log" / "watchdog.log"

    @property
    def crashes(self) -> Path:
        """One JSON file per crash."""
        return self.path / "log" / "crash"

    @property
    def endpoint(self) -> Path:
        """Where the kernel can be reached; written by the kernel once it serves."""
        return self.path / "run" / ("trial.json" if self.trial else "endpoint.json")

    @property
    def socket(self) -> Path:
        """The IPC socket."""
        return self.path / "run" / ("trial.sock" if self.trial else "kernel.sock")

    @property
    def program(self) -> Path:
        """Which program serves; see ``bat_os.supervisor.program``."""
        return self.path / "program.json"

    @property
    def versions(self) -> Path:
        """The programs that upgrades brought."""
        return self.path / "versions"

    @property
    def instructions(self) -> Path:
        """What the next upgrade is to do; moved away when it begins."""
        return self.path / "update_instructions.json"

    @property
    def upgrade(self) -> Path:
        """What an upgrade keeps: journal and backup."""
        return self.path / "upgrade"

    @property
    def upgrade_keys(self) -> Path:
        """Which signers of upgrades are trusted."""
        return self.path / "upgrade_keys"

    @property
    def status(self) -> Path:
        """What the watchdog knows."""
        return self.path / "run" / "status.json"

    @property
    def lock(self) -> Path:
        """Held by the one watchdog; never deleted."""
        return self.path / "run" / "watchdog.lock"

    def read_id(self) -> str:
        """Return the id of this home; made if it has none, or has that of another home.

        The file names its own inode: a copy of it, in the copy of a home, is not believed.
        """
        path = self.path / IDENTITY
        known = read_json(path)
        with contextlib.suppress(OSError):
            if known.get("inode") == path.stat().st_ino and isinstance(known.get("id"), str):
                return str(known["id"])
        fresh, draft = secrets.token_hex(16), path.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk: what is staged now is held later
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump({"id": fresh, "inode": os.fstat(descriptor).st_ino}, stream)
                stream.flush()
                os.fsync(descriptor)
            draft.replace(path)
        return fresh

    def prepare(self) -> None:
        """Make the directories that are missing, closed to other users."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.lock.parent, self.kernel_log.parent, self.crashes):
            folder.mkdir(mode=0o700, exist_ok=True)


def _data_folder(environ: Mapping[str, str]) -> Path:
    """Return where applications of this user keep their data; a relative XDG_DATA_HOME is void."""
    if sys.platform == "win32":
        return Path(environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    named = environ.get("XDG_DATA_HOME", "")
    return Path(named) if named.startswith("/") else Path.home() / ".local" / "share"


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``; an empty one if there is none or it cannot be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_json(
    path: Path, data: Mapping[str, Any], *, durable: bool = False, mode: int = 0o600
) -> None:
    """Replace ``path`` by a JSON object, as ``write_whole`` does."""
    write_whole(path, json.dumps(data) + "\n", durable=durable, mode=mode)


def write_whole(path: Path, text: str, *, durable: bool = True, mode: int = 0o600) -> None:
    """Replace ``path`` in one step: a reader sees the old text or the new one, never half of it.

    Args:
        path: The file; its folder is there.
        text: What it is to hold.
        durable: Return only when it is on the disk.
        mode: Who may use it, whatever the umask: a home is refused where others can change it.
    """
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        if os.name != "nt":  # a draft that a killed process left has a mode already
            os.fchmod(descriptor, mode)
        stream.write(text)
        if durable:
            stream.flush()
            os.fsync(stream.fileno())
    cross(f"{path.stem}.written")
    draft.replace(path)
    cross(f"{path.stem}.renamed")
    if durable and os.name != "nt":  # folders cannot be opened there
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """An exclusive lock on ``path``, held until ``release`` or the end of the process.

    The file is never deleted: a process that waits for it would end up with a lock on a file that
    no other process can see.

    Attributes:
        descriptor: Of the open file. A child that inherits it keeps the lock with us.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.descriptor = -1

    def acquire(self, *, patience: float = 0.5) -> Self:
        """Take the lock and return self.

        Args:
            patience: Seconds to keep trying; ``is_held`` takes the lock for a moment.

        Raises:
            LockedError: Another process holds it.
        """
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        give_up = time.monotonic() + patience
        while True:
            try:
                _lock(descriptor)
            except OSError as error:
                if time.monotonic() >= give_up:
                    os.close(descriptor)
                    raise LockedError(f"{self._path} is held by another process") from error
                time.sleep(0.02)
            else:
                self.descriptor = descriptor
                return self

    def release(self) -> None:
        """Let go. Idempotent."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Return True when some process holds the lock on ``path``."""
    if not path.exists():
        return False
    try:
        FileLock(path).acquire(patience=0.0).release()
    except LockedError:
        return True
    return False
