"""bat_os.image.allowlist: crafted images whose pickles would run code, read in every way."""

import contextlib
import logging
import os
import pickle
import uuid
from decimal import Decimal

import pytest
import transaction
import ZODB
from BTrees.Length import Length
from ZODB import fstools
from ZODB.blob import is_blob_record
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.POSException import StateLoadError
from ZODB.utils import p64, z64

from bat_os.errors import DamagedError, ForbiddenClassError
from bat_os.image.allowlist import AllowListDB, guard_pickles, is_allowed, read_record
from bat_os.image.store import ImageStore

OID = p64(7)


class Hostile:
    """Unpickling it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def victim(tmp_path):
    path = tmp_path / "owned"
    yield path
    assert not path.exists()


def record(state):
    """Return a database record of a counter with this state, as a forger would write it."""
    return pickle.dumps(Length, 3) + pickle.dumps(state, 3)


def write(storage, state, extension=b""):
    """Commit one revision of the counter past every check; return the transaction's id."""
    about = TransactionMetaData(extension=extension)
    storage.tpc_begin(about)
    try:
        serial = storage.getTid(OID)
    except KeyError:
        serial = z64
    storage.store(OID, serial, record(state), "", about)
    storage.tpc_vote(about)
    return storage.tpc_finish(about)


@pytest.fixture
def path(tmp_path):
    """Return where an honest image is, with a counter."""
    path = tmp_path / "image.fs"
    database = ZODB.DB(FileStorage(str(path)))
    write(database.storage, 1)
    database.close()
    return path


def test_a_past_revision_that_names_a_forbidden_class_is_refused(path, victim):
    storage = FileStorage(str(path))
    before = write(storage, Hostile(victim))
    write(storage, 2)
    database = AllowListDB(storage)
    now, past = database.open(), database.open(at=before)

    assert now.get(OID)() == 2
    with pytest.raises(StateLoadError) as caught:
        past.get(OID)()
    assert isinstance(caught.value.__cause__, ForbiddenClassError)
    now.close()
    past.close()
    database.close()


@pytest.mark.parametrize("trap", [0, 1, 2])
def test_conflict_resolution_loads_no_forbidden_class(path, victim, trap):
    states = [1, 2, 3]
    states[trap] = Hostile(victim)
    storage = FileStorage(str(path))
    _, undone, _ = [write(storage, state) for state in states]
    database = AllowListDB(storage)
    manager = transaction.TransactionManager()
    database.undo(database.undoLog(1, 2)[0]["id"], manager.get())
    assert storage.lastTransaction() > undone

    with pytest.raises(ForbiddenClassError, match=r"posix\.mkdir"):
        manager.commit()
    manager.abort()
    database.close()


def test_honest_conflicts_are_resolved(path):
    database = AllowListDB(FileStorage(str(path)))
    managers = [transaction.TransactionManager() for _ in range(2)]
    counters = [database.open(manager).get(OID) for manager in managers]
    for counter in counters:
        counter.change(10)
    for manager in managers:
        manager.commit()

    assert database.open().get(OID)() == 21
    database.close()


def test_notes_of_a_transaction_load_no_forbidden_class(path, victim):
    storage = FileStorage(str(path))
    write(storage, 2, pickle.dumps({"note": Hostile(victim)}, 3))
    database = AllowListDB(storage)

    database.undoLog(0, 10)
    database.undoInfo(0, 10)
    with pytest.raises(ForbiddenClassError):
        database.history(OID, 10)
    last = list(storage.iterator())[-1]
    with pytest.raises(ForbiddenClassError):
        _ = last.extension
    database.close()


def test_honest_notes_are_read(path):
    storage = FileStorage(str(path))
    write(storage, 2, pickle.dumps({"mission": "m1"}, 3))
    database = AllowListDB(storage)

    assert database.undoLog(0, 1)[0]["mission"] == "m1"
    database.close()


@pytest.mark.parametrize("forged", ["an old index", "a position", "an entry"])
async def test_an_index_file_that_would_run_code_is_made_again(path, victim, forged, caplog):
    index, trap = path.with_name("image.fs.index"), pickle.dumps(Hostile(victim), 3)
    good = index.read_bytes()
    first = pickle.dumps(4, 3)
    index.write_bytes(
        {"an old index": trap, "a position": trap + good, "an entry": first + trap}[forged]
    )

    with caplog.at_level(logging.ERROR):
        image = ImageStore.open(path)
    assert "ForbiddenClassError" in caplog.text
    assert await image.transact(lambda root: root._p_jar.get(OID)(), note="read") == 1
    await image.close()
    assert b"mkdir" not in index.read_bytes()


def test_an_index_file_without_an_image_runs_no_code(tmp_path, victim):
    (tmp_path / "new.fs.index").write_bytes(pickle.dumps(Hostile(victim), 3))
    guard_pickles()

    FileStorage(str(tmp_path / "new.fs")).close()


def test_packing_and_copying_run_no_code(path, tmp_path, victim):
    storage = FileStorage(str(path))
    write(storage, Hostile(victim))
    database = AllowListDB(storage)

    copy = FileStorage(str(tmp_path / "copy.fs"))
    copy.copyTransactionsFrom(storage)
    copy.close()
    database.pack()
    database.close()


def test_looking_whether_a_record_is_a_blob_runs_no_code(victim):
    guard_pickles()
    crafted = pickle.dumps(Hostile(victim), 3) + b"ZODB.blob Blob"

    with contextlib.suppress(Exception):  # whatever it says of such a record
        assert not is_blob_record(crafted)


