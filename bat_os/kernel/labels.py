"""Labels of the slots of objects: which grants had a say in what they hold."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_NONE: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})


def labels_of(
    holders: Iterable[Any],
    known: Mapping[str, frozenset[str]] = _NONE,
    without: Collection[str] = (),
) -> dict[str, frozenset[str]]:
    """Return the labels of slots by name, added to those ``known``; not of names ``without``."""
    found = dict(known)
    for holder in holders:
        for name, grants in getattr(holder, "labels", {}).items():
            if not name or name not in without:
                found[name] = found.get(name, frozenset()).union(grants)
    return found
