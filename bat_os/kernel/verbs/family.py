"""Verbs of a person about the family of an object: derive, parents, rename, delete, and undo.

They work on the object itself and send it no message, so they do what they say even where it has
a method or slot of such a name, or a parent too few to understand anything.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.oids import called
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.image import family
from bat_os.image.objects import find, ref_of
from bat_os.image.store import watch_commits
from bat_os.kernel.effects.account import numbers_of, take_back
from bat_os.kernel.undoing import undo_transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.image.objects import UvmObject
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]


async def _change(
    mind: KernelContext, work: Callable[[Root], dict[str, Any]], note: str
) -> dict[str, Any]:
    with watch_commits() as commits:
        body = await mind.image.transact(work, note=note[:70])
    return body | {"transaction": commits[-1] if commits else ""}


def _told(obj: UvmObject) -> dict[str, Any]:
    return {
        "object": obj.name,
        "oid": ref_of(obj).oid,
        "parents": [called(ref_of(parent)) for parent in obj.parents],
        "line": [called(ref_of(each)) for each in obj.lineage()],
    }


async def derive(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Make a child of the target under ``body.name``."""
    name = request.body["name"]

    def work(root: Root) -> dict[str, Any]:
        return _told(family.derive(root, find(root, request.target), name))

    return await _change(mind, work, f"derive {name}")


async def parents(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Set, add or remove ``body.parents``; show the parents where none are given."""
    body = request.body
    names = body["parents"]
    if any(type(name) is not str for name in names):
        raise ArgumentsError("parents are names or oids")
    if (body["add"] or body["remove"]) and not names:
        raise ArgumentsError("name the parents to add or to remove")

    def work(root: Root) -> dict[str, Any]:
        obj, line = find(root, request.target), [find(root, name) for name in names]
        if body["remove"]:
            for name, parent in zip(names, line, strict=True):
                if parent not in obj.parents:
                    raise NotFoundError(f"{name[:100]} is not a parent of {request.target[:100]}")
            line = [parent for parent in obj.parents if parent not in line]
        elif body["add"]:
            line = [*obj.parents, *line]
        if names:
            family.set_parents(obj, line)
        return _told(obj)

    return await _change(mind, work, f"parents of {request.target}")


async def rename(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Give the target the name ``body.name``."""
    name = request.body["name"]

    def work(root: Root) -> dict[str, Any]:
        obj = find(root, request.target)
        family.rename(root, obj, name)
        return _told(obj)

    return await _change(mind, work, f"rename {request.target} to {name}")


async def delete(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Delete the target; with ``body.force``, although something refers to it."""

    def work(root: Root) -> dict[str, Any]:
        obj = find(root, request.target)
        about = {"object": obj.name, "oid": ref_of(obj).oid}
        return about | {"referrers": family.delete(root, obj, force=request.body["force"])}

    return await _change(mind, work, f"delete {request.target}")


async def undo(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Take back what the transaction ``body.transaction`` changed in objects."""
    tid = request.body["transaction"]
    with watch_commits() as commits:
        undone = await undo_transaction(mind, tid)
    transaction = commits[-1] if commits else ""
    staged = await numbers_of(mind, tid)
    if not undone and not staged:
        raise ArgumentsError(f"transaction {tid[:20]} changed no slot, parent or name of an object")
    taken = await take_back(mind, staged)
    return {
        "objects": undone, "transaction": transaction, "outside": taken.texts, "left": taken.left
    }  # fmt: skip


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {each.__name__: each for each in (derive, parents, rename, delete, undo)}
)
