"""A sentence against one wording of a skill: which value fills which slot, and how well they agree.

    align     the longest common run of terms in order, rare words before frequent ones, slots with
              values of their kind:       what is {percent} of {number}
                                          what is 17%       of 340
    bind      values that are left, to slots that are left, whatever their order
    take      the words between two aligned ones, for a free slot of kind text or name
    measure   FEATURES, which ``bat_os.sentence.scoring`` weighs

Pure: words, kinds and places only. Nothing is decided here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.sentence.fitting import (
    FITS,
    FREE,
    convert,
    cost_of,
    find_left,
    find_telling,
    lacks_period,
)  # fmt: skip
from bat_os.sentence.quantities import in_unit, measure_alike
from bat_os.sentence.terms import split_wording
from bat_os.sentence.values import Value, lies_outside

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.method.shelf import Parameter
    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.terms import Term

OWN: Final = ("money", "percent")  # kinds that tell which of several numbers is meant
MIN_SPREAD: Final = 2  # slots that the numbers of a list may fill
SLOT_WEIGHT: Final = 2.0  # of an aligned value, beside words of up to some 7
FEATURES: Final = (
    "cosine", "said", "worded", "bag", "foreign", "strange", "order", "pairs", "exact", "missing",
    "unused", "cost", "crossed", "free", "free_share", "evidence", "first", "corrected", "other",
    "language", "literal", "bare", "blind", "learned",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Skill:
    """A method that a sentence may mean."""

    target: str
    selector: str
    parameters: tuple[Parameter, ...]
    status: str = "shipped"


@dataclass(frozen=True)
class Wording:
    """One way to ask for a skill."""

    skill: Skill
    text: str  # "what is {percent} of {number}"
    language: str
    slots: Mapping[str, str]  # parameter -> kind
    fixed: Mapping[str, Any]  # parameters that the words themselves give a value
    terms: tuple[Term, ...]

    @classmethod
    def make(
        cls,
        skill: Skill,
        text: str,
        language: str,
        slots: Mapping[str, str],
        fixed: Mapping[str, Any],
    ) -> Wording:
        """Return a wording with its terms."""
        return cls(skill, text, language, slots, fixed, tuple(split_wording(text, language)))

    @cached_property
    def units(self) -> Mapping[str, str]:
        """The units behind slots: slot -> unit."""
        return {
            one.slot: other.unit for one, other in pairwise(self.terms) if one.slot and other.unit
        }

    @property
    def masked(self) -> str:
        """The text with kinds for slots: ``what is {percent} of {number}``."""
        text = self.text
        for name, kind in self.slots.items():
            text = text.replace(f"{{{name}}}", f"{{{kind}}}")
        return text


@dataclass(frozen=True)
class Lexicon:
    """What the words of the wordings weigh, in one language.

    A word's weight grows with its rarity: log(skills / skills that have it).
    """

    weights: Mapping[str, float]  # stem -> weight
    most: float  # weight of a word that no wording has

    def weigh(self, stem: str) -> float:
        """Return the weight of a word."""
        return self.weights.get(stem, self.most)


@dataclass(frozen=True, slots=True)
class Asked:
    """A sentence as it is compared."""

    sentence: Sentence
    terms: tuple[Term, ...]
    corrected: frozenset[str]  # stems that a spelling step has put in
    vector: NDArray[np.float32] | None  # of the masked text, as it is embedded


@dataclass(frozen=True, slots=True)
class Match:
    """How a sentence fits a wording."""

    wording: Wording
    filled: Mapping[str, Any]  # parameter -> value, fixed ones included
    features: tuple[float, ...]  # as FEATURES names them
    left: tuple[str, ...] = ()  # what was said that changes the meaning, and is not read

    def call(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return positional and named arguments, in the order of the signature."""
        args: list[Any] = []
        rest = list(self.wording.skill.parameters)
        while rest and rest[0].name in self.filled:
            args.append(self.filled[rest.pop(0).name])
        return tuple(args), {p.name: self.filled[p.name] for p in rest if p.name in self.filled}


