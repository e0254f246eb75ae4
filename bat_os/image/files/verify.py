"""``verify``: compare everything with its SHA-256, name what is damaged, and set it aside.

    a method    its version is taken out of use; a message finds nothing and may learn anew
    a mission   is not run any more
    a document  is found no more; what is left of it is kept in the quarantine
    a file      takes down the models that need it, and no other
    a record    is named; where it is part of something needed, restore a backup
    an end      that the image file once had is named

What is set aside is kept in ``root["quarantine"]`` until it is whole again. FileStorage has no
checksum of its own: a flipped bit is found here or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ZODB.blob import Blob
from ZODB.POSException import POSError, POSKeyError
from ZODB.utils import z64

from bat_os.core.values import Counted
from bat_os.errors import BatError, StorageError
from bat_os.image import missions
from bat_os.image.allowlist import BROKEN
from bat_os.image.blobs import find_places
from bat_os.image.catalog import catalog_in
from bat_os.image.files.disk import hash_file
from bat_os.image.files.ending import losses
from bat_os.image.files.heads import check_head, oids_in
from bat_os.image.files.layers import is_in_files, path_of, present
from bat_os.image.knowledge.document import Document, is_readable
from bat_os.image.objects import Method, UvmObject, connection_of, object_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    from bat_os.image.catalog_service import CatalogService
    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]

WHOLE_METHOD: Final = -1  # in a key, in the place of a version
QUARANTINE: Final = "quarantine"
AT_ONCE: Final = 500
_ADVICE: Final = {
    "record": "restore a backup if something does not work: batos restore --help",
    "method": "ask for it again, and it is learned anew; or teach it",
    "mission": "ask again, with another key",
    "document": "learn it again: batos learn FILE",
    "index": "batos documents still lists all; learn one of them again to rebuild it",
    "file": "add the model again: batos models add NAME SOURCE",
    "end": "restore a backup from after that; or if nothing is missing, remove the file *.lost",
}


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is not what was committed."""

    kind: str  # ``record``, ``method``, ``mission``, ``document``, ``index``, ``file``, ``end``
    key: str  # which one, so that it can be found again
    what: str
    why: str

    @property
    def name(self) -> str:
        """Under which it is kept in the quarantine."""
        return f"{self.kind}:{self.key}"


async def verify(
    image: ImageStore, catalog: CatalogService, say: Callable[[str], None]
) -> dict[str, Any]:
    """Compare all that is stored with its SHA-256, and quarantine what is damaged.

    Every step is a short transaction, and files are read outside of any, so the kernel goes
    on answering.

    Returns:
        ``checked``: kind -> how many; ``damaged``: maps with ``kind``, ``key``, ``what``,
        ``why``, ``advice``; ``quarantined``: what is in the quarantine now.
    """
    checked: dict[str, int] = {}
    damaged = await asyncio.to_thread(lost_ends, image.storage)
    say("loading every object")
    with contextlib.ExitStack() as held:
        view = await asyncio.to_thread(held.enter_context, present(image.storage))
        checked["record"], found = await _walk(
            image, functools.partial(look_at_records, storage=view), 0
        )
    if found:
        look = functools.partial(look_again, found=found)
        found = await image.transact(look, note="verify")
    damaged += found
    say("comparing briefs")
    checked["mission"], found = await _walk(image, look_at_missions, "")
    damaged += found
    checked["document"], found = await _look_at_catalog(catalog, say)
    damaged += found
    files = await image.transact(list_files, note="list stored files")
    checked["file"] = len(files)
    for number, file in enumerate(files, start=1):
        say(Counted(f"reading stored files: {number} of {len(files)}", number, len(files)))
        if bad := await asyncio.to_thread(damaged_file, *file):
            damaged.append(bad)
    set_aside = await _quarantine(image, damaged)
    listed = [asdict(one) | {"advice": _ADVICE[one.kind]} for one in damaged]
    return {"checked": checked, "damaged": listed, "quarantined": set_aside}


async def _look_at_catalog(
    catalog: CatalogService, say: Callable[[str], None]
) -> tuple[int, list[Damage]]:
    try:
        report = await catalog.verify(say)
    except BROKEN as error:
        return 0, [Damage("index", "catalog", "index of the catalog", reason(error))]
    why = "its text is not what was learned"
    documents = [Damage("document", key, f"document {key}", why) for key in report["damaged"]]
    return report["documents"], documents + [
        Damage("index", name, f"index of {name}", "it is not what was written")
        for name in report["indexes"]
    ]


