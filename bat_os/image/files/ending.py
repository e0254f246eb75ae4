"""How far an image file went, so that a file which lost its end is not taken for a whole one.

ZODB opens a file that ends too early, or an older file in its place, without a word: it cuts what
is unfinished and serves the rest. So two files beside the image say what it was.

    live_image.fs.end     after every commit: the size of the file, and its last transaction
    live_image.fs.lost    what was missing when the file was opened; a person removes it

The mark is written after the commit is on the disk, and not synced itself: it may be behind the
file, never ahead of it. A pack makes another file, so it removes the mark before the switch.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import time
from pathlib import Path
from typing import Annotated, Any, Final

from msgspec import to_builtins
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import u64

from bat_os.core.schema import Record, convert, number, read_json, text
from bat_os.errors import DamagedError, StorageError

log = logging.getLogger(__name__)

_MARK: Final = re.compile(r"([0-9]{20}) ([0-9a-f]{16})\n")
_MAGIC: Final = b"FS30"
MAX_LOSSES: Final = 10  # that are remembered
_MAX_BYTES: Final = 64 << 10
_Tid = Annotated[str, text(16, pattern="[0-9a-f]{16}", takes="16 hexadecimal digits")]


class Loss(Record, frozen=True):
    """An end that was missing."""

    at: Annotated[float, number(0, 1e11)]  # when it was found
    size: Annotated[int, number(0, 1 << 60)]  # bytes of the file then
    was: Annotated[int, number(0, 1 << 60)]  # bytes that it once had
    tid: _Tid  # its last transaction then
    last: _Tid  # the last one that was committed
    kept: Annotated[str, text(4096)] = ""  # the file with what ZODB cut off, if it cut

    def __str__(self) -> str:
        """Return it as a sentence."""
        missing = max(self.was - self.size, 0)
        much = f"{missing} bytes are missing at its end" if missing else "an older file is there"
        since, until = _show_time(self.tid), _show_time(self.last)
        kept = f"; {self.kept} has what was cut off" if self.kept else ""
        return f"{much}: what was committed after {since}, until {until}{kept}"


class Ending:
    """The mark of one image file.

    Make it before the file is opened, since opening cuts the file.
    """

    def __init__(self, path: Path) -> None:
        """Read the mark beside ``path``."""
        self._path = path
        self._mark = Path(f"{path}.end")
        self._known = read_mark(path)
        self._tails = set(_tails(path))

    def refuse_empty(self) -> None:
        """Refuse to make an image where one was: beside its blobs, it would be another mind.

        Raises:
            DamagedError: The file is missing or empty, and once was not.
        """
        was = self._known[0] if self._known is not None else 0
        size = self._path.stat().st_size if self._path.exists() else 0
        if size <= len(_MAGIC) < was:
            raise DamagedError(
                f"{self._path} is missing or empty, and had {was} bytes; put it back, or restore "
                f"a backup: batos restore BACKUP {self._path.parent} --replace; to begin anew, "
                f"remove {self._mark}"
            )

    def compare(self, size: int) -> None:
        """Note a loss if the file, which is ``size`` bytes long, once went further."""
        loss = find_loss(self._path, self._known, size)
        if loss is not None:
            cut = sorted(set(_tails(self._path)) - self._tails)
            loss = Loss(loss.at, size, loss.was, loss.tid, loss.last, str(cut[0]) if cut else "")
            log.error("%s: %s", self._path, loss)
            try:
                _remember(self._path, loss)
            except OSError as error:  # the mark stays as it is, so the next start says it again
                log.warning("the loss cannot be noted: %s", error)
                return
        tid = _last_tid(self._path, size)
        if self._known != (size, tid.hex()):
            self.put(size, tid)

    def put(self, size: int, tid: bytes) -> None:
        """Mark how far the file goes now; what cannot be written is left out."""
        flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
        with contextlib.suppress(OSError):
            handle = os.open(self._mark, flags, 0o600)
            try:
                os.write(handle, f"{size:020d} {tid.hex()}\n".encode())  # always as long
            finally:
                os.close(handle)

    def remove(self) -> None:
        """Forget the mark: another file takes the place of this one."""
        self._mark.unlink(missing_ok=True)


def read_mark(path: Path) -> tuple[int, str] | None:
    """Return the size that the image file once had and its last transaction; None if unknown."""
    try:
        with Path(f"{path}.end").open("rb") as stream:
            found = _MARK.match(stream.read(64).decode("ascii", "replace"))
    except OSError:
        return None
    return (int(found[1]), found[2]) if found else None


def find_loss(path: Path, mark: tuple[int, str] | None, size: int) -> Loss | None:
    """Return what an image file lacks whose transactions end at ``size``; None if nothing."""
    tid = _last_tid(path, size).hex()
    if mark is None or (size >= mark[0] and tid >= mark[1]):
        return None
    return Loss(time.time(), size, mark[0], tid, mark[1])


def _last_tid(path: Path, size: int) -> bytes:
    """Return the transaction that ends at ``size``; ZODB's own may be one that it cut off."""
    with path.open("rb") as stream:
        stream.seek(max(size - 8, 0))  # where its length stands a second time
        length = u64(stream.read(8).rjust(8, b"\0"))
        if size <= len(_MAGIC) or length > size - 8:
            return bytes(8)
        stream.seek(size - 8 - length)
        return bytes(stream.read(8))


def losses(path: Path) -> list[Loss]:
    """Return the ends that were missing when the image at ``path`` was opened, oldest first.

    Raises:
        StorageError: The file that says so cannot be read.
    """
    place = Path(f"{path}.lost")
    try:
        with place.open("rb") as stream:
            data = stream.read(_MAX_BYTES)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{place} cannot be read: {error.strerror}") from error
    listed: Any = convert(read_json(data, StorageError, str(place)), list[Loss], StorageError)
    return list(listed)


def _remember(path: Path, loss: Loss) -> None:
    try:
        known = losses(path)
    except StorageError:
        known = []
    place = Path(f"{path}.lost")
    draft = place.with_name(f"{place.name}.new")
    with draft.open("w", encoding="utf-8") as stream:
        json.dump(to_builtins([*known, loss][-MAX_LOSSES:]), stream, indent=1)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(place)


def _tails(path: Path) -> list[Path]:
    return list(path.parent.glob(f"{path.name}.tr[0-9]*"))


def _show_time(tid: str) -> str:
    if not int(tid, 16):
        return "the beginning"
    moment = time.gmtime(TimeStamp(bytes.fromhex(tid)).timeTime())
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", moment)
