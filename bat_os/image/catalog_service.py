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
import functools
import logging
import time
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypedDict, TypeVar, Unpack

import numpy as np

from bat_os.core.digest import digest
from bat_os.core.values import Counted, check, ignore_progress
from bat_os.documents.chunking import assemble, join_sentences, split_blocks, split_sentences
from bat_os.documents.readers import find_lines
from bat_os.errors import ArgumentsError, ImageError, NotFoundError, TooLargeError
from bat_os.image.catalog import catalog_in
from bat_os.image.history.provenance import mark_dependants
from bat_os.image.knowledge.embedding import BATCH as BATCH
from bat_os.image.knowledge.embedding import CatalogEmbedder
from bat_os.image.knowledge.shelf import SegmentCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

    from numpy.typing import NDArray

    from bat_os.documents.chunking import Block, Chunk
    from bat_os.image.catalog import Kind, Passage
    from bat_os.image.knowledge.embedding import ShippedVectors
    from bat_os.image.store import ImageStore
    from bat_os.method.seeds import Seed
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


class CatalogService:
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
        about["sha256"] = _digest(kind, title, text, repr(sorted(about.items())))
        if known and had.get("sha256") == about["sha256"]:
            return {"doc_id": doc_id, "passages": known, "changed": False}, None
        form = str(about.get("form", "")), str(about.get("language", ""))
        blocks = await asyncio.to_thread(split_blocks, text, *form)
        chunks = await self._chunks(title, blocks, progress)
        if not chunks:
            raise ArgumentsError(f"{title[:60]}: there is no text in it to learn")
        vectors = await self.embed(
            [c.embedded() for c in chunks], _counted(progress, title, "passages")
        )
        lined = text if source and about.get("format") not in UNLINED else ""
        lines = await asyncio.to_thread(find_lines, lined, [chunk.text for chunk in chunks])
        more: Any = {"kind": kind, "meta": about, "lines": lines}
        now = time.time()

        def add(root: Root) -> int:
            mark_dependants(root, doc_id, at=now)
            return catalog_in(root).add(doc_id, title, chunks, vectors, **more)

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

    async def reindex(self, progress: Progress = ignore_progress) -> int:
        """Make all vectors anew with the present model; return how many documents it took.

        Documents are found by words all the time, and by meaning as they get their new
        vectors. If it is interrupted, the next call resumes it.
        """
        name, probe = self._embedder.name, await self._embedder.probe()
        total = await self.change(
            lambda root: catalog_in(root).begin_reindex(name, probe), "begin to reindex"
        )
        self._embedder.trust()
        done = 0
        while taken := await self._transact(
            lambda root: catalog_in(root).take_waiting(REINDEX_PASSAGES), "take to reindex"
        ):
            vectors = await self._embedder.embed_all([t for *_, texts in taken for t in texts])

            def put(root: Root, taken: Any = taken, vectors: Any = vectors) -> None:
                ends = np.cumsum([len(texts) for *_, texts in taken])[:-1]
                for (first, sha256, _), rows in zip(taken, np.split(vectors, ends), strict=True):
                    catalog_in(root).put_vectors(first, sha256, rows)

            await self.change(put, f"reindex {len(taken)} documents")
            done += len(taken)
            _counted(progress, "reindexing", "documents")(done, total)
        return done

    async def verify(self, progress: Progress = ignore_progress) -> dict[str, Any]:
        """Compare every document and every index segment with its SHA-256.

        Returns:
            ``documents`` (how many), ``damaged`` (ids of documents that are not what was
            stored: learn them again) and ``indexes`` (names of damaged indexes: reindex).
        """
        count = await self._transact(lambda root: len(catalog_in(root)), "count documents")
        damaged: list[str] = []
        after: int | None = -1
        done = 0
        while after is not None:
            step = functools.partial(_verify_step, after=after)
            found, after = await self._transact(step, "verify documents")
            damaged += found
            done = min(count, done + VERIFY_DOCUMENTS)
            _counted(progress, "verifying", "documents")(done, count)
        indexes = await self._transact(
            lambda root: catalog_in(root).damaged_indexes(), "verify the indexes"
        )
        return {"documents": count, "damaged": damaged, "indexes": indexes}

    async def seed(
        self, lines: Iterable[Mapping[str, str]], shipped: ShippedVectors | None = None
    ) -> int:
        """Make the codex be exactly ``lines``; return how many of them are new.

        Each line is a document with one passage, its prompt and response. Only new lines
        are embedded, and all changes are one transaction.
        """
        return await self._ship("codex", codex_items(lines), shipped)

    async def seed_methods(
        self, seeds: Iterable[Seed], shipped: ShippedVectors | None = None
    ) -> int:
        """Make the seed library be exactly ``seeds``; return how many of them are new.

        Each way to ask for a seed is a passage of its document; a search finds the best.
        """
        return await self._ship("seed", seed_items(seeds), shipped)

    async def _ship(self, kind: Kind, items: Sequence[Item], shipped: ShippedVectors | None) -> int:
        """Make the documents of this kind be exactly ``items``."""
        wanted = {f"{kind}:{_digest(i[0], *i[1], repr(i[2]))[:16]}": i for i in items}
        present = await self._transact(
            lambda root: catalog_in(root).doc_ids(kind), f"look at what is {kind}"
        )
        new = [doc_id for doc_id in wanted if doc_id not in present]
        if not new and len(present) == len(wanted):
            return 0
        texts = [text for doc_id in new for text in wanted[doc_id][1]]
        vectors = await self._embedder.embed_new(texts, shipped)

        def replace(root: Root) -> int:
            catalog = catalog_in(root)
            for doc_id in catalog.doc_ids(kind):
                if doc_id not in wanted:
                    catalog.remove(doc_id)
            start = 0
            for doc_id in new:
                title, passages, meta = wanted[doc_id]
                stop = start + len(passages)
                catalog.add(doc_id, title, passages, vectors[start:stop], kind=kind, meta=meta)
                start = stop
            return len(new)

        return await self.change(replace, f"replace what is {kind}")

    def nbytes(self) -> int:
        """Return how much memory the indexes take between searches."""
        return self._cache.nbytes()

    async def _chunks(self, title: str, blocks: list[Block], tell: Progress) -> list[Chunk]:
        sentences = await asyncio.to_thread(_split_all, blocks)
        every = list(chain.from_iterable(sentences))
        rows = await self.embed(every, _counted(tell, title, "sentences"))
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


