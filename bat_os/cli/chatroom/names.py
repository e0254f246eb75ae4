"""Names in the live image, as of a moment ago: what TAB completes.

They are asked for in the background, on connections of their own, so typing never waits:
at the start, after every answer, and when a mission of anybody ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bat_os.client.client import KernelClient

PATIENCE: Final = 5.0  # seconds for the list
AGAIN: Final = 2.0  # seconds after which a kernel that did not answer is asked again
_ENDED: Final = ("complete", "failed")


class LiveNames:
    """Objects and their messages.

    Attributes:
        reachable: A kernel answered when it was asked last; None before that.
        on_news: Called after each answer, and when none came.
    """

    def __init__(self, connect: Callable[[], KernelClient]) -> None:
        """Know nothing yet; ``connect`` makes a connection."""
        self._connect = connect
        self._known: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._stale = asyncio.Event()
        self.reachable: bool | None = None
        self.on_news: Callable[[], None] = lambda: None

    @property
    def objects(self) -> list[str]:
        """Names of the root objects."""
        return sorted(self._known)

    @property
    def count(self) -> int:
        """How many methods there are, over all objects."""
        return sum(len(own) for own, _ in self._known.values())

    def messages(self, name: str) -> list[str]:
        """Return what an object understands: its own messages and those of its parents."""
        return sorted({message for one in self._lineage(name) for message in self._known[one][0]})

    def refresh(self) -> None:
        """Have the names asked for again, in the background."""
        self._stale.set()

    async def run(self) -> None:
        """Keep the names fresh until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep())
            tasks.create_task(self._listen())

    def take(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Know what the verb ``list`` answered."""
        self._known = {
            str(one["name"]): (tuple(map(str, one["selectors"])), tuple(map(str, one["parents"])))
            for one in objects
        }

    async def _keep(self) -> None:
        async with self._connect() as kernel:
            while True:
                self._stale.clear()
                try:
                    self.take((await kernel.request("list", timeout=PATIENCE))["objects"])
                    self.reachable = True
                except (BatError, KeyError, TypeError):  # names are a comfort: go on without
                    self.reachable = False
                self.on_news()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stale.wait(), None if self.reachable else AGAIN)

    async def _listen(self) -> None:
        def hear(_kind: str, told: Mapping[str, Any]) -> None:
            if told.get("state") in _ENDED:
                self.refresh()

        async with self._connect() as kernel:
            while True:
                with contextlib.suppress(BatError):
                    await kernel.request("subscribe", timeout=None, on_event=hear)
                self.refresh()
                await asyncio.sleep(AGAIN)

    def _lineage(self, name: str) -> Iterator[str]:
        seen: set[str] = set()
        coming = [name]
        while coming:
            one = coming.pop()
            if one in self._known and one not in seen:
                seen.add(one)
                coming += self._known[one][1]
                yield one
