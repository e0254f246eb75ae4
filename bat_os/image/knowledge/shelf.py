"""Immutable segments of an index, and the rules by which small ones become large ones.

    add > many small segments > 32 of a size become one > large ones stay as they are
    remove > ids noted as dead > rows go when a quarter of their segment is dead

A segment is written once and never changed, so what a new document costs does not depend on
how much the image holds, and arrays of a segment can be shared by all threads that search.

StorageError: a segment is not what was written.
"""

from __future__ import annotations

import hashlib
import threading
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, Self

import numpy as np
from persistent import Persistent

from bat_os.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    Parts = tuple[bytes, ...]
    # unpacked rows of an index, and which of them are wanted
    Part = tuple[Any, NDArray[np.bool_]]
    Range = tuple[int, int]
    # rows, SHA-256, segment, lowest and highest id, ranges [start, stop) of removed ids
    Entry = tuple[int, bytes, "Segment", Range, tuple[Range, ...]]

FANOUT: Final = 32
# Merges up to this many rows happen while a document is added; larger ones are steps of
# their own, each of at most MAX_ROWS rows, so no transaction is long.
AT_ONCE_ROWS: Final = 1_024
FULL_ROWS: Final = 8_192
MAX_ROWS: Final = 16_384
_DEAD_PART: Final = 4


class Rows(Protocol):
    """What a segment holds, as arrays: one row per passage, ids ascending."""

    @property
    def ids(self) -> NDArray[np.int64]:
        """Return the passages' ids."""

    def pack(self) -> Parts:
        """Return the rows as bytes; a pickled array would name numpy's internals."""

    @classmethod
    def unpack(cls, parts: Parts) -> Self:
        """Return what ``pack`` was given, as views of the bytes."""

    @classmethod
    def merge(cls, several: Sequence[tuple[Self, NDArray[np.bool_] | None]]) -> Self:
        """Return the rows of several, without those whose mask is False."""


