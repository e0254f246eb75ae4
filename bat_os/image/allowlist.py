"""Which classes a pickle of the image may name: loading any other could run foreign code.

    objects, at any time of the history     AllowListDB.classFactory
    conflict resolution, undo, the index    guard_pickles: ZODB's own loaders, which ask no
    file, notes of transactions, imports    database, load by the same list

Packing and copying read no pickle; they look for references in its bytes.

A pickle also builds dicts and sets of whatever keys it has. Many with one hash would hold up the
process, quadratically with their number; and one tuple that holds another twice, and that another
twice, takes for ever to hash. So a record that could build such keys is read slowly first. Whether
it could, a glance at its opcodes tells: nearly no honest record can.
"""

from __future__ import annotations

import functools
import importlib
import io
import pickle
import re
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import ZODB
from ZODB._compat import Unpickler
from ZODB.ConflictResolution import ConflictResolvingStorage
from ZODB.Connection import Connection
from ZODB.POSException import ConflictError, POSError, POSKeyError

from bat_os.core.values import ALIKE, MAX_DEPTH
from bat_os.errors import BatError, DamagedError, ForbiddenClassError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

ALLOWED: Final[dict[str, frozenset[str]]] = {
    "bat_os.image.blobs": frozenset({"StoredFile", "StoredModel"}),
    "bat_os.image.catalog": frozenset({"KnowledgeCatalog"}),
    "bat_os.image.knowledge.document": frozenset({"Document"}),
    "bat_os.image.knowledge.inbox": frozenset({"Tray"}),
    "bat_os.image.knowledge.shelf": frozenset({"Segment"}),
    "bat_os.image.knowledge.text": frozenset({"SegmentedText", "WordSplitter"}),
    "bat_os.image.knowledge.vectors": frozenset({"VectorIndex"}),
    "bat_os.image.objects": frozenset({"Method", "MethodVersion", "UvmObject"}),
    "builtins": frozenset({"frozenset", "object", "set"}),
    "__builtin__": frozenset({"frozenset", "object", "set"}),
    "copyreg": frozenset({"_reconstructor"}),
    "copy_reg": frozenset({"_reconstructor"}),
    "datetime": frozenset({"date", "datetime", "time", "timedelta", "timezone"}),
    "decimal": frozenset({"Decimal"}),
    "persistent.list": frozenset({"PersistentList"}),
    "persistent.mapping": frozenset({"PersistentMapping"}),
    "uuid": frozenset({"SafeUUID", "UUID"}),
    "BTrees": frozenset({"_family64"}),
    "BTrees.Length": frozenset({"Length"}),
    "ZODB.blob": frozenset({"Blob"}),
    "zope.index.keyword.index": frozenset({"KeywordIndex"}),
    "zope.index.text.lexicon": frozenset({"Lexicon", "Splitter"}),
    "zope.index.text.okapiindex": frozenset({"OkapiIndex"}),
}
# BTrees names its classes by key and value family (IO, LL, OO, ...), four of each. No name may
# have a dot in it: pickle would follow it from attribute to attribute, wherever that leads.
_TREES: Final = re.compile(
    r"BTrees\.(?P<family>[A-Z]{2})BTree (?P=family)(BTree|Bucket|Set|TreeSet)"
)

