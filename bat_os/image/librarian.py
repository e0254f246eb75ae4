"""Takes documents into the catalog and answers searches; embeds outside of transactions.

learn > sentences > embed > passages > embed > one transact: KnowledgeCatalog.add
search > embed > one transact: KnowledgeCatalog.search > Passage, best first
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bat_os.core.chunking import semantic_chunks, split_sentences
from bat_os.errors import ArgumentsError
from bat_os.image.catalog import catalog_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableMapping, Sequence

    from bat_os.image.catalog import Kind, Passage
    from bat_os.image.store import ImageStore
    from bat_os.ports import Embedder


class CatalogService:
    """Takes documents in and answers searches; embeds outside of transactions."""

    def __init__(self, image: ImageStore, embedder: Embedder) -> None:
        self._image = image
        self._embedder = embedder

    async def learn(self, doc_id: str, title: str, text: str, *, kind: Kind = "document") -> int:
        """Take a document in, in place of an earlier one; return its passage count.

        The same text under the same id and title costs one short transaction.

        Raises:
            ArgumentsError: There is nothing in the text to learn.
            ModelError: The embedding model cannot be had.
        """
        digest = _digest(kind, title, text)
        known = await self._image.transact(
            lambda root: catalog_in(root).meta(doc_id), note=f"look for {doc_id[:40]}"
        )
        if known.get("sha256") == digest:
            return int(known["passages"])
        if not (sentences := await asyncio.to_thread(split_sentences, text)):
            raise ArgumentsError(f"{doc_id}: there is no text in it to learn")
        passages = semantic_chunks(sentences, await self._embedder.embed(sentences))
        vectors = await self._embedder.embed(passages)
        meta = {"sha256": digest, "passages": len(passages)}

        def add(root: MutableMapping[str, Any]) -> int:
            return catalog_in(root).add(doc_id, title, passages, vectors, kind=kind, meta=meta)

        return await self._image.transact(add, note=f"learn {doc_id[:60]}")

    async def search(
        self, queries: Sequence[str], *, top_k: int = 5, kind: Kind | None = None
    ) -> list[Passage]:
        """Return up to ``top_k`` passages for all queries together, best first.

        Raises:
            ArgumentsError: ``top_k`` or the kind is off.
            ModelError: The embedding model cannot be had.
        """
        texts = [query for query in queries if query.strip()]
        if not texts:
            return []
        vectors = await self._embedder.embed(texts)
        return await self._image.transact(
            lambda root: catalog_in(root).search(texts, vectors, top_k=top_k, kind=kind),
            note="search the knowledge catalog",
        )

    async def seed(self, lines: Iterable[Mapping[str, str]]) -> int:
        """Make the codex be exactly ``lines``; return how many of them are new.

        Each line is a document with one passage, its prompt and response. Only new lines
        are embedded, and all changes are one transaction.

        Args:
            lines: Mappings with ``prompt``, ``response`` and, for the title, ``persona``.
        """
        passages: dict[str, tuple[str, str]] = {}
        for line in lines:
            title, text = line.get("persona", ""), f"{line['prompt']}\n{line['response']}"
            passages[f"codex:{_digest(title, text)[:16]}"] = (title, text)
        present = await self._image.transact(
            lambda root: catalog_in(root).doc_ids("codex"), note="look at the codex"
        )
        new = [doc_id for doc_id in passages if doc_id not in present]
        if not new and len(present) == len(passages):
            return 0
        texts = [passages[doc_id][1] for doc_id in new]
        vectors = list(await self._embedder.embed(texts)) if new else []

        def replace(root: MutableMapping[str, Any]) -> int:
            catalog = catalog_in(root)
            for doc_id in catalog.doc_ids("codex"):
                if doc_id not in passages:
                    catalog.remove(doc_id)
            for doc_id, vector in zip(new, vectors, strict=True):
                title, text = passages[doc_id]
                catalog.add(doc_id, title, [text], vector[np.newaxis], kind="codex")
            return len(new)

        return await self._image.transact(replace, note="seed the catalog from the codex")


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode(errors="replace")).hexdigest()
