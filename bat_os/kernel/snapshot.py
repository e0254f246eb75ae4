"""What a turn reads: snapshots of objects as plain data, with the serials that were read.

All functions here work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.values import Ref, check_object_name, weigh
from bat_os.errors import ArgumentsError, CellError, ConflictError, NotUnderstoodError
from bat_os.image.missions import RECORD
from bat_os.image.objects import Method, UvmObject, find, freeze, ref_of
from bat_os.image.shipped import SHIPPED
from bat_os.kernel.entries import OF_A_PERSON
from bat_os.kernel.labels import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    Root = MutableMapping[str, Any]
    Fetched = tuple["ObjectSnapshot | None", "Runnable | None", dict[str, bytes]]

MAX_WRITTEN: Final = 16 << 20  # bytes of one turn; what a clone copies counts
MAX_MADE: Final = 100  # objects of one turn
_NEW: Final = "ffff"  # so begins the oid of an object that is not in the image yet


@dataclass(frozen=True, slots=True)
class Runnable:
    """What answers a message: a primitive's name, or the source of a learned method."""

    primitive: str  # name, or ""
    source: str  # module text, or ""
    status: str  # of the method's version
    cell: str = ""  # kind of the cell that the source was tried in; "" where that is not recorded


class Budget:
    """What one turn may write and make, over all its calls: the disk and the kernel's memory.

    A call has limits of its own, but a turn has a thousand.
    """

    def __init__(self) -> None:
        self._made = 0
        self._sizes: dict[tuple[str, str], int] = {}
        self._total = 0

    def charge(self, oid: str, name: str, size: int) -> None:
        """Count the bytes of a slot's new value; the one before no longer counts.

        Raises:
            CellError: The turn writes more than MAX_WRITTEN bytes.
        """
        self._total += size - self._sizes.get((oid, name), 0)
        self._sizes[oid, name] = size
        if self._total > MAX_WRITTEN:
            text = f"one message may write {MAX_WRITTEN >> 20} MB, with the objects that it makes"
            raise CellError(text, kind="limit")

    def count_object(self) -> None:
        """Count an object more.

        Raises:
            CellError: The turn makes more than MAX_MADE objects.
        """
        self._made += 1
        if self._made > MAX_MADE:
            raise CellError(f"one message may make {MAX_MADE} objects", kind="limit")


@dataclass(slots=True)
class ObjectSnapshot:
    """One object as a turn sees it: plain data, with the turn's own writes applied."""

    ref: Ref
    slots: dict[str, Any]
    own: set[str]
    selectors: frozenset[str]
    parents: tuple[Ref, ...]
    changed: dict[str, Any] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    cloned_from: Ref | None = None  # of a new object; a child answers by its parent's methods
    is_child: bool = False  # new, and without methods of its own
    by_method: bool = False  # new, and made by a method
    moved: bool = False  # it gets the parents that are here
    budget: Budget = field(default_factory=Budget)  # of the turn; all its objects share one
    weights: dict[str, int] = field(default_factory=dict)  # bytes of slots that were weighed
    by_person: bool = False  # a person sets the slot themselves, so it may be an entry
    # by slot, the grants that had a say in it: such a slot is given to a method that touches it
    labels: dict[str, frozenset[str]] = field(default_factory=dict)

    def weight(self, name: str) -> int:
        """Return about how many bytes a slot takes; weighs it once."""
        if name not in self.weights:
            self.weights[name] = weigh(self.slots[name], MAX_WRITTEN)
        return self.weights[name]

    def visible(self, label: set[str]) -> dict[str, Any]:
        """Return the slots that tell a run with this label nothing that it does not know."""
        hidden = {name for name, grants in self.labels.items() if not grants <= label}
        return {k: v for k, v in self.slots.items() if k not in hidden} if hidden else self.slots

    def write(self, name: str, value: Any) -> None:
        """Set a slot in the snapshot.

        Raises:
            CellError: The object has a method of that name, which no slot may hide.
        """
        if name in self.selectors:
            raise CellError(f"{name!r} is a method; a slot cannot replace it", kind="refused")
        self._check_open(name)
        size = weigh(value, MAX_WRITTEN)
        self.budget.charge(self.ref.oid, name, size)
        self.slots[name] = self.changed[name] = value
        self.weights[name] = size
        self.own.add(name)
        self.removed.discard(name)
        self.labels.pop(name, None)  # from here on that of the run

    def remove(self, name: str) -> None:
        """Delete an own slot in the snapshot; an inherited one stays."""
        self._check_open(name)
        if name in self.own:
            self.own.discard(name)
            self.slots.pop(name, None)
            self.weights.pop(name, None)
            if name in self.changed:
                del self.changed[name]
                self.budget.charge(self.ref.oid, name, 0)
            self.removed.add(name)

    def _check_open(self, name: str) -> None:
        if not self.by_person and name in OF_A_PERSON.get(self.ref.name, ()):
            text = f"{name!r} of {self.ref.name} changes by a person's word only"
            raise CellError(text, kind="refused")
        if self.ref.name.startswith(RECORD):
            raise CellError("the record of a mission changes by its events only", kind="refused")


