"""Searches limited by kind and meta data: which passage ids take part in the ranking.

meta data > facets_of > KeywordIndex (zope.index), by the document's first passage
filters > ranges > the indexes rank those ids only, so a filter never empties top_k
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import BTrees
import numpy as np

from bat_os.errors import ArgumentsError
from bat_os.image.knowledge.document import id_range

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from bat_os.image.knowledge.document import Kind

MAX_FACET: Final = 200


def ranges(
    index: Any, starts: Any, kind: Kind | None, filters: Mapping[str, Any]
) -> NDArray[np.int64] | None:
    """Return the ``(m, 2)`` ranges [start, stop) of passage ids to rank, or None for all.

    Args:
        index: Of facets, by first passage id.
        starts: A tree whose keys are the first passage ids of all documents.
        kind: Documents of this kind only.
        filters: Documents with this meta data only.

    Raises:
        ArgumentsError: The kind is unknown, or a filter's value cannot be looked for.
    """
    if not filters:
        bounds = id_range(kind)
        return None if kind is None else np.array([bounds], np.int64)
    chosen = np.array(firsts(index, kind, filters), np.int64)
    every = np.fromiter(starts.keys(), np.int64, len(starts))
    after = np.append(every[1:], id_range(None)[1])
    return np.stack([chosen, after[np.searchsorted(every, chosen)]], axis=1)


def firsts(index: Any, kind: Kind | None, filters: Mapping[str, Any]) -> list[int]:
    """Return the first passage ids of the documents that ``filters`` let through, ascending.

    Raises:
        ArgumentsError: The kind is unknown, or a filter's value cannot be looked for.
    """
    start, stop = id_range(kind)
    found = None
    for facets in _wanted(filters):
        found = BTrees.family64.IF.intersection(found, index.search(facets, "or"))
    return [first for first in found or () if start <= first < stop]


def facets_of(meta: Mapping[str, Any]) -> list[str]:
    """Return what a document is indexed by besides its text: ``key=value``, sorted.

    Texts, whole numbers and truth values count, each item of a list for itself; a text of
    more than MAX_FACET characters does not.

    >>> facets_of({"tags": ["zodb", "image"], "pages": 3, "score": 0.5})
    ['pages=3', 'tags=image', 'tags=zodb']
    """
    return sorted({facet for key, value in meta.items() for facet in _facets(key, value)})


def _wanted(filters: Mapping[str, Any]) -> list[list[str]]:
    """Return for each key of ``filters`` the facets of which one has to be there.

    Raises:
        ArgumentsError: A value is nothing that documents are indexed by.
    """
    wanted = []
    for key, value in filters.items():
        facets = list(_facets(key, value))
        count = len(value) if isinstance(value, list | tuple | set | frozenset) else 1
        if not facets or len(facets) != count:
            raise ArgumentsError(
                f"filter {key!r}: give a text of at most {MAX_FACET} characters, a whole "
                "number, true or false, or a list of such, of which one has to match"
            )
        wanted.append(facets)
    return wanted


def _facets(key: str, value: Any) -> Iterator[str]:
    items = value if isinstance(value, list | tuple | set | frozenset) else (value,)
    for item in items:
        if isinstance(item, bool | int) or (isinstance(item, str) and len(item) <= MAX_FACET):
            yield f"{key}={item}"
