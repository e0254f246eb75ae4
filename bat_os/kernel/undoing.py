"""Take back a transaction: read what it changed, embed what search has to find again, commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bat_os.image.history.undo import read_changes, returning, revived, take_back

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bat_os.image.history.entries import Summary
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]


async def undo_transaction(mind: KernelContext, tid: str) -> list[str]:
    """Undo what a transaction changed; return the names of the objects, "" for a fact.

    Raises as ``read_changes`` and ``take_back``.
    """
    changes = await read_changes(mind.image, tid)

    def look(root: Root) -> dict[str, Summary]:
        return returning(root, changes)

    returned = await mind.image.transact(look, note="look at what comes back")
    told = {key: [text] for key, text in revived(changes).items()}
    told |= {key: summary.passages for key, summary in returned.items()}
    vectors = {key: await mind.catalog.embed(texts) for key, texts in told.items()}
    undone = await mind.image.transact(
        lambda root: take_back(root, changes, vectors, returned), note="undo"
    )
    mind.orchestrator.wake()
    return undone
