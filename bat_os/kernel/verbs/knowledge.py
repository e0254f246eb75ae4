"""Documents in and out of the knowledge catalog, and searches in it."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ZODB.utils import p64, u64

from bat_os.core.values import to_wire
from bat_os.documents.chunking import Chunk
from bat_os.errors import ArgumentsError, ConflictError
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import missing_document
from bat_os.image.history.moments import read_at
from bat_os.image.store import watch_commits
from bat_os.kernel import views

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]

_TID: Final = re.compile(r"[0-9a-f]{16}\Z")


async def learn(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Store the document in the body: ``title``, ``text``, ``source``, ``meta``.

    Returns ``doc_id``, ``passages`` and ``changed``; says on the way how far it has come.
    """
    title, text, source, meta = (request.body[key] for key in ("title", "text", "source", "meta"))
    return await mind.catalog.learn(
        title, text, source=source, meta=meta, progress=lambda line: say(views.progress(line))
    )


async def forget(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Take the document ``body.doc_id`` out of the catalog, or ``body.back`` into it again."""
    doc_id = request.body["doc_id"]
    if tid := request.body["back"]:
        await _bring_back(mind, doc_id, tid)
        return {"doc_id": doc_id, "forgotten": False}
    with watch_commits() as commits:
        if not await mind.catalog.forget(doc_id):
            raise missing_document(doc_id)
    return {"doc_id": doc_id, "forgotten": True, "transaction": commits[-1] if commits else ""}


async def _bring_back(mind: KernelContext, doc_id: str, tid: str) -> None:
    """Store a document again as it was before the transaction that forgot it."""
    if not _TID.match(tid):
        raise ArgumentsError(f"{tid!r} names no transaction")

    def look(root: Root) -> tuple[Any, ...] | None:
        found = catalog_in(root).document(doc_id)
        if found is None:
            return None
        rows = [Chunk(text, found.section(i)) for i, text in enumerate(found.passages)]
        about = {"kind": found.kind, "meta": dict(found.meta), "lines": found.lines}
        return found.title, rows, about, found.label

    kept = await read_at(mind.image, p64(u64(bytes.fromhex(tid)) - 1).hex(), look)
    if kept is None:
        raise missing_document(doc_id)
    title, rows, about, label = kept
    vectors = await mind.catalog.embed([row.embedded() for row in rows])

    def put(root: Root) -> None:
        if doc_id in catalog_in(root):
            raise ConflictError(f"{title[:60]} is known again by now")
        catalog_in(root).add(doc_id, title, rows, vectors, **about)
        catalog_in(root).set_label(doc_id, label)

    await mind.catalog.change(put, f"have back {doc_id[:60]}")


async def documents(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"documents": [...]}``, those that the Architect has taught."""
    filters = request.body["filters"]
    return {"documents": to_wire(await mind.catalog.documents(kind="document", filters=filters))}


async def search(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"passages": [...]}`` for ``text``, best first; ``kind`` and ``filters`` limit."""
    body = request.body
    passages = await mind.catalog.search(
        (body["text"],), top_k=body["limit"], kind=body["kind"] or None, filters=body["filters"]
    )
    return {
        "passages": [
            {"doc_id": hit.doc_id, "title": hit.title, "kind": hit.kind, "text": hit.text,
             "similarity": round(hit.similarity, 4), "position": hit.position}
            for hit in passages
        ]
    }  # fmt: skip


async def reindex(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Make all vectors anew, after a change of the embedding model or damage to an index.

    Returns ``documents`` (how many); says on the way how far it has come. If it was interrupted,
    it resumes.
    """
    count = await mind.catalog.reindex(lambda line: say(views.progress(line)))
    return {"documents": count}


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"documents": documents, "forget": forget, "learn": learn, "reindex": reindex, "search": search}
)