# What reading a pickle that somebody crafted, or that a disk changed, can end in.
UNREADABLE: Final = (
    pickle.UnpicklingError, ArithmeticError, AttributeError, EOFError, ImportError, LookupError,
    MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip
SWEEP: Final = 250  # objects; by so many a view of the past may exceed what it keeps
# What loading a record whose bytes were changed may raise.
BROKEN: Final = (BatError, POSError, *UNREADABLE)

# Where ZODB keeps the loaders that ask no database.
_UNPICKLERS: Final = ("ZODB.fsIndex", "ZODB.utils", "ZODB.ExportImport")
_LOADS: Final = ("ZODB.Connection", "ZODB.FileStorage.FileStorage", "ZODB.fstools")


# What an object cannot be without; a flipped bit in the name of an attribute takes it away.
_PARTS: Final[dict[str, frozenset[str]]] = {
    "UvmObject": frozenset({"name", "slots", "parents"}),
    "Method": frozenset({"selector", "primitive", "versions", "current"}),
    "MethodVersion": frozenset({"number", "source", "sha256", "status", "provenance"}),
    "StoredFile": frozenset({"name", "sha256", "size", "blob"}),
    "StoredModel": frozenset({"name", "files", "meta"}),
    "Document": frozenset({"doc_id", "title", "kind", "passages", "first", "digest"}),
    "KnowledgeCatalog": frozenset({"_documents", "_starts", "_text", "_next"}),
    "Segment": frozenset({"parts"}),
}


# Opcodes of ZODB's pickles, with the bytes that follow: so many, or a length of so many bytes.
_PUTS: Final = {pickle.BINPUT[0]: 1, pickle.LONG_BINPUT[0]: 4}
_GETS: Final = {pickle.BINGET[0]: 1, pickle.LONG_BINGET[0]: 4}
_SIZED: Final = {
    pickle.BINUNICODE[0]: 4, pickle.SHORT_BINBYTES[0]: 1, pickle.BINBYTES[0]: 4,
    pickle.LONG1[0]: 1, pickle.SHORT_BINSTRING[0]: 1, pickle.BINSTRING[0]: 4,
}  # fmt: skip
_FIXED: Final = dict.fromkeys(b"(.)]}NsuaetbQR0\x81\x85\x86\x87\x88\x89", 0) | {
    pickle.PROTO[0]: 1, pickle.BININT[0]: 4, pickle.BININT1[0]: 1, pickle.BININT2[0]: 2,
    pickle.BINFLOAT[0]: 8,
}  # fmt: skip
# Opcodes that make a key whose hash somebody can choose. The hash of text differs per process.
_CHOSEN: Final = frozenset(b"tGRb\x81\x85\x86\x87" + pickle.LONG1)
# Opcodes that push a value whose hash nobody can choose.
_HARMLESS: Final = frozenset(b")]}NQcKMJXUTCB\x88\x89")


def _is_harmless(record: bytes) -> bool:
    """Return True if no key of a record can take long: few keys could be chosen, none is shared."""
    at = chosen = ended = last = 0
    shared = set()  # places of the memo that may hold a tuple
    try:
        while ended < 2 and at < len(record):
            op = record[at]
            at += 1
            if op in _PUTS:
                width = _PUTS[op]
                if last not in _HARMLESS:
                    shared.add(int.from_bytes(record[at : at + width], "little"))
                at += width
                continue
            last = op
            if op in _SIZED:
                width = _SIZED[op]
                at += width + int.from_bytes(record[at : at + width], "little")
            elif op in _FIXED:
                at += _FIXED[op]
                ended += op == pickle.STOP[0]
            elif op in _GETS:
                width = _GETS[op]
                if int.from_bytes(record[at : at + width], "little") in shared:
                    return False
                at += width
            elif op == pickle.GLOBAL[0]:
                at = record.index(b"\n", record.index(b"\n", at) + 1) + 1
            else:
                return False
            chosen += op in _CHOSEN
    except (IndexError, ValueError):  # cut short; the real reader says how
        return False
    return chosen <= ALIKE


class _Budget:
    """Counts what hashing and comparing the keys of one record takes.

    A part of a key takes a byte of the record and more, unless something is shared.
    """

    def __init__(self, record: bytes) -> None:
        self.left = 1000 + 4 * len(record)

    def charge(self, key: Any, depth: int = 0) -> None:
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            raise ValueError("keys of too many parts")
        if isinstance(key, tuple | frozenset):
            for part in key:
                self.charge(part, depth + 1)


class _Counted:
    """Counts the hashes of the keys of one dict or set."""

    def __init__(self, budget: _Budget) -> None:
        self.budget = budget
        self.hashes: Counter[int] = Counter()

    def add(self, key: Any) -> None:
        self.budget.charge(key)
        self.hashes[hash(key)] += 1
        if self.hashes[hash(key)] > ALIKE:
            raise ValueError("keys that all have the same hash")


class _Dict(dict[Any, Any]):
    def __init__(self, budget: _Budget) -> None:
        super().__init__()
        self.counted = _Counted(budget)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.counted.add(key)
        super().__setitem__(key, value)


def _counting(budget: _Budget) -> dict[str, Any]:
    """Return the sets of a record, which are classes: a pickle may make one in several ways."""

    class CountedSet(set[Any]):
        def __init__(self, keys: Iterable[Any] = ()) -> None:
            super().__init__()
            self.counted = _Counted(budget)
            self.update(keys)

        def update(self, *several: Iterable[Any]) -> None:
            for keys in several:
                for key in keys:
                    self.counted.add(key)
                    super().add(key)

    class CountedFrozenset(frozenset[Any]):
        def __new__(cls, keys: Iterable[Any] = ()) -> Self:
            row, counted = list(keys), _Counted(budget)
            for key in row:
                counted.add(key)
            return super().__new__(cls, row)

    return {"set": CountedSet, "frozenset": CountedFrozenset}


_InPython: Any = pickle._Unpickler


class _KeyReader(_InPython):  # its stubs lack the stack
    """Loads a pickle by the allow-list, slowly, and counts the keys of each dict and set."""

    dispatch: ClassVar = dict(_InPython.dispatch)

    def __init__(self, record: bytes) -> None:
        super().__init__(io.BytesIO(record))
        self.budget = _Budget(record)
        self.counting = _counting(self.budget)

    def find_class(self, module: str, name: str) -> Any:
        check_allowed(module, name)
        return self.counting.get(name) or super().find_class(module, name)

    def persistent_load(self, _reference: Any) -> Any:
        return object()

    def load_empty_dict(self) -> None:
        self.append(_Dict(self.budget))

    def load_dict(self) -> None:
        parts = self.pop_mark()
        self.append(_Dict(self.budget))
        for key, value in zip(parts[::2], parts[1::2], strict=True):
            self.stack[-1][key] = value

    def load_empty_set(self) -> None:
        self.append(self.counting["set"]())

    def load_frozenset(self) -> None:
        self.append(self.counting["frozenset"](self.pop_mark()))

    dispatch[pickle.EMPTY_DICT[0]] = load_empty_dict
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.EMPTY_SET[0]] = load_empty_set
    dispatch[pickle.FROZENSET[0]] = load_frozenset


