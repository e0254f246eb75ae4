"""bat_os.image.files.fork: two images that share a past and nothing else."""

import asyncio
import errno
import os
import shutil
import threading
from pathlib import Path

import pytest

from bat_os.core.brief import Brief
from bat_os.errors import ArgumentsError, LockedError, NotFoundError, StorageError
from bat_os.image import missions
from bat_os.image.allowlist import AllowListDB
from bat_os.image.files import disk
from bat_os.image.files.fork import FOLDER, _freeze, drop_fork, fork, list_forks, scratch
from bat_os.image.files.opening import FORK, frozen_folder, open_to_read
from bat_os.image.files.pack import count_objects, pack
from bat_os.image.history import moments
from bat_os.image.store import ImageStore
from tests.image.files.images import blob_text, noise, open_image, put, slot, take_in, teach


def open_fork(made):
    return open_image(Path(made["home"]) / "live_image.fs")


async def test_a_fork_has_all_that_the_parent_had_and_each_changes_alone(image, tmp_path):
    made = await fork(image, "trial")
    other = open_fork(made)
    try:
        assert await slot(other, "robot_obj", "colour") == "red"
        assert await blob_text(other) == b"the weights"
        await put(image, "robot_obj", colour="blue")
        await put(other, "robot_obj", colour="green")
        await teach(other, "robot_obj", "def wave(self):\n    return 1\n")
        await take_in(other, tmp_path / "new", b"new weights", "second")
        assert await slot(image, "robot_obj", "colour") == "blue"
        assert await slot(image, "robot_obj", "wave") is None
        assert await slot(other, "robot_obj", "colour") == "green"
        assert await blob_text(other, "second") == b"new weights"
    finally:
        await other.close()
    again = open_fork(made)
    assert await slot(again, "robot_obj", "colour") == "green"
    assert await blob_text(again, "second") == b"new weights"
    await again.close()


async def test_what_the_parent_commits_later_is_invisible_to_a_fork_opened_later(image):
    made = await fork(image, "trial")
    for number in range(20):
        await put(image, "robot_obj", colour=number)
        await put(image, f"new_{number}_obj", n=number)
    other = open_fork(made)
    assert await slot(other, "robot_obj", "colour") == "red"
    assert await slot(other, "new_3_obj", "n") is None
    await other.close()


async def test_a_fork_knows_its_origin_and_leaves_the_parents_missions_alone(image):
    def begin(root):
        about = {"session": "s", "accepted": 1.0}
        brief = Brief("robot_obj", "wave")
        missions.open_brief(root, brief, mission_id="m1", key="k1", about=about)

    await image.transact(begin, note="begin m1")
    made = await fork(image, "trial")
    other = open_fork(made)
    about, unfinished, left = await other.transact(
        lambda root: (
            dict(root["about"]),
            missions.unfinished(root),
            missions.read(root, missions.id_of(root, "k1")),
        ),
        note="read",
    )
    await other.close()
    assert (left.id, left.answer) == ("m1", None)
    assert about["id"] == made["image_id"] != "parent"
    assert about["forked_from"]["image_id"] == "parent"
    assert about["forked_from"]["left"] == ["m1"]
    assert unfinished == []
    kept = await image.transact(missions.unfinished, note="read")
    assert kept == ["m1"]


async def test_a_fork_stands_while_the_parent_is_packed_and_after_it_is_gone(image, home):
    made = await fork(image, "trial")
    other = open_fork(made)
    try:
        assert await slot(other, "robot_obj", "colour") == "red"
        await image.transact(lambda root: root["objects"].pop("robot_obj"), note="remove")
        await image.transact(forget_models, note="remove models")
        await pack(image, days=0)
        assert not list((home / "live_image.fs.blob").rglob("*.blob"))
        assert await slot(other, "robot_obj", "colour") == "red"
        await put(other, "robot_obj", colour="green")
    finally:
        await other.close()
    elsewhere = home.parent / "elsewhere"
    shutil.move(made["home"], elsewhere)
    await image.close()
    shutil.rmtree(home)
    moved = open_image(elsewhere / "live_image.fs")
    assert await slot(moved, "robot_obj", "colour") == "green"
    assert await blob_text(moved) == b"the weights"
    await moved.close()


def forget_models(root):
    root["models"].clear()
    root["files_by_sha256"].clear()


async def test_a_fork_of_an_earlier_moment_is_the_image_as_it_was_then(image, tmp_path):
    before = image.storage.lastTransaction()
    await put(image, "robot_obj", colour="blue", size=3)
    await put(image, "late_obj", n=1)
    await take_in(image, tmp_path / "late", b"late weights", "late")
    await put(image, "robot_obj", colour="black")
    made = await fork(image, "trial", at=before)
    assert made["tid"] == before.hex()
    other = open_fork(made)
    assert await slot(other, "robot_obj", "colour") == "red"
    assert await slot(other, "robot_obj", "size") is None
    assert await slot(other, "late_obj", "n") is None
    assert await other.transact(lambda root: list(root["models"]), note="read") == ["model"]
    await put(other, "late_obj", n=2)
    assert await slot(other, "late_obj", "n") == 2
    last = other.storage.lastTransaction().hex()
    told = await moments.changes(other, before.hex(), last)
    assert [one["object"] for one in told["objects"]] == ["late_obj"]
    assert [one["note"] for one in told["transactions"]] == ["begin as fork trial", "put late_obj"]
    await other.close()