class _Alignment:
    """One sentence against one wording, step by step."""

    def __init__(
        self, asked: Asked, wording: Wording, lexicon: Lexicon, units: Sequence[Mapping[str, str]]
    ) -> None:
        self.said = _spread(asked.terms, wording)
        self.sentence = asked.sentence
        self.wording = wording
        self.lexicon = lexicon
        self.filled: dict[str, Any] = {}
        self.said_units: dict[str, str] = {}  # slot -> unit of the number that fills it
        self.cost = 0.0
        self.crossed = 0
        self.taken: set[int] = set()  # terms of the sentence that serve something
        self.free: list[int] = []  # those that fill a free slot
        self.measured: set[int] = set()  # units that numbers are converted from
        self.strict = _strict_kinds(self.said, wording)
        self.pairs = self._align()
        self._fill()
        self._cross()
        self._bind()
        self._convert_units(units)
        self._take()
        self.filled |= wording.fixed

    def _score(self, said: Term, worded: Term) -> float:
        if said.value is not None:
            if worded.unit and said.value.kind == "unit":
                alike = measure_alike(said.value.value, worded.unit)
                same = said.value.value == worded.unit
                return (same or 0.7 * bool(alike)) * (1.0 + self.lexicon.weigh(worded.stem))
            spoken = said.value.text.strip().lower()
            literal = self.wording.text[worded.start : worded.end]
            return 1.0 + self.lexicon.weigh(worded.stem) if _same(spoken, literal) else 0.0
        return 0.5 + self.lexicon.weigh(worded.stem) if said.stem == worded.stem else 0.0

    def _slot_score(self, i: int, j: int) -> float:
        cost, value = self._cost(i, j), self.said[i].value
        later = 0.01 * j if value and value.kind == "text" and "\n" in value.text else 0.0
        return 0.0 if cost is None else SLOT_WEIGHT - cost + later  # a table is said last

    def _cost(self, i: int, j: int) -> float | None:
        """Return what it costs to fill the slot at ``j`` with the value at ``i``."""
        value, slot = self.said[i].value, self.wording.terms[j].slot
        if value is None:
            return None
        said, worded = self._unit_said(i), self._unit_worded(j)
        if said and worded and measure_alike(said, worded) is False:
            return None  # 3 hours are no weight
        kind = self.wording.slots[slot]
        if kind != value.kind and not self.strict.isdisjoint((kind, value.kind)):
            return None  # 84 euros are no number of people
        if kind == "text" and self.wording.skill.status != "shipped" and lies_outside(value):
            return FITS["text"]["name"]  # a person who teaches a method knows what it takes
        return cost_of(kind, value)

    def _unit_said(self, i: int) -> str:
        behind = self.said[i + 1].value if i + 1 < len(self.said) else None
        return str(behind.value) if behind is not None and behind.kind == "unit" else ""

    def _unit_worded(self, j: int) -> str:
        terms = self.wording.terms
        return terms[j + 1].unit if j + 1 < len(terms) else ""

    def _align(self) -> list[tuple[int, int]]:
        """Return aligned (term of the sentence, term of the wording), both ascending."""
        rows, columns = self.said, self.wording.terms
        best = [[0.0] * (len(columns) + 1) for _ in range(len(rows) + 1)]
        scores = [
            [
                self._slot_score(i, j) if worded.slot else self._score(said, worded)
                for j, worded in enumerate(columns)
            ]
            for i, said in enumerate(rows)
        ]
        for i in range(len(rows) - 1, -1, -1):
            below, here, own = best[i + 1], best[i], scores[i]
            for j in range(len(columns) - 1, -1, -1):
                skip = max(below[j], here[j + 1])
                here[j] = max(skip, below[j + 1] + own[j]) if own[j] else skip
        pairs, i, j = [], 0, 0
        while i < len(rows) and j < len(columns):
            if scores[i][j] and best[i][j] == best[i + 1][j + 1] + scores[i][j]:
                pairs.append((i, j))
                i, j = i + 1, j + 1
            elif best[i][j] == best[i + 1][j]:
                i += 1
            else:
                j += 1
        return pairs

    def _fill(self) -> None:
        for i, j in self.pairs:
            self.taken.add(i)
            slot, value = self.wording.terms[j].slot, self.said[i].value
            if slot and value is not None:
                self._give(i, j, value)

    def _cross(self) -> None:
        """Give two values of a kind each other's slot if the words before them say so.

        "What percentage of 80 is 20" has the "of" and the "is" of "is {part} of {whole}".
        """
        filled = [(i, self.wording.terms[j].slot, j) for i, j in self.pairs]
        filled = [each for each in filled if each[1] in self.filled.keys() - self.said_units]
        for (i, one, j), (k, two, m) in pairwise(filled):
            crossed = self._is_behind(i, m) and self._is_behind(k, j)
            alike = self.said[i].stem == self.said[k].stem
            alike = alike and self.wording.slots[one] == self.wording.slots[two]
            if alike and crossed and not (self._is_behind(i, j) or self._is_behind(k, m)):
                self.filled[one], self.filled[two] = self.filled[two], self.filled[one]

    def _is_behind(self, i: int, j: int) -> bool:
        """Return whether the word before a value is the one before a slot."""
        return bool(i and j) and self.said[i - 1].stem == self.wording.terms[j - 1].stem

    def _give(self, i: int, j: int, value: Value) -> None:
        """Fill a slot, and keep the unit of its number."""
        slot = self.wording.terms[j].slot
        try:
            given = convert(self.wording.slots[slot], value)
        except ArgumentsError:
            return
        if self._unit_worded(j) and (said := self._unit_said(i)):
            self.said_units[slot] = said
            self.measured.add(i + 1)
        self.filled[slot] = given
        self.cost += self._cost(i, j) or 0.0

    def _convert_units(self, known: Sequence[Mapping[str, str]]) -> None:
        """Give numbers in the units of the wording of the skill that names most of those said."""
        said = self.said_units
        own = self.wording.units
        fit = [each for each in (own, *known) if said.keys() <= each.keys()]
        best = max(fit, key=lambda each: sum(each[slot] == unit for slot, unit in said.items()))
        for slot, unit in said.items():
            if isinstance(self.filled[slot], int | float):
                self.filled[slot] = in_unit(self.filled[slot], unit, best[slot])

    def _open_slots(self) -> list[tuple[int, str]]:
        return [
            (j, term.slot)
            for j, term in enumerate(self.wording.terms)
            if term.slot and term.slot not in self.filled
        ]

    def _bind(self) -> None:
        """Give values that are left to slots that are left, the best pair first."""
        offers = []
        for j, slot in self._open_slots():
            for i, said in enumerate(self.said):
                if i in self.taken or said.value is None:
                    continue
                cost = self._cost(i, j)
                if cost is not None:
                    offers.append((cost - self._beside(i, j), i, slot, j))
        for _, i, slot, j in sorted(offers):
            if i not in self.taken and slot not in self.filled:
                value = self.said[i].value
                if value is not None:
                    self._give(i, j, value)
                    self.taken.add(i)
                    self.crossed += 1

    def _beside(self, i: int, j: int) -> float:
        """Return how many of the two neighbours are the same word."""
        terms = self.wording.terms
        before = self._is_behind(i, j)
        after = i + 1 < len(self.said) and j + 1 < len(terms)
        return 0.5 * (before + bool(after and self.said[i + 1].stem == terms[j + 1].stem))

    def _take(self) -> None:
        """Let the words between two aligned terms fill a free slot."""
        for j, slot in self._open_slots():
            if self.wording.slots[slot] not in FREE:
                continue
            at = {b: a for a, b in self.pairs}
            last = len(self.wording.terms) - 1
            if (j and j - 1 not in at) or (j < last and j + 1 not in at):
                continue
            start = at[j - 1] + 1 if j else 0
            stop = at[j + 1] if j < last else len(self.said)
            span = [i for i in range(start, stop) if i not in self.taken]
            if not span or len(span) < stop - start or any(map(self._is_outside, span)):
                continue
            self.filled[slot] = self.sentence.as_typed(
                self.said[start].start, self.said[stop - 1].end
            )
            self.taken.update(span)
            self.free += span

    def _is_outside(self, i: int) -> bool:
        value = self.said[i].value
        return value is not None and lies_outside(value)


