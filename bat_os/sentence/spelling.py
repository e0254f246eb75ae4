"""Typing errors: words that a language does not have become words that commands are made of.

    "waht is teh avrage of 3, 4"  >  "what is the average of 3, 4"

A word counts as known if commands use it, if any language has it in a table, or, in English, if it
is in ``languages/words.en.txt``. Any other word becomes the nearest word of the commands: one
error apart, or two from seven letters on; of several, the one that commands use most. Exchanged
neighbours are one error, and the first letter is seldom wrong. "Gist" is no "gift": of four
letters, no wrong one is put right.

Nothing is changed in quotes, behind a colon, in paths, addresses and names, in words with digits,
or with a capital inside of the sentence. A sentence keeps what was typed beside the correction:
what fills a free slot is taken as it was typed.

``words.en.txt`` holds the whole words of the embedding model's vocabulary, frequent ones first;
``python -m bat_os.app.library`` writes it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from bat_os.method.wordings import read_wordings
from bat_os.sentence.forms import find_core, short_forms, words_of, write_out
from bat_os.sentence.language import DEFAULT, fold, languages, speak
from bat_os.sentence.literals import find_rest
from bat_os.sentence.measures import measures_in
from bat_os.sentence.reading import MAX_READ, Slip, read_sentence

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bat_os.sentence.reading import Sentence

LONG: Final = 7  # letters from which two errors are forgiven
# Letters below which only exchanged neighbours and frequent words are corrected. Of just as many, a
# wrong letter says nothing: half of the words in the English list are as near to a command's.
SHORT: Final = 4
FREQUENT: Final = 15  # wordings and forms that have a word which a short one may be meant for
# What an error costs; any other costs 1.
EXCHANGED: Final = 0.5  # two neighbours
DOUBLED: Final = 0.6  # a letter once instead of twice, or the other way round
MISSING: Final = 0.8  # a letter
FOREIGN: Final = 5  # letters of a word in a language without a word list
MOST: Final = 12  # corrections of one sentence; a text with more is in no language of ours
_LITERAL: Final = frozenset({"text", "list", "map", "path", "address", "name"})
_WORD: Final = re.compile(
    r"(?<![\w.@/\\~'\u2019-])[^\W\d_]+(?:['\u2019][^\W\d_]+)*(?![\w@/\\'\u2019-]|\.\w)"
)
_SLOT: Final = re.compile(r"\{\w+\}")
_ENDS: Final = ".?!\u2026\u00bf\u00a1"


def read_spelt(text: str, now: dt.datetime, hint: str = "") -> tuple[Sentence, Sentence]:
    """Return a sentence as it is meant and as it was typed: one and the same without errors."""
    typed = read_sentence(text, now, hint)
    begin, _ = find_core(text, typed.language)  # words behind "quick question:" are no literal
    core = read_sentence(text[begin:], now, typed.language) if begin else typed
    spans = [(v.start + begin, v.end + begin) for v in core.values if v.kind in _LITERAL]
    rest = find_rest(core.text, MAX_READ, [(v.start, v.end) for v in core.values])
    limit = min(len(text), MAX_READ, begin + rest[0] if rest else len(text))
    words = [
        found
        for found in _WORD.finditer(text, 0, limit)
        if not any(start <= found.start() < end for start, end in spans)
    ]
    language = _find_language(words, typed.language, hint)
    errors = [*_find_errors(text, words, language, begin)]
    if not errors or len(errors) > MOST:
        return typed, typed
    parts, at, shift, slips = [], 0, 0, []
    for start, end, meant in errors:
        parts += [text[at:start], meant]
        slips.append(Slip(start + shift, start + shift + len(meant), text[start:end]))
        at, shift = end, shift + len(meant) - (end - start)
    right = read_sentence("".join([*parts, text[at:]]), now, language)
    return replace(right, slips=tuple(slips)), typed


def _find_language(words: Sequence[re.Match[str]], found: str, hint: str) -> str:
    """Return the language that was found, or the expected one if that explains more words.

    An error may hide the words that tell it: "wahts 20 plus 22" has only "plus" left.
    """
    expected = hint if hint in languages() else DEFAULT
    if found == expected or not words or len(words) > MOST:
        return found
    known = {
        code: sum(fold(correct(word[0].lower(), code)) in vocabulary(code) for word in words)
        for code in (found, expected)
    }
    return max(known, key=lambda code: known[code])


def _find_errors(
    text: str, words: Iterable[re.Match[str]], language: str, begin: int
) -> Iterator[tuple[int, int, str]]:
    """Yield first character, end and correction of each word that is wrong."""
    for found in words:
        start, word = found.start(), found[0]
        begins = start == begin or text[:start].rstrip()[-1:] in _ENDS
        if not (word.islower() or (begins and word[1:].islower())):
            continue
        meant = begins and write_out(word, language)
        meant = meant or (correct(word.lower(), language) if word.isalpha() else word.lower())
        if meant != word.lower():
            yield start, found.end(), meant[0].upper() + meant[1:] if word[0].isupper() else meant


@lru_cache(maxsize=5_000)
def correct(word: str, language: str) -> str:
    """Return the word, in lower case, that was meant; the word itself if it is known.

    >>> correct("tommorow", "en"), correct("teh", "en"), correct("sister", "en")
    ('tomorrow', 'the', 'sister')
    """
    low, own = fold(word), vocabulary(language)
    if low in own or low in known_words(language) or len(low) > 20 or measures_in(low, language):
        return word
    if len(low) >= SHORT and any(low in speak(code).vocabulary for code in languages()):
        return word
    near = own.nearest(low, listed=bool(known_words(language))) or own.parted(low) or word
    return write_out(near, language) or near


class Vocabulary:
    """The words of the commands in one language, without accents.

    Attributes:
        counts: Word -> in how many wordings and forms it is.
        pairs: Neighbours in some wording.
        firsts: Words that a wording begins with.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self.counts: Counter[str] = Counter(speak(language).vocabulary)
        self.pairs: set[tuple[str, str]] = set()
        self.firsts: set[str] = set()
        self._spelt: dict[str, str] = {}  # without accents -> with them
        for wording in read_wordings(language):
            if begin := _WORD.match(wording.text.lower()):
                self.firsts.add(fold(begin[0]))
            for part in _SLOT.split(wording.text.lower()):
                words = [found[0] for found in _WORD.finditer(part)]
                self._spelt.update((fold(word), word) for word in words)
                lows = [fold(word) for word in words]
                self.counts.update(lows)
                self.pairs.update(pairwise(lows))
        self.counts.update(words_of(language))
        self.counts.update(dict.fromkeys(filter(str.isalpha, short_forms(language)), FREQUENT))
        self._by_length: dict[int, list[tuple[str, int]]] = defaultdict(list)
        for each in self.counts:
            if each.isalpha() and len(each) > 1:
                self._by_length[len(each)].append((each, _letters(each)))

    def __contains__(self, low: str) -> bool:
        return all(part in self.counts for part in low.split())

    def nearest(self, low: str, *, listed: bool) -> str:
        """Return the likeliest word near a wrong one, or "".

        Args:
            low: Folded; not a known word.
            listed: A word list says that it is wrong. Without one, it may be a word that only the
                commands do not have.
        """
        if len(low) < (2 if listed else FOREIGN):
            return ""
        most = 2 if listed and len(low) >= LONG - 1 else 1
        found = []
        for word in _near(low, most, self._by_length):
            errors = count_errors(low, word, most)
            cost = 2.0 if errors > 1 else _cost_of_error(low, word)
            if (
                errors > most
                or (low[0] != word[0] and cost not in (EXCHANGED, MISSING))
                or (errors > 1 and len(low) < LONG and len(word) <= LONG)
                or (len(low) < SHORT and not self._is_frequent(low, word, cost))
                or (cost >= 1 and len(low) == (SHORT if listed else FOREIGN))
            ):
                continue
            found.append((cost + (low[0] != word[0]), -self.counts[word], word))
        if not found:
            return ""
        cost, _, best = min(found)
        if cost >= 2 and any(_near(low, 1, _words_by_length(self.language), sure=True)):
            return ""  # another word of the language is nearer
        return self._spelt.get(best, best)

    def _is_frequent(self, low: str, word: str, cost: float) -> bool:
        """Return whether a word is said often enough that a few wrong letters can mean it."""
        if cost == EXCHANGED:
            return True
        least = FREQUENT if len(low) < len(word) else 4 * FREQUENT
        return len(low) > 2 and len(low) != len(word) and self.counts[word] >= least

    def parted(self, low: str) -> str:
        """Return two words that were written as one, "squareroot"; or ""."""
        for at in range(3, len(low) - 2):
            if (low[:at], low[at:]) in self.pairs:
                return f"{low[:at]} {low[at:]}"
        return ""


