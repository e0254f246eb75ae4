"""Numbers in digits and in words: 1,234.5, "two and a half", "einundzwanzig", 3/4, 1.5 million.

Words follow one scheme in all languages: words below a thousand add up, scales multiply. The
tables of a language say which words these are and where an "and" may stand between them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Final

from bat_os.natives.names import names
from bat_os.sentence.language import Phrases, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.sentence.language import Language, Word

MAX_DIGITS: Final = 300  # characters of one number
MAX_WORDS: Final = 16  # of one number
MAX_COMPOUND: Final = 60  # characters of a number written as one word
MINUS: Final = frozenset("-\u2212\u2013")
VULGAR: Final = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅕": "1/5", "⅛": "1/8"}
# Signs of currencies; those of several countries mean the one that most people use.
SIGNS: Final = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR", "₩": "KRW", "₽": "RUB"}
_LARGEST_PART: Final = 100  # denominator of a fraction; larger ones are divisions


@dataclass(frozen=True, slots=True)
class Number:
    """A number that was read."""

    value: Fraction
    end: int  # index of the word behind it
    single: bool = False  # only an article or "one"
    digits: bool = False  # written in digits

    @property
    def plain(self) -> int | float:
        """The value as a method gets it.

        >>> Number(Fraction(5, 2), 1).plain, Number(Fraction(3), 1).plain
        (2.5, 3)
        """
        return plain(self.value)


def plain(value: Fraction) -> int | float:
    """Return an int where the value is whole, else a float."""
    if value == int(value):
        return int(value)
    return float(value)


def digits_in(language: Language) -> re.Pattern[str]:
    """Return how a number is written in a language."""
    return digits_of(language.decimal, blanks=language.setting("language", "blank_groups", False))


@cache
def digits_of(decimal: str, *, blanks: bool = False) -> re.Pattern[str]:
    """Return how a number is written where ``decimal`` is the decimal sign.

    A sign that cannot be meant as this language uses it is read as others do: 1.5 in German. With
    ``blanks`` these may group the digits, where it cannot be a row of numbers: 1 234,5.
    """
    point, comma = (r"\.", ",") if decimal == "." else (",", r"\.")
    blank_groups = r"|[0-9]{1,3}(?: [0-9]{3})++,[0-9]++|[1-9][0-9]?(?: [0-9]{3})++(?![0-9])"
    foreign = rf"|[0-9]++{comma}(?:[0-9]{{1,2}}|[0-9]{{4,}})(?![0-9]|{comma}[0-9])"
    return re.compile(
        rf"(?:[0-9]{{1,3}}(?:{comma}[0-9]{{3}})++(?![0-9])(?:{point}[0-9]++)?"
        rf"|[0-9]{{1,3}}(?:{point}[0-9]{{3}})++{comma}[0-9]++"
        rf"|[0-9]{{1,3}}(?:{point}[0-9]{{3}}){{2,50}}+(?![0-9])"
        r"|[0-9]{1,3}(?:[\u00a0\u202f'\u2019][0-9]{3})++(?![0-9])(?:[.,][0-9]++)?"
        + (blank_groups if blanks else "")
        + rf"|[0-9]++{point}[0-9]++(?!{point}[0-9])"
        + (foreign if decimal == "," else "")
        + rf"|[0-9]++|(?<![0-9]){point}[0-9]++)(?:[eE][-+]?[0-9]{{1,3}}(?!\w))?"
    )


def value_of(text: str, decimal: str) -> Fraction | None:
    """Return the value of a number in digits; None if it is too long.

    >>> value_of("1.234,5", ","), value_of("1,234,567.5", "."), value_of("1.5", ",")
    (Fraction(2469, 2), Fraction(2469135, 2), Fraction(3, 2))
    """
    if len(text) > MAX_DIGITS:
        return None
    bare = re.sub("[ \u00a0\u202f'\u2019]", "", text)
    first, last = bare.find(","), bare.rfind(",")
    dot = bare.rfind(".")
    grouped = bare.count(".") != 1 or len(bare) - dot - 1 == _GROUP
    if "," in bare and "." in bare:
        decimal = "," if last > dot else "."
    elif re.match("0,(?!.*,)", bare):
        decimal = ","  # no thousands begin with a nought
    elif first != last or (decimal == "," and not grouped):
        decimal = "."
    elif bare.count(".") > 1:
        decimal = ","
    other = "," if decimal == "." else "."
    try:
        value = Fraction(bare.replace(other, "").replace(decimal, "."))
        return value if math.isfinite(float(value)) else None
    except (ValueError, OverflowError):
        return None


_GROUP: Final = 3


def read_number(words: Sequence[Word], at: int, language: Language) -> Number | None:
    """Return the number that begins at ``at``, or None."""
    sign = _sign(words, at, language)
    found = _read_unsigned(words, sign or at, language)
    if found is None or not sign:
        return found
    return Number(-found.value, found.end, digits=found.digits)


def _sign(words: Sequence[Word], at: int, language: Language) -> int:
    """Return the index behind a minus sign or word at ``at``, else 0."""
    word = words[at]
    if word.low in MINUS or word.low == "+":
        alone = at + 1 < len(words) and words[at + 1].tight and words[at + 1].kind == "digits"
        return at + 1 if alone and not word.tight else 0
    match = language.phrases("numbers", "negative").match(words, at)
    return match[1] if match and match[1] < len(words) else 0


def _read_unsigned(words: Sequence[Word], at: int, language: Language) -> Number | None:
    word = words[at]
    if word.kind == "digits":
        return _read_digits(words, at, language)
    if word.low in VULGAR:
        return Number(Fraction(VULGAR[word.low]), at + 1)
    if word.kind != "word":
        return None
    return _read_words(words, at, language)


def _read_digits(words: Sequence[Word], at: int, language: Language) -> Number | None:
    end = _decimals_end(words, at, language) or at + 1
    written = "".join(word.text for word in words[at:end])
    value = value_of(written, "," if end > at + 1 else language.decimal)
    if value is None:
        return None
    if (part := _fraction_in_digits(words, at)) is not None:
        return Number(part, at + 3, digits=True)
    if end < len(words) and words[end].tight and words[end].kind == "word":
        low = words[end].low
        factor = language.setting("numbers", "suffixes", {}).get(low)
        if factor or low in language.phrases("dates", "suffixes"):  # 3k, the 7th prime
            return Number(value * (factor or 1), end + 1, digits=True)
    half = read_half(words, end, language)
    mixed = (Fraction(1, 2), half) if half else None
    if mixed is None and value == int(value):
        mixed = _mixed(words, end, language)
    if mixed is not None:
        return _scaled(Number(value + mixed[0], mixed[1], digits=True), words, language)
    return _scaled(Number(value, end, digits=True), words, language)


def _decimals_end(words: Sequence[Word], at: int, language: Language) -> int:
    """Return the index behind "7,5" before a unit, where a comma groups digits; else 0.

    Without a unit it may be two numbers: "the mean of 7,5". With three figures it is thousands.
    """
    end = at + 3
    if language.decimal == "," or end > len(words) or words[at + 1].text != ",":
        return 0
    whole, part = words[at].text, words[at + 2].text
    behind = words[end].text if end < len(words) else ""
    tight = words[at + 1].tight and words[at + 2].tight
    if not (tight and whole.isdecimal() and part.isdecimal()) or behind == ",":
        return 0
    if at > 1 and words[at - 1].text == "," and words[at].tight:
        return 0  # a row of numbers
    of_unit = (
        language.phrases("units"), symbols(), language.phrases("money"),
        language.phrases("percent", "words"),
    )  # fmt: skip
    before = words[at - 1].text if at else ""
    signed = not {behind, before}.isdisjoint({*SIGNS, "%"})
    return end if signed or any(known.match(words, end) for known in of_unit) else 0


@cache
def symbols() -> Phrases:
    """Return the symbols that all languages share: km, kg, °C."""
    return Phrases({fold(name): unit for name, unit in names("units").items() if name.strip("'\"")})


def _fraction_in_digits(words: Sequence[Word], at: int) -> Fraction | None:
    """Return 3/4 where it is a part of one; else it is a division."""
    if at + 2 >= len(words) or words[at + 1].text not in "/\u2044" or not words[at + 1].tight:
        return None
    above, below = words[at].text, words[at + 2].text
    whole = above.isdecimal() and below.isdecimal() and len(above) + len(below) <= _GROUP + 2
    after = words[at + 3].text if at + 3 < len(words) and words[at + 3].tight else ""
    if not whole or not words[at + 2].tight or after == "/":
        return None
    if not 0 < int(above) < int(below) <= _LARGEST_PART:
        return None
    return Fraction(int(above), int(below))


def _mixed(words: Sequence[Word], at: int, language: Language) -> tuple[Fraction, int] | None:
    """Return the part behind a whole number: ``1/2``, ``½`` or ``and a half``."""
    if at >= len(words):
        return None
    if words[at].low in VULGAR:
        return Fraction(VULGAR[words[at].low]), at + 1
    part = None
    if words[at].kind == "digits" and not words[at].tight:
        part = _fraction_in_digits(words, at)
    return (part, at + 3) if part is not None else _mixed_in_words(words, at, language)


def _mixed_in_words(
    words: Sequence[Word], at: int, language: Language
) -> tuple[Fraction, int] | None:
    joiner = language.phrases("numbers", "joiners").match(words, at)
    if joiner and joiner[1] < len(words):
        found = _part(words, joiner[1], language)
        if found and found.value < 1:
            return Fraction(found.value), found.end
    return None


def _part(words: Sequence[Word], at: int, language: Language) -> Number | None:
    """Return ``a third``, ``two thirds`` or ``half``."""
    alone = language.fractions.match(words, at)
    count, end = 1, at
    if alone is None:
        low = words[at].low
        if low in language.phrases("numbers", "articles"):
            count, end = 1, at + 1
        elif (several := language.phrases("numbers", "words").match(words, at)) is not None:
            count, end = several
        elif words[at].text.isdecimal() and len(words[at].text) <= _GROUP:
            count, end = int(words[at].text), at + 1
        else:
            return None
        alone = language.fractions.match(words, end)
    elif language.phrases("numbers", "alone").match(words, at) is None:
        return None
    if alone is None:
        return None
    return Number(Fraction(alone[0]) * count, alone[1])


def _scaled(number: Number, words: Sequence[Word], language: Language) -> Number:
    """Return the number times the scale behind it: 1.5 million, 3 thousand."""
    while (match := language.phrases("numbers", "scales").match(words, number.end)) is not None:
        number = Number(number.value * match[0], match[1], digits=number.digits)
    return number


def _read_words(words: Sequence[Word], at: int, language: Language) -> Number | None:
    if (found := _part(words, at, language)) is not None:
        return _of_scale(found, words, language)
    if words[at].low in language.phrases("numbers", "articles"):
        return _after_article(words, at, language)
    found = _chunks(words, at, language)
    if found is None:
        return None
    if (point := _decimals(words, found.end, language)) is not None:
        return _scaled(Number(found.value + point[0], point[1]), words, language)
    if found.end == at + 1 and words[at].low in language.phrases("numbers", "single"):
        found = Number(found.value, found.end, single=True)
    return _with_part(found, words, language)


def _decimals(words: Sequence[Word], at: int, language: Language) -> tuple[Fraction, int] | None:
    """Return the part behind "point" in "three point one four"."""
    point = language.phrases("numbers", "point").match(words, at)
    if point is None:
        return None
    digits, end = "", point[1]
    while len(digits) < MAX_WORDS:
        match = language.phrases("numbers", "words").match(words, end)
        if match is None or match[0] > 9:
            break
        digits, end = digits + str(match[0]), match[1]
    return (Fraction(f"0.{digits}"), end) if digits else None


def _with_part(found: Number, words: Sequence[Word], language: Language) -> Number:
    """Return ``two and a half`` for ``two``; of a scale, the half is half of it."""
    part = _mixed(words, found.end, language)
    if (half := read_half(words, found.end, language)) is not None:
        step = next((s for s in (10**9, 10**6, 1000) if found.value % s == 0 < found.value), 1)
        part = Fraction(step, 2), half
    if part is None:
        return found
    return _scaled(Number(found.value + part[0], part[1]), words, language)


def read_half(words: Sequence[Word], at: int, language: Language) -> int | None:
    """Return the index behind "and a half"."""
    match = language.phrases("numbers", "half").match(words, at)
    return match[1] if match else None


def _of_scale(part: Number, words: Sequence[Word], language: Language) -> Number:
    """Return ``half a million`` for ``half``, if that follows."""
    joined = language.phrases("numbers", "of").match(words, part.end)
    joined = joined or language.phrases("numbers", "articles").match(words, part.end)
    behind = joined[1] if joined else part.end
    if not _is_scale(words, behind, language):
        return part
    return _scaled(Number(part.value, behind), words, language)


def _after_article(words: Sequence[Word], at: int, language: Language) -> Number | None:
    """Return ``a hundred``, ``one point five``, ``one and a half``, or the article as a one."""
    if _is_scale(words, at + 1, language):
        return _chunks(words, at + 1, language)
    if (point := _decimals(words, at + 1, language)) is not None:
        return _scaled(Number(1 + point[0], point[1]), words, language)
    half = read_half(words, at + 1, language)
    part = (Fraction(1, 2), half) if half else _mixed(words, at + 1, language)
    if part is not None:
        return _scaled(Number(1 + part[0], part[1]), words, language)
    return Number(Fraction(1), at + 1, single=True)


def read_whole(words: Sequence[Word], at: int, language: Language) -> Number | None:
    """Return a whole number of one word, or of several, without any part behind it."""
    if words[at].kind == "digits":
        value = value_of(words[at].text, language.decimal)
        return Number(value, at + 1, digits=True) if value is not None else None
    return _chunks(words, at, language) if words[at].kind == "word" else None


def _is_scale(words: Sequence[Word], at: int, language: Language) -> bool:
    return language.phrases("numbers", "scales").match(words, at) is not None


def _chunks(words: Sequence[Word], at: int, language: Language) -> Number | None:
    """Return the number in words at ``at``: words below a thousand add up, scales multiply."""
    sum_ = _Sum(language.setting("numbers", "joins", "hundreds"))
    end = at
    while end < min(len(words), at + MAX_WORDS):
        step = _step(words, end, language)
        if step is not None and all(map(sum_.add, step[0])):
            end = step[1]
            continue
        joiner = language.phrases("numbers", "joiners").match(words, end)
        if joiner is None or end == at or joiner[1] >= len(words):
            break
        behind = _step(words, joiner[1], language)
        if behind is None or len(behind[0]) > 1 or not sum_.join(behind[0][0]):
            break
        if _is_scale(words, behind[1], language):  # "one hundred and two hundred" are two numbers
            sum_.undo()
            break
        end = behind[1]
    return Number(Fraction(sum_.value), end) if end > at else None


def _step(words: Sequence[Word], at: int, language: Language) -> tuple[list[int], int] | None:
    """Return what the words at ``at`` add, scales as negative numbers, and the index behind."""
    match = language.phrases("numbers", "words").match(words, at)
    if match:
        return [match[0]], match[1]
    match = language.phrases("numbers", "scales").match(words, at)
    if match:
        return [-match[0]], match[1]
    if language.setting("numbers", "compound") and words[at].kind == "word":
        parts = _compound(words[at].low, language)
        if parts:
            return parts, at + 1
    return None


class _Sum:
    """A number in words, as far as it was read."""

    def __init__(self, joins: str) -> None:
        self._joins = joins
        self._total = self._group = 0
        self._empty = True
        self._least = 10**18  # the scale before
        self._before: tuple[int, int, bool, int] = (0, 0, True, 0)

    @property
    def value(self) -> int:
        return self._total + self._group

    def undo(self) -> None:
        self._total, self._group, self._empty, self._least = self._before

    def add(self, value: int) -> bool:
        """Add a word, or multiply by a scale, and return True; False if it does not fit."""
        self._before = (self._total, self._group, self._empty, self._least)
        if value < 0:
            return self._multiply(-value)
        group = self._group
        fits = (
            (self._empty and (self._total == 0 or group == 0))
            or (value > 0 and group % 1000 == 0 and group == 0)
            or (0 < value < 100 and group > 0 and group % 100 == 0)
            or (0 < value < 10 and group % 100 >= 20 and group % 10 == 0)
            or (self._joins == "twenties" and 10 <= value < 20 and group % 100 in (60, 80))
        )
        if not fits:
            return False
        self._group += value
        self._empty = False
        return True

    def join(self, value: int) -> bool:
        """Add a word behind "and"."""
        if value <= 0:
            return False
        if self._joins == "hundreds" and not (self.value >= 100 and self._group % 100 == 0):
            return False
        if self._joins != "hundreds" and not (
            value < 20 and self._group % 10 == 0 and self._group % 100 >= 20
        ):
            return False
        return self.add(value)

    def _multiply(self, scale: int) -> bool:
        if scale == 100:
            if not 0 <= self._group < 100:
                return False
            self._group = max(self._group, 1) * 100
        else:
            if scale >= self._least or (self._empty and self._total):
                return False
            self._total += max(self._group, 1) * scale
            self._group, self._least = 0, scale
        self._empty = scale != 100
        return True


def _compound(low: str, language: Language) -> list[int] | None:
    """Return the parts of a number written as one word: einundzwanzig, dreihundertfünf."""
    if len(low) > MAX_COMPOUND:
        return None
    pieces = _pieces(language)
    parts: list[int] = []
    at, joined = 0, False
    while at < len(low):
        if low.startswith("und", at) and parts:
            at, joined = at + 3, True
            continue
        size = next((n for n in range(12, 1, -1) if low[at : at + n] in pieces), 0)
        if not size:
            return None
        value = pieces[low[at : at + size]]
        if joined and parts and 0 < parts[-1] < 10 and value >= 20 and value % 10 == 0:
            parts[-1] += value
        else:
            parts.append(value)
        at, joined = at + size, False
    return parts if parts and not joined else None


@cache
def _pieces(language: Language) -> dict[str, int]:
    scales = language.phrases("numbers", "scales").pieces()
    short = language.setting("numbers", "pieces", {})
    words = language.phrases("numbers", "words").pieces()
    return {**words, **{word: -scale for word, scale in scales.items()}, **short}