def _strict_kinds(said: Sequence[Term], wording: Wording) -> frozenset[str]:
    """Return the kinds that have as many values in the sentence as slots in the wording.

    Then each takes its own: "there are 4 of us and the bill is 84 euros", in whatever order.
    """
    slots = list(wording.slots.values())
    values = [term.value.kind for term in said if term.value is not None]
    return frozenset(kind for kind in OWN if 0 < values.count(kind) == slots.count(kind))


def _spread(said: Sequence[Term], wording: Wording) -> Sequence[Term]:
    """Return the terms with a list of numbers as several, if a wording has as many slots for them.

    "volume of a box: 80, 35 and 40" says three numbers, not a list.
    """
    slots = list(wording.slots.values())
    numbers = [term for term in said if term.value and term.value.kind in ("number", "money")]
    if "list" in slots or slots.count("number") < MIN_SPREAD:
        return said
    spread: list[Term] = []
    for term in said:
        items = term.value.value if term.value and term.value.kind == "list" else []
        wanted = slots.count("number") - len(numbers)
        if len(items) != wanted or wanted < MIN_SPREAD or not all(map(_is_number, items)):
            spread.append(term)
            continue
        for item in items:
            value = Value("number", item, term.start, term.end, str(item))
            spread.append(replace(term, stem="{number}", value=value))
    return spread


def _is_number(item: object) -> bool:
    return isinstance(item, int | float) and not isinstance(item, bool)


def _same(spoken: str, literal: str) -> bool:
    return spoken.rstrip("s") == literal.rstrip("s")


