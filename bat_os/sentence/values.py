"""A typed value of a sentence, and which kinds of value serve where another kind is wanted."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.sentence.language import fold, languages, speak
from bat_os.sentence.numerals import read_number, read_whole

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.sentence.language import Language, Word
    from bat_os.sentence.numerals import Number


MAX_STEPS: Final = 2_000  # of all attempts to read an expression


@dataclass(frozen=True, slots=True)
class Value:
    """A typed value, and where it stands in the sentence."""

    kind: str
    value: Any  # plain data, as a method gets it
    start: int  # first character in the sentence
    end: int  # behind the last one
    text: str  # as it was said


@dataclass(slots=True)
class Page:
    """A sentence in words, as the readers of values get it."""

    text: str
    words: Sequence[Word]
    language: Language
    now: dt.datetime
    past: bool  # the sentence looks back: "since 3 May"
    found: list[Value] = field(default_factory=list)  # so far, from left to right
    steps: int = MAX_STEPS  # left for expressions: many open brackets are many attempts
    _numbers: dict[int, Number | None] = field(default_factory=dict)
    _wholes: dict[int, Number | None] = field(default_factory=dict)

    def number(self, at: int) -> Number | None:
        """Return the number that begins at the word ``at``; it is read once."""
        if at >= len(self.words) or self._subtracts(at):
            return None
        if at not in self._numbers:
            self._numbers[at] = read_number(self.words, at, self.language)
        return self._numbers[at]

    def _subtracts(self, at: int) -> bool:
        """Return whether "minus" at ``at`` takes from a value: it is no sign, too."""
        negative = self.language.phrases("numbers", "negative").match(self.words, at)
        return negative is not None and self.follows_value(at)

    def whole(self, at: int) -> Number | None:
        """Return the whole number that begins at the word ``at``, without a part behind it."""
        if at >= len(self.words):
            return None
        if at not in self._wholes:
            self._wholes[at] = read_whole(self.words, at, self.language)
        return self._wholes[at]

    def value(self, kind: str, value: Any, first: int, end: int) -> Value:
        """Return a value from the word ``first`` up to ``end``, which is behind the last one."""
        start, stop = self.words[first].start, self.words[end - 1].end
        return Value(kind, value, start, stop, self.text[start:stop])

    def follows_value(self, at: int) -> bool:
        """Return whether the word at ``at`` comes right behind a value: "$5 a month"."""
        return bool(at and self.found) and self.found[-1].end == self.words[at - 1].end


def lies_outside(value: Value) -> bool:
    """Return whether a value names a file or a web page, which only a grant could open."""
    return value.kind == "path" or (value.kind == "address" and "@" not in value.value)


_YEAR: Final = re.compile("[12][0-9]{3}")


def as_kind(value: Value, kind: str) -> Any:
    """Return ``value`` as plain data for a slot of ``kind``.

    A number slot also gets a percentage, an amount of money, an expression, the year of "in 1999"
    and the month of "February"; a text slot gets anything as it was said; an expression slot gets
    numbers.

    Raises:
        ArgumentsError: It cannot serve there.
    """
    if value.kind == kind:
        return value.value
    convert = _CONVERT.get(kind, {}).get(value.kind)
    if convert is None and kind == "text":
        return value.text
    if convert is None:
        raise ArgumentsError(f"{value.text[:40]!r} is a {value.kind}, not a {kind}")
    return convert(value)


def _computed(value: Value) -> Any:
    # Here: simpleeval is needed for few sentences.
    from bat_os.natives.calculator import evaluate

    return evaluate(value.value)


def _year_or_month(value: Value) -> int:
    """Return the year of "in 1999", and the month of "February" alone."""
    if _YEAR.fullmatch(value.text):
        return int(value.text)
    months = (speak(code).phrases("months").exact(fold(value.text)) for code in languages())
    month: int = next((month for month in months if month), 0)
    if not month:
        raise ArgumentsError(f"{value.text[:40]!r} is a date, not a number")
    return month


def _written(value: Value) -> str:
    if re.fullmatch(r"[0-9]+/[0-9]+", value.text):  # exactly: a third is not 0.333
        return value.text
    return str(value.value)


def _items(value: Value) -> list[Any]:
    return list(value.value.items())


_CONVERT: Final[Mapping[str, Mapping[str, Callable[[Value], Any]]]] = {
    "number": {
        "percent": lambda value: value.value,
        "money": lambda value: value.value["amount"],
        "expression": _computed,
        "date": _year_or_month,
    },
    "percent": {"number": lambda value: value.value, "expression": _computed},
    "expression": {"number": _written, "percent": lambda value: f"{value.value}%"},
    "text": {"name": lambda value: value.text},
    "list": {"number": lambda value: [value.value]},
    "name": {"text": lambda value: value.value},
    "path": {"text": lambda value: value.value},
    "address": {"text": lambda value: value.value, "name": lambda value: value.text},
}
