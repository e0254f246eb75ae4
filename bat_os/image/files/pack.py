"""Disk space: what takes it, and packing, which frees what only old history needs.

A pack forgets what was superseded before the days that are kept, and what nothing refers to.
The image serves all the time. Forks hold names of their own for the files they began with, so
a pack takes nothing from them.

A clock that jumps 400 days ahead, because a battery is empty or someone mistyped, makes all
answers and all history look old at once. So the image notes when it looked at the clock last,
and what is to be kept for some days is safe for that many days after a jump:

    0 to FORWARD seconds later    time went by
    anything else                 the clock jumped, or the image was not open for so long
"""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

from msgspec import to_builtins
from persistent.mapping import PersistentMapping
from ZODB.POSException import POSKeyError
from ZODB.utils import p64, u64, z64

from bat_os.core.schema import Meta, Record, convert, number, replace
from bat_os.errors import ArgumentsError, DamagedError, StorageError
from bat_os.failpoints import cross
from bat_os.image.allowlist import UNREADABLE, read_record
from bat_os.image.files.blob_folder import blob_files
from bat_os.image.files.chronicle import add_to_chronicle, chronicle
from bat_os.image.files.disk import coded, in_thread, upkeep
from bat_os.image.files.fork import FOLDER, list_forks, sweep
from bat_os.image.files.heads import damaged_heads
from bat_os.image.files.layers import is_in_files, layers_of, path_of, present
from bat_os.image.history.entries import forget_copies
from bat_os.image.models import remove_strays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence

    from ZODB.FileStorage import FileStorage

    from bat_os.image.files.storage import CompressedFile
    from bat_os.image.store import ImageStore

    Measure = Callable[[Any, Mapping[str, list[bytes]]], dict[str, Any]]

KEEP_DAYS: Final = 30.0
MAX_DAYS: Final = 36_500.0
# Below this a file is not worth it.
FLOOR: Final = 16 << 20
# Times the size after the last pack; the second if that is a WEEK ago.
GROWN: Final = 2.0
LATER: Final = 11 / 10
WEEK: Final = 7 * 86_400.0
PAUSE: Final = 3600.0
POLICY: Final = "pack_policy"
# Of each record in a FileStorage, before its data.
HEADER: Final = 42
FORWARD: Final = 3 * 86_400.0
NOTE_EVERY: Final = 6 * 3600.0
_SLACK: Final = 60.0  # clocks are set right by a little now and then
CLOCK: Final = "clock"
# Under which kind a root entry is counted; the first that reaches an object has it.
_KINDS: Final = {
    "objects": ("objects",),
    "catalog": ("knowledge_catalog",),
    "models": ("files_by_sha256", "models"),
    "missions": ("missions", "keys", "unfinished", "answers"),
}
_METHODS: Final = ("bat_os.image.objects.Method", "bat_os.image.objects.MethodVersion")


class Policy(Record, frozen=True):
    """What the owner wants of packing unasked; kept in the image."""

    auto: bool = True  # whether it is done at all
    days: Annotated[float, number(0, MAX_DAYS)] = KEEP_DAYS  # of history to keep
    floor: Annotated[int, Meta(ge=0)] = FLOOR  # bytes below which a file is not worth it


def should_pack(size: int, packed: int, since: float, policy: Policy) -> bool:
    """Return True when the file has grown since the last pack and is worth it.

    It has doubled, or is a tenth larger and the last pack is a week ago.
    ``packed`` is the size after the last pack, or 0, and ``since`` the seconds since then.

    >>> should_pack(300 << 20, 140 << 20, 1e5, Policy())
    True
    >>> should_pack(300 << 20, 160 << 20, 1e5, Policy())
    False
    >>> should_pack(300 << 20, 160 << 20, 8 * 86_400, Policy())
    True
    """
    grown = LATER if since >= WEEK else GROWN
    return policy.auto and size >= max(policy.floor, grown * packed) and since >= PAUSE


async def set_policy(image: ImageStore, wanted: Any) -> dict[str, Any]:
    """Change what is named in ``wanted`` (auto, days, floor); return ``{"policy": all of it}``."""
    convert(wanted, Policy, ArgumentsError, "the policy of packing")

    def work(root: MutableMapping[str, Any]) -> dict[str, Any]:
        root[POLICY] = to_builtins(replace(policy_of(root), **wanted))
        return {"policy": root[POLICY]}

    return await image.transact(work, note="set the policy of packing")


def policy_of(root: Mapping[str, Any]) -> Policy:
    """Return the policy that the image keeps; inside ``ImageStore.transact`` only."""
    return Policy(**root.get(POLICY, {}))


