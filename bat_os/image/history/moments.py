"""The image as it was: read-only views of a moment, and what changed between two.

A view is exact: a database connection opened at a transaction. A comparison reads only what the
transactions between the two moments wrote, so its cost depends on the change and not on the
image. Packing removes old states; a moment before the last pack cannot be seen any more.

NotFoundError: the image did not exist at that moment, or was packed since.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import deque
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import transaction
from BTrees.OOBTree import OOBTree, OOBucket
from persistent.TimeStamp import TimeStamp
from ZODB.POSException import POSError, ReadOnlyHistoryError
from ZODB.utils import p64, u64

from bat_os.core.oids import called, name_oid
from bat_os.core.values import to_wire
from bat_os.errors import ArgumentsError, BatError, NotFoundError, StorageError
from bat_os.image import missions
from bat_os.image.files.rewrite import refuse_erased
from bat_os.image.history import entries
from bat_os.image.knowledge.document import Document
from bat_os.image.objects import Method, UvmObject, connection_of, freeze, ref_of
from bat_os.image.store import CallCounter, ImageStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping, Sequence

    from bat_os.core.moments import Moment

    Root = MutableMapping[str, Any]
    _Step = tuple["Change", str, set[bytes]]  # what was committed, by which caller, which records

T = TypeVar("T")

MAX_ROWS: Final = 1_000
_SHOWN: Final = 120
# Seconds of the past that are looked through for a page of transactions; 0 is all of it.
WINDOWS: Final = (600.0, 86_400.0, 30 * 86_400.0, 0.0)
MAX_TOUCHED, MAX_NAMES = 1_000, 50  # records of a transaction that are looked at, names of one
_ABSENT: Final = object()


async def read_at(image: ImageStore, tid: str, work: Callable[[Root], T]) -> T:
    """Run ``work(root)`` on the image as it was after a transaction, and return its result.

    ``work`` returns plain data and cannot change anything.
    """
    return await image.transact(lambda _root: look_at(image, tid, work), note="read the past")


async def survey(image: ImageStore, work: Callable[[Root], T], *, note: str) -> T:
    """Do what ``read_at`` does with the image as it is now: for work that reads most of it.

    What it reads does not stay in memory, nor take the place of what is used often.
    """

    def forgetting(root: Root) -> T:
        try:
            return work(root)
        finally:  # what refers to itself would wait for Python's collector of garbage
            connection_of(root).cacheMinimize()

    return await image.transact(
        lambda root: look_at(image, _latest(root).hex(), forgetting), note=note
    )


def _latest(root: Root) -> bytes:
    latest: bytes = connection_of(root).db().lastTransaction()
    return latest


def resolve(root: Root, moment: Moment) -> str:
    """Return the id of the last transaction at a moment, as 16 hexadecimal digits.

    Raises:
        NotFoundError: The mission is unknown, or the history of that moment was erased.
    """
    return refuse_erased(root, _resolve(root, moment))


def _resolve(root: Root, moment: Moment) -> str:
    latest = _latest(root)
    if moment.time is not None:
        when = moment.time.astimezone(dt.UTC)
        stamp = TimeStamp(*when.timetuple()[:5], when.second + when.microsecond / 1e6)
        return str(min(stamp.raw(), latest).hex())
    if moment.kind == "transaction":
        return str(min(bytes.fromhex(moment.text), latest).hex())
    mission = missions.stored(root, moment.text)
    mission._p_activate()
    return str(mission._p_serial.hex())


async def changes(image: ImageStore, one: str, other: str) -> dict[str, Any]:
    """Return what differs between two moments, the earlier one first.

    Returns:
        ``from`` and ``to`` (transactions), ``transactions`` (id, time, note of each between
        them), ``objects`` (name, ``what``: ``new``, ``gone`` or ``changed``, and slots with
        before and after), ``methods`` (object, selector, versions before and after, 0 where
        nobody understood it) and ``documents`` (id, ``what``). Each list has at most MAX_ROWS.
    """
    before, after = sorted((one, other))
    return await image.transact(
        lambda _root: _compare(image, before, after), note="compare two moments"
    )


def look_at(image: ImageStore, tid: str, work: Callable[[Root], T]) -> T:
    """Do what ``read_at`` does, in this thread; for work that takes long."""
    manager = transaction.TransactionManager(explicit=True)
    try:
        connection = image.database.open(manager, at=bytes.fromhex(tid))
    except (POSError, ValueError) as error:
        raise ArgumentsError(f"{tid[:20]!r} is not a moment of this image: {error}") from error
    try:
        manager.begin()
        try:
            return work(connection.root())
        finally:
            manager.abort()
    except ReadOnlyHistoryError as error:
        raise ArgumentsError("the past cannot be changed") from error
    except POSError as error:
        if isinstance(error.__cause__, BatError):  # loading a state refused a class
            raise error.__cause__ from error
        if isinstance(error, KeyError):  # ZODB: no such record at that moment
            raise NotFoundError(
                "the image did not exist then, or was packed since; batos chronicle lists packs"
            ) from error
        raise StorageError(f"the past cannot be read: {error}") from error
    finally:
        connection.close()


def _compare(image: ImageStore, before: str, after: str) -> dict[str, Any]:
    log, touched = _between(image, before, after)
    oids = touched | {
        oid
        for tid in (before, after)
        for oid in look_at(image, tid, lambda root: _holders(root, touched))
    }

    def held(tid: str, kind: type[Any]) -> dict[str, bytes]:
        return look_at(image, tid, lambda root: _held(root, touched, kind))

    named = held(before, UvmObject), held(after, UvmObject)
    oids |= {oid for _, oid in named[0].items() ^ named[1].items()}
    old = look_at(image, before, lambda root: _look(root, oids))
    new = look_at(image, after, lambda root: _look(root, oids))
    renamed = _follow_names(old, new)
    return {
        "from": before,
        "to": after,
        "transactions": log[-MAX_ROWS:],
        "objects": object_rows(old["objects"], new["objects"], renamed)[:MAX_ROWS],
        "methods": [
            {"object": name, "selector": selector, "before": was, "after": now}
            for (name, selector), was, now in differences(old["methods"], new["methods"], 0)
        ][:MAX_ROWS],
        "documents": [
            {"document": doc_id, "what": what_became(was, now)}
            for doc_id, was, now in differences(held(before, Document), held(after, Document))
            if not doc_id.startswith(f"{entries.PREFIX}:")
        ][:MAX_ROWS],
    }


def _between(image: ImageStore, before: str, after: str) -> tuple[list[dict[str, Any]], set[bytes]]:
    """Return the transactions after ``before`` up to ``after``, and the oids that they wrote."""
    log, touched = [], set()
    for step in _iterate(image, before, after):
        touched |= {record.oid for record in step}
        change = _change(step)
        log.append({"id": change.tid, "at": change.at, "note": change.note})
    return log, touched


def _iterate(image: ImageStore, after: str, until: str) -> Iterator[Any]:
    """Return ZODB's records of the transactions after ``after``, up to ``until``."""
    start = p64(u64(bytes.fromhex(after)) + 1)
    records: Iterator[Any] = image.storage.iterator(start, bytes.fromhex(until))
    return records


