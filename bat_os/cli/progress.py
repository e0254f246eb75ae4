"""Progress on standard error: one line that is rewritten on a terminal, plain lines in a pipe.

Standard output stays free for answers. Uses the standard library only: set-up needs it
before anything is installed.
"""

from __future__ import annotations

import shutil
import sys
import time
from typing import Final

QUIET: Final = 15.0  # seconds between two lines in a pipe that differ only in the time


class Progress:
    """What goes on, with the seconds it has taken so far."""

    def __init__(self) -> None:
        """Start the clock."""
        self._terminal = sys.stderr.isatty()
        self._started = time.monotonic()
        self._shown = self._started
        self._text = ""

    def restart(self) -> None:
        """Start the clock again, for the next step."""
        self._started = time.monotonic()

    def show(self, text: str, detail: str = "") -> None:
        """Say what goes on now; call it often. In a pipe a new detail alone is no news."""
        now = time.monotonic()
        seconds = int(now - self._started)
        line = f"{text}{detail} ({seconds} s)" if seconds else text
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{line[:width]}", end="", file=sys.stderr, flush=True)
        elif text != self._text or now - self._shown > QUIET:
            print(line, file=sys.stderr, flush=True)
            self._shown = now
        self._text = text

    def say(self, text: str) -> None:
        """Put a line that stays in the place of the one that changes."""
        start = "\r\033[K" if self._terminal and self._text else ""
        print(f"{start}{text}", file=sys.stderr, flush=True)
        self._text = ""

    def done(self, text: str) -> None:
        """Say that a step has ended, and how long it took."""
        self.say(f"{text} ({time.monotonic() - self._started:.1f} s)")