def test_an_export_that_would_run_code_is_refused(path, tmp_path, victim):
    storage = FileStorage(str(path))
    write(storage, Hostile(victim))
    database = AllowListDB(storage)
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    with (tmp_path / "exported").open("w+b") as file:
        connection.exportFile(OID, file)
        file.seek(0)
        with pytest.raises(ForbiddenClassError):
            connection.importFile(file)
    manager.abort()
    connection.close()
    database.close()


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("builtins", "getattr"), ("posix", "mkdir"),
     ("BTrees.check", "check"), ("BTrees.OOBTree", "sys"), ("bat_os.image.store", "ImageStore"),
     ("subprocess", "Popen"), ("copyreg", "__newobj__"), ("bat_os.image.allowlist", "AllowListDB"),
     ("BTrees.OOBTree", "OOBTree.__class__.Set"), ("BTrees.OOBTree", "x.Bucket"),
     ("BTrees.OOBTree", "_OOBTreeSet"), ("BTrees.OOBTree", "Set"), ("BTrees", "OOBTree.OOBTree"),
     ("bat_os.image.objects", "UvmObject.lookup"), ("datetime", "datetime.fromtimestamp")],
)  # fmt: skip
def test_classes_that_no_image_needs_are_not_allowed(module, name):
    assert not is_allowed(module, name)


@pytest.mark.parametrize("name", ["bytearray", "bytes", "int", "list", "range", "str", "tuple"])
def test_no_class_is_allowed_that_makes_much_out_of_a_number(name):
    assert not is_allowed("builtins", name)
    assert not is_allowed("__builtin__", name)


def odd(number):
    """Return a number whose hash is that of all others that this makes."""
    return 1 + number * (2**61 - 1)


def folded(depth):
    """Return a short pickle of a map whose key holds a tuple twice, and that another twice."""
    return b"\x80\x03})" + b"2\x86" * depth + b"Ns."


def nested(depth):
    """Return the pickle of a map whose key lies so deep in tuples."""
    return b"\x80\x03})" + pickle.TUPLE1 * depth + b"Ns."


MANY = [odd(number) for number in range(3_000)]
SETS = {
    "dict": dict.fromkeys(MANY), "set": set(MANY[:70]) | set(range(9_000)),
    "frozenset": frozenset(MANY[:70]) | frozenset(range(9_000)),
    "tuples": {(number, "x") for number in MANY[:70]} | set(range(9_000)),
    "decimals": {Decimal(number) for number in MANY[:70]} | set(range(9_000)),
    "a few": dict.fromkeys(MANY[:66]),
    "a few tuples": {(number, "x") for number in MANY[:66]},
    "tuples in tuples": {((number,), ("x", 1.5)) for number in MANY[:66]},
    "uuids": {uuid.UUID(int=number) for number in MANY[:66]},
}  # fmt: skip
PICKLES = {
    "folded tuples": folded(60),
    "a folded tuple by the memo": b"\x80\x03})" + b"q\x000h\x00h\x00\x86" * 60 + b"Ns.",
    "folded in a set": b"\x80\x03cbuiltins\nset\n])" + b"2\x86" * 60 + b"a\x85R.",
    "behind a part that reads in one way only": b"\x80\x03(cBTrees.Length\nLength\nNtQ}b0"
    + folded(60)[2:],
    "deep tuples": nested(20_000),
    "a frozenset made anew": b"\x80\x03cbuiltins\nfrozenset\n"
    + pickle.dumps((MANY[:66],), 3)[2:-1] + b"\x81.",
}  # fmt: skip


def states(protocol):
    """Yield what has keys that nobody can build, by name."""
    for name, value in SETS.items():
        yield name, pickle.dumps((1, [value]), protocol)
    yield "one by one", one_by_one(MANY)
    yield from PICKLES.items()


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("name", [*SETS, "one by one", *PICKLES])
def test_a_record_with_keys_that_hold_up_the_process_is_refused_however_it_is_read(
    tmp_path, name, protocol
):
    storage = FileStorage(str(tmp_path / "image.fs"))
    state = pickle.dumps(Length, 3) + dict(states(protocol))[name]
    with pytest.raises(DamagedError, match=r"the same hash|too many parts|cannot be read"):
        read_record(state, lambda reference: None)
    about = TransactionMetaData()
    storage.tpc_begin(about)
    storage.store(OID, z64, state, "", about)
    storage.tpc_vote(about)
    storage.tpc_finish(about)
    database = AllowListDB(storage)
    connection = database.open()
    with pytest.raises(DamagedError, match=r"the same hash|too many parts|cannot be read"):
        connection.get(OID)
    connection.close()
    database.close()


def one_by_one(keys):
    """Return the pickle of a dict that gets its keys one at a time."""
    parts = [pickle.PROTO, b"\x03", pickle.EMPTY_DICT]
    for key in keys:
        parts += [pickle.dumps(key, 3)[2:-1], pickle.NONE, pickle.SETITEM]
    return b"".join((*parts, pickle.STOP))


@pytest.mark.parametrize("data", [one_by_one(MANY), folded(60)])
def test_the_note_of_a_transaction_is_held_to_the_same(data):
    guard_pickles()
    with pytest.raises(DamagedError):
        fstools.loads(data)
    assert fstools.loads(pickle.dumps({"mission": "m1"}, 3)) == {"mission": "m1"}


def test_an_honest_record_of_any_size_is_read():
    twice = (1, "a")
    honest = [
        dict.fromkeys(map(str, range(5_000))),
        set(range(5_000)),
        {twice: {2.5}, (twice, twice): frozenset({(twice, frozenset({twice}))})},
        {(number, (str(number), (0.5,))): number for number in range(5_000)},
        b"x" * 99_999,
    ]
    state = pickle.dumps(Length, 3) + pickle.dumps((1, honest), 3)
    assert read_record(state, lambda reference: None) is Length
