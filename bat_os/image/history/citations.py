"""Which methods cite a document: an index, so that editing one does not read every method.

    root["citations"]  id of a document -> oids of the methods with a version that cites it

All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree, OOTreeSet

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from bat_os.image.objects import Method, MethodVersion

    Root = MutableMapping[str, Any]

ROOT_NAME: Final = "citations"
_DOCUMENT: Final = "document:"


def is_indexed(doc_id: str) -> bool:
    """Return whether citations of such a document are entered; seeds and methods are not."""
    return doc_id.startswith(_DOCUMENT)


def cites(version: MethodVersion, doc_id: str) -> bool:
    """Return whether the writer of a version was shown the document."""
    return doc_id in version.provenance.get("passages", ())


def note(root: Root, method: Method, version: MethodVersion) -> None:
    """Enter what a version of a method cites."""
    if ROOT_NAME not in root:
        root[ROOT_NAME] = OOBTree()
    told = {one for one in version.provenance.get("passages", ()) if is_indexed(one)}
    if told and method._p_oid is None:  # made in this transaction
        root._p_jar.add(method)  # type: ignore[attr-defined]  # ZODB: the root's connection
    for doc_id in told:
        if doc_id not in root[ROOT_NAME]:
            root[ROOT_NAME][doc_id] = OOTreeSet()
        root[ROOT_NAME][doc_id].insert(method._p_oid.hex())


def citing(root: Mapping[str, Any], doc_id: str) -> Iterator[Method]:
    """Yield the methods whose current version cites a document."""
    jar = root._p_jar  # type: ignore[attr-defined]  # ZODB: the root's connection
    for oid in root.get(ROOT_NAME, {}).get(doc_id, ()):
        method = jar.get(bytes.fromhex(oid))
        if method.current >= 0 and cites(method.versions[method.current], doc_id):
            yield method