class ReadSet:
    """What one turn has read: one state of the image, although it reads more than once.

    Attributes:
        objects: By oid, the objects that were read, with what the turn writes.
        acts: What else is to be done at the commit, with the root.
        view_of: Finds what is inherited, once an object has other parents than in the image.
        serials: By oid, the state of each record that was read.
        label: The grants that had a say in what the turn knows by now.
    """

    def __init__(self) -> None:
        self.objects: dict[str, ObjectSnapshot] = {}
        self.acts: list[Callable[[Any], object]] = []
        self.view_of: Callable[[ReadSet, Root, Ref], Any] | None = None
        self.serials: dict[str, bytes] = {}
        self.label: set[str] = set()
        self._budget = Budget()

    def touch(self, seen: ObjectSnapshot, *names: str) -> None:
        """Take over the labels of slots that are looked at; "" is for all."""
        for name, grants in seen.labels.items():
            if name in names or "" in names:
                self.label |= grants

    def fetch(self, root: Root, ref: Ref, selector: str) -> Fetched:
        """Return the object unless it is known, what answers, and the serials of what was read.

        Raises:
            ConflictError: What was read before has changed.
            NotFoundError: There is no such object.
        """
        self.check(root)
        serials: dict[str, bytes] = {}
        known = self.objects.get(ref.oid)
        origin = known.cloned_from if known and known.cloned_from else ref
        obj = find(root, origin.oid)
        if self.view_of is not None:
            view = self.view_of(self, root, ref)
            for each in view.records:
                note_serial(each, serials)
            runnable = runnable_of((obj, view.methods.get(selector)), serials)
            seen = None if known else replace(
                snapshot_of(obj, serials), slots=view.slots, selectors=frozenset(view.methods),
                labels=labels_of(view.records),
            )  # fmt: skip
            return seen, runnable, serials
        runnable = runnable_of(obj.lookup(selector), serials)
        return (None if known else snapshot_of(obj, serials)), runnable, serials

    def add(self, ref: Ref, fetched: Fetched) -> tuple[ObjectSnapshot, Runnable | None]:
        """Add what ``fetch`` has returned; many turns may share that, so it is not changed."""
        seen, runnable, serials = fetched
        self.serials.update(serials)
        if seen is not None:
            # As it was just read: no turn has written to it. ``replace`` takes thrice as long.
            self.objects[ref.oid] = ObjectSnapshot(
                seen.ref, dict(seen.slots), set(seen.own), seen.selectors, seen.parents,
                budget=self._budget, labels=dict(seen.labels),
            )  # fmt: skip
            if seen.labels:
                self.label |= seen.labels.get("", frozenset())
        return self.objects[ref.oid], runnable

    @property
    def has_writes(self) -> bool:
        """True if the turn changes or makes an object."""
        return any(
            seen.changed or seen.removed or seen.cloned_from or seen.moved
            for seen in self.objects.values()
        ) or bool(self.acts)

    def make(self, origin: ObjectSnapshot, name: str, *, child: bool = False) -> Ref:
        """Return the reference to a new copy of an object, with the same parents, or to a child.

        Raises:
            ArgumentsError: No object can have that name.
            CellError: The turn makes too many objects, or they take too many bytes.
        """
        if name:
            check_object_name(name)
        self._budget.count_object()
        ref = Ref(f"{_NEW}{len(self.objects):012x}", name)
        own = set() if child else set(origin.own)
        made = self.objects[ref.oid] = replace(
            origin,
            ref=ref,
            slots=dict(origin.slots),
            own=own,
            changed={key: origin.slots[key] for key in own if key in origin.slots},
            removed=set() if child else set(origin.removed),
            cloned_from=origin.cloned_from or origin.ref,
            weights=dict(origin.weights),
            labels=dict(origin.labels),
            is_child=child or origin.is_child,
            parents=(origin.ref,) if child else origin.parents,
            moved=child or origin.moved,
        )
        for key in made.changed:
            self._budget.charge(ref.oid, key, origin.weight(key))
        return ref

    def check(self, root: Root) -> list[Any]:
        """Return the objects that were read.

        Raises:
            ConflictError: One of them has changed.
        """
        jar = root._p_jar  # type: ignore[attr-defined]  # ZODB: the root's connection
        objects = []
        for oid, serial in self.serials.items():
            obj = jar.get(bytes.fromhex(oid))
            obj._p_activate()
            if obj._p_serial != serial:
                raise ConflictError("what the turn had read has changed")
            objects.append(obj)
        return objects


