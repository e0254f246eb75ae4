"""Values that belong together without being a plain list: pairs, and a choice between words.

    Ann 34, Bob 29 and Cleo 41          map    {"Ann": 34, "Bob": 29, "Cleo": 41}
    the red one or the green one, ...   list   ["the red one", "the green one"]

Alternatives are read where the sentence asks to choose: "tea or coffee" may also be an item.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.series import MAX_ITEM, is_content, pieces_of, separator
from bat_os.sentence.values import Value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.sentence.series import Piece
    from bat_os.sentence.values import Page

    Pair = tuple[str, Any, int, int]  # name, number, index of the first piece, index behind

MIN_PAIRS: Final = 3  # where the names are ordinary words
MIN_NAMES: Final = 2  # where they begin with a capital
MAX_ALTERNATIVE: Final = 5  # words
_LINKS: Final = frozenset("=:-\u2013")


def join_pairs(page: Page, values: Sequence[Value]) -> list[Value]:
    """Return the values with names and their numbers as one map."""
    pieces = list(pieces_of(page, values))
    found: list[Value] = []
    at = 0
    while at < len(pieces):
        pairs = _pairs(page, pieces, at)
        if pairs:
            start, stop = pieces[at].start, pieces[pairs[-1][3] - 1].end
            held = {name: number for name, number, _, _ in pairs}
            found.append(Value("map", held, start, stop, page.text[start:stop]))
            at = pairs[-1][3]
            continue
        if (value := pieces[at].value) is not None:
            found.append(value)
        at += 1
    return found


def _pairs(page: Page, pieces: Sequence[Piece], at: int) -> list[Pair]:
    pairs: list[Pair] = []
    while (pair := _pair(page, pieces, at)) is not None:
        pairs.append(pair)
        behind, _ = separator(page, pieces, pair[3])
        if behind == pair[3]:
            break
        at = behind
    if len(pairs) < MIN_NAMES or len({name for name, *_ in pairs}) < len(pairs):
        return []
    if len(pairs) < MIN_PAIRS and not all(name[0].isupper() for name, *_ in pairs):
        return []
    longest = max(name.count(" ") for name, *_ in pairs[1:])
    return pairs if pairs[0][0].count(" ") <= longest else []  # "I bought tea 3, coffee 4"


def _pair(page: Page, pieces: Sequence[Piece], at: int) -> Pair | None:
    end = at
    while end < len(pieces) and end - at < MAX_ITEM and _is_word(page, pieces[end]):
        end += 1
    if end == at:
        return None
    name = page.text[pieces[at].start : pieces[end - 1].end]
    if end < len(pieces) and _is_link(page, pieces[end]):
        end += 1
    value = pieces[end].value if end < len(pieces) else None
    if value is None or value.kind not in ("number", "money"):
        return None
    number = value.value["amount"] if value.kind == "money" else value.value
    unit = pieces[end + 1].value if end + 1 < len(pieces) else None
    end += 2 if unit is not None and unit.kind == "unit" else 1
    return name, number, at, end


def _is_word(page: Page, piece: Piece) -> bool:
    value = piece.value
    if value is not None and value.kind == "date":
        return value.text.isalpha()  # monday 3, tuesday 5
    return is_content(page, piece) and (value is None or value.kind in ("name", "text"))


def _is_link(page: Page, piece: Piece) -> bool:
    word = piece.word
    return word is not None and (
        word.text in _LINKS or word.low in page.language.phrases("lists", "links")
    )


def join_alternatives(page: Page, values: list[Value]) -> list[Value]:
    """Return the values with the two things of "tea or coffee, you choose" as a list."""
    language, words = page.language, page.words
    cues = language.phrases("lists", "choose")
    chosen = [at for at in range(len(words)) if cues.match(words, at)]
    if not chosen or any(value.kind in ("list", "map", "number", "time") for value in values):
        return values
    for at, word in enumerate(words):
        if word.low not in language.phrases("lists", "alternatives"):
            continue
        end = at + 1
        while end < min(len(words), at + 1 + MAX_ALTERNATIVE) and _goes_on(page, end, chosen):
            end += 1
        start, most = at, end - at - 1
        while start and at - start < most and _goes_on(page, start - 1, chosen):
            start -= 1
        if start == at or end == at + 1:
            continue
        sides = (words[start].start, words[at - 1].end), (words[at + 1].start, words[end - 1].end)
        items = [page.text[first:last] for first, last in sides]
        left, right = sides[0][0], sides[1][1]
        outside = [value for value in values if value.end <= left or value.start >= right]
        made = Value("list", items, left, right, page.text[left:right])
        return sorted([*outside, made], key=lambda value: value.start)
    return values


def _goes_on(page: Page, at: int, chosen: Sequence[int]) -> bool:
    word = page.words[at]
    if word.kind == "mark" or word.low in page.language.phrases("lists", "alternatives"):
        return False
    return not any(
        cue <= at < page.language.phrases("lists", "choose").match(page.words, cue)[1]  # type: ignore[index]
        for cue in chosen
    ) and word.low not in page.language.phrases("lists", "asking")
