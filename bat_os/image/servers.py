"""Images that a server holds, for several kernels at once: ZEO, or RelStorage on a database.

    zeo:///FOLDER/zeo.sock?storage=mind&wait_timeout=20&blob_dir=FOLDER/blobs&shared_blob_dir=1
    postgres://USER@HOST:5432/mind?keep_history=1&blob_dir=FOLDER/blobs&shared_blob_dir=1

zodburi reads the address. What differs from an image in a file of this process is here: others
commit too, a server may be away, and writers of other processes are in the way.
"""

from __future__ import annotations

import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import zodburi
from persistent.TimeStamp import TimeStamp
from ZODB.POSException import ConflictError, POSError, StorageError

from bat_os.errors import FormatError
from bat_os.image.allowlist import AllowListDB, CheckingConnection, looks_like_image
from bat_os.image.files.layers import present
from bat_os.image.files.opening import open_storage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAUSE: Final = 0.004  # seconds: about one commit of a server
LONGEST: Final = 0.5
_DRIVERS: Final = frozenset({"psycopg2", "psycopg2.errors", "pg8000.exceptions"})
_DISK_FULL: Final = "53100"  # of SQL's states, PostgreSQL's disk_full
INSTALL: Final = "pip install -r requirements-cluster.txt installs what servers need"


class ServerConnection(CheckingConnection):
    """Compares, with each commit, the clock that stamps it with this machine's."""

    def tpc_begin(self, transaction: Any) -> None:
        """Begin a commit; as ``Connection.tpc_begin``."""
        self.began = time.time()
        super().tpc_begin(transaction)

    def tpc_finish(self, transaction: Any) -> Any:
        """Finish a commit; as ``Connection.tpc_finish``."""
        serial = super().tpc_finish(transaction)
        if self.committed:
            at = TimeStamp(self.committed).timeTime()
            self.db().clock_ahead = max(0.0, at - time.time()) - max(0.0, self.began - at)
        return serial


class ServerDB(AllowListDB):
    """A database whose storage other processes write as well."""

    klass = ServerConnection
    opened = b"\xff" * 8  # records of any age may be those of another writer
    clock_ahead: float | None = None  # seconds that the server's clock was ahead at the last commit

    def __init__(self, storage: Any, **options: Any) -> None:
        """Open the database of a storage."""
        super().__init__(storage, **options)
        self.is_asked = hasattr(storage, "poll_invalidations")
        self._line: Any = None  # connection and cursor to ask with, apart from those that commit
        self._asking = threading.Lock()

    def seen(self) -> object:
        """Return another value after each commit that is known of here, own ones and others'.

        ZEO's server tells of each. A database server is asked (``is_asked``), with one statement
        and no transaction; if it does not answer, the value is one that never comes again.
        """
        if not self.is_asked:
            return self.state, self.storage.lastTransaction()
        with self._asking:
            for _ in range(2):  # the line may be that of a server that was away since
                try:
                    if self._line is None:
                        self._line = self._call()
                    return self.storage._adapter.poller.get_current_tid(self._line[1])
                except (POSError, *driver_errors(self.storage)):
                    self._hang_up()
        return object()

    def close(self) -> None:
        """Close the database, and the connection that was asked."""
        with self._asking:
            self._hang_up()
        super().close()

    def _call(self) -> tuple[Any, Any]:
        connection, cursor = self.storage._adapter.connmanager.open_for_load()
        connection.rollback()
        connection.autocommit = True
        return connection, cursor

    def _hang_up(self) -> None:
        if self._line is not None:
            self.storage._adapter.connmanager.rollback_and_close(*self._line)
            self._line = None

    def lastTransaction(self) -> Any:  # noqa: N802 - ZODB's name
        """Return the id of the last transaction of any process.

        A storage on a database server stays at the moment of its last look; ZODB has the storages
        of its connections look again, and not this one.
        """
        with present(self.storage) as storage:
            return storage.lastTransaction()


def open_image(location: str | Path, limits: dict[str, Any]) -> AllowListDB:
    """Return the database at a URI, or in a file, which is made if it is not there."""
    if isinstance(location, str) and "://" in location:
        return open_server(location, limits)
    path = Path(location)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size and not looks_like_image(path):
        raise FormatError(f"{path} is not an image; move it away, and put a backup there")
    return AllowListDB(open_storage(path), **limits)


