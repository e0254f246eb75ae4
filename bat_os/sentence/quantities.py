"""Percentages, amounts of money, quantities with their unit, and units alone.

    17%   $40   40 euros   5 miles   20 degrees celsius   5 feet 10   "how many minutes"

A word is a unit where it follows a number, "how many", or a word like "in" or "to": elsewhere a
second is a place in a row, and a foot is a part of a leg.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.text import words as word_set
from bat_os.natives.names import names
from bat_os.natives.units import CURRENCIES
from bat_os.sentence.numerals import MINUS, SIGNS, Number, plain, read_half, symbols

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.sentence.language import Word
    from bat_os.sentence.values import Page, Value

    Found = tuple[list[Value], int]

CODES: Final = word_set(
    "USD EUR GBP JPY CHF CAD AUD NZD CNY INR SEK NOK DKK PLN CZK HUF RON TRY BRL MXN ZAR KRW SGD "
    "HKD THB ILS RUB UAH ARS CLP COP PEN"
)
# A unit, the smaller one that may follow it, and how many of these it has: "5 feet 10".
SMALLER: Final = {
    ("foot", "inch"): 12,
    ("pound", "ounce"): 16,
    ("stone", "pound"): 14,
    ("hour", "minute"): 60,
    ("minute", "second"): 60,
    ("day", "hour"): 24,
    ("week", "day"): 7,
    ("year", "month"): 12,
    ("meter", "centimeter"): 100,
    ("kilometer", "meter"): 1000,
}
# What units measure, and how many of the first of their kind one is.
SIZES: Final[Mapping[str, Mapping[str, int | str]]] = {
    "length": {
        "meter": 1, "kilometer": 1000, "centimeter": "0.01", "millimeter": "0.001",
        "mile": "1609.344", "yard": "0.9144", "foot": "0.3048", "inch": "0.0254",
    },
    "mass": {
        "gram": 1, "kilogram": 1000, "milligram": "0.001", "tonne": 1_000_000,
        "pound": "453.59237", "ounce": "28.349523125", "stone": "6350.29318",
    },
    "volume": {
        "liter": 1, "milliliter": "0.001", "centiliter": "0.01", "deciliter": "0.1",
        "gallon": "3.785411784", "quart": "0.946352946", "pint": "0.473176473",
        "cup": "0.2365882365", "fluid_ounce": "0.0295735295625",
        "tablespoon": "0.01478676478125", "teaspoon": "0.00492892159375",
        "imperial_gallon": "4.54609", "imperial_quart": "1.1365225", "imperial_pint": "0.56826125",
    },
    "time": {
        "second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800,
        "month": 2_629_800, "year": 31_557_600,
    },
    "speed": {
        "meter/second": 1, "kilometer/hour": "5/18", "mile/hour": "0.44704",
        "knot": "463/900",
    },
    "temperature": {"degree_Celsius": 0, "degree_Fahrenheit": 0, "kelvin": 0, "degree": 0},
    "power": {"watt": 1, "kilowatt": 1000},
    "voltage": {"volt": 1},
    "current": {"ampere": 1},
    "resistance": {"ohm": 1},
    "force": {"newton": 1},
}  # fmt: skip
# Units whose next smaller one is often left out.
_BARE: Final = {"foot": "inch", "stone": "pound", "hour": "minute", "meter": "centimeter"}
_PREFIXES: Final = word_set("kilo centi milli deci dezi micro mega giga")
_FEET: Final = frozenset("'\u2032\u2019")
_INCHES: Final = frozenset('"\u2033\u201d')
_OTHER_SCALE: Final = {"degree_Celsius": "degree_Fahrenheit", "degree_Fahrenheit": "degree_Celsius"}
_CENTS: Final = frozenset({"USD", "EUR", "CAD", "AUD", "NZD"})  # a hundredth is a cent
_PER: Final = "/"
_LONG: Final = 3  # letters of a unit that is known without a number before it
_BIG: Final = {"m": 10**6, "b": 10**9}  # behind a sign of money


@cache
def size_of(unit: str) -> tuple[str, Fraction] | None:
    """Return what a common unit measures, and its size, 0 where it has none; None for others.

    >>> size_of("kilometer"), size_of("kilometer/hour")
    (('length', Fraction(1000, 1)), ('speed', Fraction(5, 18)))
    """
    for kind, units in SIZES.items():
        if unit in units:
            above, _, below = str(units[unit]).partition("/")
            return kind, Fraction(above) / Fraction(below or 1)
    return None


def measure_alike(unit: str, other: str) -> bool | None:
    """Return whether two common units measure the same; None if one is not common."""
    one, two = size_of(unit), size_of(other)
    return None if one is None or two is None else one[0] == two[0]


def in_unit(number: float, unit: str, to: str) -> int | float:
    """Return a quantity in another common unit, or the number if that is not known.

    >>> in_unit(90, "minute", "hour"), in_unit(2, "year", "month"), in_unit(3, "apple", "hour")
    (1.5, 24, 3)
    """
    one, two = size_of(unit), size_of(to)
    if one is None or two is None or one[0] != two[0] or not two[1] or one == two:
        return number
    value = Fraction(str(number)) * one[1] / two[1]
    return int(value) if value == int(value) else float(value)


def read_dice(page: Page, at: int) -> Found | None:
    """Return the two numbers of ``3d6``."""
    words, letters = page.words, page.language.phrases("dice", "letters")
    count, sides = page.whole(at), page.whole(at + 2)
    if count is None or sides is None or not (count.digits and sides.digits):
        return None
    if words[at + 1].low not in letters or not (words[at + 1].tight and words[at + 2].tight):
        return None
    first = page.value("number", count.plain, at, at + 1)
    return [first, page.value("number", sides.plain, at + 2, at + 3)], at + 3


def read_percent(page: Page, at: int) -> Found | None:
    """Return ``17%`` or ``17 percent``."""
    number = page.number(at)
    if number is None or number.end >= len(page.words):
        return None
    end = number.end
    if page.words[end].text == "%":
        behind = page.words[end + 1] if end + 1 < len(page.words) else None
        if behind and behind.kind == "digits":  # 17 % 5 is a remainder
            return None
        return [page.value("percent", number.plain, at, end + 1)], end + 1
    match = page.language.phrases("percent", "words").match(page.words, end)
    return ([page.value("percent", number.plain, at, match[1])], match[1]) if match else None


def read_money(page: Page, at: int) -> Found | None:
    """Return ``$40``, ``40 €``, ``40 euros``, ``USD 40``."""
    words = page.words
    sign = _currency_sign(words[at])
    if sign:
        number = page.number(at + 1)
        if number is None or not number.digits:
            return None
        value, end = number.value, number.end
        if end < len(words) and words[end].tight and words[end].low in _BIG:
            value, end = value * _BIG[words[end].low], end + 1
        return [_money(page, value, sign, at, end)], end
    number = page.number(at)
    if number is None or number.end >= len(words):
        return None
    whole = _named_money(page, number)
    if whole is None:
        return None
    currency, factor, end = whole
    value = Fraction(number.value) * factor
    rest = _hundredths(page, end, currency) if factor == 1 else None
    if rest:
        value, end = value + rest[0], rest[1]
    return [_money(page, value, currency, at, end)], end


def _currency_sign(word: Word) -> str:
    if word.text in SIGNS:
        return SIGNS[word.text]
    return word.text if word.text in CODES else ""


def _named_money(page: Page, number: Number) -> tuple[str, Fraction, int] | None:
    """Return (currency, 1 or 1/100, index behind) of the word behind a number."""
    word, end = page.words[number.end], number.end
    sign = _currency_sign(word) or (word.text.upper() if word.text.upper() in _PLAIN else "")
    if sign:
        return sign, Fraction(1), end + 1
    of = page.language.phrases("money", "of").match(page.words, end)
    at = of[1] if of else end
    match = page.language.phrases("money").match(page.words, at)
    if match:
        return match[0], Fraction(1), match[1]
    match = page.language.phrases("money_hundredths").match(page.words, at)
    return (match[0], Fraction(1, 100), match[1]) if match else None


_PLAIN: Final = frozenset({"USD", "EUR", "GBP", "JPY", "CHF", "CAD", "AUD"})  # in lower case too


def _hundredths(page: Page, at: int, currency: str) -> tuple[Fraction, int] | None:
    """Return the cents behind euros: "3 euros and 50 cents", "3 Euro 50"."""
    joiner = page.language.phrases("measures", "joiners").match(page.words, at)
    at = joiner[1] if joiner else at
    if at >= len(page.words):
        return None
    number = page.number(at)
    if number is None or not 0 < number.value < 100:
        return None
    match = page.language.phrases("money_hundredths").match(page.words, number.end)
    if match is None or match[0] not in (currency, "USD", "EUR"):
        return None
    return Fraction(number.value) / 100, match[1]


def _money(page: Page, value: Any, currency: str, at: int, end: int) -> Value:
    if at and page.words[at - 1].low in MINUS and page.words[at].tight:
        return page.value("money", {"amount": -plain(value), "currency": currency}, at - 1, end)
    return page.value("money", {"amount": plain(value), "currency": currency}, at, end)


def read_quantity(page: Page, at: int) -> Found | None:
    """Return a number and its unit; of several (5 feet 10), the sum in the smallest."""
    number = page.number(at)
    if number is None or (number.single and page.follows_value(at)):
        return None
    unit = read_unit(page, number.end, after=number)
    if unit is None and 0 < number.value < 1 and not number.digits:
        unit = _unit_of_part(page, number)
    if unit is None:
        return None
    name, end = unit
    value = Fraction(number.value)
    half = read_half(page.words, end, page.language)
    if half is not None:
        value, end = value + Fraction(1, 2), half
    while (more := _smaller(page, end, name)) is not None:
        value, name, end = value * more[0] + more[1], more[2], more[3]
    if number.single and _is_another_thing(page, end):
        return None
    first = page.value("number", plain(value), at, number.end)
    return [first, page.value("unit", name, number.end, end)], end


def _is_another_thing(page: Page, end: int) -> bool:
    """Return whether a word behind makes something else of it: a bar chart, a cup holder."""
    behind = page.words[end] if end < len(page.words) else None
    return (
        behind is not None
        and behind.kind == "word"
        and (behind.low not in page.language.vocabulary)
    )


def _unit_of_part(page: Page, number: Number) -> tuple[str, int] | None:
    """Return the unit of "half an hour", "a quarter of a mile"."""
    joined = page.language.phrases("numbers", "of").match(page.words, number.end)
    joined = joined or page.language.phrases("numbers", "articles").match(page.words, number.end)
    return read_unit(page, joined[1], after=number) if joined else None


def _smaller(page: Page, at: int, unit: str) -> tuple[int, Fraction, str, int] | None:
    """Return (factor, value, unit, index behind) of a smaller quantity behind another."""
    words = page.words
    joiner = page.language.phrases("measures", "joiners").match(words, at)
    if joiner:
        apart = page.language.phrases("measures", "apart")
        if any(word.low in apart for word in words[:at]):
            return None
        at = joiner[1]
    number = page.number(at)
    if number is None or number.single or number.value < 0:
        return None
    found = read_unit(page, number.end, after=number)
    if found and unit == "hour" and words[number.end].low == "m":  # 1h 20m
        found = "minute", found[1]
    if found and (unit, found[0]) in SMALLER:
        return SMALLER[unit, found[0]], Fraction(number.value), *found
    least = _BARE.get(unit)
    if found or joiner or least is None or not _is_bare(page, number, SMALLER[unit, least]):
        return None
    return SMALLER[unit, least], Fraction(number.value), least, number.end


def _is_bare(page: Page, number: Number, size: int) -> bool:
    """Return whether a number alone is of the next smaller unit: "5 feet 10", "2 hours 15"."""
    if not number.digits or number.value >= size or number.value != int(number.value):
        return False
    behind = page.words[number.end] if number.end < len(page.words) else None
    if behind is None or size == SMALLER["foot", "inch"]:
        return True
    if behind.kind == "mark":
        return behind.text in ".,;:?!)"
    return behind.low in page.language.common  # "2 hours 15 in minutes", not "2 hours 15 people"


def read_unit(page: Page, at: int, *, after: Number | None = None) -> tuple[str, int] | None:
    """Return (name for units_obj, index behind) of a unit; ``after`` is the number before it."""
    found = _apart(page, at) or _one_unit(page, at, after)
    if found is None:
        return None
    name, end = found
    words = page.words
    if end >= len(words):
        return found
    per = (end, end + 1) if words[end].text == _PER else None
    per = per or page.language.phrases("measures", "per").match(words, end)
    below = _one_unit(page, per[1], None, bare=words[end].text == _PER) if per else None
    if below is None or "/" in name:
        return found
    return f"{name}/{below[0]}", below[1]


def _one_unit(
    page: Page, at: int, after: Number | None, *, bare: bool = False
) -> tuple[str, int] | None:
    words = page.words
    if at >= len(words):
        return None
    word = words[at]
    if after is not None and after.digits and word.tight and word.low in _FEET | _INCHES:
        return ("foot" if word.low in _FEET else "inch"), at + 1
    match = page.language.phrases("units").match(words, at) or symbols().match(words, at)
    if match is None or word.kind == "literal" or (after and _is_decade(after, word)):
        return None
    name, end = match
    if end == at + 1:
        name = names("symbols").get(word.text) or name
        divided = end < len(words) and words[end].text == _PER and words[end].tight
        letter = len(word.text) == 1 and not (bare or divided or (after and after.digits))
        if letter or (_is_preposition(page, at, word) and not word.tight):
            return None
    return _powered(words, name, end)


def _apart(page: Page, at: int) -> tuple[str, int] | None:
    """Return a unit whose prefix stands apart: "kilo grams"."""
    words = page.words
    if at + 1 >= len(words) or words[at].low not in _PREFIXES or words[at + 1].kind != "word":
        return None
    name = page.language.phrases("units").exact(words[at].low + words[at + 1].low)
    return (name, at + 2) if name else None


def _is_decade(number: Number, behind: Word) -> bool:
    """Return whether it is "the 1990s" or "the 80s", and not a number of seconds."""
    tens = number.value % 10 == 0 and (20 <= number.value <= 90 or number.value >= 1000)
    return tens and behind.low == "s" and behind.tight


def _powered(words: Sequence[Word], name: str, end: int) -> tuple[str, int]:
    """Return the unit with the power behind it: m², m^2."""
    if end < len(words) and words[end].tight:
        power = {"²": 2, "³": 3}.get(words[end].text)
        if power:
            return f"{name}**{power}", end + 1
        if words[end].text == "^" and end + 1 < len(words) and words[end + 1].text in ("2", "3"):
            return f"{name}**{words[end + 1].text}", end + 2
    return name, end


def _is_preposition(page: Page, at: int, word: Word) -> bool:
    """Return whether ``in`` is the word and not the inch: "5 in total", not "5 in to cm"."""
    to = page.language.phrases("measures", "to")
    if word.low not in to:
        return False
    behind = page.words[at + 1] if at + 1 < len(page.words) else None
    return behind is not None and behind.kind != "mark" and behind.low not in to


def settle_degrees(values: list[Value]) -> list[Value]:
    """Return the values with degrees as those of the other scale: "37 degrees in Fahrenheit"."""
    scales = [
        value.value for value in values if value.kind == "unit" and value.value in _OTHER_SCALE
    ]
    if len(scales) != 1:
        return values
    other = _OTHER_SCALE[scales[0]]
    return [
        replace(value, value=other) if (value.kind, value.value) == ("unit", "degree") else value
        for value in values
    ]


def add_wanted_unit(page: Page, values: list[Value]) -> list[Value]:
    """Return the values with the unit that one quantity is wanted in: "my scale shows grams".

    It is a word, or the sign of a temperature, and measures what the quantity does.
    """
    said = [value for value in values if value.kind == "unit"]
    kind = size_of(said[0].value) if len(said) == 1 else None
    if kind is None or kind[0] == "time":
        return values
    for at, word in enumerate(page.words):
        if any(value.start <= word.start < value.end for value in values):
            continue
        if (found := _wanted(page, at, kind[0])) is not None and found[0] != said[0].value:
            wanted = page.value("unit", found[0], at, found[1])
            return sorted([*values, wanted], key=lambda value: value.start)
    return values


def settle_money(page: Page, values: list[Value]) -> list[Value]:
    """Return the values with an amount of money as a quantity, if it is wanted in its own currency.

    "3 euros to cents", "how many euros are 250 cents": nothing is rounded, and no rate is needed.
    """
    amounts = [value for value in values if value.kind == "money"]
    wanted = _wanted_money(page, values) if len(amounts) == 1 else None
    if wanted is None:
        return values
    amount, (name, at, end) = amounts[0], wanted
    currency, small = name.removesuffix("_cent"), _small_behind(page, amount)
    cents = currency in _CENTS and amount.value["currency"] in _CENTS and (small or "_" in name)
    currency = amount.value["currency"] if "_" in name else currency
    if currency not in CURRENCIES or not (cents or currency == amount.value["currency"]):
        return values
    number = Fraction(str(amount.value["amount"])) * (100 if small else 1)
    said = [
        replace(amount, kind="number", value=plain(number)),
        replace(amount, kind="unit", value=f"{currency}{'_cent' * small}", start=amount.end),
        page.value("unit", f"{currency}{'_cent' * ('_' in name)}", at, end),
    ]
    rest = [value for value in values if value is not amount]
    return sorted([*rest, *said], key=lambda value: value.start)


def _wanted_money(page: Page, values: list[Value]) -> tuple[str, int, int] | None:
    """Return (unit, index, index behind) of the currency or its hundredth behind "in" or "to"."""
    for at in range(len(page.words)):
        for table in ("count", "to"):
            cue = page.language.phrases("measures", table).match(page.words, at)
            found = _money_unit(page, cue[1]) if cue else None
            if cue is None or found is None:
                continue
            start = page.words[cue[1]].start
            if not any(value.start <= start < value.end for value in values):
                return found[0], cue[1], found[1]
    return None


def _money_unit(page: Page, at: int) -> tuple[str, int] | None:
    if (whole := page.language.phrases("money").match(page.words, at)) is not None:
        return whole
    part = page.language.phrases("money_hundredths").match(page.words, at)
    return (f"{part[0]}_cent", part[1]) if part else None


def _small_behind(page: Page, amount: Value) -> bool:
    """Return whether an amount was said in hundredths: "250 cents"."""
    words = [word for word in page.words if amount.start <= word.start < amount.end]
    known = page.language.phrases
    small = any(known("money_hundredths").match(words, at) for at in range(len(words)))
    return small and not any(known("money").match(words, at) for at in range(len(words)))


def _wanted(page: Page, at: int, kind: str) -> tuple[str, int] | None:
    match = page.language.phrases("units").match(page.words, at)
    size = size_of(match[0]) if match else None
    word = page.words[at].low
    clear = len(word) > _LONG or kind == "temperature"
    return match if size and size[0] == kind and clear else None


def read_unit_alone(page: Page, at: int) -> Found | None:
    """Return a unit that is asked for: "how many minutes", "in miles"."""
    words, language = page.words, page.language
    for table, letters in (("count", False), ("to", True)):
        cue = language.phrases("measures", table).match(words, at)
        if cue is None or cue[1] >= len(words):
            continue
        start = cue[1]
        found = read_unit(page, start) or (_letter(page, start) if letters else None)
        if found and not _is_preposition(page, start, words[start]):
            return [page.value("unit", found[0], start, found[1])], found[1]
    return None


def _letter(page: Page, at: int) -> tuple[str, int] | None:
    """Return a unit of one letter at the end of the sentence: "20 C to F"."""
    word = page.words[at]
    if word.kind != "word" or len(word.text) != 1 or at + 2 < len(page.words):
        return None
    if at + 1 < len(page.words) and page.words[at + 1].kind != "mark":
        return None
    unit = names("symbols").get(word.text) or names("units").get(word.low)
    return (unit, at + 1) if unit else None