def check_record(record: bytes) -> bytes:
    """Return a record of an image if its dicts and sets can be built in reasonable time.

    Raises:
        DamagedError: Keys were chosen to have one hash, or to take for ever to hash.
    """
    if _is_harmless(record):
        return record
    try:
        reader = _KeyReader(record)
        reader.load()
        reader.load()
    except EOFError:  # a note of a transaction is one pickle
        return record
    except UNREADABLE as error:  # the real reader may get further, to keys that nobody has seen
        raise DamagedError(f"a record of the image cannot be read: {error}") from error
    return record


class CheckingConnection(Connection):
    """Gives out no object that has lost a part of its state, and tells of each commit.

    Attributes:
        committed: Id of the last transaction that changed something, or b"".
    """

    committed = b""
    written: Any = ()  # objects it wrote; None for one that has left memory
    _oids: list[bytes] | None = None  # those that ``give`` gives

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Connect as ZODB does; look at the keys of what other processes wrote."""
        super().__init__(*args, **kwargs)
        load = self._storage.load

        def checked(oid: bytes, *more: Any) -> tuple[bytes, bytes]:
            record, serial = load(oid, *more)
            # What was written since is ours, and its values were checked on their way in.
            return record if serial > self.db().opened else check_record(record), serial

        self._storage.load = checked

    @contextmanager
    def give(self, oids: list[bytes]) -> Iterator[None]:
        """Give what is new these ids, in order; ids of what is new beyond them are added."""
        self._oids, self._next = oids, iter(tuple(oids))
        try:
            yield
        finally:
            self._oids = None

    def new_oid(self) -> bytes:
        """Return the id of a new object."""
        oid: bytes | None = None if self._oids is None else next(self._next, None)
        if oid is None:
            oid = super().new_oid()
            if self._oids is not None:
                self._oids.append(oid)
        return oid

    @property
    def snapshot(self) -> bytes:
        """Which transactions it sees; b"" where the storage keeps that to itself."""
        return getattr(self._normal_storage, "_start", b"") or b""

    @property
    def has_changes(self) -> bool:
        """True if something was changed since the transaction began, or its last savepoint."""
        return any(obj._p_changed or obj._p_oid in self._added for obj in self._registered_objects)

    def tpc_finish(self, transaction: Any) -> Any:
        """Finish a commit; as ``Connection.tpc_finish``."""
        self.written = [self._cache.get(oid) for oid in (*self._modified, *self._creating)]
        serial = super().tpc_finish(transaction)
        self.db().state = object()
        # One that was merged with another writer's change has been dropped, and has no serial.
        self.committed = max(
            (obj._p_serial for obj in self.written if obj is not None), default=b""
        )
        return serial

    def setstate(self, obj: Any) -> None:
        """Load the state of an object."""
        super().setstate(obj)
        if self.before and self._cache.cache_non_ghost_count % SWEEP == 0:  # it changes nothing
            self.cacheGC()
        kind = type(obj).__name__
        if kind in _PARTS and not _is_whole(kind, obj.__dict__):
            raise DamagedError(f"the stored {kind} {obj._p_oid.hex()} is damaged; batos verify")


def _is_whole(kind: str, state: dict[str, Any]) -> bool:
    if not _PARTS[kind] <= state.keys():
        return False
    return kind != "Method" or -1 <= state["current"] < len(state["versions"])


class AllowListDB(ZODB.DB):
    """A database that loads no class outside the allow-list, and no half object.

    Attributes:
        opened: The last transaction at that moment.
        state: Another object after each commit through it. Not a number: threads that count
            at once may count back, and a number that comes twice would hide a change.
        kernel: Id of the kernel that writes through it, where several share the image; else "".
        counted: ``commits`` that changed something, and ``conflicts``, for monitors.
    """

    klass = CheckingConnection
    state = object()
    kernel = ""
    opened = b""

    def __init__(self, storage: Any, **options: Any) -> None:
        """Open the database of a storage, or close that; see ``ZODB.DB`` for the options."""
        guard_pickles()
        self.counted = Counter[str]()
        storage.opened = self.opened = max(self.opened, storage.lastTransaction())
        try:
            super().__init__(storage, **options)
        except BaseException:
            storage.close()
            raise

    def classFactory(self, connection: Any, modulename: str, globalname: str) -> Any:  # noqa: N802 - ZODB's name
        """Return the class ``modulename.globalname``, if it is in the allow-list."""
        check_allowed(modulename, globalname)
        return super().classFactory(connection, modulename, globalname)


class AllowListUnpickler(Unpickler):
    """Loads a pickle that may name the classes of an image, and no other."""

    def find_class(self, modulename: str, name: str) -> Any:
        """Return the class, if it is in the allow-list."""
        check_allowed(modulename, name)
        return super().find_class(modulename, name)


def guard_pickles() -> None:
    """Have every loader of ZODB in this process use the allow-list. Idempotent.

    Call it before a storage is opened: opening reads the index file beside it, which is a
    pickle too. If that names a class, ZODB ignores it and reads the image through instead.
    """
    for module in _UNPICKLERS:
        importlib.import_module(module).Unpickler = AllowListUnpickler  # type: ignore[attr-defined]  # a name of ZODB
    for module in _LOADS:
        importlib.import_module(module).loads = _load  # type: ignore[attr-defined]  # a name of ZODB
    resolve = ConflictResolvingStorage.tryToResolveConflict
    if not hasattr(resolve, "__wrapped__"):
        ConflictResolvingStorage.tryToResolveConflict = _check_conflict(resolve)


def _load(data: bytes) -> Any:
    return AllowListUnpickler(io.BytesIO(check_record(data))).load()


def _check_conflict(resolve: Any) -> Any:
    """Return ``resolve``, ZODB's conflict resolution; it loads by the allow-list before."""

    @functools.wraps(resolve)
    def checked(
        storage: Any, oid: bytes, committed: bytes, old: bytes, new: bytes, data: bytes = b""
    ) -> Any:
        plain = storage._crs_untransform_record_data
        # In an undo, which gives ``data``, ``new`` is older.
        own = not data and old > getattr(storage, "opened", old)
        try:
            records = new, storage.loadSerial(oid, old), data or storage.loadSerial(oid, committed)
        except POSKeyError as error:  # packed or erased since: the transaction runs again
            raise ConflictError(oid=oid, serials=(committed, old)) from error
        for record in records:
            read_record(plain(record), lambda reference: None, own=own)
        return resolve(storage, oid, committed, old, new, data)

    return checked


