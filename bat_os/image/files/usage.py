"""What an image holds and how much room each kind takes: one walk over all that is reachable."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ZODB.POSException import POSKeyError
from ZODB.utils import p64, u64, z64

from bat_os.errors import StorageError
from bat_os.image.allowlist import AllowListUnpickler

if TYPE_CHECKING:
    from collections.abc import Iterator

# What reading a pickle that somebody crafted can end in.
_DAMAGE: Final = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip
# Of each record in a FileStorage, before its data.
HEADER: Final = 42


@dataclass(slots=True)
class Room:
    """What some records take.

    Attributes:
        objects: How many.
        bytes: In the image file.
        classes: Class -> how many.
    """

    objects: int = 0
    bytes: int = 0
    classes: Counter[str] = field(default_factory=Counter)


def walk(storage: Any, roots: list[bytes], seen: set[bytes]) -> Iterator[tuple[bytes, str, bytes]]:
    """Yield (oid, class, record) of all that ``roots`` reach and nobody has seen yet.

    All records are as they were at the transaction that was last when the walk began. What a
    record holds is read by the allow-list, so no code of the image can run.

    Raises:
        ForbiddenClassError: A record names a class that BAT OS never stores.
        StorageError: A record is missing, or cannot be read.
    """
    end = p64(u64(storage.lastTransaction()) + 1)
    stack = list(reversed(roots))
    while stack:
        oid = stack.pop()
        if oid in seen:
            continue
        seen.add(oid)
        try:
            found = storage.loadBefore(oid, end)
        except POSKeyError as error:
            raise StorageError(f"the object {oid.hex()} is missing from the image") from error
        if found is None:
            continue
        name, below = _read(oid, found[0])
        yield oid, name, found[0]
        stack.extend(below)


def count_objects(storage: Any) -> dict[str, int]:
    """Return how many objects of each class the image holds, the most frequent first.

    Raises:
        ForbiddenClassError: A record names a class that BAT OS never stores.
        StorageError: The image has no root, or a record is missing or cannot be read.
    """
    counted = Counter(name.rpartition(".")[2] for _, name, _ in walk(storage, [z64], set()))
    if not counted:
        raise StorageError("the image has no root")
    return dict(counted.most_common())


def _read(oid: bytes, record: bytes) -> tuple[str, list[bytes]]:
    """Return the class of a record and what it refers to; all that it names is looked at.

    Its parts are loaded by the allow-list, and forgotten; the object itself is not made.
    """
    below: list[Any] = []

    def note(reference: Any) -> None:
        # Lists are weak references, and those to other databases.
        if not isinstance(reference, list):
            below.append(reference[0] if isinstance(reference, tuple) else reference)

    unpickler = AllowListUnpickler(io.BytesIO(record))
    unpickler.persistent_load = note
    try:
        told = unpickler.load()
        kind = told[0] if isinstance(told, tuple) else told
        unpickler.load()
        name = f"{kind.__module__}.{kind.__qualname__}"
    except _DAMAGE as error:
        raise StorageError(f"the object {oid.hex()} cannot be read: {error!r}") from error
    if not all(isinstance(one, bytes) and len(one) == len(oid) for one in below):
        raise StorageError(f"the object {oid.hex()} refers to what cannot be")
    return name, below
