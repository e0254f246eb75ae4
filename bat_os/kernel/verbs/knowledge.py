"""Documents in and out of the knowledge catalog, and searches in it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.values import to_wire
from bat_os.image.catalog_service import missing_document
from bat_os.kernel import views

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say


async def learn(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Store the document in the body: ``title``, ``text``, ``source``, ``meta``.

    Returns ``doc_id``, ``passages`` and ``changed``; says on the way how far it has come.
    """
    title, text, source, meta = (request.body[key] for key in ("title", "text", "source", "meta"))
    return await mind.catalog.learn(
        title, text, source=source, meta=meta, progress=lambda line: say(views.progress(line))
    )


async def forget(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Take the document ``body.doc_id`` out of the catalog."""
    doc_id = request.body["doc_id"]
    if not await mind.catalog.forget(doc_id):
        raise missing_document(doc_id)
    return {"doc_id": doc_id, "forgotten": True}


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
             "similarity": round(hit.similarity, 4)}
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
