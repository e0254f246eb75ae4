"""Which program and libraries serve: the pointer that an upgrade switches.

    program.json absent   the checkout that the watchdog was started from
                 there    a folder in versions/, with the Python that has its libraries

Uses the standard library only, because set-up runs before anything is installed.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bat_os.supervisor.home import Home, read_json, write_json

if TYPE_CHECKING:
    from typing import Any


@dataclass(frozen=True, slots=True)
class Program:
    """One version of BAT OS on the disk."""

    tree: Path  # folder with ``batos.py``
    python: Path  # with its libraries
    version: str  # of BAT OS
    commit: str = ""  # of the source, or "" where it is not known

    @property
    def is_there(self) -> bool:
        """True when it can be started."""
        return (self.tree / "batos.py").is_file() and self.python.is_file()

    def to_plain(self) -> dict[str, str]:
        """Return it as what JSON holds."""
        return {key: str(value) for key, value in asdict(self).items()}


def from_plain(data: Any) -> Program | None:
    """Return the program in ``data``; None if there is none."""
    names = ("tree", "python", "version", "commit")
    if not isinstance(data, dict) or not all(isinstance(data.get(key), str) for key in names):
        return None
    tree, python, version, commit = (data[key] for key in names)
    return Program(Path(tree), Path(python), version, commit)


def read_program(home: Home, root: Path, version: str) -> Program:
    """Return the program that serves ``home``: the one in ``program.json``, else in ``root``.

    Only a program in ``versions/`` counts, where upgrades put them.
    """
    pointed = from_plain(read_json(home.program))
    inside = pointed is not None and pointed.tree.resolve().is_relative_to(home.versions.resolve())
    if pointed is not None and inside and pointed.is_there:
        return pointed
    return Program(root, Path(sys.executable), version)


def point_to(home: Home, program: Program | None) -> None:
    """Let ``program`` serve from now on, or the checkout if it is None."""
    if program is None:
        home.program.unlink(missing_ok=True)
    else:
        write_json(home.program, program.to_plain(), durable=True)
