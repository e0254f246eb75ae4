"""Do two wishes ask for the same? What to check beside the similarity of their meaning."""

from __future__ import annotations

import re
from typing import Final


def _split(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Cosine of the wishes' embeddings from which on a known skill serves; see docs/benchmarks.md.
REUSE: Final = 0.90
_WORD: Final = re.compile(r"[^\W_]+", re.UNICODE)
# Words that say how the asker asks, not what for.
_FILLERS: Final = _split(
    "a an the of in to for from by with and or is are be it its that this these those me my "
    "please can could would you i we create make write method function which gives give "
    "given return returns get report tell show calculate compute find all each every any some "
    "what whats how now current currently do does s"
)
# Words that turn a wish into another one.
_TURNS: Final = _split(
    "not no without except first last second third next previous before after above below over "
    "under min max minimum maximum smallest largest biggest longest shortest lowest highest "
    "ascending descending upper lower uppercase lowercase even odd positive negative true false "
    "left right start end begin square cube squares cubes sum product add subtract multiply "
    "divide plus minus more less greater smaller increase decrease year month week day hour "
    "minute second days hours minutes seconds weeks months years tomorrow yesterday today "
    "celsius fahrenheit kelvin kilometers kilometres miles meters metres feet foot inches yards "
    "centimeters centimetres millimeters kilograms grams pounds ounces stones tons liters litres "
    "gallons pints cups knots kmh mph joules calories watts horsepower hectares acres bar pascal "
    "bytes kilobytes megabytes gigabytes degrees radians binary octal hexadecimal decimal roman "
    "euros dollars rows columns keys values vowels consonants letters words lines sentences digits "
    "row column key vowel consonant letter word line sentence digit "
    "circle triangle rectangle sphere cylinder cube cone trapezoid mean median mode json csv xml"
)


# Shares of the written candidates' votes that a known function has, by likeness of the wishes;
# measured on wishes that are neither in the library nor among the cases (docs/benchmarks.md).
NEAR: Final = 0.72
FAR: Final = 0.45


def weigh(likeness: float, wish: str, known: str) -> float | None:
    """Return what a function that was written for the wish ``known`` counts for.

    Returns:
        As a share of the candidates that a model wrote: 1 for the same wish in other words,
        less for one that is near; 0 where only an example can speak for it, and None where
        it is of no use.
    """
    if likeness < FAR:
        return None
    if likeness < NEAR:
        return 0.0
    first, second = _content(wish), _content(known)
    if _differs(first, second):
        return 0.0
    if not _is_in_order(first, second):
        return likeness * 0.4
    return 1.0 if likeness >= REUSE else likeness * 0.6


def is_same_wish(one: str, other: str) -> bool:
    """Say whether nothing in the words of two wishes of like meaning sets them apart.

    >>> is_same_wish("Convert celsius to fahrenheit.", "Convert fahrenheit to celsius.")
    False
    >>> is_same_wish("Reverse a text.", "Please reverse the text")
    True
    """
    first, second = _content(one), _content(other)
    return not _differs(first, second) and _is_in_order(first, second)


def _differs(first: list[str], second: list[str]) -> bool:
    """Say whether a number or a word that turns a wish into another stands in one only."""
    return _marks(first) != _marks(second)


def _marks(words: list[str]) -> set[str]:
    return {word.rstrip("s") for word in words if word in _TURNS or word.isdigit()}


def _content(text: str) -> list[str]:
    words = (word.casefold() for word in _WORD.findall(text))
    return [word for word in words if word not in _FILLERS]


def _is_in_order(first: list[str], second: list[str]) -> bool:
    """Say whether the words that both have come in one order."""
    shared = set(first) & set(second)
    return _order(first, shared) == _order(second, shared)


def _order(words: list[str], shared: set[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word in shared))
