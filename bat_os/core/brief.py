"""What was asked, and the words for it: goal, signature, and names for the arguments.

Two texts that are called ``text`` and ``key`` tell a small model more than ``text1`` and ``text2``.
The words of a wish are used as names only if it names exactly as many things as there are values;
the form of a text, and what usually comes first, decide which name is whose.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.scopes import PERSON
from bat_os.core.values import check_selector, check_slot_name
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TOOLS: Final = "tools"
_NOUNS: Final = {bool: "flag", int: "number", float: "number", str: "text", dict: "data"}


@dataclass(frozen=True, slots=True)
class Brief:
    """What the image was asked."""

    target: str  # name or oid of the receiver
    selector: str  # name of the message
    args: tuple[Any, ...] = ()  # positional arguments, plain data
    kwargs: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments, plain data
    text: str = ""  # the wish in words, without the literal arguments; may be ""
    # maps with args, kwargs and result that the method has to reproduce, and maybe effects
    examples: tuple[Mapping[str, Any], ...] = ()
    fresh: bool = False  # write a new method even where a known skill would serve
    mode: str = ""  # ``cascade``: through all personas as well; TOOLS: step by step; or ""
    # nobody ordered a method: one that only drafts speak for waits for a yes
    tentative: bool = False
    persona: str = ""  # who writes it: a persona or one of its facets; "" for the target's own
    label: tuple[str, ...] = ()  # oids of the grants that had a say in it; never from the wire
    # what a person lets it do, and nothing else: ("flow", source, sink), ("grant", asked, given),
    # all oids; a mission has it from its events
    once: tuple[tuple[str, str, str], ...] = ()
    may: str = PERSON  # the scope of who asks: what it sends needs no more

    def to_plain(self) -> dict[str, Any]:
        """Return plain data that ``from_plain`` reads back."""
        # asdict would copy all of it, which is a third of what storing a brief costs.
        data = {name: getattr(self, name) for name in _FIELDS}
        if not self.mode:  # as it was stored, and hashed, before there were modes
            del data["mode"]
        del data["once"]
        for name, usual in (("tentative", False), ("persona", ""), ("label", ()), ("may", PERSON)):
            if data[name] == usual:
                del data[name]
        return data

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> Brief:
        """Return the brief that ``to_plain`` wrote."""
        return cls(
            data["target"],
            data["selector"],
            tuple(data["args"]),
            dict(data["kwargs"]),
            data["text"],
            tuple(data["examples"]),
            bool(data.get("fresh")),
            str(data.get("mode", "")),
            bool(data.get("tentative")),
            str(data.get("persona", "")),
            tuple(data.get("label", ())),
            may=str(data.get("may", PERSON)),
        )


MAX_GOAL: Final = 2_000  # characters of a wish that its sentence and its names are made of
_FIELDS: Final = tuple(field.name for field in fields(Brief))


def checked(brief: Brief) -> Brief:
    """Return a brief that came from outside, once its names can be a message's.

    Raises:
        ArgumentsError: The selector, or the name of an argument, cannot be used.
    """
    check_selector(brief.selector)
    for name in brief.kwargs:
        check_slot_name(name)
        if keyword.iskeyword(name):
            raise ArgumentsError(f"{name!r} is a Python keyword and cannot be an argument")
    return brief


def parameters(brief: Brief) -> tuple[str, ...]:
    """Return names for the positional arguments, from their types and the wish.

    One number is ``number``; two are ``a`` and ``b``; a list of numbers is ``numbers``. Where the
    wish names them, they are called that.
    """
    nouns, wish = [_noun(value) for value in brief.args], brief.text[:MAX_GOAL]
    texts = [value for value in brief.args if type(value) is str]
    given = {
        "text": iter(name_texts(wish, texts)),
        "number": iter(name_numbers(wish, nouns.count("number"))),
    }
    nouns = [next(given[noun], noun) if noun in given else noun for noun in nouns]
    names: list[str] = []
    counts = Counter(nouns)
    for place, noun in enumerate(nouns):
        many = counts[noun] > 1
        name = noun
        if many:
            letter = noun == "number" and place < 26
            name = chr(ord("a") + place) if letter else f"{noun}{place + 1}"
        while name in brief.kwargs:
            name += f"_{place + 1}"
        names.append(name)
    return tuple(names)


def kinds(brief: Brief) -> list[str]:
    """Return what kind of value each argument is, keyword arguments by name at the end.

    >>> kinds(Brief("genesis_obj", "scale", (3, "x"), {"by": [1, 2]}))
    ['number', 'text', 'by=numbers']
    """
    named = (f"{name}={_noun(value)}" for name, value in sorted(brief.kwargs.items()))
    return [*map(_noun, brief.args), *named]


def signature(brief: Brief) -> str:
    """Return the ``def`` line that a candidate has to have."""
    return f"def {brief.selector}({', '.join(('self', *parameters(brief), *brief.kwargs))}):"


def goal(brief: Brief) -> str:
    """Return the wish as one sentence, for a docstring and for people."""
    words = brief.text.strip()[:MAX_GOAL] or brief.selector.strip("_").replace("_", " ")
    words = "".join(c if c.isprintable() else " " for c in words)
    words = re.sub(r"\s+", " ", words).rstrip(".!? ").replace('"', "'").replace("\\", " ")
    return f"{words[:1].upper()}{words[1:300]}."


def _noun(value: Any) -> str:
    if type(value) is list:
        numbers = value and all(type(item) in (int, float) for item in value)
        return "numbers" if numbers else "items"
    return _NOUNS.get(type(value), "value")


_WHOLE: Final = ("text", "sentence", "string", "phrase", "paragraph", "message")
_DATE: Final = ("date", "birthday", "day", "deadline", "start", "end")
_LETTER: Final = ("letter", "character", "char")
_OTHER: Final = (
    "key|value|name|person|user|word|separator|prefix|suffix|title|note|item|task|city|"
    "country|color|colour|category|unit|currency|pattern|path|extension|tag|password|email|"
    "language|label|code|phone|address|question|answer|author|product|animal|food"
)
_NUMBER_NAMES: Final = (
    "radius|diameter|width|height|length|depth|base|exponent|power|principal|rate|years|"
    "months|weeks|days|hours|minutes|seconds|year|month|price|amount|discount|percent|"
    "percentage|tax|tip|weight|mass|speed|distance|time|temperature|angle|size|limit|minimum|"
    "maximum|age|score|budget|salary|quantity|count|index|position|start|end|step|celsius|"
    "fahrenheit|kelvin|kilometers|miles|meters|feet|inches|kilograms|pounds|liters|gallons|"
    "bytes"
)
_SAME: Final = {"person": "name", "user": "name", "string": "text", "char": "character"}
_TEXT_NAMES: Final = "|".join((*_WHOLE, *_DATE, *_LETTER, _OTHER))
_GIVEN_BACK: Final = re.compile(
    r"\b(?:returns?|get|give|tell|report|show|find|look up)\s+(?:me\s+)?(?:the|an?|its|all)?\s*\w+"
)
_NAMED: Final = re.compile(rf"\b({_TEXT_NAMES})\b")
_NUMBERED: Final = re.compile(rf"\b({_NUMBER_NAMES})\b")
_CONVERTED: Final = re.compile(rf"\b({_NUMBER_NAMES}) (?:to|into|in) [a-z]+")
_FORMS: Final[tuple[tuple[tuple[str, ...], Callable[[str], bool]], ...]] = (
    (_DATE, lambda text: re.match(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}", text) is not None),
    (_LETTER, lambda text: len(text) == 1),
)


def name_texts(wish: str, texts: Sequence[str]) -> list[str]:
    """Return a name for each text; [] if the wish does not name them.

    >>> name_texts("Count how often a letter occurs in a text.", ["banana", "a"])
    ['text', 'letter']
    >>> name_texts("Store a value under a key and return all.", ["theme", "dark"])
    ['key', 'value']
    """
    words = _GIVEN_BACK.sub(" ", wish.casefold())
    names = list(dict.fromkeys(_SAME.get(name, name) for name in _NAMED.findall(words)))
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
    """Return a name for each of ``count`` numbers; [] if the wish does not name them.

    >>> name_numbers("Calculate interest for a principal, rate and years.", 3)
    ['principal', 'rate', 'years']
    >>> name_numbers("Convert a temperature from celsius to fahrenheit.", 1)
    ['celsius']
    """
    words = wish.casefold()
    if count == 1 and (converted := _CONVERTED.search(words)):
        return [converted[1]]
    names = list(dict.fromkeys(_NUMBERED.findall(_GIVEN_BACK.sub(" ", words))))
    return names if len(names) == count else []


_NUMBER_WORDS: Final = {
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
MAX_LITERALS: Final = 4


def literals(wish: str) -> tuple[int | float | str, ...]:
    """Return the values that a wish names, in its order, each once and at most MAX_LITERALS.

    "One" is left out: it rarely counts.

    >>> literals('Roll a six-sided die, 2 times, and join them with dashes or ", "')
    (6, 2, '-', ', ')
    """
    values: list[int | float | str] = []
    for match in _LITERAL.finditer(wish):
        value = _value(match)
        if value is not None and value not in values:
            values.append(value)
    return tuple(values[:MAX_LITERALS])


def _value(match: re.Match[str]) -> int | float | str | None:
    if number := match["number"]:
        return float(number) if "." in number else int(number)
    if quoted := match["double"] or match["single"]:
        return quoted
    word = match["word"].casefold()
    single = word.removesuffix("es") if word.endswith("shes") else word.removesuffix("s")
    return _NUMBER_WORDS.get(word, _SIGNS.get(word, _SIGNS.get(single)))
