"""Room: what takes it, and packing, which gives back what only old history needs.

A pack forgets what was superseded before the days that are kept, and what nothing refers to.
The image serves meanwhile. Forks hold names of their own for the files they began with, so
a pack takes nothing from them.
"""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ZODB.POSException import POSKeyError
from ZODB.utils import z64

from bat_os.errors import ArgumentsError
from bat_os.failpoints import cross
from bat_os.image import modelfiles
from bat_os.image.files import operations_log as chronicle
from bat_os.image.files.disk import coded
from bat_os.image.files.fork import FOLDER, list_forks, sweep
from bat_os.image.files.storage import (
    blob_files,
    is_in_files,
    layers_of,
    path_of,
    upkeep,
)
from bat_os.image.files.usage import HEADER, Room, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping

    from ZODB.FileStorage import FileStorage

    from bat_os.image.store import ImageStore

KEEP_DAYS: Final = 30.0
MAX_DAYS: Final = 36_500.0
# Below this a file is not worth it.
FLOOR: Final = 64 << 20
PAUSE: Final = 3600.0
POLICY: Final = "pack_policy"
# Under which kind a root entry is counted; the first that reaches an object has it.
_KINDS: Final = {
    "objects": ("objects",),
    "catalog": ("knowledge_catalog",),
    "models": ("files_by_sha256", "models"),
    "missions": ("missions", "keys", "unfinished"),
}
_METHODS: Final = ("bat_os.image.objects.Method", "bat_os.image.objects.MethodVersion")


@dataclass(frozen=True, slots=True)
class PackFacts:
    """What decides whether an image is packed unasked.

    Attributes:
        size: Bytes of the image file.
        packed: Bytes it had after the last pack, or 0.
        since: Seconds since the last pack.
    """

    size: int
    packed: int
    since: float


@dataclass(frozen=True, slots=True)
class Policy:
    """What the owner wants of packing unasked; kept in the image.

    Attributes:
        auto: Whether it is done at all.
        days: Of history to keep.
        floor: Bytes below which a file is not worth it.
    """

    auto: bool = True
    days: float = KEEP_DAYS
    floor: int = FLOOR


def should_pack(facts: PackFacts, policy: Policy = Policy()) -> bool:
    """Return True when the file has doubled since the last pack and is worth it.

    >>> should_pack(PackFacts(300 << 20, 140 << 20, 1e5))
    True
    >>> should_pack(PackFacts(300 << 20, 160 << 20, 1e5)), should_pack(PackFacts(1 << 20, 0, 1e5))
    (False, False)
    """
    big = facts.size >= max(policy.floor, 2 * facts.packed)
    return policy.auto and big and facts.since >= PAUSE


async def set_policy(image: ImageStore, wanted: Any) -> dict[str, Any]:
    """Change what is named in ``wanted`` (auto, days, floor); return ``{"policy": all of it}``.

    Raises:
        ArgumentsError: It is no map, or names or values are off.
    """
    if not isinstance(wanted, dict) or not set(wanted) <= set(asdict(Policy())):
        raise ArgumentsError("a policy has auto, days and floor")

    def work(root: MutableMapping[str, Any]) -> dict[str, Any]:
        policy = replace(policy_of(root), **wanted)
        if type(policy.auto) is not bool:
            raise ArgumentsError("auto is neither true nor false")
        _check_days(policy.days)
        if type(policy.floor) is not int or policy.floor < 0:
            raise ArgumentsError("floor is a number of bytes")
        root[POLICY] = asdict(policy)
        return {"policy": asdict(policy)}

    return await image.transact(work, note="set the policy of packing")


def policy_of(root: Mapping[str, Any]) -> Policy:
    """Return the policy that the image keeps; inside ``ImageStore.transact`` only."""
    return Policy(**root.get(POLICY, {}))


async def pack(image: ImageStore, *, days: float = KEEP_DAYS) -> dict[str, Any]:
    """Forget what was superseded more than ``days`` ago; the image serves meanwhile.

    Returns:
        The entry of the chronicle: ``kind``, ``at``, ``days``, ``before`` and ``after``
        (bytes of the image file), ``blobs`` (bytes of blobs removed), ``seconds``.

    Raises:
        ArgumentsError: ``days`` is no number of days.
        LockedError: A backup, fork or another pack is at work.
        StorageFullError: There is no room for the new file beside the old one.
        StorageError: The image is not in files, or cannot be read.
    """
    _check_days(days)
    database = image.database
    entry = await modelfiles.in_thread(lambda _: _pack(database, days))
    await image.transact(lambda root: chronicle.record(root, entry), note="chronicle a pack")
    return entry


