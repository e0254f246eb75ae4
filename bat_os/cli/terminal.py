"""The standard streams of a process whose output a person sees, and the lines of its log.

On a terminal everything that is printed goes through ``show_control``: answers, errors,
tracebacks, usage lines. What draws (``console``, ``progress``, the line editor) takes the stream
behind the guard, and passes every text through ``show_control`` itself; a test looks for others.
Standard library only: set-up prints before anything is installed.

What cannot be written (a full disk, an output that is closed) ends the command with one line and
status 1; a reader that has seen enough ends it without a word.

    print ─────────────> Guarded ──┐
    rich, progress, editor ────────┴──> the terminal
"""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO, cast

from bat_os.cli.language import translate
from bat_os.core.printable import show_control, show_on_one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType

EXIT_UNWRITABLE: Final = 1


class _Closed(io.TextIOBase):
    """A standard output that was closed before this process began."""

    def write(self, _text: str) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class Guarded:
    """A standard stream that says if it cannot be written, and spells controls to a terminal.

    Attributes:
        unguarded: The stream itself.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to ``stream``."""
        self.unguarded = stream
        self._is_terminal = stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.unguarded, name)

    def write(self, text: str) -> int:
        """Write a text, and return how many of its characters were written: all."""
        with _ending():
            self.unguarded.write(show_control(text) if self._is_terminal else text)
        return len(text)

    def flush(self) -> None:
        """Write what waits."""
        with _ending():
            self.unguarded.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """End this process where standard output cannot be written; nobody would get the answer."""
    try:
        yield
    except OSError as error:
        with contextlib.suppress(OSError, ValueError):  # Python flushes it once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # the reader has seen enough
            raise SystemExit(0) from None
        with contextlib.suppress(OSError):
            code = "STORAGE_FULL" if error.errno == errno.ENOSPC else "batos:"
            text = translate(f"the answer cannot be written: {error.strerror}")
            print(code, text, file=sys.stderr)
        raise SystemExit(EXIT_UNWRITABLE) from error


def guard_streams() -> None:
    """Guard standard output, and standard error where it is a terminal. Idempotent."""
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - to the end
    if not isinstance(sys.stdout, Guarded):
        sys.stdout = Guarded(cast("TextIO", sys.stdout))
    if not isinstance(sys.stderr, Guarded) and sys.stderr.isatty():
        sys.stderr = Guarded(sys.stderr)


def run_guarded(run: Callable[[], int]) -> int:
    """Return the exit status that ``run`` returns, once all that it printed is written."""
    guard_streams()
    try:
        return run()
    finally:
        sys.stdout.flush()


def unguarded(stream: TextIO) -> TextIO:
    """Return the stream behind a guard, or ``stream`` itself if it has none."""
    return stream.unguarded if isinstance(stream, Guarded) else stream


# Of syslog, as journald reads them at the start of a line: <3> is an error.
_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


class LogFormatter(logging.Formatter):
    """One line per record, whatever its arguments hold; a traceback follows, further to the right.

    So no text from outside can begin a line of its own in a log, or move a reader's cursor.

    Args:
        form: As logging has it.
        for_journal: Whether journald reads the lines, and each says how much it matters.
    """

    def __init__(self, form: str, *, for_journal: bool = False) -> None:
        super().__init__(form)
        self._for_journal = for_journal

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record and of its traceback."""
        text = super().format(record)
        if not self._for_journal:
            return text
        number = next((rank for level, rank in _PRIORITIES if record.levelno >= level), 7)
        return "\n".join(f"<{number}>{line}" for line in text.split("\n"))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is logging's
        """Return the line of a record."""
        return show_on_one_line(super().formatMessage(record))

    def formatException(  # noqa: N802 - the name is logging's
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, ...]
    ) -> str:
        """Return the lines of a traceback."""
        lines = super().formatException(ei).split("\n")  # type: ignore[arg-type]  # logging's own
        return "\n".join(f"    {show_control(line)}" for line in lines)


def begin_log(form: str, level: str = "info") -> None:
    """Write what is logged, from ``level`` on, to standard error; ``form`` is logging's."""
    handler = logging.StreamHandler()
    handler.setFormatter(LogFormatter(form, for_journal=_is_journal(os.environ)))
    logging.basicConfig(level=level.upper(), handlers=[handler])


def _is_journal(environ: Mapping[str, str]) -> bool:
    """Return whether standard error is the stream to journald that systemd names.

    A file or a terminal that a service's processes write to has another device and inode.
    """
    named = environ.get("JOURNAL_STREAM", "")
    if not named:
        return False
    try:
        about = os.fstat(2)
    except OSError:  # it is closed
        return False
    return named == f"{about.st_dev}:{about.st_ino}"
