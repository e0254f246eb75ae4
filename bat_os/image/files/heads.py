"""Heads of records in image files: which objects are there, and whose present head is damaged.

ZODB reads a head that has a wrong length, transaction or predecessor like a right one; here each
is compared with what stands around it.
"""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import TYPE_CHECKING, Any

from ZODB.FileStorage.format import CorruptedError
from ZODB.POSException import POSKeyError
from ZODB.utils import p64, u64, z64

from bat_os.errors import DamagedError
from bat_os.image.files.layers import layers_of
from bat_os.image.files.storage import damaged_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bat_os.image.files.storage import CompressedFile


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
        with layer._lock, contextlib.suppress(POSKeyError):  # a pack has dropped it
            _compare(layer, oid, layer._lookup_pos(oid))


def _compare(layer: CompressedFile, oid: bytes, pos: int) -> None:
    head = layer._read_data_header(pos, oid)
    if max(head.tloc, head.prev) >= pos:
        raise damaged_head(oid, pos)
    try:
        end = head.tloc + layer._read_txn_header(head.tloc, head.tid).tlen
        before = layer._read_data_header(head.prev, oid).tid if head.prev else z64
    except (CorruptedError, DamagedError) as error:
        raise damaged_head(oid, pos) from error
    if pos + head.recordlen() > end or before >= head.tid:
        raise damaged_head(oid, pos)


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
