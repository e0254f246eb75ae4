"""A conversation: lines in, answers out, until Ctrl-D.

    a sentence                said to the kernel, which keeps what follow-ups need
    /1 /2 /as /fresh /tokens  a choice, the last sentence in other words, how answers are shown
    /VERB words               as ``batos VERB words``, with its table, grammar and printing

Each chat is a conversation of its own, unless it is given the name of one. Ctrl-C cancels what
runs; the chat stays. If the kernel is killed, the chat waits for the next one as long as the
watchdog is there, and the same mission resumes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.cli.answer import IN_CHAT
from bat_os.cli.chat.editor import ChatCompleter, Editor, LiveNames, PlainEditor
from bat_os.cli.chat.saying import as_fields, offer_start, say, show
from bat_os.cli.chat.slash import SlashVerbs
from bat_os.cli.connection import connect, refuse
from bat_os.cli.language import translate
from bat_os.cli.show.choice import ask_once
from bat_os.cli.show.command import Ask
from bat_os.cli.show.schedules import show_due
from bat_os.errors import ArgumentsError, BatError
from bat_os.supervisor.home import Home, is_held

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from bat_os.cli.console import Screen
    from bat_os.client.client import KernelClient

WELCOME: Final = "BAT OS. Say what you want; /help helps, Ctrl-D leaves."
LEAVING: Final = ("/quit", "/exit", "quit", "exit")
LOOK_AGAIN: Final = 60.0  # seconds: a kernel that was started anew has nothing to say to us yet
_SWITCH: Final = {"on": True, "off": False}


async def converse(home: Path, screen: Screen, session: str = "", *, plain: bool = False) -> int:
    """Talk until Ctrl-D or ``exit``; return the exit status.

    Args:
        home: Whose kernel is meant.
        screen: Where answers are written.
        session: Name of the conversation; a new one without it.
        plain: Read lines as they come, and redraw nothing.
    """
    names = LiveNames(lambda: connect(home))
    slashes = SlashVerbs(home, screen)
    screen.note(WELCOME)
    if not _is_expected(home):
        offer_start(home, screen)
    async with connect(home) as kernel:
        lock = Home(home).lock
        session = session or f"chat-{secrets.token_hex(4)}"
        talk = Conversation(kernel, screen, slashes, session, lambda: is_held(lock))
        editor: Editor | PlainEditor
        if plain or screen.notes.is_dumb_terminal:
            editor = PlainEditor()
        else:
            completer = ChatCompleter(slashes.table(), names)
            editor = Editor(home, completer, lambda: _toolbar(talk, names))
        names.on_news = editor.redraw
        fresh = asyncio.create_task(names.run())
        telling = asyncio.create_task(_tell_due(home, screen, editor, names))
        try:
            with _Interrupts() as interrupts:
                options = argparse.Namespace(verb="models", action="choose", name="", json=False)
                await interrupts.run(ask_once(Ask(kernel, home, options, screen)), screen)
                while (line := await _read(editor, names, screen)).lower() not in LEAVING:
                    await interrupts.run(talk.take(line), screen)
        finally:
            for task in (fresh, telling):
                task.cancel()
            await asyncio.gather(fresh, telling, return_exceptions=True)
    return 0


async def _tell_due(
    home: Path, screen: Screen, editor: Editor | PlainEditor, names: LiveNames
) -> None:
    """Write what is due when the chat opens, and while it is open."""
    news = asyncio.Event()
    names.on_due = news.set
    async with connect(home) as kernel:
        while True:
            await show_due(kernel, screen, editor.beside)
            news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await news.wait()


def _is_expected(home: Path) -> bool:
    """Return True if a kernel runs or starts here, or is meant to be elsewhere."""
    there = Home(home)
    elsewhere = bool(os.environ.get("BATOS_KEY_FILE"))
    return elsewhere or there.endpoint.exists() or is_held(there.lock)


async def _read(editor: Editor | PlainEditor, names: LiveNames, screen: Screen) -> str:
    """Return the next line that is not empty; Ctrl-D counts as ``exit``."""
    names.refresh()
    while True:
        try:
            if line := await editor.read():
                return line
        except KeyboardInterrupt:
            screen.note("nothing is running; Ctrl-D or exit leaves")
        except EOFError:
            return LEAVING[0]


class Conversation:
    """What a chat itself remembers: its name in the kernel, and the last sentence.

    Attributes:
        tokens: Show text while models write it.
    """

    def __init__(
        self,
        kernel: KernelClient,
        screen: Screen,
        slashes: SlashVerbs,
        session: str,
        watched: Callable[[], bool],
    ) -> None:
        """Begin with nothing said; while ``watched()``, a kernel that has gone will come back."""
        self.tokens = False
        self._kernel = kernel
        self._screen = screen
        self._slashes = slashes
        self._session = session
        self._watched = watched
        self._sentence = ""

    async def take(self, line: str) -> None:
        """Do what one line says.

        Raises:
            BatError: The kernel answered with an error, or there is none.
        """
        if not line.startswith("/"):
            await self._say(line)
            return
        command, _, rest = line[1:].partition(" ")
        rest = rest.strip()
        own: dict[str, Callable[[str], Coroutine[Any, Any, None]]] = {
            "help": self._help,
            "as": self._correct,
            "fresh": self._learn_anew,
            "tokens": self._switch_tokens,
        }
        if command.isdecimal():
            await self._say(command)
        elif command in own:
            await own[command](rest)
        else:
            await self._slashes.run(line[1:])

    async def _help(self, rest: str) -> None:
        if rest:
            self._screen.say(self._slashes.explain(rest).rstrip("\n"))
            return
        self._screen.note(self._slashes.overview(), style="")

    async def _correct(self, rest: str) -> None:
        if not rest:
            raise ArgumentsError("/as needs a message: /as selector(5, 'text')")
        await self._say(self._sentence or rest, call=rest)

    async def _learn_anew(self, rest: str) -> None:
        if not rest:
            raise ArgumentsError("/fresh needs a sentence: /fresh double a number")
        await self._say(rest, fresh=True)

    async def _switch_tokens(self, rest: str) -> None:
        if rest not in ("", *_SWITCH):
            raise ArgumentsError("/tokens is on or off")
        self.tokens = _SWITCH.get(rest, not self.tokens)
        shown = "shown while they write it" if self.tokens else "not shown"
        self._screen.note(f"what models write is {shown}")

    async def _say(self, sentence: str, **how: Any) -> None:
        """Say a sentence in this conversation, and show its answer."""
        if not sentence.isdecimal():
            self._sentence = sentence
        fields = as_fields(sentence, session=self._session, tokens=self.tokens, **how)
        show(await say(self._kernel, self._screen, fields, self._watched), self._screen, IN_CHAT)


class _Interrupts:
    """Ctrl-C ends what runs; otherwise it does nothing. A context manager.

    While a line is typed the editor handles the key itself.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    async def run(self, doing: Coroutine[Any, Any, None], screen: Screen) -> None:
        """Run it, and show what goes wrong."""
        self._running = asyncio.ensure_future(doing)
        try:
            await self._running
        except asyncio.CancelledError:
            screen.note("cancelled")
        except BatError as error:
            refuse(screen, error)
        finally:
            self._running = None

    def _interrupt(self, *_: object) -> None:
        if self._running is not None:
            self._loop.call_soon_threadsafe(self._running.cancel)


def _toolbar(talk: Conversation, names: LiveNames) -> str:
    """Return the text under the line."""
    if names.reachable is None:
        there = "asking the daemon"
    elif names.reachable:
        there = f"{len(names.objects)} objects, {names.count} methods"
        there += f"; {names.loading}" if names.loading else ""
    else:
        there = "no daemon answers"
    tokens = "; tokens on" if talk.tokens else ""
    return translate(f" {there}{tokens}.  Enter sends, Alt-Enter: next line, Tab completes, /help")
