"""bat_os.image.archive.livefile: what happens when the disk does not do what it was told."""

import errno
import importlib
import os

import pytest

from bat_os.errors import StorageError
from bat_os.image.archive.livefile import Lock
from bat_os.image.archive.storage import storage_of, when_lost
from bat_os.image.store import ImageStore

MODULE = importlib.import_module("ZODB.FileStorage.FileStorage")  # its name is a class's too


def put(value):
    return lambda root: root.__setitem__("value", value)


async def test_a_file_whose_fsync_failed_is_refused_until_it_is_opened_again(tmp_path, monkeypatch):
    def fail(_handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    lost = []
    image = ImageStore.open(tmp_path / "image.fs")
    await image.transact(put(1), note="one")
    when_lost(await storage_of(image), lambda: lost.append(True))
    with monkeypatch.context() as disk:
        disk.setattr(MODULE, "fsync", fail)
        with pytest.raises(StorageError, match="could not be ended"):
            await image.transact(put(2), note="two")

    for work in (put(3), lambda root: root["value"]):
        with pytest.raises(StorageError, match="opened again"):
            await image.transact(work, note="three")
    assert lost == [True]
    await image.close()
    image = ImageStore.open(tmp_path / "image.fs")
    assert await image.transact(lambda root: root["value"], note="look") in (1, 2)
    await image.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")  # noqa: PTH110 - no path of ours
def test_a_lock_whose_file_cannot_be_written_is_let_go():
    for _ in range(2):  # the second one would find it held
        with pytest.raises(OSError, match="No space left"):
            Lock("/dev/full")
