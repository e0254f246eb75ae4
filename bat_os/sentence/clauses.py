"""Sentences of several clauses: the last one asks, and those before it give values.

    "The bill is 84 euros and we are 4. How much does each pay?"
     {money} {number}                   how much does each pay

Only the words that ask have to fit a skill. Those of the situation can speak for one, and never
against it: nobody has a wording for every bill, trip and recipe.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bat_os.sentence.forms import find_core
from bat_os.sentence.language import fold, speak
from bat_os.sentence.literals import FENCE
from bat_os.sentence.reading import MAX_READ, Sentence, mask, read_sentence
from bat_os.sentence.spelling import vocabulary

if TYPE_CHECKING:
    import datetime as dt

_BREAK: Final = re.compile(
    r"(?<=[^\s.?!;])(?P<mark>[.?!;]+\s+|\n\s*|,\s+|\s[-\u2013\u2014]\s+)(?=\S)"
)
_END: Final = " .?!"
_WORD: Final = re.compile(r"[^\W\d_]+")


def read_clauses(sentence: Sentence, now: dt.datetime) -> Sentence | None:
    """Return a sentence whose last clause asks about values of the others; None for any other.

    Its ``asked`` is where that clause begins, and ``masked`` is the clause with the values that the
    situation gives behind it.
    """
    text = sentence.text
    if len(text) > MAX_READ:
        return None
    breaks = [
        found
        for found in _BREAK.finditer(text)
        if not any(v.start <= found.start() < v.end and v.kind == "text" for v in sentence.values)
    ]
    for found in reversed(breaks):
        begin = found.end() + _joined(text[found.end() :], sentence.language)
        if not _asks(text[begin:], sentence.language, after_comma=found["mark"][0] in ", -"):
            continue
        given = read_sentence(text[: found.start()], now, sentence.language).values
        if not any(value.kind != "name" for value in given):
            return None
        asked = read_sentence(text[begin:], now, sentence.language)
        moved = [replace(v, start=v.start + begin, end=v.end + begin) for v in asked.values]
        kinds = " ".join(f"{{{value.kind}}}" for value in given)
        masked = f"{mask(asked.text, asked.values)} {kinds}"
        return replace(sentence, values=(*given, *moved), masked=masked, asked=begin)
    return None


def ask_first(text: str, language: str) -> str:
    """Return a text with its last line first, if that line asks about those above; else "".

    Those stand fenced behind it, as one text. Lines that begin with a question are below it
    already, and those behind a colon are what is asked to be done with.
    """
    above, _, last = map(str.strip, text.strip().rpartition("\n"))
    first = above.partition("\n")[0]
    if not above or FENCE in text or first.endswith((":", "?")) or _is_question(first, language):
        return ""
    if not (last.endswith("?") or _is_question(last, language)):
        return ""
    return f"{last.rstrip(_END)}: {FENCE}{above}{FENCE}"


def _is_question(line: str, language: str) -> bool:
    """Return whether a line begins with a word that asks."""
    word = _WORD.search(line)
    return word is not None and is_asking(word[0], language)


def is_asking(word: str, language: str) -> bool:
    """Return whether a word begins questions: "what", "how", "can"."""
    return fold(word) in speak(language).phrases("clauses", "asks")


def tells(sentence: Sentence) -> bool:
    """Return whether a sentence only tells something: no word of it asks, and it orders nothing.

    >>> from bat_os.sentence.reading import Sentence
    >>> tells(Sentence("had a cup of coffee", "en", (), ""))
    True
    >>> tells(Sentence("coffee for how many cups", "en", (), ""))
    False
    """
    language, text = sentence.language, sentence.text
    asks = any(is_asking(word, language) for word in _WORD.findall(text))
    if sentence.asked or "?" in text or asks:
        return False
    first = _WORD.match(text, find_core(text, language)[0])
    return first is not None and fold(first[0]) not in vocabulary(language).firsts


def _joined(text: str, language: str) -> int:
    """Return how many characters of a clause only join it to the one before: "and", "so"."""
    joiners = speak(language).phrases("lists", "joiners")
    word = _WORD.match(text)
    start = 0
    if word and fold(word[0]) in joiners:
        start = word.end() + len(text[word.end() :]) - len(text[word.end() :].lstrip(" ,"))
    return start + find_core(text[start:], language)[0]


def _asks(clause: str, language: str, *, after_comma: bool) -> bool:
    """Return whether a clause begins as a question or, behind the end of a sentence, an order."""
    word = _WORD.match(clause)
    if word is None:
        return False
    if is_asking(word[0], language):
        return True
    return not after_comma and fold(word[0]) in vocabulary(language).firsts
