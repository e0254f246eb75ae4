"""Entries of the program's own objects: slots with a default, and with versions.

    root["entries"]    name of the object -> key -> {"current": n, "versions": [...]}

Version 0 is the default, which the program and the profile give at each start; the others are a
person's. The slot has the value of the current version, so lookup, time travel and inspection see
what counts. All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.image.objects import Method, find, tree_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    Root = MutableMapping[str, Any]

TREE: Final = "entries"
PROGRAM, PERSON = "PROGRAM", "ARCHITECT"  # who gave a version
MAX_VERSIONS: Final = 100  # of one entry; older ones than that are forgotten


def lay_defaults(root: Root, defaults: Mapping[str, Mapping[str, Any]]) -> None:
    """Give each entry its default, and the slot too unless a person has set it.

    A slot that an older program let a person make under the name of an entry is their version.
    """
    for name, entries in defaults.items():
        obj = root["objects"].get(name)
        if obj is None:
            continue
        kept = dict(root.get(TREE, {}).get(name, {}))
        for key, value in entries.items():
            held = obj.slots.get(key)
            if not isinstance(held, Method):
                has = key in obj.slots
                kept[key] = record = _with_default(kept.get(key), value, held, has=has)
                counts = record["versions"][record["current"]]["value"]
                if key not in obj.slots or held != counts:
                    obj.set_slot(key, counts)
        if kept != root.get(TREE, {}).get(name, {}):
            tree_of(root, TREE)[name] = kept


def _with_default(
    record: dict[str, Any] | None, value: Any, held: Any, *, has: bool
) -> dict[str, Any]:
    """Return a record with this default; what an undo or an import put into the slot counts."""
    known = record or {"current": 0, "versions": [_version(value, PROGRAM)]}
    current, versions = known["current"], known["versions"]
    if has and held != versions[current]["value"]:
        versions = [*versions, _version(held, PERSON)]
        current = len(versions) - 1
    return {"current": current, "versions": [_version(value, PROGRAM), *versions[1:]]}


def note_entry(root: Root, name: str, key: str, value: Any, *, at: float) -> int:
    """Keep a person's new version of an entry, whose slot has the value by now; return its number.

    A value that counts already makes no version.
    """
    kept = dict(root.get(TREE, {}).get(name, {}))
    record = kept.get(key) or {"current": 0, "versions": [_version(None, PROGRAM)]}
    if record["versions"][record["current"]]["value"] == value:
        return int(record["current"])
    versions = [*record["versions"], _version(value, PERSON, at)]
    if len(versions) > MAX_VERSIONS:
        del versions[1]
    kept[key] = {"current": len(versions) - 1, "versions": versions}
    tree_of(root, TREE)[name] = kept
    return len(versions) - 1


def note_entries(
    root: Root, name: str, changed: Mapping[str, Any], entries: Mapping[str, Any]
) -> None:
    """Keep the new versions of those slots that are entries, which a message has set."""
    for key in changed.keys() & entries.keys():
        note_entry(root, name, key, changed[key], at=time.time())


def set_entry(root: Root, name: str, key: str, value: Any, *, at: float) -> int:
    """Set an entry for a person; return the number of its version."""
    find(root, name).set_slot(key, value)
    return note_entry(root, name, key, value, at=at)


def move_entry(root: Root, name: str, key: str, by: int) -> int:
    """Go to the version before (-1) or behind (1) the current one; return its number."""
    obj, kept = find(root, name), dict(root.get(TREE, {}).get(name, {}))
    record = kept.get(key) or {"current": 0, "versions": []}
    number = record["current"] + by
    if not 0 <= number < len(record["versions"]):
        what = "to undo: it is as the program has it" if by < 0 else "to redo"
        raise ArgumentsError(f"{name}.{key} has nothing {what}")
    kept[key] = {**record, "current": number}
    tree_of(root, TREE)[name] = kept
    obj.set_slot(key, record["versions"][number]["value"])
    return int(number)


def list_entries(root: Root, name: str) -> dict[str, dict[str, Any]]:
    """Return the record of each entry of an object: ``current`` and ``versions``."""
    return dict(root.get(TREE, {}).get(name, {}))


def _version(value: Any, by: str, at: float = 0.0) -> dict[str, Any]:
    return {"value": value, "by": by, "at": at}
