"""How far long work has come: a bar on a terminal, a line now and then in a pipe.

Nothing with ``--json`` or ``--quiet``; standard output stays free for the answer.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.cli.console import show_control

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.progress import Progress

    from bat_os.cli.console import Screen

SELDOM: Final = 5.0  # seconds between two lines in a pipe
_LONGEST: Final = 48
# As the kernel counts: "notes.md: 40 of 200 passages", "taking it in: 35%".
_PART: Final = re.compile(r"(\d{1,9}) of (\d{1,9})\b|\b(\d{1,3})(?:\.\d)? ?%")


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
        """Say which piece comes now."""
        self._show(text, 0.0)

    def hear(self, _kind: str, told: Mapping[str, Any]) -> None:
        """Take what the kernel says of the piece: an ``event`` with a ``text``."""
        if text := str(told.get("text", "")):
            self._show(text, _read_part(text))

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


def _read_part(text: str) -> float:
    """Return the part of a piece that is done, from what the kernel says of it.

    >>> _read_part("notes.md: 40 of 200 passages"), _read_part("copying: 35%"), _read_part("?")
    (0.2, 0.35, 0.0)
    """
    if (found := _PART.search(text)) is None:
        return 0.0
    if found[3]:
        return min(int(found[3]), 100) / 100
    return min(int(found[1]) / max(int(found[2]), 1), 1.0)
