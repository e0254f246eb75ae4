"""What TAB offers: verbs after a slash, objects, and the messages that an object understands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from bat_os.sentence.translate import DEFAULT_TARGET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from prompt_toolkit.completion import CompleteEvent

    from bat_os.cli.chatroom.names import LiveNames

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
            one counts for all further words.
        choices: Words that are taken, by place.
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
        given = [one for one in before if one and not one.startswith("-")]
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
