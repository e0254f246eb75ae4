"""Whether anything can be stored: looked at before a kernel serves, and while it does.

A loop that turns, and reads that are answered, say nothing about it. After a commit that failed,
``keep_trying`` commits something for trial, again and again, until that works. A commit that does
not end is seen too: it holds up all others.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import time
from typing import TYPE_CHECKING, Any, Final

from ZODB.Connection import TransactionMetaData
from ZODB.utils import z64

from bat_os.errors import BatError, LockedError, StorageFullError
from bat_os.image.files.disk import coded
from bat_os.image.files.layers import is_in_files, layers_of, present
from bat_os.image.files.storage import LiveFile
from bat_os.image.server_care import check_promises
from bat_os.image.servers import driver_errors
from bat_os.image.store import ImageStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PROBE: Final = bytes(4_000)
EVERY: Final = 1.0  # seconds
SLOW: Final = 30.0  # seconds of one commit, from which on people hear of it
STUCK: Final = 120.0  # seconds of one commit, after which the file counts as lost


def open_and_prove(location: str | Path) -> ImageStore:
    """Return the store at ``location``, on a disk whose fsync works.

    If it is only full, the image is served: what is known can be read.

    Raises:
        BatError: As of ``ImageStore.open``; a StorageError too if the disk fails; a
            SettingsError if a server has a setting that breaks a promise.
    """
    try:
        image = ImageStore.open(location)
    except LockedError:  # an opening that failed may hold the image through its traceback
        gc.collect()
        image = ImageStore.open(location)
    try:
        with coded("the disk of the image"), contextlib.suppress(StorageFullError):
            _prove(live_of(image.storage))
        check_promises(image)
    except BaseException:
        image.database.close()
        raise
    return image


def live_of(storage: Any) -> LiveFile | None:
    """Return the file that ``storage`` writes; None if that is not on this machine."""
    live = layers_of(storage)[-1] if is_in_files(storage) else None
    return live if isinstance(live, LiveFile) else None


def _prove(live: LiveFile | None) -> None:
    if live is None:
        return
    with coded("the disk of the image"):
        for handle in (live._file.fileno(), live._tfile.fileno()):
            os.fsync(handle)


def try_commit(storage: Any) -> None:
    """Do all of a commit but its end, which would make it count.

    One in a file goes to the disk; a server says by then that it has taken it.

    Raises:
        BatError: It cannot be done, and why.
    """
    about, live = TransactionMetaData(description="a trial"), live_of(storage)
    with coded("a trial commit", *driver_errors(storage)), present(live or storage) as view:
        try:
            view.tpc_begin(about)  # in here: it may fail with the lock in its hands
            view.store(view.new_oid(), z64, PROBE, "", about)
            view.tpc_vote(about)
            if live is not None:
                os.fsync(live._file.fileno())
        finally:
            view.tpc_abort(about)


async def keep_trying(image: ImageStore, tell: Callable[[str], object]) -> None:
    """See for ever whether anything can be stored; ``tell`` gets why not, and "" once it can.

    "" comes also after a failure that has passed by the next look: what stopped over it goes on.
    """
    live, said = live_of(image.storage), ""
    watch = None if live is None else CommitWatch(live)
    while True:
        await asyncio.sleep(EVERY)
        trouble = "" if watch is None else watch.look(time.monotonic())
        doubted = image.in_doubt
        if not trouble and doubted:
            image.in_doubt = False  # what fails meanwhile is in doubt again
            try:
                await asyncio.to_thread(try_commit, image.storage)
            except BatError as error:
                image.in_doubt, trouble = True, str(error)
        if trouble != said or (doubted and not trouble):
            said = trouble
            tell(trouble)


class CommitWatch:
    """Sees a commit that does not end, and gives the file up for lost after STUCK seconds.

    A pack or an erasure may hold commits up for longer: they are seen to be at work.
    """

    def __init__(self, live: LiveFile) -> None:
        self._live = live
        self._seen: tuple[object, ...] = ()
        self._since = 0.0

    def look(self, now: float) -> str:
        """Return what to tell people, "" if all is well; ``now`` is in monotonic seconds."""
        live = self._live
        is_held = live._commit_lock.locked() and not live._pack_is_in_progress
        seen = (live._tid, live._ltid) if is_held else ()  # no lock: it may hold it
        if seen != self._seen or not seen:
            self._seen, self._since = seen, now
            return ""
        if now - self._since >= STUCK:
            live.lose()
        return "a commit does not end" if now - self._since >= SLOW else ""
