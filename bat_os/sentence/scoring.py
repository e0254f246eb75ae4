"""How likely it is that a skill was meant, and what to do about it.

    features of each match > logistic regression > the best wording of each skill
        > with the distance to the best other skill > logistic regression > isotonic calibration

The weights are in ``scorer.npz``; ``bat_os.training.scorer`` makes them, and
``docs/understanding.md`` has the figures.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np

from bat_os.sentence.matching import FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bat_os.sentence.matching import Match

    Floats = NDArray[np.float64]

FILE: Final = "scorer.npz"
# What a mistake costs. A right answer costs nothing.
WRONG: Final = 6.0  # the reading stands beside the answer, and "no" corrects it
WRONG_CHANGE: Final = 100.0  # a skill that changes something was not meant
ASK: Final = 1.0
MISSED: Final = 2.5  # nothing was offered, and it has to be said again
CHOICES: Final = 3  # that a question offers
# Of 485 sentences that were a wording of one skill to the letter, 470 meant it.
WORDED: Final = 0.96
LIKE_KIND: Final = 0.25  # cost up to which a value is of the kind of its slot
LOOKED_AT: Final = 6  # skills that the second step compares
FAR: Final = 8.0  # distances between logits beyond this say no more
SECOND: Final = 3 + 2 * len(FEATURES)

Decision = Literal["act", "ask", "none"]


@dataclass(frozen=True)
class Scorer:
    """The trained weights.

    Attributes:
        weights: One per feature, and the bias last; float64.
        second: The same for the SECOND columns of ``second_rows``.
        knots: ``(2, k)``: a logit, and the probability that goes with it; ascending.
        swaps: language -> pair of stems -> evidence that the one in place of the other makes
            another skill of a wording.
    """

    weights: Floats
    second: Floats
    knots: Floats
    swaps: Mapping[str, Mapping[tuple[str, str], float]] = field(default_factory=dict)

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Self:
        """Return the weights from what ``as_arrays`` returned."""
        swaps = {
            language: {(one, other): weight for one, other, weight in rows}
            for language, rows in json.loads(arrays["swaps"].tobytes()).items()
        }
        return cls(arrays["weights"], arrays["second"], arrays["knots"], swaps)

    def as_arrays(self) -> dict[str, Any]:
        """Return the weights as arrays for the file."""
        swaps = {
            language: sorted([one, other, weight] for (one, other), weight in table.items())
            for language, table in sorted(self.swaps.items())
        }
        text = np.frombuffer(json.dumps(swaps, ensure_ascii=False).encode(), np.uint8)
        return {"weights": self.weights, "second": self.second, "knots": self.knots, "swaps": text}

    def first_logits(self, rows: Floats) -> Floats:
        """Return the logit of each row of features."""
        logits: Floats = rows @ self.weights[:-1] + self.weights[-1]
        return logits

    def rank(self, matches: Sequence[Match]) -> list[tuple[Match, float]]:
        """Return the best match of each skill with its probability, best first."""
        if not matches:
            return []
        logits = self.first_logits(np.array([match.features for match in matches]))
        skills = [(match.wording.skill.target, match.wording.skill.selector) for match in matches]
        exact = np.array([match.features[FEATURES.index("exact")] for match in matches])
        best = best_of_skills(skills, logits, exact)[:LOOKED_AT]
        rows = second_rows(np.array([matches[at].features for at in best]), logits[best])
        chances = self.chances(rows)
        return [
            (matches[best[at]], float(chances[at]))
            for at in np.argsort(-chances, kind="stable").tolist()
        ]

    def chances(self, rows: Floats) -> Floats:
        """Return the calibrated probabilities for what ``second_rows`` returned."""
        scores = rows @ self.second[:-1] + self.second[-1]
        chances: Floats = np.interp(scores, self.knots[0], self.knots[1])
        if (same := _is_worded(rows)).sum() == 1:
            chances[same] = np.maximum(chances[same], WORDED)
        return chances


def best_of_skills(names: Sequence[object], logits: Floats, exact: Floats) -> list[int]:
    """Return the places of the best match of each skill, best first.

    Args:
        names: Of each match, whose skill it is.
        logits: Of each match.
        exact: Of each match, whether the sentence is the wording; of a skill that one counts.
    """
    best: dict[object, int] = {}
    for at in np.lexsort((-logits, -exact)).tolist():
        best.setdefault(names[at], at)
    return sorted(best.values(), key=lambda at: -logits[at])


def _is_worded(rows: Floats) -> NDArray[np.bool_]:
    """Return which skills have the sentence as a wording, with a value of its kind in each slot."""
    own = {name: rows[:, 3 + at] for at, name in enumerate(FEATURES)}
    worse = sum(own[name] for name in ("missing", "unused", "crossed", "free", "bare"))
    worded: NDArray[np.bool_] = (own["exact"] > 0) & (worse == 0) & (own["cost"] <= LIKE_KIND)
    return worded


def second_rows(features: Floats, logits: Floats) -> Floats:
    """Return the features of the second step, for skills with the best first: SECOND.

    The logit, its distance to the best other skill, whether it is the first, its own features,
    and what they differ by from those of the best other skill.
    """
    first = np.zeros(len(logits))
    first[0] = 1.0
    rivals = np.zeros(len(logits), np.int64)
    rivals[0] = min(1, len(logits) - 1)
    margin = np.clip(logits - logits[rivals], -FAR, FAR)
    if len(logits) == 1:
        margin[0] = FAR
    between = features - features[rivals]
    return np.hstack([np.stack([logits, margin, first], axis=1), features, between])


def read_arrays() -> dict[str, Any]:
    """Return what is in the file that the program ships."""
    data = (resources.files("bat_os.sentence") / FILE).read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        return dict(held)


@cache
def read_scorer() -> Scorer:
    """Return the weights that the program ships; the file is read once."""
    return Scorer.of(read_arrays())


def decide(ranked: Sequence[tuple[float, bool]]) -> Decision:
    """Return what costs least: to act on the likeliest skill, to ask, or neither.

    To act costs nothing if it is right, and WRONG if it is not: (1 - p) * WRONG. To ask costs ASK.
    So it is acted on from p = 1 - ASK / WRONG = 0.83 on, and from 0.99 on if something changes.

    To do neither costs nothing if no skill was meant. If one was, the person says it again in
    other words, is asked after all, or gives up: MISSED, two questions and a half. To ask costs
    ASK in either case. So it is asked from ASK / MISSED = 0.4 on, for the choices together.

    Args:
        ranked: Of each candidate, the likeliest first: its calibrated probability, and whether it
            changes something.
    """
    if not ranked:
        return "none"
    chance, changes = ranked[0]
    if (1 - chance) * (WRONG_CHANGE if changes else WRONG) <= ASK:
        return "act"
    together = min(sum(chance for chance, _ in ranked[:CHOICES]), 1.0)
    return "ask" if together * MISSED >= ASK else "none"
