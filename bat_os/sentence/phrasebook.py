"""The wordings of skills, and how those near a sentence are found: by words and by vectors.

    sentence > terms, misspelt words corrected > wordings by shared words  ┐
             > vector                          > wordings by cosine        ┴> skills, with wordings

Words weigh by their rarity among skills. A word that no wording has is compared with those that
have letters in common with it; one that differs by a single error, or by two if it is long, is
taken for it.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from bat_os.sentence.matching import Asked, Lexicon, match
from bat_os.sentence.terms import split_sentence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bat_os.sentence.matching import Match, Skill, Wording
    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.terms import Term

    Floats = NDArray[np.float32]

SKILLS: Final = 20  # that are looked at closely
WORDINGS: Final = 3  # of each of them
_KIND: Final = re.compile(r"\{([a-z]+)\}")
_KIND_WEIGHT: Final = 0.5
_LONG: Final = 8  # letters from which two errors are forgiven
_SHORT: Final = 4  # letters below which none is
_NEAREST: Final = 12  # words whose spelling is compared


def as_embedded(masked: str) -> str:
    """Return a masked text as it is embedded: kinds are plain words.

    >>> as_embedded("what is {percent} of {number}")
    'what is percent of number'
    """
    return _KIND.sub(r"\1", masked)


class Phrasebook:
    """Wordings in one language, with an index of their words and their vectors.

    Args:
        wordings: Of any number of skills.
        vectors: ``(n, d)``, rows of length 1; rows of zeros where one is not known.
        language: Code of ISO 639-1.
        swaps: As ``Lexicon`` has them.
        base: What words weigh that another book has; this one is too small to tell.
    """

    def __init__(
        self,
        wordings: Sequence[Wording],
        vectors: Floats,
        language: str,
        swaps: Mapping[tuple[str, str], float] | None = None,
        base: Lexicon | None = None,
    ) -> None:
        self.wordings = tuple(wordings)
        self.vectors = vectors
        self.language = language
        self.words_of: dict[Skill, set[str]] = defaultdict(set)
        postings: dict[str, list[int]] = defaultdict(list)
        for at, wording in enumerate(self.wordings):
            own = {_key(wording, term) for term in wording.terms}
            for key in own:
                postings[key].append(at)
            words = {key for key in own if key[0] != "{"}
            self.words_of[wording.skill] |= words
        count = Counter(word for words in self.words_of.values() for word in words)
        skills = max(len(self.words_of), 1)
        most = math.log(1 + skills) if base is None else base.most
        weights = {word: math.log(1 + skills / held) for word, held in count.items()}
        if base is not None:
            weights = dict.fromkeys(weights, most) | dict(base.weights)
        self.lexicon = Lexicon(weights, most, swaps or {})
        self._postings = {key: np.array(held, np.int32) for key, held in postings.items()}
        totals = [
            sum(weights.get(t.stem, _KIND_WEIGHT) for t in wording.terms)
            for wording in self.wordings
        ]
        self._totals = np.sqrt(np.array(totals, np.float32) + 1e-6)

    def ask(self, sentence: Sentence, vector: Floats | None) -> Asked:
        """Return a sentence as this book reads it."""
        terms, corrected = [], set()
        for term in split_sentence(sentence):
            better = term.stem if term.value else self.correct(term.stem)
            if better != term.stem:
                corrected.add(better)
            terms.append(replace(term, stem=better))
        return Asked(sentence, tuple(terms), frozenset(corrected), vector)

    def find(self, asked: Asked, skip: frozenset[int] = frozenset()) -> list[Match]:
        """Return matches with the likeliest wordings of the likeliest skills, in no order.

        Args:
            asked: What ``ask`` returned.
            skip: Wordings to leave out, by place; for training.
        """
        by_words = self._rank_words(asked)
        cosines = np.zeros(len(self.wordings), np.float32)
        if asked.vector is not None and len(self.wordings):
            cosines = self.vectors @ asked.vector
        matches = []
        for at in self._choose(by_words, cosines, skip):
            wording = self.wordings[at]
            cosine = None if asked.vector is None else float(cosines[at])
            words = self.words_of[wording.skill]
            matches.append(match(asked, wording, self.lexicon, words, cosine))
        return matches

    def _rank_words(self, asked: Asked) -> Floats:
        scores = np.zeros(len(self.wordings), np.float32)
        total = 0.0
        for key in {term.stem for term in asked.terms}:
            weight = _KIND_WEIGHT if key[0] == "{" else self.lexicon.weigh(key)
            total += weight
            held = self._postings.get(key)
            if held is not None:
                scores[held] += weight
        shared: Floats = scores / (self._totals * np.float32(math.sqrt(total + 1e-6)))
        return shared

    def _choose(self, words: Floats, cosines: Floats, skip: frozenset[int]) -> list[int]:
        """Return the places of wordings to match: the best by words, by vector, and by both."""
        chosen: dict[Skill, list[int]] = {}
        both = words + cosines
        depth = min(len(both), 120)
        for scores, most in ((both, SKILLS - 8), (words, SKILLS - 4), (cosines, SKILLS)):
            order = np.argpartition(-scores, depth - 1)[:depth] if depth else np.zeros(0, np.int64)
            for at in order[np.argsort(-scores[order], kind="stable")].tolist():
                if at in skip or scores[at] <= 0:
                    continue
                skill = self.wordings[at].skill
                if skill not in chosen and len(chosen) >= most:
                    continue
                held = chosen.setdefault(skill, [])
                if at not in held and len(held) < WORDINGS:
                    held.append(at)
        return [at for held in chosen.values() for at in held]

    def correct(self, word: str) -> str:
        """Return the word of a wording that a misspelt one was meant for, or the word itself."""
        if len(word) < _SHORT or word in self.lexicon.weights or not word.isalpha():
            return word
        counts: Counter[str] = Counter()
        for pair in _letter_pairs(word):
            counts.update(self._by_letters.get(pair, ()))
        most = 2 if len(word) >= _LONG else 1
        near = [
            (distance, known)
            for known, _ in counts.most_common(_NEAREST)
            if (distance := count_errors(word, known, most)) <= most
        ]
        near.sort()
        unsure = len(near) > 1 and near[0][0] == near[1][0]
        return word if not near or unsure else near[0][1]

    @cached_property
    def _by_letters(self) -> Mapping[str, Sequence[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for word in self.lexicon.weights:
            if len(word) >= _SHORT and word.isalpha():
                for pair in _letter_pairs(word):
                    found[pair].append(word)
        return found


def _key(wording: Wording, term: Term) -> str:
    return f"{{{wording.slots[term.slot]}}}" if term.slot else term.stem


def _letter_pairs(word: str) -> set[str]:
    framed = f" {word} "
    return {framed[at : at + 2] for at in range(len(framed) - 1)}


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
