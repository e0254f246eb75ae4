"""The image before the upgrade: kept as a verified backup, and put back from it.

``put_back`` may be killed anywhere and done again: blobs first, then the image file in one
rename, so that there is never no image, and what lies beside it last.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any, Final

from bat_os.errors import BatError, StorageFullError, UpgradeError

# ZODB is imported where it is used: the watchdog of every day needs no database.
ROOM: Final = 2  # times the image file


def check_room(path: Path) -> int:
    """Return the free bytes where the image is.

    Raises:
        UpgradeError: There is no image, or not enough room to keep it twice.
    """
    if not path.is_file():
        raise UpgradeError(f"there is no image {path}; just start the new program")
    free, size = shutil.disk_usage(path.parent).free, path.stat().st_size
    if free < ROOM * size:
        raise UpgradeError(
            f"{free:,} bytes are free, {ROOM * size:,} are needed to keep the image; make room"
        )
    return free


def back_up_cold(path: Path, folder: Path) -> str:
    """Back up an image that nobody serves, read the backup again; return its last transaction.

    Raises:
        UpgradeError: Not possible; the image is as it was.
    """
    from bat_os.image.files.backup import verify

    try:
        asyncio.run(_back_up(path, folder))
        return str(verify(folder)["tid"])
    except (BatError, OSError) as error:
        raise UpgradeError(f"the image could not be backed up: {error}") from error


async def _back_up(path: Path, folder: Path) -> dict[str, Any]:
    from bat_os.image.files.backup import back_up
    from bat_os.image.store import ImageStore

    image = ImageStore.open(path)
    try:
        return await back_up(image, folder)
    finally:
        await image.close()


def put_back(folder: Path, path: Path, side: Path) -> None:
    """Make the image at ``path`` what the backup in ``folder`` holds; ``side`` is scratch.

    Raises:
        UpgradeError: Not possible; it may be tried again.
    """
    from zc.lockfile import LockError, LockFile

    from bat_os.image.files.livefile import sync_file
    from bat_os.image.files.restore import IMAGE, restore

    try:
        held = LockFile(f"{path}.lock")
    except LockError as error:
        raise UpgradeError(f"a process still holds the image {path}") from error
    try:
        if not side.exists():
            restore(folder, side)
        restored = side / IMAGE
        if restored.is_file():
            _match_blobs(Path(f"{restored}.blob"), Path(f"{path}.blob"))
            Path(f"{path}.index").unlink(missing_ok=True)  # of the other file
            restored.replace(path)
            sync_file(path.parent)
        shutil.rmtree(side)
    except StorageFullError as error:
        raise UpgradeError("no room to put the image back; make some, then start again") from error
    except (BatError, OSError) as error:
        raise UpgradeError(f"the image could not be put back: {error}") from error
    finally:
        held.close()


def _match_blobs(wanted: Path, there: Path) -> None:
    """Bring back blobs that are missing, and remove those that came since.

    Nothing is taken out of ``wanted``: whoever does this again has to see all of it.
    """
    from bat_os.image.files import disk
    from bat_os.image.files.livefile import sync_file

    names = {blob.relative_to(wanted) for blob in wanted.rglob("*.blob")}
    for name in names:
        source, place = wanted / name, there / name
        if place.is_file() and place.stat().st_size == source.stat().st_size:
            continue  # a blob never changes
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = place.with_suffix(".new")
        draft.unlink(missing_ok=True)
        if not disk.link(source, draft):
            shutil.copyfile(source, draft)
            sync_file(draft)
        draft.replace(place)
    for blob in list(there.rglob("*.blob")):
        if blob.relative_to(there) not in names:
            blob.unlink()
