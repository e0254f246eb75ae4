"""What a search is made of, without the index: words, vectors, rankings, their fusion."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np
from zope.index.text.stopdict import get_stopdict

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

# Ten, not the usual sixty: on question answering the best few of a ranking tell the most.
RECIPROCAL_RANK_K: Final = 10
DEPTH: Final = 100
_WORD: Final = re.compile(r"[^\W_]+")
_STOPWORDS: Final = frozenset(get_stopdict())


def split_words(text: str) -> list[str]:
    """Return the words to index: folded, ``snake_case`` taken apart, plurals as singulars.

    >>> split_words("Reports the current_times of CITIES")
    ['report', 'current', 'time', 'city']
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [_singular(word) for word in _WORD.findall(folded) if word not in _STOPWORDS]


def rank(ids: NDArray[np.int64], scores: NDArray[np.float32]) -> list[int]:
    """Return the ids of the DEPTH best scores, best first; equals in the order of ids."""
    if len(scores) > DEPTH:
        last = np.partition(scores, -DEPTH)[-DEPTH]
        kept = np.flatnonzero(scores >= last)
        ids, scores = ids[kept], scores[kept]
    ranked: list[int] = ids[np.lexsort((ids, -scores))][:DEPTH].tolist()
    return ranked


def fuse(rankings: Iterable[Sequence[int]], top_k: int) -> list[tuple[int, float]]:
    """Return up to ``top_k`` (id, score), best first, by the sum of reciprocal ranks.

    Scores of words and cosines cannot be compared; their ranks can. Equals come in the
    order of ids.

    >>> fuse([[7, 8], [8, 9]], top_k=2)[0][0]
    8
    """
    scores: defaultdict[int, float] = defaultdict(float)
    for ranking in rankings:
        for place, number in enumerate(ranking, 1):
            scores[number] += 1 / (RECIPROCAL_RANK_K + place)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:top_k]


def as_rows(
    vectors: NDArray[np.float32] | bytes, count: int, dimensions: int
) -> NDArray[np.float32]:
    """Return ``vectors`` as ``(count, d)``; bytes are read as rows of float32.

    A ``dimensions`` of 0 lets vectors of any length pass.
    """
    if isinstance(vectors, bytes):
        if not count or not vectors or len(vectors) % (4 * count):
            raise ArgumentsError(f"{len(vectors)} bytes are not {count} vectors of float32")
        vectors = np.frombuffer(vectors, np.float32).reshape(count, -1)
    if vectors.ndim != 2 or not count or len(vectors) != count or not vectors.shape[1]:
        raise ArgumentsError(f"vectors of shape {vectors.shape} for {count} texts")
    if dimensions and vectors.shape[1] != dimensions:
        raise ArgumentsError(
            f"vectors of {vectors.shape[1]} dimensions; the catalog's have {dimensions}, "
            "because another embedding model filled it"
        )
    return vectors


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s") or word.endswith(("us", "ss")):
        return word
    return word[:-3] + "y" if word.endswith("ies") else word[:-1]
