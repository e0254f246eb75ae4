"""What is done to an image that a server holds: backups, packs, room, and what must not be set.

    verb ── image in a file ──→ bat_os.image.files
         └─ image at a server ─→ here: done, or refused with the command that does it

    at each start ── broken_promises ──→ refused, for an answer could be lost or a file missing

ZEO's server packs and is copied over the wire. PostgreSQL has tools of its own for that, which
need no daemon and are better than what could be written here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shlex
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import transaction
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import ConflictError, POSError
from ZODB.utils import z64

from bat_os.core.settings import IMAGE
from bat_os.errors import ArgumentsError, SettingsError, StorageError
from bat_os.image.files import disk
from bat_os.image.files.chronicle import add_to_chronicle
from bat_os.image.files.layers import is_in_files, present
from bat_os.image.files.pack import count_room
from bat_os.image.files.storage import MARK, CompressedFile

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.image.blobs import StoredFile
    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]

FILE, ZEO, POSTGRES, OTHER = "file", "ZEO", "PostgreSQL", "another storage"
DUMP: Final = "mind.dump"
LAYOUT: Final = ".layout"  # of a folder of blobs, as ZODB writes it
WHICH: Final = ".batos"  # beside it: which folder this is
# What PostgreSQL answers for these must not be ``off``, and why.
DURABLE: Final = {
    "fsync": "the whole image could be lost with the power of the server",
    "full_page_writes": "the image could be damaged if the power of the server fails",
    "synchronous_commit": "what was accepted could be lost with the power of the server",
}
MOST_FILES: Final = 200  # stored files that are looked for at a start
_HOW: Final = {
    "archive": "make a backup (batos backup FOLDER) and put that in one file: tar czf FILE FOLDER",
    (ZEO, "fork"): "batos backup FOLDER writes an image in a file; a copy of this mind runs on it "
    "with: batos --home FOLDER start",
    (POSTGRES, "fork"): "batos backup FOLDER, then at the server: createdb TRIAL && pg_restore "
    "--dbname TRIAL FOLDER/" + DUMP + "; a home with image = the address of TRIAL runs it",
    (POSTGRES, "pack"): "make a backup first, then at any machine with RelStorage: write {conf} "
    "to pack.conf, then zodbpack --days {days:g} --prepack pack.conf && "
    "zodbpack --days {days:g} --use-prepack-state pack.conf, and last batos verify",
    OTHER: "use the tools of its storage",
}
_CONF: Final = "<relstorage>\n keep-history {history}\n <postgresql>\n  dsn {dsn}\n </postgresql>\n"
_SECRET: Final = re.compile(r"\s*password\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")
_PART: Final = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")
_VARIABLES: Final = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "dbname": "PGDATABASE",
                     "password": "PGPASSWORD", "sslmode": "PGSSLMODE"}  # fmt: skip


def engine_of(storage: Any) -> str:
    """Return what holds the image: FILE, ZEO, POSTGRES or OTHER."""
    if is_in_files(storage):
        return FILE
    if type(storage).__module__.startswith("ZEO."):
        return ZEO
    adapter = type(getattr(storage, "_adapter", None)).__module__
    return POSTGRES if ".postgresql" in adapter else OTHER


def refuse(storage: Any, verb: str, *, days: float = 0) -> ArgumentsError:
    """Return the error that names the command which does what a verb cannot do there."""
    engine = engine_of(storage)
    how = _HOW.get((engine, verb)) or _HOW.get(verb) or _HOW[OTHER]
    if "{conf}" in how:
        how = how.format(conf=repr(_pack_conf(storage)), days=days)
    return ArgumentsError(f"this image is at a server ({engine}), which has no {verb}; {how}")


async def back_up(image: ImageStore, folder: Path) -> dict[str, Any]:
    """Write all of a server's image to a folder, and return what ``files.backup`` returns.

    Of ZEO it is an image in a file, with its history and its blobs; of PostgreSQL a dump as
    ``pg_restore`` reads it, and the folder of blobs where the kernels share one. Each is written
    whole, under another name, and takes the place of the one before when it is complete.

    Raises:
        ArgumentsError: The folder cannot be used, or the tools of the server are not here.
        StorageError: The server, its tool or the disk failed.
    """
    disk.check_absolute(folder, "the folder of a backup")
    storage, started = image.storage, time.monotonic()
    write = {ZEO: _copy_zeo, POSTGRES: _dump}.get(engine_of(storage))
    if write is None:
        raise refuse(storage, "backup")
    tid = image.database.lastTransaction().hex()
    with disk.coded("backup"):
        size, blobs = await asyncio.to_thread(write, storage, folder)
    return {
        "folder": str(folder), "tid": tid, "size": size, "blobs": blobs, "added": size,
        "full": True, "damaged": [], "seconds": round(time.monotonic() - started, 3),
    }  # fmt: skip


async def pack(image: ImageStore, *, days: float) -> dict[str, Any]:
    """Have ZEO's server forget what was superseded; as ``files.pack``, blobs are not counted.

    Raises:
        ArgumentsError: Another engine; names the command.
    """
    storage, now, started = image.storage, time.time(), time.monotonic()
    if engine_of(storage) != ZEO:
        raise refuse(storage, "pack", days=days)
    before = storage.getSize()
    with disk.coded("pack"):
        await asyncio.to_thread(image.database.pack, now - days * 86_400)
    entry = {
        "kind": "pack", "at": now, "days": float(days), "before": before,
        "after": storage.getSize(), "blobs": 0, "seconds": round(time.monotonic() - started, 3),
    }  # fmt: skip
    await image.transact(lambda root: add_to_chronicle(root, entry), note="chronicle a pack")
    return entry


def measure(storage: Any, roots: Mapping[str, list[bytes]]) -> dict[str, Any]:
    """Return what takes the room at a server; as ``files.pack`` does for an image in a file."""
    kinds = count_room(storage, roots)
    size, current = storage.getSize(), sum(room["bytes"] for room in kinds.values())
    folder = _shared_blobs(storage)
    blobs = [path.stat().st_size for path in folder.rglob("*.blob")] if folder else []
    return {
        "engine": engine_of(storage), "file": size, "kinds": kinds,
        "history": max(0, size - current), "blobs": {"files": len(blobs), "bytes": sum(blobs)},
        "frozen": 0, "forks": [], "free": shutil.disk_usage(folder).free if folder else 0,
    }  # fmt: skip


def check_promises(image: ImageStore) -> None:
    """Refuse an image at a server whose settings break a promise.

    Raises:
        SettingsError: Says which setting, why, and what to set.
    """
    if broken := broken_promises(image):
        raise SettingsError("; ".join(broken))


def broken_promises(image: ImageStore) -> list[str]:
    """Return, a sentence for each, what is set at a server or here that breaks a promise."""
    storage = image.storage
    engine = engine_of(storage)
    if engine == FILE:
        return []
    if _is_compressed(image):
        return [
            "the server was given the file of an image as it is, whose records are compressed: "
            "copy it as docs/scaling.md says"
        ]
    found = _ask_postgres(storage) if engine == POSTGRES else []
    if engine == ZEO and _resolves_there(storage):
        found.append(
            "ZEO's server resolves conflicts by itself, where nothing holds it to the classes of "
            "an image: set `client-conflict-resolution true` in the part <zeo> of its zeo.conf"
        )
    return found + _look_at_blobs(image)


def _is_compressed(image: ImageStore) -> bool:
    """Return whether the server has records as an image file has them."""
    connection = image.database.open(transaction.TransactionManager(explicit=True))
    try:
        connection.transaction_manager.begin()
        objects = connection.root().get("objects")
        with present(image.storage) as view:
            return objects is not None and view.load(objects._p_oid)[0].startswith(MARK)
    finally:
        connection.transaction_manager.abort()
        connection.close()


def _ask_postgres(storage: Any) -> list[str]:
    manager = storage._adapter.connmanager
    connection, cursor = manager.open_for_load()
    try:
        answers = {}
        for name in DURABLE:
            cursor.execute(f"SHOW {name}")
            answers[name] = _text(cursor.fetchone()[0])
    finally:
        manager.close(connection, cursor)
    database = _parts(storage).get("dbname", "NAME")
    how = {name: f"set {name} = on in postgresql.conf" for name in DURABLE}
    how["synchronous_commit"] = f"ALTER DATABASE {database} SET synchronous_commit = on"
    return [
        f"PostgreSQL has {name} = off, so {why}; {how[name]}"
        for name, why in DURABLE.items()
        if answers[name] == "off"
    ]


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _resolves_there(storage: Any) -> bool:
    """Return whether ZEO's server resolves a conflict; nothing is stored.

    The root is stored as if nobody had ever written it, which is a conflict. A server that leaves
    conflicts to its clients gives it back to this one.
    """
    asked: list[bytes] = []

    def note(oid: bytes, *_: Any) -> bytes:
        asked.append(oid)
        raise ConflictError(oid=oid)

    root, _ = storage.load(z64)
    about = TransactionMetaData("", "look who resolves conflicts", {})
    own = storage.__dict__.get("tryToResolveConflict")
    storage.tryToResolveConflict = note
    try:
        storage.tpc_begin(about)
        storage.store(z64, b"\0" * 7 + b"\1", root, "", about)
        with contextlib.suppress(ConflictError):
            storage.tpc_vote(about)
    except ConflictError:
        pass
    finally:
        storage.tpc_abort(about)
        if own is None:
            del storage.tryToResolveConflict
        else:
            storage.tryToResolveConflict = own
    return not asked


def _look_at_blobs(image: ImageStore) -> list[str]:
    """Return what is wrong with where the large files are."""
    storage = image.storage
    connection = image.database.open(transaction.TransactionManager(explicit=True))
    try:
        connection.transaction_manager.begin()
        return _judge_blobs(storage, list(connection.root().get("files_by_sha256", {}).values()))
    finally:
        connection.transaction_manager.abort()
        connection.close()


def _judge_blobs(storage: Any, stored: Sequence[StoredFile]) -> list[str]:
    size = sum(file.size for file in stored)
    limit, shared = _blob_cache(storage), _shared_blobs(storage)
    if limit and not shared and limit < size:
        return [
            f"the blob cache ({limit} bytes) is smaller than the stored models ({size} bytes), so "
            "a model's file could vanish while it is used: set blob_cache_size to more, or share "
            "the blob folder (shared_blob_dir=1)"
        ]
    for file in stored[:MOST_FILES] if shared else ():
        try:
            file.blob.committed()
        except (POSError, OSError):
            return [
                f"the blob folder {shared} is not the one that the other kernels use: it lacks "
                f"the file {file.sha256[:12]} ({file.name}); mount the same folder there"
            ]
    return []


def mark_blobs(storage: Any) -> str:
    """Return what a file in the shared blob folder says, made by the first; "" without a folder.

    Kernels that read different texts do not use the same folder.
    """
    folder = _shared_blobs(storage)
    if folder is None:
        return ""
    mark, draft = folder / WHICH, folder / f"{WHICH}-{secrets.token_hex(8)}"
    with disk.coded("the blob folder"):
        folder.mkdir(parents=True, exist_ok=True)
        if not mark.is_file():
            draft.write_text(secrets.token_hex(8), encoding="ascii")
            with contextlib.suppress(FileExistsError):
                os.link(draft, mark)  # whole, or not at all; the first wins
            draft.unlink()
        return mark.read_text(encoding="ascii")[:40]


def _blob_cache(storage: Any) -> int:
    options = getattr(storage, "_options", storage)  # RelStorage's; ZEO's client has its own
    names = "blob_cache_size", "_blob_cache_size"
    return int(next((size for name in names if (size := getattr(options, name, None))), 0))


def _shared_blobs(storage: Any) -> Path | None:
    """Return the folder of blobs if all kernels use the same."""
    options = getattr(storage, "_options", storage)
    folder = getattr(options, "blob_dir", None)
    return Path(folder) if folder and getattr(options, "shared_blob_dir", False) else None


def _copy_zeo(storage: Any, folder: Path) -> tuple[int, int]:
    """Copy all transactions over the wire; return bytes and number of blobs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f"draft-{secrets.token_hex(4)}"
    draft.mkdir(mode=0o700)
    try:
        copy = CompressedFile(str(draft / IMAGE), blob_dir=str(draft / f"{IMAGE}.blob"))
        try:
            copy.copyTransactionsFrom(storage)
        finally:
            copy.close()
        for part in (f"{IMAGE}.blob", IMAGE):  # the file last: with it the backup is whole
            old, new = folder / part, draft / part
            if old.exists() and not disk.exchange(new, old):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
                new.rename(old)
            elif new.exists() and not old.exists():
                new.rename(old)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    blobs = [path.stat().st_size for path in (folder / f"{IMAGE}.blob").rglob("*.blob")]
    return (folder / IMAGE).stat().st_size + sum(blobs), len(blobs)