def refers(value: Any) -> bool:
    """Return True when a ``{"ref": NAME}`` is in plain data."""
    if isinstance(value, list | tuple):
        return any(map(refers, value))
    if isinstance(value, dict):
        return _is_reference(value) or any(map(refers, value.values()))
    return False


def bind(root: Root, value: Any) -> Any:
    """Return plain data with each ``{"ref": NAME}`` resolved to its object.

    Raises:
        NotFoundError: No such object.
    """
    if isinstance(value, list | tuple):
        return [bind(root, item) for item in value]
    if isinstance(value, dict):
        if _is_reference(value):
            return ref_of(find(root, str(value.get("oid") or value["ref"])))
        return {key: bind(root, item) for key, item in value.items()}
    return value


def _is_reference(value: Mapping[Any, Any]) -> bool:
    return "ref" in value and set(value) <= {"ref", "oid"}


def snapshot_of(obj: UvmObject, serials: dict[str, bytes]) -> ObjectSnapshot:
    """Return the object with all that it inherits; adds the serials of what was read."""
    slots: dict[str, Any] = {}
    selectors: set[str] = set()
    labels: dict[str, frozenset[str]] = {}
    for holder in obj.lineage():
        note_serial(holder, serials)
        if holder.labels:
            labels |= labels_of([holder], labels, {*slots, *selectors})
        for name, value in holder.slots.items():
            if isinstance(value, Method):
                if value.primitive != name:  # such a one never changes
                    note_serial(value, serials)
                if value.is_understood and name not in slots:
                    selectors.add(name)
            elif name not in slots and name not in selectors:
                slots[name] = freeze(value)
    own = {name for name, value in obj.slots.items() if not isinstance(value, Method)}
    parents = tuple(ref_of(parent) for parent in obj.parents)
    return ObjectSnapshot(ref_of(obj), slots, own, frozenset(selectors), parents, labels=labels)


def runnable_of(found: tuple[Any, Any] | None, serials: dict[str, bytes]) -> Runnable | None:
    """Return what answers a message, or None, from what a lookup found; adds its serial."""
    method = found[1] if found else None
    if not isinstance(method, Method):
        return None
    note_serial(method, serials)
    if method.primitive and method.current < 0:  # a person's own version comes first
        return Runnable(method.primitive, "", SHIPPED if "." in method.primitive else "primitive")
    version = method.version
    cell = str(version.provenance.get("cell", ""))
    return Runnable("", version.source, method.status, cell)


def slot_value(receiver: ObjectSnapshot, selector: str, has_arguments: Any) -> Any:
    """Return what a slot answers to a message of its name."""
    if selector not in receiver.slots:
        name = receiver.ref.name or "the object"
        raise NotUnderstoodError(
            f"{name} does not understand {selector!r}", target=receiver.ref.oid
        )
    if has_arguments:
        raise ArgumentsError(f"{selector!r} is a slot and takes no arguments")
    return receiver.slots[selector]


def note_serial(obj: Any, serials: dict[str, bytes]) -> None:
    """Load an object and add its serial to those that were read."""
    obj._p_activate()
    serials[obj._p_oid.hex()] = obj._p_serial
