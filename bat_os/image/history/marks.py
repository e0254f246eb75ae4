"""What is noted beside a method: pins, taint, moves, what waits for approval.

    root["method_marks"]   oid of the method -> PersistentMapping of pinned, taint, waiting, moves

Kept apart from the method itself, so that noting something never makes a running turn stale; as
who calls it (``uses``) and which calls fail (``faults``). The functions work on the root inside
``ImageStore.transact``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.image.history.beside import record_of
from bat_os.image.history.faults import FAULTS, failing
from bat_os.image.objects import connection_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from persistent.mapping import PersistentMapping

    from bat_os.image.objects import Method

    Root = MutableMapping[str, Any]

MARKS: Final = "method_marks"
MAX_MOVES: Final = 200
_SHELVED: Final = "shelved"  # what waited for approval when the object was deleted
_COPIED: Final = frozenset({"pinned", "taint", "moves"})


def pinned(root: Mapping[str, Any], method: Method) -> int:
    """Return the number of the version that the method is pinned to, or 0."""
    return int(_read(root, method).get("pinned", 0))


def taint(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return why the current version has to be verified again, or {}.

    Keys are ``at`` (Unix time), ``document`` (its id), ``what`` (``changed``, ``forgotten``),
    ``version`` (the current one then; the mark speaks of no other), ``through`` (``taint.py``).
    """
    mark = dict(_read(root, method).get("taint", {}))
    speaks = method.current >= 0 and mark.get("version") == method.versions[method.current].number
    return mark if speaks else {}


def basis(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return what the method stood on when it was written or verified last (``basis.py``)."""
    return dict(_read(root, method).get("basis", {}))


def noted(root: Mapping[str, Any], method: Method, name: str) -> dict[str, Any]:
    """Return the mark of that name, whatever it is, or {}."""
    return dict(_read(root, method).get(name) or {})


def waiting(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return which version waits for the Architect's approval, or {}.

    Keys are ``version``, ``at`` (Unix time), ``oid`` (of the object) and ``mission``.
    """
    return dict(_read(root, method).get("waiting", {}))


def shelve_waiting(root: Root, method: Method) -> None:
    """Let nothing wait for approval while the object of the method is deleted."""
    if waits := waiting(root, method):
        set_mark(root, "waiting", method, {})
        set_mark(root, _SHELVED, method, waits)


def restore_waiting(root: Root, method: Method) -> None:
    """Have what ``shelve_waiting`` put aside wait again."""
    if waits := dict(_read(root, method).get(_SHELVED, {})):
        set_mark(root, _SHELVED, method, {})
        set_mark(root, "waiting", method, waits)


def moves(root: Mapping[str, Any], method: Method) -> tuple[dict[str, Any], ...]:
    """Return what was done to the method, oldest first: ``at``, ``what``, ``version``, ``by``."""
    return tuple(dict(move) for move in _read(root, method).get("moves", ()))


def flags(method: Method) -> dict[str, Any]:
    """Return ``pinned``, ``tainted``, ``waiting``, ``failing`` of a committed method that hold.

    It finds the root by itself, so that showing an object needs nothing else.
    """
    root, key = method._p_jar.root(), method._p_oid.hex()
    if key not in root.get(MARKS, ()) and key not in root.get(FAULTS, ()):  # nearly all of them
        return {}
    marks = {
        "pinned": pinned(root, method),
        "tainted": taint(root, method),
        "waiting": waiting(root, method),
        "failing": failing(root, method),
    }
    return {name: value for name, value in marks.items() if value}


def all_waiting(root: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what waits for the Architect's approval, as ``waiting`` does, oldest first."""
    rows = [dict(mark["waiting"]) for mark in root.get(MARKS, {}).values()
             if mark.get("waiting")]  # fmt: skip
    return sorted(rows, key=lambda row: float(row["at"]))


def refuse_pinned(root: Mapping[str, Any], method: Method) -> None:
    """Raise ``ArgumentsError`` if the method is pinned."""
    if number := pinned(root, method):
        raise ArgumentsError(
            f"{method.selector} is pinned to version {number}; unpin it first", pinned=number
        )


def set_mark(root: Root, name: str, method: Method, mark: Any) -> None:
    """Set ``pinned``, ``taint`` or ``waiting`` as the function of that name returns it."""
    _write(root, method)[name] = mark


def add_move(root: Root, method: Method, move: Mapping[str, Any]) -> None:
    """Note what was done; of more than MAX_MOVES the oldest are dropped."""
    noted = _write(root, method)
    noted["moves"] = (*noted.get("moves", ()), dict(move))[-MAX_MOVES:]


def copy_marks(root: Root, method: Method, twin: Method) -> None:
    """Note pin, taint and moves of a method beside its copy; what waits does so once only."""
    noted = {name: mark for name, mark in _read(root, method).items() if mark and name in _COPIED}
    if noted:
        _write(root, twin).update(noted)


def _read(root: Mapping[str, Any], method: Method) -> Mapping[str, Any]:
    key = method._p_oid.hex() if method._p_oid else ""
    marks: Mapping[str, Any] = root.get(MARKS, {}).get(key, {})
    return marks


def _write(root: Root, method: Method) -> PersistentMapping:
    if method._p_oid is None:  # made in this transaction
        connection_of(root).add(method)
    return record_of(root, MARKS, method)
