"""Adds documents to the catalog and answers searches; embeds outside of transactions.

    learn > blocks > sentences > embed > passages > embed > one transact: KnowledgeCatalog.add
    search > embed > one transact: KnowledgeCatalog.search > Passage, best first

A document is there whole or not at all: cancelling ``learn`` at any point loses the document
that is being read and nothing else.

What needs vectors raises ModelError if the embedding model cannot be had, and ImageError if
another one filled the catalog. A kind, filter or ``top_k`` that cannot be is an ArgumentsError.
"""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict, TypeVar, Unpack

from bat_os.core.values import check, ignore_progress
from bat_os.documents.chunking import assemble, join_sentences, split_blocks, split_sentences
from bat_os.documents.readers import find_lines
from bat_os.errors import ArgumentsError, ImageError, NotFoundError, TooLargeError
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_keeping import CatalogKeeping, counted, digest_of
from bat_os.image.history.provenance import mark_dependants
from bat_os.image.knowledge.embedding import BATCH as BATCH
from bat_os.image.knowledge.embedding import CatalogEmbedder
from bat_os.image.knowledge.shelf import SegmentCache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.documents.chunking import Block, Chunk
    from bat_os.image.catalog import Kind, Passage
    from bat_os.image.knowledge.embedding import ShippedVectors
    from bat_os.image.store import ImageStore
    from bat_os.ports import Embedder

    Root = MutableMapping[str, Any]
    Progress = Callable[[str], None]

T = TypeVar("T")
READ_META: Final = frozenset({"form", "format", "language", "pages", "sha256"})
UNLINED: Final = frozenset({"pdf", "html"})  # their text has other lines than the file
Item: TypeAlias = "tuple[str, list[str], dict[str, Any]]"  # title, passages, meta data
log = logging.getLogger(__name__)

REINDEX_PASSAGES: Final = 64
VERIFY_DOCUMENTS: Final = 200
MAX_CHARS: Final = 20_000_000
MAX_SENTENCES: Final = 50_000  # of one document, each with a vector while it is cut into passages
_MAX_NAME: Final = 300


class About(TypedDict, total=False):
    """What is said of a document besides its title and text.

    Attributes:
        source: Where it comes from, a path or an address; without one, the title.
        kind: What a search can be limited to; ``document`` if it is not said.
        meta: Plain data to keep; searches can be limited by it. ``form`` (``markdown``, ``code``)
            and ``language`` say how the text is taken apart. What the document has already and is
            not named here stays, but for what its file said (READ_META).
        progress: Called with what is being done, in words.
    """

    source: str
    kind: Kind
    meta: Mapping[str, Any] | None
    progress: Progress


