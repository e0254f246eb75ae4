"""Kernels anywhere that share a PostgreSQL: a session lock each, and a row with an end.

    batos_kernel      kernel, about, until    by the clock of the database
    batos_cluster     id                      made by the first
    locks (8, n)      of the kernels; (9, n) of what only one may do at a time

A lock goes with its session: at once with a process that is killed, and after some seconds with a
machine or a network that is gone, which keep-alives of TCP notice. A row that ran out says the
same. After this session had to begin anew, the others may not be back yet: until ``seconds`` have
passed, a lock that is free says nothing. The connection is its own, not the image's: the storage
uses advisory locks with one number.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
import zlib
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ALIVE: Final = 8
HELD: Final = 9
_MAKE: Final = """
    create table if not exists batos_kernel
        (kernel text primary key, about text not null, until timestamptz not null);
    create table if not exists batos_cluster (one int primary key, id text not null);
    insert into batos_cluster values (1, md5(random()::text || clock_timestamp()::text))
        on conflict do nothing
"""
_BEAT: Final = """
    insert into batos_kernel values (%s, %s, clock_timestamp() + %s * interval '1 s')
        on conflict (kernel) do update set about = excluded.about, until = excluded.until
"""
_LOOK: Final = """
    select kernel, about from batos_kernel
        where until > clock_timestamp() order by kernel limit 1000
"""
_LOCKS: Final = """
    select objid::bigint from pg_locks where locktype = 'advisory' and classid = 8
        and objsubid = 2 and granted
        and database = (select oid from pg_database where datname = current_database())
"""
_AGE: Final = "select extract(epoch from clock_timestamp() - pg_postmaster_start_time())"


class PostgresCluster:
    """``bat_os.ports.Cluster`` over one connection to PostgreSQL.

    Args:
        dsn: Of the database, as libpq reads it; a password belongs into PGPASSFILE.
        seconds: After which a kernel that is not heard of is dead.

    Raises:
        SettingsError: The driver is not installed.
    """

    def __init__(self, dsn: str, seconds: float) -> None:
        try:
            import psycopg2  # type: ignore[import-untyped]  # no stubs; an optional requirement
        except ImportError as error:
            raise SettingsError(
                "the setting cluster names a PostgreSQL, whose driver is missing; "
                "pip install -r requirements-cluster.txt"
            ) from error
        self._driver: Any = psycopg2
        self._dsn = dsn
        self._seconds = seconds
        self._kernel, self._about, self._id = "", "{}", ""
        self._connection: Any = None
        self._is_locked = False
        self._trusted_from = 0.0
        self._held: set[str] = set()
        self._one_at_a_time = threading.Lock()

    def read_id(self) -> str:
        """Return what the database has as the id of its cluster."""
        if not self._id:
            with self._cursor() as cursor:
                cursor.execute("select id from batos_cluster")
                self._id = str(cursor.fetchone()[0])
        return self._id

    def join(self, kernel: str, about: Mapping[str, Any]) -> None:
        """Hold the lock of this kernel, and write its row, from now on."""
        self._kernel, self._about = kernel, json.dumps(dict(about))
        with self._cursor() as cursor:
            self._enter(cursor)

    def look(self) -> dict[str, dict[str, Any]]:
        """Write the row of this kernel anew; return those whose rows and locks hold."""
        with self._cursor() as cursor:
            if self._kernel:
                self._enter(cursor)
            cursor.execute(_LOOK)
            rows = cursor.fetchall()
            cursor.execute(_LOCKS)
            locked = {number for (number,) in cursor.fetchall()}
        believes = time.monotonic() >= self._trusted_from
        return {
            kernel: _read(about)
            for kernel, about in rows
            if kernel == self._kernel or not believes or _number(kernel) % (1 << 32) in locked
        }

    def hold(self, name: str) -> bool:
        """Return True if this session holds the lock of that name."""
        with self._cursor() as cursor:
            if name not in self._held:
                cursor.execute("select pg_try_advisory_lock(%s, %s)", (HELD, _number(name)))
                if cursor.fetchone()[0]:
                    self._held.add(name)
        return name in self._held

    def release(self, name: str) -> None:
        """Let the lock of that name go."""
        with self._cursor() as cursor:
            if name in self._held:
                self._held.remove(name)
                cursor.execute("select pg_advisory_unlock(%s, %s)", (HELD, _number(name)))

    def leave(self) -> None:
        """Remove the row, and end the session, which lets all locks go."""
        with contextlib.suppress(StorageError), self._cursor() as cursor:
            cursor.execute("delete from batos_kernel where kernel = %s", (self._kernel,))
        self._drop()

    @contextlib.contextmanager
    def _cursor(self) -> Iterator[Any]:
        """Yield a cursor, of a new session where the last one was lost.

        Raises:
            StorageError: The server is away, or refuses.
        """
        with self._one_at_a_time:
            try:
                if self._connection is None:
                    self._connect()
                with self._connection.cursor() as cursor:
                    yield cursor
            except self._driver.Error as error:
                self._drop()
                first = str(error).strip().partition("\n")[0]
                raise StorageError(f"the database of the cluster is away: {first}") from error

    def _connect(self) -> None:
        connection = self._driver.connect(
            self._dsn,
            connect_timeout=3,
            keepalives=1,
            keepalives_idle=2,
            keepalives_interval=1,
            keepalives_count=3,
            application_name=f"batos {self._kernel}",
        )
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("set statement_timeout = '10s'")
            cursor.execute("select pg_advisory_lock(%s, 0)", (HELD,))  # two would both make them
            cursor.execute(_MAKE)
            cursor.execute("select pg_advisory_unlock(%s, 0)", (HELD,))
            cursor.execute(_AGE)
            is_old = cursor.fetchone()[0] > self._seconds
            was_here = self._kernel and self._trusted_from
            self._trusted_from = time.monotonic() + (
                self._seconds if was_here or not is_old else 0.0
            )
            if was_here:
                self._enter(cursor)
        self._connection = connection

    def _enter(self, cursor: Any) -> None:
        if not self._is_locked:  # else the server has not noticed yet that the last session is over
            number = _number(self._kernel)
            cursor.execute("select pg_try_advisory_lock(%s, %s)", (ALIVE, number))
            self._is_locked = cursor.fetchone()[0]
        cursor.execute(_BEAT, (self._kernel, self._about, self._seconds))

    def _drop(self) -> None:
        self._held.clear()
        self._is_locked = False
        if self._connection is not None:
            with contextlib.suppress(self._driver.Error):
                self._connection.close()
            self._connection = None


def _number(name: str) -> int:
    """Return a number for a name, as a lock takes it: 32 bits with a sign."""
    return zlib.crc32(name.encode()) - (1 << 31)


def _read(about: str) -> dict[str, Any]:
    try:
        data = json.loads(about)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
