"""bat_os.image.store: transactions, on real files."""

import asyncio
import functools
import os
import pickle
import threading
from pathlib import Path

import pytest
import ZODB
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage

from bat_os.errors import (
    AuditError,
    ConflictError,
    ForbiddenClassError,
    FormatError,
    LockedError,
    ShuttingDownError,
    StorageError,
)
from bat_os.image import store
from bat_os.image.allowlist import is_allowed
from bat_os.image.objects import UvmObject
from bat_os.image.store import CACHE_BYTES, THREADS, TRIES, ImageStore


async def test_what_was_committed_is_there_after_reopening(tmp_path):
    image = ImageStore.open(tmp_path / "image.fs")
    await image.transact(lambda root: root.update(a=1), note="set a")
    await image.close()
    image = ImageStore.open(tmp_path / "image.fs")
    assert await image.transact(lambda root: root["a"], note="read") == 1
    await image.close()


async def test_work_that_raises_leaves_the_image_unchanged(image):
    def install(root):
        root["robot"] = UvmObject()
        raise AuditError(("line 1: import of os",))

    with pytest.raises(AuditError):
        await image.transact(install, note="install robot.wave")
    assert await image.transact(list, note="list names") == []


async def test_a_conflict_runs_the_work_again(image):
    await image.transact(lambda root: root.update(n=0), note="start")
    both = threading.Barrier(2, timeout=10)
    runs = []

    def count(root):
        value = root["n"]
        runs.append(value)
        if len(runs) <= 2:
            both.wait()
        root["n"] = value + 1

    await asyncio.gather(*(image.transact(count, note="count") for _ in range(2)))
    assert await image.transact(lambda root: root["n"], note="read") == 2
    assert len(runs) == 3


async def test_work_that_stops_an_iteration_is_heard_of(image):
    with pytest.raises(RuntimeError, match="StopIteration"):
        await image.transact(lambda root: next(iter(())), note="take the first")


async def test_work_that_always_conflicts_ends_with_a_conflict(image):
    await image.transact(lambda root: root.update(n=0), note="start")
    runs = []

    def lose(root):
        root["n"] = root["n"]
        runs.append(1)
        raise ZODB.POSException.ConflictError

    with pytest.raises(ConflictError):
        await image.transact(lose, note="lose")
    assert len(runs) == TRIES


async def test_note_and_mission_stand_in_the_transactions_metadata(image):
    await image.transact(lambda root: root.update(a=1), note="learn x", mission="m1")
    entry = image._db.undoLog(0, 1)[0]
    assert (entry["description"], entry["mission"]) == ("learn x", "m1")


async def test_the_event_loop_goes_on_while_a_transaction_runs(image):
    entered, leave = threading.Event(), threading.Event()

    def slow(root):
        entered.set()
        assert leave.wait(10)

    running = asyncio.create_task(image.transact(slow, note="slow"))
    await asyncio.to_thread(entered.wait, 10)
    assert not running.done()
    leave.set()
    await running


async def test_a_second_process_or_store_is_told_that_the_image_is_taken(tmp_path):
    image = ImageStore.open(tmp_path / "image.fs")
    with pytest.raises(LockedError, match="another process holds the image"):
        ImageStore.open(tmp_path / "image.fs")
    await image.close()


def test_a_file_that_is_no_image_is_named(tmp_path):
    path = tmp_path / "image.fs"
    path.write_bytes(b"not an image at all, but long enough")
    with pytest.raises(FormatError, match=r"image\.fs is not an image"):
        ImageStore.open(path)


async def test_a_closed_store_refuses_work(tmp_path):
    image = ImageStore.open(tmp_path / "image.fs")
    await image.close()
    await image.close()
    with pytest.raises(ShuttingDownError):
        await image.transact(list, note="read")


@pytest.fixture
async def counted(image):
    """Return (read, runs): what is under a name, and for which names the image was looked at."""
    await image.transact(lambda root: root.update(a=1, b=2), note="start")
    runs = []

    async def read(name):
        def work(root):
            runs.append(name)
            return root[name]

        return await image.read((name,), work, note="read")

    return read, runs


async def test_what_was_read_is_known_until_something_is_committed(image, counted):
    read, runs = counted
    assert [await read(name) for name in "abab"] == [1, 2, 1, 2]
    assert runs == ["a", "b"]
    await image.transact(lambda root: root["a"], note="change nothing")
    assert (await read("a"), runs) == (1, ["a", "b"])
    await image.transact(lambda root: root.update(a=5), note="change")
    assert [await read(name) for name in "aba"] == [5, 2, 5]
    assert runs == ["a", "b", "a", "b"]


