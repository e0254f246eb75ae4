"""Fork an image: another home with the same past, made in milliseconds, nothing copied.

    forks/NAME/live_image.fs.fork/   second names of the image's files, and their index
    forks/NAME/live_image.fs         what the fork writes

The fork has an identity of its own, and knows where it comes from. Missions that were under
way stay the parent's: they end there, and are not taken up by the fork.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zc.lockfile import LockError
from ZODB.FileStorage.FileStorage import FileIterator
from ZODB.fsIndex import fsIndex
from ZODB.utils import p64, u64, z64

from bat_os.core.settings import IMAGE
from bat_os.errors import ArgumentsError, NotFoundError, StorageError
from bat_os.image import missions
from bat_os.image.files import disk
from bat_os.image.files.blob_folder import blob_files, make_blob_folder, place_blob
from bat_os.image.files.chronicle import add_to_chronicle
from bat_os.image.files.disk import coded, upkeep
from bat_os.image.files.durable import Lock, sync_file
from bat_os.image.files.layers import layers_of, path_of
from bat_os.image.files.opening import FORK, FORMAT, MAX_LAYERS, frozen_folder, read_fork
from bat_os.image.migrations import migrate
from bat_os.image.store import ImageStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, MutableMapping

    from ZODB.FileStorage import FileStorage

FOLDER: Final = "forks"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}\Z", re.ASCII)
_DRAFT: Final = ".draft-"
_DEAD: Final = ".dropped-"


async def fork(image: ImageStore, name: str, *, at: bytes | None = None) -> dict[str, Any]:
    """Fork the image as it is, or as it was after transaction ``at``; it serves meanwhile.

    Returns:
        ``name``, ``home`` of the fork, ``tid`` it begins with, ``image_id`` of its own,
        ``seconds``.
    """
    started = time.monotonic()
    check_name(name)
    home = path_of(image.storage).parent / FOLDER / name

    def put() -> None:
        _check_free(home)  # again, since another one may have been made
        draft.rename(home)
        sync_file(home.parent)

    _check_free(home)
    async with _drafted(image, name, at) as (draft, tid, image_id):
        with coded("fork"):
            await disk.in_thread(lambda _: put())
    entry = {"kind": "fork", "at": time.time(), "name": name, "tid": tid, "image_id": image_id}
    await image.transact(lambda root: add_to_chronicle(root, entry), note=f"chronicle fork {name}")
    seconds = round(time.monotonic() - started, 4)
    return {"name": name, "home": str(home), "tid": tid, "image_id": image_id, "seconds": seconds}


@contextlib.asynccontextmanager
async def scratch(image: ImageStore) -> AsyncIterator[ImageStore]:
    """Give a fork of the image as it is now, open, for a while; it is then removed."""
    async with _drafted(image, "scratch") as (draft, _, _):
        store = ImageStore.open(draft / IMAGE)
        try:
            yield store
        finally:
            await store.close()


@contextlib.asynccontextmanager
async def _drafted(
    image: ImageStore, name: str, at: bytes | None = None
) -> AsyncIterator[tuple[Path, str, str]]:
    """Give (draft of the home, first transaction, identity); what is left of it is removed."""
    draft, tid = await disk.in_thread(
        lambda _: _build(image.storage, name, at), drop=lambda built: _remove(built[0])
    )
    try:
        yield draft, tid, await _settle(draft / IMAGE, name, tid)
    finally:
        await disk.in_thread(lambda _: _remove(draft))


def _remove(draft: Path) -> None:
    shutil.rmtree(draft, ignore_errors=True)


def list_forks(path: Path) -> list[dict[str, Any]]:
    """Return the forks of the image at ``path``.

    Each has ``name``, ``home``, ``tid``, ``made``, ``running``, and ``bytes``: what it takes on
    the disk that nothing else holds.
    """
    folder = path.parent / FOLDER
    homes = sorted(folder.iterdir()) if folder.is_dir() else []
    return [_describe(home) for home in homes if _NAME.match(home.name) and (home / IMAGE).exists()]


def drop_fork(path: Path, name: str) -> dict[str, Any]:
    """Remove the fork ``name`` of the image at ``path``, with all that it learned."""
    check_name(name)
    home = path.parent / FOLDER / name
    if not (home / IMAGE).exists():
        raise NotFoundError(f"found no fork {name!r}; batos forks lists them")
    with coded(f"drop fork {name}"):
        lock = Lock(str(home / f"{IMAGE}.lock"))
        try:
            dead = home.with_name(f"{_DEAD}{secrets.token_hex(4)}")
            home.rename(dead)
        finally:
            lock.close()
        shutil.rmtree(dead, ignore_errors=True)
    return {"name": name, "dropped": True}


def check_name(name: str) -> None:
    """Raise ``ArgumentsError`` unless ``name`` can name a fork."""
    if not _NAME.match(name):
        raise ArgumentsError(f"{name[:60]!r} cannot name a fork; use letters, digits, _ and -")


def _check_free(home: Path) -> None:
    if home.exists():
        raise ArgumentsError(f"there is a fork {home.name!r} already; drop it first")


def _build(storage: Any, name: str, at: bytes | None) -> tuple[Path, str]:
    """Return (draft of the home, the transaction it begins with)."""
    path = path_of(storage)
    forks = path.parent / FOLDER
    with coded("fork"), upkeep(path):
        forks.mkdir(mode=0o700, exist_ok=True)
        sweep(forks)
        draft = forks / disk.name_draft(_DRAFT)
        folder = frozen_folder(draft / IMAGE)
        folder.mkdir(mode=0o700, parents=True)
        try:
            tids = _freeze(layers_of(storage), folder, at)
            facts = {"format": FORMAT, "name": name, "made": time.time(), "layers": tids}
            disk.write_json(folder / FORK, facts)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    return draft, tids[-1]


def _freeze(layers: list[FileStorage], folder: Path, at: bytes | None) -> list[str]:
    used = [layer for layer in layers if layer.lastTransaction() != z64]
    if not used or len(used) > MAX_LAYERS:
        raise ArgumentsError(f"a fork needs an image that holds something, and {MAX_LAYERS} forks "
                             "of forks are the most")  # fmt: skip
    *older, last = used
    tids = [_freeze_file(layer, folder / f"{n}.fs", None) for n, layer in enumerate(older)]
    tids.append(_freeze_file(last, folder / f"{len(older)}.fs", at))
    if at is not None and len(tids) > 1 and at < bytes.fromhex(tids[-2]):
        raise ArgumentsError("that is before this fork began; fork its parent")
    _link_blobs(used, folder, tids)
    return tids


def _freeze_file(layer: FileStorage, place: Path, at: bytes | None) -> str:
    """Give the file a second name, with an index that ends where the fork begins."""
    index = Path(f"{place}.index")
    with layer._lock:  # commits and the end of a pack hold it: file and index belong together
        if not disk.link(Path(layer.getName()), place):
            raise StorageError("this file system has no second names for files; restore a backup "
                               "to another home instead")  # fmt: skip
        tid = layer.lastTransaction()
        layer._index.save(layer.getSize(), str(index))
    if at is None or at >= tid:
        return str(tid.hex())
    return _turn_back(layer, place, index, (at, tid))


def _turn_back(layer: FileStorage, place: Path, index: Path, span: tuple[bytes, bytes]) -> str:
    """Make the index that of an earlier transaction; each record says where the former one is.

    Takes time for what changed since, not for the whole file.
    """
    at, last = span
    known = fsIndex.load(str(index))["index"]
    seen: set[bytes] = set()
    end = 0
    later = FileIterator(str(place), p64(u64(at) + 1), last)
    with place.open("rb") as stream, contextlib.closing(later):
        for transaction in later:
            if transaction.status == "p":
                raise ArgumentsError("the history before that moment has been packed away")
            end = end or transaction._tpos
            for data in transaction:
                if data.oid not in seen:
                    seen.add(data.oid)
                    header = layer._read_data_header(data.pos, _file=stream)
                    if header.prev:
                        known[data.oid] = header.prev
                    else:
                        del known[data.oid]
    if end <= len(b"FS30"):
        raise ArgumentsError("the image does not go back as far as that")
    known.save(end, str(index))
    with place.open("rb") as stream:
        stream.seek(end - 8)
        length = u64(stream.read(8))
        stream.seek(end - 8 - length)
        return stream.read(len(at)).hex()


def _link_blobs(layers: list[FileStorage], folder: Path, tids: list[str]) -> None:
    for number, (layer, tid) in enumerate(zip(layers, tids, strict=True)):
        blobs = make_blob_folder(folder / f"{number}.fs")
        for _, oid, stored, path in blob_files([layer]):
            if stored <= bytes.fromhex(tid):
                disk.link(path, place_blob(blobs, oid, stored))


async def _settle(path: Path, name: str, tid: str) -> str:
    """Open the fork for the first time and give it an identity; return that."""
    fresh = secrets.token_hex(8)

    def work(root: MutableMapping[str, Any]) -> None:
        if "about" in root:
            migrate(root)
        about = dict(root.get("about", {}))
        left = missions.unfinished(root) if about else []
        for mission_id in left:
            missions.let_go(root, mission_id)
        origin = {"image_id": about.get("id", ""), "tid": tid, "name": name, "left": left}
        root["about"] = about | {"id": fresh, "forked_from": origin}

    store = ImageStore.open(path)
    try:
        await store.transact(work, note=f"begin as fork {name}")
    finally:
        await store.close()
    return fresh


def sweep(folder: Path) -> None:
    """Remove what forks that were killed, or dropped only in part, left here."""
    for path in folder.glob(f"{_DEAD}*"):
        shutil.rmtree(path, ignore_errors=True)
    disk.sweep_drafts(folder, _DRAFT)


def _describe(home: Path) -> dict[str, Any]:
    try:
        facts = read_fork(home / IMAGE)
    except StorageError:
        facts = {}
    lock, running = home / f"{IMAGE}.lock", False
    try:
        if lock.exists():
            Lock(str(lock)).close()
    except LockError:
        running = True
    alone = [path.stat() for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    return {
        "name": home.name,
        "home": str(home),
        "tid": (facts.get("layers") or [""])[-1],
        "made": facts.get("made", 0.0),
        "running": running,
        "bytes": sum(about.st_size for about in alone if about.st_nlink == 1),
    }
