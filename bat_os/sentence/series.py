"""Lists in running text: "3, 5 and 9", "kiwi, fig and banana", 3 1 2.

Numbers need one comma between them, other items two separators: "well, I think so" stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bat_os.sentence.language import Word
    from bat_os.sentence.values import Page

MAX_ITEM: Final = 3  # words of an item
MIN_NUMBERS: Final = 3  # with only blanks between them
_PLAIN: Final = frozenset({"number", "text", "name", "date", "time", "percent"})


@dataclass(frozen=True, slots=True)
class Piece:
    """A value, or a word outside of all values."""

    start: int
    end: int
    value: Value | None
    word: Word | None

    @property
    def mark(self) -> str:
        """The mark that it is, or an empty text."""
        return self.word.text if self.word and self.word.kind == "mark" else ""


def join_lists(page: Page, values: Sequence[Value]) -> list[Value]:
    """Return the values with those in a list as one, and lists of words added."""
    pieces = list(pieces_of(page, values))
    found: list[Value] = []
    at = 0
    while at < len(pieces):
        end, items = _numbers(page, pieces, at) or _words(page, pieces, at) or (at, [])
        if end > at:
            start, stop = pieces[at].start, pieces[end - 1].end
            found.append(Value("list", items, start, stop, page.text[start:stop]))
            at = end
            continue
        value = pieces[at].value
        if value is not None:
            found.append(value)
        at += 1
    return found


def pieces_of(page: Page, values: Sequence[Value]) -> Iterator[Piece]:
    """Yield the values, and the words outside of them, in order."""
    at = 0
    for value in values:
        while at < len(page.words) and page.words[at].start < value.start:
            word = page.words[at]
            yield Piece(word.start, word.end, None, word)
            at += 1
        yield Piece(value.start, value.end, value, None)
        while at < len(page.words) and page.words[at].start < value.end:
            at += 1
    for word in page.words[at:]:
        yield Piece(word.start, word.end, None, word)


def separator(page: Page, pieces: Sequence[Piece], at: int) -> tuple[int, bool]:
    """Return (index behind a comma, an "and" or both at ``at``, whether it is the last one)."""
    end = at
    if end < len(pieces) and pieces[end].mark in (",", ";"):
        end += 1
    last = False
    if end < len(pieces):
        word = pieces[end].word
        if word and word.low in page.language.phrases("lists", "joiners"):
            end, last = end + 1, True
    return end, last


def _numbers(page: Page, pieces: Sequence[Piece], at: int) -> tuple[int, list[Any]] | None:
    """Return numbers with commas, or at least three with blanks between them."""
    items: list[Any] = []
    commas, end = 0, at
    while _is_number(pieces, end):
        if end + 1 < len(pieces) and _is_unit(pieces[end + 1]):
            break
        items.append(_plain(pieces[end]))
        end += 1
        behind, last = separator(page, pieces, end)
        if not _is_number(pieces, behind):
            break
        if behind + 1 < len(pieces) and _is_unit(pieces[behind + 1]):
            break
        commas += behind > end and pieces[end].mark != ""
        if behind == end and commas:
            break
        if last and not commas:
            break
        end = behind
    if len(items) < 2 or not (commas or len(items) >= MIN_NUMBERS):
        return None
    return end, items


def _is_number(pieces: Sequence[Piece], at: int) -> bool:
    value = pieces[at].value if at < len(pieces) else None
    return value is not None and value.kind == "number"


def _is_unit(piece: Piece) -> bool:
    return piece.value is not None and piece.value.kind == "unit"


def _plain(piece: Piece) -> Any:
    return piece.value.value if piece.value else ""


def _words(page: Page, pieces: Sequence[Piece], at: int) -> tuple[int, list[Any]] | None:
    """Return items of a few words: the size of those in the middle bounds the first and last."""
    for size in range(1, MAX_ITEM + 1):
        comma = at + size
        if not _is_item(page, pieces, at, comma):
            return None
        if comma >= len(pieces) or pieces[comma].mark != ",":
            continue
        found = _items_from(page, pieces, at, comma)
        if found and (at > 0 or size == 1 or found[2] >= size):
            return found[0], found[1]
        return None
    return None


def _items_from(
    page: Page, pieces: Sequence[Piece], at: int, comma: int
) -> tuple[int, list[Any], int] | None:
    items, most, end = [_item(page, pieces, at, comma)], 0, comma
    while True:
        start, last = separator(page, pieces, end)
        if start == end:
            break
        stop = _item_end(page, pieces, start)
        closed = stop < len(pieces) and separator(page, pieces, stop)[0] > stop
        if not last and closed and _is_item(page, pieces, start, stop):
            most = max(most, stop - start)
        else:
            stop = min(stop, start + max(most, 1))
            if not _is_item(page, pieces, start, stop):
                break
            items.append(_item(page, pieces, start, stop))
            end = stop
            break
        items.append(_item(page, pieces, start, stop))
        end = stop
    if len(items) < MIN_NUMBERS or comma - at > max(most, 1):
        return None
    return end, items, most


def _item_end(page: Page, pieces: Sequence[Piece], at: int) -> int:
    end = at
    while end < len(pieces) and end - at <= MAX_ITEM and _is_item(page, pieces, end, end + 1):
        end += 1
    return end


def _is_item(page: Page, pieces: Sequence[Piece], start: int, end: int) -> bool:
    """Return whether all pieces may be part of an item: no mark, no word that joins or asks."""
    if not start < end <= len(pieces) or end - start > MAX_ITEM:
        return False
    return all(is_content(page, piece) for piece in pieces[start:end])


def is_content(page: Page, piece: Piece) -> bool:
    """Return whether a piece may be a part of an item: no mark, no word that joins or asks."""
    if piece.value:
        return piece.value.kind in _PLAIN
    word = piece.word
    return (
        word is not None
        and word.kind == "word"
        and word.low not in page.language.common
        and word.low not in page.language.phrases("lists", "joiners")
    )


def _item(page: Page, pieces: Sequence[Piece], start: int, end: int) -> Any:
    if end - start == 1 and (value := pieces[start].value) is not None:
        return value.value
    return page.text[pieces[start].start : pieces[end - 1].end]
