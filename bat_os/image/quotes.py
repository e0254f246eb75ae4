"""Which sentence of a passage answers a question: by its words, and by what is asked for. Pure.

    "when does the registration close?"    "Registration closes on 30 May."    a date, and its words
    "how much sugar goes into the tart?"   "Whisk the eggs with the sugar."    no: it has no number

A question's words may stand in the title and the headings above a sentence, but some have to
stand in the sentence itself. Every number and every name of a question has to be found. What is
quoted is always a part of the passage.
"""

from __future__ import annotations

import math
import re
import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.image.facts import is_small
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.terms import base_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bat_os.sentence.reading import Value

LIGHT: Final = 0.25  # weight of a word that answers often leave out
OPENING: Final = 4  # words in which a question word stands
EVERY: Final = 0.95
MOST_WORDS: Final = 30  # of a question
COVERED: Final = 0.6  # part of the words outside of the title that a sentence needs
LIKE: Final = 0.51  # the same for a sentence whose meaning is near the question's
NEAR: Final = 0.2  # cosine that any answer has
NEAR_TITLE: Final = 0.4  # of one whose question has no word but those of the title
SAME: Final = 0.8  # of two questions that ask the same
SURE: Final = 0.55  # of one that has a smaller part of the words, or none of its own
_HEADING_WORDS: Final = 8
_HEADING_CHARS: Final = 60
_BEHIND: Final = 3  # words behind a number in which the thing that is counted stands
_WORD: Final = re.compile(r"[^\W_]+")
_LINE: Final = re.compile(r"[-*\u2022|]|\d{1,3}[.)]\s|[^\W\d][\w ]{0,30}:\s")
_BULLET: Final = re.compile(r"\A[\s\-*\u2022#|>]+|[\s|;]+\Z")
_PART: Final = re.compile(r"(?:[^,;:]|[,;:](?=\d))+")
_YEAR: Final = re.compile(r"\b1\d{3}\b|\b20\d\d\b")
_CLAUSE: Final = re.compile(r"(?<=;)\s+")
_CLOSED: Final = re.compile(r"[.!?:;,\u2026][\"')\]\u201d\u00bb]*\Z")