def _look(root: Root, oids: set[bytes]) -> dict[str, Any]:
    """Return what people know of these records, as plain data."""
    named = root.get("objects", {})
    seen: dict[str, Any] = {"objects": {}, "methods": {}, "names": {}}
    for oid in oids:
        obj = _load(root, oid)
        if not isinstance(obj, UvmObject) or obj.name.startswith(missions.RECORD):
            continue
        if obj.name and named.get(obj.name) is not obj:  # it has lost its name, or has none yet
            continue
        name = seen["names"][oid] = called(ref_of(obj))
        slots = {k: v for k, v in obj.slots.items() if not isinstance(v, Method)}
        parents = [called(ref_of(parent)) for parent in obj.parents]
        seen["objects"][name] = {"slots": freeze(slots), "parents": parents}
        for selector, method in obj.slots.items():
            if isinstance(method, Method) and method.versions:
                seen["methods"][name, selector] = method.current + 1
    return seen


def _follow_names(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """Show an object under its later name at both moments; return its earlier one by that.

    One that has lost its name was deleted: it is not there at the later moment.
    """
    renamed = {}
    for oid, was in old["names"].items():
        now = new["names"].get(oid, was)
        if now == was:
            continue
        if now == name_oid(oid.hex()):
            _move(new, now, "")
        else:
            _move(old, was, now)
            renamed[now] = was
    return renamed


def _move(seen: dict[str, Any], name: str, to: str) -> None:
    """Show what was seen under another name, or not at all."""
    held = seen["objects"].pop(name)
    methods = {key: seen["methods"].pop(key) for key in list(seen["methods"]) if key[0] == name}
    if to:
        seen["objects"][to] = held
        seen["methods"] |= {(to, selector): at for (_, selector), at in methods.items()}


def _held(root: Root, touched: set[bytes], kind: type[Any]) -> dict[str, bytes]:
    """Return oids by key of what touched tree nodes hold of one kind.

    What comes into a tree, goes or is replaced changes the node that holds it, so nothing
    else needs to be read, however large the tree is.
    """
    nodes = (_load(root, oid) for oid in touched)
    return {
        key: value._p_oid
        for node in nodes
        if isinstance(node, OOBTree | OOBucket)
        for key, held in node.items()
        if isinstance(value := held[0] if type(held) is tuple and held else held, kind)
    }


def _holders(root: Root, touched: set[bytes]) -> list[bytes]:
    """Return the oids of objects with a touched method that answers.

    A method that is unlearned at one of two moments and changed between them answers at the
    other one, so looking at both finds all.
    """
    if "knowledge_catalog" not in root:
        return []
    if not any(isinstance(_load(root, oid), Method) for oid in touched):
        return []
    return [
        holder._p_oid for holder, m in entries.learned(root, copies=True) if m._p_oid in touched
    ]


def _load(root: Root, oid: bytes) -> Any:
    try:
        return connection_of(root).get(oid)
    except KeyError:  # it was not there then
        return None


def object_rows(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    renamed: Mapping[str, str] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Return what differs between objects by name, each with its ``slots`` and ``parents``.

    ``renamed`` has the earlier name of an object by its later one.
    """
    rows = []
    for name in sorted({*old, *new}):
        one, other = old.get(name), new.get(name)
        held = (one["slots"] if one else {}), (other["slots"] if other else {})
        slots = [
            {"slot": slot, "before": _shown(before), "after": _shown(after)}
            for slot, before, after in differences(*held, _ABSENT)
        ]
        what = what_became(one, other)
        parents = (one or other or {})["parents"], (other or one or {})["parents"]
        if what == "changed" and not slots and parents[0] == parents[1] and name not in renamed:
            continue
        row = {"object": name, "what": what, "slots": slots}
        if name in renamed:
            row |= {"what": "renamed", "was": renamed[name]}
        if parents[0] != parents[1]:
            row["parents"] = list(parents)
        rows.append(row)
    return rows


def differences(
    old: Mapping[Any, Any], new: Mapping[Any, Any], absent: Any = None
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield (key, before, after) of what differs, sorted by key."""
    for key in sorted({*old, *new}):
        before, after = old.get(key, absent), new.get(key, absent)
        if type(before) is not type(after) or before != after:
            yield key, before, after


def _shown(value: Any) -> str:
    text = "" if value is _ABSENT else repr(to_wire(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def what_became(before: Any, after: Any) -> str:
    """Return ``new``, ``gone`` or ``changed``."""
    return "changed" if before and after else "new" if after else "gone"


class PastImage(ImageStore):
    """An image after one of its transactions; belongs to the store that it was made from."""

    def __init__(self, image: ImageStore, tid: str) -> None:
        self._present = image
        self.tid = tid
        self.uses = CallCounter()  # never written: a look back does not count as a call

    async def transact(
        self, work: Callable[[MutableMapping[str, Any]], T], *, note: str, mission: str = ""
    ) -> T:
        """Return ``work(root)`` on the root of then; what ``work`` changes is dropped."""

        def run(root: MutableMapping[str, Any]) -> T:
            if "objects" not in root:
                raise NotFoundError("the image had not awakened then")
            return work(root)

        return await read_at(self._present, self.tid, run)

    async def read(
        self, key: tuple[str, ...], work: Callable[[MutableMapping[str, Any]], T], *, note: str
    ) -> T:
        """Return ``work(root)`` on the root of then."""
        return await self.transact(work, note=note)

    async def close(self) -> None:
        """Do nothing: the present image has what there is to close."""


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction of the history."""

    tid: str  # its id, 16 hexadecimal digits
    at: float
    note: str
    mission: str  # on whose behalf, or ""


async def list_changes(image: ImageStore, after: str, until: str) -> list[Change]:
    """Return the transactions later than ``after``, up to ``until``, oldest first."""
    found = await asyncio.to_thread(
        lambda: [_change(step) for step in _iterate(image, after, until)]
    )
    if not found:
        raise ArgumentsError("nothing was committed between the good moment and the bad one")
    return found


async def bisect(
    changes: Sequence[Change], is_good: Callable[[Change], Awaitable[bool]]
) -> tuple[Change | None, int]:
    """Return the first transaction after which the answer is not good, and the number of looks.

    The transaction is None if the answer is good after all of them. That the answer at the bad
    moment differs is not taken for granted: if all looks are good, the last one was at the bad
    moment itself. Of several changes back and forth, one is found. With n transactions it takes
    the smallest k looks with 2**k > n, or fewer.
    """
    low, high, looks = 0, len(changes), 0
    while low < high:
        middle = (low + high) // 2
        looks += 1
        if await is_good(changes[middle]):
            low = middle + 1
        else:
            high = middle
    return (changes[low] if low < len(changes) else None), looks


def _change(step: Any) -> Change:
    note = step.description.decode(errors="replace")
    mission = str(step.extension.get("mission", ""))
    return Change(step.tid.hex(), TimeStamp(step.tid).timeTime(), note, mission)


async def list_newest(image: ImageStore, before: str, limit: int) -> dict[str, Any]:
    """Return up to ``limit`` transactions earlier than ``before`` ("": all), the newest first.

    Found in windows that grow into the past: storages are read forwards only.
    """
    steps = await asyncio.to_thread(_newest, image, before, limit)

    def name(root: Root) -> list[dict[str, Any]]:
        return [
            {"id": change.tid, "at": change.at, "note": change.note, "by": by,
             "mission": change.mission, "names": _names_of(root, oids)}
            for change, by, oids in steps
        ]  # fmt: skip

    rows = await image.transact(name, note="name what was changed")
    return {"moments": rows, "before": rows[-1]["id"] if len(rows) == limit else ""}


def _newest(image: ImageStore, before: str, limit: int) -> list[_Step]:
    latest = image.database.lastTransaction()
    end = p64(max(u64(bytes.fromhex(before)) - 1, 0)) if before else latest
    tids: deque[bytes] = deque(maxlen=limit)
    for seconds in WINDOWS:
        start = _earlier(end, seconds)
        tids.clear()
        tids.extend(step.tid for step in image.storage.iterator(start, end))
        if len(tids) == limit or not seconds:
            break
    found: list[_Step] = []
    for step in image.storage.iterator(tids[0], tids[-1]) if tids else ():
        by = step.user.decode(errors="replace").strip("/ ")
        found.append((_change(step), by, {record.oid for record in islice(step, MAX_TOUCHED)}))
    return found[::-1]


def _earlier(tid: bytes, seconds: float) -> bytes:
    if not seconds:
        return b"\0" * 7 + b"\1"
    moment = dt.datetime.fromtimestamp(TimeStamp(tid).timeTime() - seconds, dt.UTC)
    parts = (moment.year, moment.month, moment.day, moment.hour, moment.minute)
    stamp = TimeStamp(*parts, moment.second + moment.microsecond / 1e6)
    return bytes.fromhex(stamp.raw().hex())


def _names_of(root: Root, oids: set[bytes]) -> list[str]:
    named = root.get("objects", {})
    found = {obj.name for oid in oids if isinstance(obj := _load(root, oid), UvmObject)}
    return sorted(name for name in found if name in named)[:MAX_NAMES]
