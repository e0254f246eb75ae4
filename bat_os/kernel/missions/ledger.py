"""Which missions run right now, in a file that outlives this process, for the next kernel.

What ran when the last kernel died may have killed it. Beside it stands which missions the image
counts as running, so that what was counted and proves innocent can be taken back. A kernel that
goes down in order leaves nothing, or what it could not take back itself: its disk had failed.

The file is written in place at each change and never synced: what a process has written is there
after its death. After a loss of power it may not be, and then it was no mission's fault.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

ROOM: Final = 2_000  # bytes that are always written, so that a full disk does not matter
LARGEST: Final = 100_000
_ID: Final = re.compile(r"[\w-]{1,64}", re.ASCII)
_NONE: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier kernel left: ids of missions."""

    ran: frozenset[str] = _NONE  # they ran when it died
    counted: frozenset[str] = _NONE  # the image counts one attempt of theirs that has not ended


@dataclass(frozen=True, slots=True)
class Ledger:
    """The file; without a path, everything is forgotten with this process."""

    path: Path | None = None  # its folder is there
    may_be_theirs: bool = True  # what ended the last kernel can have been a mission

    def read(self) -> Left:
        """Return what an earlier kernel left; nothing where that cannot be read."""
        data: Any = None
        if self.path is not None:
            with (
                contextlib.suppress(OSError, ValueError, RecursionError),
                self.path.open("rb") as stream,
            ):
                data = json.loads(stream.read(LARGEST))
        return Left(_ids(data, "ran"), _ids(data, "counted"))

    def write(self, ran: Collection[str], counted: Collection[str]) -> None:
        """Note what runs now, and what the image counts as running."""
        if self.path is None:
            return
        text = json.dumps({"ran": sorted(ran), "counted": sorted(counted)}).ljust(ROOM)
        with contextlib.suppress(OSError):  # then the next kernel knows less
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.ftruncate(handle, os.write(handle, text.encode()))
            finally:
                os.close(handle)


def _ids(data: Any, name: str) -> frozenset[str]:
    found = data.get(name) if isinstance(data, dict) else None
    ids = found if isinstance(found, list) else []
    return frozenset(one for one in ids if isinstance(one, str) and _ID.fullmatch(one))
