"""The home directory: where the image, the logs and the run-time files are.

    live_image.fs        the living image
    log/                 kernel.log, watchdog.log, crash/
    run/                 endpoint.json (kernel), status.json and watchdog.lock (watchdog)
    program.json         which program and libraries serve, once there was an upgrade
    versions/            those programs
    upgrade/             the journal of the upgrade in progress, and its backup

Only the owner may enter it (mode 0700). Uses the standard library only, because set-up
runs before anything is installed.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bat_os.failpoints import cross

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under one home directory.

    Attributes:
        path: The directory itself, absolute.
        trial: A kernel on trial serves it, at endpoints that no client knows.
    """

    path: Path
    trial: bool = False

    @classmethod
    def find(cls, environ: Mapping[str, str], root: Path) -> Home:
        """Return the home that ``BATOS_HOME`` names, else ``root``/data."""
        named = environ.get("BATOS_HOME")
        return cls(Path(named).expanduser().absolute() if named else root / "data")

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

    def prepare(self) -> None:
        """Make the directories that are missing, closed to other users."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.lock.parent, self.kernel_log.parent, self.crashes):
            folder.mkdir(mode=0o700, exist_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in ``path``; an empty one if there is none or it cannot be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_json(path: Path, data: Mapping[str, Any], *, durable: bool = False) -> None:
    """Replace ``path`` in one step: a reader sees the old text or the new one, never half of it.

    If ``durable``, return only when it is on the disk.
    """
    draft = path.with_name(path.name + ".new")
    with draft.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(data) + "\n")
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