def _dump(storage: Any, folder: Path) -> tuple[int, int]:
    """Have ``pg_dump`` write the database; return bytes and number of blobs."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = folder / f"{DUMP}.{secrets.token_hex(4)}"
    command = ["pg_dump", "--format=custom", "--file", str(draft)]
    parts = _parts(storage)
    if not (shutil.which("pg_dump") and shutil.which("pg_restore")):
        where = " ".join(f"{_VARIABLES[key]}={shlex.quote(value)}"
                         for key, value in parts.items() if key in _VARIABLES
                         and key != "password")  # fmt: skip
        raise ArgumentsError(
            "pg_dump is not on this machine; install PostgreSQL's client, or run at the server: "
            f"{where} pg_dump --format=custom --file {shlex.quote(str(folder / DUMP))}"
        )
    environment = os.environ | {_VARIABLES[key]: value for key, value in parts.items()
                                if key in _VARIABLES}  # fmt: skip
    try:
        _run(command, environment)
        _run(["pg_restore", "--list", str(draft)], environment)
        draft.replace(folder / DUMP)
    finally:
        draft.unlink(missing_ok=True)
    blobs = _keep_blobs(_shared_blobs(storage), folder / "blobs")
    return (folder / DUMP).stat().st_size + sum(blobs), len(blobs)


def _keep_blobs(shared: Path | None, folder: Path) -> list[int]:
    """Bring a copy of a shared blob folder up to date; blobs never change. Return their sizes."""
    sizes = []
    if shared is not None and (shared / LAYOUT).is_file():  # how its folders are named
        folder.mkdir(exist_ok=True)
        shutil.copyfile(shared / LAYOUT, folder / LAYOUT)
    for path in sorted(shared.rglob("*.blob")) if shared is not None else ():
        place = folder / path.relative_to(shared or path)
        if not place.is_file() or place.stat().st_size != path.stat().st_size:
            place.parent.mkdir(parents=True, exist_ok=True)
            draft = place.with_suffix(".draft")
            shutil.copyfile(path, draft)
            draft.replace(place)
        sizes.append(place.stat().st_size)
    return sizes


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - the server's own tool, and no shell
        command, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = " ".join(done.stderr.split())[-300:]
        raise StorageError(f"{command[0]} failed: {said}")


def _parts(storage: Any) -> dict[str, str]:
    """Return the parts of the address of a database: ``host``, ``dbname``, ``password``."""
    found = _PART.findall(str(storage._adapter._dsn))
    return {key: value.strip("'").replace("\\'", "'") for key, value in found}


def _pack_conf(storage: Any) -> str:
    """Return what ``zodbpack`` reads, without the password: that belongs into PGPASSFILE."""
    history = "true" if getattr(storage._adapter, "keep_history", True) else "false"
    dsn = _SECRET.sub("", str(storage._adapter._dsn)).strip()
    return f"{_CONF.format(history=history, dsn=dsn)}</relstorage>\n"
