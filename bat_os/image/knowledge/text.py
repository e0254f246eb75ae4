"""Passages found by words: zope.index's Okapi while there are few, segments from then on.

Okapi writes several kilobytes per passage and takes 1.5 ms a query at ten thousand of them;
segments write some 200 bytes and take a tenth of the time.

In a segment a word is 64 bits of a hash: all have one size, one binary search finds those of a
query, and two words never meet in practice.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import BTrees
import numpy as np
from zope.index.text.interfaces import ISplitter
from zope.index.text.lexicon import Lexicon
from zope.index.text.okapiindex import OkapiIndex
from zope.interface import implementer

from bat_os.image.knowledge.ranking import rank, split_words
from bat_os.image.knowledge.shelf import Shelf, inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bat_os.image.knowledge.shelf import Part, Parts, SegmentCache

# Past this, plain Okapi costs more than it is worth; see docs/benchmarks.md.
OKAPI_PASSAGES: Final = 500
K1: Final = 1.2
B: Final = 0.75
_MOST: Final = 255


@implementer(ISplitter)
class WordSplitter:
    """An element of zope.index's pipeline: texts in, the words to index out."""

    def process(self, texts: Iterable[str]) -> list[str]:
        """Return the words of all texts."""
        return [word for text in texts for word in split_words(text)]

    # A query has no wildcards here: "?" at the end of a question is none.
    processGlob = process  # noqa: N815 - zope's name


def make_okapi() -> Any:
    """Return zope.index's own index with 64-bit ids, for a catalog that is small yet."""
    return OkapiIndex(Lexicon(WordSplitter()), family=BTrees.family64)


@dataclass(frozen=True)
class PostingRows:
    """Words of n passages: k of them, in p pairs of word and passage."""

    ids: NDArray[np.int64]  # int64 ``(n,)``, ascending
    lengths: NDArray[np.uint32]  # uint32 ``(n,)``, words per passage
    keys: NDArray[np.uint64]  # uint64 ``(k,)``, hashes of words, ascending
    starts: NDArray[np.uint32]  # uint32 ``(k + 1,)``; word i has the pairs from ``starts[i]`` on
    # uint32 or, up to 65,536 passages, uint16 ``(p,)``: which passage
    rows: NDArray[np.unsignedinteger]
    counts: NDArray[np.uint8]  # uint8 ``(p,)``: how often, at most 255

    @classmethod
    def build(cls, ids: NDArray[np.int64], texts: Sequence[Iterable[str]]) -> Self:
        """Return the rows for passages that are given as their words."""
        known: dict[str, int] = {}
        hashes: list[int] = []
        counts: list[int] = []
        sizes: list[int] = []
        lengths: list[int] = []
        for words in texts:
            bag = Counter(words)
            for word in bag:
                if word not in known:
                    known[word] = hash_word(word)
            hashes.extend(map(known.__getitem__, bag))
            counts.extend(bag.values())
            sizes.append(len(bag))
            lengths.append(bag.total())
        return cls._sorted(
            ids.astype(np.int64),
            np.array(lengths, np.uint32),
            np.array(hashes, np.uint64),
            np.repeat(np.arange(len(sizes)), sizes),
            np.minimum(np.array(counts, np.int64), _MOST).astype(np.uint8),
        )

    @classmethod
    def _sorted(
        cls,
        ids: NDArray[np.int64],
        lengths: NDArray[np.uint32],
        hashes: NDArray[np.uint64],
        rows: NDArray[np.int64],
        counts: NDArray[np.uint8],
    ) -> Self:
        order = np.lexsort((rows, hashes))
        keys, starts = np.unique(hashes[order], return_index=True)
        size: type[np.unsignedinteger] = np.uint16 if len(ids) <= 1 << 16 else np.uint32
        ends = np.append(starts, len(hashes)).astype(np.uint32)
        return cls(ids, lengths, keys, ends, rows[order].astype(size), counts[order])

    def pack(self) -> Parts:
        """Return the arrays as bytes."""
        arrays = (self.ids, self.lengths, self.keys, self.starts, self.rows, self.counts)
        return tuple(array.tobytes() for array in arrays)

    @classmethod
    def unpack(cls, parts: Parts) -> Self:
        """Return views of what ``pack`` returned."""
        ids = np.frombuffer(parts[0], np.int64)
        size: type[np.unsignedinteger] = np.uint16 if len(ids) <= 1 << 16 else np.uint32
        types: tuple[type[np.unsignedinteger], ...]
        types = (np.uint32, np.uint64, np.uint32, size, np.uint8)
        rest: Any = (np.frombuffer(part, kind) for part, kind in zip(parts[1:], types, strict=True))
        return cls(ids, *rest)

    @classmethod
    def merge(cls, several: Sequence[tuple[Self, NDArray[np.bool_] | None]]) -> Self:
        """Return the passages whose mask is not False, by ascending id."""
        kept = [
            (part, np.ones(len(part.ids), np.bool_) if mask is None else mask)
            for part, mask in several
        ]
        ids = np.concatenate([part.ids[mask] for part, mask in kept])
        lengths = np.concatenate([part.lengths[mask] for part, mask in kept])
        order = np.argsort(ids)
        place = np.empty(len(ids), np.int64)
        place[order] = np.arange(len(ids))
        hashes, rows, counts, before = [], [], [], 0
        for part, mask in kept:
            stays = mask[part.rows]
            hashes.append(np.repeat(part.keys, np.diff(part.starts))[stays])
            moved = np.cumsum(mask) - 1 + before
            rows.append(place[moved[part.rows[stays]]])
            counts.append(part.counts[stays])
            before += int(mask.sum())
        joined = np.concatenate(hashes), np.concatenate(rows), np.concatenate(counts)
        return cls._sorted(ids[order], lengths[order], *joined)

    def find(self, hashes: NDArray[np.uint64]) -> list[slice | None]:
        """Return for each word where its pairs are."""
        at = np.searchsorted(self.keys, hashes)
        return [
            slice(int(self.starts[i]), int(self.starts[i + 1]))
            if i < len(self.keys) and self.keys[i] == wanted
            else None
            for i, wanted in zip(at.tolist(), hashes, strict=True)
        ]


