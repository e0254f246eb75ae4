"""Lessons that wait for their place in the indexes of the catalog.

    leave   > the tray of the kernel: id of the document -> (document, its vectors)
    search  > beside the segments of each index one more, made in memory of what waits
    fold    > up to FOLD of them into the indexes, in one transaction of one kernel

A document in the indexes changes the catalog's counter and the tuple of segments of each, which
all kernels write; a tray is written by its kernel, and by the one that folds. That of a lone
kernel is "".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from BTrees.OOBTree import OOBTree
from persistent import Persistent

from bat_os.image.knowledge.document import facets, id_range, is_readable, wanted_facets
from bat_os.image.knowledge.ranking import split_words
from bat_os.image.knowledge.shelf import inside, load, make_entry
from bat_os.image.knowledge.text import PostingRows
from bat_os.image.knowledge.vectors import VectorRows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bat_os.image.knowledge.document import Document, Kind
    from bat_os.image.knowledge.shelf import Entry, Part, SegmentCache

    Lesson = tuple[Document, Entry]

FOLD: Final = 64
WORTH: Final = 24  # lessons; a fold writes some 20 kB that the next replaces, however few they are
LONG: Final = 32  # passages; a longer document does not wait
_WAITED: Final = 1 << 46  # least passage id; those of the catalog, and of old trays, lie below


class Tray(Persistent):
    """What one kernel has learned and nobody has folded.

    Attributes:
        next: Number of the next passage, which earlier programs count.
        lessons: id of a document -> (document, its vectors as an entry of a shelf).
    """

    def __init__(self, place: int) -> None:
        self.next = place << 32
        self.lessons = OOBTree()


def put(trays: Any, kernel: str, document: Document, vectors: NDArray[np.float32]) -> None:
    """Lay a stored document, which is in no tray yet, into that of a kernel."""
    tray = trays.get(kernel)
    if tray is None:
        tray = trays[kernel] = Tray(len(trays) + 1)
    # No counter, which all lessons would change. The ids of a fork begin at random, up to 2**62.
    own = int.from_bytes(document._p_oid, "big") * LONG % _WAITED
    document.first = id_range(document.kind)[0] + _WAITED + own
    rows = VectorRows.quantize(np.arange(document.first, document.stop), vectors)
    tray.lessons[document.doc_id] = document, make_entry(rows)


def pop(trays: Any, doc_id: str) -> Document | None:
    """Take a document out of the tray that has it, if one does."""
    for tray in trays.values():
        if doc_id in tray.lessons:
            document: Document = tray.lessons.pop(doc_id)[0]
            return document
    return None


def find(trays: Any, doc_id: str) -> Document | None:
    """Return a document that waits, or None."""
    held = (tray.lessons.get(doc_id) for tray in trays.values())
    return next((lesson[0] for lesson in held if lesson is not None), None)


def lessons_in(trays: Any) -> list[Lesson]:
    """Return all that waits and can be read, by passage ids."""
    held = [lesson for tray in trays.values() for lesson in tray.lessons.values()]
    lessons = [lesson for lesson in held if is_readable(lesson[0])]
    return sorted(lessons, key=lambda lesson: lesson[0].first)


def matching(
    trays: Any, kind: Kind | None, filters: Mapping[str, Any] | None
) -> list[tuple[int, Document]]:
    """Return (first passage id, document) of what waits and ``filters`` let through."""
    start, stop = id_range(kind)
    wanted = list(zip(filters or (), map(set, wanted_facets(filters or {})), strict=True))
    return [
        (one.first, one)
        for one, _ in lessons_in(trays)
        if start <= one.first < stop
        and not any(row.isdisjoint(facets(key, one.meta.get(key))) for key, row in wanted)
    ]


def take(trays: Any, limit: int) -> list[Lesson]:
    """Take up to ``limit`` lessons out of their trays; return them by passage ids."""
    taken = lessons_in(trays)[:limit]
    for document, _ in taken:
        pop(trays, document.doc_id)
    return taken


def rows_of(lessons: Sequence[Lesson]) -> tuple[PostingRows, VectorRows]:
    """Return the rows for both indexes of some lessons, one at least."""
    ids = np.concatenate([np.arange(one.first, one.stop) for one, _ in lessons])
    texts = [split_words(text) for one, _ in lessons for text in one.indexed()]
    held = [(VectorRows.unpack(load(entry[1], entry[2])), None) for _, entry in lessons]
    return PostingRows.build(ids, texts), VectorRows.merge(held)


def parts_of(
    trays: Any, found: Sequence[tuple[int, Document]], cache: SegmentCache | None
) -> tuple[list[Part], list[Part], tuple[bytes, ...]]:
    """Return what a search ranks besides the segments: of words, of vectors, keys in ``cache``.

    ``found`` are the documents that the search may find, of all that wait.
    """
    lessons = lessons_in(trays)
    if not lessons:
        return [], [], ()
    key = b"inbox" + np.array([one.first for one, _ in lessons], np.int64).tobytes()
    words, vectors = (
        rows_of(lessons) if cache is None else cache.made(key, lambda: rows_of(lessons))
    )
    wanted = np.array([(one.first, one.stop) for _, one in found], np.int64).reshape(-1, 2)
    mask = inside(words.ids, wanted)
    return [(words, mask)], [(vectors, mask)], (key,)
