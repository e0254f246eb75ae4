"""Format 5: several kernels may share an image; each has a desk, and keys are spread over trees.

Before, ``unfinished`` had the missions by id and their keys behind a "#", and ``keys`` those of
the missions that had ended. A lone kernel's desk is "".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from BTrees.OOBTree import OOBTree

from bat_os.image.missions import shard_of
from bat_os.image.objects import tree_of

if TYPE_CHECKING:
    from collections.abc import MutableMapping


def migrate(root: MutableMapping[str, Any]) -> None:
    """Lay what is unfinished on the desk of a lone kernel, and spread the keys."""
    before, ended = root["unfinished"], root["keys"]
    desk, keys = OOBTree(), OOBTree()
    for key, mission_id in ended.items():
        tree_of(keys, shard_of(key))[key] = mission_id
    for name, value in before.items():
        if name.startswith("#"):  # what waits has a key before what ended
            tree_of(keys, shard_of(name[1:]))[name[1:]] = value
        else:
            desk[name] = value
    root["unfinished"], root["keys"] = OOBTree({"": desk}), keys
