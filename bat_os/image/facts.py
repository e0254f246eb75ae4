"""What a fact is, and what its words alone say: subject, place, rare words, a short answer. Pure.

    "my sister's birthday is 3 May"    about "my sister's birthday"
    "the spare key is at Anna's"       about "the spare key", where "Anna's"

A fact is kept as it was said. What is read here only helps to find it: nothing is ever answered
that does not stand in its text.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.image.knowledge.ranking import split_words
from bat_os.sentence.language import find_language

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.sentence.reading import Value

_PLACE_WORDS: Final = 6
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_GENITIVE: Final = re.compile(r"['\u2019]s(?!\w)")
_ENDINGS: Final = ("ing", "ed", "es", "e", "s")


@dataclass(frozen=True, slots=True)
class Fact:
    """What a person has said to remember, or what was kept from a text; plain data."""

    id: str  # sorts by the time at which it was kept
    text: str  # as it was said
    told_at: float  # Unix time
    when: tuple[str, ...] = ()  # ISO dates that the text names
    where: str = ""  # the place that it names
    about: str = ""  # its subject, as said
    source: str = ""  # who said it, or the document it is from; "" is the person of the image
    label: str = ""  # of tainted text, kept wherever the fact goes
    replaced_by: str = ""  # id of the fact that is true instead of it now
    replaces: tuple[str, ...] = ()  # ids of the facts that it took the place of
    hidden: bool = False  # forgotten: no recall finds it, history has it
    links: Mapping[str, Any] = field(default_factory=dict)  # "objects", "documents", "missions"

    def to_plain(self) -> dict[str, Any]:
        """Return its slots."""
        names = Fact.__dataclass_fields__
        plain = {name: getattr(self, name) for name in names}
        return {**plain, "when": list(self.when), "replaces": list(self.replaces)}

    @staticmethod
    def from_plain(fact_id: str, slots: Mapping[str, Any]) -> Fact:
        """Return the fact of some slots; those that are missing have their default."""
        known = {name: slots[name] for name in Fact.__dataclass_fields__ if name in slots}
        lists = {name: tuple(slots.get(name, ())) for name in ("when", "replaces")}
        return Fact(**{**known, **lists, "id": fact_id})


def describe(fact_id: str, text: str, told_at: float, values: Sequence[Value]) -> Fact:
    """Return the fact of a text; ``values`` are what was read in it."""
    dates = tuple(str(value.value) for value in values if value.kind == "date")
    return Fact(
        fact_id,
        text,
        told_at,
        when=tuple(dict.fromkeys(dates)),
        where=_place_of(text, values),
        about=subject_of(text),
    )


def subject_of(text: str) -> str:
    """Return what the text says something about, or ""."""
    found = _find_is(text)
    return text[: max(0, found.start() - 1)].strip() if found else ""


def _subject_words(text: str) -> list[str]:
    return words_of(subject_of(text), find_language(text))


def _find_is(text: str) -> re.Match[str] | None:
    """Return the match between subject and rest, in the language of the text if it has one."""
    language = find_language(text)
    return _pattern("is", language).search(f" {text}") or _pattern("is").search(f" {text}")


def _rest_of(text: str) -> str:
    """Return what the text says of its subject, or ""."""
    found = _find_is(text)
    return text[found.end() - 1 :].strip() if found else ""


def _place_of(text: str, values: Sequence[Value]) -> str:
    """Return the first place in a text, without a date or time behind it, or ""."""
    starts = [value.start for value in values if value.kind in ("date", "time", "number")]
    before = _pattern("at", find_language(text))
    at, found = 0, before.search(text)
    while found is not None:
        at, end = found.span(1)
        end = min((start for start in starts if at <= start < end), default=end)
        words = text[at:end].split()
        if words and before.match(f"{words[-1]} ..."):
            words.pop()
        if 0 < len(words) <= _PLACE_WORDS:
            return " ".join(words)
        found = before.search(text, at)
    return ""


def is_yearly(text: str) -> bool:
    """Return whether the dates of a text come again each year."""
    return _pattern("yearly").search(text) is not None


def words_of(text: str, language: str = "") -> list[str]:
    """Return the stems of the words that tell a text from another, each once.

    ``language`` is that of the whole, where the text is a part of one.
    """
    plain, small = _GENITIVE.sub(" ", text), _small_words(language or find_language(text))
    return list(dict.fromkeys(_stem(word) for word in split_words(plain) if word not in small))


def is_small(word: str, language: str = "") -> bool:
    """Return whether a word is one that every text of a language, or of any, may have."""
    return word.casefold() in _small_words(language) or not split_words(word)


def is_light(word: str) -> bool:
    """Return whether a word never tells one name from another, wherever it stands."""
    return word.casefold() in _light_words()


def person_of(text: str) -> str:
    """Return the person that a fact is about, for "she" or "his" in the next sentence, or "".

    >>> person_of("my colleague Mara is engaged to Leo"), person_of("Lena is my niece")
    ('Mara', 'Lena')
    """
    words = subject_of(text).split() or _opening_name(text)
    if not words or "'" in words[-1] or "\u2019" in words[-1]:
        return ""
    if len(words) > 1 and words[-2][-2:] in ("'s", "\u2019s"):
        return " ".join(words)  # "Tom's sister"
    named = words[-1][:1].isupper() and words[-1][1:2].islower()
    possessed = len(words) == 2 and words[0].casefold() in ("my", "our", "mein", "meine")
    return words[-1] if named else " ".join(words) if possessed else ""


def _opening_name(text: str) -> list[str]:
    """Return "my", "neighbour" and "Piet" of a text that begins so, or the name it begins with."""
    words = text.split()[:3]
    if words and words[0].casefold() in ("my", "our") and words[-1][:1].isupper():
        return words
    return words[:1] if words and len(words[0]) > 1 and words[0][:1].isupper() else []


def names_of(text: str) -> list[str]:
    """Return the stems of the words that are written with a capital inside of a text."""
    inside = " ".join(word for word in text.split()[1:] if word[:1].isupper() and word[1:2])
    return words_of(inside)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


def is_same(one: str, other: str) -> bool:
    """Return whether two texts are the same but for case, marks and small words."""
    return _tokens(one) == _tokens(other)


def replaces(new: str, old: str) -> bool:
    """Return whether a text may say something else of what another one says it of.

    Both have one subject and differ in what is said of it, or they differ in one literal: a
    number, or a name.
    """
    if is_same(new, old):
        return False
    subjects = _subject_words(new), _subject_words(old)
    if subjects[0] and set(subjects[0]) == set(subjects[1]):
        return True
    gone = [token for token in _tokens(old) if token not in _tokens(new)]
    come = [token for token in _tokens(new) if token not in _tokens(old)]
    return len(gone) == len(come) == 1 and all(map(_is_literal(new, old), gone + come))


def says_now(text: str) -> bool:
    """Return whether a text says that something is otherwise than before."""
    return _pattern("now").search(text) is not None


def _is_literal(*texts: str) -> Any:
    """Return a test of words: whether one is a number, or is written with a capital inside."""
    names = {
        word.strip(".,;:!?\"'").casefold()
        for text in texts
        for word in text.split()[1:]
        if word[:1].isupper()
    }
    return lambda token: token in names or _NUMBER.search(token) is not None


def _tokens(text: str) -> list[str]:
    return re.findall(r"[\w@.+-]*\w", text.casefold())


def shorten(question: str, text: str, values: Sequence[Value]) -> str:
    """Return the part of a fact that answers a question, where a simple rule finds it; else "".

    A question for a time gets the one date, one for a number the one number. If the question
    asks for the subject of the fact, it gets what is said of that, unless it asks for a place or
    a person and that names none. Never anything that is not in the text.
    """
    if _pattern("when").search(question):
        return _only(text, values, ("date", "time"))
    if _pattern("many").search(question):
        return _only(text, values, ("number", "money", "percent"))
    asked, subject, rest = words_of(question), _subject_words(text), _rest_of(text)
    if not rest or not set(asked) <= set(subject) or 2 * len(asked) <= len(subject):
        return ""
    is_dated = any(value.kind in ("date", "time") for value in values)
    fits = {
        "where": not is_dated and _pattern("at", find_language(text)).match(rest),
        "who": not is_dated and any(word[:1].isupper() for word in rest.split()),
    }
    asked_for = [name for name in fits if _pattern(name).search(question)]
    return rest if all(fits[name] for name in asked_for) else ""


def _only(text: str, values: Sequence[Value], kinds: tuple[str, ...]) -> str:
    """Return the one value of some kinds with the unit behind it, or "" if there are several."""
    found = [value for value in values if value.kind == kinds[0]] or [
        value for value in values if value.kind in kinds
    ]
    if len(found) != 1:
        return ""
    end = found[0].end
    unit = next((v for v in values if v.kind == "unit" and v.start in (end, end + 1)), None)
    return text[found[0].start : unit.end if unit else end]


@cache
def _data() -> Mapping[str, Any]:
    return tomllib.loads((resources.files("bat_os.image") / "facts.toml").read_text("utf-8"))


@cache
def _light_words() -> frozenset[str]:
    return frozenset(_data()["light"].split())


@cache
def _small_words(language: str) -> frozenset[str]:
    return frozenset(_words("small", language))


def _words(name: str, language: str) -> Sequence[str]:
    """Return the words of a name in ``facts.toml``: of a language, or of all of them."""
    data = _data()[name]
    if isinstance(data, list):
        return data
    return " ".join([data[language]] if language in data else data.values()).split()


@cache
def _pattern(name: str, language: str = "") -> re.Pattern[str]:
    """Return what finds the words of a name in ``facts.toml``."""
    words = _words(name, language)
    any_word = "|".join(map(re.escape, words))
    shapes = {
        "is": rf"\s(?:{any_word}|=)(?:\s+now)?(?:\s+(?:called|named))?\s",
        "at": rf"(?<!\w)(?:{any_word})\s+([^,.;:!?]{{2,60}})",
    }
    return re.compile(shapes.get(name, rf"(?<!\w)(?:{any_word})(?!\w)"), re.IGNORECASE)
