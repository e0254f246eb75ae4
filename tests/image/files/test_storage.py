"""bat_os.image.files.storage: what happens when the disk does not do what it was told."""

import contextlib
import errno
import importlib
import os
import random
import resource
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage

from bat_os.errors import DamagedError, StorageError, StorageFullError
from bat_os.image.files import packer
from bat_os.image.files.durable import Lock
from bat_os.image.files.ending import losses
from bat_os.image.files.layers import when_lost
from bat_os.image.files.opening import open_to_read
from bat_os.image.files.pack import pack
from bat_os.image.files.storage import LiveFile, LostError
from bat_os.image.store import ImageStore

MODULE = importlib.import_module("ZODB.FileStorage.FileStorage")  # its name is a class's too


NEEDS_DEV_FULL = pytest.mark.skipif(
    not os.path.exists("/dev/full"),  # noqa: PTH110 - no path of ours
    reason="no /dev/full",
)


def put(value):
    return lambda root: root.__setitem__("value", value)


@contextlib.contextmanager
def room(path, size):
    """Let no file of this process grow beyond ``size`` bytes more than the image has."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_file_whose_fsync_failed_is_refused_until_it_is_opened_again(tmp_path, monkeypatch):
    def fail(_handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def close(file):
        closed.append(file.is_lost)
        FileStorage.close(file)

    lost, closed = [], []
    image = ImageStore.open(tmp_path / "image.fs")
    await image.transact(put(1), note="one")
    when_lost(image.storage, lambda: lost.append(True))
    with monkeypatch.context() as disk:
        disk.setattr(MODULE, "fsync", fail)
        disk.setattr(LiveFile, "close", close)
        with pytest.raises(StorageError, match="could not be ended"):
            await image.transact(put(2), note="two")

    for work in (put(3), lambda root: root["value"]):
        with pytest.raises(StorageError, match="opened again"):
            await image.transact(work, note="three")
    assert (lost, closed) == ([True], [True])  # nobody finds it closed and not lost
    await image.close()
    image = ImageStore.open(tmp_path / "image.fs")
    assert await image.transact(lambda root: root["value"], note="look") in (1, 2)
    await image.close()


def test_who_reads_while_the_file_is_closed_is_refused_like_all_that_come_after(tmp_path):
    file = LiveFile(tmp_path / "image.fs")

    def close():
        file.is_lost = True
        raise ValueError("closed")

    file._files.get = close
    with pytest.raises(LostError, match="opened again"):
        file.loadBefore(bytes(8), b"\x7f" * 8)
    file.close()


def test_who_waits_for_a_commit_that_fails_is_refused_like_all_that_come_after(tmp_path):
    file = LiveFile(tmp_path / "image.fs")
    checked = threading.Event()

    class Watched(LiveFile):
        def _check(self):
            super()._check()
            checked.set()

    file.__class__ = Watched
    file._commit_lock.acquire()
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(file.tpc_begin, TransactionMetaData())
        checked.wait()
        file.is_lost = True
        file._file.close()
        file._tfile.close()
        file._commit_lock.release()
        with pytest.raises(LostError, match="opened again"):
            waits.result()
    file._lock_file.close()


@NEEDS_DEV_FULL
def test_a_lock_whose_file_cannot_be_written_is_let_go():
    for _ in range(2):  # the second one would find it held
        with pytest.raises(OSError, match="No space left"):
            Lock("/dev/full")


@pytest.mark.skipif(sys.platform == "win32", reason="limits on files are a matter of POSIX")
@pytest.mark.parametrize("left", [0, 30, 700])
async def test_a_commit_that_found_no_room_leaves_nothing_and_hinders_no_pack(tmp_path, left):
    path = tmp_path / "image.fs"
    image = ImageStore.open(path)
    for number in range(9):
        await image.transact(put(f"{number}" * 9_000), note="fill")
    before, lost = path.stat().st_size, []
    when_lost(image.storage, lambda: lost.append(True))
    with room(path, left):
        for _ in range(2):
            with pytest.raises(StorageFullError):
                await image.transact(put("more" * 9_000), note="too much")
            assert path.stat().st_size == before
        with contextlib.suppress(StorageFullError):  # its entry in the chronicle may find no room
            await pack(image, days=0)
    await pack(image, days=0)
    await image.transact(put("after"), note="there is room again")
    await image.close()
    assert not lost
    image = ImageStore.open(path)
    assert await image.transact(lambda root: root["value"], note="look") == "after"
    assert path.stat().st_size < before
    await image.close()


@pytest.mark.parametrize("which", [1, 2])
async def test_a_pack_whose_switch_fails_leaves_the_file_lost_and_never_half(
    tmp_path, monkeypatch, which
):
    path, lost, renames = tmp_path / "image.fs", [], []
    image = ImageStore.open(path)
    for number in range(9):
        await image.transact(put(f"{number}" * 9_000), note="fill")
    when_lost(image.storage, lambda: lost.append(True))
    usual = os.rename

    def rename(source, target):
        if str(source).startswith(str(path)) and not str(source).endswith("index_tmp"):
            renames.append(source)
            if len(renames) == which:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        usual(source, target)

    with monkeypatch.context() as disk:
        disk.setattr(os, "rename", rename)
        with pytest.raises(StorageError):
            await pack(image, days=0)
    if which == 1:  # ZODB opens the old one again
        await image.transact(put("9" * 9_000), note="go on")
    else:
        with pytest.raises(StorageError, match="opened again"):
            await image.transact(put("never"), note="too late")
    assert lost == [True] * (which == 2)
    await image.close()
    image = ImageStore.open(path)
    assert (await image.transact(lambda root: root["value"], note="look")) in (
        "8" * 9_000,
        "9" * 9_000,
    )
    await image.transact(put("after"), note="go on")
    await image.close()


@NEEDS_DEV_FULL
async def test_a_pack_that_cannot_close_its_files_does_not_keep_the_commit_lock(
    tmp_path, monkeypatch
):
    class NoRoom(packer._Packer):
        def copyToPacktime(self):  # noqa: N802 - ZODB's name
            done = super().copyToPacktime()
            self.blob_removed.close()
            self.blob_removed = open("/dev/full", "wb")  # noqa: SIM115, PTH123 - as ZODB has it
            self.blob_removed.write(b"0" * 17)
            return done

    image = ImageStore.open(tmp_path / "image.fs")
    for number in range(9):
        await image.transact(put(f"{number}" * 9_000), note="fill")
    with monkeypatch.context() as disk:
        disk.setattr(packer, "_Packer", NoRoom)
        with pytest.raises(StorageFullError):
            await pack(image, days=0)
    await image.transact(put("after"), note="go on")
    await pack(image, days=0)
    await image.close()


async def _fill(path):
    """Return the size of an image after each of ten commits, the last one at the end."""
    image = ImageStore.open(path)
    sizes = []
    for number in range(10):
        await image.transact(put(f"{number}" * 1000), note="grow")
        sizes.append(path.stat().st_size)
    return image, sizes


def _damage(path, place, count, fill):
    data = random.Random(place).randbytes(count) if fill == "random" else bytes(count)  # noqa: S311
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


async def _lost(path):
    image = ImageStore.open(path)
    await image.close()
    return losses(path)


@pytest.mark.parametrize("is_stopped", [True, False], ids=["stopped", "killed"])
async def test_an_image_that_lost_its_end_is_known_as_one(tmp_path, is_stopped):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    if is_stopped:
        await image.close()
    else:  # what a killed process leaves
        kept = {name: path.with_name(path.name + name).read_bytes() for name in ("", ".end")}
        await image.close()
        for name, data in kept.items():
            path.with_name(path.name + name).write_bytes(data)
        path.with_name("image.fs.index").unlink()
    os.truncate(path, sizes[7] + 100)
    (loss,) = await _lost(path)
    assert (loss.was, loss.size) == (sizes[-1], sizes[7])
    assert loss.kept == f"{path}.tr0"
    assert f"{sizes[-1] - sizes[7]} bytes are missing" in str(loss)
    assert await _lost(path) == [loss]  # once, and remembered


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "no index"])
@pytest.mark.parametrize("fill", ["zero", "random"])
@pytest.mark.parametrize("count", [1, 30, 512, 3_000])
async def test_a_damaged_end_is_set_aside_and_the_rest_is_served(tmp_path, count, fill, has_index):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    await image.close()
    _damage(path, sizes[-1] - count, count, fill)
    if not has_index:
        path.with_name("image.fs.index").unlink()
    (loss,) = await _lost(path)
    whole = max(size for size in sizes if size <= sizes[-1] - count)
    assert (loss.size, path.stat().st_size, loss.kept) == (whole, whole, f"{path}.tr0")
    assert path.with_name("image.fs.tr0").stat().st_size == sizes[-1] - whole
    image = ImageStore.open(path)
    last = sizes.index(whole)
    assert await image.transact(lambda root: root["value"], note="look") == f"{last}" * 1000
    await image.transact(put("after"), note="go on")
    await image.close()
    assert await _lost(path) == [loss]


async def test_an_end_that_is_damaged_behind_the_index_is_set_aside(tmp_path):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    image.storage._save_index()
    index = path.with_name("image.fs.index").read_bytes()
    await image.transact(put("last" * 400), note="grow")
    await image.close()
    path.with_name("image.fs.index").write_bytes(index)
    _damage(path, path.stat().st_size - 60, 60, "zero")
    (loss,) = await _lost(path)
    assert loss.size == sizes[-1]


@pytest.mark.parametrize("has_index", [True, False], ids=["index", "no index"])
async def test_damage_before_whole_transactions_is_refused_and_nothing_is_cut(tmp_path, has_index):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    await image.close()
    _damage(path, sizes[3] + 30, 40, "zero")
    index = path.with_name("image.fs.index")
    if has_index:  # one that does not reach the damage
        index.write_bytes(b"rubbish")
    else:
        index.unlink()
    for _ in range(2):
        with pytest.raises(
            DamagedError, match=rf"damaged at byte {sizes[3]} of {sizes[-1]}.*restor"
        ):
            ImageStore.open(path)
    assert path.stat().st_size == sizes[-1]
    assert not list(tmp_path.glob("*.tr*"))


async def test_who_only_reads_a_damaged_image_is_told_what_the_next_start_does(tmp_path):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    await image.close()
    _damage(path, sizes[-1] - 300, 300, "zero")
    with pytest.raises(
        DamagedError, match=r"the last \d+ bytes of .* the next start sets them aside"
    ):
        open_to_read(path, blobs=False)
    assert path.stat().st_size == sizes[-1]


@pytest.mark.parametrize("left", [None, b"", b"FS30"], ids=["gone", "empty", "bare"])
async def test_no_image_is_made_where_one_was(tmp_path, left):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    await image.close()
    path.unlink() if left is None else path.write_bytes(left)
    with pytest.raises(DamagedError, match=f"is missing or empty, and had {sizes[-1]} bytes"):
        ImageStore.open(path)
    assert path.exists() == (left is not None)
    path.with_name("image.fs.end").unlink()
    await ImageStore.open(path).close()


@pytest.mark.skipif(sys.platform == "win32", reason="an open file stays where it is there")
@pytest.mark.parametrize("how", ["replaced", "removed", "cut short"])
async def test_no_commit_counts_in_a_file_that_the_next_start_would_not_find(tmp_path, how):
    path, aside = tmp_path / "image.fs", tmp_path / "aside.fs"
    image, sizes = await _fill(path)
    shutil.copy(path, aside)
    if how == "cut short":
        path.write_bytes(aside.read_bytes()[: sizes[4]])
    else:
        path.rename(tmp_path / "open.fs")
        if how == "replaced":
            aside.rename(path)
    for work in (put("lost"), put("again")):
        with pytest.raises(StorageError, match=r"while the daemon serves it|cannot be read"):
            await image.transact(work, note="say it")
    assert image.in_doubt
    if how != "cut short":  # nothing of those is in it, and it goes on once it is back
        (tmp_path / "open.fs").rename(path)
        await image.transact(put("kept"), note="go on")
    await image.close()
    image = ImageStore.open(path)
    assert await image.transact(lambda root: root["value"], note="look") in ("kept", "4" * 1000)
    await image.close()


async def test_a_file_that_changes_under_its_reader_is_an_error_of_the_storage(tmp_path):
    path = tmp_path / "image.fs"
    image, _ = await _fill(path)
    with path.open("r+b") as file:
        file.truncate(4)
    image.database.cacheMinimize()
    with pytest.raises(StorageError, match=r"was cut short|cannot be read"):
        await image.transact(lambda root: root["value"], note="look")
    await image.close()


async def test_an_older_file_in_the_place_of_the_image_is_known_as_one(tmp_path):
    path = tmp_path / "image.fs"
    image, _ = await _fill(path)
    older = path.read_bytes()
    await image.transact(put("newer"), note="grow")
    await image.close()
    path.write_bytes(older)
    (loss,) = await _lost(path)
    assert (loss.size, loss.kept) == (len(older), "")


async def test_an_end_that_no_commit_wrote_is_no_loss(tmp_path):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    await image.close()
    with path.open("ab") as file:
        file.write(path.read_bytes()[sizes[-2] : -20])  # a commit that a kill cut short
    assert await _lost(path) == []
    assert path.stat().st_size == sizes[-1]


@pytest.mark.parametrize("is_killed", [True, False])
async def test_a_pack_makes_no_loss(tmp_path, is_killed):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    database = image.database
    database.pack(time.time())
    assert path.stat().st_size < sizes[-1]
    if not is_killed:
        await image.transact(put("after"), note="grow")
    await image.close()
    assert await _lost(path) == []


@pytest.mark.parametrize("mark", [b"", b"rubbish", b"9" * 100, b"\xff" * 38])
async def test_a_mark_that_cannot_be_read_says_nothing_and_is_renewed(tmp_path, mark):
    path = tmp_path / "image.fs"
    image, sizes = await _fill(path)
    await image.close()
    path.with_name("image.fs.end").write_bytes(mark)
    assert await _lost(path) == []
    os.truncate(path, sizes[3])
    assert len(await _lost(path)) == 1


@pytest.mark.parametrize("made", [(), ("tmp",), ("tmp", ".layout")], ids=str)
async def test_an_image_whose_maker_was_killed_gets_the_usual_blob_folder(tmp_path, made):
    path, folder = tmp_path / "image.fs", tmp_path / "image.fs.blob"
    FileStorage(str(path)).close()
    folder.mkdir()
    for name in made:
        (folder / name).touch() if name == ".layout" else (folder / name).mkdir()
    image = ImageStore.open(path)
    assert image.storage.fshelper.layout_name == "bushy"
    await image.transact(put(1), note="one")
    await image.close()
    assert (folder / ".layout").read_text() == "bushy"


def test_the_older_layout_of_a_blob_folder_is_kept(tmp_path):
    path, folder = tmp_path / "image.fs", tmp_path / "image.fs.blob"
    FileStorage(str(path)).close()
    (folder / "0x1c").mkdir(parents=True)
    storage = LiveFile(path)
    assert storage.fshelper.layout_name == "lawn"
    storage.close()
