"""Tables for a terminal of any width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP: Final = 2  # between two columns
LEAST: Final = 16  # characters that the widest column is to have


def lay_out(rows: Sequence[Sequence[str]], heads: Sequence[str], width: int) -> Table:
    """Return rows under their heads, of which the widest wraps, in at most ``width`` cells.

    Where the other columns leave no room for it, heads stand beside the cells instead of
    above them, and each row becomes lines of its own.
    """
    widths = [max(cell_len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    widest = widths.index(max(widths))
    left = width - sum(widths) - GAP * (len(heads) - 1) + widths[widest]
    if left < min(widths[widest], LEAST):
        return _lay_out_beside(rows, heads)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for place, head in enumerate(heads):
        table.add_column(head, overflow="fold", no_wrap=place != widest)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _lay_out_beside(rows: Sequence[Sequence[str]], heads: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        for place, (head, cell) in enumerate(zip(heads, row, strict=True)):
            last = place == len(heads) - 1
            table.add_row(head, Text(cell), end_section=last)
    return table