async def tend(image: ImageStore, *, now: float, steady: float = math.inf) -> dict[str, Any] | None:
    """Clear away what killed forks left; pack if the policy says so; return what ``pack`` does.

    Does nothing for an image that is not in files on this machine. While the clock has been
    ``steady`` for fewer days than history is kept, nothing is packed.

    Raises:
        BatError: As ``pack``.
    """

    def look(root: MutableMapping[str, Any]) -> tuple[Any, Policy, list[dict[str, Any]]]:
        packs = chronicle.entries(root, "pack")[-1:]
        return root._p_jar.db().storage, policy_of(root), packs  # type: ignore[attr-defined]  # ZODB: the root's connection

    storage, policy, packs = await image.transact(look, note="look whether a pack is due")
    if not is_in_files(storage):
        return None
    await modelfiles.in_thread(lambda _: sweep(path_of(storage).parent / FOLDER))
    size = layers_of(storage)[-1].getSize()
    facts = PackFacts(
        size, packs[0]["after"] if packs else 0, now - packs[0]["at"] if packs else now
    )
    due = should_pack(facts, policy) and steady >= policy.days * 86_400
    return await pack(image, days=policy.days) if due else None


async def space(image: ImageStore) -> dict[str, Any]:
    """Return what takes the room, while the image serves.

    Returns:
        ``file`` (bytes of the image file), ``kinds`` (objects, methods, catalog, models,
        missions, other: each ``objects``, ``bytes`` and ``classes``), ``history`` (bytes of
        superseded versions: what a pack that keeps no days gives back), ``blobs``
        (``files``, ``bytes``), ``frozen`` (bytes of what a fork began with), ``forks``, and
        ``free`` on the disk, and ``policy`` of packing.

    Raises:
        StorageError: The image is not in files.
    """

    def look(root: MutableMapping[str, Any]) -> tuple[Any, dict[str, list[bytes]], Policy]:
        oids = {
            kind: [root[name]._p_oid for name in names if hasattr(root.get(name), "_p_oid")]
            for kind, names in _KINDS.items()
        }
        storage = root._p_jar.db().storage  # type: ignore[attr-defined]  # ZODB: the root's connection
        return storage, oids | {"other": [z64]}, policy_of(root)

    storage, roots, policy = await image.transact(look, note="look where the room goes")
    told = await asyncio.to_thread(_space, storage, roots)
    return told | {"policy": asdict(policy)}


def _check_days(days: Any) -> None:
    if type(days) not in (int, float) or not 0 <= days <= MAX_DAYS:
        raise ArgumentsError(f"days to keep are a number from 0 to {MAX_DAYS:.0f}")


def _pack(database: Any, days: float) -> dict[str, Any]:
    started, now = time.monotonic(), time.time()
    with coded("pack"):
        path = path_of(database.storage)
        with upkeep(path):
            live = layers_of(database.storage)[-1]
            before, blobs = live.getSize(), _blob_bytes(live)
            database.pack(now - days * 86_400)
            cross("pack.switched")
            _remove_orphans(live)
            after, left = live.getSize(), _blob_bytes(live)
    return {
        "kind": "pack",
        "at": now,
        "days": float(days),
        "before": before,
        "after": after,
        "blobs": blobs - left,
        "seconds": round(time.monotonic() - started, 3),
    }


def _blob_bytes(live: FileStorage) -> int:
    return sum(path.stat().st_size for *_, path in blob_files([live]))


def _remove_orphans(live: FileStorage) -> None:
    """Remove blobs that no record names: what a pack left that was killed before."""
    for layer, oid, tid, path in blob_files([live]):
        try:
            layer.loadSerial(oid, tid)
        except POSKeyError:
            path.unlink(missing_ok=True)


def _space(storage: Any, roots: Mapping[str, list[bytes]]) -> dict[str, Any]:
    with coded("space"):
        *frozen, live = layers_of(storage)
        kinds = _count(storage, roots)
        blobs = [path.stat().st_size for *_, path in blob_files([live])]
        size = live.getSize()
        # Of a fork, most records are in the frozen files; its own history is not told apart.
        current = sum(room.bytes for room in kinds.values())
        return {
            "file": size,
            "kinds": {
                kind: {"objects": room.objects, "bytes": room.bytes, "classes": dict(room.classes)}
                for kind, room in kinds.items()
            },
            "history": 0 if frozen else max(0, size - current),
            "blobs": {"files": len(blobs), "bytes": sum(blobs)},
            "frozen": sum(layer.getSize() for layer in frozen),
            "forks": list_forks(path_of(storage)),
            "free": shutil.disk_usage(path_of(storage).parent).free,
        }


def _count(storage: Any, roots: Mapping[str, Iterable[bytes]]) -> dict[str, Room]:
    kinds = {kind: Room() for kind in ("objects", "methods", *roots)}
    seen: set[bytes] = set()
    for kind, oids in roots.items():
        for _, name, record in walk(storage, list(oids), seen):
            room = kinds["methods" if name in _METHODS else kind]
            room.objects += 1
            room.bytes += len(record) + HEADER
            room.classes[name.rpartition(".")[2]] += 1
    return kinds