class CatalogService(CatalogKeeping):
    """Adds documents and answers searches.

    One change of the catalog goes to the image at a time; texts are embedded side by side.
    Unpacked index segments are kept in memory between searches: about 0.7 kB a passage.
    """

    def __init__(self, image: ImageStore, embedder: Embedder) -> None:
        self._image = image
        self._embedder = CatalogEmbedder(image, embedder)
        self._cache = SegmentCache()
        self._writing = asyncio.Lock()

    @property
    def cache(self) -> SegmentCache:
        """Unpacked segments, for a search inside of another transaction."""
        return self._cache

    async def learn(self, title: str, text: str, **about: Unpack[About]) -> dict[str, Any]:
        """Add a document, or replace the earlier one from that source; see ``prepare``."""
        told, work = await self.prepare(title, text, **about)
        if work is not None:
            await self.change(work, f"learn {title[:60]}")
        return told

    async def prepare(
        self, title: str, text: str, **given: Unpack[About]
    ) -> tuple[dict[str, Any], Callable[[Root], int] | None]:
        """Take a document apart; return what ``learn`` returns, and the work that stores it.

        The same text with the same title and meta data costs one short transaction.

        Args:
            title: For people; found by words together with every passage.
            text: The whole document.
            given: What else is known, as ``About`` has it.

        Returns:
            ``doc_id``, ``passages`` (how many), and ``changed``: False when it was known. Then
            there is nothing to store.
        """
        source, kind = given.get("source", ""), given.get("kind", "document")
        progress = given.get("progress", ignore_progress)
        about = dict(given.get("meta") or {}) | ({"source": source} if source else {})
        check(about, where="meta")
        if not all(type(key) is str for key in about):
            raise ArgumentsError("the keys of meta must be text")
        if len(text) > MAX_CHARS:
            raise TooLargeError(f"{title[:60]}: {len(text)} characters; at most {MAX_CHARS}")
        doc_id = document_id(kind, source or title)
        had, known = await self._transact(lambda root: _look(root, doc_id), "look for it")
        about = {key: value for key, value in had.items() if key not in READ_META} | about
        about["sha256"] = digest_of(kind, title, text, repr(sorted(about.items())))
        if known and had.get("sha256") == about["sha256"]:
            return {"doc_id": doc_id, "passages": known, "changed": False}, None
        form = str(about.get("form", "")), str(about.get("language", ""))
        blocks = await asyncio.to_thread(split_blocks, text, *form)
        chunks = await self._chunks(title, blocks, progress)
        if not chunks:
            raise ArgumentsError(f"{title[:60]}: there is no text in it to learn")
        vectors = await self.embed(
            [c.embedded() for c in chunks], counted(progress, title, "passages")
        )
        lined = text if source and about.get("format") not in UNLINED else ""
        lines = await asyncio.to_thread(find_lines, lined, [chunk.text for chunk in chunks])
        more: Any = {"kind": kind, "meta": about, "lines": lines}
        now = time.time()

        def add(root: Root) -> int:
            mark_dependants(root, doc_id, at=now)
            return catalog_in(root).leave(doc_id, title, chunks, vectors, **more)

        return {"doc_id": doc_id, "passages": len(chunks), "changed": True}, add

    async def forget(self, doc_id: str) -> bool:
        """Remove a document; return False when there is none of that id.

        Methods whose model was shown it are marked as to be verified again.
        """
        return await self.change(self.removal(doc_id, time.time()), f"forget {doc_id[:60]}")

    def removal(self, doc_id: str, at: float) -> Callable[[Root], bool]:
        """Return the work that removes a document; it returns False when there is none."""

        def remove(root: Root) -> bool:
            mark_dependants(root, doc_id, at=at, what="forgotten")
            return catalog_in(root).remove(doc_id)

        return remove

    async def documents(
        self, *, kind: Kind | None = None, filters: Mapping[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return doc_id, title, kind, passages (how many) and meta of documents."""
        return await self._transact(
            lambda root: [item.about() for item in catalog_in(root).documents(kind, filters)],
            "list documents",
        )

    async def search(
        self,
        queries: Sequence[str],
        *,
        top_k: int = 5,
        kind: Kind | None = None,
        filters: Mapping[str, Any] | None = None,
    ) -> list[Passage]:
        """Return up to ``top_k`` passages for all queries together, best first.

        Args:
            queries: Texts; blank ones are left out.
            top_k: 1 to 100.
            kind: Look at documents of this kind only.
            filters: Look at documents with this meta data only, ``{"source": "a.md"}``.
        """
        texts = [query for query in queries if query.strip()]
        if not texts:
            return []
        vectors = await self.embed(texts)

        limits: Any = {"top_k": top_k, "kind": kind, "filters": filters, "cache": self._cache}
        return await self._transact(
            lambda root: catalog_in(root).search(texts, vectors, **limits),
            "search the knowledge catalog",
        )

    async def embed(
        self, texts: Sequence[str], count: Callable[[int, int], None] | None = None
    ) -> NDArray[np.float32]:
        """Return the vectors of ``texts`` from the model that the catalog's vectors are from.

        They are embedded BATCH at a time, and so few of them are remembered for a while; ``count``
        is called with (done, all) after each batch.
        """
        return await self._embedder.embed(texts, count)

    async def knows(self, shipped: ShippedVectors) -> bool:
        """Return whether the embedding model is the one that made these vectors."""
        return shipped.are_of(await self._embedder.probe())

    def nbytes(self) -> int:
        """Return how much memory the indexes take between searches."""
        return self._cache.nbytes()

    async def _chunks(self, title: str, blocks: list[Block], tell: Progress) -> list[Chunk]:
        sentences = await asyncio.to_thread(_split_all, blocks)
        every = list(chain.from_iterable(sentences))
        rows = await self.embed(every, counted(tell, title, "sentences"))
        return await asyncio.to_thread(assemble, blocks, sentences, rows)

    async def _transact(self, work: Callable[[Root], T], note: str) -> T:
        return await self._image.transact(work, note=note)

    async def change(self, work: Callable[[Root], T], note: str) -> T:
        """Change the catalog, then merge what the change made ripe, step by step."""
        async with self._writing:
            result = await self._image.transact(work, note=note)
            try:
                while await self._transact(
                    lambda root: catalog_in(root).merge_step(), "merge index segments"
                ):
                    pass
            except ImageError as error:
                # The change is in; the next one tries the merge again.
                log.warning("merging index segments: %s", error)
            return result


def _split_all(blocks: Sequence[Block]) -> list[list[str]]:
    split = [[] if block.whole else split_sentences(block.text) for block in blocks]
    return join_sentences(split, MAX_SENTENCES)


def missing_document(doc_id: str) -> NotFoundError:
    """Return what is said to those who name a document that is not there."""
    return NotFoundError(f"there is no document {doc_id[:100]!r}; batos documents lists them")


def document_id(kind: Kind, source: str) -> str:
    """Return the id of the document from a source; long ones are shortened, and stay apart.

    >>> document_id("document", "docs/security.md")
    'document:docs/security.md'
    """
    name = f"{kind}:{source}"
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}:{digest_of(source)[:16]}"


def _look(root: Root, doc_id: str) -> tuple[dict[str, Any], int]:
    """Return the meta data of a document and how many passages it has; ({}, 0) without one."""
    document = catalog_in(root).document(doc_id)
    return ({}, 0) if document is None else (dict(document.meta), len(document.passages))