def open_server(location: str, limits: Mapping[str, Any]) -> ServerDB:
    """Return the database at a URI, which may say more of it than ``limits``.

    Raises:
        ZODB's StorageError, OSError, ValueError, KeyError: It cannot be opened.
    """
    try:
        is_postgres = location.startswith("postgres://")
        resolve = _postgres_resolver() if is_postgres else zodburi.resolve_uri
        factory, options = resolve(location)
        return ServerDB(_mend(factory()), **{**limits, **options})
    except (zodburi.NoResolverForScheme, ImportError) as error:
        scheme = location.partition(":")[0]
        raise StorageError(f"no package here opens {scheme}:// images; {INSTALL}") from error
    except Exception as error:
        if type(error).__module__ in _DRIVERS:
            raise StorageError(f"its server does not answer: {error}") from error
        raise


def _postgres_resolver() -> Any:
    """Return what opens a ``postgres://`` address.

    RelStorage's own says ``password='None'`` for an address without a password, so that none is
    looked for in PGPASSFILE or PGPASSWORD; and ``port='None'``.
    """
    from relstorage import zodburi_resolver  # type: ignore[import-untyped]  # optional, no stubs
    from relstorage.adapters.postgresql import PostgreSQLAdapter  # type: ignore[import-untyped]

    class Helper(zodburi_resolver.PostgreSQLAdapterHelper):
        def __call__(self, uri: Any, given: Any) -> tuple[Callable[[Any], Any], Any]:
            own, unused = self.interpret_kwargs(given)
            parts = {"dbname": uri.path[1:], "user": uri.username, "password": uri.password,
                     "host": uri.hostname, "port": uri.port, **own}  # fmt: skip
            dsn = " ".join(f"{name}='{value}'" for name, value in parts.items() if value)
            return lambda options: PostgreSQLAdapter(dsn=dsn, options=options), unused

    return zodburi_resolver.RelStorageURIResolver(Helper())


def _mend(storage: Any) -> Any:
    """Mend two faults of ZEO's client.

    The object ids that it holds in store it keeps when its server has gone. The next server gives
    out again those that were not used yet, to any client. Two objects would get one id, and commits
    fail until the old ones are used up.

    A commit that is beaten each time that it has resolved its conflicts goes on after nine votes as
    if it had won. The server, which holds no lock for it, then fails at the end of the commit.
    """
    if (notify := getattr(storage, "notify_disconnected", None)) is None:
        return storage
    call, vote = storage._call, storage.tpc_vote
    beaten = False  # at the last vote; the storage has one commit at a time

    def drop() -> None:
        storage._oids.clear()
        notify()

    def noting(method: str, *args: Any, **options: Any) -> Any:
        nonlocal beaten
        answer = call(method, *args, **options)
        if method == "vote":
            beaten = any(isinstance(each, dict) for each in answer or ())
        return answer

    def vote_or_lose(about: Any) -> Any:
        resolved = vote(about)
        if beaten:
            raise ConflictError("another writer won each vote")
        return resolved

    storage.notify_disconnected, storage._call, storage.tpc_vote = drop, noting, vote_or_lose
    return storage


def driver_errors(storage: Any) -> tuple[type[BaseException], ...]:
    """Return the errors of a database server's driver; they are none of ZODB's."""
    driver = getattr(getattr(storage, "_adapter", None), "driver", None)
    found = getattr(driver, "disconnected_exceptions", ()), getattr(driver, "lock_exceptions", ())
    return tuple(dict.fromkeys((*found[0], *found[1])))


def hide_password(location: str) -> str:
    """Return an address without user and password; a path as it is.

    >>> hide_password("postgres://ann:secret@host/db"), hide_password("/home/ann/live_image.fs")
    ('postgres://...@host/db', '/home/ann/live_image.fs')
    """
    scheme, mark, rest = location.partition("://")
    _, at, place = rest.rpartition("@")
    return f"{scheme}://...@{place}" if mark and at else location


def is_full(error: BaseException | None) -> bool:
    """Return True if an error says that the disk of a database server is full."""
    while error is not None:
        if getattr(error, "pgcode", None) == _DISK_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def is_out_of_reach(error: BaseException) -> bool:
    """Return True if an image could not be opened as its server lets nobody in now."""
    return is_away(error) or type(error.__cause__).__module__ in _DRIVERS


def is_away(error: BaseException) -> bool:
    """Return True if an error says that the server is away, and not that another writer won.

    ZEO counts its ClientDisconnected among the conflicts that pass when one tries again at once;
    by then it has waited for as long as its address says.
    """
    return any(kind.__name__ == "ClientDisconnected" for kind in type(error).__mro__)


def pause(lost: int) -> float:
    """Return how many seconds to wait before the next try, after ``lost`` others.

    Writers of several processes that lost together would lose together again, so each waits by
    chance, twice as long each time (IEEE 802.3's truncated binary exponential backoff).
    """
    return random.uniform(0, min(PAUSE * 2**lost, LONGEST))  # noqa: S311 - nothing secret
