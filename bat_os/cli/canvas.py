"""What a terminal shows, drawn by rich: colours, tables, highlighted source; no pipe needs it.

Importing rich takes as long as asking the daemon, so only what draws imports this module.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from bat_os.cli.terminal import unguarded
from bat_os.core.printable import show_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import IO

    from rich.console import ConsoleOptions, RenderableType
    from rich.syntax import Syntax

GAP: Final = 2  # between two columns
LEAST_WIDTH: Final = 16  # characters that the widest column should have


class Canvas(Console):
    """A console of rich that reads no markup in texts and shows no control character of theirs.

    The sequences that rich itself makes (colours, a line rewritten in place) pass.
    """

    def __init__(self, *, stderr: bool = False, plain: bool = False) -> None:
        """Write to standard output, or standard error; without colours if ``plain``."""
        super().__init__(
            stderr=stderr,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
            color_system=None if plain else "auto",
        )

    @property
    def file(self) -> IO[str]:
        """Return the stream behind the guard: what is drawn is made safe in ``render``."""
        return unguarded(super().file)  # type: ignore[arg-type]  # a text stream

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is drawn, piece by piece."""
        for piece in super().render(renderable, options):
            safe = piece.control is not None
            yield piece if safe else Segment(show_control(piece.text), piece.style)


def assemble(parts: Iterable[tuple[str, str]]) -> Text:
    """Return one text of texts with their styles."""
    return Text.assemble(*parts)


def lay_out(rows: Sequence[Sequence[Any]], heads: Sequence[str], width: int) -> Table:
    """Return rows under their heads, in at most ``width`` cells; the widest column wraps.

    If the other columns leave no room for it, heads are left of the cells instead of above
    them, and each row becomes several lines. A text is spelt out before it is measured, and is
    never markup.
    """
    head, *texts = [[Text(show_control(str(cell))) for cell in row] for row in (heads, *rows)]
    widths = [
        max(cell_len(row[place].plain) for row in (head, *texts)) for place in range(len(heads))
    ]
    widest = widths.index(max(widths))
    left = width - sum(widths) - GAP * (len(heads) - 1) + widths[widest]
    if left < min(widths[widest], LEAST_WIDTH):
        return _lay_out_beside(texts, head)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for place, name in enumerate(head):
        table.add_column(name, overflow="fold", no_wrap=place != widest)
    for row in texts:
        table.add_row(*row)
    return table


def _lay_out_beside(rows: Sequence[Sequence[Text]], heads: Sequence[Text]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        for place, (head, cell) in enumerate(zip(heads, row, strict=True)):
            last = place == len(heads) - 1
            table.add_row(head, cell, end_section=last)
    return table


def colour(text: str, language: str, *, numbers: bool = False) -> Syntax:
    """Return source in colours."""
    from rich.syntax import Syntax  # with its lexers, another tenth of a second

    return Syntax(
        text, language, theme="ansi_dark", line_numbers=numbers, word_wrap=True,
        background_color="default",
    )  # fmt: skip
