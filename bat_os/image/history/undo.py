"""Take back what one transaction changed in objects, unless it was changed since.

    before, after the transaction, now  >  what the slot gets, or ConflictError

The three are merged like the branches of a text: an item that was added to a list goes, one that
was removed comes back to its place, and what others have changed beside it stays. A fact that was
kept is hidden again, a schedule is cancelled. Parents and names are what they were, a deleted
object is there again, and a new one that has a name is deleted, with its grant. Methods stay as
they are; ``unlearn`` is for these.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ZODB.utils import p64, u64

from bat_os.errors import ArgumentsError, ConflictError, NotFoundError
from bat_os.image import family, grants, memory, missions, schedules
from bat_os.image.history import entries, marks
from bat_os.image.history.moments import read_at
from bat_os.image.objects import (
    Method,
    UvmObject,
    connection_of,
    find,
    freeze,
    object_of,
    ref_of,
    thaw,
)
from bat_os.image.shipped import SHIPPED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, MutableMapping

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.core.values import Ref
    from bat_os.image.store import ImageStore

    Root = MutableMapping[str, Any]
    _Slots = Mapping[str, Any]
    _Labels = Mapping[str, tuple[str, ...]]
    # name, slots, oids of the parents, labels
    _Seen = tuple[str, dict[str, Any], tuple[str, ...], _Labels]

_GONE: Final = object()  # what a slot holds that is not there
_DEPTH: Final = 64
_TID: Final = 8  # bytes


@dataclass(frozen=True, slots=True)
class Change:
    """What a transaction did to one object."""

    oid: str
    name: str  # of the object, or ""
    fact: str  # id of the fact that it is, or ""
    is_new: bool
    before: Mapping[str, Any]  # slots, without methods
    after: Mapping[str, Any]
    tid: str = ""
    was: str = ""  # its name before
    parents: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())  # oids before and after
    labels: Mapping[str, Any] = field(default_factory=dict)  # of the slots before
    schedule: int = 0  # number of the schedule that it is, or 0

    @property
    def is_deleted(self) -> bool:
        """True if the object has lost its name."""
        return bool(self.was and not self.name)


async def read_changes(image: ImageStore, tid: str) -> list[Change]:
    """Return what a transaction changed in the slots of objects; [] if nothing.

    Raises:
        NotFoundError: It was packed since.
        ArgumentsError: There is no such transaction.
    """

    def oids(_: Root) -> set[bytes]:
        try:
            at = bytes.fromhex(tid)
            found = {record.oid for step in image.storage.iterator(at, at) for record in step}
        except ValueError:
            at, found = b"", set()
        if len(at) != _TID or not found:
            raise ArgumentsError(
                f"{tid[:20]!r} names no transaction; batos diff lists them. To take back what was "
                'done for your last sentence: batos ask "undo that"'
            )
        return found

    touched = await image.transact(oids, note="look at a transaction")
    earlier = p64(u64(bytes.fromhex(tid)) - 1).hex()
    before = await read_at(image, earlier, lambda root: _look(root, touched))
    after = await read_at(image, tid, lambda root: _look(root, touched))
    facts = await read_at(image, tid, lambda root: _facts(root, set(after)))
    numbers = await read_at(image, tid, lambda root: _schedules(root, set(after)))
    nothing: _Seen = ("", {}, (), {})
    return [
        Change(
            oid, name, facts.get(oid, ""), oid not in before, old[1], slots, tid, old[0],
            (old[2], line), old[3], numbers.get(oid, 0),
        )
        for oid, (name, slots, line, _) in sorted(after.items())
        for old in (before.get(oid, nothing),)
        if oid not in before or (old[0], old[2]) != (name, line) or not _same(old[1], slots)
    ]  # fmt: skip


def revived(changes: list[Change]) -> dict[str, str]:
    """Return the facts that recall will find again: id -> text."""
    return {
        change.fact: change.after["text"]
        for change in changes
        if change.fact and not change.is_new and not _is_live(change.after)
        and _is_live(change.before)
    }  # fmt: skip


def returning(root: Root, changes: list[Change]) -> dict[str, entries.Summary]:
    """Return what the methods of deleted objects are found by: "oid selector" -> summary."""
    found = {}
    for change in changes:
        obj = object_of(root, change.oid) if change.is_deleted else None
        for method in () if obj is None else _learned(obj):
            summary = entries.summary_of(method.selector, method.version)
            found[f"{change.oid} {method.selector}"] = summary
    return found


def take_back(
    root: Root,
    changes: list[Change],
    vectors: Mapping[str, NDArray[np.float32]],
    returned: Mapping[str, entries.Summary] = MappingProxyType({}),
) -> list[str]:
    """Undo changes, inside ``transact``; return the names, "" for a fact or a schedule.

    Args:
        root: Of the image.
        changes: As ``read_changes`` returned them.
        vectors: Of the texts of ``revived``, by id, ``(1, d)``; of the passages of ``returned``.
        returned: As ``returning`` returned it.

    Raises:
        ConflictError: Something was changed since; nothing is undone.
        NotFoundError: A deleted object was packed since.
    """
    undone = []
    for change in changes:
        obj = object_of(root, change.oid)
        if obj is None and change.is_deleted:
            raise NotFoundError(f"{change.was} was packed since; restore a backup")
        kept = change.fact or change.schedule
        if obj is None or (change.is_new and not kept and not change.name):
            continue
        if change.is_new and not kept:
            undone.append(_unmake(root, change, obj))
            continue
        if change.is_new and change.schedule:
            schedules.change(root, change.schedule, live=False)
            undone.append("")
            continue
        _put_back(root, change, obj)
        for key, summary in returned.items():
            oid, _, selector = key.partition(" ")
            if oid == change.oid:
                entries.put_entry(root, obj, obj.slots[selector], (summary, vectors[key]))
        now = _slots_of(obj)
        wanted = {"hidden": True} if change.is_new else _merged(change, now)
        if change.fact:
            memory.change(root, change.fact, vectors.get(change.fact), **wanted)
        else:
            for name, value in wanted.items():
                _put(root, obj, name, value, change.labels.get(name, ()))
        undone.append("" if change.fact else change.name or change.was)
    return undone


def _unmake(root: Root, change: Change, obj: UvmObject) -> str:
    """Delete a named object that is as the transaction has made it; return its name.

    The leave that was given with it ends.
    """
    records: list[Any] = [
        obj,
        *(value for value in obj.slots.values() if isinstance(value, Method)),
    ]
    for record in records:
        record._p_activate()
    if any(record._p_serial.hex() != change.tid for record in records):
        raise ConflictError(f"{change.name} was changed since it was made")
    if grants.links(root, change.oid):
        grants.revoke(root, change.oid, time.time())
    try:
        family.delete(root, obj)
    except ArgumentsError as error:
        raise ConflictError(str(error)) from error
    return change.name


def _put_back(root: Root, change: Change, obj: UvmObject) -> None:
    """Give an object the name and the parents that it had."""
    before, after = change.parents
    if before != after:
        if _line(obj) != after:
            raise ConflictError(f"the parents of {obj.name or 'the object'} were changed since")
        family.set_parents(obj, [find(root, oid) for oid in before])
    if change.was == change.name:
        return
    if obj.name != change.name:
        raise ConflictError(f"{change.name or change.was} has another name by now")
    try:
        if change.was:
            family.rename(root, obj, change.was)
        else:
            family.take_name(root, obj)
    except ArgumentsError as error:
        raise ConflictError(str(error)) from error
    entries.note_copies(root, obj)
    if change.is_deleted:
        for value in obj.slots.values():
            if isinstance(value, Method):
                marks.restore_waiting(root, value)


def _line(obj: UvmObject) -> tuple[str, ...]:
    return tuple(ref_of(parent).oid for parent in obj.parents)


def _learned(obj: UvmObject) -> list[Method]:
    found = [value for value in obj.slots.values() if isinstance(value, Method)]
    return [method for method in found if method.current >= 0 and method.status != SHIPPED]


def _merged(change: Change, now: _Slots) -> dict[str, Any]:
    """Return the slots to set; ``_GONE`` for one to remove."""
    wanted = {}
    for name in {*change.before, *change.after}:
        held = change.before.get(name, _GONE), change.after.get(name, _GONE)
        if not _same(*held):
            wanted[name] = merge_back(*held, now.get(name, _GONE))
    return wanted


def merge_back(before: Any, after: Any, now: Any, depth: int = 0) -> Any:
    """Return what is now, without the step from ``before`` to ``after``.

    >>> merge_back(["tea"], ["tea", "milk"], ["tea", "milk", "eggs"])
    ['tea', 'eggs']

    Raises:
        ConflictError: What the step made was changed since.
    """
    if _same(after, now):
        return before
    kinds = {type(before), type(after), type(now)}
    if kinds == {dict} and depth < _DEPTH:
        return _merge_maps(before, after, now, depth)
    if kinds == {list}:
        return _merge_lists(before, after, now)
    raise ConflictError("it was changed since")


def _merge_maps(
    before: dict[Any, Any], after: dict[Any, Any], now: dict[Any, Any], depth: int
) -> dict[Any, Any]:
    merged = dict(now)
    for key in [*before, *(key for key in after if key not in before)]:
        held = before.get(key, _GONE), after.get(key, _GONE)
        if _same(*held):
            continue
        value = merge_back(*held, now.get(key, _GONE), depth + 1)
        if value is _GONE:
            del merged[key]
        else:
            merged[key] = value
    return merged


def _merge_lists(before: list[Any], after: list[Any], now: list[Any]) -> list[Any]:
    added, removed = _without(after, before), _without(before, after)
    if not added and not removed:
        raise ConflictError("it was changed since")
    merged = list(now)
    for item in added:
        at = _place(merged, item)
        if at is None:
            raise ConflictError("it was changed since")
        del merged[at]
    for item in removed:
        earlier = before[: _place(before, item)]
        places = (_place(merged, each) for each in reversed(earlier))
        at = next((place for place in places if place is not None), -1)
        merged.insert(at + 1, item)
    return merged


def _without(items: list[Any], others: list[Any]) -> list[Any]:
    left, kept = list(others), []
    for item in items:
        at = _place(left, item)
        if at is None:
            kept.append(item)
        else:
            del left[at]
    return kept


def _place(items: list[Any], wanted: Any) -> int | None:
    return next((at for at, item in enumerate(items) if _same(item, wanted)), None)


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _is_live(slots: _Slots) -> bool:
    return not (slots.get("hidden") or slots.get("replaced_by"))


def _put(root: Root, obj: UvmObject, name: str, value: Any, label: Collection[str]) -> None:
    def resolve(ref: Ref) -> UvmObject:
        return find(root, ref.oid)

    label = {*label, *obj.labels.get(name, ())}  # lists and maps hold what was there and what is
    if value is not _GONE:
        obj.set_slot(name, thaw(value, resolve), label)
    elif name in obj.slots:
        obj.remove_slot(name, label)


def _look(root: Root, oids: set[bytes]) -> dict[str, _Seen]:
    """Return name, slots and parents of those of the records that are objects of a person."""
    seen: dict[str, _Seen] = {}
    named = root.get("objects", {})
    for oid in oids:
        obj = object_of(root, oid.hex())
        if obj is None or obj.name.startswith(missions.RECORD):
            continue
        if obj.name and named.get(obj.name) is not obj:
            continue
        seen[oid.hex()] = obj.name, _slots_of(obj), _line(obj), dict(obj.labels)
    return seen


def _slots_of(obj: UvmObject) -> dict[str, Any]:
    obj._p_activate()
    return {key: freeze(each) for key, each in obj.slots.items() if not isinstance(each, Method)}


def _schedules(root: Root, oids: set[str]) -> dict[str, int]:
    """Return oid -> number of those objects that are schedules."""
    kept = root.get(schedules.SCHEDULES)
    found = ((ref_of(obj).oid, number) for number, obj in kept.items()) if kept else ()
    return {oid: number for oid, number in found if oid in oids}


def _facts(root: Root, oids: set[str]) -> dict[str, str]:
    """Return oid -> id of those objects that are facts."""
    kept = root.get(memory.FACTS)
    if not kept:
        return {}
    jar = connection_of(root)
    found = {}
    for oid in oids:
        obj = jar.get(bytes.fromhex(oid))
        fact_id = str(obj.slots.get("id", ""))
        if fact_id and kept.get(fact_id) is obj:
            found[oid] = fact_id
    return found
