"""bat_os.image.files.storage: records take less room, and all that reads one finds it whole."""

import pickle
import zlib

import pytest
import transaction
import ZODB
from BTrees.OOBTree import OOBTree
from ZODB.FileStorage import FileStorage
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, z64

from bat_os.errors import BatError
from bat_os.image.allowlist import AllowListDB
from bat_os.image.files import storage as module
from bat_os.image.files.fork import fork
from bat_os.image.files.layers import path_of
from bat_os.image.files.opening import open_to_read
from bat_os.image.files.pack import pack, space
from bat_os.image.files.storage import CompressedFile, LiveFile, compress, decompress
from bat_os.image.history.moments import read_at
from tests.image.files.images import make_image, noise, open_image, put, slot

LONG = "the same words again and again " * 100


def raw_records(path):
    """Return (oid, record as it lies in the file) of an image file, by ZODB alone."""
    storage = FileStorage(str(path), read_only=True)
    try:
        return [(record.oid, record.data) for step in storage.iterator() for record in step]
    finally:
        storage.close()


@pytest.fixture
def plain(monkeypatch):
    """Write as programs before format 7 did, until it is called."""
    monkeypatch.setattr(module, "LEAST", 1 << 40)
    return monkeypatch.undo


@pytest.fixture
def connect(tmp_path):
    """Give connections to the database of one image file, each with its transactions."""
    database = AllowListDB(LiveFile(tmp_path / "image.fs"))
    opened = []

    def call():
        manager = transaction.TransactionManager()
        opened.append(database.open(manager))
        return opened[-1], manager

    yield call
    for connection in opened:
        connection.transaction_manager.abort()
        connection.close()
    database.close()


# --- one record ---


@pytest.mark.parametrize(
    ("record", "is_compressed"),
    [
        (b"short", False),
        (b"x" * 255, False),
        (b"x" * 256, True),
        (LONG.encode(), True),
        (noise(1, 5000).encode("latin-1"), False),
    ],
)
def test_a_record_is_given_as_it_was_and_is_never_longer_in_the_file(record, is_compressed):
    stored = compress(record)
    assert decompress(stored) == record
    assert len(stored) <= len(record)
    assert compress(stored) == stored
    assert (stored != record) is is_compressed


def test_what_is_damaged_cut_short_or_too_large_is_no_pickle(monkeypatch):
    stored = compress(pickle.dumps(LONG, 3))
    flipped = stored[:20] + bytes([stored[20] ^ 8]) + stored[21:]
    for record in (flipped, stored[:-1], stored + b"more"):
        assert decompress(record) == record
    monkeypatch.setattr(module, "MOST", 1000)
    assert decompress(stored) == stored


# --- in a file ---


async def test_an_image_is_smaller_and_its_root_is_read_by_any_program(image):
    before = (await space(image))["file"]
    await put(image, "robot_obj", text=LONG)
    assert await slot(image, "robot_obj", "text") == LONG
    told = await space(image)
    assert told["file"] - before < len(LONG) / 4
    kinds = sum(kind["bytes"] for kind in told["kinds"].values())
    assert kinds + told["history"] == told["file"]
    path = path_of(image.storage)
    records = raw_records(path)
    assert sum(record.startswith(b".z") for _, record in records) > 10
    assert not any(record.startswith(b".z") for oid, record in records if oid == z64)
    assert any(len(record) > module.LEAST for oid, record in records if oid == z64)


async def test_every_way_to_read_gives_what_was_written(image):
    await put(image, "robot_obj", text=LONG + "one")
    first = image.database.lastTransaction()
    await put(image, "robot_obj", text=LONG + "two")
    await image.transact(lambda root: root["objects"]["robot_obj"].set_slot("n", 1), note="more")
    then = await read_at(
        image, first.hex(), lambda root: root["objects"]["robot_obj"].slots["text"]
    )
    assert then == LONG + "one"
    oid = await image.transact(lambda root: root["objects"]["robot_obj"]._p_oid, note="look")
    storage = image.storage
    record, tid = storage.load(oid)
    assert LONG.encode() in record
    assert storage.loadSerial(oid, tid) == storage.loadBefore(oid, p64(1 << 62))[0] == record
    assert b"one" in storage.loadSerial(oid, first)
    held = [data.data for step in storage.iterator(first) for data in step if data.oid == oid]
    assert [LONG.encode() in data for data in held] == [True, True, True]
    walked, cookie = {}, None
    while True:
        found, _, data, cookie = storage.record_iternext(cookie)
        walked[found] = data
        if cookie is None:
            break
    assert walked[oid] == record


async def test_a_fork_reads_and_writes_compressed_records(image):
    await put(image, "robot_obj", text=LONG)
    other = open_image(f"{(await fork(image, 'trial'))['home']}/live_image.fs")
    assert await slot(other, "robot_obj", "text") == LONG
    await put(other, "robot_obj", text=LONG + "more")
    assert await slot(other, "robot_obj", "text") == LONG + "more"
    await pack(other, days=0)
    assert await slot(other, "robot_obj", "text") == LONG + "more"
    await other.close()


