"""The wordings of skills, and how those near a sentence are found: by words and by vectors.

    sentence > terms  > wordings by shared words  ┐
             > vector > wordings by cosine        ┴> skills, with wordings

Words weigh by their rarity among skills.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from bat_os.sentence.language import speak
from bat_os.sentence.matching import Asked, Lexicon, match
from bat_os.sentence.terms import split_sentence, stem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bat_os.sentence.matching import Match, Skill, Wording
    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.terms import Term

    Floats = NDArray[np.float32]

SKILLS: Final = 20  # that are looked at closely
WORDINGS: Final = 3  # of each of them
LIGHT: Final = 0.7  # most that a word of grammar weighs: "of" and "these" tell no skills apart
_KIND: Final = re.compile(r"\{([a-z]+)\}")
_KIND_WEIGHT: Final = 0.5


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
        base: What words weigh that another book has; this one is too small to tell.
    """

    def __init__(
        self,
        wordings: Sequence[Wording],
        vectors: Floats,
        language: str,
        base: Lexicon | None = None,
    ) -> None:
        self.wordings = tuple(wordings)
        self.vectors = vectors
        self.language = language
        self.words_of: dict[Skill, set[str]] = defaultdict(set)
        self.units_of: dict[Skill, list[Mapping[str, str]]] = defaultdict(list)
        postings: dict[str, list[int]] = defaultdict(list)
        for at, wording in enumerate(self.wordings):
            own = {_key(wording, term) for term in wording.terms}
            for key in own:
                postings[key].append(at)
            words = {key for key in own if key[0] != "{"}
            self.words_of[wording.skill] |= words
            if wording.units and wording.units not in self.units_of[wording.skill]:
                self.units_of[wording.skill].append(wording.units)
        count = Counter(word for words in self.words_of.values() for word in words)
        skills = max(len(self.words_of), 1)
        most = math.log(1 + skills) if base is None else base.most
        weights = {word: math.log(1 + skills / held) for word, held in count.items()}
        if base is not None:
            weights = dict.fromkeys(weights, most) | dict(base.weights)
        for word in speak(language).grammar:
            light = stem(word, language)
            weights[light] = min(weights.get(light, LIGHT), LIGHT)
        self.lexicon = Lexicon(weights, most)
        self._postings = {key: np.array(held, np.int32) for key, held in postings.items()}
        totals = [
            sum(weights.get(t.stem, _KIND_WEIGHT) for t in wording.terms)
            for wording in self.wordings
        ]
        self._totals = np.sqrt(np.array(totals, np.float32) + 1e-6)

    def ask(self, sentence: Sentence, vector: Floats | None) -> Asked:
        """Return a sentence as this book reads it."""
        terms = split_sentence(sentence)
        wrong = {slip.start for slip in sentence.slips}
        corrected = frozenset(term.stem for term in terms if term.start in wrong)
        return Asked(sentence, tuple(terms), corrected, vector)

    def find(self, asked: Asked, skip: frozenset[int] = frozenset()) -> list[Match]:
        """Return matches with the likeliest wordings of the likeliest skills, in no order.

        Args:
            asked: What ``ask`` returned.
            skip: Wordings to leave out, by place; for training.
        """
        begin = asked.sentence.asked
        asking = replace(asked, terms=tuple(t for t in asked.terms if t.value or t.start >= begin))
        by_words = self._rank_words(asking if begin else asked)
        cosines = np.zeros(len(self.wordings), np.float32)
        if asked.vector is not None and len(self.wordings):
            cosines = self.vectors @ asked.vector
        matches = []
        for at in self._choose(by_words, cosines, skip):
            wording = self.wordings[at]
            cosine = None if asked.vector is None else float(cosines[at])
            words = self.words_of[wording.skill]
            units = self.units_of.get(wording.skill, ())
            fit = asked
            if begin:  # words of the situation can speak for a skill, not against it
                own = (t for t in asked.terms if t.value or t.start >= begin or t.stem in words)
                fit = replace(asked, terms=tuple(own))
            matches.append(match(fit, wording, self.lexicon, words, cosine, units))
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


def _key(wording: Wording, term: Term) -> str:
    return f"{{{wording.slots[term.slot]}}}" if term.slot else term.stem