def read_record(record: bytes, note: Callable[[Any], None], *, own: bool = False) -> Any:
    """Return the class of a database record as it is pickled, after reading all of it.

    The state is loaded by the allow-list and dropped; ``note`` is called with each reference. The
    keys of a record that this process wrote itself, ``own``, were checked on their way in.
    """
    unpickler = AllowListUnpickler(io.BytesIO(record if own else check_record(record)))
    unpickler.persistent_load = note
    head = unpickler.load()
    unpickler.load()
    return head


def check_allowed(module: str, name: str) -> None:
    """Raise ``ForbiddenClassError`` unless an image may hold instances of ``module.name``."""
    if not is_allowed(module, name):
        raise ForbiddenClassError(
            f"the image names the class {module}.{name}, which BAT OS never "
            "stores; loading it could run foreign code, so the image is refused",
            module=module,
            name=name,
        )


def is_allowed(module: str, name: str) -> bool:
    """Return True when an image may hold instances of ``module.name``.

    >>> is_allowed("bat_os.image.objects", "UvmObject"), is_allowed("os", "system")
    (True, False)
    """
    return name in ALLOWED.get(module, ()) or bool(_TREES.fullmatch(f"{module} {name}"))


def looks_like_image(path: Path) -> bool:
    """Return True when the file begins as a FileStorage does."""
    guard_pickles()  # what comes next is opening it
    with path.open("rb") as stream:
        return stream.read(4) == b"FS30"
