"""Passages ranked by meaning: int8 vectors, and one bit per dimension to look there first.

    query > distances of bits (one popcount per 64 dimensions) > the REACH nearest
          > cosines from the int8 vectors > the best

Up to EXACT rows every cosine is computed, so a small catalog and a narrow filter are
searched exactly.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np

from bat_os.image.knowledge.ranking import rank
from bat_os.image.knowledge.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bat_os.image.knowledge.shelf import Part, Parts, SegmentCache

# What every embedding model is asked once: one that answers otherwise is another model.
PROBE: Final = "The image is the identity; the process is replaceable."
SAME: Final = 0.999
EXACT: Final = 8_192
REACH: Final = 4_096
_BLOCK: Final = 512  # rows that are unpacked at a time
_WORD_BITS: Final = 64


@dataclass(frozen=True)
class VectorRows:
    """Vectors of n passages, of d dimensions."""

    ids: NDArray[np.int64]  # int64 ``(n,)``, ascending
    scales: NDArray[np.float32]  # float32 ``(n,)``; a vector is its codes times its scale
    codes: NDArray[np.int8]  # int8 ``(n, d)``

    @classmethod
    def quantize(cls, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> Self:
        """Return the rows for float vectors; a cosine loses under 0.01 by it."""
        scales = np.abs(vectors).max(axis=1) / 127
        scales[scales == 0] = 1
        codes = np.rint(vectors / scales[:, np.newaxis]).astype(np.int8)
        return cls(ids.astype(np.int64), scales.astype(np.float32), codes)

    def pack(self) -> Parts:
        """Return the arrays as bytes."""
        return self.ids.tobytes(), self.scales.tobytes(), self.codes.tobytes()

    @classmethod
    def unpack(cls, parts: Parts) -> Self:
        """Return views of what ``pack`` returned."""
        ids = np.frombuffer(parts[0], np.int64)
        codes = np.frombuffer(parts[2], np.int8).reshape(len(ids), -1)
        return cls(ids, np.frombuffer(parts[1], np.float32), codes)

    @classmethod
    def merge(cls, several: Sequence[tuple[Self, NDArray[np.bool_] | None]]) -> Self:
        """Return the rows whose mask is not False, by ascending id."""
        kept = [(rows, slice(None) if mask is None else mask) for rows, mask in several]
        ids = np.concatenate([rows.ids[mask] for rows, mask in kept])
        order = np.argsort(ids)
        scales = np.concatenate([rows.scales[mask] for rows, mask in kept])
        codes = np.concatenate([rows.codes[mask] for rows, mask in kept])
        return cls(ids[order], scales[order], codes[order])

    @cached_property
    def bits(self) -> NDArray[np.uint64]:
        """The signs of the codes, ``(d / 64, n)``: column by column, popcounts are fast."""
        return np.ascontiguousarray(_signs(self.codes).T)

    def distances(self, signs: NDArray[np.uint64]) -> NDArray[np.uint16]:
        """Return in how many signs each row differs."""
        total = np.zeros(len(self.ids), np.uint16)
        for column, word in zip(self.bits, signs, strict=True):
            total += np.bitwise_count(column ^ word)
        return total

    def cosines(
        self, at: NDArray[np.intp] | None, query: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Return float32 cosines of the rows at some places, or of all, to a unit vector."""
        codes, scales = self.codes, self.scales if at is None else self.scales[at]
        blocks = [slice(start, start + _BLOCK) for start in range(0, len(scales), _BLOCK)]
        rows = (codes[block] if at is None else codes[at[block]] for block in blocks)
        found = [part.astype(np.float32) @ query for part in rows]
        every: NDArray[np.float32] = np.concatenate(found) * scales
        return every


