"""Take words out of the history of an image file, while the image serves.

    transactions before the words came       stay as they are
    those from then on, up to now            keep the states that still count, and no others
    what nothing refers to any more          goes with them

So every moment before the words is what it was, and so is every moment from now on; the moments
between them are refused (``refuse_erased``). The new file takes the place of the old one as a
packed one does, in one step that a killed process cannot halve.

    root["erased"]  first transaction -> a mapping whose own transaction ends what cannot be seen
"""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from persistent.mapping import PersistentMapping
from ZODB.FileStorage.FileStorage import FileIterator
from ZODB.FileStorage.format import DataHeader, TxnHeader
from ZODB.fsIndex import fsIndex
from ZODB.serialize import referencesf
from ZODB.utils import p64, z64

from bat_os.errors import NotFoundError
from bat_os.failpoints import cross
from bat_os.image.files.disk import check_room, coded, upkeep
from bat_os.image.files.durable import sync_file
from bat_os.image.files.layers import is_in_files, layers_of, path_of, present
from bat_os.image.files.pack import remove_lost_blobs, walk
from bat_os.image.objects import tree_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableMapping

    from ZODB.FileStorage import FileStorage

    from bat_os.core.erasing import Words

ERASED: Final = "erased"
_SEGMENT: Final = b"bat_os.image.knowledge.shelf"  # hashes and vectors: no text stands in them
_MAGIC: Final = b"FS30"
_PACKED: Final = "p"


@dataclass(frozen=True, slots=True)
class Past:
    """Where words stand in the history of an image."""

    since: bytes  # the first transaction that holds them; b"" if none does
    records: int  # how many states of objects do
    frozen: int  # how many in the files that a fork began with, which cannot be changed


def look_at_past(storage: Any, words: Words, stays: Mapping[bytes, bytes]) -> Past:
    """Return where words stand in all that the image keeps; reads it whole.

    The records that ``stays`` has, by object, do not count; other states of these objects do.
    """
    with coded("erase"), present(storage) as view:
        *frozen, live = layers_of(view) if is_in_files(view) else [view]
        older = sum(records for layer in frozen for _, records in _held(layer, words, stays))
        held = list(_held(live, words, stays))
    return Past(held[0][0] if held else b"", sum(records for _, records in held), older)


def _held(
    layer: FileStorage, words: Words, stays: Mapping[bytes, bytes]
) -> Iterator[tuple[bytes, int]]:
    """Yield the transactions that hold the words, and how many of their records do."""
    with contextlib.closing(layer.iterator()) as transactions:
        for each in transactions:
            about = b"\n".join((each.user, each.description, each.extension_bytes))
            records = sum(
                record.data is not None
                and record.data != stays.get(record.oid)
                and _SEGMENT not in record.data[:80]
                and words.in_bytes(record.data)
                for record in each
            )
            if records or words.in_bytes(about):
                yield each.tid, records


def note_erased(root: MutableMapping[str, Any], since: bytes) -> None:
    """Refuse moments from ``since`` to this transaction; inside ``ImageStore.transact``."""
    tree_of(root, ERASED)[since.hex()] = PersistentMapping({"at": time.time()})


def refuse_erased(root: Mapping[str, Any], tid: str) -> str:
    """Return a transaction's id unless the history of its moment was erased.

    Raises:
        NotFoundError: It was.
    """
    for since, gap in root.get(ERASED, {}).items():
        gap._p_activate()
        if since <= tid < gap._p_serial.hex():
            raise NotFoundError(
                "the history of that moment was erased (batos chronicle says when); moments "
                "before and after it can be seen"
            )
    return tid


def rewrite(storage: Any, words: Words, since: bytes) -> dict[str, Any]:
    """Keep of the transactions from ``since`` on only what the image needs now.

    Returns:
        ``before`` and ``after``: bytes of the image file.
    """
    with coded("erase"), upkeep(path_of(storage)):
        live = layers_of(storage)[-1]
        before = live.getSize()
        check_room(path_of(storage).parent, before)
        usual = live.packer
        live.packer = functools.partial(_copy, storage, words, since)
        try:
            live.pack(time.time(), referencesf, gc=False)
        finally:
            live.packer = usual
        cross("erase.switched")
        remove_lost_blobs(live)
        return {"before": before, "after": live.getSize()}


def _copy(whole: Any, words: Words, since: bytes, storage: Any, *_: Any) -> tuple[int, fsIndex]:
    """Write the new file beside the old one; as ``FileStorage.packer``, with commits held up."""
    path = Path(f"{storage.getName()}.pack")
    storage._commit_lock.acquire()
    try:
        needed = {oid for oid, *_ in walk(whole, [z64], set())}

        def counts(record: Any) -> bool:
            return record.oid in needed and storage._index.get(record.oid) == record.pos

        end, index = _write(storage, path, since, counts, words)
        sync_file(path)
        cross("erase.written")
        if storage.blob_dir:  # where a pack notes which blobs go; here others look for them
            (Path(storage.blob_dir) / ".removed").touch()
        storage._tfile.seek(0)  # what was committed last stands in it
        storage._tfile.truncate()
        storage._clear_index()  # it is of the old file
    except BaseException:
        path.unlink(missing_ok=True)
        storage._commit_lock.release()
        raise
    return end, index


def _write(
    storage: Any, path: Path, since: bytes, counts: Callable[[Any], bool], words: Words
) -> tuple[int, fsIndex]:
    index = fsIndex()
    with path.open("wb") as out, contextlib.closing(FileIterator(storage.getName())) as every:
        out.write(_MAGIC)
        for each in every:
            late = each.tid >= since
            kept = [record for record in each if not late or counts(record)]
            if kept:
                _put(out, index, each, kept, words if late else None)
        end = out.tell()
    return end, index


def _put(out: Any, index: fsIndex, each: Any, kept: list[Any], words: Words | None) -> None:
    """Append a transaction with some of its records; with ``words``, without its own words."""
    about = [each.user, each.description, each.extension_bytes]
    if words is not None:
        about = [b"" if words.in_bytes(text) else text for text in about]
    status = each.status if words is None else _PACKED
    place = out.tell()
    header = TxnHeader(each.tid, 0, status, *map(len, about))
    header.user, header.descr, header.ext = about
    body: list[bytes] = []
    at = place + header.headerlen()
    for record in kept:
        data = record.data
        head = DataHeader(
            record.oid, record.tid, index.get(record.oid, 0), place, 0, len(data or b"")
        )
        # Without data: an object whose creation was undone.
        body += [head.asString(), z64 if data is None else data]
        index[record.oid] = at
        at += len(body[-2]) + len(body[-1])
    header.tlen = at - place
    out.write(b"".join([header.asString(), *body, p64(header.tlen)]))
