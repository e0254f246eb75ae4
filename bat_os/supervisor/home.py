"""The home directory: where the image, the logs and the run-time files are.

    live_image.fs        the living image
    log/                 kernel.log, watchdog.log, crash/
    run/                 endpoint.json (kernel), status.json and watchdog.lock (watchdog)

Only the owner may enter it (mode 0700). Uses the standard library only, because set-up
runs before anything is installed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Home:
    """Paths under one home directory.

    Attributes:
        path: The directory itself, absolute.
    """

    path: Path

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
        return self.path / "run" / "endpoint.json"

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
    """Return the JSON object in ``path``; an empty one when there is none to be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Replace ``path`` in one step; a reader sees the old text or the new one, never half."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(json.dumps(data) + "\n", encoding="utf-8")
    draft.replace(path)