class VectorIndex(Shelf):
    """Vectors of passages, 396 bytes each at 384 dimensions.

    Use it inside ``ImageStore.transact`` only. Vectors of one catalog come from one
    embedding model; the catalog sees to that.
    """

    rows_type: ClassVar = VectorRows

    def add(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Keep float32 ``(n, d)`` vectors under n new ids, ascending."""
        self.append(VectorRows.quantize(ids, vectors))

    def rank(
        self,
        queries: NDArray[np.float32],
        wanted: NDArray[np.int64] | None,
        cache: SegmentCache | None = None,
        more: Sequence[Part] = (),
    ) -> list[list[int]]:
        """Return for each query the nearest passages' ids, best first.

        Queries are ``(q, d)``, rows of length 1; ``more`` are rows of no segment; the rest is as
        in ``Shelf.loaded``.
        """
        parts = [
            (rows, None if mask is None else np.flatnonzero(mask))
            for rows, mask in (*self.loaded(wanted, cache), *more)
        ]
        parts = [(rows, at) for rows, at in parts if at is None or len(at)]
        if not parts:
            return [[] for _ in queries]
        total = sum(len(rows.ids) if at is None else len(at) for rows, at in parts)
        rankings = []
        for query in queries:
            near = parts if total <= EXACT else _nearest(parts, query)
            ids = [rows.ids if at is None else rows.ids[at] for rows, at in near]
            cosines = [rows.cosines(at, query) for rows, at in near]
            rankings.append(rank(np.concatenate(ids), np.concatenate(cosines)))
        return rankings

    def similarities(
        self,
        ids: Sequence[int],
        queries: NDArray[np.float32],
        cache: SegmentCache | None = None,
        more: Sequence[Part] = (),
    ) -> dict[int, float]:
        """Return id -> best cosine to any of the queries, for those ids that have a vector."""
        numbers = np.sort(np.array(ids, np.int64))
        found: dict[int, float] = {}
        for rows, _ in (*self.loaded(None, cache), *more):
            at = np.searchsorted(rows.ids, numbers)
            at = at[rows.ids[np.minimum(at, len(rows.ids) - 1)] == numbers]
            if len(at):
                cosines = np.stack([rows.cosines(at, query) for query in queries])
                best = cosines.max(axis=0).tolist()
                found |= dict(zip(rows.ids[at].tolist(), best, strict=True))
        return found


def _nearest(
    parts: list[tuple[VectorRows, NDArray[np.intp] | None]], query: NDArray[np.float32]
) -> list[tuple[VectorRows, NDArray[np.intp]]]:
    """Return (rows, places) of the REACH rows whose signs are most like the query's."""
    signs = _signs(query[np.newaxis])[0]
    measured = [
        rows.distances(signs) if at is None else rows.distances(signs)[at] for rows, at in parts
    ]
    size = len(signs) * _WORD_BITS + 1
    counts = np.sum([np.bincount(distances, minlength=size) for distances in measured], axis=0)
    limit = int(np.searchsorted(np.cumsum(counts), REACH))
    near = []
    for (rows, at), distances in zip(parts, measured, strict=True):
        close = np.flatnonzero(distances <= limit)
        if len(close):
            near.append((rows, close if at is None else at[close]))
    return near


def _signs(values: NDArray[Any]) -> NDArray[np.uint64]:
    """Return ``(n, d)`` values as bits, ``(n, ceil(d / 64))``."""
    padding = -values.shape[1] % _WORD_BITS
    bits = np.packbits(np.pad(values > 0, ((0, 0), (0, padding))), axis=1)
    return np.ascontiguousarray(bits).view(np.uint64)


def is_same(known: NDArray[np.float32], probe: NDArray[np.float32]) -> bool:
    """Return whether two answers to PROBE are of one model."""
    return len(known) == len(probe) and float(known @ probe) >= SAME


def describe_model(name: str, probe: NDArray[np.float32]) -> str:
    """Return how an embedding model is called: its name and six digits of what it answers."""
    coarse = np.rint(probe * 100).astype(np.int8).tobytes()
    return f"{name} ({hashlib.sha256(coarse).hexdigest()[:6]})"