def _verify_step(root: Root, after: int) -> tuple[list[str], int | None]:
    return catalog_in(root).damaged_documents(after, VERIFY_DOCUMENTS)


def codex_items(lines: Iterable[Mapping[str, str]]) -> list[Item]:
    """Return the documents that lines of the codex become."""
    return [
        (line.get("persona", ""), [f"{line['prompt']}\n{line['response']}"], {}) for line in lines
    ]


def seed_items(seeds: Iterable[Seed]) -> list[Item]:
    """Return the documents that seeds become."""
    return [
        (seed.selector, [f"{wish}\n{seed.source.splitlines()[0]}" for wish in seed.wishes],
         {"selector": seed.selector, "source": seed.source, "pure": seed.pure})
        for seed in seeds
    ]  # fmt: skip


def missing_document(doc_id: str) -> NotFoundError:
    """Return what is said to those who name a document that is not there."""
    return NotFoundError(f"there is no document {doc_id[:100]!r}; batos documents lists them")


def document_id(kind: Kind, source: str) -> str:
    """Return the id of the document from a source; long ones are shortened, and stay apart.

    >>> document_id("document", "docs/security.md")
    'document:docs/security.md'
    """
    name = f"{kind}:{source}"
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}:{_digest(source)[:16]}"


def _counted(tell: Progress, title: str, what: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(Counted(f"{title}: {done} of {total} {what}", done, total))


def _digest(*texts: str) -> str:
    return digest("\0".join(texts))


def _look(root: Root, doc_id: str) -> tuple[dict[str, Any], int]:
    """Return the meta data of a document and how many passages it has; ({}, 0) without one."""
    document = catalog_in(root).document(doc_id)
    return ({}, 0) if document is None else (dict(document.meta), len(document.passages))
