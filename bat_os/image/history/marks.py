"""What is noted beside a method: pins, taint, and every move of its current version.

    root["method_marks"]  oid of the method -> PersistentMapping of pinned, taint, waiting, moves

All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.image.history.uses import failing, record_of
from bat_os.image.objects import Method, connection_of

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from persistent.mapping import PersistentMapping

    Root = MutableMapping[str, Any]

ROOT_NAME: Final = "method_marks"
MAX_MOVES: Final = 200


def pinned(root: Mapping[str, Any], method: Method) -> int:
    """Return the number of the version that the method is pinned to, or 0."""
    return int(_read(root, method).get("pinned", 0))


def taint(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return why the current version has to be verified again, or {}.

    Keys are ``at`` (Unix time), ``document`` (its id), ``what`` (``changed`` or ``forgotten``)
    and ``version``. A mark speaks of the version that was current then, and of no other.
    """
    mark = dict(_read(root, method).get("taint", {}))
    speaks = method.current >= 0 and mark.get("version") == method.versions[method.current].number
    return mark if speaks else {}


def waiting(root: Mapping[str, Any], method: Method) -> dict[str, Any]:
    """Return which version waits for the Architect's approval, or {}.

    Keys are ``version``, ``at`` (Unix time), ``oid`` (of the object) and ``mission``.
    """
    return dict(_read(root, method).get("waiting", {}))


def moves(root: Mapping[str, Any], method: Method) -> tuple[dict[str, Any], ...]:
    """Return what was done to the method, oldest first: ``at``, ``what``, ``version``, ``by``."""
    return tuple(dict(move) for move in _read(root, method).get("moves", ()))


def flags(method: Method) -> dict[str, Any]:
    """Return ``pinned``, ``tainted``, ``waiting``, ``failing`` of a committed method that hold.

    It finds the root by itself, so that showing an object needs nothing else.
    """
    root = method._p_jar.root()
    marks = {
        "pinned": pinned(root, method),
        "tainted": taint(root, method),
        "waiting": waiting(root, method),
        "failing": failing(root, method),
    }
    return {name: value for name, value in marks.items() if value}


def all_waiting(root: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what waits for the Architect's approval, as ``waiting`` does, oldest first."""
    rows = [dict(mark["waiting"]) for mark in root.get(ROOT_NAME, {}).values()
             if mark.get("waiting")]  # fmt: skip
    return sorted(rows, key=lambda row: float(row["at"]))


def refuse_pinned(root: Mapping[str, Any], method: Method) -> None:
    """Raise ``ArgumentsError`` if the method is pinned."""
    if number := pinned(root, method):
        raise ArgumentsError(
            f"{method.selector} is pinned to version {number}; unpin it first",
            pinned=number,
        )


def set_pinned(root: Root, method: Method, number: int) -> None:
    """Pin the method to a version, or take the pin off with 0."""
    _write(root, method)["pinned"] = number


def set_taint(root: Root, method: Method, mark: Mapping[str, Any]) -> None:
    """Mark the method as to be verified again, or clear the mark with {}."""
    _write(root, method)["taint"] = dict(mark)


def set_waiting(root: Root, method: Method, mark: Mapping[str, Any]) -> None:
    """Note which version waits, in the form of ``waiting``; {} is for none."""
    _write(root, method)["waiting"] = dict(mark)


def add_move(root: Root, method: Method, move: Mapping[str, Any]) -> None:
    """Note what was done; of more than MAX_MOVES the oldest are dropped."""
    noted = _write(root, method)
    noted["moves"] = (*noted.get("moves", ()), dict(move))[-MAX_MOVES:]


def _read(root: Mapping[str, Any], method: Method) -> Mapping[str, Any]:
    key = method._p_oid.hex() if method._p_oid else ""
    marks: Mapping[str, Any] = root.get(ROOT_NAME, {}).get(key, {})
    return marks


def _write(root: Root, method: Method) -> PersistentMapping:
    if method._p_oid is None:  # made in this transaction
        connection_of(root).add(method)
    return record_of(root, ROOT_NAME, method)
