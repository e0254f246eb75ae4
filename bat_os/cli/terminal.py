"""The standard streams of a process whose output a person sees, and the lines of its log.

On a terminal everything that is printed goes through ``show_control``: answers, errors,
tracebacks, usage lines. What draws (``console``, ``progress``, the line editor) takes the stream
behind the guard, and passes every text through ``show_control`` itself; a test looks for others.
Standard library only: set-up prints before anything is installed.

    print ─────────────> Guarded ──┐
    rich, progress, editor ────────┴──> the terminal
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, TextIO

from bat_os.core.printable import show_control, show_on_one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType


class Guarded:
    """A stream to a terminal that spells out control characters.

    Attributes:
        unguarded: The stream itself.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``."""
        self.unguarded = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)

    def write(self, text: str) -> int:
        """Write a text, and return how many of its characters were written: all."""
        self.unguarded.write(show_control(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)


def guard_streams() -> None:
    """Guard standard output and standard error where they are terminals. Idempotent."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Guarded) and stream.isatty():
            setattr(sys, name, Guarded(stream))


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream behind a guard, or ``stream`` itself if it has none."""
    return stream.unguarded if isinstance(stream, Guarded) else stream


class LogFormatter(logging.Formatter):
    """One line per record, whatever its arguments hold; a traceback follows, further to the right.

    So no text from outside can begin a line of its own in a log, or move a reader's cursor.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line of a record."""
        return show_on_one_line(super().formatMessage(record))

    def formatException(  # noqa: N802 - the name is logging's
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, ...]
    ) -> str:
        """Return the lines of a traceback."""
        lines = super().formatException(ei).split("\n")  # type: ignore[arg-type]  # logging's own
        return "\n".join(f"    {show_control(line)}" for line in lines)


def begin_log(form: str) -> None:
    """Write what is logged, from INFO on, to standard error; ``form`` is logging's."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
