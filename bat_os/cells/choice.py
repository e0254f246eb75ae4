"""The first cell of several that holds on this machine."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from bat_os.errors import CellUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.ports import Call, Cell, RunResult, Sender

log = logging.getLogger(__name__)


class ChosenCell:
    """Runs methods in the first of its cells whose self-test holds; adapter of ``ports.Cell``.

    Chosen once, by the self-test; a call that comes earlier waits for it.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        """Take the cells in the order in which they are preferred; at least one."""
        self._cells = tuple(cells)
        self._chosen: Cell | None = None
        self._outcome: dict[str, Any] = {}
        self._refusal = ""
        self._choosing = asyncio.Lock()

    async def run(self, call: Call, send: Sender) -> RunResult:
        """Run one method in the chosen cell; see ``ports.Cell.run``."""
        return await (await self._choose()).run(call, send)

    async def self_test(self) -> dict[str, Any]:
        """Return the outcome of the cell that was chosen.

        Raises:
            CellUnavailableError: None of them holds; the message says why, one by one.
        """
        await self._choose()
        return self._outcome

    async def _choose(self) -> Cell:
        async with self._choosing:
            if self._chosen is None and not self._refusal:
                self._chosen = await self._first_that_holds()
        if self._chosen is None:
            raise CellUnavailableError(self._refusal)
        return self._chosen

    async def _first_that_holds(self) -> Cell | None:
        reasons = []
        for cell in self._cells:
            kind = cell.stats()["kind"]
            try:
                self._outcome = await cell.self_test()
            except CellUnavailableError as error:
                reasons.append(f"{kind}: {error}")
            else:
                if self._outcome["ok"]:
                    return cell
                reasons.append(f"{kind}: not held: {', '.join(self._outcome['through'])}")
            log.warning("cell %s", reasons[-1])
        self._refusal = "no learned method can run here safely: " + "; ".join(reasons)
        return None

    def stats(self) -> dict[str, Any]:
        """Return the facts of the chosen cell, else of the preferred one, and the self-test."""
        return (self._chosen or self._cells[0]).stats() | {"self_test": self._outcome}

    async def close(self) -> None:
        """Close all cells. Idempotent."""
        for cell in self._cells:
            await cell.close()
