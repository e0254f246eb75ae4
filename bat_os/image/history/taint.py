"""Which methods have to be verified again because of what their writers were shown.

    document changes > versions that cite it > versions whose writers were shown those > ...
                                    the current ones of all of these are marked

The step from method to method goes by the version that was current when the other one was written.
``through`` of a mark names the methods that it came through, from the one whose writer was shown
the document to the one that the writer of this one was shown. ``verify-method`` clears one mark
and no other. All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from bat_os.image.catalog import catalog_in
from bat_os.image.history import entries, marks

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from bat_os.image.objects import Method

    Root = MutableMapping[str, Any]
    _Node = tuple[Method, int, tuple[str, ...]]  # number of its version, and how it was reached


def spread(root: Root, doc_id: str, *, at: float, what: str) -> list[Method]:
    """Mark all current versions that a document reached; return their methods.

    To be called in the transaction that changes or forgets the document, before it does. Nothing
    happens for a document that the catalog does not have: nobody was shown it, or all who were
    have the mark since it was forgotten.
    """
    if doc_id not in catalog_in(root):
        return []
    marked, seen = [], set()
    waiting: deque[_Node] = deque(
        (method, version.number, ())
        for method in entries.ever_citing(root, doc_id)
        for version in method.versions
        if entries.cites(version, doc_id)
    )
    while waiting:
        method, number, through = waiting.popleft()
        if (method._p_oid, number) in seen:
            continue
        seen.add((method._p_oid, number))
        if number == method.current + 1:
            mark = {"at": at, "document": doc_id, "what": what, "version": number}
            marks.set_mark(root, "taint", method, mark | ({"through": through} if through else {}))
            marked.append(method)
        waiting.extend(_written_after(root, (method, number, through)))
    return marked


def _written_after(root: Root, node: _Node) -> Iterator[_Node]:
    """Yield the versions whose writers were shown that version of a method."""
    method, number, through = node
    way = (*through, entries.name_of(root, method))
    for other in entries.ever_citing(root, method):
        for version in other.versions:
            at = version.provenance.get("created", 0.0)
            if method in entries.shown_to(root, version) and number == _current_at(method, at):
                yield other, version.number, way


def _current_at(method: Method, at: float) -> int:
    """Return the number of the version that was the newest at a time."""
    made = [v.number for v in method.versions if v.provenance.get("created", 0.0) <= at]
    return made[-1] if made else 1
