"""The knowledge catalog: documents, their passages, a text index and vectors, as one.

A document, its passages, its words and its vectors go into the image in one transaction, so
the index cannot drift from what it indexes. A search ranks passages by words (BM25) and by
meaning (cosine), for every query, and adds the rankings up by reciprocal rank.

``KnowledgeCatalog`` lives in the image and never waits; ``CatalogService`` does the
waiting. What takes long (a change of model, merges, checks) is done in steps of bounded size,
which the service calls one after the other. The indexes are in ``bat_os.image.knowledge``.
"""

from __future__ import annotations

import sys
from itertools import islice
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import BTrees
import numpy as np
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from zope.index.keyword.index import KeywordIndex

from bat_os.core.values import check
from bat_os.errors import ArgumentsError, ImageError
from bat_os.image.knowledge import inbox
from bat_os.image.knowledge import text as words
from bat_os.image.knowledge.document import (
    Document,
    facets_of,
    firsts,
    id_range,
    is_readable,
    ranges,
)
from bat_os.image.knowledge.document import Kind as Kind
from bat_os.image.knowledge.document import Passage as Passage
from bat_os.image.knowledge.ranking import DEPTH, as_rows, fuse
from bat_os.image.knowledge.text import OKAPI_PASSAGES, SegmentedText
from bat_os.image.knowledge.upkeep import CatalogUpkeep, describe_embedder, probe_of
from bat_os.image.knowledge.vectors import VectorIndex, describe_model, is_same

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

    from numpy.typing import NDArray

    from bat_os.documents.chunking import Chunk
    from bat_os.image.knowledge.shelf import SegmentCache

ROOT_NAME: Final = "knowledge_catalog"


