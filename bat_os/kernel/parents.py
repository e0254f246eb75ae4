"""Messages that look at more of the image than their receiver: parents, rename, delete.

What they change is collected in the read set and done at the commit, as all that a turn writes.
Once a turn has moved an object below other parents, what it reads from then on is found along the
parents as they are in the turn:

    receiver --own slots--> found? --parents as the turn has set them--> ...

A person may do all of this. A method may set the parents of an object that a method made, to what
it reaches; names, ``delete`` and all other objects are a person's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.values import Ref, check_object_name
from bat_os.errors import ArgumentsError, CellError, NotFoundError
from bat_os.image import family
from bat_os.image.objects import Method, find, freeze, ref_of
from bat_os.kernel.labels import labels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

    from bat_os.image.objects import UvmObject
    from bat_os.kernel.snapshot import ObjectSnapshot, ReadSet

    Root = MutableMapping[str, Any]
    Reach = Mapping[str, Ref] | None  # what a method may send to, by oid; None for a client


@dataclass(frozen=True, slots=True)
class View:
    """What an object has and inherits, as the turn has changed it."""

    slots: dict[str, Any]
    methods: dict[str, Method]
    records: list[Any]  # that were read


def view_of(reads: ReadSet, root: Root, ref: Ref) -> View:
    """Return an object with all that it inherits along the parents that the turn has set."""
    view = View({}, {}, [])
    for oid, obj in _line(reads, root, ref):
        seen = reads.objects.get(oid)
        bare = seen is not None and seen.is_child
        view.records.append(obj)
        values = {} if bare else dict(obj.slots)
        if seen is not None:  # its methods as they are stored, its slots as they are here
            values = {name: value for name, value in values.items() if isinstance(value, Method)}
            values |= {name: seen.slots[name] for name in seen.own}
        for name, value in values.items():
            if isinstance(value, Method):
                view.records.append(value)
            if name in view.slots or name in view.methods:
                continue
            if not isinstance(value, Method):
                view.slots[name] = freeze(value)
            elif value.is_understood:
                view.methods[name] = value
    return view


def _line(reads: ReadSet, root: Root, ref: Ref) -> Iterator[tuple[str, UvmObject]]:
    """Yield (oid, stored object) of an object and its ancestors, in the order of lookup.

    What the turn makes has no stored object yet; it comes with the one that it was made from.
    """
    stack, passed = [ref], set()
    while stack:
        here = stack.pop()
        if here.oid in passed:
            continue
        passed.add(here.oid)
        seen = reads.objects.get(here.oid)
        obj = find(root, ((seen and seen.cloned_from) or here).oid)
        yield here.oid, obj
        line = [ref_of(parent) for parent in obj.parents] if seen is None else seen.parents
        stack.extend(reversed(line))


def _set_parents(
    reads: ReadSet, obj: ObjectSnapshot, reach: Reach, parents: Any, root: Root
) -> list[Ref]:
    if type(parents) not in (list, tuple):
        raise ArgumentsError("setParents takes a list of objects")
    _check_maker(obj, reach, root)
    line = tuple(_parent(each, reach, root) for each in parents)
    family.check_parents(obj.ref.name, len(line), len({ref.oid for ref in line}))
    ancestors = [each for ref in line for each in _line(reads, root, ref)]
    oids = {oid for oid, _ in ancestors}
    family.check_line(obj.ref.name, obj.ref.oid in oids, len(ancestors))
    for _, each in ancestors:  # so that two turns cannot make a ring together
        each._p_activate()
        reads.serials[each._p_oid.hex()] = each._p_serial
    obj.parents, obj.moved, reads.view_of = line, True, view_of
    for seen in reads.objects.values():
        view = view_of(reads, root, seen.ref)
        seen.slots, seen.labels = view.slots, labels_of(view.records, seen.labels)
        seen.selectors = frozenset(view.methods)
        reads.label |= seen.labels.get("", frozenset())
    return list(line)


def _add_parent(
    reads: ReadSet, obj: ObjectSnapshot, reach: Reach, parent: Any, root: Root
) -> list[Ref]:
    return _set_parents(reads, obj, reach, [*obj.parents, parent], root)


def _remove_parent(
    reads: ReadSet, obj: ObjectSnapshot, reach: Reach, parent: Any, root: Root
) -> list[Ref]:
    _check_maker(obj, reach, root)
    gone = _parent(parent, reach, root)
    left = [ref for ref in obj.parents if ref.oid != gone.oid]
    if len(left) == len(obj.parents):
        name = obj.ref.name or "the object"
        raise NotFoundError(f"{gone.name or gone.oid} is not a parent of {name}")
    return _set_parents(reads, obj, reach, left, root)


def _rename(reads: ReadSet, obj: ObjectSnapshot, reach: Reach, name: Any, root: Root) -> str:
    _check_person(reach, "rename")
    if type(name) is not str:
        raise ArgumentsError("a name is a text")
    check_object_name(name)
    reads.acts.append(lambda root: family.rename(root, find(root, obj.ref.oid), name))
    return name


def _delete(reads: ReadSet, obj: ObjectSnapshot, reach: Reach, force: Any, root: Root) -> str:
    _check_person(reach, "delete")
    if type(force) is not bool and force != "":
        raise ArgumentsError("force is true or false")
    reads.acts.append(lambda root: family.delete(root, find(root, obj.ref.oid), force=bool(force)))
    return obj.ref.name


# As in ``bat_os.kernel.primitives``; what does it gets the root, too.
PRIMITIVES: Final[Mapping[str, tuple[tuple[str, ...], Callable[..., Any]]]] = {
    "addParent": (("parent",), _add_parent),
    "delete": (("force?",), _delete),
    "removeParent": (("parent",), _remove_parent),
    "rename": (("name",), _rename),
    "setParents": (("parents",), _set_parents),
}


def _parent(given: Any, reach: Reach, root: Root) -> Ref:
    """Return the object that is meant; a client may say its name."""
    if reach is None and type(given) is str:
        return ref_of(find(root, given))
    if type(given) is not Ref:
        raise ArgumentsError("a parent is an object; from outside its name will do")
    if reach is not None and given.oid not in reach:
        raise CellError("the method holds no reference to that parent", kind="refused")
    return given


def _check_maker(obj: ObjectSnapshot, reach: Reach, root: Root) -> None:
    if reach is None or obj.by_method:
        return
    if obj.cloned_from is None and find(root, obj.ref.oid).by_method:
        return
    text = (
        f"a method sets the parents of what a method made; {obj.ref.name or 'this'} is a person's"
    )
    raise CellError(text, kind="refused")


def _check_person(reach: Reach, selector: str) -> None:
    if reach is not None:
        raise CellError(f"a method cannot {selector} an object; a person can", kind="refused")