def match(
    asked: Asked,
    wording: Wording,
    lexicon: Lexicon,
    words_of_skill: Collection[str],
    cosine: float | None = None,
    units: Sequence[Mapping[str, str]] = (),
) -> Match:
    """Return how a sentence fits a wording.

    Args:
        asked: The sentence.
        wording: What it is compared with.
        lexicon: Of the wording's language.
        words_of_skill: Stems in any wording of the skill.
        cosine: Of the vectors of both; None where they are not known.
        units: That wordings of the skill name behind their slots.
    """
    own = _Alignment(asked, wording, lexicon, units)
    words = _measure_words(own, words_of_skill, asked.corrected)
    places = _measure_places(own)
    about = {
        "cosine": cosine or 0.0,
        "blind": cosine is None,
        "language": asked.sentence.language == wording.language,
        "learned": wording.skill.status != "shipped",
    }
    found = words | places | about
    features = tuple(float(found[name]) for name in FEATURES)
    read = own.taken.union(own.free, own.measured, _implied_units(own))
    own_words = {*words_of_skill, *(term.stem for term in wording.terms)}
    left = find_left(asked.sentence, own.said, read, own_words, asked.corrected)
    if lacks_period(wording.terms, wording.text, wording.language, own.said):
        left += find_telling(asked.sentence, own.said, read, own_words)
    return Match(wording, own.filled, features, left)


def _measure_words(
    own: _Alignment, words_of_skill: Collection[str], corrected: Collection[str]
) -> dict[str, float]:
    """Return what the words have in common, whatever their order."""
    terms, weigh, known = own.wording.terms, own.lexicon.weigh, own.lexicon.weights
    free = set(own.free)
    said = [t.stem for i, t in enumerate(own.said) if t.value is None and i not in free]
    literals = [(j, t.stem) for j, t in enumerate(terms) if not t.slot]
    aligned = {j for _, j in own.pairs}
    in_wording, in_sentence = {stem for _, stem in literals}, set(said)
    total_said = sum(map(weigh, said))
    shared = sum(weigh(stem) for j, stem in literals if stem in in_sentence or j in aligned)
    total_worded = sum(weigh(stem) for _, stem in literals)
    left = [stem for stem in said if stem not in in_wording and stem not in words_of_skill]
    return {
        "said": _share(sum(weigh(stem) for stem in said if stem in in_wording), total_said),
        "worded": _share(shared, total_worded),
        "bag": _share(sum(weigh(stem) for stem in said if stem in words_of_skill), total_said),
        "foreign": sum(weigh(stem) for stem in left if stem in known) / 5,
        "strange": math.log1p(sum(stem not in known for stem in left)),
        "evidence": math.log1p(shared),
        "other": math.log1p(total_worded - shared),
        "corrected": sum(stem in corrected and stem in in_wording for stem in said),
        "bare": not literals,
    }


def _measure_places(own: _Alignment) -> dict[str, float]:
    """Return how values, slots and the order of all terms agree."""
    terms, free = own.wording.terms, len(own.free)
    implied = _implied_units(own)
    place = {i: at for at, i in enumerate(i for i in range(len(own.said)) if i not in implied)}
    said, aligned = len(place), len(own.pairs)
    required = {each.name for each in own.wording.skill.parameters if each.required}
    known = {place[i]: j for i, j in own.pairs}
    kept = sum(known.get(at + 1) == j + 1 for at, j in known.items())
    most = max(said - free, len(terms)) - 1
    values = [i for i, term in enumerate(own.said) if term.value is not None]
    return {
        "order": 2 * aligned / max(said - free + len(terms), 1),
        "pairs": kept / most if most > 0 else float(aligned > 0),
        "exact": aligned + free == said and aligned + bool(free) == len(terms),
        "missing": len(required - set(own.filled))
        + sum(bool(t.slot) and t.slot not in own.filled for t in terms),
        "unused": sum(i not in own.taken and i not in implied for i in values),
        "cost": own.cost,
        "crossed": own.crossed,
        "free": free > 0,
        "free_share": free / max(said, 1),
        "first": (0, 0) in known.items(),
        "literal": sum(own.said[i].value is not None and not terms[j].slot for i, j in own.pairs),
    }


def _implied_units(own: _Alignment) -> set[int]:
    """Return the places of units that a number can do without.

    "a circle with radius 7 cm" leaves nothing over: of one unit throughout, the answer is in that
    unit, too.
    """
    units = [i for i, t in enumerate(own.said) if t.value is not None and t.value.kind == "unit"]
    names = {value.value for i in units if (value := own.said[i].value) is not None}
    if len(names) > 1:
        return set()
    return {
        i
        for i in units
        if i not in own.taken and i - 1 in own.taken and own.said[i - 1].stem == "{number}"
    }


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
