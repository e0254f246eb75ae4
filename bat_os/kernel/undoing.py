"""Take back a transaction: read what it changed, embed what search has to find again, commit."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bat_os.image import grants
from bat_os.image.gathering import then
from bat_os.image.history.undo import read_changes, returning, revived, take_back
from bat_os.ports import ServerDriver

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from bat_os.image.grants import Grant
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

    def work(root: Root) -> tuple[list[str], list[Grant]]:
        now = time.time()
        before = grants.live(root, now)
        undone = take_back(root, changes, vectors, returned)
        left = {grant.oid for grant in grants.live(root, now)}
        return undone, [grant for grant in before if grant.oid not in left]

    undone, ended = await mind.image.transact(work, note="undo")
    await end_servers(mind, ended)
    mind.orchestrator.wake()
    return undone


async def end_servers(mind: KernelContext, ended: Sequence[Grant]) -> None:
    """End the servers of grants that have ended, unless another grant is for one."""

    async def work() -> None:
        live = await mind.image.transact(
            lambda root: grants.live(root, time.time()), note="read grants"
        )
        for each in ended:
            driver = mind.drivers.get(each.driver)
            if isinstance(driver, ServerDriver):
                scopes = [other.scope for other in live if other.driver == each.driver]
                await asyncio.to_thread(driver.end, each.scope, scopes)

    if ended:
        await then(mind.image, work)
