"""Opening the image, and telling clients where the kernel listens: again and again if need be.

A full disk, a disk that fails, or an image that a pack or a backup holds: all of these pass. A
kernel with a watchdog waits for that, says what it waits for, and serves as soon as it can. Without
a watchdog, the error goes to the person who started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.app.listeners import make_endpoints
from bat_os.core.settings import IMAGE
from bat_os.errors import BatError
from bat_os.image.files import ability
from bat_os.image.files.blob_folder import link_blob_folder
from bat_os.supervisor.home import write_json
from bat_os.supervisor.restart import can_pass

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.settings import Settings
    from bat_os.image.store import ImageStore
    from bat_os.kernel.listeners import Endpoint
    from bat_os.supervisor.home import Home
    from bat_os.supervisor.pulse import Heart

log = logging.getLogger(__name__)

EVERY: Final = 1.0  # seconds between two tries


@dataclass(frozen=True, slots=True)
class Opened:
    """What a kernel needs before it can do anything."""

    doors: Sequence[Endpoint]
    image: ImageStore


async def open_when_possible(
    home: Home, settings: Settings, heart: Heart | None, asked: asyncio.Event
) -> Opened | None:
    """Return the open image, and where to listen; None if ``asked`` to stop before.

    With ``heart``, waits as long as what is in the way can pass, and reports it.

    Raises:
        BatError: The image cannot be used; without ``heart``, not now.
        OSError: The home cannot be used.
    """
    said = ""
    while not asked.is_set():
        opening = asyncio.create_task(asyncio.to_thread(_open, home, settings))
        await asyncio.wait([opening], timeout=ability.SLOW)
        if heart is not None and not opening.done():
            heart.say("opening", "the image is long, or its disk does not answer")
        try:
            opened = await opening
        except (BatError, OSError) as error:
            if heart is None or not can_pass(error):
                raise
            reason = str(error)
        else:
            if heart is not None:
                heart.say("opening", "")
            return opened
        if heart is not None:
            heart.say("opening", reason)
        if reason != said:
            log.warning("waiting: %s", reason)
            said = reason
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await asked.wait()
    return None


def _open(home: Home, settings: Settings) -> Opened:
    doors = make_endpoints(home, settings)
    if settings.blob_dir and not settings.image:
        link_blob_folder(home.path / IMAGE, home.path / settings.blob_dir)
    return Opened(doors, ability.open_and_prove(settings.image or home.path / IMAGE))


async def announce(home: Home, facts: Mapping[str, Any], heart: Heart) -> None:
    """Write down for clients where the kernel listens, as soon as there is room for it."""
    endpoints = facts["endpoints"]
    tcp = next((e for e in endpoints if e.startswith("tcp:")), "")
    data = {
        "pid": os.getpid(),
        "boot": facts["boot"],
        "version": bat_os.__version__,
        "ipc": next((e for e in endpoints if e.startswith("ipc:")), ""),
        "tcp": tcp,
        "key": facts["keys"].get(tcp, ""),
        "token_file": str(home.lock.parent / "token"),
        "remote": next(iter(facts["remote"]), ""),
    }
    while True:
        try:
            write_json(home.endpoint, data)
        except OSError as error:
            heart.say("announcing", f"{home.endpoint} cannot be written: {error}")
            await asyncio.sleep(EVERY)
        else:
            break
    heart.say("announcing", "")
    log.info("serving on %s", ", ".join([*endpoints, *facts["remote"]]))
