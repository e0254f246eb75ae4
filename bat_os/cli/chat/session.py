"""A conversation: lines in, answers out, until Ctrl-D.

    sentence, or object.message(1)   understood, sent, shown
    /1 /2 /as /fresh /tokens         about the last sentence, and how answers are shown
    /VERB words                      as ``batos VERB words``, with its table, grammar and printing

Ctrl-C cancels what runs; the chat stays. If the kernel is killed, the chat waits for the next
one as long as the watchdog is there, and the same mission resumes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.cli.chat.editor import ChatCompleter, Editor, LiveNames
from bat_os.cli.chat.once import IN_CHAT, as_fields, correct, make_translator, remember
from bat_os.cli.chat.slash import SlashVerbs
from bat_os.cli.chat.waiting import request
from bat_os.cli.connection import connect, refuse
from bat_os.cli.console import Screen, as_call
from bat_os.cli.show.choice import ask_once
from bat_os.cli.show.command import Ask
from bat_os.errors import ArgumentsError, BatError, RemoteError
from bat_os.sentence.translate import translate
from bat_os.supervisor.home import Home, is_held

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path

    from bat_os.cli.chat.once import Translator, Understood
    from bat_os.client.client import KernelClient
    from bat_os.sentence.translate import Translated

WELCOME: Final = "BAT OS. Say what you want; /help helps, Ctrl-D leaves."
LEAVING: Final = ("/quit", "/exit")
_SWITCH: Final = {"on": True, "off": False}


async def converse(home: Path, screen: Screen) -> int:
    """Talk until Ctrl-D or ``/quit``; return the exit status."""
    names = LiveNames(lambda: connect(home))
    slashes = SlashVerbs(home, screen)
    translator = make_translator(hints=IN_CHAT)
    screen.note(WELCOME)
    async with connect(home) as kernel:
        lock = Home(home).lock
        talk = Conversation(kernel, screen, translator, slashes, lambda: is_held(lock))
        editor = Editor(home, ChatCompleter(slashes.table(), names), lambda: _toolbar(talk, names))
        names.on_news = editor.redraw
        fresh = asyncio.create_task(names.run())
        try:
            with _Interrupts() as interrupts:
                options = argparse.Namespace(verb="models", action="choose", name="", json=False)
                await interrupts.run(ask_once(Ask(kernel, home, options, screen)), screen)
                while (line := await _read(editor, names, screen)) not in LEAVING:
                    await interrupts.run(talk.take(line), screen)
        finally:
            fresh.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await fresh
            await translator.aclose()
    return 0


async def _read(editor: Editor, names: LiveNames, screen: Screen) -> str:
    """Return the next line that is not empty; Ctrl-D counts as ``/quit``."""
    names.refresh()
    while True:
        try:
            if line := await editor.read():
                return line
        except KeyboardInterrupt:
            screen.note("nothing is running; Ctrl-D or /quit leaves")
        except EOFError:
            return LEAVING[0]


class Conversation:
    """What a conversation remembers: the last request, and what the image has asked back.

    Attributes:
        tokens: Show text while models write it.
    """

    def __init__(
        self,
        kernel: KernelClient,
        screen: Screen,
        translator: Translator,
        slashes: SlashVerbs,
        watched: Callable[[], bool],
    ) -> None:
        """Begin with nothing said; while ``watched()``, a kernel that has gone will come back."""
        self.tokens = False
        self._kernel = kernel
        self._screen = screen
        self._translator = translator
        self._slashes = slashes
        self._watched = watched
        self._sentence = ""
        self._last: Translated | None = None
        self._choices: list[Callable[[], Coroutine[Any, Any, object]]] = []

    async def take(self, line: str) -> None:
        """Do what one line says.

        Raises:
            BatError: The kernel answered with an error, or there is none.
        """
        if not line.startswith("/"):
            await self._hear(line)
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
            await self._choose(int(command[:3]))
        elif command in own:
            await own[command](rest)
        else:
            await self._slashes.run(line[1:])

    async def _help(self, rest: str) -> None:
        if rest:
            self._screen.answer(self._slashes.explain(rest).rstrip("\n"))
            return
        self._screen.note(self._slashes.overview(), style="")

    async def _correct(self, rest: str) -> None:
        if not rest:
            raise ArgumentsError("/as needs a message: /as selector(5, 'text')")
        await self._mean(correct(self._last or translate(rest), rest), self._sentence)

    async def _learn_anew(self, rest: str) -> None:
        if not rest:
            raise ArgumentsError("/fresh needs a sentence: /fresh double a number")
        await self._hear(rest, fresh=True)

    async def _switch_tokens(self, rest: str) -> None:
        if rest not in ("", *_SWITCH):
            raise ArgumentsError("/tokens is on or off")
        self.tokens = _SWITCH.get(rest, not self.tokens)
        shown = "shown while they write it" if self.tokens else "not shown"
        self._screen.note(f"what models write is {shown}")

    async def _hear(self, sentence: str, *, fresh: bool = False) -> None:
        """Answer a sentence, or ask which known skill it means."""
        self._choices = []
        self._sentence, self._last = sentence, translate(sentence)
        heard = await self._translator.understand(self._kernel, self._screen, sentence, fresh=fresh)
        self._last = heard.wish
        if heard.reply:
            self._screen.answer(heard.reply)
        elif heard.near:
            self._offer(heard, sentence)
        else:
            await self._say(as_fields(heard.wish, fresh=fresh))

    def _offer(self, heard: Understood, sentence: str) -> None:
        """Ask whether a known skill is meant: to learn takes longer, and may go wrong."""
        self._screen.note("I already know something similar. Did you mean:")
        for near in heard.near:
            call = as_call(as_fields(near.message))
            self._add_choice(f"{call}  {near.wish}", partial(self._mean, near.message, sentence))
        learned = as_fields(heard.wish, fresh=True)
        self._add_choice("something else: learn it", partial(self._say, learned))

    def _add_choice(self, shown: str, then: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._choices.append(then)
        self._screen.note(f"  /{len(self._choices)}  {shown}", style="")

    async def _mean(self, wish: Translated, sentence: str) -> None:
        """Send what a sentence means, and remember that it means this."""
        answered = await self._say(as_fields(wish))
        if answered and (note := await remember(self._kernel, sentence, wish)):
            self._screen.note(note)

    async def _say(self, fields: Mapping[str, Any]) -> bool:
        """Send a message and show its answer; return False if the image asks back."""
        self._choices = []
        asked = dict(fields) | {"body": fields["body"] | {"tokens": self.tokens}}
        try:
            self._screen.result(await request(self._kernel, self._screen, asked, self._watched))
        except RemoteError as error:
            choices = error.body.get("details", {}).get("choices") or []
            if not choices:
                raise
            self._screen.note(f"I am not sure what {as_call(fields)} is. Nothing was installed.")
            for choice in choices:
                shown = f"{choice['shown']}  ({choice['agree']} candidates)"
                self._add_choice(shown, partial(self._exemplify, fields, choice["result"]))
            self._screen.note("Say which is right, or say it again with an example of your own.")
            return False
        return True

    async def _exemplify(self, asked: Mapping[str, Any], result: object) -> None:
        """Send a message again, with its right answer as an example."""
        example = {"args": asked["args"], "kwargs": asked["kwargs"], "result": result}
        body = asked["body"] | {"examples": [*asked["body"]["examples"], example]}
        await self._say(dict(asked) | {"ik": secrets.token_hex(16), "body": body})

    async def _choose(self, number: int) -> None:
        if not 1 <= number <= len(self._choices):
            raise ArgumentsError("there is nothing to choose from now")
        await self._choices[number - 1]()


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
    return f" {there}{tokens}.  Enter sends, Alt-Enter: next line, Tab completes, /help"
