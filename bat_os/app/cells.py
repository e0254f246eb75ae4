"""Which cell runs learned methods: the first of these that passes its self-test."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from bat_os.cells.choice import ChosenCell
from bat_os.cells.monty.monty_cell import MontyCell
from bat_os.cells.zygote.zygote_cell import ZygoteCell
from bat_os.errors import CellUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.core.settings import Settings
    from bat_os.ports import Cell

CELLS: Final[Mapping[str, Callable[[], Cell]]] = {
    "zygote": lambda: ZygoteCell(zone=os.environ.get("TZ", "")),
    "monty": MontyCell,
}


def make_cell(settings: Settings) -> ChosenCell:
    """Return the cell that the settings ask for; nothing starts yet."""
    kinds = tuple(CELLS) if settings.cell == "auto" else (settings.cell,)
    return ChosenCell([CELLS[kind]() for kind in kinds])


async def prove(cell: Cell) -> None:
    """Start and test the cell; if none holds, a call of a method says why."""
    with contextlib.suppress(CellUnavailableError):
        await cell.self_test()