async def pack(image: ImageStore, *, days: float = KEEP_DAYS) -> dict[str, Any]:
    """Forget what was superseded more than ``days`` ago, while the image serves.

    Returns:
        The entry of the chronicle: ``kind``, ``at``, ``days``, ``before`` and ``after``
        (bytes of the image file), ``blobs`` (bytes of blobs removed), ``seconds``.
    """
    convert({"days": days}, Policy, ArgumentsError)
    entry = await in_thread(lambda _: _pack(image.database, days))

    def work(root: MutableMapping[str, Any]) -> None:
        add_to_chronicle(root, entry)
        forget_copies(root)

    await image.transact(work, note="chronicle a pack")
    return entry


async def clear_and_pack(image: ImageStore, *, days: float = KEEP_DAYS) -> dict[str, Any]:
    """Do what ``pack`` does, after the files of unfinished additions of models were forgotten.

    For a person who wants the room. A pack that nobody asked for keeps those files: the addition
    may resume.
    """
    await image.transact(remove_strays, note="remove files of unfinished additions")
    return await pack(image, days=days)


async def pack_if_due(
    image: ImageStore, *, now: float, steady: float = math.inf
) -> dict[str, Any] | None:
    """Remove what killed forks left; pack if the policy says so, and return what ``pack`` does.

    Does nothing for an image that is not in files on this machine. While the clock has been
    ``steady`` for fewer days than history is kept, nothing is packed.
    """

    def look(root: MutableMapping[str, Any]) -> tuple[Policy, list[dict[str, Any]]]:
        return policy_of(root), chronicle(root, "pack")[-1:]

    storage = image.storage
    policy, packs = await image.transact(look, note="look whether a pack is due")
    if not is_in_files(storage):
        return None
    await in_thread(lambda _: sweep(path_of(storage).parent / FOLDER))
    size = layers_of(storage)[-1].getSize()
    last: dict[str, Any] = packs[0] if packs else {"after": 0, "at": 0.0}
    due = should_pack(size, last["after"], now - last["at"], policy)
    if not due or steady < policy.days * 86_400:
        return None
    return await pack(image, days=policy.days)


async def space(image: ImageStore, measure: Measure | None = None) -> dict[str, Any]:
    """Return what takes the room, while the image serves; ``measure`` looks at a server.

    Returns:
        ``file`` (bytes of the image file), ``kinds`` (objects, methods, catalog, models,
        missions, other: each ``objects``, ``bytes`` and ``classes``), ``history`` (bytes of
        superseded versions: what a pack that keeps no days gives back), ``blobs``
        (``files``, ``bytes``, and ``old``: bytes of models and adapters that were replaced or
        removed, which a pack gives back), ``frozen`` (bytes of what a fork began with), ``forks``,
        and ``free`` on the disk, and ``policy`` of packing.
    """

    def look(root: MutableMapping[str, Any]) -> tuple[dict[str, list[bytes]], Policy, set[bytes]]:
        oids = {
            kind: [root[name]._p_oid for name in names if hasattr(root.get(name), "_p_oid")]
            for kind, names in _KINDS.items()
        }
        blobs = {file.blob._p_oid for file in root.get("files_by_sha256", {}).values()}
        return oids | {"other": [z64]}, policy_of(root), blobs

    roots, policy, held = await image.transact(look, note="look where the room goes")
    look_at = measure or partial(_space, held=held)
    used = await asyncio.to_thread(look_at, image.storage, roots)
    return used | {"policy": to_builtins(policy)}


def _pack(database: Any, days: float) -> dict[str, Any]:
    started, now = time.monotonic(), time.time()
    with coded("pack"):
        path = path_of(database.storage)
        with upkeep(path):
            live = layers_of(database.storage)[-1]
            for oid in damaged_heads(live):  # it would be packed away
                raise DamagedError(
                    f"pack: the record of object {oid.hex()} is damaged; batos verify names it"
                )
            before, blobs = live.getSize(), sum(_blob_sizes(live))
            database.pack(now - days * 86_400)
            cross("pack.switched")
            remove_lost_blobs(live)
            after, left = live.getSize(), sum(_blob_sizes(live))
    return {
        "kind": "pack",
        "at": now,
        "days": float(days),
        "before": before,
        "after": after,
        "blobs": blobs - left,
        "seconds": round(time.monotonic() - started, 3),
    }


def remove_lost_blobs(live: FileStorage) -> None:
    """Remove the blob files that no record names, such as those that a killed pack left."""
    for _, oid, tid, path in blob_files([live]):
        try:
            live.loadSerial(oid, tid)
        except POSKeyError:
            path.unlink(missing_ok=True)


def _blob_sizes(live: FileStorage) -> list[int]:
    return [path.stat().st_size for *_, path in blob_files([live])]


