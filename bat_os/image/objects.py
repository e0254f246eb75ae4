"""Objects of the living image: slots, parents, lookup, and methods as source text.

    receiver --own slots--> found?
        `--parents, depth first, left to right, each once--> found?  the first match wins

Values in slots are plain data (``bat_os.core.values``), references to other objects, and
Methods. Outside a transaction an object is known by its ``Ref`` only: ``freeze`` turns what
is stored into plain data, ``thaw`` turns plain data into what is stored.
"""

from __future__ import annotations

from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from BTrees.OOBTree import OOBTree
from persistent import Persistent

from bat_os.core.digest import digest
from bat_os.core.oids import oid_named
from bat_os.core.values import FLAT, Ref, check, check_own, check_slot_name
from bat_os.errors import DamagedError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping


class MethodVersion(Persistent):
    """One text of a method. Immutable once committed.

    Attributes:
        number: 1 for the first version of its method.
        source: Module text whose top level defines the function; never code objects.
        sha256: Of the source, in hexadecimal; checked whenever the source is read.
        status: ``verified`` (an example or test decided), ``provisional`` (it ran, and
            perhaps others agreed), ``taught`` (the Architect's own), ``shipped`` (the
            program's own).
        provenance: Plain data: brief, mission, persona, model digest, adapter, prompt hash,
            sampling, candidates and verdicts, passages, fix-ups, time.
    """

    def __init__(
        self, number: int, source: str, status: str, provenance: Mapping[str, Any]
    ) -> None:
        self.number = number
        self.source = source
        self.sha256 = digest(source)
        self.status = status
        self.provenance = dict(provenance)

    @property
    def is_whole(self) -> bool:
        """True if the source is what was committed."""
        return digest(self.source) == self.sha256


class Method(Persistent):
    """What a slot holds for a message that an object understands.

    Attributes:
        selector: The message's name.
        primitive: Name of a trusted method of the kernel, ``OBJECT.SELECTOR`` of one that the
            program ships, or "" for a learned one. The function itself is never stored.
        versions: Oldest first; none is ever removed.
        current: Index into ``versions``, or -1 when the method is unlearned.
        approvals: Number of a version -> how it was approved: plain data with ``at``, ``by``
            and ``examples``.
    """

    approvals: Mapping[int, Mapping[str, Any]] = MappingProxyType({})

    def __init__(self, selector: str, *, primitive: str = "") -> None:
        self.selector = selector
        self.primitive = primitive
        self.versions: tuple[MethodVersion, ...] = ()
        self.current = -1

    @property
    def is_understood(self) -> bool:
        """True when a message finds something to run here."""
        return bool(self.primitive) or self.current >= 0

    @property
    def version(self) -> MethodVersion:
        """The version that runs."""
        if self.current < 0:
            raise NotFoundError(f"{self.selector} has no current version")
        version = self.versions[self.current]
        if not version.is_whole:
            raise DamagedError(f"the stored source of {self.selector} is damaged; batos verify")
        return version

    @property
    def status(self) -> str:
        """Of the current version."""
        return self.status_of(self.version)

    def status_of(self, version: MethodVersion) -> str:
        """Return a version's status: its own, or ``verified`` once it was approved."""
        return "verified" if version.number in self.approvals else version.status

    def approve(self, how: Mapping[str, Any]) -> None:
        """Note that the current version was approved."""
        self.approvals = {**self.approvals, self.version.number: dict(how)}

    def copy(self) -> Method:
        """Return a method of its own; it shares the texts, and what it does next is its own."""
        twin = Method(self.selector, primitive=self.primitive)
        twin.versions, twin.current = self.versions, self.current
        if self.approvals:
            twin.approvals = self.approvals
        return twin

    def add_version(self, source: str, status: str, provenance: Mapping[str, Any]) -> MethodVersion:
        """Append a version, make it the current one and return it."""
        version = MethodVersion(len(self.versions) + 1, source, status, provenance)
        self.versions = (*self.versions, version)
        self.current = len(self.versions) - 1
        return version