async def test_what_is_committed_past_transact_counts_too(image, counted):
    read, _ = counted
    assert await read("a") == 1
    with image._db.transaction(note="past it") as connection:
        connection.root()["a"] = 7
    assert await read("a") == 7


async def test_what_was_read_while_another_committed_is_not_kept(image, counted):
    entered, leave = threading.Event(), threading.Event()

    def slow(root):
        found = root["a"]
        entered.set()
        assert leave.wait(10)
        return found

    reading = asyncio.create_task(image.read(("a",), slow, note="read"))
    await asyncio.to_thread(entered.wait, 10)
    await image.transact(lambda root: root.update(a=9), note="change")
    leave.set()
    assert await reading == 1
    assert await counted[0]("a") == 9


async def test_a_read_that_fails_is_tried_again(image, counted):
    for _ in range(2):
        with pytest.raises(KeyError):
            await counted[0]("nothing")
    assert counted[1] == ["nothing", "nothing"]


async def test_no_more_is_known_than_there_is_room_for(image, counted, monkeypatch):
    read, runs = counted
    monkeypatch.setattr(store, "KNOWN", 1)
    assert [await read(name) for name in "abab"] == [1, 2, 1, 2]
    assert runs == ["a", "b", "a", "b"]


async def test_a_uri_opens_through_zodburi(tmp_path):
    image = ImageStore.open(f"file://{tmp_path}/image.fs?blobstorage_dir={tmp_path}/blobs")
    await image.transact(lambda root: root.update(a=1), note="set a")
    await image.close()
    assert (tmp_path / "image.fs").stat().st_size > 0


class Hostile:
    """Unpickling it would make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


async def test_an_image_that_would_run_code_is_refused_and_does_not_run_it(tmp_path):
    victim = tmp_path / "owned"
    database = ZODB.DB(FileStorage(str(tmp_path / "image.fs")))
    with database.transaction() as connection:
        connection.root()["trap"] = Hostile(victim)
    database.close()
    image = ImageStore.open(tmp_path / "image.fs")
    with pytest.raises(ForbiddenClassError, match=r"posix\.mkdir"):
        await image.transact(lambda root: root["trap"], note="read")
    await image.close()
    assert not victim.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("builtins", "getattr"), ("posix", "mkdir"),
     ("BTrees.check", "check"), ("bat_os.image.store", "ImageStore"), ("subprocess", "Popen")],
)  # fmt: skip
def test_classes_that_no_image_needs_are_not_allowed(module, name):
    assert not is_allowed(module, name)


def test_a_scratch_image_leaves_nothing_behind():
    async def use():
        image = ImageStore.in_memory()
        folder = Path(image._db.storage.getName()).parent
        await image.transact(lambda root: root.update(a=pickle.dumps(1)), note="set a")
        await image.close()
        return folder

    assert not asyncio.run(use()).exists()


async def test_a_location_of_an_unknown_kind_is_refused():
    with pytest.raises(StorageError, match="no package here opens nonsense"):
        ImageStore.open("nonsense://x")


async def test_a_cancelled_task_ends_after_its_transaction(image):
    inside, go = threading.Event(), threading.Event()

    def work(root):
        inside.set()
        go.wait(10)
        root["done"] = True

    task = asyncio.ensure_future(image.transact(work, note="work"))
    assert await asyncio.to_thread(inside.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await image.transact(lambda root: root["done"], note="look")


async def test_work_that_has_not_begun_when_its_task_is_cancelled_is_never_done(image):
    inside, go = threading.Barrier(THREADS + 1), threading.Event()

    def hold(_root):
        inside.wait(10)
        go.wait(10)

    holding = [asyncio.ensure_future(image.transact(hold, note="hold")) for _ in range(THREADS)]
    await asyncio.to_thread(inside.wait, 10)
    task = asyncio.ensure_future(image.transact(lambda root: root.update(a=1), note="set a"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task  # while all threads are held
    go.set()
    await asyncio.gather(*holding)
    assert "a" not in await image.transact(set, note="look")


async def test_what_is_kept_in_memory_is_bounded_in_bytes_too(tmp_path):
    image, count, size = ImageStore.open(tmp_path / "image.fs"), 120, 1 << 20

    def fill(root, number):
        root[f"k{number}"] = PersistentMapping({"text": f"{number}".ljust(size)})

    for number in range(count):
        await image.transact(functools.partial(fill, number=number), note="fill")
    await image.transact(lambda root: [root[key]["text"] for key in list(root)], note="read all")
    held = [cache["ngsize"] for cache in image.database.cacheDetailSize()]
    assert max(held) <= CACHE_BYTES / size + 2  # the root beside them
    await image.close()
