"""Fits the scorer: one hidden layer, and a softmax over all matches of a sentence and "none".

The loss of a sentence is minus the logarithm of what its right matches get together, or of what
"none" gets where no match is right. Adam (Kingma and Ba, 2015) on all sentences at once, with a
step that falls along a cosine: the same data give the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from bat_os.sentence.scoring import FAR, Scorer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

HIDDEN: Final = 24
STEPS: Final = 240
STEP: Final = 0.03
DECAY: Final = 3e-4
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8  # of Adam


@dataclass(frozen=True)
class Lists:
    """Sentences with their matches, one list after the other.

    Attributes:
        rows: ``(n, 2 * len(FEATURES))``, what ``scoring.relative`` returned.
        starts: ``(m,)``, where the matches of each sentence begin.
        right: ``(n,)``, whether a match is right.
        known: ``(n,)``, whether it takes part.
        shares: ``(m,)``, how much each sentence counts.
    """

    rows: Floats
    starts: NDArray[np.intp]
    right: NDArray[np.bool_]
    known: NDArray[np.bool_]
    shares: Floats


def fit_lists(lists: Lists) -> Scorer:
    """Return the weights that make the right matches likeliest."""
    mean, scale = lists.rows.mean(axis=0), lists.rows.std(axis=0)
    scale[scale < 1e-6] = np.inf  # a feature that never changes has no weight
    rows = ((lists.rows - mean) / scale).astype(np.float32)
    rng = np.random.default_rng(1)
    width = rows.shape[1]
    weights = [
        rng.normal(0, width**-0.5, (width, HIDDEN)).astype(np.float32),
        np.zeros(HIDDEN, np.float32),
        rng.normal(0, HIDDEN**-0.5, HIDDEN).astype(np.float32),
        np.zeros(1, np.float32),
    ]
    means = [np.zeros_like(each) for each in weights]
    squares = [np.zeros_like(each) for each in weights]
    for step in range(1, STEPS + 1):
        slopes = _slopes(lists, rows, weights)
        rate = STEP * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        for at, slope in enumerate(slopes):
            means[at] += (1 - _FIRST) * (slope - means[at])
            squares[at] += (1 - _SECOND) * (slope**2 - squares[at])
            size = np.sqrt(squares[at] / (1 - _SECOND**step)) + _TINY
            weights[at] -= np.float32(rate / (1 - _FIRST**step)) * means[at] / size
    hidden, bias, out, last = weights
    hidden = hidden / scale[:, None]
    return Scorer(
        np.vstack([hidden, bias - mean @ hidden]).astype(np.float32),
        np.concatenate([out, last]).astype(np.float32),
    )


def _slopes(lists: Lists, rows: Floats, weights: list[Floats]) -> list[Floats]:
    hidden, bias, out, last = weights
    inner = np.tanh(rows @ hidden + bias)
    scores = np.exp(np.clip(inner @ out + last[0], -FAR, FAR)) * lists.known
    counts = np.diff(np.append(lists.starts, len(rows)))
    right = scores * lists.right
    total = np.repeat(np.add.reduceat(scores, lists.starts) + 1, counts)
    together = np.repeat(np.add.reduceat(right, lists.starts), counts)
    wanted = np.divide(right, together, out=np.zeros_like(right), where=together > 0)
    shares = np.repeat(lists.shares / lists.shares.sum(), counts)
    slope = ((scores / total - wanted) * shares).astype(np.float32)
    inside = np.outer(slope, out) * (1 - inner * inner)
    return [
        rows.T @ inside + DECAY * hidden,
        inside.sum(axis=0),
        inner.T @ slope + DECAY * out,
        np.array([slope.sum()]),
    ]