class SegmentedText(Shelf):
    """A text index over immutable segments; the large catalog's."""

    rows_type: ClassVar = PostingRows

    def index_docs(self, numbers: Sequence[int], texts: Sequence[str]) -> None:
        """Index passages under ascending ids, which are new."""
        ids = np.array(numbers, np.int64)
        self.append(PostingRows.build(ids, [split_words(text) for text in texts]))

    def rank(
        self,
        query: str,
        wanted: NDArray[np.int64] | None,
        cache: SegmentCache | None = None,
        more: Sequence[Part] = (),
    ) -> list[int]:
        """Return the ids of the best passages, best first; see ``rank_words``."""
        return bm25([*self.loaded(wanted, cache), *more], split_words(query))


def rank_words(
    index: Any,
    query: str,
    wanted: NDArray[np.int64] | None,
    cache: SegmentCache | None = None,
    more: Sequence[Part] = (),
) -> list[int]:
    """Return the ids of the passages that fit best, best first; any word may match.

    No character in the query has a special meaning; the rest is as in ``Shelf.loaded``.
    """
    if isinstance(index, SegmentedText):
        return index.rank(query, wanted, cache, more)
    # Its own search ORs the words; a TextIndex.apply would AND them and read "?" as a
    # wildcard, which finds nothing for most questions.
    hits = list((index.search(query) or {}).items())
    numbers = np.fromiter((number for number, _ in hits), np.int64, len(hits))
    scores = np.fromiter((score for _, score in hits), np.float32, len(hits))
    if wanted is not None:
        chosen = inside(numbers, wanted)
        numbers, scores = numbers[chosen], scores[chosen]
    return rank(numbers, scores)


def index_passages(index: Any, start: int, texts: Sequence[str]) -> None:
    """Index passages under the ids from ``start`` on."""
    if isinstance(index, SegmentedText):
        index.index_docs(range(start, start + len(texts)), texts)
        return
    for number, text in enumerate(texts, start):
        index.index_doc(number, text)


def unindex_passages(index: Any, start: int, stop: int) -> None:
    """Forget the passages with ids in [start, stop)."""
    if isinstance(index, SegmentedText):
        index.remove(start, stop)
        return
    for number in range(start, stop):
        index.unindex_doc(number)


def text_segments(index: Any) -> list[bytes]:
    """Return the SHA-256 of all segments; Okapi has none."""
    return index.digests() if isinstance(index, SegmentedText) else []


def bm25(
    parts: Sequence[tuple[PostingRows, NDArray[np.bool_] | None]], words: Iterable[str]
) -> list[int]:
    """Return the ids of the best passages for any of ``words``, best first."""
    passages = sum(len(part.ids) for part, _ in parts)
    average = sum(int(part.lengths.sum()) for part, _ in parts) / max(passages, 1)
    hashes = np.array([hash_word(word) for word in dict.fromkeys(words)], np.uint64)
    found = [part.find(hashes) for part, _ in parts]
    having = [sum(at.stop - at.start for at in column if at) for column in zip(*found, strict=True)]
    weights = [np.log1p((passages - n + 0.5) / (n + 0.5)) for n in having]
    all_ids, all_scores = [], []
    for (part, mask), places in zip(parts, found, strict=True):
        pairs = [(at, weight) for at, weight in zip(places, weights, strict=True) if at]
        if not pairs:
            continue
        rows = np.concatenate([part.rows[at] for at, _ in pairs])
        counts = np.concatenate([part.counts[at] for at, _ in pairs]).astype(np.float32)
        sizes = [at.stop - at.start for at, _ in pairs]
        weight = np.repeat(np.array([weight for _, weight in pairs]), sizes)
        length = part.lengths[rows] * np.float32(B / average) + np.float32(1 - B)
        shares = weight * counts * (K1 + 1) / (counts + np.float32(K1) * length)
        scores = np.bincount(rows, shares, minlength=len(part.ids))
        hit = np.flatnonzero(scores > 0 if mask is None else (scores > 0) & mask)
        all_ids.append(part.ids[hit])
        all_scores.append(scores[hit])
    if not all_ids:
        return []
    return rank(np.concatenate(all_ids), np.concatenate(all_scores).astype(np.float32))


def hash_word(word: str) -> int:
    """Return the 64 bits by which a word is known."""
    packed = word.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "big")
