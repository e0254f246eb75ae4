"""What a catalog service does for the catalog as a whole: what ships, folds, new vectors, checks.

lessons wait in the catalog's inbox  >  keep_folding: WORTH and more into the indexes at once
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import numpy as np

from bat_os.core.digest import digest
from bat_os.core.values import Counted, ignore_progress
from bat_os.errors import BatError
from bat_os.failpoints import cross
from bat_os.image.catalog import catalog_in
from bat_os.image.knowledge.inbox import FOLD, WORTH, lessons_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

    from bat_os.image.catalog import Kind
    from bat_os.image.knowledge.embedding import CatalogEmbedder, ShippedVectors
    from bat_os.image.store import ImageStore
    from bat_os.method.seeds import Seed

    Root = MutableMapping[str, Any]
    Progress = Callable[[str], None]

T = TypeVar("T")
Item: TypeAlias = "tuple[str, list[str], dict[str, Any]]"  # title, passages, meta data
log = logging.getLogger(__name__)

REINDEX_PASSAGES: Final = 64
VERIFY_DOCUMENTS: Final = 200
EVERY: Final = 30.0  # seconds between two looks


class CatalogKeeping:
    """The part of ``CatalogService`` that no message waits for.

    Attributes:
        waits_since: When this kernel began to index what waits, as ``time.monotonic`` has it; or 0.
    """

    waits_since = 0.0
    _image: ImageStore
    _embedder: CatalogEmbedder

    async def _transact(self, work: Callable[[Root], T], note: str) -> T:
        raise NotImplementedError

    async def change(self, work: Callable[[Root], T], note: str) -> T:
        """Change the catalog; see ``CatalogService``."""
        raise NotImplementedError

    async def fold(self) -> int:
        """Take lessons that wait into the indexes, FOLD at most; return how many."""

        def work(root: Root) -> int:
            count = catalog_in(root).fold(FOLD)
            cross("fold.done")
            return count

        return await self.change(work, "index what was learned")

    async def keep_folding(self) -> None:
        """Fold all that waits whenever it is worth it, for ever. One kernel of several does."""
        while True:
            await asyncio.sleep(EVERY)
            try:
                waiting = await self._image.read(
                    ("inbox",), _count_lessons, note="look for lessons"
                )
                if waiting >= WORTH:
                    self.waits_since = self.waits_since or time.monotonic()
                    while await self.fold():
                        pass
                self.waits_since = 0.0
            except BatError as error:
                log.warning("what was learned is not indexed: %s", error)

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
            counted(progress, "reindexing", "documents")(done, total)
        return done

    async def verify(self, progress: Progress = ignore_progress) -> dict[str, Any]:
        """Compare every document and every index segment with its SHA-256.

        Returns:
            ``documents`` (how many), ``damaged`` (ids of documents that are not what was
            stored: learn them again) and ``indexes`` (names of damaged indexes: reindex).
        """
        damaged = await self._transact(
            lambda root: catalog_in(root).unreadable_lessons(), "verify lessons"
        )
        while not damaged and await self.fold():
            pass
        count = await self._transact(lambda root: len(catalog_in(root)), "count documents")
        after: int | None = -1
        done = 0
        while after is not None:
            step = functools.partial(_verify_step, after=after)
            found, after = await self._transact(step, "verify documents")
            damaged += found
            done = min(count, done + VERIFY_DOCUMENTS)
            counted(progress, "verifying", "documents")(done, count)
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
        wanted = {f"{kind}:{digest_of(i[0], *i[1], repr(i[2]))[:16]}": i for i in items}
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
            catalog.condense()
            return len(new)

        return await self.change(replace, f"replace what is {kind}")


def _count_lessons(root: Root) -> int:
    return len(lessons_in(catalog_in(root).trays))


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


def counted(tell: Progress, title: str, what: str) -> Callable[[int, int], None]:
    """Return what tells how many are done, of how many."""
    return lambda done, total: tell(Counted(f"{title}: {done} of {total} {what}", done, total))


def digest_of(*texts: str) -> str:
    """Return the digest of several texts."""
    return digest("\0".join(texts))
