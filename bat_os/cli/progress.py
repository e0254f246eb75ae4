"""How far long work has come: one line on standard error, rewritten on a terminal.

    [1/3] libraries: 12 packages so far, downloading torch (41 s)        set-up, start
    [########----------------] 1/3  notes.md: 40 of 200 passages (9 s)   verbs

In a pipe there are plain lines, and few of them; standard output stays free for the answer. Uses
the standard library only: set-up needs it before anything is installed.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.cli.language import translate
from bat_os.cli.terminal import unguarded
from bat_os.core.printable import show_control

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen

QUIET: Final = 15.0  # seconds between two lines in a pipe that differ only in the time
SELDOM: Final = 5.0  # seconds between two lines in a pipe about one counted work
WIDTH: Final = 24  # characters of a bar
AGAIN: Final = "\r\033[K"  # to the start of the line, which is emptied


class Progress:
    """What happens now, with the seconds that it has taken so far.

    ``show``, ``say`` and ``done`` tell of steps. ``begin``, ``hear`` and ``end`` tell of counted
    work; as a context manager it then removes its line at the end.

    Args:
        screen: Whether anything is shown, and whether a line may be rewritten; without one,
            standard error decides.
        total: How many pieces there are; 1 if they are not counted.
    """

    def __init__(self, screen: Screen | None = None, total: int = 1) -> None:
        """Start the clock."""
        self._rewrites = sys.stderr.isatty() if screen is None else screen.lively
        self._quiet = screen is not None and screen.quiet
        self._total = max(total, 1)
        self._pieces = 0
        self._text = ""
        self._started = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rewrites and self._text:
            _write("", start=AGAIN, end="")

    def restart(self) -> None:
        """Start the clock again, for the next step."""
        self._started = time.monotonic()

    def show(self, text: str, detail: str = "") -> None:
        """Say what happens now; call it often. In a pipe a new detail alone is not shown."""
        now, text = time.monotonic(), translate(text)
        if self._rewrites:
            self._rewrite(text + detail)
        elif text != self._text or now - self._shown > QUIET:
            _write(self._with_seconds(text + detail))
            self._shown = now
        self._text = text

    def say(self, text: str) -> None:
        """Replace the line that changes by one that stays."""
        _write(translate(text), start=AGAIN if self._rewrites and self._text else "")
        self._text = ""

    def done(self, text: str) -> None:
        """Say that a step has ended, and how long it took."""
        self.say(f"{translate(text)} ({time.monotonic() - self._started:.1f} s)")

    def begin(self, text: str) -> None:
        """Say which piece comes now, or what is done to it; a text may carry numbers."""
        self._count(text, getattr(text, "done", 0), getattr(text, "total", 1))

    def hear(self, _kind: str, event: Mapping[str, Any]) -> None:
        """Show an ``event`` about the piece: a ``text``, and ``done`` of ``total`` if counted."""
        if text := str(event.get("text", "")):
            self._count(text, event.get("done", 0), event.get("total", 1))

    def end(self) -> None:
        """Say that a piece is done."""
        self._pieces += 1
        self._count(self._text)

    def _count(self, text: str, done: int = 0, total: int = 1) -> None:
        self._text = text = translate(text)
        shown = "".join(char if char.isprintable() else " " for char in text)
        if self._rewrites:
            part = min(done / max(total, 1), 1.0)
            filled = int(WIDTH * min((self._pieces + part) / self._total, 1.0))
            count = f" {self._pieces}/{self._total}" if self._total > 1 else ""
            self._rewrite(f"[{'#' * filled}{'-' * (WIDTH - filled)}]{count}  {shown}")
        elif not self._quiet and time.monotonic() - self._shown >= SELDOM:
            self._shown = time.monotonic()
            count = f"[{self._pieces} of {self._total}] " if self._total > 1 else ""
            _write(f"{count}{shown}")

    def _rewrite(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        _write(show_control(self._with_seconds(text))[:width], start=AGAIN, end="")

    def _with_seconds(self, text: str) -> str:
        seconds = int(time.monotonic() - self._started)
        return f"{text} ({seconds} s)" if seconds else text


def _write(text: str, *, start: str = "", end: str = "\n") -> None:
    stream = unguarded(sys.stderr)
    stream.write(f"{start}{show_control(text)}{end}")
    stream.flush()
