"""Where an image is, for tests: a file, a ZEO server of the test, a database of PostgreSQL."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.forks import PYTHON

POSTGRES = "BATOS_TEST_POSTGRES"
ZEO_CONF = """\
<zeo>
  address {folder}/zeo.sock
  client-conflict-resolution true
</zeo>
<filestorage mind>
  path {folder}/mind.fs
  blob-dir {folder}/blobs
</filestorage>
"""
CONVERT = """\
<filestorage source>
  path {file}
  blob-dir {blobs}
</filestorage>
<relstorage destination>
  keep-history true
  shared-blob-dir true
  blob-dir {folder}
  <postgresql>
    driver psycopg2
    dsn {dsn}
  </postgresql>
</relstorage>
"""


class File:
    """One kernel's own file; ``uri`` is empty, so it is in the home."""

    others = False  # whether other processes can open it meanwhile

    def uri(self, wait=0):
        return ""

    def close(self):
        pass


class Zeo:
    """A ZEO server in a scratch folder, whose name is short enough for a socket."""

    others = True

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix="batos-zeo-"))
        (self.folder / "zeo.conf").write_text(ZEO_CONF.format(folder=self.folder))
        self.start()

    def uri(self, wait=20):
        blobs = f"blob_dir={self.folder}/blobs&shared_blob_dir=1"
        return f"zeo://{self.folder}/zeo.sock?storage=mind&wait_timeout={wait}&{blobs}"

    def start(self):
        (self.folder / "zeo.sock").unlink(missing_ok=True)
        command = [PYTHON, "-m", "ZEO.runzeo", "-C", self.folder / "zeo.conf"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        while not (self.folder / "zeo.sock").exists():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            threading.Event().wait(0.02)

    @contextlib.contextmanager
    def away(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)
        try:
            yield
        finally:
            self.start()

    def fill(self, file, blobs):
        """Serve a copy of a file of ZODB, with its blobs."""
        with self.away():
            (self.folder / "mind.fs.index").unlink(missing_ok=True)
            shutil.copy(file, self.folder / "mind.fs")
            shutil.rmtree(self.folder / "blobs")
            shutil.copytree(blobs, self.folder / "blobs")

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        shutil.rmtree(self.folder)


class Postgres:
    """A database of its own at the server that BATOS_TEST_POSTGRES names."""

    others = True

    def __init__(self):
        self.server = urlsplit(os.environ[POSTGRES])
        self.name = f"batos_{uuid.uuid4().hex[:12]}"
        self.folder = Path(tempfile.mkdtemp(prefix="batos-pg-"))
        self._ask(f"CREATE DATABASE {self.name}")

    def uri(self, wait=0):
        blobs = f"blob_dir={self.folder}&shared_blob_dir=1"
        return f"postgres://{self.server.netloc}/{self.name}?driver=psycopg2&{blobs}"

    @contextlib.contextmanager
    def away(self):
        """Let nobody reach the database: as after a crash, but the others at the server live."""
        self._ask(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
        self._end_sessions()
        try:
            yield
        finally:
            self._ask(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")

    def fill_disk(self):
        """Have the database answer each record as it does on a full disk."""
        self._ask(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END $$; "
            "CREATE TRIGGER full_disk BEFORE INSERT ON object_state EXECUTE FUNCTION refuse()",
            of=self.name,
        )

    def fill(self, file, blobs):
        """Copy a file of ZODB, with its blobs, into the database."""
        at = self.server
        dsn = f"dbname={self.name} host={at.hostname} port={at.port} user={at.username}"
        conf = CONVERT.format(file=file, blobs=blobs, folder=self.folder, dsn=dsn)
        (self.folder / "convert.conf").write_text(conf)
        command = [PYTHON, "-m", "relstorage.zodbconvert", self.folder / "convert.conf"]
        subprocess.run(command, check=True, capture_output=True)

    def close(self):
        self._end_sessions()
        self._ask(f"DROP DATABASE {self.name}")
        shutil.rmtree(self.folder)

    def _end_sessions(self):
        self._ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", self.name
        )

    def _ask(self, text, *values, of=""):
        import psycopg2  # here: it may be missing

        at = self.server
        connection = psycopg2.connect(
            host=at.hostname, port=at.port, user=at.username, dbname=of or at.path.strip("/")
        )
        connection.autocommit = True
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(text, values)


def needs_postgres():
    """Skip the test where no server is named, or nothing speaks with it."""
    if POSTGRES not in os.environ:
        pytest.skip(f"{POSTGRES} names no PostgreSQL server")
    if (
        importlib.util.find_spec("psycopg2") is None
        or importlib.util.find_spec("relstorage") is None
    ):
        pytest.skip("pip install -r requirements-cluster.txt installs what PostgreSQL needs")


@contextlib.contextmanager
def storage_of(kind):
    """Give a storage by the name of its engine: ``file``, ``zeo`` or ``postgres``."""
    if kind == "postgres":
        needs_postgres()
    place = {"file": File, "zeo": Zeo, "postgres": Postgres}[kind]()
    try:
        yield place
    finally:
        place.close()


def where_of(place):
    """Return where kernels that share such a storage see each other: the setting ``cluster``."""
    if isinstance(place, Postgres):
        return f"postgres://{place.server.netloc}/{place.name}"
    return str(place.folder / "alive")
