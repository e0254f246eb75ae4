"""Values that a wish names: numbers in digits or words, what stands in quotes, signs by name."""

from __future__ import annotations

import re
from typing import Final

_NUMBERS: Final = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "dozen": 12, "twenty": 20, "hundred": 100,
    "thousand": 1000,
}  # fmt: skip
_SIGNS: Final = {
    "space": " ", "comma": ",", "dash": "-", "hyphen": "-", "underscore": "_", "dot": ".",
    "period": ".", "semicolon": ";", "colon": ":", "slash": "/", "tab": "\t", "pipe": "|",
    "newline": "\n", "star": "*", "asterisk": "*", "hash": "#", "plus": "+", "equals": "=",
}  # fmt: skip
_LITERAL: Final = re.compile(
    r"""(?<![\w.])(?P<number>-?\d+(?:\.\d+)?)(?![\w.]\w)|(?P<word>[a-z]+)"""
    r"""|"(?P<double>[^"]{1,40})"|(?<!\w)'(?P<single>[^']{1,40})'""",
    re.IGNORECASE,
)
MOST: Final = 4


def literals(wish: str) -> tuple[int | float | str, ...]:
    """Return the values that a wish names, in its order, each once and at most MOST.

    "One" is left out: it rarely counts.

    >>> literals('Roll a six-sided die, 2 times, and join them with dashes or ", "')
    (6, 2, '-', ', ')
    """
    found: list[int | float | str] = []
    for match in _LITERAL.finditer(wish):
        value = _value(match)
        if value is not None and value not in found:
            found.append(value)
    return tuple(found[:MOST])


def _value(match: re.Match[str]) -> int | float | str | None:
    if number := match["number"]:
        return float(number) if "." in number else int(number)
    if quoted := match["double"] or match["single"]:
        return quoted
    word = match["word"].casefold()
    single = word.removesuffix("es") if word.endswith("shes") else word.removesuffix("s")
    return _NUMBERS.get(word, _SIGNS.get(word, _SIGNS.get(single)))