class KnowledgeCatalog(CatalogUpkeep):
    """All documents, with the indexes that find their passages.

    Use it inside ``ImageStore.transact`` only. Two writers at once conflict, and the later
    one runs again; those who ``leave`` a document do not. At a hundred thousand passages a search
    takes some milliseconds.

    Attributes:
        dimensions: d of the vectors, from the first document on; 0 before.
        embedder: ``name`` and ``probe`` of the model that made the vectors; see
            ``claim``. Empty before the first document.
        rewording: The text index is being filled again as well.
        waiting: First passage ids of documents that have no vectors yet, while the catalog
            is reindexed for another embedding model; they are found by words until then.
        trays: Kernel -> what it has left to be indexed; see ``knowledge.inbox``.
    """

    rewording = False
    trays: Any = MappingProxyType({})  # what the past has

    def __init__(self) -> None:
        self.dimensions = 0
        self.embedder: dict[str, Any] = {}
        self.vectors = VectorIndex()
        self.waiting = BTrees.family64.II.TreeSet()
        self._documents = OOBTree()
        self._starts = LOBTree()  # id of a document's first passage -> document
        self._facets = KeywordIndex(family=BTrees.family64)  # of documents, by first passage
        self._text: Any = words.make_okapi()
        self._next = 0
        self.trays = OOBTree()

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._documents or inbox.find(self.trays, str(doc_id)) is not None

    def __len__(self) -> int:
        return len(self._documents) + sum(len(tray.lessons) for tray in self.trays.values())

    def doc_ids(self, kind: Kind | None = None) -> list[str]:
        """Return the ids of all documents, or of those of one kind, sorted."""
        return sorted(document.doc_id for document in self.documents(kind))

    def documents(
        self, kind: Kind | None = None, filters: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """Return the documents of a kind with certain meta data, in order of their passage ids."""
        waiting = inbox.matching(self.trays, kind, filters)
        if filters:
            there = [(first, self._starts[first]) for first in firsts(self._facets, kind, filters)]
        else:
            start, stop = id_range(kind)
            there = list(self._starts.items(start, stop - 1))
        return [document for _, document in sorted([*there, *waiting], key=itemgetter(0))]

    def document(self, doc_id: str) -> Document | None:
        """Return a document, or None."""
        document: Document | None = self._documents.get(doc_id)
        return inbox.find(self.trays, doc_id) if document is None else document

    def meta(self, doc_id: str) -> dict[str, Any]:
        """Return a copy of a document's meta data; empty for an unknown document."""
        document = self.document(doc_id)
        return dict(document.meta) if document is not None else {}

    def add(  # noqa: PLR0913 - a document, and what is known of it
        self,
        doc_id: str,
        title: str,
        passages: Sequence[str | Chunk],
        vectors: NDArray[np.float32] | bytes,
        *,
        kind: Kind = "document",
        meta: Mapping[str, Any] | None = None,
        lines: Sequence[tuple[int, ...]] = (),
    ) -> int:
        """Add a document, or replace the one of that id; return its passage count.

        The title is found by words together with every passage; a ``Chunk`` has the headings above
        it too. ``vectors`` are ``(n, d)``, rows of length 1, or the bytes of such float32 rows.
        """
        rows = as_rows(vectors, len(passages), self.dimensions)
        start, _ = id_range(kind)
        check(meta or {}, where="meta")
        self.remove(doc_id)
        document = Document(doc_id, title, kind, passages, start + self._next)
        document.meta, document.lines = dict(meta or {}), tuple(lines)
        self.grow(len(passages))
        self._next += len(passages)
        self._documents[doc_id] = self._starts[document.first] = document
        self._facets.index_doc(document.first, facets_of(document.meta))
        words.index_passages(self._text, document.first, document.indexed())
        self.dimensions = rows.shape[1]
        self.vectors.add(np.arange(document.first, document.stop), rows)
        return len(passages)

    def leave(
        self, doc_id: str, title: str, passages: Sequence[str | Chunk], vectors: Any, **about: Any
    ) -> int:
        """Add a document as ``add`` does, to be found at once and folded in later.

        A long one is added now, and each while a fold is due, or while the catalog is so small that
        its index of words has no segments.
        """
        kind, meta = about.get("kind", "document"), about.get("meta") or {}
        due = sum(len(tray.lessons) for tray in self.trays.values()) >= inbox.WORTH
        is_now = len(passages) > inbox.LONG or (kind == "document" and due)
        if is_now or self._p_jar is None or not isinstance(self._text, SegmentedText):
            return self.add(doc_id, title, passages, vectors, **about)
        rows = as_rows(vectors, len(passages), self.dimensions)
        check(meta, where="meta")
        self.remove(doc_id)
        document = Document(doc_id, title, kind, passages, 0)
        document.meta, document.lines = dict(meta), tuple(about.get("lines", ()))
        if not isinstance(self.trays, OOBTree):  # an early image of format 5
            self.trays = OOBTree()
        self._p_jar.add(document)  # gives it an id
        inbox.put(self.trays, self._p_jar.db().kernel, document, rows)
        return len(passages)

    def fold(self, limit: int = sys.maxsize) -> int:
        """Move up to ``limit`` of the documents that wait into the indexes; return how many."""
        taken = inbox.take(self.trays, limit)
        if taken:
            text, vectors = inbox.rows_of(taken)
            self._text.append(text)
            self.vectors.append(vectors)
            self.dimensions = vectors.codes.shape[1]
        for document, _ in taken:
            self._documents[document.doc_id] = self._starts[document.first] = document
            self._facets.index_doc(document.first, facets_of(document.meta))
        return len(taken)

    def remove(self, doc_id: str) -> bool:
        """Remove a document; return False if there is none of that id."""
        document = self._documents.pop(doc_id, None)
        if document is None:
            return inbox.pop(self.trays, doc_id) is not None
        self._unindex(document.first, document.stop)
        return True

    def set_label(self, doc_id: str, label: Iterable[str]) -> None:
        """Note which grants had a say in a document."""
        if (document := self.document(doc_id)) is None:
            raise KeyError(doc_id)
        document.label = tuple(sorted(label))

    def search(
        self,
        queries: Sequence[str],
        query_vectors: NDArray[np.float32],
        *,
        top_k: int,
        kind: Kind | None = None,
        filters: Mapping[str, Any] | None = None,
        cache: SegmentCache | None = None,
    ) -> list[Passage]:
        """Return up to ``top_k`` passages, best first; equals in order of their arrival.

        ``query_vectors`` are ``(q, d)``, rows of length 1; any of a query's words may match. All
        keys of ``filters`` have to match, and of a list one value. What does not match takes no
        part in the ranking.
        """
        if not 1 <= top_k <= DEPTH:
            raise ArgumentsError(f"top_k is {top_k}; it goes from 1 to {DEPTH}")
        wanted = ranges(self._facets, self._starts, kind, filters or {})
        if not self._documents or not queries:
            return []
        waiting = inbox.matching(self.trays, kind, filters)
        more_words, more, keys = inbox.parts_of(self.trays, waiting, cache)
        rows = as_rows(query_vectors, len(queries), self.dimensions)
        rankings = self.vectors.rank(rows, wanted, cache, more)
        rankings += [
            words.rank_words(self._text, query, wanted, cache, more_words) for query in queries
        ]
        ranked = self._once_per_seed(fuse(rankings, DEPTH))
        best = list(islice(self._held(ranked, waiting), top_k))
        near = self.vectors.similarities([number for number, *_ in best], rows, cache, more)
        if cache is not None:
            cache.keep({*self.vectors.digests(), *words.text_segments(self._text), *keys})
        return [
            document.passage(number, score, near.get(number, 0.0))
            for number, score, document in best
        ]

    def _held(
        self, ranked: Iterable[tuple[int, float]], waiting: Sequence[tuple[int, Document]]
    ) -> Iterator[tuple[int, float, Document]]:
        """Yield passages as ranked, each with its document, without those that are damaged."""
        for number, score in ranked:
            held = (one for first, one in waiting if first <= number < one.stop)
            document: Document = next(held, None) or self._starts[self._starts.maxKey(number)]
            if is_readable(document):
                yield number, score, document

    def _once_per_seed(self, ranked: Iterable[tuple[int, float]]) -> Iterator[tuple[int, float]]:
        """Yield passages as ranked, of each seed the best: its others say the same again."""
        start, stop = id_range("seed")
        seen = set()
        for number, score in ranked:
            if start <= number < stop:
                first = self._starts.maxKey(number)
                if first in seen:
                    continue
                seen.add(first)
            yield number, score

    def claim(self, name: str, probe: NDArray[np.float32]) -> None:
        """Record which model made the vectors, or check that it is still the same one.

        A model is known by its answer to PROBE, so it is the same on every machine, whatever its
        files are called.
        """
        if not self.embedder and self.dimensions in (0, len(probe)):
            self.embedder = describe_embedder(name, probe)
            return
        known = probe_of(self.embedder)
        if is_same(known, probe):
            return
        maker = f"a model of {self.dimensions} dimensions"
        if self.embedder:
            maker = describe_model(self.embedder["name"], known)
        raise ImageError(
            f"the knowledge catalog's vectors were made by {maker}, and the embedding model is now "
            f"{describe_model(name, probe)}; go back to that one, or make them anew: batos reindex"
        )

    def merge_step(self) -> bool:
        """Merge some segments of an index, at most 16,384 rows; return False if none is left."""
        text = self._text
        return self.vectors.merge_step() or (isinstance(text, SegmentedText) and text.merge_step())

    def grow(self, more: int) -> None:
        """Move from Okapi to segments if ``more`` passages would be too many for it."""
        text = self._text
        if isinstance(text, SegmentedText) or text.documentCount() + more <= OKAPI_PASSAGES:
            return
        self._text = SegmentedText()
        for document in self._starts.values():
            words.index_passages(self._text, document.first, document.indexed())


def catalog_in(root: MutableMapping[str, Any]) -> KnowledgeCatalog:
    """Return the image's catalog; the first call puts an empty one there."""
    catalog: KnowledgeCatalog | None = root.get(ROOT_NAME)
    if catalog is None:
        catalog = root[ROOT_NAME] = KnowledgeCatalog()
    return catalog
