"""The knowledge catalog: documents, their passages, a text index and vectors, as one.

A document, its passages, its words and its vectors go into the image in one transaction, so
the index cannot drift from what it indexes. A search ranks passages by words (Okapi BM25)
and by meaning (cosine), for every query, and adds the rankings up by reciprocal rank.

    learn > sentences > embed > passages > embed > one transact: KnowledgeCatalog.add
    search > embed > one transact: KnowledgeCatalog.search > Passage, best first

``KnowledgeCatalog`` lives in the image and never waits; ``CatalogService`` does the
waiting: it splits and embeds outside of any transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import BTrees
import numpy as np
from BTrees.LOBTree import LOBTree
from BTrees.OOBTree import OOBTree
from persistent import Persistent
from zope.index.text.lexicon import Lexicon, Splitter
from zope.index.text.okapiindex import OkapiIndex

from bat_os.core.ranking import DEPTH, as_rows, fuse, rank, split_words
from bat_os.core.values import check
from bat_os.errors import ArgumentsError
from bat_os.image.segments import VectorSegment, merge_small

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from numpy.typing import NDArray


Kind = Literal["document", "method", "codex"]
# The order is part of the file format: a kind's place stands in its passages' ids.
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
ROOT_NAME: Final = "knowledge_catalog"

_KIND_SHIFT: Final = 48


@dataclass(frozen=True, slots=True)
class Passage:
    """A part of a document that a search found.

    Attributes:
        doc_id, title, kind: Of its document.
        score: Sum of reciprocal ranks; compares passages of one search only.
        similarity: Best cosine to any of the queries, -1 to 1; compares across searches.
        position: Which passage of its document, from 0.
    """

    doc_id: str
    title: str
    kind: Kind
    text: str
    score: float
    similarity: float
    position: int


class Document(Persistent):
    """A document and its passages; only the documents of found passages are loaded.

    Attributes:
        first: Id of passage 0; the others follow without a gap.
        meta: Plain data; the catalog keeps it and does not look inside.
    """

    def __init__(self, doc_id: str, title: str, kind: Kind, passages: tuple[str, ...]) -> None:
        self.doc_id = doc_id
        self.title = title
        self.kind = kind
        self.passages = passages
        self.first = 0
        self.meta: dict[str, Any] = {}


class KnowledgeCatalog(Persistent):
    """All documents, with the indexes that find their passages.

    Use it inside ``ImageStore.transact`` only. A search reads all vectors, 1.5 kB each at
    384 dimensions: fine to some hundred thousand passages, and linear beyond. Two writers
    at once conflict, and the later one runs again.

    Attributes:
        dimensions: d of the vectors, from the first document on; 0 before.
        segments: (rows, segment) pairs. Eight small segments of a size become one, so a
            new document rewrites few vectors and a search reads few records.
    """

    def __init__(self) -> None:
        self.dimensions = 0
        self.segments: tuple[tuple[int, VectorSegment], ...] = ()
        self._documents = OOBTree()
        self._starts = LOBTree()  # id of a document's first passage -> document
        self._text = OkapiIndex(Lexicon(Splitter()), family=BTrees.family64)
        self._next = 0

    def __contains__(self, doc_id: object) -> bool:
        return doc_id in self._documents

    def __len__(self) -> int:
        return len(self._documents)

    def doc_ids(self, kind: Kind | None = None) -> list[str]:
        """Return the ids of all documents, or of those of one kind, sorted."""
        low, high = _id_range(kind)
        return sorted(document.doc_id for document in self._starts.values(low, high))

    def meta(self, doc_id: str) -> dict[str, Any]:
        """Return a copy of a document's meta data; empty for an unknown document."""
        document = self._documents.get(doc_id)
        return dict(document.meta) if document is not None else {}

    def add(
        self,
        doc_id: str,
        title: str,
        passages: Sequence[str],
        vectors: NDArray[np.float32] | bytes,
        *,
        kind: Kind = "document",
        meta: Mapping[str, Any] | None = None,
    ) -> int:
        """Keep a document, in place of an earlier one of that id; return its passage count.

        Args:
            doc_id: Who it is; any text.
            title: Found by words together with every passage.
            passages: n texts, in order.
            vectors: ``(n, d)``, rows of length 1, or the bytes of such float32 rows.
            kind: What a search can be limited to.
            meta: Plain data to keep with it.

        Raises:
            ArgumentsError: No passage, not one vector per passage, vectors of another
                length than the catalog's, or an unknown kind.
            NotPlainError: ``meta`` is not plain data.
        """
        rows = as_rows(vectors, len(passages), self.dimensions)
        low, _ = _id_range(kind)
        meta = dict(meta or {})
        check(meta, where="meta")
        self.remove(doc_id)
        document = Document(doc_id, title, kind, tuple(passages))
        document.meta = meta
        document.first = low + self._next
        self._next += len(passages)
        self._documents[doc_id] = document
        self._starts[document.first] = document
        for number, passage in enumerate(passages, document.first):
            self._text.index_doc(number, " ".join(split_words(f"{title}\n{passage}")))
        ids = np.arange(document.first, document.first + len(passages))
        self.dimensions = rows.shape[1]
        self.segments = merge_small((*self.segments, (len(ids), VectorSegment(ids, rows))))
        return len(passages)

    def remove(self, doc_id: str) -> bool:
        """Forget a document; return False when there is none of that id."""
        document = self._documents.pop(doc_id, None)
        if document is None:
            return False
        del self._starts[document.first]
        end = document.first + len(document.passages)
        for number in range(document.first, end):
            self._text.unindex_doc(number)
        kept: list[tuple[int, VectorSegment]] = []
        for count, segment in self.segments:
            ids, rows = segment.load()
            stays = (ids < document.first) | (ids >= end)
            left = int(stays.sum())
            if left == count:
                kept.append((count, segment))
            elif left:
                kept.append((left, VectorSegment(ids[stays], rows[stays])))
        self.segments = tuple(kept)
        return True

    def search(
        self,
        queries: Sequence[str],
        query_vectors: NDArray[np.float32],
        *,
        top_k: int,
        kind: Kind | None = None,
    ) -> list[Passage]:
        """Return up to ``top_k`` passages, best first; equals in order of their arrival.

        Args:
            queries: q texts; any of a query's words may match.
            query_vectors: ``(q, d)``, rows of length 1.
            top_k: 1 to 100.
            kind: Look at documents of this kind only.

        Raises:
            ArgumentsError: ``top_k``, the kind or the vectors' shape is off.
        """
        if not 1 <= top_k <= DEPTH:
            raise ArgumentsError(f"top_k is {top_k}; it goes from 1 to {DEPTH}")
        wanted = _id_range(kind)
        if not self.segments or not queries:
            return []
        ids, cosines = self._cosines(as_rows(query_vectors, len(queries), self.dimensions), wanted)
        if not len(ids):
            return []
        rankings = [rank(ids, column) for column in cosines.T]
        rankings += [self._rank_words(query, wanted) for query in queries]
        return [
            self._passage(number, score, float(cosines[np.searchsorted(ids, number)].max()))
            for number, score in fuse(rankings, top_k)
        ]

    def _cosines(
        self, queries: NDArray[np.float32], wanted: tuple[int, int]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the wanted passages' ids, ascending, and their ``(n, q)`` cosines."""
        parts = [segment.load() for _, segment in self.segments]
        ids = np.concatenate([ids for ids, _ in parts])
        cosines = np.concatenate([rows @ queries.T for _, rows in parts])
        order = np.argsort(ids)
        order = order[(ids[order] >= wanted[0]) & (ids[order] <= wanted[1])]
        return ids[order], cosines[order]

    def _rank_words(self, query: str, wanted: tuple[int, int]) -> list[int]:
        # The index's own search ORs the words; a TextIndex.apply would AND them and read
        # "?" as a wildcard, which finds nothing for most questions.
        found = self._text.search(" ".join(split_words(query)))
        if not found:
            return []
        hits = list(found.items(*wanted))
        numbers = np.fromiter((number for number, _ in hits), np.int64, len(hits))
        return rank(numbers, np.fromiter((score for _, score in hits), np.float32, len(hits)))

    def _passage(self, number: int, score: float, similarity: float) -> Passage:
        document = self._starts[self._starts.maxKey(number)]
        position = number - document.first
        text = document.passages[position]
        about = (document.doc_id, document.title, document.kind, text)
        return Passage(*about, score=score, similarity=similarity, position=position)


def catalog_in(root: MutableMapping[str, Any]) -> KnowledgeCatalog:
    """Return the image's catalog; the first call puts an empty one there."""
    catalog: KnowledgeCatalog | None = root.get(ROOT_NAME)
    if catalog is None:
        catalog = root[ROOT_NAME] = KnowledgeCatalog()
    return catalog


def _id_range(kind: Kind | None) -> tuple[int, int]:
    """Return the lowest and the highest passage id of a kind, or of all kinds."""
    if kind is None:
        return 0, (len(KINDS) << _KIND_SHIFT) - 1
    if kind not in KINDS:
        raise ArgumentsError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    code = KINDS.index(kind)
    return code << _KIND_SHIFT, ((code + 1) << _KIND_SHIFT) - 1
