"""The damaged end of an image file: found, and set aside so that the rest can be served.

A disk that lost its power may leave zeros, or anything, where the last transactions were. ZODB cuts
off an end that is only unfinished, and has errors of many kinds for one that it cannot read
(``TORN``). Here the file is read by the same rules, up to what does not add up:

    no whole transaction ends the file     all of the rest goes to ``live_image.fs.tr0``, where
                                           ZODB puts an unfinished end too
    one does, or none comes before         nothing is cut, and only a person can help
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any, Final

from ZODB.FileStorage.FileStorage import (
    CorruptedFileStorageError,
    FileStorageFormatError,
    _truncate,
)
from ZODB.FileStorage.format import CorruptedError, FileStorageFormatter

from bat_os.errors import DamagedError

if TYPE_CHECKING:
    from pathlib import Path

# What ZODB raises where bytes are no transactions. The first is a plain Exception of its own, the
# last two come from numbers that end too early and from a status that is no letter.
TORN: Final = (
    CorruptedError,
    CorruptedFileStorageError,
    FileStorageFormatError,
    struct.error,
    ValueError,
)
FIRST: Final = 4  # where the first transaction begins


class _Frames(FileStorageFormatter):
    """The transactions of an open image file, and where they end."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        self.damage = self._find_damage()

    @property
    def is_at_end(self) -> bool:
        """Whether whole transactions stand before the damage, and none ends the file."""
        if self.damage == FIRST:
            return False
        try:
            begin = self.size - 8 - self._read_num(self.size - 8)
            return begin < FIRST or self._end_of(begin) != self.size
        except TORN:
            return True

    def _find_damage(self) -> int:
        place = FIRST
        try:
            while place < self.size:
                place = self._end_of(place)
        except TORN:
            pass
        return place

    def _end_of(self, place: int) -> int:
        header = self._read_txn_header(place)
        at, end = place + header.headerlen(), place + header.tlen
        if header.status == "c" or at > end or end + 8 > self.size:
            raise CorruptedError(f"no transaction at {place}")
        while header.status != "u" and at < end:
            record = self._read_data_header(at)
            at += record.recordlen()
            if record.tloc != place or at > end:
                raise CorruptedError(f"no record of the transaction at {place}")
        if self._read_num(end) != header.tlen:
            raise CorruptedError(f"no end of the transaction at {place}")
        return int(end) + 8


def set_tail_aside(path: Path) -> bool:
    """Cut off the damaged end of an image file, and keep it; return False if nothing is damaged.

    Raises:
        DamagedError: The damage is not at the end, or nothing is whole.
    """
    with path.open("r+b") as file:
        frames = _Frames(file)
        if frames.damage >= frames.size:
            return False
        if not frames.is_at_end:
            raise _as_error(path, frames)
        _truncate(file, str(path), frames.damage)
        os.fsync(file.fileno())
    return True


def refuse_damaged(path: Path) -> None:
    """Raise ``DamagedError`` if an image file has bytes that are no transactions; changes none."""
    with path.open("rb") as file:
        frames = _Frames(file)
        if frames.damage < frames.size:
            raise _as_error(path, frames)


def _as_error(path: Path, frames: _Frames) -> DamagedError:
    if frames.is_at_end:
        count = frames.size - frames.damage
        return DamagedError(
            f"the last {count} bytes of {path} are damaged; the next start sets them aside"
        )
    return DamagedError(
        f"the image {path} is damaged at byte {frames.damage} of {frames.size}; restore a backup: "
        f"batos restore BACKUP {path.parent} --replace; or move {path.name}* away to begin anew"
    )
