"""Vectors of passages in immutable segments, so that a new document rewrites few of them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np
from persistent import Persistent

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FANOUT: Final = 8
_SEGMENT_ROWS: Final = 512


class VectorSegment(Persistent):
    """Vectors of some passages, immutable.

    Attributes:
        ids: n passage ids, int64.
        rows: float32 ``(n, d)``, row by row. Both are bytes: a pickled array would name
            numpy's internals in the image.
    """

    def __init__(self, ids: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
        self.ids = ids.astype(np.int64).tobytes()
        self.rows = rows.astype(np.float32).tobytes()

    def load(self) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return (ids, rows) as read-only views, without a copy."""
        ids = np.frombuffer(self.ids, np.int64)
        return ids, np.frombuffer(self.rows, np.float32).reshape(len(ids), -1)


def merge_small(
    segments: tuple[tuple[int, VectorSegment], ...],
) -> tuple[tuple[int, VectorSegment], ...]:
    """Return the segments with eight of a size as one, so no vector is rewritten often."""
    levels: defaultdict[int, list[tuple[int, VectorSegment]]] = defaultdict(list)
    for pair in segments:
        level = (pair[0].bit_length() - 1) // (_FANOUT.bit_length() - 1)
        if pair[0] < _SEGMENT_ROWS:
            levels[level].append(pair)
    for group in levels.values():
        if len(group) >= _FANOUT:
            parts = [segment.load() for _, segment in group]
            merged = VectorSegment(
                np.concatenate([ids for ids, _ in parts]),
                np.concatenate([rows for _, rows in parts]),
            )
            rest = tuple(pair for pair in segments if pair not in group)
            return merge_small((*rest, (sum(count for count, _ in group), merged)))
    return segments
