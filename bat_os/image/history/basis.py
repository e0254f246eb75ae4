"""What a method stands on, and what of that has changed since it was written or verified.

    root["method_marks"][oid]["basis"]   version, parents, calls, passages: as they were then

The calls are those of the receiver (``self.double(n)``), by the version that answered them; the
passages are documents that the writer was shown, by their digests. All functions work on the root
inside ``ImageStore.transact``.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Final

from bat_os.image.catalog import catalog_in
from bat_os.image.history import entries, marks
from bat_os.image.objects import Method, ref_of
from bat_os.image.shipped import library_stamp
from bat_os.method.text import parse_method

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

    from bat_os.image.objects import MethodVersion, UvmObject

    Root = MutableMapping[str, Any]

BASIS: Final = "basis"
_UNKNOWN: Final = {"what": "record", "name": "of what it stands on", "change": "not known"}
MAX_PARTS: Final = 64  # calls and documents of one method


def note(root: Root, holder: UvmObject, method: Method) -> None:
    """Keep what the current version of a method stands on now."""
    version = method.versions[method.current]
    calls = {name: _answering(holder, name) for name in _calls_of(version, method.selector)}
    basis = {
        "version": version.number,
        "parents": [ref_of(parent).oid for parent in holder.parents],
        "calls": {name: answer for name, answer in calls.items() if answer},
        "library": library_stamp(root),
        "passages": {doc_id: _digest_of(root, doc_id) for doc_id in _documents_of(version)},
    }
    marks.set_mark(root, BASIS, method, basis)


def changes(root: Root, holder: UvmObject, method: Method) -> list[dict[str, Any]]:
    """Return what has changed under the current version of a method.

    Each has ``what`` (``callee``, ``parents``, ``passage``), ``name``, and ``change`` in words. Of
    a method that an earlier program installed, one ``record`` says that nothing is known.
    """
    basis = marks.basis(root, method)
    if not basis and method.current >= 0 and entries.is_listed(root, holder, method):
        return [dict(_UNKNOWN)]
    if method.current < 0 or basis.get("version") != method.versions[method.current].number:
        return []
    found = [
        {"what": "callee", "name": name, "change": _compare(before, _answering(holder, name))}
        for name, before in basis["calls"].items()
    ]
    parents = [ref_of(parent) for parent in holder.parents]
    if [parent.oid for parent in parents] != basis["parents"]:
        names = ", ".join(parent.name or parent.oid for parent in parents)
        found.append({"what": "parents", "name": names or "none", "change": "changed"})
    for doc_id, before in basis["passages"].items():
        now = _digest_of(root, doc_id)
        change = "" if now == before else "changed" if now else "forgotten"
        found.append({"what": "passage", "name": doc_id, "change": change})
    return [one for one in found if one["change"]]


def _calls_of(version: MethodVersion, selector: str) -> list[str]:
    """Return the messages that a method sends to its own receiver, each once."""
    parsed = parse_method(version.source, selector)
    if parsed is None:
        return []
    own = next((arg.arg for arg in parsed[1].args.args), "")
    return list(dict.fromkeys(_sent_to(own, parsed[1])))[:MAX_PARTS]


def _sent_to(own: str, tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and getattr(called.value, "id", "") == own:
            yield called.attr


def _answering(holder: UvmObject, selector: str) -> list[Any]:
    """Return [oid of the object, number of the version] that answers a message; [] for none."""
    found = holder.lookup(selector)
    if found is None or not isinstance(found[1], Method):
        return []
    return [ref_of(found[0]).oid, found[1].current + 1]


def _compare(before: list[Any], now: list[Any]) -> str:
    if now == before:
        return ""
    if not now:
        return "gone"
    other = "of another object, " if now[0] != before[0] else ""
    return f"{other}version {before[1]} -> {now[1]}"


def _documents_of(version: MethodVersion) -> list[str]:
    shown = version.provenance.get("passages", ())
    return [doc_id for doc_id in dict.fromkeys(shown) if entries.is_indexed(doc_id)][:MAX_PARTS]


def _digest_of(root: Root, doc_id: str) -> str:
    document = catalog_in(root).document(doc_id)
    return "" if document is None else document.digest
