"""How far long work has come: a bar on a terminal, a line now and then in a pipe.

Nothing with ``--json`` or ``--quiet``; standard output stays free for the answer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.cli.console import show_control
from bat_os.core.values import Counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress

    from bat_os.cli.console import Screen

SELDOM: Final = 5.0  # seconds between two lines in a pipe
_LONGEST: Final = 48


class Bar:
    """One long work. Use as a context manager around it.

    Args:
        screen: Where it is shown.
        total: Of how many pieces it consists; 1 where they are not counted.
    """

    def __init__(self, screen: Screen, total: int = 1) -> None:
        """Show nothing yet."""
        self._screen = screen
        self._total = max(total, 1)
        self._done = 0
        self._text = ""
        self._shown = time.monotonic()
        self._bar: Progress | None = None
        self._task: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, text: str) -> None:
        """Say which piece comes now, or what is done to it."""
        self._show(text, _part(text.done, text.total) if isinstance(text, Counted) else 0.0)

    def hear(self, _kind: str, told: Mapping[str, Any]) -> None:
        """Show an ``event`` about the piece: a ``text``, and ``done`` of ``total`` if counted."""
        if text := str(told.get("text", "")):
            self._show(text, _part(told.get("done", 0), told.get("total", 1)))

    def end(self) -> None:
        """Say that a piece is done."""
        self._done += 1
        self._show(self._text, 0.0)

    def _show(self, text: str, part: float) -> None:
        self._text = text
        if self._screen.lively:
            self._draw(" ".join(show_control(text).split()), self._done + part)
        elif not self._screen.quiet and time.monotonic() - self._shown >= SELDOM:
            self._shown = time.monotonic()
            count = f"[{self._done} of {self._total}] " if self._total > 1 else ""
            self._screen.note(f"{count}{text}")

    def _draw(self, text: str, done: float) -> None:
        if self._bar is None:
            self._bar, self._task = _make(self._screen, self._total)
        cut = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
        done = min(done, self._total)
        self._bar.update(self._task, completed=done, text=cut, count=f"{int(done)}/{self._total}")
        self._bar.start()  # once; later calls do nothing


def _make(screen: Screen, total: int) -> tuple[Progress, Any]:
    """Return a bar that is gone when the work is, and its one task."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # 40 ms

    count = (TextColumn("{task.fields[count]}"),) if total > 1 else ()
    bar = Progress(
        BarColumn(bar_width=24), *count, TimeElapsedColumn(),
        TextColumn("{task.fields[text]}", markup=False),
        console=screen.notes, transient=True,
    )  # fmt: skip
    return bar, bar.add_task("", total=total, text="", count="")


def _part(done: int, total: int) -> float:
    """Return the part of a piece that is done, from 0 to 1.

    >>> _part(40, 200), _part(0, 0)
    (0.2, 0.0)
    """
    return min(done / max(total, 1), 1.0)
