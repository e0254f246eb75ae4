"""The line that lives at the bottom of a terminal while a brief runs."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from bat_os.cli.console import show_control

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

TALL: Final = 12  # lines of a text in the making that are shown at once
REFRESH: Final = 4  # times a second


class Pulse:
    """Rewrites itself in place, and leaves nothing behind.

    Attributes:
        doing: What goes on.
        text: What is being written; its last lines stand above.
    """

    def __init__(self, console: Console, started: float) -> None:
        """Show the seconds since ``started``, in time of the monotonic clock."""
        self.doing = ""
        self.text = ""
        self._started = started
        self._alarm: asyncio.TimerHandle | None = None
        self._spinner = Spinner("line", style="dim")  # plain ASCII: any terminal has it
        self._live = Live(
            self,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        """Begin to show; inside a running event loop."""
        self._live.start(refresh=True)
        self._tick()

    def stop(self) -> None:
        """Take the line off the terminal. Idempotent."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._live.stop()

    def _tick(self) -> None:
        # Not rich's own thread: it and a print may both take the line for theirs.
        self._live.refresh()
        self._alarm = asyncio.get_running_loop().call_later(1 / REFRESH, self._tick)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the end of a text in the making, and one line."""
        parts: list[RenderableType] = []
        if self.text:
            last = show_control(self.text).splitlines()[-TALL:]
            parts.append(Text("\n".join(last), style="dim"))
        line = f" {time.monotonic() - self._started:5.1f} s  {show_control(self.doing)}"
        self._spinner.text = Text(line, style="dim", no_wrap=True, overflow="ellipsis")
        yield Group(*parts, self._spinner)