async def _walk(
    image: ImageStore, step: Callable[..., tuple[int, list[Damage], Any]], first: Any
) -> tuple[int, list[Damage]]:
    total, after = 0, first
    damaged: list[Damage] = []
    while after is not None:
        run = functools.partial(step, after=after, limit=AT_ONCE)
        count, found, after = await image.transact(run, note="verify")
        total += count
        damaged += found
    return total, damaged


async def _quarantine(image: ImageStore, damaged: Sequence[Damage]) -> list[dict[str, Any]]:
    now = time.time()

    def work(root: Root) -> list[dict[str, Any]]:
        known: Mapping[str, Any] = root.get(QUARANTINE, {})
        found = {one.name for one in damaged}
        # What is left where it was, and is not damaged any more.
        stale = [
            key
            for key, entry in known.items()
            if entry["kind"] in ("end", "file", "index", "record") and key not in found
        ]
        for key in stale:
            del root[QUARANTINE][key]
        for one in damaged:
            kept = _set_aside(root, one)
            quarantine = tree_of(root, QUARANTINE)
            if one.name not in quarantine:
                quarantine[one.name] = {**asdict(one), "at": now, "kept": kept}
        shown = ("kind", "key", "what", "why", "at")
        entries = root.get(QUARANTINE, {}).values()
        return [{key: entry[key] for key in shown} for entry in entries]

    note = f"quarantine {len(damaged)} damaged" if damaged else "look at the quarantine"
    return await image.transact(work, note=note)


def _set_aside(root: Root, one: Damage) -> Any:
    """Take what is damaged out of use; return what is to be kept of it."""
    if one.kind == "method":
        return _set_method_aside(root, *one.key.split(":"))
    if one.kind == "mission":
        missions.let_go(root, one.key)
    if one.kind == "document":
        catalog = catalog_in(root)
        kept = catalog.document(one.key)
        if isinstance(kept, Document) and not is_readable(kept):
            catalog.remove_unreadable(one.key)
            return None
        # Else a reference leads elsewhere, and it stays as it is.
        if isinstance(kept, Document) and catalog.holds(kept, one.key):
            catalog.remove(one.key)
            return kept
    return None


def _set_method_aside(root: Root, oid: str, selector: str, place: str) -> None:
    if (holder := object_of(root, oid)) is None:
        return
    method = holder.slots.get(selector)
    if int(place) == WHOLE_METHOD:
        del holder.slots[selector]
        holder._p_changed = True
    elif isinstance(method, Method) and method.current == int(place):
        method.current = -1


def lost_ends(storage: Any) -> list[Damage]:
    """Return the ends that were missing when the image file was opened."""
    if not is_in_files(storage):
        return []
    what = "the end of the image file"
    try:
        found = losses(path_of(storage))
    except StorageError as error:  # it names a loss, and which one is not known
        return [Damage("end", "", what, str(error))]
    return [Damage("end", f"{loss.last}:{loss.size}", what, str(loss)) for loss in found]


def look_at_records(
    root: Mapping[str, Any], after: Any, limit: int, storage: Any
) -> tuple[int, list[Damage], Any]:
    """Load up to ``limit`` objects of a storage's present and check the methods in them.

    What was committed since the transaction began cannot be loaded in it and counts as
    damaged, so ``look_again`` has the last word.

    Returns:
        How many were loaded, what is damaged, and where to go on; None at the end.
    """
    jar = connection_of(root)
    found: list[Damage] = []
    if is_in_files(storage):
        oids = list(islice(oids_in(storage, after or z64), limit + 1))
        for oid in oids[:limit]:
            found += _look_at(jar, oid, storage)
        return len(oids[:limit]), found, oids[limit] if len(oids) > limit else None
    cookie = after or None  # each storage has cookies of its own kind
    for count in range(limit):
        try:
            oid, _, record, cookie = storage.record_iternext(cookie)
        except (POSError, ValueError, KeyError, StopIteration):  # the last two: no objects
            return count, found, None
        found += _look_at(jar, oid, None, record)
        if cookie is None:
            return count + 1, found, None
    return limit, found, cookie