def test_two_writers_are_merged_by_what_the_records_hold(connect):
    (one, first), (two, second) = connect(), connect()
    one.root()["tree"] = OOBTree({f"{LONG} {number}": number for number in range(5)})
    first.commit()
    second.begin()
    one.root()["tree"][f"{LONG} a"] = 1
    two.root()["tree"][f"{LONG} b"] = 2
    first.commit()
    second.commit()
    first.begin()
    tree = one.root()["tree"]
    assert (len(tree), tree[f"{LONG} a"], tree[f"{LONG} b"]) == (7, 1, 2)
    record, _ = one.db().storage.load(tree._p_oid)
    assert record.startswith(b"\x80")
    assert max(len(data) for _, data in raw_records(one.db().storage.getName())) < len(LONG)


@pytest.mark.parametrize("was_plain", [False, True])
async def test_what_was_undone_stays_so_when_the_file_is_packed(connect, monkeypatch, was_plain):
    if was_plain:
        monkeypatch.setattr(module, "LEAST", 1 << 40)
    one, manager = connect()
    root, storage = one.root(), one.db().storage
    root["tree"] = tree = OOBTree({f"{LONG} {number}": number for number in range(5)})
    root["other"] = OOBTree({"text": LONG})
    manager.commit()
    root["other"]["text"] = LONG.upper()
    manager.commit()
    tree[f"{LONG} a"] = 1
    manager.commit()
    tree[f"{LONG} b"] = 2
    manager.commit()
    moments = [TimeStamp(storage.lastTransaction()).timeTime()]
    for note in (1, 3):  # one is merged with what came later, the other leads back
        one.db().undo(storage.undoLog(0, 10)[note]["id"], manager.get())
        manager.commit()
        moments.append(TimeStamp(storage.lastTransaction()).timeTime())
    monkeypatch.undo()

    def look():
        manager.begin()
        one.cacheMinimize()
        return sorted(key[-1] for key in root["tree"]), root["other"]["text"]

    assert look() == (["0", "1", "2", "3", "4", "b"], LONG)
    for moment in (sum(moments[:2]) / 2, None):  # between what was done and what undid it; now
        one.db().pack(moment)
        assert look() == (["0", "1", "2", "3", "4", "b"], LONG)
    assert all(len(data) < len(LONG) for oid, data in raw_records(storage.getName()) if oid != z64)


async def test_a_pack_compresses_what_earlier_programs_wrote_and_drops_nothing(tmp_path, plain):
    path = tmp_path / "home" / "live_image.fs"
    image = await make_image(path)
    for name in ("robot_obj", "other_obj"):
        await put(image, name, text=LONG + name)
    await image.close()
    plain()
    assert not any(record.startswith(b".z") for _, record in raw_records(path))
    image = open_image(path)
    assert await slot(image, "robot_obj", "text") == LONG + "robot_obj"
    before = (await space(image))["kinds"]
    told = await pack(image, days=0)
    assert told["after"] < told["before"] * 0.6
    assert await slot(image, "other_obj", "text") == LONG + "other_obj"
    after = (await space(image))["kinds"]
    assert {kind: room["objects"] for kind, room in after.items()} | {"other": 0} == {
        kind: room["objects"] for kind, room in before.items()
    } | {"other": 0}
    assert after["objects"]["bytes"] < before["objects"]["bytes"] / 2
    await image.close()


# --- elsewhere ---


async def test_a_copy_to_another_storage_holds_no_compressed_record(image, tmp_path):
    await put(image, "robot_obj", text=LONG)
    source = open_to_read(path_of(image.storage), blobs=True)
    copy = FileStorage(str(tmp_path / "copy.fs"), blob_dir=str(tmp_path / "copy.blob"))
    copy.copyTransactionsFrom(source)
    source.close()
    records = [data for step in copy.iterator() for data in step]
    assert LONG.encode() in b"".join(data.data for data in records)
    assert not any(data.data.startswith(b".z") for data in records)
    database = ZODB.DB(copy)
    database.close()


async def test_a_foreign_class_in_a_compressed_record_is_refused(image):
    path = path_of(image.storage)
    await image.transact(lambda root: root.__setitem__("tree", OOBTree()), note="put")
    oid = await image.transact(lambda root: root["tree"]._p_oid, note="look")
    await image.close()
    storage = CompressedFile(str(path), blob_dir=f"{path}.blob")
    record = b"\x80\x03cos\n_Environ\nq\x00." + pickle.dumps({"text": LONG}, 3)
    assert compress(record).startswith(b".z")
    from ZODB.Connection import TransactionMetaData

    step = TransactionMetaData()
    storage.tpc_begin(step)
    storage.store(oid, storage.load(oid)[1], record, "", step)
    storage.tpc_vote(step)
    storage.tpc_finish(step)
    storage.close()
    again = open_image(path)
    with pytest.raises(BatError, match="_Environ"):
        await again.transact(lambda root: len(root["tree"]), note="look")
    await again.close()


def test_a_record_that_others_compressed_harder_is_read(tmp_path):
    storage = CompressedFile(str(tmp_path / "image.fs"))
    record = pickle.dumps(LONG, 3)
    from ZODB.Connection import TransactionMetaData

    step = TransactionMetaData()
    storage.tpc_begin(step)
    storage.store(p64(1), z64, b".z" + zlib.compress(record, 9), "", step)
    storage.tpc_vote(step)
    storage.tpc_finish(step)
    assert storage.load(p64(1))[0] == record
    storage.close()