async def test_a_moment_that_is_packed_away_cannot_be_forked(image):
    before = image.storage.lastTransaction()
    await put(image, "robot_obj", colour="blue")
    await pack(image, days=0)
    with pytest.raises(ArgumentsError, match="packed away"):
        await fork(image, "trial", at=before)
    assert list_forks(Path(image.storage.getName())) == []


async def test_a_fork_can_be_forked(image):
    first = open_fork(await fork(image, "first"))
    await put(first, "robot_obj", colour="green")
    made = await fork(first, "second")
    second = open_fork(made)
    await put(first, "robot_obj", colour="black")
    await put(second, "robot_obj", size=1)
    assert await slot(second, "robot_obj", "colour") == "green"
    assert await slot(second, "traits_obj", "persona") == "ALFRED"
    assert await blob_text(second) == b"the weights"
    await second.close()
    await first.close()


async def test_all_objects_of_a_fork_can_be_gone_through_and_read_without_its_lock(image):
    made = await fork(image, "trial")
    other = open_fork(made)
    await put(other, "late_obj", n=1)
    path = Path(made["home"]) / "live_image.fs"
    reading = ImageStore(AllowListDB(open_to_read(path, blobs=True)))  # while the other has it
    assert await slot(reading, "late_obj", "n") == 1
    assert await slot(reading, "robot_obj", "colour") == "red"
    assert await blob_text(reading) == b"the weights"
    found, cookie = [], None
    storage = other.storage
    while not found or cookie is not None:
        oid, tid, record, cookie = storage.record_iternext(cookie)
        assert storage.load(oid) == (record, tid)
        found.append(oid)
    assert found == sorted(set(found))
    assert len(found) == sum(count_objects(storage).values())
    await reading.close()
    await other.close()


async def test_a_fork_can_be_packed_and_keeps_what_only_its_base_has(image):
    other = open_fork(await fork(image, "trial"))
    for number in range(30):
        await put(other, "robot_obj", colour=noise(number, 1000))
    told = await pack(other, days=0)
    assert told["after"] < told["before"] - 25_000
    assert await slot(other, "robot_obj", "colour") == noise(29, 1000)
    assert await slot(other, "traits_obj", "persona") == "ALFRED"
    assert await blob_text(other) == b"the weights"
    await other.close()


async def test_forks_are_listed_and_dropped_unless_a_kernel_runs_on_one(image, home):
    path = home / "live_image.fs"
    made = [await fork(image, name) for name in ("one", "two")]
    assert [(told["name"], told["running"]) for told in list_forks(path)] == [
        ("one", False),
        ("two", False),
    ]
    other = open_fork(made[0])
    assert list_forks(path)[0]["running"]
    with pytest.raises(LockedError):
        drop_fork(path, "one")
    await other.close()
    assert drop_fork(path, "one") == {"name": "one", "dropped": True}
    assert [told["name"] for told in list_forks(path)] == ["two"]
    with pytest.raises(NotFoundError):
        drop_fork(path, "one")


async def test_a_name_is_given_once_and_cannot_lead_elsewhere(image, home):
    await fork(image, "trial")
    with pytest.raises(ArgumentsError, match="already"):
        await fork(image, "trial")
    for name in ("", ".", "..", "a/b", "../x", "-x", "x" * 41, "ü"):
        with pytest.raises(ArgumentsError, match="cannot name a fork"):
            await fork(image, name)
        with pytest.raises(ArgumentsError, match="cannot name a fork"):
            drop_fork(home / "live_image.fs", name)
    assert [path.name for path in (home / FOLDER).iterdir()] == ["trial"]


async def test_where_files_cannot_have_two_names_nothing_is_left_behind(image, home, monkeypatch):
    def refuse(_path, _target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with pytest.raises(StorageError, match="second names"):
        await fork(image, "trial")
    assert list((home / FOLDER).iterdir()) == []


async def test_a_fork_that_is_cancelled_while_it_is_made_leaves_nothing(image, home, monkeypatch):
    making, cancelled = threading.Event(), threading.Event()

    def freeze(*args):
        making.set()
        cancelled.wait()
        return _freeze(*args)

    async def use():
        async with scratch(image):
            pass

    monkeypatch.setattr("bat_os.image.files.fork._freeze", freeze)
    using = asyncio.create_task(use())
    await asyncio.to_thread(making.wait)
    using.cancel()
    cancelled.set()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert list((home / FOLDER).iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "layers": ["../../etc"]}',
                                  '{"format": 2, "layers": ["0000000000000001"]}'])  # fmt: skip
async def test_a_damaged_record_of_a_fork_is_a_coded_error(image, text):
    made = await fork(image, "trial")
    path = Path(made["home"]) / "live_image.fs"
    (frozen_folder(path) / FORK).write_text(text)
    with pytest.raises(StorageError, match="fork"):
        open_image(path)


async def test_a_fork_can_be_made_while_the_parent_is_written(image):
    stop = asyncio.Event()

    async def write():
        number = 0
        while not stop.is_set():
            number += 1
            await put(image, "a_obj", n=number)
            await put(image, "b_obj", n=number)
        return number

    writing = asyncio.create_task(write())
    for number in range(5):
        other = open_fork(await fork(image, f"f{number}"))
        a, b = await slot(other, "a_obj", "n"), await slot(other, "b_obj", "n")
        await other.close()
        assert a == b or a == (b or 0) + 1
    stop.set()
    await writing


def test_two_names_can_be_swapped_in_one_step(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "a").touch()
    if disk.exchange(one, other):
        assert (other / "a").exists()
        assert not (one / "a").exists()
