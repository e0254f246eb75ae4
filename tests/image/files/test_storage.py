"""bat_os.image.files.storage: what happens when the disk does not do what it was told."""

import errno
import importlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage

from bat_os.errors import StorageError
from bat_os.image.files.storage import LiveFile, Lock, LostError, when_lost
from bat_os.image.store import ImageStore

MODULE = importlib.import_module("ZODB.FileStorage.FileStorage")  # its name is a class's too


def put(value):
    return lambda root: root.__setitem__("value", value)


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


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110 - no path of ours
def test_a_lock_whose_file_cannot_be_written_is_let_go():
    for _ in range(2):  # the second one would find it held
        with pytest.raises(OSError, match="No space left"):
            Lock("/dev/full")
