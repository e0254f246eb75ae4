"""Format 4: a clone has methods of its own. Before, it shared the ``Method`` of its prototype.

Of each method that several objects hold, one of them keeps it with its history: the one for which
a version waits, else the oldest. All others get copies, with the pin, taint and moves of the
method; the texts stay shared. All records are looked at once.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from ZODB.POSException import POSError

from bat_os.errors import BatError
from bat_os.image import family
from bat_os.image.allowlist import UNREADABLE
from bat_os.image.history import entries, marks
from bat_os.image.objects import Method, UvmObject, connection_of, ref_of

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    Root = MutableMapping[str, Any]

# What a record raises that a disk has changed; ``verify`` names it, and it stays as it is.
_DAMAGED = (BatError, POSError, *UNREADABLE)


def migrate(root: Root) -> None:
    """Give each holder of a shared method a method of its own."""
    holders: dict[bytes, list[UvmObject]] = {}
    for obj in _objects(root):
        for value in obj.slots.values():
            if isinstance(value, Method) and value.primitive != value.selector:
                holders.setdefault(value._p_oid, []).append(obj)
    for oid, objects in holders.items():
        if len(objects) > 1:
            _part(root, connection_of(root).get(oid), objects)


def _part(root: Root, method: Method, objects: list[UvmObject]) -> None:
    waits = marks.waiting(root, method).get("oid", "")
    keeper, *others = sorted(objects, key=lambda obj: (ref_of(obj).oid != waits, ref_of(obj).oid))
    for obj in others:
        for name in [name for name, value in obj.slots.items() if value is method]:
            obj.slots[name] = method.copy()
            with contextlib.suppress(*_DAMAGED):
                family.bring_along(root, method, obj.slots[name])
        obj._p_changed = True
    for obj in (keeper, *others):
        entries.note_copies(root, obj)


def _objects(root: Root) -> Iterator[UvmObject]:
    jar, cookie = connection_of(root), None
    while True:
        try:
            oid, _, _, cookie = jar.db().storage.record_iternext(cookie)
        except (KeyError, ValueError):  # nothing is stored yet
            return
        if (obj := _load(jar, oid)) is not None:
            yield obj
        if cookie is None:
            return


def _load(jar: Any, oid: bytes) -> UvmObject | None:
    """Return an object with its methods; None if the record is something else, or damaged."""
    try:
        obj = jar.get(oid)
        if type(obj) is not UvmObject:
            return None
        obj._p_activate()
        for value in obj.slots.values():
            if isinstance(value, Method):
                value._p_activate()
    except _DAMAGED:
        return None
    return obj