@cache
def vocabulary(language: str) -> Vocabulary:
    """Return the words of the commands in a language; made once."""
    return Vocabulary(language)


@cache
def known_words(language: str) -> frozenset[str]:
    """Return the word list of a language; empty if there is none."""
    file = resources.files("bat_os.sentence") / "languages" / f"words.{language}.txt"
    return frozenset(file.read_text(encoding="ascii").split()) if file.is_file() else frozenset()


@cache
def _words_by_length(language: str) -> Mapping[int, list[tuple[str, int]]]:
    found: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for word in known_words(language):
        found[len(word)].append((word, _letters(word)))
    return found


def _near(
    low: str, most: int, words: Mapping[int, list[tuple[str, int]]], *, sure: bool = False
) -> Iterator[str]:
    """Yield words that may be at most ``most`` errors apart; with ``sure``, only those that are."""
    letters = _letters(low)
    for length in range(len(low) - most, len(low) + most + 1):
        for word, own in words.get(length, ()):
            if (letters ^ own).bit_count() > 2 * most:
                continue
            if not sure or (low[0] == word[0] and count_errors(low, word, most) <= most):
                yield word


def _cost_of_error(wrong: str, right: str) -> float:
    """Return what the one error of a word costs.

    >>> [_cost_of_error(word, "hello") for word in ("hlelo", "helo", "hllo", "hallo")]
    [0.5, 0.6, 0.8, 1.0]
    """
    if len(wrong) == len(right):
        return EXCHANGED if sorted(wrong) == sorted(right) else 1.0
    short, long = sorted((wrong, right), key=len)
    at = next((i for i, letter in enumerate(short) if letter != long[i]), len(short))
    if at and long[at] == long[at - 1]:
        return DOUBLED
    return MISSING if long is right else 1.0


def _letters(word: str) -> int:
    """Return the letters of a word as bits, whatever their order and number."""
    bits = 0
    for letter in word:
        bits |= 1 << (ord(letter) & 31)
    return bits


def count_errors(one: str, other: str, most: int) -> int:
    """Return how many letters are wrong, missing, added or exchanged; ``most + 1`` if too many.

    >>> count_errors("avrage", "average", 2), count_errors("tiem", "time", 2)
    (1, 1)
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    above = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, known in enumerate(other, start=1):
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != known))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == known:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
        before, above = above, row
    return above[-1]
