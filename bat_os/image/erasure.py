"""Take words out of the image as it is now, in one transaction; ``files.rewrite`` does its history.

Everything that the root reaches is looked at as the bytes that are stored, so it does not matter
what an object is for. What happens to one that holds the words depends on its class:

    a mission, talk, fact, conversation      goes as a whole, and with it what is found by its key
    or stored answer
    a document                               goes if its name holds the words, and so does a fact of
                                             the catalog; else its passages lose them, and get new
                                             vectors later
    a version of a method                    if its source holds them, a mark takes its place, and
                                             the method is unlearned; if its provenance, that
                                             loses them, and the examples that do
    anything else                            its texts lose them; a name or key that does goes
    what the program brought                 stays: its next start would bring it again

Nobody silently alters the source of a method: it would be another method.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ZODB.POSException import POSKeyError
from ZODB.utils import z64

from bat_os.core.digest import digest
from bat_os.core.oids import called
from bat_os.errors import ConflictError
from bat_os.image import memory, missions
from bat_os.image.awakening import awakened_names
from bat_os.image.catalog import catalog_in
from bat_os.image.files.pack import walk
from bat_os.image.history import entries, marks
from bat_os.image.history.provenance import mark_dependants
from bat_os.image.knowledge.document import Document
from bat_os.image.objects import Method, MethodVersion, UvmObject, connection_of, ref_of
from bat_os.image.shipped import SHIPPED, library_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

    from bat_os.core.erasing import Words

    Root = MutableMapping[str, Any]

# What stands in these trees is about what was said, and half of it would be about something else.
WHOLE: Final = frozenset(
    {"answers", "conversations", "experience", "facts", "proposals", "schedules", "talks"}
)
GONE: Final = "# The text of this version was erased.\n"
BROUGHT: Final = frozenset({"codex", "seed"})  # kinds of documents
_BROUGHT_SLOTS: Final = frozenset({"about", "codex", "does", "role"})
STAYS: Final = "stays: the program brings it"
_SEGMENT: Final = "bat_os.image.knowledge.shelf.Segment"
# The parts of a tree are objects of their own.
_PART: Final = re.compile(r"\.([A-Z]{2})(BTree|Bucket|TreeSet|Set)\Z")
_WHOLE_OF: Final = {"Bucket": "BTree", "BTree": "BTree", "Set": "TreeSet", "TreeSet": "TreeSet"}


@dataclass(frozen=True, slots=True)
class Place:
    """One place where words stand, and what becomes of it."""

    kind: str  # ``document``, ``mission``, ``method``, ``object`` or ``record``
    what: str  # which one, for people
    fate: str  # what erasing does to it


@dataclass(slots=True)
class _Reached:
    """All that the root reaches."""

    classes: dict[bytes, str] = field(default_factory=dict)
    holders: dict[bytes, list[bytes]] = field(default_factory=dict)  # who refers to an object
    held: dict[bytes, bytes] = field(default_factory=dict)  # the records that hold the words


def find_brought(root: Root, words: Words) -> dict[bytes, bytes]:
    """Return the records that hold the words and that the program brought, by object."""
    eraser = _Eraser(root, words, {})
    return {
        oid: record
        for oid, record in eraser.reached.held.items()
        if (obj := eraser.load(oid)) is not None and _is_brought(root, obj, words)
    }


def _is_brought(root: Root, obj: Any, words: Words) -> bool:
    if isinstance(obj, Document):
        return obj.kind in BROUGHT
    if isinstance(obj, MethodVersion):
        return obj.status == SHIPPED
    if not isinstance(obj, UvmObject) or obj.name not in awakened_names() | library_names(root):
        return False
    return _BROUGHT_SLOTS.issuperset(
        slot for slot, value in obj.slots.items()
        if words.hold(slot) or (not isinstance(value, Method) and words.in_value(value))
    )  # fmt: skip


def erase_now(root: Root, words: Words, stays: Mapping[bytes, bytes]) -> list[Place]:
    """Take the words out of all that the root reaches; return where they stood.

    What ``stays``, by object, is only named. Inside ``ImageStore.transact`` only.

    Raises:
        ConflictError: A request that holds them is being worked on.
    """
    return list(dict.fromkeys(_Eraser(root, words, stays).run()))


class _Eraser:
    """One erasure; see ``erase_now``."""

    def __init__(self, root: Root, words: Words, stays: Mapping[bytes, bytes]) -> None:
        self._root = root
        self._words = words
        self._stays = stays
        self._jar = connection_of(root)
        self.reached = _look(self._jar.db().storage, words)
        self._keys = {
            value._p_oid: key for key, value in root.items() if getattr(value, "_p_oid", None)
        }

    def run(self) -> Iterator[Place]:
        """Erase, and yield where the words stood."""
        found = [obj for oid in self.reached.held if (obj := self.load(oid)) is not None]
        held = [obj for obj in found if obj._p_oid not in self._stays]
        steps: tuple[tuple[type, Callable[[Any], Iterator[Place]]], ...] = (
            (UvmObject, self._mission),
            (UvmObject, self._object),
            (MethodVersion, self._version),
            (Method, self._method),
            (Document, self._document),
            (object, self._other),
        )
        for kind, step in steps:
            for obj in held:
                if isinstance(obj, kind):
                    yield from step(obj)
        if held:
            catalog_in(self._root).purge()
        for obj in found:
            if obj._p_oid in self._stays:
                yield Place(*self._describe(obj), STAYS)

    def _describe(self, obj: Any) -> tuple[str, str]:
        if isinstance(obj, Document):
            return "document", obj.doc_id
        if isinstance(obj, UvmObject):
            return "object", obj.name
        method = self._holders(obj._p_oid, Method)[0]
        return "method", f"{self._owner(method)}.{method.selector}, version {obj.number}"

    def load(self, oid: bytes) -> Any:
        """Return an object; None if this transaction does not know it."""
        try:
            obj = self._jar.get(oid)
            obj._p_activate()
        except POSKeyError:  # newer than this transaction; the next look finds it
            return None
        return obj

    def _mission(self, obj: UvmObject) -> Iterator[Place]:
        root, words = self._root, self._words
        if not obj.name.startswith(missions.RECORD):
            return
        mission_id = obj.name.removeprefix(missions.RECORD)
        if missions.desk_with(root, mission_id):
            raise ConflictError(
                f"the request {mission_id} holds the words and is being worked on; wait for its "
                f"end, or cancel it: batos cancel {mission_id}"
            )
        if root["missions"].pop(mission_id, None) is not None:
            asked = str(obj.slots.get("record", {}).get("brief", {}).get("selector", ""))
            missions.forget_key(root, obj.slots.get("key"), mission_id)
            yield Place("request", f"{mission_id} ({words.erase(asked)})", "removed")

    def _object(self, obj: UvmObject) -> Iterator[Place]:
        if obj.name.startswith(missions.RECORD):
            return
        if tree := self._tree_of_whole(obj._p_oid):
            yield from self._remove_from(*tree, obj)
            return
        words = self._words
        name = called(ref_of(obj))
        for slot, value in list(obj.slots.items()):
            if words.hold(slot):
                if isinstance(value, Method):
                    entries.remove_entries(self._root, value)
                del obj.slots[slot]
                yield Place("object", f"{name}.{slot}", "removed")
            elif not isinstance(value, Method) and words.in_value(value):
                obj.slots[slot] = words.erase_value(value)
                yield Place("object", f"{name}.{slot}", "blanked")
        if words.hold(obj.name):
            if self._root["objects"].get(obj.name) is obj:
                del self._root["objects"][obj.name]
            obj.name = ""
            yield Place("object", name, "removed")
        obj._p_changed = True

    def _version(self, version: MethodVersion) -> Iterator[Place]:
        for method in self._holders(version._p_oid, Method):
            name = f"{self._owner(method)}.{method.selector}, version {version.number}"
            if self._words.hold(version.source):
                if method.current == version.number - 1:
                    entries.remove_entries(self._root, method)
                    marks.set_mark(self._root, "pinned", method, 0)
                    method.current = -1
                version.source, version.sha256 = GONE, digest(GONE)
                yield Place("method", name, "its text is removed, and it is unlearned")
            else:
                yield Place("method", name, "its provenance is blanked")
        version.provenance = self._words.erase_value(version.provenance)

    def _method(self, method: Method) -> Iterator[Place]:
        method.approvals = self._words.erase_value(dict(method.approvals))
        if self._words.hold(method.selector):
            method.selector = "erased"
        yield Place("method", f"{self._owner(method)}.{method.selector}", "blanked")

    def _document(self, document: Document) -> Iterator[Place]:
        words, catalog, doc_id = self._words, catalog_in(self._root), document.doc_id
        if catalog.document(doc_id) is not document:  # in the quarantine, or removed just now
            document.reword(words.erase_value)
            document.doc_id = words.erase(doc_id)
            return
        alone = len(document.passages) == 1 and document.kind not in ("document", "method")
        is_gone = alone or words.hold(doc_id) or words.hold(document.title)
        what = "forgotten" if is_gone else "changed"
        mark_dependants(self._root, doc_id, at=time.time(), what=what)
        if is_gone:
            catalog.remove(doc_id)
            yield Place("document", doc_id, "removed")
            return
        count = sum(map(words.hold, document.passages))
        catalog.reword(document, words.erase_value)
        yield Place("document", doc_id, f"blanked in {count} of {len(document.passages)} passages")

    def _other(self, obj: Any) -> Iterator[Place]:
        oid, cls = obj._p_oid, self.reached.classes[obj._p_oid]
        if isinstance(obj, UvmObject | Method | MethodVersion | Document):
            return
        if cls.startswith("BTrees."):
            yield from self._tree(self._top(oid))
        elif tree := self._tree_of_whole(oid):
            yield from self._remove_from(*tree, obj)
        elif hasattr(obj, "items"):
            for key, value in list(obj.items()):
                yield from self._entry(obj, key, value, self._name(oid))
        elif isinstance(getattr(obj, "data", None), list):
            obj[:] = self._words.erase_value(list(obj))
            yield Place("record", self._name(oid), "blanked")
        else:
            for key, value in list(vars(obj).items()):
                if self._words.in_value(value):
                    setattr(obj, key, self._words.erase_value(value))
                    yield Place("record", f"{self._name(oid)}.{key}", "blanked")

    def _tree(self, oid: bytes) -> Iterator[Place]:
        tree, name = self.load(oid), self._name(oid)
        if tree is None:
            return
        if not hasattr(tree, "items"):  # a set, alone or of a tree
            for key in [key for key in tree if self._words.in_value(key)]:
                tree.remove(key)
                yield Place("record", name, "removed")
            return
        for key, value in list(tree.items()):
            if name in WHOLE and self._words.in_value(value):
                del tree[key]
                yield Place(name, str(key), "removed")
            else:
                yield from self._entry(tree, key, value, name)

    def _entry(self, mapping: Any, key: Any, value: Any, name: str) -> Iterator[Place]:
        if self._words.in_value(key):
            del mapping[key]
            yield Place("record", f"{name}: {key}", "removed")
        elif self._words.in_value(value):
            mapping[key] = self._words.erase_value(value)
            yield Place("record", f"{name}: {key}", "blanked")

    def _remove_from(self, tree: Any, name: str, obj: Any) -> Iterator[Place]:
        for key in [key for key, value in tree.items() if value is obj]:
            if name == memory.FACTS and isinstance(obj, UvmObject):
                memory.erase(self._root, key)  # and the words that it is found by
            else:
                del tree[key]
            yield Place(name, str(key), "removed")

    def _tree_of_whole(self, oid: bytes) -> tuple[Any, str] | None:
        """Return the tree in WHOLE that an object stands in, with its name; else None."""
        for holder in self.reached.holders.get(oid, ()):
            if self.reached.classes[holder].startswith("BTrees."):
                top = self._top(holder)
                if (name := self._keys.get(top, "")) in WHOLE:
                    return self.load(top), name
        return None

    def _holders(self, oid: bytes, kind: type) -> list[Any]:
        found = map(self.load, self.reached.holders.get(oid, ()))
        return [holder for holder in found if isinstance(holder, kind)]

    def _owner(self, method: Method) -> str:
        owners = self._holders(method._p_oid, UvmObject)
        return next((called(ref_of(owner)) for owner in owners), "an object")

    def _top(self, oid: bytes) -> bytes:
        """Return the tree that a part of a tree belongs to."""
        classes, holders = self.reached.classes, self.reached.holders
        while (part := _PART.search(classes[oid])) is not None:
            whole = part[1] + _WHOLE_OF[part[2]]
            above = (one for one in holders.get(oid, ()) if one != oid)
            up = next((one for one in above if classes[one].endswith(f".{whole}")), None)
            # A tree of one bucket has that in its own state, so it refers to its values only.
            if up is None or len(self.load(up).__getstate__() or ((),)) == 1:
                break
            oid = up
        return oid

    def _name(self, oid: bytes) -> str:
        """Return under which name of the root an object stands."""
        seen = set()
        while oid not in seen and oid != z64:
            seen.add(oid)
            if oid in self._keys:
                return self._keys[oid]
            oid = next(iter(self.reached.holders.get(oid, ())), z64)
        return "the root"


def _look(storage: Any, words: Words) -> _Reached:
    reached = _Reached()
    for oid, name, record, below in walk(storage, [z64], set()):
        reached.classes[oid] = name
        for other in below:
            reached.holders.setdefault(other, []).append(oid)
        # A segment of an index has hashes and vectors; no text stands in it.
        if name != _SEGMENT and words.in_bytes(record):
            reached.held[oid] = record
    return reached
