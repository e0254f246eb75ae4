"""The one way to read or change the image: ``ImageStore.transact``.

A location is a path (FileStorage with a blob folder beside it) or a URI (``zeo://``,
``postgres://``; see ``bat_os.image.servers``). Which classes an image may name is decided in
``bat_os.image.allowlist``.
"""

from __future__ import annotations

import asyncio
import errno
import re
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import transaction
from transaction.interfaces import TransientError
from zc.lockfile import LockError
from ZODB.POSException import POSError

from bat_os.core.digest import digest
from bat_os.errors import (
    BatError,
    ConflictError,
    LockedError,
    ShuttingDownError,
    StorageError,
    StorageFullError,
)
from bat_os.image.allowlist import AllowListDB
from bat_os.image.files.opening import open_storage
from bat_os.image.files.tail import TORN
from bat_os.image.gathering import unit_of
from bat_os.image.servers import (
    driver_errors,
    hide_password,
    is_away,
    is_full,
    is_out_of_reach,
    open_image,
    pause,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

    # Name or oid of the receiver, the message, and the sender: "client", or an object's name.
    Call = tuple[str, str, str]

T = TypeVar("T")

THREADS: Final = 4
TRIES: Final = 12
KNOWN: Final = 64  # what reads returned, kept while it holds
# Of each of THREADS caches. In memory an object takes some four times the bytes of its record.
CACHE_OBJECTS: Final = 50_000
CACHE_BYTES: Final = 2 << 20
# Messages not yet written; beyond it, calls of messages that are new are not counted.
MAX_COUNTED: Final = 10_000
SHOWN: Final = 5  # different calls of a version whose answers are kept
LOOKED_AT: Final = 16  # calls between two writes that are looked at for that
SLOW: Final = 0.1  # seconds of a call, above which it is counted as slow
SHOWN_CHARS: Final = 500  # of a call with its answer; of a longer one, only that there was one


# Commits that are recognised by their note: a document that is removed is not written itself, and
# an effect has no name.
_SEEN: Final = re.compile(r"forget |(begin|store|recover|hold|redo|drop) effect")
_WATCHED: Final[ContextVar[list[str] | None]] = ContextVar("watched", default=None)
# For whom this task commits, where a client asks that serves others; kept with the transaction.
AUTHOR: Final[ContextVar[str]] = ContextVar("author", default="")


@contextmanager
def watch_commits() -> Iterator[list[str]]:
    """Yield a list that gets the ids of the transactions that this task commits meanwhile.

    Ids are 16 hexadecimal digits, in order; a transaction that changed nothing has none.
    """
    seen: list[str] = []
    token = _WATCHED.set(seen)
    try:
        yield seen
    finally:
        _WATCHED.reset(token)


@dataclass(slots=True)
class Tally:
    """How often a message was answered, when first and last (Unix time), and what for example.

    ``slow`` counts those that took longer than SLOW; ``shown`` has, by a digest of the arguments,
    (arguments, answer) as Python writes them.
    """

    count: int
    first: float
    last: float
    slow: int = 0
    shown: dict[str, tuple[str, str]] = field(default_factory=dict)


class CallCounter:
    """Counts answered calls in memory until ``history.marks`` writes them.

    Belongs to one event loop. Counting a call takes less than a microsecond.
    """

    def __init__(self) -> None:
        self._counted: dict[Call, Tally] = {}

    def record(self, calls: Iterable[Call]) -> None:
        """Count calls that were answered just now."""
        now = time.time()
        for call in calls:
            known = self._counted.get(call)
            if known is not None:
                known.count += 1
                known.last = now
            elif len(self._counted) < MAX_COUNTED:
                self._counted[call] = Tally(1, now, now)

    def show(self, call: Call, given: Any, answer: Any, *, hidden: bool, took: float = 0) -> None:
        """Keep a recorded call with its answer; of a hidden one, that there was one."""
        known = self._counted.get(call)
        if known is None:
            return
        known.slow += took > SLOW
        if known.count > LOOKED_AT or len(known.shown) >= SHOWN:
            return
        asked, told = repr(given), repr(answer)
        is_short = len(asked) + len(told) <= SHOWN_CHARS and not hidden
        known.shown.setdefault(digest(asked)[:16], (asked, told) if is_short else ("", ""))

    def waiting(self) -> dict[Call, Tally]:
        """Return what was counted and is not yet written."""
        return {call: replace(tally) for call, tally in self._counted.items()}

    def take(self) -> dict[Call, Tally]:
        """Return what was counted, and begin anew."""
        counted, self._counted = self._counted, {}
        return counted

    def put_back(self, counted: Mapping[Call, Tally]) -> None:
        """Keep calls that ``take`` returned and that could not be written."""
        for call, tally in counted.items():
            later = self._counted.setdefault(call, tally)
            if later is not tally:
                later.count += tally.count
                later.first = tally.first
                later.slow += tally.slow
                later.shown = {**tally.shown, **later.shown}


class ImageStore:
    """Owns the database and gives out short transactions.

    ``transact`` takes a *function*, not a block, so no coroutine can wait for a model in
    the middle of a transaction. Each run has its own connection and its own manager: the
    default manager is thread-local, and every asyncio task of a loop would share it.

    Attributes:
        uses: Calls of methods that are counted and not yet written.
        in_doubt: Whether anything can be stored, since a transaction failed.
        on_commit: Called in the thread that committed, with each commit that changed objects:
            ``id``, ``note``, ``mission``, ``by``, ``names`` of objects, ``selectors`` of methods;
            neither, if it was a fact, a schedule, a document or an effect.
    """

    in_doubt = False
    on_commit: Callable[[dict[str, Any]], object] | None = None

    def __init__(self, db: Any, *, scratch: Path | None = None) -> None:
        self._db = db
        self._scratch = scratch
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="image")
        self._losers = threading.Lock()
        self._away = driver_errors(db.storage)
        self._is_asked = getattr(db, "is_asked", False)
        self._seen = getattr(db, "seen", lambda: db.state)
        self._closed = False
        self._known: dict[tuple[str, ...], Any] = {}
        self._known_at = object()
        self.uses = CallCounter()

    @classmethod
    def open(cls, location: str | Path) -> ImageStore:
        """Return the store at ``location``, making an empty image where there is none.

        Raises:
            LockedError: Another process holds the image.
            FormatError: The file is none of ZODB's.
            DamagedError: It is damaged elsewhere than at its end, or it is gone and once was there.
            StorageError: It cannot be opened.
        """
        try:
            limits = {"cache_size": CACHE_OBJECTS, "cache_size_bytes": CACHE_BYTES}
            return cls(open_image(location, {"pool_size": 4 * THREADS} | limits))
        except LockError as error:
            raise LockedError(
                f"another process holds the image {location}; stop it first (./run.sh stop)"
            ) from error
        except (POSError, OSError, KeyError, *TORN) as error:
            away = is_out_of_reach(error)
            text = f"the image {hide_password(str(location))} cannot be opened: {error}"
            raise StorageError(text, away=away) from error

    @classmethod
    def in_memory(cls) -> ImageStore:
        """Return a store that forgets everything when it is closed; for tests and demos.

        Real files in a scratch folder, since blobs are files.
        """
        scratch = Path(tempfile.mkdtemp(prefix="batos-image-"))
        return cls(AllowListDB(open_storage(scratch / "image.fs")), scratch=scratch)

    async def transact(
        self, work: Callable[[MutableMapping[str, Any]], T], *, note: str, mission: str = ""
    ) -> T:
        """Run ``work(root)`` in one transaction, off the event loop, and return its result.

        Commits when ``work`` returns, aborts when it raises, and runs it again on a write
        conflict, so ``work`` must have no effect outside the image. Once begun, it runs to its
        end even when the awaiting task is cancelled, which then ends only after it. In a unit of
        work it is gathered and committed with the rest (``bat_os.image.unit_of_work``).

        Args:
            work: Gets the image root; returns plain data, never a persistent object. It reads no
                clock for what it returns, and draws no lots: run again, it returns the same.
            note: Goes into the undo log; imperative, under 72 characters.
            mission: Id of the mission on whose behalf; kept in the transaction's metadata.

        Raises:
            ConflictError: Another writer won TRIES times.
            StorageFullError: The disk is full; nothing was changed.
            StorageError: The storage failed; the outcome is unknown.
            ShuttingDownError: The store is closed.
        """
        unit = unit_of(self)
        if unit is not None and not unit.is_direct:
            return cast("T", await unit.add(work, note, mission, _WATCHED.get()))
        return await self.run(work, note=note, mission=mission, watched=_WATCHED.get())

    async def run(
        self,
        work: Callable[[MutableMapping[str, Any]], T],
        *,
        note: str,
        mission: str = "",
        watched: list[str] | None = None,
        keeps: bool = True,
    ) -> T:
        """Do as ``transact``, in no unit of work; ``watched`` gets the id of the transaction.

        Unless it ``keeps``, nothing of it is committed.
        """
        if self._closed:
            raise ShuttingDownError("the image is closed")
        outcome: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        about = note, mission, watched, AUTHOR.get(), keeps
        running = self._threads.submit(self._settle, outcome, work, about)
        try:
            return await outcome
        except asyncio.CancelledError:
            if not running.cancel():  # it has begun
                await asyncio.wait([asyncio.wrap_future(running)])
            raise

    async def read(
        self, key: tuple[str, ...], work: Callable[[MutableMapping[str, Any]], T], *, note: str
    ) -> T:
        """Return what ``work`` returned for ``key`` before; run it if the image has changed since.

        For reading alone: ``work`` changes nothing, and nobody changes what it returns. Saves a
        change of threads, a fifth of what a known message takes. A database server is asked each
        time whether others have changed anything. Raises as ``transact``.
        """
        unit = unit_of(self)
        if unit is not None and unit.steps:  # it sees what is not committed
            return await self.transact(work, note=note)
        state = object()
        if not self._is_asked:
            state = self._seen()
        elif not self._closed:
            state = await asyncio.get_running_loop().run_in_executor(self._threads, self._seen)
        if self._known_at != state:
            self._known, self._known_at = {}, state
        if key not in self._known:
            found = await self.transact(work, note=note)
            if self._known_at != state:
                return found
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = found
        return cast("T", self._known[key])

    async def catch_up(self) -> None:
        """Wait until all is seen that any kernel had committed before; ZEO tells it later."""
        ping = getattr(self.storage, "ping", None)
        if ping is not None:
            await asyncio.to_thread(ping)

    @property
    def database(self) -> Any:
        """The ZODB database, for what works on the whole image."""
        return self._db

    @property
    def storage(self) -> Any:
        """The ZODB storage of the database."""
        return self._db.storage

    async def close(self) -> None:
        """Wait for running transactions and close the database. Idempotent."""
        if self._closed:
            return
        self._closed = True
        await asyncio.to_thread(self._threads.shutdown)
        self._db.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _settle(self, outcome: asyncio.Future[T], work: Callable[[Any], T], about: Any) -> None:
        """Run a transaction and tell the loop: half of what ``run_in_executor`` takes for it."""
        settle: Callable[[Any], None] = outcome.set_result
        try:
            result: Any = self._transact(work, about)
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is awaited
            if isinstance(error, StopIteration):  # which a future refuses
                error = RuntimeError("the work of a transaction raised StopIteration")
            settle, result = outcome.set_exception, error
            self.in_doubt = self.in_doubt or not isinstance(error, BatError)
        # It is done already where whoever waited has gone.
        outcome.get_loop().call_soon_threadsafe(lambda: None if outcome.done() else settle(result))

    @staticmethod
    def _tell(tell: Callable[[dict[str, Any]], object], connection: Any, about: Any) -> None:
        note, mission, _, author, _ = about
        names, selectors = _touched(connection)
        connection.written = ()
        if names or selectors or _SEEN.match(note):
            about = {"id": connection.committed.hex(), "note": note, "mission": mission}
            found = {"names": sorted(names - {""}), "selectors": sorted(selectors)}
            tell({**about, "by": author, **found, "brief_id": ""})

    def _transact(self, work: Callable[[MutableMapping[str, Any]], T], about: Any) -> T:
        note, connection = about[0], None
        manager = transaction.TransactionManager(explicit=True)
        try:
            connection = self._db.open(manager)
            result = self._run(manager, connection, work, about)
        except BatError as error:
            self.in_doubt = self.in_doubt or isinstance(error, StorageError)
            raise
        except OSError as error:
            self.in_doubt = True
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StorageFullError("the disk is full; free some space and ask again") from error
            raise StorageError(f"{note}: {error}") from error
        except (POSError, *self._away) as error:
            if isinstance(error.__cause__, BatError):  # loading a state refused a class
                raise error.__cause__ from error
            self.in_doubt = True
            if is_full(error):
                text = "the disk of the database is full; free some space there and ask again"
                raise StorageFullError(text) from error
            raise StorageError(f"{note}: {error}") from error
        else:
            if connection.committed and self.on_commit is not None:
                self._tell(self.on_commit, connection, about)
            return result
        finally:
            if connection is not None:
                connection.close()

    def _run(self, manager: Any, connection: Any, work: Callable[[Any], T], about: Any) -> T:
        """Run a transaction until it wins; those of this process that lost once take turns."""
        beaten: TransientError | None = None
        with ExitStack() as turn:
            for lost in range(TRIES):
                try:
                    return _run_once(manager, connection, work, about)
                except TransientError as error:
                    if is_away(error) and (lost or connection.written != ()):
                        raise  # it has waited; or the commit may have ended
                    beaten = error
                if lost:
                    time.sleep(pause(lost))
                else:
                    turn.enter_context(self._losers)
        raise ConflictError(f"{about[0]}: another writer won {TRIES} times") from beaten


