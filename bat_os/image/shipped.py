"""The library in the image: objects that the program ships, and their upgrade.

    root["library"]    "stamp" of what was installed last, and the names of the "objects"

A shipped method is an ordinary one with the status ``shipped``, or a trusted function of the
program. A person's own version replaces it and stays: a new program gives a method a new version
only while the shipped one is current, and adds only what nobody has unlearned or overridden. An
object of that name that a person made first stays as it is.

All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.image.objects import Method, UvmObject

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

# genesis_obj gets a slot for each, once: without a grant, a message there ends in GRANT_WANTED.
# ``context``, which says where the person is, needs none.
DOORS: Final = frozenset({"files", "web", "shell", "context"})
LIBRARY: Final = "library"
SHIPPED: Final = "shipped"


@dataclass(frozen=True, slots=True)
class ShippedMethod:
    """A method as the program has it: source text, or the name of a trusted function."""

    selector: str
    source: str = ""  # or "" for a trusted function
    primitive: str = ""
    examples: Sequence[Mapping[str, Any]] = ()  # what every later version has to reproduce


@dataclass(frozen=True, slots=True)
class ShippedObject:
    """An object as the program has it."""

    name: str
    about: str
    methods: Sequence[ShippedMethod]
    of_awakening: bool = False  # awakening makes it, and the program only adds methods


def library_names(root: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the objects that the program has shipped."""
    return frozenset(root.get(LIBRARY, {}).get("objects", ()))


def library_stamp(root: Mapping[str, Any]) -> str:
    """Return the stamp of the library that was installed last, or ""."""
    return str(root.get(LIBRARY, {}).get("stamp", ""))


def install_library(root: Root, shelf: Sequence[ShippedObject], stamp: str, version: str) -> int:
    """Bring the shipped objects to what ``shelf`` has; return how many methods changed.

    Args:
        root: Of the image.
        shelf: All objects of the library.
        stamp: Text that changes with the shelf; ``library_stamp`` returns it afterwards.
        version: Of the program, for the provenance.
    """
    traits, ours, changed = root["objects"]["traits_obj"], set(library_names(root)), 0
    for shipped in shelf:
        obj = root["objects"].get(shipped.name)
        if obj is not None and shipped.name not in ours and not shipped.of_awakening:
            log.warning("%s is an object of yours; the library leaves it alone", shipped.name)
            continue
        if not shipped.of_awakening:
            ours.add(shipped.name)
        if obj is None:
            obj = root["objects"][shipped.name] = UvmObject(shipped.name, (traits,))
            obj.set_slot("about", shipped.about)
        wanted = {method.selector for method in shipped.methods}
        changed += sum(_put(obj, method, version) for method in shipped.methods)
        changed += sum(_retire(obj, name) for name in _own(obj) if name not in wanted)
    doors = set(root.get(LIBRARY, {}).get("doors", ()))
    for name in DOORS - doors:
        if f"{name}_obj" in ours and root["objects"]["genesis_obj"].lookup(name) is None:
            root["objects"]["genesis_obj"].set_slot(name, root["objects"][f"{name}_obj"])
            doors.add(name)
    root[LIBRARY] = {"stamp": stamp, "objects": sorted(ours), "doors": sorted(doors)}
    return changed


def _put(obj: UvmObject, shipped: ShippedMethod, version: str) -> bool:
    """Install one method unless a person has decided otherwise; return whether it changed."""
    held = obj.slots.get(shipped.selector)
    if shipped.selector in obj.slots and not isinstance(held, Method):
        return False  # a slot of the same name is the person's
    if held is None:
        held = Method(shipped.selector, primitive=shipped.primitive)
        obj.set_slot(shipped.selector, held)
    elif shipped.primitive:
        changed = bool(held.primitive != shipped.primitive)
        held.primitive = shipped.primitive
        return changed
    elif not _is_shipped(held) or held.versions[-1].sha256 == digest(shipped.source):
        return False
    held.primitive = shipped.primitive
    if shipped.source:
        about = {"by": "LIBRARY", "program": version, "examples": list(shipped.examples)}
        held.add_version(shipped.source, SHIPPED, about)
    return True


def _retire(obj: UvmObject, selector: str) -> bool:
    """Unlearn a method that the program has no more, if nobody made it their own."""
    method = obj.slots[selector]
    method.primitive = ""
    if not method.versions:
        obj.remove_slot(selector)
    elif _is_shipped(method):
        method.current = -1
    return True


def _own(obj: UvmObject) -> Iterable[str]:
    """Return the selectors that the library has put into an object and that still are its own."""
    methods = [(name, held) for name, held in obj.slots.items() if isinstance(held, Method)]
    return [name for name, held in methods if "." in held.primitive or _is_shipped(held)]


def _is_shipped(method: Method) -> bool:
    """Return whether the version that runs is the program's."""
    current = method.versions[method.current] if method.current >= 0 else None
    return current is not None and method.status_of(current) == SHIPPED
