"""The first of several cells that passes its self-test on this machine.

The self-test is a handful of attacks, run through the real path, that must all fail: a cell that
passes its tests elsewhere may run here on a system that lacks something. Each attack returns
``"through"`` if it gets what it wants.
"""

from __future__ import annotations

import asyncio
import logging
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from bat_os.core.values import Ref
from bat_os.errors import CellError, CellUnavailableError, NotFoundError
from bat_os.ports import Call, ObjectView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.ports import Cell, Nested, RunResult, Sender

log = logging.getLogger(__name__)


class ChosenCell:
    """Runs methods in the first of its cells that passes its self-test; adapter of ``ports.Cell``.

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
        return await (self._chosen or await self._choose()).run(call, send)

    async def self_test(self) -> dict[str, Any]:
        """Return the outcome of the cell that was chosen."""
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


_ATTACKS: Final = Path(__file__).with_name("attacks.toml")
LOOPS: Final = 0.05  # seconds after which a method that loops has to be ended; every start pays
_LOOP: Final = "def m(self):\n    while True:\n        pass\n"


def _read_attacks(kind: str) -> dict[str, str]:
    """Return the sources of ``m`` by name that attack an interpreter."""
    data = tomllib.loads(_ATTACKS.read_text(encoding="utf-8"))[kind]
    return {name: data["probe"].replace("ATTACK", code) for name, code in data["attacks"].items()}


async def run_attacks(cell: Cell, kind: Literal["python", "monty"]) -> dict[str, Any]:
    """Return ``{"ok": bool, "held": [name], "through": [name]}``, and after all that a sum."""
    held: list[str] = []
    through: list[str] = []
    looping = asyncio.ensure_future(_run(cell, _LOOP, deadline=LOOPS))  # beside the others
    try:
        for name, source in _read_attacks(kind).items():
            answer = await _run(cell, source)
            (held if answer in ("held", "limit") else through).append(name)
    finally:
        answer = await looping
    (held if answer == "deadline" else through).append("loop for ever")
    answer = await _run(cell, "def m(self):\n    return 6 * 7\n")
    return {"ok": not through and answer == 42, "held": held, "through": through}


async def _run(cell: Cell, source: str, deadline: float = 3.0) -> Any:
    """Return the answer of ``m``, or the kind of its failure."""
    view = ObjectView(Ref("0" * 16), {})
    try:
        return (await cell.run(Call(source, "m", view, deadline=deadline), _refuse)).value
    except CellError as error:
        return error.details["kind"]


async def _refuse(nested: Nested) -> NoReturn:
    raise NotFoundError(f"no object {nested.target}")
