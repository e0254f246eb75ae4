"""Documents in and out of the knowledge catalog, and searches in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.values import to_wire
from bat_os.errors import ArgumentsError, NotFoundError
from bat_os.kernel import views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext

    Say = Callable[[Mapping[str, Any]], None]

MAX_FOUND: Final = 100


async def learn(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Take the document in the body into the catalog: ``title``, ``text``, ``source``, ``meta``.

    Returns ``doc_id``, ``passages`` and ``changed``; tells on the way how far it is.

    Raises:
        ArgumentsError: A field is off, or there is nothing in the text to learn.
        ModelError: The embedding model cannot be had.
    """
    title, text, source = (_text(request, key) for key in ("title", "text", "source"))
    meta = request.body.get("meta") or {}
    if type(meta) is not dict or not title:
        raise ArgumentsError("learn needs a body with title and text, and perhaps source and meta")
    return await mind.catalog.learn(
        title, text, source=source, meta=meta, progress=lambda line: say(views.progress(line))
    )


async def forget(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Take a document out of the catalog, by ``doc_id``.

    Raises:
        NotFoundError: There is none of that id.
    """
    doc_id = _text(request, "doc_id")
    if not await mind.catalog.forget(doc_id):
        raise NotFoundError(f"there is no document {doc_id[:100]!r}")
    return {"doc_id": doc_id, "forgotten": True}


async def documents(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"documents": [...]}``, those that the Architect has taught."""
    found = await mind.catalog.documents(kind="document", filters=_filters(request))
    return {"documents": to_wire(found)}


async def search(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"passages": [...]}`` for ``text``, best first; ``kind`` and ``filters`` limit.

    Raises:
        ArgumentsError: No text, or a limit, kind or filter that is none.
        ModelError: The embedding model cannot be had.
    """
    text, limit = _text(request, "text"), request.body.get("limit", 5)
    if not text.strip():
        raise ArgumentsError("search needs a body with a text")
    if type(limit) is not int or not 1 <= limit <= MAX_FOUND:
        raise ArgumentsError(f"limit is not a number from 1 to {MAX_FOUND}")
    kind: Any = _text(request, "kind") or None
    found = await mind.catalog.search((text,), top_k=limit, kind=kind, filters=_filters(request))
    return {
        "passages": [
            {"doc_id": one.doc_id, "title": one.title, "kind": one.kind, "text": one.text,
             "similarity": round(one.similarity, 4)}
            for one in found
        ]
    }  # fmt: skip


async def reindex(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Make all vectors anew, after a change of the embedding model or damage to an index.

    Returns ``documents`` (how many); tells on the way how far it is. What was broken off
    goes on where it was.

    Raises:
        ModelError: The embedding model cannot be had.
    """
    count = await mind.catalog.reindex(lambda line: say(views.progress(line)))
    return {"documents": count}


def _text(request: Request, key: str) -> str:
    value = request.body.get(key, "")
    if type(value) is not str:
        raise ArgumentsError(f"{key} is no text")
    return value


def _filters(request: Request) -> dict[str, Any]:
    filters = request.body.get("filters") or {}
    if type(filters) is not dict:
        raise ArgumentsError("filters is no map")
    return filters
