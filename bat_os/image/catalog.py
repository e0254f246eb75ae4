"""The knowledge catalog: documents, their passages, a text index and vectors, as one.

A document, its passages, its words and its vectors go into the image in one transaction, so
the index cannot drift from what it indexes. A search ranks passages by words (BM25) and by
meaning (cosine), for every query, and adds the rankings up by reciprocal rank.

``KnowledgeCatalog`` lives in the image and never waits; ``CatalogService`` does the
waiting. What takes long (a change of model, merges, checks) is done in steps of bounded size,
which the service calls one after the other. The indexes are in ``bat_os.image.knowledge``.
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
from bat_os.errors import ArgumentsError, ImageError
from bat_os.image.knowledge import text as words
from bat_os.image.knowledge.document import Document, facets_of, firsts, id_range, ranges
from bat_os.image.knowledge.document import Kind as Kind
from bat_os.image.knowledge.document import Passage as Passage
from bat_os.image.knowledge.ranking import DEPTH, as_rows, fuse
from bat_os.image.knowledge.text import OKAPI_PASSAGES, SegmentedText
from bat_os.image.knowledge.vectors import VectorIndex, describe_model, is_same

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence

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
        embedder: ``name`` and ``probe`` of the model that made the vectors; see
            ``claim``. Empty before the first document.
        rewording: The text index is being filled again as well.
        waiting: First passage ids of documents that have no vectors yet, while the catalog
            is reindexed for another embedding model; they are found by words until then.
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
        """Return the documents of a kind with certain meta data, in order of arrival."""
        if not filters:
            start, stop = id_range(kind)
            return list(self._starts.values(start, stop - 1))
        return [self._starts[first] for first in firsts(self._facets, kind, filters)]

    def document(self, doc_id: str) -> Document | None:
        """Return a document, or None."""
        document: Document | None = self._documents.get(doc_id)
        return document

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

    def remove(self, doc_id: str) -> bool:
        """Remove a document; return False if there is none of that id."""
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

    def set_label(self, doc_id: str, label: Iterable[str]) -> None:
        """Note which grants had a say in a document."""
        self._documents[doc_id].label = tuple(sorted(label))

    def rename(self, doc_id: str, new_id: str, title: str, meta: Mapping[str, Any]) -> None:
        """Give a document another id, title and meta data; passages and vectors stay."""
        document = self._documents.pop(doc_id)
        words.unindex_passages(self._text, document.first, document.stop)
        self._facets.unindex_doc(document.first)
        document.rename(new_id, title, meta)
        self._documents[new_id] = document
        self._facets.index_doc(document.first, facets_of(document.meta))
        words.index_passages(self._text, document.first, document.indexed())

    def reword(self, document: Document, change: Callable[[Any], Any]) -> None:
        """Change the texts of a document; it waits for new vectors, as after ``begin_reindex``."""
        words.unindex_passages(self._text, document.first, document.stop)
        document.reword(change)
        self._facets.index_doc(document.first, facets_of(document.meta))
        words.index_passages(self._text, document.first, document.indexed())
        self.vectors.remove(document.first, document.stop)
        self.waiting.insert(document.first)

    def purge(self) -> None:
        """Drop from the indexes what removed passages have left in them."""
        self.vectors.compact()
        if isinstance(self._text, SegmentedText):
            self._text.compact()
            return
        self._text = words.make_okapi()  # its lexicon forgets no word
        for document in self._starts.values():
            words.index_passages(self._text, document.first, document.indexed())

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

    def claim(self, name: str, probe: NDArray[np.float32]) -> None:
        """Record which model made the vectors, or check that it is still the same one.

        A model is known by its answer to PROBE, so it is the same on every machine, whatever its
        files are called.
        """
        if not self.embedder and self.dimensions in (0, len(probe)):
            self.embedder = _record(name, probe)
            return
        known = self._probe_of_vectors()
        if is_same(known, probe):
            return
        maker = f"a model of {self.dimensions} dimensions"
        if self.embedder:
            maker = describe_model(self.embedder["name"], known)
        raise ImageError(
            f"the knowledge catalog's vectors were made by {maker}, and the embedding model is now "
            f"{describe_model(name, probe)}; go back to that one, or make them anew: batos reindex"
        )

    def _probe_of_vectors(self) -> NDArray[np.float32]:
        return np.frombuffer(self.embedder.get("probe", b""), np.float16).astype(np.float32)

    def begin_reindex(self, name: str, probe: NDArray[np.float32]) -> int:
        """Forget all vectors and note which documents need new ones; return how many do.

        An interrupted reindexing for this model is resumed. A damaged text index is emptied, and
        filled again with the vectors.
        """
        if not (is_same(self._probe_of_vectors(), probe) and len(self.waiting)):
            self.vectors = VectorIndex()
            self.dimensions = 0
            self.waiting = BTrees.family64.II.TreeSet(self._starts.keys())
            if isinstance(self._text, SegmentedText) and self._text.damaged():
                self._text = SegmentedText()
                self.rewording = True
        self.embedder = _record(name, probe)
        return len(self.waiting)

    def take_waiting(self, limit: int) -> list[tuple[int, str, list[str]]]:
        """Return the next documents to embed: first passage id, digest, and what to embed.

        The limit is passages in all; a longer document comes alone.
        """
        taken: list[tuple[int, str, list[str]]] = []
        total = 0
        for first in self.waiting:
            document = self._starts[first]
            total += len(document.passages)
            if taken and total > limit:
                break
            taken.append((first, document.sha256(), document.embedded()))
        return taken

    def put_vectors(self, first: int, digest: str, vectors: NDArray[np.float32]) -> None:
        """Give a waiting document its vectors, unless it has changed or is gone."""
        document = self._starts.get(first)
        if document is None or first not in self.waiting or document.sha256() != digest:
            return
        self.waiting.remove(first)
        self.dimensions = vectors.shape[1]
        self.vectors.add(np.arange(first, document.stop), vectors)
        if self.rewording:
            words.index_passages(self._text, first, document.indexed())
            self.rewording = len(self.waiting) > 0

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

    def damaged_documents(self, after: int, limit: int) -> tuple[list[str], int | None]:
        """Check the digests of some documents; return (ids of the damaged, where to go on).

        It starts with the passage id above ``after``; -1 starts at the beginning.
        """
        damaged = []
        last: int | None = None
        documents = iter(self._starts.items(after, excludemin=True))
        for _, (first, document) in zip(range(limit), documents, strict=False):
            last = first if last is None else max(last, first)  # damaged keys may be out of order
            whole = document.sha256() == document.digest
            if (
                not whole
                or document.first != first
                or self.document(document.doc_id) is not document
            ):
                damaged.append(document.doc_id)
        return damaged, last if last is not None and last > after else None

    def damaged_indexes(self) -> list[str]:
        """Return which of ``vectors`` and ``text`` are not what was written."""
        text = self._text
        checks = {
            "vectors": self.vectors.damaged(),
            "text": isinstance(text, SegmentedText) and text.damaged(),
        }
        return [name for name, damaged in checks.items() if damaged]


def catalog_in(root: MutableMapping[str, Any]) -> KnowledgeCatalog:
    """Return the image's catalog; the first call puts an empty one there."""
    catalog: KnowledgeCatalog | None = root.get(ROOT_NAME)
    if catalog is None:
        catalog = root[ROOT_NAME] = KnowledgeCatalog()
    return catalog


def _record(name: str, probe: NDArray[np.float32]) -> dict[str, Any]:
    return {"name": name, "probe": probe.astype(np.float16).tobytes()}