class UvmObject(Persistent):
    """A prototype: slots and parents, in one database record.

    Attributes:
        name: Its name among the root objects, or "".
        slots: Name -> stored value. Change it through ``set_slot`` only, which checks the
            value now rather than at the commit.
        parents: Where lookup goes on, in this order.
        by_method: A method made it, and no person has named it since.
        labels: Name of a slot -> oids of the grants that had a say in what it holds, or in that it
            is not there; under "", in what the parents are. {} as a rule.
    """

    by_method = False
    labels: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def __init__(self, name: str = "", parents: tuple[UvmObject, ...] = ()) -> None:
        self.name = name
        self.slots: dict[str, Any] = {}
        self.parents = parents

    def lineage(self) -> Iterator[UvmObject]:
        """Yield self, then all ancestors in the order of lookup, each once.

        Iterative preorder with a visited set: a cycle among the parents is allowed.
        """
        seen: set[int] = set()
        stack: list[UvmObject] = [self]
        while stack:
            obj = stack.pop()
            if id(obj) not in seen:
                seen.add(id(obj))
                yield obj
                stack.extend(reversed(obj.parents))

    def lookup(self, name: str) -> tuple[UvmObject, Any] | None:
        """Return (holder, stored value) of the first match, or None.

        An unlearned method does not count as a match.
        """
        for obj in self.lineage():
            if name in obj.slots:
                value = obj.slots[name]
                if not isinstance(value, Method) or value.is_understood:
                    return obj, value
        return None

    def set_slot(self, name: str, value: Any, label: Collection[str] = ()) -> None:
        """Store ``value``: a Method, a UvmObject, or plain data that may hold UvmObjects."""
        check_slot_name(name)
        trusted = isinstance(value, Method) and value.primitive == name
        if not trusted and name not in self.slots:  # an older image may have some
            check_own(name)
        if not isinstance(value, Method):
            check(freeze(value), where=f"slot {name!r}")
        self.slots[name] = value
        self._p_changed = True
        self.set_label(name, label)

    def set_label(self, name: str, label: Collection[str]) -> None:
        """Note which grants had a say in a slot; "" is for the parents."""
        if label or name in self.labels:
            kept = {key: held for key, held in self.labels.items() if key != name}
            self.labels = kept | ({name: tuple(sorted(label))} if label else {})

    def remove_slot(self, name: str, label: Collection[str] = ()) -> None:
        """Delete an own slot; what a parent holds shows again."""
        if name not in self.slots:
            raise NotFoundError(f"{self.name or 'the object'} has no own slot {name!r}")
        del self.slots[name]
        self._p_changed = True
        self.set_label(name, label)

    def clone(self, name: str = "") -> UvmObject:
        """Return a new object with copies of the slots and methods, and the same parents."""
        twin = UvmObject(name, self.parents)
        twin.slots = {key: _copy(value) for key, value in self.slots.items()}
        if self.labels:
            twin.labels = dict(self.labels)
        return twin


def connection_of(root: Mapping[str, Any]) -> Any:
    """Return the ZODB connection of the image root."""
    return root._p_jar  # type: ignore[attr-defined]  # the root is a PersistentMapping


def tree_of(root: MutableMapping[str, Any], name: str) -> OOBTree:
    """Return a tree of the image root, made if missing."""
    if name not in root:
        root[name] = OOBTree()
    return root[name]


def find(root: Mapping[str, Any], key: str) -> UvmObject:
    """Return the object with this name or oid, or one without a name by what it is called.

    Raises:
        NotFoundError: There is none.
    """
    obj = root["objects"].get(key)
    if obj is None and (oid := key if len(key) == 16 else oid_named(key)):
        obj = object_of(root, oid)
    if type(obj) is not UvmObject:
        raise NotFoundError(f"there is no object {key[:100]!r}", target=key[:100])
    return obj


def object_of(root: Mapping[str, Any], oid: str) -> UvmObject | None:
    """Return the object with an oid in hexadecimal, or None."""
    try:
        obj = connection_of(root).get(bytes.fromhex(oid))
    except (KeyError, ValueError):
        return None
    return obj if type(obj) is UvmObject else None


def ref_of(obj: UvmObject) -> Ref:
    """Return the plain reference to a committed (or added) object."""
    return Ref(obj._p_oid.hex(), obj.name)


def freeze(value: Any) -> Any:
    """Return a stored value as new plain data, objects as their ``Ref``."""
    kind = type(value)
    if kind is UvmObject:
        return Ref(value._p_oid.hex() if value._p_oid else "0" * 16, value.name)
    return _rebuild(value, kind, freeze)


def thaw(value: Any, resolve: Callable[[Ref], UvmObject]) -> Any:
    """Return plain data as what is stored, every ``Ref`` resolved to its object."""
    if type(value) is Ref:
        return resolve(value)
    return _rebuild(value, type(value), lambda part: thaw(part, resolve))


def _copy(value: Any) -> Any:
    if isinstance(value, Method):
        return value.copy()
    if isinstance(value, UvmObject):
        return value
    return _rebuild(value, type(value), _copy)


def _rebuild(value: Any, kind: type, each: Callable[[Any], Any]) -> Any:
    if kind is dict:
        return {each(key): each(item) for key, item in value.items()}
    if kind in (list, tuple, set, frozenset):
        return kind(value if FLAT.issuperset(map(type, value)) else map(each, value))
    return value


def kept_examples(target: UvmObject, selector: str) -> tuple[Mapping[str, Any], ...]:
    """Return the examples that the versions of a method came with, oldest first.

    A new version has to reproduce them too, even if the method was unlearned in between.
    """
    method = target.slots.get(selector)
    if not isinstance(method, Method):
        return ()
    sources = (*(version.provenance for version in method.versions), *method.approvals.values())
    return merge_examples(*(source.get("examples", ()) for source in sources))


def examples_of(method: Method, version: MethodVersion) -> tuple[Mapping[str, Any], ...]:
    """Return the examples that a version came with, and those that approved it."""
    approval = method.approvals.get(version.number, {})
    return merge_examples(version.provenance.get("examples", ()), approval.get("examples", ()))


def merge_examples(*lots: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return all examples, each once; of two for the same arguments, the first counts."""
    by_call: dict[str, Mapping[str, Any]] = {}
    for example in chain.from_iterable(lots):
        by_call.setdefault(repr((example["args"], example["kwargs"])), example)
    return tuple(by_call.values())
