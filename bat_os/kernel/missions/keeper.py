"""Documents of folders that are learned, kept as the files are.

    moved    the document takes the new path; its passages stay
    new      read through the grant > passages and vectors > one transaction: the document instead
    changed  of the earlier one, and the version of the file as taken
    gone     forgotten

So a kill leaves each file either as it was taken or as it was before, and the next look finds the
rest. What is learned has the label of the grant that it was read through.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from bat_os.documents.readers import MAX_BYTES, is_learned, read_bytes
from bat_os.errors import (
    ArgumentsError,
    BatError,
    NotFoundError,
    NotGrantedError,
    ResourceError,
    TooLargeError,
)
from bat_os.failpoints import cross
from bat_os.image import schedules, watches
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import document_id
from bat_os.image.watches import GO, MOVE
from bat_os.ports import WatchedDriver

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from bat_os.image.watches import Change, Watch
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.missions.alarm import Alarm
    from bat_os.ports import Survey

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

PAUSE: Final = 60.0  # seconds until another try, where the image or the embedding model failed
MAX_SKIPPED: Final = 20  # files that were left out and are named
# What speaks against a file, and not against this machine.
UNREADABLE: Final = (
    ArgumentsError, NotFoundError, NotGrantedError, ResourceError, TooLargeError,
)  # fmt: skip
_ORDER: Final = {MOVE: 0, GO: 2}  # nothing is forgotten before what has moved is found


class Keeper:
    """Keeps the documents of watches current; for one event loop."""

    def __init__(self, mind: KernelContext, alarm: Alarm, wake: Callable[[], None]) -> None:
        self._mind = mind
        self._alarm = alarm
        self._wake = wake
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._later: dict[
            int, float
        ] = {}  # until when a watch waits, on the clock that never jumps

    def is_busy(self, number: int) -> bool:
        """Return whether the files of a watch are being read, or wait for another try."""
        waits = self._later.get(number, 0.0) > time.monotonic()
        return waits or (number in self._tasks and not self._tasks[number].done())

    def begin(
        self, watch: Watch, changes: Sequence[Change], survey: Survey, *, is_all: bool
    ) -> None:
        """Begin to learn what has changed; ``is_all`` if nothing else has."""
        if changes or (is_all and not watch.schedule.last):
            task = asyncio.create_task(self._keep(watch, changes, survey, is_all=is_all))
            self._tasks[watch.schedule.number] = task

    async def stop(self, number: int) -> None:
        """Stop reading the files of a watch. Idempotent."""
        if (task := self._tasks.pop(number, None)) is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def close(self) -> None:
        """Stop reading all files. Idempotent."""
        for number in list(self._tasks):
            await self.stop(number)

    async def _keep(
        self, watch: Watch, changes: Sequence[Change], survey: Survey, *, is_all: bool
    ) -> None:
        number, skipped = watch.schedule.number, list[tuple[str, str]]()
        try:
            for change in sorted(changes, key=lambda each: _ORDER.get(each.event, 1)):
                if why := await self._take(watch, change, survey):
                    log.info("left out %s: %s", change.path, why)
                    skipped.append((change.path, why))
            if is_all and not watch.schedule.last:
                await self._tell(watch, skipped)
        except NotGrantedError:
            log.info("watch %d has lost its grant", number)
        except BatError as error:
            log.warning("documents of watch %d wait: %s", number, error)
            self._later[number] = time.monotonic() + PAUSE
        except Exception:  # one run over the files of a watch: the others go on
            log.exception("watch %d", number)
            self._later[number] = time.monotonic() + PAUSE
        self._wake()

    async def _take(self, watch: Watch, change: Change, survey: Survey) -> str:
        """Learn, move or forget one file in one transaction; return why it was left out, or ""."""
        number, grant = watch.schedule.number, str(watch.schedule.rule["grant"])
        path = str(PurePath(watch.path, change.path))
        work: Callable[[Root], Any] | None = None
        why = ""
        if change.event == MOVE and is_learned(change.path) and is_learned(change.before):
            work = _moving(str(PurePath(watch.path, change.before)), path)
        elif change.event != GO and is_learned(change.path):
            try:
                work = await self._learning(watch, change, path, grant)
            except UNREADABLE as error:
                why = str(error)
        else:
            work = self._forgetting(path, change, watch)
        if why:
            work = self._forgetting(path, change, watch)

        def take(root: Root) -> None:
            now = watches.Watch(watch.schedule, watches.links_of(root, watch.schedule))
            if not now.may_look(time.time()):
                raise NotGrantedError("the grant has ended")
            if work is not None:
                work(root)
            watches.note(root, number, [change], survey)

        cross("watch.before")
        await self._mind.catalog.change(take, f"learn {path}"[:70])
        cross("watch.taken")
        return why

    async def _learning(
        self, watch: Watch, change: Change, path: str, grant: str
    ) -> Callable[[Root], Any] | None:
        """Return the work that stores what a file says; None if it is known."""
        driver = self._mind.drivers[watch.links[0].driver]
        if not isinstance(driver, WatchedDriver):
            raise NotGrantedError(f"{driver.name} cannot be watched")
        scope = {"path": watch.path}
        data = await asyncio.to_thread(driver.load, scope, change.path, MAX_BYTES)
        document = await asyncio.to_thread(read_bytes, data, path)
        told, store = await self._mind.catalog.prepare(
            document.title, document.text, source=path, meta=document.meta
        )
        if store is None:
            return None

        def work(root: Root) -> None:
            store(root)
            catalog_in(root).set_label(told["doc_id"], (grant,))

        return work

    def _forgetting(self, path: str, change: Change, watch: Watch) -> Callable[[Root], Any]:
        """Return the work that forgets the document of a file, and of the file that it was."""
        paths = [path, *([str(PurePath(watch.path, change.before))] if change.before else [])]
        works = [
            self._mind.catalog.removal(document_id("document", each), time.time()) for each in paths
        ]
        return lambda root: [work(root) for work in works]

    async def _tell(self, watch: Watch, skipped: Sequence[tuple[str, str]]) -> None:
        """Say that a folder is learned, once."""
        number, now = watch.schedule.number, self._alarm.clock.now()

        def work(root: Root) -> str:
            one = schedules.change(root, number, last=now)
            return schedules.tell(
                root, one, now, now, count=len(documents_below(root, watch.path)),
                skipped=[list(each) for each in skipped[:MAX_SKIPPED]], left=len(skipped),
            )  # fmt: skip

        if key := await self._mind.image.transact(work, note="a folder is learned"):
            await self._alarm.tell(key)


def _moving(before: str, path: str) -> Callable[[Root], Any]:
    """Return the work that gives a document the path to which its file was moved."""
    old_id, new_id = (document_id("document", each) for each in (before, path))

    def work(root: Root) -> None:
        catalog = catalog_in(root)
        document = catalog.document(old_id)
        if document is None:
            return
        catalog.remove(new_id)
        title = document.title
        if title == PurePath(before).name:
            title = PurePath(path).name
        # The digest is over the path, too: the next version is compared anew.
        kept = {name: value for name, value in document.meta.items() if name != "sha256"}
        catalog.rename(old_id, new_id, title, {**kept, "source": path})

    return work


def documents_below(root: Root, folder: str) -> list[str]:
    """Return the ids of the documents from files in a folder, or from the one file."""
    found = []
    for document in catalog_in(root).documents("document"):
        source = str(document.meta.get("source", ""))
        if source and PurePath(source).is_relative_to(folder):
            found.append(document.doc_id)
    return found
