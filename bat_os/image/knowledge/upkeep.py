"""What is done to a catalog as a whole: other texts, another embedding model, checks.

Steps of bounded size, for what calls them one after the other; no search and no lesson needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import BTrees
import numpy as np
from persistent import Persistent

from bat_os.image.knowledge import inbox
from bat_os.image.knowledge import text as words
from bat_os.image.knowledge.document import facets_of, is_readable
from bat_os.image.knowledge.shelf import Shelf
from bat_os.image.knowledge.text import SegmentedText
from bat_os.image.knowledge.vectors import VectorIndex, is_same

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from bat_os.image.knowledge.document import Document


LAST_ID: Final = (1 << 63) - 1  # of a passage


class CatalogUpkeep(Persistent):
    """The upkeep of ``KnowledgeCatalog``, which has these attributes and says what they are."""

    rewording: bool
    dimensions: int
    embedder: dict[str, Any]
    vectors: VectorIndex
    waiting: Any
    trays: Any
    _next: int
    _documents: Any
    _starts: Any
    _facets: Any
    _text: Any

    def fold(self) -> int:
        """Index what waits; see ``KnowledgeCatalog``."""
        raise NotImplementedError

    def document(self, doc_id: str) -> Document | None:
        """Return a document; see ``KnowledgeCatalog``."""
        raise NotImplementedError

    def rename(self, doc_id: str, new_id: str, title: str, meta: Mapping[str, Any]) -> None:
        """Give a document another id, title and meta data; passages and vectors stay."""
        self.fold()
        document = self._documents.pop(doc_id)
        words.unindex_passages(self._text, document.first, document.stop)
        self._facets.unindex_doc(document.first)
        document.rename(new_id, title, meta)
        self._documents[new_id] = document
        self._facets.index_doc(document.first, facets_of(document.meta))
        words.index_passages(self._text, document.first, document.indexed())

    def reword(self, document: Document, change: Callable[[Any], Any]) -> None:
        """Change the texts of a document; it waits for new vectors, as after ``begin_reindex``."""
        self.fold()
        words.unindex_passages(self._text, document.first, document.stop)
        document.reword(change)
        self._facets.index_doc(document.first, facets_of(document.meta))
        words.index_passages(self._text, document.first, document.indexed())
        self.vectors.remove(document.first, document.stop)
        self.waiting.insert(document.first)

    def holds(self, document: Document, doc_id: str) -> bool:
        """Return whether a document is found by its passages, or waits, under an id."""
        waits = self.document(doc_id) is document and document.doc_id == doc_id
        return self._starts.get(document.first) is document or waits

    def remove_unreadable(self, doc_id: str) -> None:
        """Remove a document whose record is damaged, by what the indexes know of it."""
        document = self._documents.pop(doc_id, None)
        if document is None:
            inbox.pop(self.trays, doc_id)
            return
        for first in [first for first, one in self._starts.items() if one is document]:
            stop = next(iter(self._starts.keys(first, excludemin=True)), LAST_ID)
            if not isinstance(self._text, SegmentedText):  # it forgets them one by one
                stop = min(stop, first + self._next)  # no document has more passages than all have
            self._unindex(first, stop)

    def _unindex(self, first: int, stop: int) -> None:
        """Forget the passages with ids in [first, stop), those of one document."""
        del self._starts[first]
        self._facets.unindex_doc(first)
        words.unindex_passages(self._text, first, stop)
        self.vectors.remove(first, stop)
        if first in self.waiting:
            self.waiting.remove(first)

    def condense(self) -> None:
        """Merge the segments that are not full, after many documents came at once.

        Each change of an index writes the list of its segments, so that few are cheaper for ever.
        """
        for shelf in (self.vectors, self._text):
            if isinstance(shelf, Shelf):
                shelf.condense()

    def purge(self) -> None:
        """Drop from the indexes what removed passages have left in them."""
        self.fold()
        self.vectors.compact()
        if isinstance(self._text, SegmentedText):
            self._text.compact()
            return
        self._text = words.make_okapi()  # its lexicon forgets no word
        for document in self._starts.values():
            words.index_passages(self._text, document.first, document.indexed())

    def begin_reindex(self, name: str, probe: NDArray[np.float32]) -> int:
        """Forget all vectors and note which documents need new ones; return how many do.

        An interrupted reindexing for this model is resumed. A damaged text index is emptied, and
        filled again with the vectors.
        """
        self.fold()
        if not (is_same(probe_of(self.embedder), probe) and len(self.waiting)):
            self.vectors = VectorIndex()
            self.dimensions = 0
            self.waiting = BTrees.family64.II.TreeSet(self._starts.keys())
            if isinstance(self._text, SegmentedText) and self._text.damaged():
                self._text = SegmentedText()
                self.rewording = True
        self.embedder = describe_embedder(name, probe)
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

    def unreadable_lessons(self) -> list[str]:
        """Return the ids of the documents that wait to be indexed and whose record is damaged."""
        held = (pair for tray in self.trays.values() for pair in tray.lessons.items())
        return [doc_id for doc_id, (document, _) in held if not is_readable(document)]

    def damaged_documents(self, after: int, limit: int) -> tuple[list[str], int | None]:
        """Check the digests of some documents; return (ids of the damaged, where to go on).

        It starts with the passage id above ``after``; -1 starts at the beginning.
        """
        damaged = []
        last: int | None = None
        documents = iter(self._starts.items(after, excludemin=True))
        for _, (first, document) in zip(range(limit), documents, strict=False):
            last = first if last is None else max(last, first)  # damaged keys may be out of order
            if not is_readable(document):
                damaged += [key for key, one in self._documents.items() if one is document]
                continue
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


def describe_embedder(name: str, probe: NDArray[np.float32]) -> dict[str, Any]:
    """Return what a catalog keeps of the model that made its vectors."""
    return {"name": name, "probe": probe.astype(np.float16).tobytes()}


def probe_of(embedder: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return what that model answered to PROBE."""
    return np.frombuffer(embedder.get("probe", b""), np.float16).astype(np.float32)
