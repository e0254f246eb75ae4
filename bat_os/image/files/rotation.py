"""Backups that the daemon makes by itself: one a day, and one before an image is converted.

    HOME/backups/daily-2026-11-24    of the last 7 days, 4 weeks and 12 months that have one
    HOME/backups/format-3            what a program of format 3 wrote, before a newer one changed it

A person's own backups in that folder are never touched. Models are second names of the image's own
files, so a backup takes about the size of the image file; where they would have to be copied, on
another disk, none is made.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.image.files import disk, manifest
from bat_os.image.files.backup import back_up
from bat_os.image.files.layers import path_of
from bat_os.image.files.opening import read_fork
from bat_os.image.migrations import FORMAT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bat_os.image.store import ImageStore

FOLDER: Final = "backups"  # in the home
DAYS: Final = 7
WEEKS: Final = 4
MONTHS: Final = 12
ROOM: Final = 2  # times the image file; packing needs as much
LEFT: Final = 1_000_000_000  # bytes that stay free beside it
_NAME: Final = re.compile(r"daily-(\d{4}-\d\d-\d\d)\Z", re.ASCII)


def choose_kept(days: Iterable[dt.date]) -> set[dt.date]:
    """Return which days keep their backup: the newest of each of the last days, weeks and months.

    Only days with a backup count, so a clock that jumped or a machine that was off forgets none.

    >>> first = dt.date(2026, 1, 1)
    >>> len(choose_kept(first + dt.timedelta(number) for number in range(365)))
    20
    """
    newest = sorted(set(days), reverse=True)
    kept = set(newest[:DAYS])
    for count, period in ((WEEKS, "%G-%V"), (MONTHS, "%Y-%m")):
        first: dict[str, dt.date] = {}
        for day in newest:
            first.setdefault(day.strftime(period), day)
        kept.update(list(first.values())[:count])
    return kept


def newest_in(folder: Path) -> float:
    """Return when the newest whole backup in ``folder`` was made, in Unix seconds; 0.0 for none."""
    return max((path.stat().st_mtime for path in folder.glob(f"*/{manifest.NAME}")), default=0.0)


async def back_up_if_due(image: ImageStore, folder: Path, now: float) -> dict[str, Any] | None:
    """Make today's backup in ``folder`` and forget what is not kept; None where nothing is due.

    Args:
        image: The store; a fork, and one whose models are on another disk, is left out.
        folder: For all of them; made where it is not there.
        now: Unix seconds.

    Raises:
        StorageFullError: There is no room.
        BusyError: A pack, a fork or another backup is running.
    """
    target = folder / f"daily-{dt.datetime.fromtimestamp(now).astimezone():%Y-%m-%d}"
    if not await disk.in_thread(lambda _stop: _is_due(path_of(image.storage), target)):
        return None
    made = await back_up(image, target)
    await disk.in_thread(lambda _stop: _forget(folder, target))
    return made


async def back_up_before_migration(image: ImageStore, folder: Path) -> dict[str, Any] | None:
    """Back up an image of an older format, which is about to be converted; None for any other.

    Raises:
        StorageFullError: There is no room; the image stays as it is.
    """

    def look(root: Mapping[str, Any]) -> Any:
        return root.get("about", {}).get("format")

    number = await image.transact(look, note="look at the format")
    if type(number) is not int or not 0 < number < FORMAT:
        return None
    target = folder / f"format-{number}"
    await disk.in_thread(lambda _stop: _check_room(path_of(image.storage), target))
    return await back_up(image, target)


def _is_due(path: Path, target: Path) -> bool:
    if (target / manifest.NAME).is_file() or read_fork(path):
        return False
    if Path(f"{path}.blob").stat().st_dev != path.parent.stat().st_dev:
        return False
    _check_room(path, target)
    return True


def _check_room(path: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    disk.check_room(target.parent, ROOM * path.stat().st_size + LEFT)


def _forget(folder: Path, newest: Path) -> None:
    """Remove the daily backups that are not kept, and what a killed removal left."""
    found = {path: name[1] for path in folder.iterdir() if (name := _NAME.match(path.name))}
    whole = {path for path in found if (path / manifest.NAME).is_file()}
    kept = {str(day) for day in choose_kept(dt.date.fromisoformat(found[path]) for path in whole)}
    for path, day in found.items():
        if path != newest and (day not in kept or path not in whole):
            (path / manifest.NAME).unlink(missing_ok=True)  # from now on it is no backup
            shutil.rmtree(path)
