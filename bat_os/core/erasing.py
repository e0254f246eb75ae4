"""Which words are to be erased: found in text and in bytes, whatever their case and form.

Two texts are the same here if they are once case, the composition of accents and the kind of white
space are left aside; an underscore counts as white space, so that the name of a message is found
too. In bytes a text may stand as it is, as JSON or Python writes it, or packed by zlib.

    words  > fold > needles
    text   > fold > is a needle in it?  > the places in the text as it was
"""

from __future__ import annotations

import functools
import json
import re
import unicodedata
import zlib
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MARK: Final = "[erased]"
MIN_LETTERS: Final = 3
MAX_LETTERS: Final = 20_000
# Bytes that are looked at together; a text that is longer than the overlap is found in its part.
CHUNK: Final = 2 << 20
OVERLAP: Final = 1 << 20
_ZLIB: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
MAX_INFLATED: Final = 16 << 20
NESTED: Final = 2  # a record of an image is packed, and so may be what it holds
_SPACE: Final = re.compile(r"[\s_]+")
# Under this key are calls with their results; half of one would be a wrong one.
_EXAMPLES: Final = "examples"


class Words:
    """Some texts that are to be erased.

    Attributes:
        texts: As they were given.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Take the texts; raises ArgumentsError if one is too short or too long."""
        self.texts = tuple(dict.fromkeys(text.strip() for text in texts))
        if not self.texts:
            raise ArgumentsError("there are no words to erase")
        for text in self.texts:
            if sum(map(str.isalnum, text)) < MIN_LETTERS:
                raise ArgumentsError(
                    f"{text[:40]!r} is too short to be erased: at least {MIN_LETTERS} letters or "
                    "digits, or it would be found everywhere"
                )
            if len(text) > MAX_LETTERS:
                raise ArgumentsError(f"at most {MAX_LETTERS} characters can be erased at once")
        needles = {fold(form) for text in self.texts for form in _forms(text)}
        either = "|".join(map(re.escape, sorted(needles, key=len, reverse=True)))
        # An accent after it would make its last letter another one.
        self._pattern = re.compile(rf"(?:{either})(?![\u0300-\u036f])")

    def hold(self, text: str) -> bool:
        """Return True if one of the words stands in a text."""
        return self._pattern.search(fold(text)) is not None

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where the words stand in a text: start and stop of each."""
        if not self.hold(text):
            return []
        letters: list[str] = []
        places: list[int] = []
        for place, letter in enumerate(text):
            for part in _fold_letter(letter):
                if part != " " or letters[-1:] != [" "]:
                    letters.append(part)
                    places.append(place)
        found = self._pattern.finditer("".join(letters))
        spans = [(places[one.start()], places[one.end() - 1] + 1) for one in found]
        return spans or [(0, len(text))]  # accents in an odd order: all of it goes

    def erase(self, text: str) -> str:
        """Return a text with a mark in the place of the words."""
        parts, done = [], 0
        for start, stop in self.spans(text):
            parts += [text[done:start], MARK]
            done = stop
        return "".join([*parts, text[done:]])

    def blank(self, line: bytes) -> bytes:
        """Return a line of a file with as many ``x`` in the place of the words."""
        text = line.decode("utf-8", "surrogateescape")
        parts, done = [], 0
        for start, stop in self.spans(text):
            hidden = "x" * len(text[start:stop].encode("utf-8", "surrogateescape"))
            parts += [text[done:start], hidden]
            done = stop
        return "".join([*parts, text[done:]]).encode("utf-8", "surrogateescape")

    def in_bytes(self, data: bytes) -> bool:
        """Return True if one of the words stands in bytes, packed parts of them included."""
        if self.hold(data.decode("utf-8", "replace")):
            return True
        return any(self.hold(part.decode("utf-8", "replace")) for part in _inflated(data))

    def in_chunks(self, read: Callable[[int], bytes]) -> bool:
        """Return True if one of the words stands in a stream, which is read to its end."""
        kept = b""
        while chunk := read(CHUNK):
            if self.in_bytes(kept + chunk):
                return True
            kept = (kept + chunk)[-OVERLAP:]
        return False

    def erase_value(self, value: Any) -> Any:
        """Return plain data without the words; an example that holds them goes as a whole.

        Anything else, a stored object for example, comes back as it is.
        """
        kind = type(value)
        if kind is str:
            return self.erase(value)
        if kind is bytes:
            return b"" if self.in_bytes(value) else value
        if kind is dict:
            return {
                self.erase_value(key): self._erase_item(key, item) for key, item in value.items()
            }
        if kind in (list, tuple, set, frozenset):
            return kind(map(self.erase_value, value))
        return value

    def _erase_item(self, key: Any, item: Any) -> Any:
        if key == _EXAMPLES and type(item) in (list, tuple):
            return type(item)(one for one in item if not self.in_value(one))
        return self.erase_value(item)

    def in_value(self, value: Any) -> bool:
        """Return True if one of the words stands in plain data."""
        kind = type(value)
        if kind is str:
            return self.hold(value)
        if kind is bytes:
            return self.in_bytes(value)
        if kind is dict:
            return any(map(self.in_value, value)) or any(map(self.in_value, value.values()))
        return kind in (list, tuple, set, frozenset) and any(map(self.in_value, value))


def fold(text: str) -> str:
    """Return a text as it is compared.

    >>> fold("My_Sister's  CAFÉ") == fold("my sister's café")
    True
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).casefold()
        text = unicodedata.normalize("NFKD", text)
    return _SPACE.sub(" ", text.lower())


@functools.lru_cache(maxsize=4096)
def _fold_letter(letter: str) -> str:
    return fold(letter)


def _forms(text: str) -> Iterator[str]:
    """Yield a text as it is, and as JSON and Python write it."""
    for form in (text, text.lower(), text.upper(), text.title()):
        composed = unicodedata.normalize("NFC", form)
        yield form
        yield repr(composed)[1:-1]
        yield json.dumps(composed)[1:-1]
        yield json.dumps(composed, ensure_ascii=False)[1:-1]


def _inflated(data: bytes, depth: int = NESTED) -> Iterator[bytes]:
    """Yield what zlib packed into a part of the bytes."""
    for start in _ZLIB.finditer(data):
        try:
            part = zlib.decompressobj().decompress(data[start.start() :], MAX_INFLATED)
        except zlib.error:
            continue
        if part:
            yield part
            if depth > 1:
                yield from _inflated(part, depth - 1)