class Segment(Persistent):
    """Rows of an index as bytes, immutable."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts


class SegmentCache:
    """Unpacked segments by SHA-256, one copy for all connections of the image.

    Without it every connection would keep its own copy of the vectors. A segment is checked
    against its SHA-256 when it is loaded, which ZODB does not do. It holds exactly what the
    last search of each index used.
    """

    def __init__(self) -> None:
        self._rows: dict[bytes, Any] = {}
        self._lock = threading.Lock()

    def get(self, entry: Entry, unpack: Callable[[Parts], Any]) -> Any:
        """Return the rows of an entry."""
        _, digest, segment, _, _ = entry
        return self.made(digest, lambda: unpack(load(digest, segment)))

    def made(self, key: bytes, make: Callable[[], Any]) -> Any:
        """Return what was made for a key before, or make it."""
        made = self._rows.get(key)
        if made is None:
            made = make()
            with self._lock:
                made = self._rows.setdefault(key, made)
        return made

    def keep(self, digests: Iterable[bytes]) -> None:
        """Forget all rows but these."""
        wanted = set(digests)
        with self._lock:
            for digest in [digest for digest in self._rows if digest not in wanted]:
                del self._rows[digest]

    def nbytes(self) -> int:
        """Return how much memory the arrays take."""
        with self._lock:
            return sum(
                value.nbytes
                for held in self._rows.values()
                for rows in (held if isinstance(held, tuple) else (held,))
                for value in vars(rows).values()
                if isinstance(value, np.ndarray)
            )


class Shelf(Persistent):
    """An index made of segments; the base of the text index and the vector index.

    Attributes:
        entries: All segments with their counts, digests and removed ids. The tuple is
            rewritten with every change: some 80 bytes per segment. Up to a
            million rows there are fewer than a hundred.
    """

    rows_type: ClassVar[Any]

    def __init__(self) -> None:
        self.entries: tuple[Entry, ...] = ()

    def __len__(self) -> int:
        return sum(entry[0] - _dead_count(entry) for entry in self.entries)

    def append(self, rows: Rows) -> None:
        """Keep more rows; their ids are new."""
        self.entries = (*self.entries, make_entry(rows))
        while group := self._ripe(AT_ONCE_ROWS):
            self._merge(group)

    def remove(self, start: int, stop: int) -> None:
        """Forget the rows with ids in [start, stop)."""
        self.entries = tuple(
            changed for entry in self.entries if (changed := self._without(entry, start, stop))
        )

    def compact(self) -> None:
        """Drop the rows of removed ids now, which else wait for more of them."""
        self.entries = tuple(
            kept for entry in self.entries if (kept := self._alive(entry) if entry[4] else entry)
        )

    def condense(self) -> None:
        """Merge all segments that are not full, unless that were over MAX_ROWS rows."""
        small = [entry for entry in self.entries if entry[0] < FULL_ROWS]
        if len(small) > 1 and sum(entry[0] for entry in small) <= MAX_ROWS:
            self._merge(small)

    def digests(self) -> list[bytes]:
        """Return the SHA-256 of all segments."""
        return [entry[1] for entry in self.entries]

    def damaged(self) -> bool:
        """Return True when a segment is not what was written; reads all of them."""
        try:
            for entry in self.entries:
                load(entry[1], entry[2])
        except StorageError:
            return True
        return False

    def merge_step(self) -> bool:
        """Merge one group of segments; return False when there is none left to merge."""
        if group := self._ripe(MAX_ROWS):
            self._merge(group)
        return bool(group)

    def loaded(
        self, wanted: NDArray[np.int64] | None, cache: SegmentCache | None = None
    ) -> Iterator[tuple[Any, NDArray[np.bool_] | None]]:
        """Yield (rows, mask) of each segment; a mask of None means all rows.

        Args:
            wanted: ``(m, 2)`` ranges [start, stop) of ids, ascending, or None for all.
            cache: Where unpacked rows are kept.
        """
        source = cache or SegmentCache()
        for entry in self.entries:
            rows = source.get(entry, self.rows_type.unpack)
            yield rows, choose(rows.ids, wanted, entry[4])

    def _without(self, entry: Entry, start: int, stop: int) -> Entry | None:
        count, digest, segment, (low, high), dead = entry
        if stop <= low or start > high:
            return entry
        rows = self.rows_type.unpack(load(digest, segment))
        if not inside(rows.ids, np.array([(start, stop)])).any():
            return entry
        changed = (count, digest, segment, (low, high), (*dead, (start, stop)))
        if _dead_count(changed) * _DEAD_PART < count and count > AT_ONCE_ROWS:
            return changed
        return self._alive(changed)

    def _alive(self, entry: Entry) -> Entry | None:
        """Return an entry without its dead rows, or None if no other is left."""
        rows = self.rows_type.unpack(load(entry[1], entry[2]))
        kept = self.rows_type.merge([(rows, choose(rows.ids, None, entry[4]))])
        return make_entry(kept) if len(kept.ids) else None

    def _ripe(self, limit: int) -> list[Entry]:
        """Return segments to merge now, of at most ``limit`` rows together; or none."""
        levels: defaultdict[int, list[Entry]] = defaultdict(list)
        for entry in self.entries:
            if entry[0] < FULL_ROWS:
                levels[(entry[0].bit_length() - 1) // (FANOUT.bit_length() - 1)].append(entry)
        for group in levels.values():
            total = sum(entry[0] for entry in group)
            if len(group) >= FANOUT or total >= FULL_ROWS:
                sizes = accumulate(entry[0] for entry in group)
                chosen = [e for e, size in zip(group, sizes, strict=True) if size <= limit]
                if len(chosen) > 1 and (len(chosen) == len(group) or limit == MAX_ROWS):
                    return chosen
        return []

    def _merge(self, group: list[Entry]) -> None:
        several = []
        for entry in group:
            rows = self.rows_type.unpack(load(entry[1], entry[2]))
            several.append((rows, choose(rows.ids, None, entry[4])))
        digests = {entry[1] for entry in group}
        rest = tuple(entry for entry in self.entries if entry[1] not in digests)
        self.entries = (*rest, make_entry(self.rows_type.merge(several)))


def make_entry(rows: Rows) -> Entry:
    """Return a new segment of ``rows`` with what the shelf has to know of it."""
    parts = rows.pack()
    bounds = (int(rows.ids[0]), int(rows.ids[-1]))
    return len(rows.ids), _digest(parts), Segment(parts), bounds, ()


def load(digest: bytes, segment: Segment) -> Parts:
    """Return a segment's bytes; the object itself becomes a ghost again."""
    parts: Parts = segment.parts
    if _digest(parts) != digest:
        raise StorageError(
            "a part of the knowledge catalog's index is damaged; rebuild it with batos reindex, "
            "or restore a backup",
            sha256=digest.hex(),
        )
    segment._p_deactivate()
    return parts


def choose(
    ids: NDArray[np.int64], wanted: NDArray[np.int64] | None, dead: tuple[Range, ...]
) -> NDArray[np.bool_] | None:
    """Return which of the ascending ``ids`` are wanted and alive; None when all are."""
    chosen = None if wanted is None else inside(ids, _touching(ids, wanted))
    if not dead:
        return chosen
    alive = ~inside(ids, np.array(dead, np.int64))
    return alive if chosen is None else chosen & alive


def inside(ids: NDArray[np.int64], ranges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of the ascending ``ids`` lie in one of the ``(m, 2)`` ranges.

    >>> inside(np.arange(5), np.array([[1, 3], [4, 9]])).tolist()
    [False, True, True, False, True]
    """
    edges = np.searchsorted(ids, ranges)
    begun, ended = (np.bincount(edges[:, side], minlength=len(ids) + 1) for side in (0, 1))
    covered: NDArray[np.bool_] = np.cumsum(begun - ended)[:-1] > 0
    return covered


def _touching(ids: NDArray[np.int64], ranges: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of the ascending ranges that may hold one of the ids.

    Documents lie in a segment in order of arrival, so that of ten thousand ranges each is
    looked at in one segment or two.
    """
    start = int(np.searchsorted(ranges[:, 1], ids[0], side="right"))
    stop = int(np.searchsorted(ranges[:, 0], ids[-1], side="right"))
    return ranges[start : max(start, stop)]


def _dead_count(entry: Entry) -> int:
    """Return how many rows are dead; all rows of a document are in one segment."""
    return sum(stop - start for start, stop in entry[4])


def _digest(parts: Parts) -> bytes:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.digest()
