"""Log files: set aside when they are large, and read from the end."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

LARGEST: Final = 10_000_000
KEPT: Final = 3


def rotate(path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
    """Rename ``path`` to ``path.1`` when it is over ``largest`` bytes, and .1 to .2 before.

    Of the older ones ``kept`` stay. Nobody may have the file open on Windows.
    """
    if not path.exists() or path.stat().st_size <= largest:
        return
    older = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, kept + 1))]
    for source, target in reversed(list(pairwise(older))):
        if source.exists():
            source.replace(target)


def rotate_open(path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> bool:
    """Do what ``rotate`` does while a process appends to ``path``; return True when it did.

    The text is copied and the file emptied, for the writer keeps it open: what it writes
    between the two is lost, a line at most in practice.
    """
    if not path.exists() or path.stat().st_size <= largest:
        return False
    for number in range(kept, 1, -1):
        older = path.with_name(f"{path.name}.{number - 1}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number}"))
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    with path.open("r+b") as stream:
        stream.truncate(0)
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
