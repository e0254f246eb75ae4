"""Passages found by words: zope.index's Okapi while there are few, segments from then on.

Both have zope.index's interfaces and its pipeline, so the catalog does not see which one it
has. Okapi writes several kilobytes per passage and takes 1.5 ms a query at ten thousand of
them; segments write some 200 bytes and take a tenth of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import BTrees
import numpy as np
from zope.index.interfaces import IInjection, IStatistics
from zope.index.text.interfaces import ISplitter
from zope.index.text.lexicon import Lexicon
from zope.index.text.okapiindex import OkapiIndex
from zope.interface import implementer

from bat_os.image.knowledge.postings import PostingRows, bm25
from bat_os.image.knowledge.ranking import rank, split_words
from bat_os.image.knowledge.shelf import Shelf, inside

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from bat_os.image.knowledge.shelf import SegmentCache

# Past this, plain Okapi costs more than it is worth; see docs/benchmarks.md.
OKAPI_PASSAGES: Final = 500


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


@implementer(IInjection, IStatistics)
class SegmentedText(Shelf):
    """A text index over immutable segments; the large catalog's."""

    rows_type: ClassVar = PostingRows
    pipeline: ClassVar = (WordSplitter(),)

    def index_doc(self, docid: int, value: str) -> None:
        """Index one passage; many at once go through ``index_docs``."""
        self.index_docs([docid], [value])

    def index_docs(self, numbers: Sequence[int], texts: Sequence[str]) -> None:
        """Index passages under ascending ids, which are new."""
        self.append(
            PostingRows.build(np.array(numbers, np.int64), [self.parse(text) for text in texts])
        )

    def unindex_doc(self, docid: int) -> None:
        """Forget one passage."""
        self.remove(docid, docid + 1)

    def clear(self) -> None:
        """Forget everything."""
        self.entries = ()

    def documentCount(self) -> int:  # noqa: N802 - zope's name
        """Return how many passages there are."""
        return len(self)

    def wordCount(self) -> int:  # noqa: N802 - zope's name
        """Return how many different words there are; reads the whole index."""
        keys = [rows.keys for rows, _ in self.loaded(None)]
        return len(np.unique(np.concatenate(keys))) if keys else 0

    def parse(self, text: str) -> list[str]:
        """Return the words of a text, by the pipeline."""
        words = [text]
        for element in self.pipeline:
            words = element.process(words)
        return words

    def rank(
        self, query: str, wanted: NDArray[np.int64] | None, cache: SegmentCache | None = None
    ) -> list[int]:
        """Return the ids of the best passages, best first; see ``rank_words``."""
        return bm25(list(self.loaded(wanted, cache)), self.parse(query))


def rank_words(
    index: Any, query: str, wanted: NDArray[np.int64] | None, cache: SegmentCache | None = None
) -> list[int]:
    """Return the ids of the passages that fit best, best first; any word may match.

    Args:
        index: An Okapi index or a ``SegmentedText``.
        query: A text; no character in it has a special meaning.
        wanted: Ranges of ids to choose from, or None for all.
        cache: Unpacked segments.
    """
    if isinstance(index, SegmentedText):
        return index.rank(query, wanted, cache)
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
