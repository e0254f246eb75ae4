"""What a catalog needs besides additions and searches: growth, a change of model, checks.

Everything here works on the catalog inside ``ImageStore.transact``, in steps of bounded
size; ``CatalogService`` calls them one after the other.

    claim        vectors of two embedding models are never mixed
    begin/take/put   go over to another model: forget all vectors, then fill them in again
    merge_step   one merge of segments, at most 16,384 rows
    damaged_documents    compare some documents with their digests
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import BTrees
import numpy as np

from bat_os.errors import ImageError
from bat_os.image.knowledge.text import (
    OKAPI_PASSAGES,
    SegmentedText,
    index_passages,
)
from bat_os.image.knowledge.vectors import VectorIndex

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bat_os.image.catalog import KnowledgeCatalog

# What every embedding model is asked once; who answers otherwise is another model.
PROBE: Final = "The image is the identity; the process is replaceable."
SAME: Final = 0.999


def claim(catalog: KnowledgeCatalog, name: str, probe: NDArray[np.float32]) -> None:
    """Record whose vectors these are, or see that they are still the same model's.

    The model is known by its answer to PROBE, so that the same model is the same on every
    machine, whatever its files are called.

    Args:
        catalog: Where vectors are to be added or looked for.
        name: For people.
        probe: The model's vector for PROBE, of length 1.

    Raises:
        ImageError: Another model made the catalog's vectors.
    """
    if not catalog.embedder and catalog.dimensions in (0, len(probe)):
        catalog.embedder = _record(name, probe)
        return
    known = _recorded(catalog)
    if is_same(known, probe):
        return
    maker = f"a model of {catalog.dimensions} dimensions"
    if catalog.embedder:
        maker = named(catalog.embedder["name"], known)
    raise ImageError(
        f"the knowledge catalog's vectors were made by {maker}, and the embedding model is now "
        f"{named(name, probe)}; go back to that one, or make them anew: batos reindex"
    )


def named(name: str, probe: NDArray[np.float32]) -> str:
    """Return how an embedding model is called: its name and six digits of what it answers."""
    coarse = np.rint(probe * 100).astype(np.int8).tobytes()
    return f"{name} ({hashlib.sha256(coarse).hexdigest()[:6]})"


def begin_reindex(catalog: KnowledgeCatalog, name: str, probe: NDArray[np.float32]) -> int:
    """Forget all vectors and note which documents need new ones; return how many do.

    A reindexing to this model that was broken off goes on. A damaged text index is emptied,
    and filled again with the vectors.
    """
    if not (is_same(_recorded(catalog), probe) and len(catalog.waiting)):
        catalog.vectors = VectorIndex()
        catalog.dimensions = 0
        catalog.waiting = BTrees.family64.II.TreeSet(catalog._starts.keys())
        if isinstance(catalog._text, SegmentedText) and catalog._text.damaged():
            catalog._text = SegmentedText()
            catalog.rewording = True
    catalog.embedder = _record(name, probe)
    return len(catalog.waiting)


def take(catalog: KnowledgeCatalog, limit: int) -> list[tuple[int, str, list[str]]]:
    """Return the next documents to embed: first passage id, digest, and what to embed.

    Args:
        catalog: One that ``begin_reindex`` was called on.
        limit: Passages in all; a longer document comes alone.
    """
    taken: list[tuple[int, str, list[str]]] = []
    total = 0
    for first in catalog.waiting:
        document = catalog._starts[first]
        total += len(document.passages)
        if taken and total > limit:
            break
        taken.append((first, document.sha256(), document.embedded()))
    return taken


def put(catalog: KnowledgeCatalog, first: int, digest: str, vectors: NDArray[np.float32]) -> None:
    """Give a waiting document its vectors; nothing happens when it changed or went meanwhile."""
    document = catalog._starts.get(first)
    if document is None or first not in catalog.waiting or document.sha256() != digest:
        return
    catalog.waiting.remove(first)
    catalog.dimensions = vectors.shape[1]
    catalog.vectors.add(np.arange(first, document.stop), vectors)
    if catalog.rewording:
        index_passages(catalog._text, first, document.indexed())
        catalog.rewording = len(catalog.waiting) > 0


def merge_step(catalog: KnowledgeCatalog) -> bool:
    """Merge some segments of an index; return False when nothing is left to merge."""
    text = catalog._text
    return catalog.vectors.merge_step() or (isinstance(text, SegmentedText) and text.merge_step())


def grow(catalog: KnowledgeCatalog, more: int) -> None:
    """Go over from Okapi to segments when ``more`` passages would be too many for it."""
    text = catalog._text
    if isinstance(text, SegmentedText) or text.documentCount() + more <= OKAPI_PASSAGES:
        return
    catalog._text = SegmentedText()
    for document in catalog._starts.values():
        index_passages(catalog._text, document.first, document.indexed())


def damaged_documents(
    catalog: KnowledgeCatalog, after: int, limit: int
) -> tuple[list[str], int | None]:
    """Check the digests of some documents; return (ids of the damaged, where to go on).

    Args:
        catalog: The catalog.
        after: Start with the passage id above this one; -1 starts at the beginning.
        limit: Documents to check.
    """
    damaged = []
    last: int | None = None
    documents = iter(catalog._starts.items(after, excludemin=True))
    for _, (first, document) in zip(range(limit), documents, strict=False):
        last = first if last is None else max(last, first)  # damaged keys may be out of order
        whole = document.sha256() == document.digest
        if (
            not whole
            or document.first != first
            or catalog.document(document.doc_id) is not document
        ):
            damaged.append(document.doc_id)
    return damaged, last if last is not None and last > after else None


def damaged_indexes(catalog: KnowledgeCatalog) -> list[str]:
    """Return which of ``vectors`` and ``text`` are not what was written."""
    text = catalog._text
    checks = {
        "vectors": catalog.vectors.damaged(),
        "text": isinstance(text, SegmentedText) and text.damaged(),
    }
    return [name for name, damaged in checks.items() if damaged]


def _record(name: str, probe: NDArray[np.float32]) -> dict[str, Any]:
    return {"name": name, "probe": probe.astype(np.float16).tobytes()}


def _recorded(catalog: KnowledgeCatalog) -> NDArray[np.float32]:
    return np.frombuffer(catalog.embedder.get("probe", b""), np.float16).astype(np.float32)


def is_same(known: NDArray[np.float32], probe: NDArray[np.float32]) -> bool:
    """Return whether two answers to PROBE are of one model."""
    return len(known) == len(probe) and float(known @ probe) >= SAME
