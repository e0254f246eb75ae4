"""What TAB offers: verbs after a slash, objects, and the messages that an object understands.

Names in the image are asked for in the background, on connections of their own, so typing never
waits: at the start, after every answer, and when any mission ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from bat_os.errors import BatError
from bat_os.sentence.translate import DEFAULT_TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from prompt_toolkit.completion import CompleteEvent

    from bat_os.client.client import KernelClient

_MESSAGE: Final = re.compile(r"([A-Za-z][\w-]*)\.(\w*)\Z")
_WORD: Final = re.compile(r"[\w.-]+\Z")
LEAST: Final = 2  # characters of a word before names are offered unasked


@dataclass(frozen=True, slots=True)
class Slash:
    """What can follow a slash.

    Attributes:
        help: One line.
        options: ``--fresh`` and the like.
        places: What its words are, in order: ``object``, ``selector``, ``file``; the last
            counts for all further words.
        choices: Words that are allowed, by place.
    """

    help: str
    options: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    choices: tuple[tuple[str, ...], ...] = ()


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
        on_news: Called after each request, answered or not.
    """

    def __init__(self, connect: Callable[[], KernelClient]) -> None:
        """Know nothing yet; ``connect`` opens a connection."""
        self._connect = connect
        self._known: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._stale = asyncio.Event()
        self.reachable: bool | None = None
        self.on_news: Callable[[], None] = lambda: None

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
        return sorted({message for obj in self._lineage(name) for message in self._known[obj][0]})

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
                    self.reachable = True
                except (
                    BatError,
                    KeyError,
                    TypeError,
                ):  # the chat works without them
                    self.reachable = False
                self.on_news()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stale.wait(), None if self.reachable else AGAIN)

    async def _listen(self) -> None:
        def hear(_kind: str, event: Mapping[str, Any]) -> None:
            if event.get("state") in _ENDED:
                self.refresh()

        async with self._connect() as kernel:
            while True:
                with contextlib.suppress(BatError):
                    await kernel.request("subscribe", timeout=None, on_event=hear)
                self.refresh()
                await asyncio.sleep(AGAIN)

    def _lineage(self, name: str) -> Iterator[str]:
        seen: set[str] = set()
        coming = [name]
        while coming:
            current = coming.pop()
            if current in self._known and current not in seen:
                seen.add(current)
                coming += self._known[current][1]
                yield current
