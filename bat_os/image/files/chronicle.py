"""The chronicle: what was done to the image as a whole.

root["chronicle"]    maps with ``kind`` (``archive``, ``backup``, ``fork``, ``pack`` ...) and ``at``
(Unix time), the oldest first
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from persistent.list import PersistentList

from bat_os.core import values

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

CHRONICLE: Final = "chronicle"


def add_to_chronicle(root: MutableMapping[str, Any], entry: Mapping[str, Any]) -> None:
    """Append an entry; inside ``ImageStore.transact`` only."""
    values.check(dict(entry), where="an entry of the chronicle")
    if CHRONICLE not in root:
        root[CHRONICLE] = PersistentList()
    root[CHRONICLE].append(dict(entry))


def note_copy(root: MutableMapping[str, Any], kind: str, folder: str, at: float) -> None:
    """Note where a copy of the image goes, once; inside ``ImageStore.transact`` only."""
    if all(entry["folder"] != folder for entry in chronicle(root, kind)):
        add_to_chronicle(root, {"kind": kind, "at": at, "folder": folder})


def chronicle(root: Mapping[str, Any], kind: str = "") -> list[dict[str, Any]]:
    """Return all entries, or those of one kind, the oldest first."""
    return [dict(entry) for entry in root.get(CHRONICLE, ()) if kind in ("", entry["kind"])]
