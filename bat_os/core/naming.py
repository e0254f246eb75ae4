"""Names for the texts and numbers that a method takes, from the words of the wish.

Two texts that are called ``text`` and ``key`` tell a small model more than ``text1`` and
``text2``. Only where the wish names just as many things as there are values are these their
names; what a text looks like, and what usually comes first, decides which is which.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WHOLE: Final = ("text", "sentence", "string", "phrase", "paragraph", "message")
_DATE: Final = ("date", "birthday", "day", "deadline", "start", "end")
_LETTER: Final = ("letter", "character", "char")
_OTHER: Final = (
    *("key", "value", "name", "person", "user", "word", "separator", "prefix", "suffix"),
    *("title", "note", "item", "task", "city", "country", "color", "colour", "category", "unit"),
    *("currency", "pattern", "path", "extension", "tag", "password", "email", "language", "label"),
    *("code", "phone", "address", "question", "answer", "author", "product", "animal", "food"),
)
_NUMBERS: Final = (
    *("radius", "diameter", "width", "height", "length", "depth", "base", "exponent", "power"),
    *("principal", "rate", "years", "months", "weeks", "days", "hours", "minutes", "seconds"),
    *("year", "month", "price", "amount", "discount", "percent", "percentage", "tax", "tip"),
    *("weight", "mass", "speed", "distance", "time", "temperature", "angle", "size", "limit"),
    *("minimum", "maximum", "age", "score", "budget", "salary", "quantity", "count", "index"),
    *("position", "start", "end", "step", "celsius", "fahrenheit", "kelvin", "kilometers"),
    *("miles", "meters", "feet", "inches", "kilograms", "pounds", "liters", "gallons", "bytes"),
)
_SAME: Final = {"person": "name", "user": "name", "string": "text", "char": "character"}
_NAMES: Final = "|".join((*_WHOLE, *_DATE, *_LETTER, *_OTHER))
_GIVEN_BACK: Final = re.compile(
    r"\b(?:returns?|get|give|tell|report|show|find|look up)\s+(?:me\s+)?(?:the|an?|its|all)?\s*\w+"
)
_NAMED: Final = re.compile(rf"\b({_NAMES})\b")
_NUMBERED: Final = re.compile(rf"\b({'|'.join(_NUMBERS)})\b")
_CONVERTED: Final = re.compile(rf"\b({'|'.join(_NUMBERS)}) (?:to|into|in) [a-z]+")
_FORMS: Final[tuple[tuple[tuple[str, ...], Callable[[str], bool]], ...]] = (
    (_DATE, lambda text: re.match(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}", text) is not None),
    (_LETTER, lambda text: len(text) == 1),
)


def name_texts(wish: str, texts: Sequence[str]) -> list[str]:
    """Return a name for each text; [] where the wish does not name them.

    >>> name_texts("Count how often a letter occurs in a text.", ["banana", "a"])
    ['text', 'letter']
    >>> name_texts("Store a value under a key and return all.", ["theme", "dark"])
    ['key', 'value']
    """
    told = _GIVEN_BACK.sub(" ", wish.casefold())
    found = (_SAME.get(name, name) for name in _NAMED.findall(told))
    names = list(dict.fromkeys(found))
    if len(names) != len(texts):
        return []
    given: dict[int, str] = {}
    for kind, looks in _FORMS:
        for name in [name for name in names if name in kind]:
            places = [at for at, text in enumerate(texts) if at not in given and looks(text)]
            if len(places) == 1:
                given[places[0]] = name
                names.remove(name)
    names.sort(key=lambda name: (name not in _WHOLE, name == "value"))
    rest = (at for at in range(len(texts)) if at not in given)
    given |= dict(zip(rest, names, strict=True))
    return [given[at] for at in range(len(texts))]


def name_numbers(wish: str, count: int) -> list[str]:
    """Return a name for each of ``count`` numbers; [] where the wish does not name them.

    >>> name_numbers("Calculate interest for a principal, rate and years.", 3)
    ['principal', 'rate', 'years']
    >>> name_numbers("Convert a temperature from celsius to fahrenheit.", 1)
    ['celsius']
    """
    told = wish.casefold()
    if count == 1 and (converted := _CONVERTED.search(told)):
        return [converted[1]]
    names = list(dict.fromkeys(_NUMBERED.findall(_GIVEN_BACK.sub(" ", told))))
    return names if len(names) == count else []