@dataclass(frozen=True, slots=True)
class Question:
    """What a question is made of.

    Attributes:
        words: Stem -> how much it tells.
        names: Stems of the words with a capital, and the numbers: all have to be found.
        asks: Names of ``[asks]`` in the data.
        counted: Stem of the thing behind "how many", or "".
    """

    words: Mapping[str, float]
    names: frozenset[str]
    asks: tuple[str, ...]
    counted: str
    language: str
    is_question: bool  # by its mark or its first words; else every word has to be found


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence of a passage with the words around it that say what it is about."""

    text: str
    context: str  # title, heading, the sentence that opens the text, the one that a pronoun means


def ask(text: str, language: str = "en") -> Question:
    """Return the words of a question and what it asks for."""
    low = f" {' '.join(_WORD.findall(text.casefold()))} "
    asks = tuple(name for name, data in _asks().items() if _has(low, data["words"]))
    asks = tuple(name for name in asks if _has(low, _asks()[name].get("with", ("",))))
    if len(asks) > 1:  # "how much does it cost": money, not any number
        asks = tuple(name for name in asks if name != "many")
    spoken = {word for name in asks for phrase in _asks()[name]["words"] for word in phrase.split()}
    said = _WORD.findall(text)[:MOST_WORDS]
    words: dict[str, float] = {}
    names = set()
    for at, word in enumerate(said):
        if is_small(word, language) or word.casefold() in spoken or (not at and _is_misspelt(word)):
            continue
        root = base_of(word, language)
        words[root] = LIGHT if _is_light(word) else 1.0
        if word.isdigit() or (at and word[:1].isupper() and word[1:2] and language != "de"):
            names.add(root)
    asking = text.rstrip().endswith("?") or bool(_set("question") & set(low.split()[:OPENING]))
    counted = _counted(low, words, language)
    return Question(words, frozenset(names), asks, counted, language, asking)


def chosen_by(text: str) -> str:
    """Return what a question chooses things by, its last word; "" if it chooses none.

    >>> chosen_by("Which of them are still unpaid?"), chosen_by("How many are unpaid?")
    ('unpaid', '')
    """
    said = _WORD.findall(text)
    if len(said) < 2 or said[0].casefold() not in _set("choosing") or is_small(said[-1]):
        return ""
    return str(said[-1])


def _is_misspelt(word: str) -> bool:
    """Return whether the first word of a question is a question word with one error."""
    known = (w for data in _asks().values() for phrase in data["words"] for w in phrase.split()[:1])
    return len(word) > 3 and any(_likeness(word.casefold(), other, 4) for other in known)


def _counted(low: str, words: Mapping[str, float], language: str) -> str:
    for phrase in _asks()["many"]["words"]:
        _, found, behind = low.partition(f" {phrase} ")
        thing = base_of(behind.split()[0], language) if found and behind.split() else ""
        if thing in words:
            return thing
    return ""


def lines_of(title: str, passage: str, sentences: Iterable[str]) -> Iterator[Line]:
    """Yield the sentences of a passage without headings, each with what it is about."""
    heading, opening, before = "", "", ""
    for sentence in sentences:
        for text in (part for line in _split_lines(sentence) for part in _CLAUSE.split(line)):
            bare = _BULLET.sub("", text)
            if not bare or bare not in passage:
                continue
            if _is_heading(text):
                heading, opening = bare, ""
                continue
            first = _WORD.search(bare.casefold())
            goes_on = first is not None and first[0] in _set("pronoun")
            yield Line(bare, f"{title} {heading} {opening} {before if goes_on else ''}")
            before, opening = bare, opening or bare


def _split_lines(sentence: str) -> Iterator[str]:
    """Yield a sentence in the lines that are apart: headings, items, labels, rows."""
    held = ""
    for line in sentence.split("\n"):
        item = _LINE.match(held) is not None and line.strip()[:1].isupper()
        if held and (_LINE.match(line.strip()) or _is_heading(held) or item):
            yield held
            held = line.strip()
        else:
            held = f"{held}\n{line.strip()}" if held else line.strip()
    yield held


def _is_heading(text: str) -> bool:
    """Return whether a line is a heading: short, and it ends as no sentence does."""
    if text.startswith("#"):
        return True
    short = len(text) <= _HEADING_CHARS and len(text.split()) <= _HEADING_WORDS
    return short and not _LINE.match(text) and not _CLOSED.search(text) and "\n" not in text


def weigh(question: Question, lines: Sequence[Line]) -> dict[str, float]:
    """Return how much each word of the question tells: what many lines have tells little."""
    has = [set(_stems(line.text, question.language)) for line in lines]
    weights = {}
    for word, weight in question.words.items():
        count = sum(any(_is_like(word, other) for other in stems) for stems in has)
        weights[word] = weight * math.log(2 + len(lines) / (1 + count))
    return weights


@dataclass(frozen=True, slots=True)
class Match:
    """How well a line answers, before its meaning is looked at."""

    covered: float  # part of the words outside of title and headings that the line has, 0 to 1
    whole: float  # part of all words that the line or what is above it has
    own: float  # part of all words that the line itself has
    all_above: bool  # title and headings have all words


def match(question: Question, line: Line, weights: Mapping[str, float]) -> Match | None:
    """Return how well the words of a line answer a question; None if it surely does not."""
    stems = _stems(line.text, question.language)
    above = _stems(line.context, question.language)
    own = {word: _best(word, stems) for word in weights}
    held = {word: _best(word, above) for word in weights}
    if any(max(own.get(name, 0), held.get(name, 0)) == 0 for name in question.names):
        return None
    heavy = {word: weight for word, weight in weights.items() if question.words[word] > LIGHT}
    rest = {word: weight for word, weight in (heavy or weights).items() if not held[word]}
    total = sum(weights.values())
    if not total or (rest and not any(own.values())):
        return None
    plain = rest.keys() - question.names
    if plain and not any(own[word] for word in plain):
        return None  # names alone do not say what is asked about them
    covered = _share(rest, own) if rest else 0.0
    whole = _share(weights, {word: max(own[word], held[word]) for word in weights})
    if not question.is_question and whole < EVERY:
        return None
    return Match(covered, whole, _share(weights, own), all_above=not rest)


def _share(weights: Mapping[str, float], found: Mapping[str, float]) -> float:
    return sum(weight * found[word] for word, weight in weights.items()) / sum(weights.values())


def is_answer(found: Match, cosine: float) -> bool:
    """Return whether a line is near enough, by its words and by its meaning."""
    if found.all_above:
        return cosine >= (NEAR_TITLE if found.own else SURE)
    return found.covered >= (LIKE if cosine >= SURE else COVERED) and cosine >= NEAR


def covers(question: Question, pair: str) -> bool:
    """Return whether a pair, its question and its answer, has the words of a question."""
    stems = _stems(pair, question.language)
    found = {word: _best(word, stems) for word in question.words}
    named = all(found[name] for name in question.names)
    return named and _share(question.words, found) >= COVERED


def has_answer(question: Question, line: Line, now: dt.datetime) -> bool:
    """Return whether a line has what the question asks for: a time, a number, a name, a place.

    What the question says itself does not count.
    """
    if not question.asks:
        return True
    values = list(_read_values(line.text, now, question.language))
    return all(_has_kind(name, question, line, values) for name in question.asks)


def _read_values(text: str, now: dt.datetime, language: str) -> Iterator[Value]:
    """Yield the values of a line, read between its commas, which make no list of them."""
    for part in _PART.finditer(text):
        for value in read_sentence(part[0], now, language).values:
            start, end = part.start() + value.start, part.start() + value.end
            yield replace(value, start=start, end=end)


def _has_kind(name: str, question: Question, line: Line, values: Sequence[Value]) -> bool:
    data, language = _asks()[name], question.language
    fresh = [value for value in values if base_of(value.text, language) not in question.words]
    if name == "many" and question.counted:
        return _is_counted(question, line, fresh)
    kinds, units = data.get("kinds", ()), data.get("units", "").split()
    words = [w for w in _WORD.findall(line.text) if base_of(w, language) not in question.words]
    names = {*data.get("names", "").split(), *data.get("before", "").split()}
    return (
        any(value.kind in kinds or _unit_of(value) in units for value in fresh)
        or ("date" in kinds and _YEAR.search(line.text) is not None)
        or any(word.casefold() in names for word in words)
        or (name == "who" and any(map(_is_name, words)))
    )


def _is_name(word: str) -> bool:
    return word[:1].isupper() and word[1:2] != "" and not is_small(word)


def _unit_of(value: Value) -> str:
    return str(value.value).partition("/")[0].casefold() if value.kind == "unit" else "-"


def _is_counted(question: Question, line: Line, values: Sequence[Value]) -> bool:
    """Return whether a number stands by what is counted, or that is not named at all."""
    numbers = [value for value in values if value.kind in ("number", "money", "percent")]
    places = [
        found.start()
        for found in _WORD.finditer(line.text)
        if _is_like(question.counted, base_of(found[0], question.language))
    ]
    if not places:
        return bool(numbers)
    for value in numbers:
        behind = [line.text[value.end : at] for at in places if at >= value.end]
        if any(len(between.split()) <= _BEHIND for between in behind):
            return True
        before = [line.text[at : value.start] for at in places if at < value.start]
        if any(re.fullmatch(r"\w+\s*:\s*", between) for between in before):
            return True
    return False


def _stems(text: str, language: str) -> list[str]:
    return [base_of(word, language) for word in _WORD.findall(text)[:200]]


def _best(word: str, stems: Iterable[str]) -> float:
    return max((_likeness(word, other) for other in stems), default=0.0)


def _is_like(word: str, other: str) -> bool:
    return _likeness(word, other) > 0


def _likeness(word: str, other: str, least: int = 5) -> float:
    """Return 1 for the same word, less for one of its kind or with a small error, else 0."""
    if word == other:
        return 1.0
    short, long = sorted((word, other), key=len)
    if len(short) < 4 or word.isdigit() or other.isdigit():
        return 0.0
    if len(short) >= 5 and long.startswith(short) and len(long) - len(short) <= 4:
        return 0.9
    if len(short) >= least and len(long) - len(short) <= 1 and is_one_slip(short, long):
        return 0.8
    return 0.0


@cache
def is_one_slip(short: str, long: str) -> bool:
    """Return whether two words differ in one letter: left out, wrong, or two of them swapped.

    >>> is_one_slip("kichen", "kitchen"), is_one_slip("wrok", "work"), is_one_slip("cat", "dog")
    (True, True, False)
    """
    at = next((i for i, pair in enumerate(zip(short, long, strict=False)) if pair[0] != pair[1]),
              len(short))  # fmt: skip
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at + 1 : at + 2] + short[at : at + 1] + short[at + 2 :]
    return short[at + 1 :] == long[at + 1 :] or swapped == long[at:]


def _has(low: str, phrases: Iterable[str]) -> bool:
    return any(not phrase or f" {phrase} " in low for phrase in phrases)


def _is_light(word: str) -> bool:
    return word.casefold() in _set("light")


@cache
def _set(name: str) -> frozenset[str]:
    return frozenset(_data()[name].split())


def _asks() -> Mapping[str, Any]:
    asks: Mapping[str, Any] = _data()["asks"]
    return asks


@cache
def _data() -> Mapping[str, Any]:
    text = (resources.files("bat_os.image") / "quotes.toml").read_text("utf-8")
    return tomllib.loads(text.casefold())  # as questions are compared: "groß" is "gross"
