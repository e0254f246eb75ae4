"""bat_os.image.files.ability: whether anything can be stored is seen, and said, and tried again."""

import asyncio
import errno
import importlib
import os
import resource
import sys
import threading
from pathlib import Path

import pytest

from bat_os.errors import LockedError, StorageError, StorageFullError
from bat_os.image.files import ability
from bat_os.image.files.ability import (
    STUCK,
    CommitWatch,
    keep_trying,
    live_of,
    open_and_prove,
    try_commit,
)
from bat_os.image.files.layers import when_lost
from bat_os.image.store import ImageStore

MODULE = importlib.import_module("ZODB.FileStorage.FileStorage")  # its name is a class's too
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="limits are a matter of POSIX")


@pytest.fixture
async def image(tmp_path):
    image = ImageStore.open(tmp_path / "image.fs")
    await image.transact(put("before"), note="fill")
    yield image
    await image.close()


def put(value):
    return lambda root: root.__setitem__("value", value)


def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def open_full():
    """Return a file on a disk without room."""
    return Path("/dev/full").open("w+b")


@pytest.fixture
def full(image, tmp_path):
    """The image cannot grow."""
    limit((tmp_path / "image.fs").stat().st_size)
    yield
    limit(resource.RLIM_INFINITY)


async def test_a_trial_commit_leaves_the_file_as_it_was(image, tmp_path):
    before = (tmp_path / "image.fs").read_bytes()
    try_commit(live_of(image.storage))
    assert (tmp_path / "image.fs").read_bytes() == before
    await image.transact(put("after"), note="go on")


@pytest.mark.usefixtures("full")
async def test_a_trial_commit_says_that_there_is_no_room(image):
    with pytest.raises(StorageFullError):
        try_commit(live_of(image.storage))
    limit(resource.RLIM_INFINITY)
    try_commit(live_of(image.storage))


@pytest.mark.usefixtures("full")
async def test_a_failed_commit_is_said_until_one_goes_through(image, monkeypatch):
    monkeypatch.setattr(ability, "EVERY", 0.01)
    said = asyncio.Queue()
    watching = asyncio.create_task(keep_trying(image, said.put_nowait))
    with pytest.raises(StorageFullError):
        await image.transact(put("more" * 9_000), note="too much")
    assert "full" in await said.get()
    limit(resource.RLIM_INFINITY)
    assert await said.get() == ""
    assert not image.in_doubt
    watching.cancel()


async def test_a_failure_that_has_passed_by_the_next_look_is_said_as_well(image, monkeypatch):
    """What stopped over it goes on then."""
    monkeypatch.setattr(ability, "EVERY", 0.01)
    image.in_doubt, said = True, asyncio.Queue()
    watching = asyncio.create_task(keep_trying(image, said.put_nowait))
    assert await asyncio.wait_for(said.get(), 60) == ""
    watching.cancel()


async def test_a_commit_that_does_not_end_is_said_and_given_up(image):
    live, lost = live_of(image.storage), []
    when_lost(image.storage, lambda: lost.append(True))
    watch = CommitWatch(live)
    live._commit_lock.acquire()
    assert [watch.look(now) for now in (0.0, 20.0)] == ["", ""]
    assert "does not end" in watch.look(40.0)
    assert not lost
    watch.look(STUCK + 1)
    live._commit_lock.release()
    assert lost == [True]
    with pytest.raises(StorageError, match="opened again"):
        await image.transact(put("never"), note="too late")


async def test_an_fsync_that_never_returns_is_seen_without_waiting_for_it(image, monkeypatch):
    live, lost, began, gate = live_of(image.storage), [], threading.Event(), threading.Event()

    def hang(_handle):
        began.set()
        gate.wait(60)

    when_lost(image.storage, lambda: lost.append(True))
    monkeypatch.setattr(MODULE, "fsync", hang)
    committing = asyncio.create_task(image.transact(put("hangs"), note="hang"))
    await asyncio.to_thread(began.wait)
    watch = CommitWatch(live)
    assert [watch.look(now) for now in (0.0, 40.0)] == ["", "a commit does not end"]
    watch.look(STUCK + 1)
    assert lost == [True]
    assert not gate.is_set()  # nobody has waited until it returned
    gate.set()
    await committing  # it is on the disk after all; but no other follows it
    with pytest.raises(StorageError, match="opened again"):
        await image.transact(put("never"), note="too late")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
async def test_what_a_failed_commit_left_in_a_buffer_holds_no_other_up(image):
    live = live_of(image.storage)
    usual, live._tfile = live._tfile, open_full()
    for _ in range(2):
        with pytest.raises(StorageFullError):
            try_commit(live)
        with pytest.raises(StorageFullError):
            await image.transact(put("no room"), note="too much")
    assert not live._commit_lock.locked()
    live._tfile.raw.close()
    live._tfile = usual
    await image.transact(put("after"), note="go on")


async def test_commits_that_end_and_a_pack_at_work_are_no_reason_to_worry(image):
    live = live_of(image.storage)
    watch = CommitWatch(live)
    for now in range(0, 1000, 50):
        await image.transact(put(now), note="go on")
        live._commit_lock.acquire()
        assert watch.look(float(now)) == ""
        live._commit_lock.release()
    live._pack_is_in_progress = True
    live._commit_lock.acquire()
    assert {watch.look(1000.0 * n) for n in range(1, 9)} == {""}
    live._commit_lock.release()
    live._pack_is_in_progress = False


async def test_a_disk_whose_fsync_fails_is_not_served_from_and_the_image_is_free(
    tmp_path, monkeypatch
):
    def fail(_handle):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as disk:
        disk.setattr(ability.os, "fsync", fail)
        for _ in range(2):
            with pytest.raises(StorageError, match="Input/output"):
                open_and_prove(tmp_path / "image.fs")
    image = open_and_prove(tmp_path / "image.fs")
    with pytest.raises(LockedError):
        open_and_prove(tmp_path / "image.fs")
    await image.close()
