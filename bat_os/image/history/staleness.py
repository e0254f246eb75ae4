"""Which methods to look at again: something changed under them, or a mark says so.

Beside what a method stands on (``basis``) two things of the world count for those that send to
other objects: the library of the program, and grants that they used. All functions work on the
root inside ``ImageStore.transact``.

    root["method_marks"][oid]["broken"]   version, at, why: its examples did not hold any more
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.image import grants
from bat_os.image.history import basis, entries, marks
from bat_os.image.history.faults import failing
from bat_os.image.objects import ref_of
from bat_os.image.shipped import library_stamp

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bat_os.image.objects import Method, UvmObject

    Root = MutableMapping[str, Any]

BROKEN: Final = "broken"
_SENDS: Final = re.compile(r"\.send\(|\bself\.\w+\.\w+\(")  # to an object that it refers to


def stale(root: Root, now: float) -> list[dict[str, Any]]:
    """Return the methods to look at again.

    Each has ``object``, ``selector``, ``version``, ``changes``, ``tainted`` and ``failing`` as
    ``marks`` has them, and ``broken``: why its examples do not hold any more, or "".
    """
    rows = []
    for holder, method in entries.learned(root):
        beneath = [*basis.changes(root, holder, method), *_in_the_world(root, holder, method, now)]
        tainted, flagged = marks.taint(root, method), failing(root, method)
        broken = broken_by(root, method)
        if beneath or tainted or flagged or broken:
            rows.append({
                "object": holder.name or ref_of(holder).oid, "selector": method.selector,
                "version": method.current + 1, "changes": beneath, "tainted": tainted,
                "failing": flagged, "broken": broken,
            })  # fmt: skip
    return rows


def broken_by(root: Root, method: Method) -> str:
    """Return why the examples of the current version do not hold any more, or ""."""
    mark = marks.noted(root, method, BROKEN)
    return str(mark["why"]) if mark.get("version") == method.current + 1 else ""


def settle(root: Root, holder: UvmObject, method: Method, why: str, *, at: float) -> None:
    """Note that a method was verified again, or with ``why`` that it does not hold any more."""
    mark = {"version": method.current + 1, "why": why, "at": at} if why else {}
    marks.set_mark(root, BROKEN, method, mark)
    if not why:
        basis.note(root, holder, method)


def _in_the_world(
    root: Root, holder: UvmObject, method: Method, now: float
) -> list[dict[str, Any]]:
    if not _SENDS.search(method.versions[method.current].source):
        return []
    found = []
    before = marks.basis(root, method).get("library", "")
    if before and before != library_stamp(root):
        found.append({"what": "library", "name": "the library", "change": "another version"})
    used = grants.used_by(root, f"{ref_of(holder).oid}.{method.selector}", {})
    found += [
        {"what": "grant", "name": one.name or one.oid, "change": "ended"}
        for one, _ in used
        if not grants.chain(root, one.oid, now)
    ]
    return found
