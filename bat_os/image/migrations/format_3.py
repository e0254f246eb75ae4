"""Format 3: what is unfinished stands by itself, and no longer among what has ended.

Format 2 had every mission in ``missions`` and every key in ``keys``, and in ``unfinished`` the
ids of those that were to be run. They are in ``unfinished`` alone now, until they end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from BTrees.OOBTree import OOBTree

from bat_os.image.files.checksums import BROKEN

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def migrate(root: MutableMapping[str, Any]) -> None:
    """Change an image of format 2; a mission that cannot be read is not to be run any more."""
    waiting = OOBTree()
    for mission_id in root["unfinished"]:
        try:
            mission = root["missions"][mission_id]
            key = mission.slots["key"]
        except BROKEN:
            continue
        waiting[mission_id] = root["missions"].pop(mission_id)
        if root["keys"].get(key) == mission_id:
            waiting[f"#{key}"] = root["keys"].pop(key)
    root["unfinished"] = waiting