def _touched(connection: Any) -> tuple[set[str], set[str]]:
    """Return the names of the objects and methods that the last transaction has written.

    A fact, a schedule and a document have none: "".
    """
    names, selectors = set(), set()
    for obj in connection.written:
        if obj is None or obj._p_changed is None:  # merged with what another writer wrote
            continue
        if isinstance(name := getattr(obj, "name", None), str) and hasattr(obj, "slots"):
            names.add(name)
        elif isinstance(selector := getattr(obj, "selector", None), str):
            selectors.add(selector)
        elif isinstance(getattr(obj, "doc_id", None), str):
            names.add("")
    return {name for name in names if " " not in name}, selectors


def _run_once(
    manager: Any, connection: Any, work: Callable[[MutableMapping[str, Any]], T], about: Any
) -> T:
    note, mission, watched, author, keeps = about
    current, connection.committed, connection.written = manager.begin(), b"", ()
    try:
        result = work(connection.root())
        if not keeps:
            manager.abort()
            return result
        current.note(note)
        if mission:
            current.setExtendedInfo("mission", mission)
        if author:
            current.user = author
        manager.commit()
        connection.db().counted["commits"] += connection.committed != b""
    except BaseException as error:
        manager.abort()
        connection.db().counted["conflicts"] += isinstance(error, TransientError)
        raise
    if watched is not None and connection.committed:
        watched.append(connection.committed.hex())
    return result
