"""The knowledge catalog: documents, their passages, a text index and vectors, as one.

A document, its passages, its words and its vectors go into the image in one transaction, so
the index cannot drift from what it indexes. A search ranks passages by words (BM25) and by
meaning (cosine), for every query, and adds the rankings up by reciprocal rank.

    learn > sentences > embed > passages > embed > one transact: KnowledgeCatalog.add
    search > embed > one transact: KnowledgeCatalog.search > Passage, best first

``KnowledgeCatalog`` lives in the image and never waits; ``CatalogService`` does the
waiting. The indexes themselves are in ``bat_os.image.knowledge``.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import BTrees
import numpy as np
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent
from zope.index.keyword.index import KeywordIndex

from bat_os.core.values import check
from bat_os.errors import ArgumentsError
from bat_os.image.knowledge import limits
from bat_os.image.knowledge import text as words
from bat_os.image.knowledge.document import Document, id_range
from bat_os.image.knowledge.document import Kind as Kind
from bat_os.image.knowledge.document import Passage as Passage
from bat_os.image.knowledge.ranking import DEPTH, as_rows, fuse
from bat_os.image.knowledge.upkeep import grow
from bat_os.image.knowledge.vectors import VectorIndex

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

    from numpy.typing import NDArray

    from bat_os.documents.chunking import Chunk
    from bat_os.image.knowledge.shelf import SegmentCache

ROOT_NAME: Final = "knowledge_catalog"


class KnowledgeCatalog(Persistent):
    """All documents, with the indexes that find their passages.

    Use it inside ``ImageStore.transact`` only. Two writers at once conflict, and the later
    one runs again. At a hundred thousand passages a search takes some milliseconds.

    Attributes:
        dimensions: d of the vectors, from the first document on; 0 before.
        embedder: ``name`` and ``probe`` of the model that made the vectors; see ``claim`` in
            ``bat_os.image.knowledge.upkeep``. Empty before the first document.
        vectors: The vector index.
        rewording: The text index is being filled again as well.
        waiting: First passage ids of documents that have no vectors yet, while the catalog
            goes over to another embedding model; they are found by words until then.
    """

    rewording = False

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

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._documents

    def __len__(self) -> int:
        return len(self._documents)

    def doc_ids(self, kind: Kind | None = None) -> list[str]:
        """Return the ids of all documents, or of those of one kind, sorted."""
        return sorted(document.doc_id for document in self.documents(kind))

    def documents(
        self, kind: Kind | None = None, filters: Mapping[str, Any] | None = None
    ) -> list[Document]:
        """Return the documents of a kind with certain meta data, in order of arrival.

        Raises:
            ArgumentsError: The kind is unknown, or a filter's value cannot be looked for.
        """
        if not filters:
            start, stop = id_range(kind)
            return list(self._starts.values(start, stop - 1))
        return [self._starts[first] for first in limits.firsts(self._facets, kind, filters)]

    def document(self, doc_id: str) -> Document | None:
        """Return a document, or None."""
        document: Document | None = self._documents.get(doc_id)
        return document

    def meta(self, doc_id: str) -> dict[str, Any]:
        """Return a copy of a document's meta data; empty for an unknown document."""
        document = self.document(doc_id)
        return dict(document.meta) if document is not None else {}

    def add(
        self,
        doc_id: str,
        title: str,
        passages: Sequence[str | Chunk],
        vectors: NDArray[np.float32] | bytes,
        *,
        kind: Kind = "document",
        meta: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep a document, in place of an earlier one of that id; return its passage count.

        Args:
            doc_id: Who it is; any text.
            title: Found by words together with every passage.
            passages: n texts, in order; a ``Chunk`` has the headings above it too.
            vectors: ``(n, d)``, rows of length 1, or the bytes of such float32 rows.
            kind: What a search can be limited to.
            meta: Plain data to keep with it; searches can be limited by it.

        Raises:
            ArgumentsError: No passage, not one vector per passage, vectors of another
                length than the catalog's, or an unknown kind.
            NotPlainError: ``meta`` is not plain data.
        """
        rows = as_rows(vectors, len(passages), self.dimensions)
        start, _ = id_range(kind)
        check(meta or {}, where="meta")
        self.remove(doc_id)
        document = Document(doc_id, title, kind, passages, start + self._next)
        document.meta = dict(meta or {})
        grow(self, len(passages))
        self._next += len(passages)
        self._documents[doc_id] = self._starts[document.first] = document
        self._facets.index_doc(document.first, limits.facets_of(document.meta))
        words.index_passages(self._text, document.first, document.indexed())
        self.dimensions = rows.shape[1]
        self.vectors.add(np.arange(document.first, document.stop), rows)
        return len(passages)

    def remove(self, doc_id: str) -> bool:
        """Forget a document; return False when there is none of that id."""
        document = self._documents.pop(doc_id, None)
        if document is None:
            return False
        del self._starts[document.first]
        self._facets.unindex_doc(document.first)
        words.unindex_passages(self._text, document.first, document.stop)
        self.vectors.remove(document.first, document.stop)
        if document.first in self.waiting:
            self.waiting.remove(document.first)
        return True

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

        Args:
            queries: q texts; any of a query's words may match.
            query_vectors: ``(q, d)``, rows of length 1.
            top_k: 1 to 100.
            kind: Look at documents of this kind only.
            filters: Look at documents with this meta data only; all keys have to match,
                and of a list one value. What does not match takes no part in the ranking.
            cache: Keeps unpacked segments between searches.

        Raises:
            ArgumentsError: ``top_k``, the kind, a filter or the vectors' shape is off.
        """
        if not 1 <= top_k <= DEPTH:
            raise ArgumentsError(f"top_k is {top_k}; it goes from 1 to {DEPTH}")
        wanted = limits.ranges(self._facets, self._starts, kind, filters or {})
        if not self._documents or not queries:
            return []
        rows = as_rows(query_vectors, len(queries), self.dimensions)
        rankings = self.vectors.rank(rows, wanted, cache)
        rankings += [words.rank_words(self._text, query, wanted, cache) for query in queries]
        best = list(islice(self._once_per_seed(fuse(rankings, DEPTH)), top_k))
        near = self.vectors.similarities([number for number, _ in best], rows, cache)
        if cache is not None:
            cache.keep({*self.vectors.digests(), *words.text_segments(self._text)})
        return [
            self._starts[self._starts.maxKey(number)].passage(number, score, near.get(number, 0.0))
            for number, score in best
        ]

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


def catalog_in(root: MutableMapping[str, Any]) -> KnowledgeCatalog:
    """Return the image's catalog; the first call puts an empty one there."""
    catalog: KnowledgeCatalog | None = root.get(ROOT_NAME)
    if catalog is None:
        catalog = root[ROOT_NAME] = KnowledgeCatalog()
    return catalog
