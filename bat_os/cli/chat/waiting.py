"""What is shown until a message is answered: states, on a terminal seconds, on request the text.

I can try to learn double(21); it takes about 12 seconds.
  0.0 s  DECOMPOSING   BRICK        Report the current system time.
  2.3 s  SYNTHESIZING  ALFRED       found 4 passages; writes candidates
def report_current_system_time(self):         (/tokens on)
|    4.1 s  ALFRED writes                     (on a terminal, rewritten in place)
synthesizing: 15 s                           (elsewhere, between two other lines)
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.cli.connection import send
from bat_os.core.printable import show_control

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

    from bat_os.cli.console import Screen
    from bat_os.client.client import KernelClient

SOON: Final = 2.0  # seconds until a terminal shows that it still runs
SELDOM: Final = 15.0  # seconds without news until a line in a pipe says that it still runs
TALL: Final = 12  # lines of a text in the making that are shown at once
REFRESH: Final = 4  # times a second


class Waiting:
    """Shows how far one request has come. Use as a context manager around it.

    On a terminal the last line is live after SOON seconds; elsewhere, and without colours, lines
    only follow.
    """

    def __init__(self, screen: Screen, *, seldom: float = SELDOM, soon: float = SOON) -> None:
        """Begin to count the seconds."""
        self._screen = screen
        self._seldom = seldom
        self._soon = soon
        self._started = self._since = time.monotonic()
        self._state = ""
        self._alarm: asyncio.TimerHandle | None = None
        self._text = ""
        self._lost = False
        self._doing = "working"
        self._pulse: Pulse | None = None
        self._start: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if self._screen.lively:
            self._start = asyncio.get_running_loop().call_later(self._soon, self._come_alive)
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self._end_text()
        if self._lost and failed is None:
            self._come_back()
        for timer in (self._alarm, self._start):
            if timer is not None:
                timer.cancel()
        if self._pulse is not None:
            self._pulse.stop()

    def show(self, kind: str, body: Mapping[str, Any]) -> None:
        """Take one reply before the last, or ``lost``: the kernel no longer answers."""
        if kind == "lost":
            self._lose()
            return
        if self._lost:
            self._come_back()
        if "expected" in body:  # a mission begins, which takes longer than an answer
            self._do(str(body["text"]), "learning")
            self._screen.note(str(body["text"]), style="", as_is=True)
        elif "text" in body:
            self._add_text(str(body["text"]), str(body.get("persona", "")), body.get("begins"))
        elif kind == "accepted" and body.get("awakening"):
            self._do(f"the image is waking up: {body['awakening']}", "waking up")
            self._screen.note(f"the image is waking up: {body['awakening']} ...")
        elif kind == "accepted":
            self._do("accepted", "accepted")
        elif body.get("detail"):
            self._end_text()
            self._do(f"{body.get('persona', '')}: {body.get('does', '')}", body.get("state", ""))
            self._screen.event(kind, body, time.monotonic() - self._started)

    def _come_alive(self) -> None:
        """Show the live line, once there is something to wait for."""
        self._pulse = Pulse(self._screen.notes, self._started)
        self._pulse.doing, self._pulse.text = self._doing, self._text
        self._pulse.start()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            self._end_text()
            self._do("waiting for the daemon", "waiting for the daemon")
            self._screen.note("the daemon is down; waiting for it to restart (Ctrl-C gives up)")

    def _come_back(self) -> None:
        self._lost = False
        self._screen.note("the daemon is back and resumes the work")

    def _add_text(self, text: str, persona: str, begins: object) -> None:
        if begins:
            self._end_text()
            self._do(f"{persona} writes")
        self._text += text
        if self._pulse is not None:
            self._pulse.text = self._text
        elif not self._screen.lively:
            self._screen.piece(text)

    def _end_text(self) -> None:
        """Leave a text that was being written on the screen, above the live line."""
        if not self._text:
            return
        if self._pulse is not None:
            self._pulse.text = ""
        if self._screen.lively:
            self._screen.draft(self._text)
        else:
            self._screen.piece("\n")
        self._text = ""

    def _do(self, doing: str, state: str = "") -> None:
        self._doing = doing
        if self._pulse is not None:
            self._pulse.doing = doing
        elif state and not (self._screen.quiet or self._screen.lively):
            self._state, self._since = state, time.monotonic()
            self._wait()

    def _wait(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(self._seldom, self._go_on)

    def _go_on(self) -> None:
        if not self._text:  # a text in the making is news enough
            self._screen.note(f"{self._state}: {int(time.monotonic() - self._since)} s")
        self._wait()


class Pulse:
    """Rewrites itself in place, and leaves nothing behind.

    Attributes:
        doing: What happens now.
        text: What is being written; its last lines are shown above.
    """

    def __init__(self, console: Console, started: float) -> None:
        """Show the seconds since ``started``, in time of the monotonic clock."""
        self.doing = ""
        self.text = ""
        from rich.live import Live  # a pipe needs neither
        from rich.spinner import Spinner

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
        """Remove the line from the terminal. Idempotent."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._live.stop()

    def _tick(self) -> None:
        # Not rich's own thread: it and a print may both take the line for theirs.
        self._live.refresh()
        self._alarm = asyncio.get_running_loop().call_later(1 / REFRESH, self._tick)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the end of a text in the making, and one line."""
        from rich.console import Group
        from rich.text import Text

        parts: list[RenderableType] = []
        if self.text:
            last = show_control(self.text).splitlines()[-TALL:]
            parts.append(Text("\n".join(last), style="dim"))
        line = f" {time.monotonic() - self._started:5.1f} s  {show_control(self.doing)}"
        self._spinner.text = Text(line, style="dim", no_wrap=True, overflow="ellipsis")
        yield Group(*parts, self._spinner)


async def request(
    kernel: KernelClient,
    screen: Screen,
    fields: Mapping[str, Any],
    returns: Callable[[], bool] = lambda: False,
    *,
    verb: str = "send",
) -> dict[str, Any]:
    """Return the body of the answer to one message, as ``connection.send``; shows its states."""
    with Waiting(screen) as waiting:
        return await send(kernel, screen, fields, waiting.show, returns, verb=verb)
