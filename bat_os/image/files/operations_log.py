"""What was done to the image as a whole, as plain data in the image itself.

root["chronicle"]: a list of maps, the oldest first. Each has ``kind`` (``archive``, ``fork``,
``pack``) and ``at`` (Unix time).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from persistent.list import PersistentList

from bat_os.core import values

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

NAME: Final = "chronicle"


def record(root: MutableMapping[str, Any], entry: Mapping[str, Any]) -> None:
    """Append an entry; inside ``ImageStore.transact`` only."""
    values.check(dict(entry), where="an entry of the chronicle")
    if NAME not in root:
        root[NAME] = PersistentList()
    root[NAME].append(dict(entry))


def entries(root: Mapping[str, Any], kind: str = "") -> list[dict[str, Any]]:
    """Return all entries, or those of one kind, the oldest first."""
    return [dict(one) for one in root.get(NAME, ()) if kind in ("", one["kind"])]
