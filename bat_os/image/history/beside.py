"""Records of the image beside a method, and the method that answers a message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from persistent.mapping import PersistentMapping

from bat_os.image.objects import Method, UvmObject, object_of, tree_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    Root = MutableMapping[str, Any]


def record_of(root: Root, name: str, method: Method) -> PersistentMapping:
    """Return the record of a stored method in the tree ``name`` of the root; make it if missing."""
    tree, key = tree_of(root, name), method._p_oid.hex()
    if key not in tree:
        tree[key] = PersistentMapping()
    return tree[key]


def find_answering(
    root: Mapping[str, Any], target: str, selector: str
) -> tuple[UvmObject, Method] | None:
    """Return (holder, learned method) that answer a message now, to a name or an oid."""
    obj = root["objects"].get(target) or object_of(root, target)
    found = obj.lookup(selector) if isinstance(obj, UvmObject) else None
    if found is None or not isinstance(found[1], Method) or found[1].current < 0:
        return None
    return found
