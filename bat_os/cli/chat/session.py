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
import difflib
import secrets
import shlex
import signal
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from bat_os.cli import verbs
from bat_os.cli.chat.editor import ChatCompleter, Editor, LiveNames, Slash
from bat_os.cli.chat.once import IN_CHAT, as_fields, correct, make_translator, remember
from bat_os.cli.chat.waiting import request
from bat_os.cli.connection import connect, refuse
from bat_os.cli.console import Screen, as_call
from bat_os.cli.parser import verbs_of
from bat_os.cli.show.choice import ask_once
from bat_os.cli.show.command import Ask
from bat_os.core.verbs import COMMANDS as VERBS
from bat_os.errors import ArgumentsError, BatError, RemoteError
from bat_os.sentence.translate import translate
from bat_os.supervisor.home import Home, is_held

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from pathlib import Path

    from bat_os.cli.chat.once import Translator, Understood
    from bat_os.client.client import KernelClient
    from bat_os.sentence.translate import Translated

WELCOME: Final = "BAT OS. Say what you want; /help helps, Ctrl-D leaves."
LEAVING: Final = ("/quit", "/exit")
_SWITCH: Final = {"on": True, "off": False}
# What the chat itself does, beside the verbs; /1 and /2 have no name.
OWN: Final[Mapping[str, Slash]] = {
    "help": Slash("what can be said; /help VERB explains one verb", places=("verb",)),
    "as": Slash("the last sentence again, read as selector(values)"),
    "fresh": Slash("learn a sentence anew, even if a known skill would serve"),
    "tokens": Slash(
        "show what models write, while they write it: on or off",
        places=("",),
        choices=(("on", "off"),),
    ),
    "quit": Slash("leave (Ctrl-D, too)"),
}
# Their last argument is a sentence: an apostrophe in it is not a quote.
_OTHER_NAMES: Final = frozenset(name for verb in VERBS.values() for name in verb.hidden)
_IN_WORDS: Final = frozenset(
    verb.name for verb in VERBS.values() for field in verb.fields if field.kind == "words"
)
_HIDDEN: Final = frozenset({"--help", "--home", "--json", "--quiet"})
HELP: Final = """\
Say what you want, and the image answers; it learns what it cannot do yet.

  create a method to report the current system time
  calculate the factorial of 5
  greet 'Ann', e.g. 'Bob' gives 'Hello, Bob!'
  genesis_obj.calculate_factorial(6)          a message as it is

/1 /2  choose a known skill, or the right answer, when the image asks
/as selector(values)  the last sentence again, read as this; its words are remembered
/fresh SENTENCE  learn it anew, even if a known skill would serve
/tokens on  show what models write, while they write it
/VERB WORDS  as batos VERB WORDS: /list, /source OBJECT SELECTOR, /why ...; /help VERB explains it

Enter sends; while a bracket or quote is open it starts a new line, as Alt-Enter (or Esc, Enter)
always does. Tab completes, the arrows find earlier lines, Ctrl-R searches them.
Ctrl-C cancels what runs, Ctrl-D or /quit leaves.
"""


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
        self._screen.note(HELP, style="")
        self._screen.note(f"Verbs: {' '.join(f'/{name}' for name in self._slashes.table())}", "")

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


class SlashVerbs:
    """The verbs of the command line, on one home directory."""

    def __init__(self, home: Path, screen: Screen) -> None:
        self._home = home
        self._screen = screen
        self._parser = verbs.make_parser()
        self._parsers = verbs_of(self._parser)
        for name, parser in self._parsers.items():
            parser.prog = f"/{name}"

    def table(self) -> dict[str, Slash]:
        """Return everything that can follow a slash, for completion and help."""
        table = {name: _describe(self._parsers[name]) for name in sorted(self._parsers)}
        return {**table, **OWN}

    async def run(self, line: str) -> None:
        """Carry out ``VERB words``, and show the result as ``batos`` does.

        Raises:
            BatError: There is no such verb, its words are wrong, or it fails.
        """
        name = line.partition(" ")[0]
        if name not in self._parsers and name not in _OTHER_NAMES:
            raise ArgumentsError(_unknown(name, self.table()))
        try:
            words = shlex.split(line)
        except ValueError as error:
            if name not in _IN_WORDS:
                advice = "close the quote, or remove it"
                raise ArgumentsError(f"{error} in {line[:60]!r}; {advice}") from None
            words = line.split()
        if "-" in words:
            raise ArgumentsError("- means standard input, which is the chat itself; name a file")
        try:
            options = self._parser.read(words)
        except SystemExit:  # --help has been printed
            return
        home = options.home.absolute() if options.home else self._home
        screen = Screen(as_json=options.json, plain=self._screen.plain, quiet=options.quiet)
        verbs.show(await verbs.run(home, options, screen), options, screen)

    def explain(self, name: str) -> str:
        """Return the help of one verb.

        Raises:
            ArgumentsError: There is no such verb.
        """
        name = name.removeprefix("/")
        if name in self._parsers:
            return self._parsers[name].format_help()
        if name in OWN:
            return f"/{name}: {OWN[name].help}"
        raise ArgumentsError(_unknown(name, self.table()))


def _unknown(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"unknown verb /{name}; " + (f"did you mean /{near[0]}?" if near else "/help lists them")


def _describe(parser: argparse.ArgumentParser) -> Slash:
    """Return a verb's options and the kinds of its words; argparse keeps them privately."""
    options: list[str] = []
    places: list[str] = []
    choices: list[tuple[str, ...]] = []
    for action in parser._actions:
        if action.option_strings:
            options += [name for name in action.option_strings if name.startswith("--")]
        else:
            places.append(action.dest)
            choices.append(tuple(map(str, action.choices or ())))
    shown = tuple(name for name in options if name not in _HIDDEN)
    return Slash(parser.description or "", shown, tuple(places), tuple(choices))
