"""What the history keeps beside a method, in a tree of the root: the method stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bat_os.image.objects import Method


def record_of(root: MutableMapping[str, Any], name: str, method: Method) -> PersistentMapping:
    """Return what the tree ``name`` of the root keeps about a stored method, made if missing."""
    if name not in root:
        root[name] = OOBTree()
    tree, key = root[name], method._p_oid.hex()
    if key not in tree:
        tree[key] = PersistentMapping()
    return tree[key]
