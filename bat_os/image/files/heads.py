"""Heads of records in image files: which objects are there, and whose present head is damaged.

ZODB reads a head that has a wrong length, transaction or predecessor like a right one; here each
is compared with what stands around it (``CompressedFile.check_head``).
"""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Any

from ZODB.utils import p64, u64, z64

from bat_os.errors import DamagedError
from bat_os.image.files.storage import layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def oids_in(storage: Any, after: bytes = z64) -> Iterator[bytes]:
    """Yield the ids of the objects in image files, in order, from one on."""
    layers = layers_of(storage)
    while True:
        found = []
        for layer in layers:
            with contextlib.suppress(ValueError):  # none is left in this one
                found.append(layer._index.minKey(after))
        if not found:
            return
        yield min(found)
        after = p64(u64(min(found)) + 1)


def check_head(storage: Any, oid: bytes) -> None:
    """Look whether the head of an object's present record says what stands around it.

    Raises:
        DamagedError: It does not.
    """
    layer = next((each for each in reversed(layers_of(storage)) if oid in each._index), None)
    if layer is not None:
        layer.check_head(oid)


def damaged_heads(
    storage: Any, *, limit: int | None = None, stop: Callable[[], bool] = bool
) -> Iterator[bytes]:
    """Yield the ids of the objects whose record has a damaged head; ``stop`` ends the search.

    With a ``limit`` so many objects are looked at, those that came first.
    """
    for oid in islice(oids_in(storage), limit):
        if stop():
            return
        try:
            check_head(storage, oid)
        except DamagedError:
            yield oid
