"""The family of an object in the image: clones, children, parents; names, and who refers to it.

    clone    own slots and methods; a copied method shares its versions, which never change, and
             has a current version, approvals, pin, taint and moves of its own
    derive   a new object without slots, whose parent is the receiver
    delete   the name goes, and if forced every reference; the object itself goes with a pack

All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import State
from bat_os.core.personas import PERSONAS
from bat_os.core.values import Ref, check_object_name
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image import grants, memory, missions
from bat_os.image.history import entries, marks
from bat_os.image.objects import Method, UvmObject, connection_of, find, freeze, ref_of, thaw
from bat_os.image.shipped import library_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    Root = MutableMapping[str, Any]

MAX_PARENTS: Final = 20
MAX_ANCESTORS: Final = 200
MAX_NAMED: Final = 20  # references that a refusal names
TRAITS: Final = "traits_obj"
# What an image begins with; the program looks for these by their names.
_FIRST: Final = frozenset(
    ("genesis_obj", "knowledge_catalog_obj", "orchestrator_obj", "pLLM_obj", TRAITS)
) | {missions.state_name(state) for state in State} | {
    f"{name.lower()}_obj" for name in PERSONAS
}  # fmt: skip
_OTHERS: Final = (memory.FACTS, "conversations")


@dataclass(frozen=True, slots=True)
class Reference:
    """Something that refers to an object."""

    kind: str  # ``slot``, ``parent``, ``mission`` or ``grant``
    what: str  # for people
    holder: UvmObject | None = None
    slot: str = ""


def is_of_program(root: Mapping[str, Any], name: str) -> bool:
    """Return whether the program makes the object of that name in each image."""
    return name in _FIRST or name in library_names(root)


def clone(root: Root, origin: UvmObject, name: str = "") -> UvmObject:
    """Return a new stored object with copies of the slots and methods, and the same parents.

    Raises:
        ArgumentsError: No object can have that name, or one has.
    """
    twin = origin.clone()
    _store(root, twin, name)
    for selector, method in origin.slots.items():
        if isinstance(method, Method):
            bring_along(root, method, twin.slots[selector])
    entries.note_copies(root, twin)
    return twin


def bring_along(root: Root, method: Method, twin: Method) -> None:
    """Note of a copied method what is noted of the method: pin, taint, moves, what it cites."""
    marks.copy_marks(root, method, twin)
    for version in method.versions:
        entries.note_citations(root, twin, version)


def derive(root: Root, parent: UvmObject, name: str = "") -> UvmObject:
    """Return a new stored object whose one parent is ``parent``.

    Raises:
        ArgumentsError: No object can have that name, or one has; or the line is too long.
    """
    child = UvmObject()
    set_parents(child, (parent,))
    _store(root, child, name)
    return child


def set_parents(obj: UvmObject, parents: Sequence[UvmObject]) -> None:
    """Give an object its parents, in the order of lookup.

    Raises:
        ArgumentsError: It would be its own ancestor, has one twice, or they are too many; or it
            is the root of all objects, or no object of a person.
    """
    check_parents(obj.name, len(parents), len({id(parent) for parent in parents}))
    ancestors = [each for parent in parents for each in parent.lineage()]
    check_line(obj.name, any(each is obj for each in ancestors), len(ancestors))
    if obj.parents != tuple(parents):
        obj.parents = tuple(parents)


def check_parents(name: str, count: int, different: int) -> None:
    """Raise ArgumentsError unless an object can have so many parents."""
    if name == TRAITS:
        raise ArgumentsError(f"{TRAITS} is the root of all objects and has no parents")
    if name.startswith(missions.RECORD):
        raise ArgumentsError("the record of a mission has the parent that its state gives it")
    if different < count:
        raise ArgumentsError("a parent is named twice")
    if count > MAX_PARENTS:
        raise ArgumentsError(f"an object has at most {MAX_PARENTS} parents")


def check_line(name: str, is_own_ancestor: bool, ancestors: int) -> None:
    """Raise ArgumentsError unless an object can stand below these ancestors."""
    if is_own_ancestor:
        raise ArgumentsError(f"{name or 'the object'} would be its own ancestor")
    if ancestors > MAX_ANCESTORS:
        raise ArgumentsError(f"an object has at most {MAX_ANCESTORS} ancestors")


def put_name(root: Root, obj: UvmObject, name: str) -> None:
    """Give a stored object a name among the root objects.

    Raises:
        ArgumentsError: No object can have that name, or one has.
    """
    check_object_name(name)
    if name in root["objects"]:
        raise ArgumentsError(f"there is already an object {name!r}")
    obj.name = name
    root["objects"][name] = obj


def rename(root: Root, obj: UvmObject, name: str) -> None:
    """Give an object another name, or its first one. What refers to it still does.

    Raises:
        ArgumentsError: As ``put_name``; or it is an object of the program, or has work to do.
    """
    old = obj.name
    if old == name:
        return
    _check_own(root, old, "renamed")
    for mission in _missions(root, obj):
        raise ArgumentsError(f"{old} is the receiver of {mission.what}; wait for its end")
    put_name(root, obj, name)
    if old:
        del root["objects"][old]
    obj.by_method = False  # it is a person's from now on
    grants.rename(root, ref_of(obj).oid, name)
    for method in _methods(obj):
        if entries.is_listed(root, obj, method):
            entries.move_entry(root, obj, obj, method.selector)
        if waits := marks.waiting(root, method):
            marks.set_mark(root, "waiting", method, waits | {"object": name})


def delete(root: Root, obj: UvmObject, *, force: bool = False) -> list[str]:
    """Delete an object that has a name; return what referred to it, which now does no more.

    With ``force`` references in slots become None, children get its parents in its place, and
    its grant ends.

    Raises:
        ArgumentsError: Something refers to it, and nothing forces it; ``referrers`` of the
            details names what. Or it has no name, or is an object of the program.
    """
    name = obj.name
    if not name:
        raise ArgumentsError("an object without a name goes when nothing refers to it any more")
    _check_own(root, name, "deleted")
    found = list(referrers(root, obj))
    told = [one.what for one in found]
    if found and not force:
        more = f" and {len(told) - MAX_NAMED} more" if len(told) > MAX_NAMED else ""
        raise ArgumentsError(
            f"{name} is referred to by {', '.join(told[:MAX_NAMED])}{more}; change that first, "
            "or delete it with force: slots that held it hold None, children get its parents",
            referrers=told[:MAX_NAMED],
        )
    for one in found:
        _cut(root, one, obj)
    for method in _methods(obj):
        if entries.is_listed(root, obj, method):
            entries.remove_entry(root, obj, method)
        marks.shelve_waiting(root, method)
    entries.drop_copies(root, obj)
    del root["objects"][name]
    obj.name = ""
    return told


def take_name(root: Root, obj: UvmObject) -> None:
    """Take away the name of an object; it is deleted unless something refers to it.

    Raises:
        ArgumentsError: It is an object of the program.
    """
    if next(referrers(root, obj), None) is None:
        delete(root, obj)
        return
    _check_own(root, obj.name, "renamed")
    del root["objects"][obj.name]
    obj.name = ""
    for method in _methods(obj):
        if entries.is_listed(root, obj, method):
            entries.move_entry(root, obj, obj, method.selector)


def referrers(root: Root, obj: UvmObject) -> Iterator[Reference]:
    """Yield what refers to an object: slots and parents of others, missions, grants."""
    for holder, said in _reachable(root, obj):
        for slot, value in holder.slots.items():
            if not isinstance(value, Method) and obj in _inside(value):
                yield Reference("slot", f"{said}.{slot}", holder, slot)
        if any(parent is obj for parent in holder.parents):
            yield Reference("parent", f"{said} (its child)", holder)
    yield from _missions(root, obj)
    if grants.chain(root, ref_of(obj).oid, time.time()):
        yield Reference("grant", "its grant")


def _reachable(root: Root, but: UvmObject) -> Iterator[tuple[UvmObject, str]]:
    """Yield the objects that are reached without ``but``, and how people know them."""
    trees = [root["objects"], *(root.get(name, {}) for name in _OTHERS)]
    stack = [(each, each.name or "a fact") for tree in trees for each in tree.values()]
    stack += [(missions.stored(root, key), f"request {key}") for key in missions.unfinished(root)]
    seen = {id(but)}
    while stack:
        obj, said = stack.pop()
        if type(obj) is not UvmObject or id(obj) in seen:
            continue
        seen.add(id(obj))
        yield obj, said
        held = [(f"{said}.{slot}", _inside(value)) for slot, value in obj.slots.items()
                if not isinstance(value, Method)]  # fmt: skip
        for place, objects in (*held, (f"a parent of {said}", obj.parents)):
            stack += [(each, each.name or f"the object in {place}") for each in objects]


def _inside(value: Any) -> list[UvmObject]:
    """Return the objects that a stored value refers to."""
    found, stack = [], [value]
    while stack:
        item = stack.pop()
        if type(item) is UvmObject:
            found.append(item)
        elif type(item) is dict:
            stack += [*item, *item.values()]
        elif type(item) in (list, tuple, set, frozenset):
            stack += item
    return found


def _missions(root: Root, obj: UvmObject) -> Iterator[Reference]:
    for key in missions.unfinished(root):
        brief = missions.read(root, key).mission.brief
        named = (value.get("ref") for value in (*brief.args, *brief.kwargs.values())
                 if isinstance(value, dict))  # fmt: skip
        if {brief.target, *map(str, named)} & {obj.name or ref_of(obj).oid, ref_of(obj).oid}:
            yield Reference("mission", f"request {key}")


def _cut(root: Root, one: Reference, obj: UvmObject) -> None:
    holder = one.holder
    if one.kind == "slot" and holder is not None:
        oid = ref_of(obj).oid

        def resolve(ref: Ref) -> Any:
            return None if ref.oid == oid else find(root, ref.oid)

        holder.slots[one.slot] = thaw(freeze(holder.slots[one.slot]), resolve)
        holder._p_changed = True
    elif one.kind == "parent" and holder is not None:
        at = next(at for at, parent in enumerate(holder.parents) if parent is obj)
        line = (*holder.parents[:at], *obj.parents, *holder.parents[at + 1 :])
        holder.parents = tuple({id(each): each for each in line if each is not holder}.values())
    elif one.kind == "grant":
        grants.revoke(root, ref_of(obj).oid, time.time())


def _check_own(root: Mapping[str, Any], name: str, what: str) -> None:
    if is_of_program(root, name):
        raise ArgumentsError(f"{name} is an object of the program; it cannot be {what}")
    if name and root["objects"].get(name) is None:
        raise NotFoundError(f"{name[:100]!r} names nothing here")


def _methods(obj: UvmObject) -> list[Method]:
    return [value for value in obj.slots.values() if isinstance(value, Method) and value.versions]


def _store(root: Root, obj: UvmObject, name: str) -> None:
    connection_of(root).add(obj)
    if name:
        put_name(root, obj, name)
