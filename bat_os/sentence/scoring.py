"""How likely it is that a skill was meant, and what to do about it.

    features of each match, and how far they are from the best of all matches
        > one hidden layer > softmax over all matches and "none"
        > the matches of one skill with one set of values, together

The weights are in ``scorer.npz``; ``bat_os.training.scorer`` makes them, and
``docs/understanding.md`` has the figures.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal, Self

import numpy as np

from bat_os.sentence.matching import FEATURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bat_os.sentence.matching import Match

    Floats = NDArray[Any]

FILE: Final = "scorer.npz"
# What a mistake costs. A right answer costs nothing.
WRONG: Final = 5.0  # the reading stands beside the answer, and "no" corrects it
WRONG_CHANGE: Final = 100.0  # a skill that changes something was not meant
ASK: Final = 1.0
MISSED: Final = 2.5  # nothing was offered, and it has to be said again
CHOICES: Final = 3  # that a question offers
# Of 485 sentences that were a wording of one skill to the letter, 470 meant it.
WORDED: Final = 0.96
LIKE_KIND: Final = 0.25  # cost up to which a value is of the kind of its slot
LOOKED_AT: Final = 24  # matches that are compared
FAR: Final = 30.0  # a score beyond this says no more
# What roughly tells the matches that are worth a look, before they are compared.
_ROUGHLY: Final = {
    "cosine": 1.0, "said": 1.0, "worded": 1.0, "bag": 0.5, "order": 1.0, "exact": 3.0,
    "missing": -0.5, "unused": -0.5,
}  # fmt: skip

Decision = Literal["act", "ask", "none"]


@dataclass(frozen=True)
class Scorer:
    """The trained weights.

    Attributes:
        hidden: float32 ``(2 * len(FEATURES) + 1, h)``; the last row is the bias.
        out: float32 ``(h + 1,)``; the last one is the bias.
    """

    hidden: Floats
    out: Floats

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> Self:
        """Return the weights from what ``as_arrays`` returned."""
        return cls(arrays["hidden"], arrays["out"])

    def as_arrays(self) -> dict[str, Any]:
        """Return the weights as arrays for the file."""
        return {"hidden": self.hidden, "out": self.out, "features": np.array(FEATURES)}

    def chances(self, rows: Floats) -> Floats:
        """Return the probability of each match of a sentence; the rest to 1 is that of none.

        Args:
            rows: What ``relative`` returned for all of them.
        """
        inner = np.tanh(rows @ self.hidden[:-1] + self.hidden[-1])
        scores = np.exp(np.clip(inner @ self.out[:-1] + self.out[-1], -FAR, FAR))
        chances: Floats = scores / (1 + scores.sum())
        return chances

    def rank(self, matches: Sequence[Match]) -> list[tuple[Match, float]]:
        """Return each skill with the values that it most likely gets, the likeliest first."""
        if not matches:
            return []
        rows = np.array([match.features for match in matches])
        looked = look_at(rows)
        likely, rows = [matches[at] for at in looked], rows[looked]
        skills = [(match.wording.skill.target, match.wording.skill.selector) for match in likely]
        calls = [repr(match.call()) for match in likely]
        ranked = rank_calls(skills, calls, rows, self.chances(relative(rows)))
        least: dict[tuple[object, str], tuple[str, ...]] = {}  # what any wording reads, is read
        for match, key in zip(likely, zip(skills, calls, strict=True), strict=True):
            least[key] = min(least.get(key, match.left), match.left, key=len)
        return [
            (replace(likely[at], left=least[skills[at], calls[at]]), chance)
            for at, chance in ranked
        ]


def look_at(rows: Floats) -> list[int]:
    """Return the places of the matches that are compared, the roughly best first."""
    weights = np.array([_ROUGHLY.get(name, 0.0) for name in FEATURES])
    order: list[int] = np.argsort(-(rows @ weights), kind="stable")[:LOOKED_AT].tolist()
    return order


def relative(rows: Floats) -> Floats:
    """Return ``(n, 2 * len(FEATURES))``: features, and what each falls short of the best by."""
    return np.hstack([rows, rows - rows.max(axis=0)])


def rank_calls(
    skills: Sequence[object], calls: Sequence[str], rows: Floats, chances: Floats
) -> list[tuple[int, float]]:
    """Return the place of one match for each skill, and its probability, the likeliest first.

    The matches of a skill that give it the same values count together. A sentence that is a
    wording of one skill alone, with a value of its kind in each slot, counts at least WORDED.
    """
    held: dict[tuple[object, str], list[int]] = {}
    for at, key in enumerate(zip(skills, calls, strict=True)):
        held.setdefault(key, []).append(at)
    worded = _is_worded(rows)
    alone = len({skills[at] for at in np.flatnonzero(worded).tolist()}) == 1
    best: dict[object, tuple[float, int]] = {}
    for (skill, _), places in held.items():
        chance = float(chances[places].sum())
        if alone and worded[places].any():
            chance = max(chance, WORDED)
        likeliest = max(places, key=lambda at: (worded[at], chances[at]))
        best[skill] = max(best.get(skill, (-1.0, 0)), (chance, -likeliest))
    ordered = sorted(best.values(), key=lambda each: -each[0])
    return [(-place, chance) for chance, place in ordered]


def _is_worded(rows: Floats) -> NDArray[np.bool_]:
    """Return which matches are their wording, with a value of its kind in each slot."""
    own = {name: rows[:, at] for at, name in enumerate(FEATURES)}
    worse = sum(own[name] for name in ("missing", "unused", "crossed", "free", "bare"))
    worded: NDArray[np.bool_] = (own["exact"] > 0) & (worse == 0) & (own["cost"] <= LIKE_KIND)
    return worded


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
    So it is acted on from p = 1 - ASK / WRONG = 0.8 on, and from 0.99 on if something changes.

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
