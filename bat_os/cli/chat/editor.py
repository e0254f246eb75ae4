"""The line editor: history, several lines in one message, and what TAB offers.

Enter         sends, or starts a new line while a bracket or quote is open
Alt-Enter     starts a new line (so does Esc, then Enter); pasted lines stay together
Ctrl-C        drops the line          Ctrl-D   leaves

Names in the image are asked for in the background, on connections of their own, so typing never
waits: at the start, after every answer, and when any mission ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.application.current import set_app
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle

from bat_os.cli.show.command import read_line
from bat_os.cli.terminal import unguarded
from bat_os.core.printable import CONTROL
from bat_os.errors import BatError
from bat_os.sentence.translate import DEFAULT_TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.output import Output

    from bat_os.client.client import KernelClient

PROMPT: Final = "you> "
GOES_ON: Final = "...> "
MENU: Final = 6  # lines for what Tab offers, where there is room
LINES_KEPT: Final = 5
HISTORY: Final = "chat_history"
_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSING: Final = frozenset(_OPENING.values())
_SMILEY: Final = re.compile(r"(?<!\S)[:;]-?[()\[\]]")


class Lines(FileHistory):
    """Earlier lines; if they cannot be stored, the chat works without."""

    def load_history_strings(self) -> Iterable[str]:
        """Yield the lines, the newest first; none where the file cannot be read."""
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        """Store a line, if that is possible."""
        with contextlib.suppress(OSError):
            super().store_string(string)


class Editor:
    """Reads what a person types."""

    def __init__(self, home: Path, completer: Completer, toolbar: Callable[[], str]) -> None:
        """Store lines in ``home`` if it is a folder; ``toolbar`` is shown under the line."""
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=Lines(str(home / HISTORY)) if home.is_dir() else InMemoryHistory(),
            completer=completer,
            complete_while_typing=True,
            complete_style=CompleteStyle.COLUMN,
            auto_suggest=AutoSuggestFromHistory(),
            multiline=True,
            prompt_continuation=GOES_ON,
            key_bindings=_make_keys(),
            bottom_toolbar=lambda: toolbar()[: self._session.output.get_size().columns],
            output=_make_output(),
        )

    def redraw(self) -> None:
        """Draw the screen again, with what the toolbar says now."""
        self._session.app.invalidate()

    async def beside(self, write: Callable[[], None]) -> None:
        """Write lines above the one that is being typed."""
        app = self._session.app
        if not app.is_running:
            write()
            return
        with set_app(app):
            await run_in_terminal(write)

    async def read(self) -> str:
        """Return what was typed, without surrounding space.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C at an empty prompt; one that drops a line raises nothing.
        """
        while True:
            try:
                lines = self._session.output.get_size().rows
                self._session.reserve_space_for_menu = max(0, min(MENU, lines - LINES_KEPT))
                return (await self._session.prompt_async()).strip()
            except KeyboardInterrupt:
                if not self._session.default_buffer.text:
                    raise


class PlainEditor:
    """Reads lines as they come; nothing is redrawn, as a screen reader needs it."""

    def redraw(self) -> None:
        """Do nothing: this one has no toolbar."""

    async def beside(self, write: Callable[[], None]) -> None:
        """Write lines; what is being typed stays where it is."""
        write()

    async def read(self) -> str:
        """Return what was typed, without surrounding space.

        Raises:
            EOFError: Ctrl-D.
        """
        text, prompt = "", PROMPT
        while True:
            line = await read_line(prompt)
            if not line:
                raise EOFError
            text += line
            if is_whole(text.rstrip("\n") if text == line else text):
                return text.strip()
            prompt = GOES_ON


def _make_output() -> Output:
    """Return what draws: on the terminal behind the guard, where a name cannot turn the line."""
    streams = [unguarded(stream) for stream in (sys.stdout, sys.stderr) if stream is not None]
    output = create_output(next((stream for stream in streams if stream.isatty()), sys.stdout))
    write = output.write  # texts; what moves the cursor goes through write_raw, line ends do not

    def write_safely(data: str) -> None:
        # Left out, not spelt out: the editor counts no cell for them.
        write(CONTROL.sub("", data) if data.strip("\r\n") else data)

    output.write = write_safely  # type: ignore[method-assign]
    return output


def _make_keys() -> KeyBindings:
    keys = KeyBindings()

    def press_enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        state = buffer.complete_state
        if state is not None and state.current_completion is not None:
            buffer.complete_state = None  # accepts what the menu offers, and sends nothing
        elif is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    def start_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    keys.add("enter")(press_enter)
    keys.add("escape", "enter")(start_line)
    return keys


def is_whole(text: str) -> bool:
    r"""Return True when ``text`` can be sent: no bracket and no quote is open.

    An apostrophe is not a quote. An empty last line closes everything.

    >>> is_whole("what's 2 + 2?"), is_whole("f([1,"), is_whole("greet 'Ann"), is_whole("f([1,\n")
    (True, False, False, True)
    """
    first, newline, rest = text.rpartition("\n")
    if newline and first.strip() and not rest.strip():
        return True
    depth, quote = 0, ""
    text = _SMILEY.sub("", text)
    for at, char in enumerate(text):
        if char in "'\"":
            quote = _quote_after(text, at, quote)
        elif not quote:
            depth += (char in _OPENING) - (char in _CLOSING)
    return depth <= 0 and not quote


def _quote_after(text: str, at: int, quote: str) -> str:
    """Return which quote is open after the quote character at ``at``."""
    char, before, after = text[at], text[:at][-1:], text[at + 1 :][:1]
    if before == "\\":
        return quote
    inside_word = char == "'" and before.isalnum()
    if quote:
        return "" if char == quote and not (inside_word and after.isalnum()) else quote
    return "" if inside_word else char


_MESSAGE: Final = re.compile(r"([A-Za-z][\w-]*)\.(\w*)\Z")
_WORD: Final = re.compile(r"[\w.-]+\Z")
LEAST: Final = 2  # characters of a word before names are offered unasked


@dataclass(frozen=True, slots=True)
class Slash:
    """What can follow a slash."""

    help: str  # one line
    options: tuple[str, ...] = ()  # ``--fresh`` and the like
    # what its words are, in order: ``object``, ``selector``, ``file``; the last counts for all
    # further words
    places: tuple[str, ...] = ()
    choices: tuple[tuple[str, ...], ...] = ()  # words that are allowed, by place


class ChatCompleter(Completer):
    """Completes from memory; never asks the kernel itself."""

    def __init__(self, slashes: Mapping[str, Slash], names: LiveNames) -> None:
        self._slashes = slashes
        self._names = names
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterable[Completion]:
        """Yield what the word before the cursor may become."""
        text = document.text_before_cursor
        if text.startswith("/"):
            yield from self._after_slash(text[1:], event)
        elif found := _MESSAGE.search(text):
            yield from _fitting(self._names.messages(found[1]), found[2], "message")
        elif found := _WORD.search(text):
            yield from self._names_in_words(found[0], event, first=found.start() == 0)

    def _names_in_words(
        self, word: str, event: CompleteEvent, *, first: bool
    ) -> Iterator[Completion]:
        if len(word) < LEAST and not event.completion_requested:
            return
        yield from _fitting(self._names.objects, word, "object")
        if first or event.completion_requested:
            yield from _fitting(self._names.messages(DEFAULT_TARGET), word, "message")

    def _after_slash(self, text: str, event: CompleteEvent) -> Iterator[Completion]:
        name, space, rest = text.partition(" ")
        if not space:
            for known in sorted(self._slashes):
                if known.startswith(name):
                    yield Completion(known, -len(name), display_meta=self._slashes[known].help)
        elif name in self._slashes:
            yield from self._argument(self._slashes[name], rest, event)

    def _argument(self, slash: Slash, rest: str, event: CompleteEvent) -> Iterator[Completion]:
        *before, word = rest.split(" ")
        if word.startswith("-"):
            yield from _fitting(slash.options, word, "option")
            return
        given = [text for text in before if text and not text.startswith("-")]
        if not slash.places:
            return
        at = min(len(given), len(slash.places) - 1)
        if at < len(slash.choices) and slash.choices[at]:
            yield from _fitting(slash.choices[at], word, "")
        elif slash.places[at] in ("object", "what"):
            yield from _fitting(self._names.objects, word, "object")
        elif slash.places[at] == "selector" and given:
            yield from _fitting(self._names.messages(given[0]), word, "message")
        elif slash.places[at] in ("file", "files", "folder"):
            yield from self._paths.get_completions(Document(word, len(word)), event)


def _fitting(names: Iterable[str], word: str, meta: str) -> Iterator[Completion]:
    for name in names:
        if name.startswith(word):
            yield Completion(name, -len(word), display_meta=meta)


LIST_SECONDS: Final = 5.0  # for the verb ``list``
AGAIN: Final = 2.0  # seconds until a kernel that did not answer is asked again
_ENDED: Final = ("complete", "failed")


class LiveNames:
    """Objects and their messages.

    Attributes:
        reachable: Whether a kernel answered the last request; None before that.
        loading: What the kernel still prepares or loads, in words; "" for nothing.
        on_news: Called after each request, answered or not.
        on_due: Called when something may be due: now and then, and when the kernel says so.
    """

    def __init__(self, connect: Callable[[], KernelClient]) -> None:
        """Know nothing yet; ``connect`` opens a connection."""
        self._connect = connect
        self._known: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._stale = asyncio.Event()
        self.reachable: bool | None = None
        self.loading = ""
        self.on_news: Callable[[], None] = lambda: None
        self.on_due: Callable[[], None] = lambda: None

    @property
    def objects(self) -> list[str]:
        """Names of the root objects."""
        return sorted(self._known)

    @property
    def count(self) -> int:
        """How many methods there are, over all objects."""
        return sum(len(own) for own, _ in self._known.values())

    def messages(self, name: str) -> list[str]:
        """Return what an object understands: its own messages and those of its parents."""
        messages: set[str] = set()
        seen: set[str] = set()
        coming = [name]
        while coming:
            current = coming.pop()
            if current in self._known and current not in seen:
                seen.add(current)
                own, parents = self._known[current]
                messages.update(own)
                coming += parents
        return sorted(messages)

    def refresh(self) -> None:
        """Ask for the names again, in the background."""
        self._stale.set()

    async def run(self) -> None:
        """Keep the names fresh until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep())
            tasks.create_task(self._listen())

    def take(self, objects: Sequence[Mapping[str, Any]]) -> None:
        """Store what the verb ``list`` answered."""
        self._known = {
            str(obj["name"]): (tuple(map(str, obj["selectors"])), tuple(map(str, obj["parents"])))
            for obj in objects
        }

    async def _keep(self) -> None:
        async with self._connect() as kernel:
            while True:
                self._stale.clear()
                try:
                    self.take((await kernel.request("list", timeout=LIST_SECONDS))["objects"])
                    health = await kernel.request("health", timeout=LIST_SECONDS)
                    self.loading = str(health.get("awakening") or health.get("loading") or "")
                    self.reachable = True
                except (BatError, KeyError, TypeError):  # the chat works without them
                    self.reachable = False
                self.on_news()
                settled = self.reachable and not self.loading
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if settled else AGAIN):
                        await self._stale.wait()

    async def _listen(self) -> None:
        def hear(_kind: str, event: Mapping[str, Any]) -> None:
            if event.get("state") in _ENDED:
                self.refresh()
            if (event.get("detail") or {}).get("due"):
                self.on_due()

        async with self._connect() as kernel:
            while True:
                with contextlib.suppress(BatError):
                    await kernel.request("subscribe", timeout=None, on_event=hear)
                self.refresh()
                await asyncio.sleep(AGAIN)
