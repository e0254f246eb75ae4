"""Which of several things some words name: the one rule of each act that changes something. Pure.

    "the glass of wine"     glass of water, glass of wine    glass of wine
    "wine"                  glass of water, glass of wine    glass of wine
    "lemons"                two lemons                       two lemons
    "glass"                 glass of water, glass of wine    both are near: a person is asked which
    "glass of milk"         glass of oat milk                one is near: a person is asked
    "glass of milk"         glass of water, glass of wine    none

A thing is named by all the words of its name, or by what there is an amount of. A text that is
kept, as that of a reminder, is named by some of its words in a row as well. What has every word
that was said in another way is only near: nothing is changed before a person has said that it is
meant. What only reads may be more lenient.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from bat_os.image.facts import is_light, is_small
from bat_os.sentence.language import fold, speak
from bat_os.sentence.terms import base_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

K = TypeVar("K")
_WORD: Final = re.compile(r"[^\W_]+")
# "Ann's" is Ann, and "l'eau" is eau.
_JOINED: Final = re.compile(r"['\u2019]s(?!\w)|(?<!\w)[a-z]{1,2}['\u2019](?=\w)")

# Behind it stands what there is an amount of.
_OF: Final = re.compile(r"\A\S+ (?:of|de|d['\u2019])\s*")


@dataclass(frozen=True, slots=True)
class Named(Generic[K]):
    """The things that some words name: none, one or several.

    Attributes:
        found: Their keys.
        whole: Each has no other words than those that were said.
        sure: What was said names each; else it is only near.
    """

    found: tuple[K, ...] = ()
    whole: bool = False
    sure: bool = False

    @property
    def one(self) -> K | None:
        """Return the one thing that is surely named, or None: a person has to be asked."""
        return self.found[0] if self.sure and len(self.found) == 1 else None


def find_named(
    said: str, things: Mapping[K, str], language: str, *, in_part: bool = False
) -> Named[K]:
    """Return which of some things, key -> name, are named by what was said.

    With ``in_part`` some words of a name in a row are enough, if they are those of one thing alone.
    """
    told, core = words_told(said, language), content_of(said, language)

    def same(name: str) -> bool:
        return " ".join(name.casefold().split()) == " ".join(said.casefold().split())

    rules: Sequence[tuple[Callable[[str], bool], bool, bool]] = (  # the strictest first
        (same, True, True),
        (lambda name: bool(told) and words_told(name, language) == told, True, True),
        (lambda name: bool(told) and {*words_told(name, language)} == {*told}, True, True),
        (lambda name: bool(told) and words_told(_without_amount(name, language), language) == told,
         False, True),
        (lambda name: in_part and _stands_in(told, words_told(name, language)), False, True),
        (lambda name: bool(core) and core <= content_of(name, language), False, False),
    )  # fmt: skip
    for fits, whole, sure in rules:
        if found := tuple(key for key, name in things.items() if fits(name)):
            return Named(found, whole, sure)
    return Named()


def words_told(text: str, language: str) -> list[str]:
    """Return the stems of the words that tell one name from another, in their order.

    Articles and the like never do. Other small words do inside a name, as "with" and "without",
    but not before it.
    """
    words = _WORD.findall(_JOINED.sub(" ", text))
    words = [word for word in words if not is_light(word) or _is_letter(word)]
    first = next(
        (at for at, word in enumerate(words) if not _leads(word, at, language)), len(words)
    )
    return [base_of(word, language) for word in words[first:]]


def content_of(text: str, language: str) -> frozenset[str]:
    """Return the stems of the words that say what a name is about: "swam" is "swimming"."""
    words = _WORD.findall(_JOINED.sub(" ", text))
    kept = (word for word in words if _is_letter(word) or not is_small(word, language))
    return frozenset(base_of(word, language) for word in kept)


def _without_amount(name: str, language: str) -> str:
    """Return what there is an amount of: "two lemons", "glasses of water", "bouteille d'eau"."""
    numbers = speak(language).phrases("numbers", "words")
    words = name.split()
    while len(words) > 1 and (words[0].isdigit() or fold(words[0]) in numbers):
        words = words[1:]
    found = _OF.search(" ".join(words))
    return " ".join(words)[found.end() if found else 0 :]


def _stands_in(told: Sequence[str], words: Sequence[str]) -> bool:
    """Return whether some words stand in others, in a row."""
    starts = range(len(words) - len(told) + 1)
    return bool(told) and any(words[at : at + len(told)] == told for at in starts)


def _leads(word: str, at: int, language: str) -> bool:
    """Return whether a word before a name says nothing: "about Will" begins with "Will"."""
    return is_small(word, language) and not (at and word[:1].isupper())


def _is_letter(word: str) -> bool:
    """Return whether a word is one letter that names something: "vitamin A"."""
    return len(word) == 1 and word.isupper()