def look_again(root: Mapping[str, Any], found: list[Damage]) -> list[Damage]:
    """Return those of some damaged objects that are damaged in this transaction too."""
    jar = connection_of(root)
    storage = jar.db().storage if is_in_files(jar.db().storage) else None
    oids = {one.key.partition(":")[0] for one in found}
    still = {one.key for oid in oids for one in _look_at(jar, bytes.fromhex(oid), storage)}
    return [one for one in found if one.key in still]


def look_at_missions(
    root: Mapping[str, Any], after: str, limit: int
) -> tuple[int, list[Damage], str | None]:
    """Check the briefs of up to ``limit`` missions; returns as ``look_at_records``."""
    found: list[Damage] = []
    try:
        ids = list(islice(missions.ids_after(root, after), limit))
    except BROKEN:  # a part of their tree, which is named as a record
        return 0, found, None
    for mission_id in ids:
        try:
            missions.check(root, mission_id)
        except BROKEN as error:
            found.append(Damage("mission", mission_id, f"mission {mission_id}", reason(error)))
    # Damaged keys may be out of order: never go back.
    return len(ids), found, ids[-1] if len(ids) == limit and ids[-1] > after else None


def list_files(root: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Return (SHA-256, path or "", models that need it) of every stored file."""
    wanted: dict[str, list[str]] = {}
    with contextlib.suppress(*BROKEN):  # what cannot be read is named as a record
        for name, model in root.get("models", {}).items():
            for file_name, sha256 in model.files.items():
                wanted.setdefault(sha256, []).append(f"{name}: {file_name}")
    places = find_places(root, sorted({*wanted, *root.get("files_by_sha256", ())}))
    return [(sha256, place, wanted.get(sha256, [])) for sha256, place in places.items()]


def damaged_file(sha256: str, place: str, models: list[str]) -> Damage | None:
    """Return what is wrong with a stored file, or None; reads it whole."""
    what = f"file of {', '.join(models)}" if models else f"file {sha256[:12]} of no model"
    if not place:
        return Damage("file", sha256, what, "it is missing")
    try:
        found = hash_file(Path(place))
    except OSError as error:
        return Damage("file", sha256, what, f"it cannot be read: {error.strerror}")
    if found == sha256:
        return None
    return Damage("file", sha256, what, f"its SHA-256 is {found[:12]}..., not {sha256[:12]}...")


def _look_at(jar: Any, oid: bytes, storage: Any, record: bytes = b"") -> list[Damage]:
    """Return what is wrong with an object; ``storage`` are the image files, if it is in files.

    What is in memory may be whole still, so the record is read from its file.
    """
    try:
        if storage is not None:
            check_head(storage, oid)
            with contextlib.suppress(POSKeyError):  # what made it was undone, or packed away
                record, _ = storage.load(oid, "")
            if not record:
                return []
        obj = jar.get(oid)
        if isinstance(obj, Blob):  # its file is looked at by itself
            return []
        obj._p_activate()
        if isinstance(obj, UvmObject):
            return _look_at_methods(obj, oid.hex())
    except BROKEN as error:
        return [Damage("record", oid.hex(), _name(oid, record), reason(error))]
    return []


def _look_at_methods(obj: UvmObject, oid: str) -> list[Damage]:
    found = []
    for selector, value in obj.slots.items():
        if not isinstance(value, Method):
            continue
        try:
            versions = value.versions
        except BROKEN as error:
            key = f"{oid}:{selector}:{WHOLE_METHOD}"
            found.append(Damage("method", key, f"{obj.name or oid}.{selector}", reason(error)))
            continue
        for place, version in enumerate(versions):
            try:
                why = "" if version.is_whole else "its source is not what was committed"
            except BROKEN as error:
                why = reason(error)
            if why:
                name = f"{obj.name or oid}.{selector}, version {place + 1}"
                found.append(Damage("method", f"{oid}:{selector}:{place}", name, why))
    return found


def _name(oid: bytes, record: bytes) -> str:
    """Return what a record that cannot be loaded was: the class that its first bytes name."""
    words = [part for part in record[:120].split(b"\n") if part.isascii()]
    text = b" ".join(words)[:60].decode("ascii", "replace")
    shown = "".join(c for c in text if c.isprintable())
    return f"object {oid.hex()}{f' ({shown})' if shown else ''}"


def reason(error: BaseException) -> str:
    """Return what went wrong while something was loaded, in short."""
    if isinstance(error, BatError):
        return str(error)[:200]
    missing = isinstance(error, POSKeyError)
    return f"{'a part of it is missing' if missing else 'it cannot be read'}: {error}"[:200]