def _space(storage: Any, roots: Mapping[str, list[bytes]], held: set[bytes]) -> dict[str, Any]:
    with coded("space"):
        *frozen, live = layers_of(storage)
        kinds = count_room(storage, roots, partial(_stored, layers_of(storage)))
        sizes = [(oid in held, path.stat().st_size) for _, oid, _, path in blob_files([live])]
        size = live.getSize()
        # Of a fork, most records are in the frozen files; its own history is not told apart.
        current = sum(room["bytes"] for room in kinds.values())
        return {
            "file": size,
            "kinds": kinds,
            "history": 0 if frozen else max(0, size - current),
            "blobs": {
                "files": len(sizes),
                "bytes": sum(size for _, size in sizes),
                "old": sum(size for counts, size in sizes if not counts),
            },
            "frozen": sum(layer.getSize() for layer in frozen),
            "forks": list_forks(path_of(storage)),
            "free": shutil.disk_usage(path_of(storage).parent).free,
        }


def _stored(layers: Sequence[CompressedFile], oid: bytes, _record: bytes) -> int:
    """Return how many bytes the record of an object is in the image file that has it."""
    layer = next(layer for layer in reversed(layers) if oid in layer._index)
    return int(layer.history(oid)[0]["size"])


def count_room(
    storage: Any,
    roots: Mapping[str, Iterable[bytes]],
    size: Callable[[bytes, bytes], int] = lambda _, record: len(record),
) -> dict[str, dict[str, Any]]:
    """Return by kind how many ``objects``, their ``bytes`` as stored, and ``classes``."""
    kinds: dict[str, dict[str, Any]] = {
        kind: {"objects": 0, "bytes": 0, "classes": {}} for kind in ("objects", "methods", *roots)
    }
    seen: set[bytes] = set()
    for kind, oids in roots.items():
        for oid, name, record, _ in walk(storage, list(oids), seen):
            room = kinds["methods" if name in _METHODS else kind]
            room["objects"] += 1
            room["bytes"] += size(oid, record) + HEADER
            cls = name.rpartition(".")[2]
            room["classes"][cls] = room["classes"].get(cls, 0) + 1
    return kinds


def walk(
    storage: Any, roots: list[bytes], seen: set[bytes]
) -> Iterator[tuple[bytes, str, bytes, list[bytes]]]:
    """Yield (oid, class, record, references) of all that ``roots`` reach and nobody has seen yet.

    All records are as they were at the transaction that was last when the walk began. What a
    record holds is read by the allow-list, so no code of the image can run.
    """
    with present(storage) as view:
        end = p64(u64(view.lastTransaction()) + 1)
        stack = list(reversed(roots))
        while stack:
            oid = stack.pop()
            if oid in seen:
                continue
            seen.add(oid)
            try:
                found = view.loadBefore(oid, end)
            except POSKeyError as error:
                raise StorageError(f"the object {oid.hex()} is missing from the image") from error
            if found is None:
                continue
            name, below = _read(oid, found[0])
            yield oid, name, found[0], below
            stack.extend(below)


def count_objects(storage: Any) -> dict[str, int]:
    """Return how many objects of each class the image holds, the most frequent first."""
    counted = Counter(name.rpartition(".")[2] for _, name, *_ in walk(storage, [z64], set()))
    if not counted:
        raise StorageError("the image has no root")
    return dict(counted.most_common())


def _read(oid: bytes, record: bytes) -> tuple[str, list[bytes]]:
    """Return the class of a record and what it refers to; the object itself is not made."""
    below: list[Any] = []

    def note(reference: Any) -> None:
        # Lists are weak references, and those to other databases.
        if not isinstance(reference, list):
            below.append(reference[0] if isinstance(reference, tuple) else reference)

    try:
        head = read_record(record, note)
        kind = head[0] if isinstance(head, tuple) else head
        name = f"{kind.__module__}.{kind.__qualname__}"
    except UNREADABLE as error:
        raise StorageError(f"the object {oid.hex()} cannot be read: {error!r}") from error
    if not all(isinstance(other, bytes) and len(other) == len(oid) for other in below):
        raise StorageError(f"the object {oid.hex()} refers to what cannot be")
    return name, below


def clock_steady_for(root: MutableMapping[str, Any], now: float) -> float:
    """Return for how many seconds the clock has not jumped; infinity where it never has.

    Writes a note when it jumped, and every NOTE_EVERY seconds; into a record of its own, as that
    of the root is large.
    """
    note = root.get(CLOCK, {"seen": now, "steady": math.inf})
    gap, steady = now - note["seen"], float(note["steady"])
    steady = steady + max(gap, 0.0) if -_SLACK <= gap <= FORWARD else 0.0
    if CLOCK not in root or steady == 0.0 or gap >= NOTE_EVERY:
        if not isinstance(note, PersistentMapping):  # what earlier versions have in the root
            note = root[CLOCK] = PersistentMapping()
        note.update(seen=now, steady=steady)
    return steady
