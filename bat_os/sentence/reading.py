"""A sentence with the values in it: what is said, in which language, and about what.

    number      int or float                 340, 1,234.5, 1.234,5, "twelve", "a dozen", "half"
    percent     int or float                 17%, 17 percent
    unit        name for units_obj           km, miles, weeks: "mile", "week"
    money       {"amount", "currency"}       $40, 40 euros
    expression  text for calculator_obj      (3 + 4) * 2, 12 times 7 plus 3
    date        ISO date                     3 May, next Friday, Christmas, tomorrow, 14 July 1789
    time        "HH:MM"                      half past three, 3pm, 15:30
    text        str                          in quotes, or after a colon
    list        list of plain values         [1, 2], 3, 1, 2, and after a colon: kiwi, fig, banana
    map         dict                         {"a": 1}
    path        str                          ~/notes.txt, /etc/hosts
    address     str                          https://example.org, ann@example.org
    name        str                          Berlin, Anna: capitalised inside of a sentence

A quantity or a duration is a number followed by a unit. At each place the longest value wins, and
of two that are as long, the kind that says more. Only the first 2,000 characters are read; a quoted
text or one after a colon that begins there is taken whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence import arithmetic, clock, dates, quantities
from bat_os.sentence.groups import join_alternatives, join_pairs
from bat_os.sentence.language import DEFAULT, find_language, fold, speak, split
from bat_os.sentence.literals import find_literals, find_rest, split_items
from bat_os.sentence.numerals import digits_in, plain, read_number
from bat_os.sentence.series import join_lists
from bat_os.sentence.tokens import QUOTES
from bat_os.sentence.values import Page, Value, as_kind

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

__all__ = ["MAX_READ", "Sentence", "Value", "as_kind", "mask", "read_sentence"]

MAX_READ: Final = 2_000  # characters
MAX_WORDS: Final = 400  # words and marks
MAX_SPOKEN: Final = 100  # items of a list that are looked at for numbers in words
MAX_TAIL: Final = 8  # words of the sentence behind a list
MAX_ITEM: Final = 60  # characters of an item of a list after a colon
_STOP: Final = re.compile(r"(?P<word>[^\W_]+)[)\"']?[.?!]\s+(?=\S)")  # the end of a sentence
_ENDS: Final = " \t\n.?!\u2026\u00bf\u00a1;,:="


@dataclass(frozen=True, slots=True)
class Slip:
    """A word that was put right, and where it stands in the text that is right."""

    start: int
    end: int
    typed: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """What was said, read once."""

    text: str
    language: str  # code of ISO 639-1
    values: tuple[Value, ...]  # in order; they do not overlap
    masked: str  # the text, lower case, each value as {kind}: "what is {percent} of {number}"
    slips: tuple[Slip, ...] = ()  # what was typed otherwise, from left to right
    asked: int = 0  # where the clause begins that asks; the words before it give values

    @property
    def length(self) -> int:
        """How many characters it has besides its values."""
        return len(self.text) - sum(value.end - value.start for value in self.values)

    def as_typed(self, start: int, end: int) -> str:
        """Return a part of the text with the words as they were typed."""
        return put_back(self.text, self.slips, start, end)


def read_sentence(text: str, now: dt.datetime, language: str = "") -> Sentence:
    """Return what ``text`` says; ``now`` is the present moment with the person's zone.

    ``language`` is a hint, which counts where the words of the sentence do not decide.
    """
    code = find_language(text[:MAX_READ], language)
    values = _read_values(text, now, code)
    return Sentence(text, code, tuple(values), mask(text, values))


def put_back(text: str, slips: Sequence[Slip], start: int, end: int) -> str:
    """Return a part of ``text`` with the words as they were typed."""
    parts, at = [], start
    for slip in slips:
        if start <= slip.start and slip.end <= end:
            parts += [text[at : slip.start], slip.typed]
            at = slip.end
    return "".join([*parts, text[at:end]])


def mask(text: str, values: Sequence[Value]) -> str:
    """Return ``text`` in lower case with each of ``values`` as ``{kind}``, without end marks."""
    parts, at = [], 0
    limit = max([MAX_READ, *(value.end for value in values)])
    for value in values:
        parts += [
            text[at : value.start].lower(),
            f" {{{value.kind}}} " if _needs_blank(text, value) else f"{{{value.kind}}}",
        ]
        at = value.end
    parts.append(text[at:limit].lower())
    return " ".join("".join(parts).split()).strip(_ENDS)


def _needs_blank(text: str, value: Value) -> bool:
    """Return whether a value touches a word: the unit of "5km"."""
    before = value.start > 0 and text[value.start - 1].isalnum()
    return before or (value.end < len(text) and text[value.end].isalnum())


def _read_values(text: str, now: dt.datetime, code: str) -> list[Value]:
    language = speak(code)
    fixed = [
        Value(kind, value, start, end, text[start:end])
        for kind, value, start, end in find_literals(text, MAX_READ)
    ]
    fixed = _with_dates(text[:MAX_READ], fixed, language, now)
    limit = max([min(len(text), MAX_READ), *(value.end for value in fixed)])
    spans = [(value.start, value.end) for value in fixed]
    words = split(text[:limit], digits_in(language), spans)[:MAX_WORDS]
    past = any(word.low in language.phrases("dates", "past") for word in words)
    page = Page(text, words, language, now, past)
    rest = find_rest(text, MAX_READ, spans)
    values = quantities.settle_degrees(_scan(page, {value.start: value for value in fixed}))
    values = quantities.settle_money(page, quantities.add_wanted_unit(page, values))
    values = arithmetic.settle_sum(page, values)
    values = join_alternatives(page, join_lists(page, join_pairs(page, values)))
    return _with_rest(page, values, rest)


def _with_dates(text: str, fixed: list[Value], language: Any, now: dt.datetime) -> list[Value]:
    """Return the literals and the dates in figures, which win over versions such as 3.5.2027."""
    kept = list(fixed)
    for start, end, day in dates.find_numeric_dates(text, language, now):
        around = [value for value in kept if value.start < end and start < value.end]
        if all(value.kind == "text" and value.start == start for value in around):
            if around and around[0].text[0] in "\"'`":
                continue
            kept = [value for value in kept if value not in around]
            kept.append(Value("date", day, start, end, text[start:end]))
    return sorted(kept, key=lambda value: value.start)


def _read_plain(page: Page, at: int) -> tuple[list[Value], int] | None:
    number = page.number(at)
    if number is None or (number.single and not _counts(page, at, number.end)):
        return None
    return [page.value("number", number.plain, at, number.end)], number.end


def _counts(page: Page, at: int, end: int) -> bool:
    """Return whether "one" is a number: another one follows, as in "one to ten"."""
    language = page.language
    if page.words[at].low not in language.phrases("numbers", "words") or end >= len(page.words):
        return False
    joined = page.words[end].low
    return (
        joined in language.phrases("measures", "to")
        or joined in language.phrases("lists", "joiners")
    ) and page.number(end + 1) is not None


def _read_name(page: Page, at: int) -> tuple[list[Value], int] | None:
    """Return a place that is known, or words with a capital inside of the sentence."""
    words, language = page.words, page.language
    place = language.phrases("places").match(words, at)
    place = place or speak(DEFAULT).phrases("places").match(words, at)
    if place and (words[at].text[0].isupper() or _is_after_place_cue(page, at)):
        return [page.value("name", place[0], at, place[1])], place[1]
    end = at
    while (
        end < len(words)
        and _is_capitalised(page, end)
        and (end == at or words[end - 1].text != ",")
    ):
        end += 1
    if end == at or not language.names_by_case:
        return None
    first = words[at]
    return [page.value("name", page.text[first.start : words[end - 1].end], at, end)], end


def _is_after_place_cue(page: Page, at: int) -> bool:
    """Return whether a place in lower case is meant: "in turkey", not "roast turkey"."""
    cues = page.language.phrases("names", "before")
    return at > 0 and page.words[at - 1].low in cues


def _is_capitalised(page: Page, at: int) -> bool:
    word = page.words[at]
    before = page.words[at - 1] if at else None
    if word.kind != "word" or before is None or before.text in ".?!:¿¡\u2026":
        return False
    if not word.text[0].isupper() or word.text.isupper():
        return False
    return word.low not in page.language.phrases("lists", "quiet")


_READERS: Final[tuple[Callable[[Page, int], tuple[list[Value], int] | None], ...]] = (
    dates.read_date,
    clock.read_time,
    quantities.read_dice,
    quantities.read_percent,
    quantities.read_money,
    arithmetic.read_expression,
    quantities.read_quantity,
    _read_plain,
    _read_name,
)


def _scan(page: Page, fixed: dict[int, Value]) -> list[Value]:
    """Return the values from left to right, at each place the longest."""
    values = page.found
    at = 0
    while at < len(page.words):
        word = page.words[at]
        if word.kind == "literal":
            values.append(fixed[word.start])
            at += 1
            continue
        best: list[Value] = []
        end = at
        for read in _READERS:
            found = read(page, at)
            if found and found[1] > end:
                best, end = found
        if not best:
            unit = quantities.read_unit_alone(page, at)
            best, end = unit or ([], at + 1)
        values += best
        at = end
    return values


def _with_rest(page: Page, values: list[Value], rest: tuple[int, int] | None) -> list[Value]:
    """Return the values with the text after a colon as one, unless they say all of it."""
    if rest is None:
        return values
    start, end = rest
    if any(_is_whole(page, value, start) for value in values):
        return values
    stop = _list_end(page, start, end)
    inside = [value for value in values if start <= value.start < stop]
    outside = [value for value in values if value.end <= start]
    behind = [value for value in values if value.start >= stop]
    if len(inside) + len(outside) + len(behind) < len(values) or _covers(page, inside, rest, stop):
        return values
    joiners = [word for word, _ in page.language.phrases("lists", "joiners").items()]
    items = split_items(page.text[start:stop], joiners)
    if items and len(items) > 1 and max(map(len, items)) <= MAX_ITEM:
        found = [_item(page, item, spoken=len(items) <= MAX_SPOKEN) for item in items]
        text = page.text[start:stop]
        return [*outside, Value("list", found, start, stop, text), *behind]
    text = page.text[start:end]
    return [*outside, Value("text", text, start, end, text)]


def _is_whole(page: Page, value: Value, start: int) -> bool:
    """Return whether a value makes words of the rest: "Ann 34, Bob 29: who is older", a table."""
    table = value.kind == "text" and "\n" in value.text
    if value.kind not in ("list", "map") and not table:
        return False
    between = page.text[value.end : start].strip()
    return (table and value.start == start) or (value.end <= start and between in ("", ":"))


def _list_end(page: Page, start: int, end: int) -> int:
    """Return where a list after a colon ends: "red, blue, red. Which won?", or ``end``."""
    text = page.text[start:end]
    if "," not in text or "\n" in text:
        return end
    short = page.language.phrases("lists", "short")
    for match in _STOP.finditer(text, text.index(",")):
        word, behind = match["word"], text[match.end() :]
        if "," in behind or len(behind.split()) > MAX_TAIL:
            continue
        if not (len(word) == 1 and word.isupper()) and fold(word) not in short:
            return start + match.end("word")
    return end


def _covers(page: Page, values: Sequence[Value], rest: tuple[int, int], stop: int) -> bool:
    """Return whether the values say all that is written from the colon up to ``stop``."""
    if not values or (page.words and page.words[-1].end < len(page.text.rstrip())):
        return False
    kinds = [value.kind for value in values]
    if len(values) > 1 and kinds != ["number", "unit"]:
        return False
    return not any(
        word.kind != "mark"
        for word in page.words
        if rest[0] <= word.start < stop and not any(v.start <= word.start < v.end for v in values)
    )


def _item(page: Page, item: str, *, spoken: bool) -> Any:
    """Return an item of a list after a colon: a number, or text without its quotes."""
    if item[0].isdigit() or item[0] in "+-.\u2212" or spoken:
        words = split(item, digits_in(page.language))
        number = read_number(words, 0, page.language) if words else None
        if number is not None and number.end == len(words) and not number.single:
            return plain(number.value)
    closed = len(item) > 1 and item[0] in QUOTES and item[-1] in QUOTES[item[0]]
    return item[1:-1] if closed else item.rstrip(".?!") or item
