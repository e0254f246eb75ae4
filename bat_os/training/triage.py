"""Trains what tells the kind of a request that no skill fits; ``bat_os.training.scorer`` calls it.

Sentences with a skill are of the kind ``function``. Every third is also shown without its vector,
so that the words alone decide something, too.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from bat_os.sentence.triage import BUCKETS, KINDS, WIDTH, Triage, features_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bat_os.sentence.reading import Sentence

    Floats = NDArray[np.float32]
    # A sentence, its vector, and its kind.
    Labelled = tuple[Sentence, Floats, str]

FOLDS: Final = 3
STEPS: Final = 120
RATE: Final = 0.05
L2: Final = 2e-4
_WARMTHS: Final = tuple(step / 10 for step in range(4, 31))


def fit(rows: Sequence[Labelled]) -> tuple[Triage, float]:
    """Return the weights, and the share of sentences whose kind they say, unseen."""
    x, y = as_arrays(rows)
    parts = np.array([zlib.crc32(sentence.text.encode()) % FOLDS for sentence, _, _ in rows])
    logits = np.zeros((len(x), len(KINDS)), np.float32)
    for part in range(FOLDS):
        weights = _descend(x[parts != part], y[parts != part])
        logits[parts == part] = x[parts == part] @ weights[:-1] + weights[-1]
    losses = [_loss(logits * np.float32(warmth), y) for warmth in _WARMTHS]
    right = float((logits.argmax(axis=1) == y).mean())
    return Triage(_descend(x, y), _WARMTHS[int(np.argmin(losses))]), right


def as_arrays(rows: Sequence[Labelled]) -> tuple[Floats, NDArray[np.int64]]:
    """Return features and places in KINDS."""
    x = np.zeros((len(rows), WIDTH + BUCKETS), np.float32)
    for at, (sentence, vector, _) in enumerate(rows):
        x[at] = features_of(sentence, None if at % 3 == 1 else vector)
    return x, np.array([KINDS.index(kind) for _, _, kind in rows])


def _descend(x: Floats, y: NDArray[np.int64]) -> Floats:
    """Return weights and bias of a multinomial logistic regression, by Adam on all rows.

    Each kind counts the same, however many sentences it has, up to a factor of four.
    """
    count = np.bincount(y, minlength=len(KINDS))
    share = np.clip(len(y) / len(KINDS) / np.maximum(count, 1), 0.5, 2.0)[y].astype(np.float32)
    share /= share.sum()
    wanted = np.eye(len(KINDS), dtype=np.float32)[y]
    rows = np.hstack([x, np.ones((len(x), 1), np.float32)])
    weights = np.zeros((rows.shape[1], len(KINDS)), np.float32)
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        slope = rows.T @ ((_softmax(rows @ weights) - wanted) * share[:, None])
        slope[:-1] += L2 * weights[:-1]
        mean += 0.1 * (slope - mean)
        square += 0.001 * (slope * slope - square)
        speed = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        weights -= RATE * (mean / (1 - 0.9**step)) / speed
    return weights


def _softmax(logits: Floats) -> Floats:
    chances = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = chances / chances.sum(axis=1, keepdims=True)
    return shares


def _loss(logits: Floats, y: NDArray[np.int64]) -> float:
    return float(-np.log(_softmax(logits)[np.arange(len(y)), y] + 1e-9).mean())
