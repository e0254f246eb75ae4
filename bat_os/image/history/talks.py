"""What was asked and answered in counterpoint, as plain data; the newest MAX_TALKS are kept.

    root["talks"]  id, which begins with the time -> PersistentMapping

All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    Root = MutableMapping[str, Any]

ROOT_NAME: Final = "talks"
MAX_TALKS: Final = 1_000


def keep(root: Root, talk_id: str, talk: Mapping[str, Any]) -> None:
    """Store a talk; the oldest go where there are too many."""
    if ROOT_NAME not in root:
        root[ROOT_NAME] = OOBTree()
    kept = root[ROOT_NAME]
    kept[talk_id] = PersistentMapping(talk)
    while len(kept) > MAX_TALKS:
        del kept[kept.minKey()]


def newest(root: Mapping[str, Any], limit: int) -> list[dict[str, Any]]:
    """Return up to ``limit`` talks, the newest first."""
    ids = reversed(list(root[ROOT_NAME].keys())) if ROOT_NAME in root else iter(())
    return [dict(root[ROOT_NAME][one]) for one in islice(ids, limit)]
