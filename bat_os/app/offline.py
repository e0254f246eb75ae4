"""What verbs do with an image themselves if no kernel serves it, or none is needed.

Verbs import this module when they need it: ZODB and numpy take a third of a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.moments import parse_when
from bat_os.core.settings import IMAGE
from bat_os.core.verbs import REQUESTS
from bat_os.engines.scripted import HashEmbedder
from bat_os.errors import NotFoundError
from bat_os.image.catalog_service import CatalogService
from bat_os.image.files import backup, restore, rotation
from bat_os.image.files.verify import verify
from bat_os.image.history.moments import read_at, resolve
from bat_os.image.history.portrait import compare, open_image_to_read, portrait
from bat_os.image.migrations import check_format, migrate
from bat_os.image.store import ImageStore
from bat_os.kernel.verbs.files import WORKS, write_export

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
    from pathlib import Path

_SILENT: Final = logging.NullHandler()
_WRITES: Final = frozenset({"archive", "erase", "fork", "pack"})


async def do_work(home: Path, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Carry out the wire verb ``verb`` on the image in ``home``.

    Raises:
        NotFoundError: There is no image.
        LockedError: A kernel holds it.
        FormatError: This program does not read the image's format.
        BatError: What the verb raises.
    """
    async with _opened(home) as image:
        if verb in _WRITES:
            await _convert(image, home)
        return await WORKS[verb](image, REQUESTS[verb].read_body(body))


async def _convert(image: ImageStore, home: Path) -> None:
    """Do with an image of an older format what a start does: the older program refuses it then."""
    await rotation.back_up_before_migration(image, home / rotation.FOLDER)
    await image.transact(lambda root: "about" in root and migrate(root), note="convert the image")


async def export_method(home: Path, target: str, selector: str) -> dict[str, Any]:
    """Return the export of a method in the image in ``home``; raises as ``do_work``."""
    async with _opened(home) as image:
        return await image.transact(
            lambda root: write_export(root, target, selector), note="export a method"
        )


async def verify_image(home: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Compare the image in ``home`` with its hashes; raises as ``do_work``."""
    async with _opened(home) as image:
        # Verifying embeds nothing.
        return await verify(image, CatalogService(image, HashEmbedder()), say)


async def verify_backup(folder: Path) -> dict[str, Any]:
    """Read a whole backup again; see ``verify``."""
    return await asyncio.to_thread(backup.verify, folder)


async def restore_home(source: Path, home: Path, *, replace: bool) -> dict[str, Any]:
    """Make a home of a backup or an archive; see ``restore``."""
    return await asyncio.to_thread(restore.restore, source, home, replace=replace)


async def compare_minds(one: tuple[Path, str], other: tuple[Path, str]) -> dict[str, Any]:
    """Return what two minds differ in, each a home and a moment; see ``portrait.compare``.

    Both are only read, also while kernels serve them.

    Raises:
        NotFoundError: The image does not exist, or did not exist at that moment.
        FormatError: This program does not read the image's format.
        ArgumentsError: The moment cannot be read.
    """
    return compare(await _read_mind(*one), await _read_mind(*other))


async def _read_mind(home: Path, when: str) -> dict[str, Any]:
    moment = parse_when(when or "now", dt.datetime.now().astimezone())
    async with _opened(home, open_image_to_read) as image:
        tid = await image.transact(lambda root: resolve(root, moment), note="find a moment")
        seen = await read_at(image, tid, portrait)
    seen["mind"] |= {"home": str(home), "transaction": tid}
    return seen


@contextlib.asynccontextmanager
async def _opened(
    home: Path, open_image: Callable[[Path], ImageStore] = ImageStore.open
) -> AsyncIterator[ImageStore]:
    if not (home / IMAGE).exists():
        raise NotFoundError(f"there is no image in {home}; ./run.sh makes one at its first start")
    # ZODB logs warnings about what it repairs itself.
    logging.getLogger().addHandler(_SILENT)
    image = open_image(home / IMAGE)
    try:
        await image.transact(_check_format, note="look at the format")
        yield image
    finally:
        await image.close()


def _check_format(root: MutableMapping[str, Any]) -> None:
    if "about" in root:
        check_format(root)
