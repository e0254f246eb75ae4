"""Sentences and wordings as terms: stems of words, and typed values or slots between them.

    "What is 17% of 340?"            what  is  {percent}  of  {number}
    "what is {percent} of {number}"  what  is  {percent}  of  {number}

Words of one stem are one term: "sorting" and "sorted". Stems are made by Snowball in the languages
that it has, and are the words themselves in others.
"""

from __future__ import annotations

import datetime as dt
import re
import threading
import tomllib
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.language import speak, split
from bat_os.sentence.numerals import Number, digits_in
from bat_os.sentence.quantities import read_unit
from bat_os.sentence.values import Page

if TYPE_CHECKING:
    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.values import Value

_ANY: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # units do not depend on the moment
_LONGEST: Final = 2_000  # characters that are looked at in one go
MOST: Final = 60  # terms of a sentence that are looked at
_TOKEN: Final = re.compile(r"[^\W_]+|[-+*/^=<>√²³$€£%]")
# A picture: emoji with what joins and colours them, flags.
_PICTURE: Final = re.compile(
    r"(?:[\u2190-\u2bff\u3030\u303d\U0001f000-\U0001faff][\ufe0f\u20e3\u200d]*)+"
)
_SLOT: Final = re.compile(r"\{([a-z_][a-z0-9_]{0,60})\}")
_STEMMING: Final = threading.Lock()  # a stemmer keeps the word that it works on in itself
_STEMMERS: Final = {"de": "german", "en": "english", "es": "spanish", "fr": "french"}


@dataclass(frozen=True, slots=True)
class Term:
    """A word, a value of a sentence, or a slot of a wording."""

    stem: str  # of a word; "{kind}" of a value, "{name}" of a slot
    start: int = 0  # first character in the text
    end: int = 0  # behind the last one
    value: Value | None = None
    slot: str = ""  # name of the parameter
    unit: str = ""  # that a wording has behind a slot: "{distance} km"


def split_sentence(sentence: Sentence) -> list[Term]:
    """Return the first terms of a sentence; each value is one.

    A picture is a word where there are no values: else it only adorns the sentence.
    """
    terms: list[Term] = []
    at = 0
    for value in sentence.values:
        terms += _words(sentence.text, at, value.start, sentence.language)
        terms.append(Term(f"{{{value.kind}}}", value.start, value.end, value=value))
        at = value.end
        if len(terms) > MOST:
            break
    terms += _words(sentence.text, at, len(sentence.text), sentence.language)
    if not sentence.values:
        found = _PICTURE.finditer(sentence.text[:_LONGEST])
        terms += [Term(picture[0], picture.start(), picture.end()) for picture in found]
        terms.sort(key=lambda term: term.start)
    return terms[:MOST]


def split_wording(text: str, language: str) -> list[Term]:
    """Return the terms of a wording with slots, ``{name}``; a unit behind one is one term."""
    terms: list[Term] = []
    at = 0
    for slot in _SLOT.finditer(text):
        terms += _words(text, at, slot.start(), language)
        terms.append(Term(slot[0], slot.start(), slot.end(), slot=slot[1]))
        at = slot.end()
        if (unit := _unit_behind(text, at, language)) is not None:
            first = _words(text, at, unit[1], language)[0]
            terms.append(Term(first.stem, first.start, unit[1], unit=unit[0]))
            at = unit[1]
    terms += _words(text, at, len(text), language)
    return terms[:MOST]


def _unit_behind(text: str, at: int, language: str) -> tuple[str, int] | None:
    """Return (name, index behind) of the unit that a wording has at ``at``."""
    behind = _SLOT.sub(lambda slot: "0" * len(slot[0]), text[at:])
    if not behind[:2].strip().isalpha():
        return None
    spoken = speak(language)
    words = split(behind, digits_in(spoken))
    page = Page(behind, words, spoken, _ANY, past=False)
    found = read_unit(page, 0, after=Number(Fraction(1), 0, digits=True))
    return (found[0], at + words[found[1] - 1].end) if found else None


def split_words(text: str, language: str) -> list[str]:
    """Return the stems of the words in a text without values or slots."""
    return [term.stem for term in _words(text, 0, len(text), language)]


def _words(text: str, start: int, end: int, language: str) -> list[Term]:
    found = []
    for match in _TOKEN.finditer(text, start, min(end, start + _LONGEST)):
        found.append(Term(stem(match[0], language), match.start(), match.end()))
        if len(found) > MOST:
            break
    return found


@lru_cache(maxsize=20_000)
def stem(word: str, language: str) -> str:
    """Return the stem of a word.

    >>> stem("Sorting", "en"), stem("sorted", "en")
    ('sort', 'sort')
    """
    stemmer = _stemmer(language)
    low = word.lower()[:60]
    if stemmer is None:
        return low
    with _STEMMING:
        return str(stemmer.stemWord(low))


def base_of(word: str, language: str) -> str:
    """Return the stem of a word, of a form that no stemmer knows the stem of its verb.

    >>> base_of("swam", "en"), base_of("swimming", "en"), base_of("swims", "en")
    ('swim', 'swim', 'swim')
    """
    low = word.lower()
    return stem(_irregular(language).get(low, low), language)


@cache
def _irregular(language: str) -> dict[str, str]:
    """Return the forms of irregular verbs -> their verb."""
    file = resources.files("bat_os.sentence") / "languages" / "irregular.toml"
    data = tomllib.loads(file.read_text(encoding="utf-8")).get(language, "")
    verbs = [verb.split() for line in data.splitlines() for verb in line.split("/")]
    return {form: verb[0] for verb in verbs if verb for form in verb[1:]}


@cache
def _stemmer(language: str) -> Any:
    import snowballstemmer  # type: ignore[import-untyped]  # here: it is needed at the first word

    name = _STEMMERS.get(language)
    return snowballstemmer.stemmer(name) if name else None
