"""bat_os.image.files.backup and restore: what is carried away comes back, or is refused."""

import contextlib
import hashlib
import json
import pickle
import threading

import pytest
from ZODB.utils import p64, z64

from bat_os.core.settings import IMAGE
from bat_os.errors import (
    ArgumentsError,
    BlobError,
    CancelledError,
    ForbiddenClassError,
    LockedError,
    StorageError,
)
from bat_os.image.files import manifest
from bat_os.image.files.archive import archive
from bat_os.image.files.backup import Source, back_up, back_up_source, verify
from bat_os.image.files.disk import Copier
from bat_os.image.files.fork import fork
from bat_os.image.files.pack import pack
from bat_os.image.files.restore import restore
from bat_os.image.files.storage import CompressedFile
from tests.image.files.images import blob_text, noise, open_image, put, slot, take_in


async def restored(backup, home):
    told = restore(backup, home)
    return told, open_image(home / IMAGE)


async def test_a_second_backup_adds_only_what_is_new_and_both_are_whole(image, tmp_path):
    target = tmp_path / "backup"
    first = await back_up(image, target)
    await put(image, "robot_obj", colour="blue")
    second = await back_up(image, target)
    assert (first["full"], second["full"]) == (True, False)
    assert 0 < second["added"] < first["added"] / 10
    assert verify(target)["tid"] == second["tid"]
    told, copy = await restored(target, tmp_path / "other")
    assert told["objects"]["UvmObject"] > 5
    assert await slot(copy, "robot_obj", "colour") == "blue"
    assert await blob_text(copy) == b"the weights"
    await copy.close()


async def test_what_is_committed_while_it_is_backed_up_comes_whole_or_not_at_all(image, tmp_path):
    target = tmp_path / "backup"
    for number in range(3):
        await put(image, "a_obj", n=number)
        made = await back_up(image, target)
        await put(image, "a_obj", n=-1)
        _, copy = await restored(target, tmp_path / f"copy{number}")
        assert await slot(copy, "a_obj", "n") == number
        await copy.close()
    assert not made["full"]


async def test_after_a_pack_the_backup_begins_anew_and_drops_what_it_had(image, tmp_path):
    target = tmp_path / "backup"
    for number in range(10):
        await put(image, "robot_obj", colour=noise(number, 5000))
    before = await back_up(image, target)
    await pack(image, days=0)
    after = await back_up(image, target)
    assert after["full"]
    assert after["size"] < before["size"] - 40_000
    assert len(list((target / "parts").iterdir())) == 1
    _, copy = await restored(target, tmp_path / "other")
    assert await slot(copy, "robot_obj", "colour") == noise(9, 5000)
    await copy.close()


@pytest.mark.parametrize("links", [True, False])
async def test_a_file_that_came_back_is_written_by_nobody_with_links_or_without(
    image, tmp_path, monkeypatch, links
):
    await back_up(image, tmp_path / "backup")
    if not links:
        monkeypatch.setattr("bat_os.image.files.disk.link", lambda *_: False)
    _, copy = await restored(tmp_path / "backup", tmp_path / "other")
    await copy.close()
    blobs = [path.stat() for path in (tmp_path / "other").rglob("*.blob") if path.is_file()]
    assert [about.st_mode & 0o222 for about in blobs] == [0] * 2
    assert all((about.st_nlink > 1) == links for about in blobs)


async def test_a_fork_is_carried_away_with_what_it_began_with(image, tmp_path):
    made = await fork(image, "trial")
    other = open_image(tmp_path / "home" / "forks" / "trial" / IMAGE)
    await put(other, "robot_obj", size=3)
    await back_up(other, tmp_path / "backup")
    await other.close()
    assert made["name"] == "trial"
    _, copy = await restored(tmp_path / "backup", tmp_path / "copy")
    assert await slot(copy, "robot_obj", "colour") == "red"
    assert await slot(copy, "robot_obj", "size") == 3
    assert await blob_text(copy) == b"the weights"
    await copy.close()


async def test_a_backup_that_is_given_up_leaves_the_one_before_it(image, tmp_path):
    target = tmp_path / "backup"
    first = await back_up(image, target)
    await put(image, "robot_obj", colour="blue")
    stop = threading.Event()
    stop.set()
    source = await image.transact(
        lambda root: Source(root._p_jar.db().storage, "parent", {}), note="read"
    )
    with pytest.raises(CancelledError):
        back_up_source(source, target, Copier(stop))
    assert verify(target)["tid"] == first["tid"]


@pytest.mark.parametrize("folder", ["parts", "blobs"])
async def test_one_flipped_bit_is_found_and_not_restored(image, tmp_path, folder):
    target, home = tmp_path / "backup", tmp_path / "other"
    await back_up(image, target, copy=True)
    damaged = next((target / folder).iterdir())
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.chmod(0o600)
    damaged.write_bytes(data)
    with pytest.raises(BlobError, match=damaged.name):
        verify(target)
    with pytest.raises(BlobError, match=damaged.name):
        restore(target, home)
    assert not home.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "home"]


async def test_an_image_that_is_open_is_never_restored_over(image, home, tmp_path):
    await back_up(image, tmp_path / "backup")
    with pytest.raises(ArgumentsError, match="--replace"):
        restore(tmp_path / "backup", home)
    with pytest.raises(LockedError):
        restore(tmp_path / "backup", home, replace=True)
    assert await slot(image, "robot_obj", "colour") == "red"


async def test_a_home_that_is_replaced_is_kept_beside_the_new_one(image, home, tmp_path):
    await back_up(image, tmp_path / "backup")
    await put(image, "robot_obj", colour="blue")
    await image.close()
    told = restore(tmp_path / "backup", home, replace=True)
    for place, colour in ((home, "red"), (told["kept"], "blue")):
        there = open_image(type(home)(place) / IMAGE)
        assert await slot(there, "robot_obj", "colour") == colour
        await there.close()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", 99),
        ("files", []),
        ("fork", {"format": 1, "layers": ["../../etc/passwd"]}),
        ("blobs", [{"of": "image.fs", "oid": "../x", "tid": "0" * 16, "size": 1, "sha256": "a"}]),
        ("made", "yesterday"),
    ],
)
async def test_a_manifest_that_cannot_be_is_refused(image, tmp_path, key, value):
    await back_up(image, tmp_path / "backup")
    path = tmp_path / "backup" / manifest.NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(StorageError):
        restore(tmp_path / "backup", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def numbers(value, path=()):
    """Yield the path of every number in a manifest."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(part, (*path, key))
    elif isinstance(value, int | float):
        yield path


@pytest.mark.parametrize("odd", ["1e400", "-1e400", "1" * 400, "1" * 5000, "Infinity", "NaN"])
async def test_whatever_number_a_manifest_holds_it_is_refused_or_does_no_harm(image, tmp_path, odd):
    await back_up(image, tmp_path / "backup")
    path = tmp_path / "backup" / manifest.NAME
    text = path.read_text()
    for place in numbers(json.loads(text)):
        facts = part = json.loads(text)
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = "HERE"
        path.write_text(json.dumps(facts).replace('"HERE"', odd))
        with contextlib.suppress(StorageError):
            verify(tmp_path / "backup")
            restore(tmp_path / "backup", tmp_path / "-".join(map(str, place)))
            assert place[-2:-1] == ("inode",)


@pytest.mark.parametrize("key", ["format", "reason", "fork"])
async def test_a_manifest_without_one_of_its_fields_is_refused(image, tmp_path, key):
    await back_up(image, tmp_path / "backup")
    path = tmp_path / "backup" / manifest.NAME
    facts = json.loads(path.read_text())
    del facts[key]
    path.write_text(json.dumps(facts))
    with pytest.raises(StorageError, match=f"{key} is missing"):
        verify(tmp_path / "backup")


class Crafted:
    """What a pickle names that would run a command as it is loaded."""

    def __reduce__(self):
        import os

        return os.system, ("echo crafted",)


def write_crafted(path, inside):
    """Write an image whose root is, or only holds, an object of a foreign class."""
    path.parent.mkdir()
    storage = CompressedFile(str(path), blob_dir=f"{path}.blob")
    head = pickle.dumps(("persistent.mapping", "PersistentMapping"), 3)
    if not inside:
        head = pickle.dumps(("os", "_Environ"), 3)
    record = pickle.dumps((head, None), 3)
    kind = pickle.dumps(Crafted(), 3) if inside else pickle.dumps({}, 3)
    first = b"\x80\x03cpersistent.mapping\nPersistentMapping\nq\x00."
    record = (first if inside else b"\x80\x03cos\n_Environ\nq\x00.") + kind
    from ZODB.Connection import TransactionMetaData

    step = TransactionMetaData()
    storage.tpc_begin(step)
    storage.store(z64, p64(0), record, "", step)
    storage.tpc_vote(step)
    storage.tpc_finish(step)
    return storage


@pytest.mark.parametrize("inside", [True, False])
def test_a_crafted_image_in_a_backup_is_refused_before_anything_of_it_is_loaded(
    tmp_path, capfd, inside
):
    storage = write_crafted(tmp_path / "evil" / IMAGE, inside)
    back_up_source(Source(storage, "evil", {}), tmp_path / "backup", Copier())
    storage.close()
    with pytest.raises(ForbiddenClassError, match=r"system|_Environ"):
        restore(tmp_path / "backup", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert capfd.readouterr().out == ""


async def test_a_folder_with_other_things_in_it_is_no_place_for_a_backup(image, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(ArgumentsError, match=r"letter\.txt"):
        await back_up(image, tmp_path / "mine")
    with pytest.raises(ArgumentsError, match="absolute path"):
        await back_up(image, type(tmp_path)("relative"))


async def test_a_stored_file_that_has_changed_since_it_came_in_is_named(image, home, tmp_path):
    blob = next((home / f"{IMAGE}.blob").rglob("*.blob"))
    blob.chmod(0o600)
    blob.write_bytes(b"THE WEIGHTS" if blob.stat().st_size == 11 else b"[]")
    assert len((await back_up(image, tmp_path / "backup"))["damaged"]) == 1


async def test_models_come_along_once_however_often_it_is_backed_up(image, tmp_path):
    target = tmp_path / "backup"
    await back_up(image, target, copy=True)
    await take_in(image, tmp_path / "more", b"more weights", "second")
    again = await back_up(image, target, copy=True)
    assert again["blobs"] == 3  # the two models have the same config.json
    assert again["added"] < 6000


def _spoil(home, how):
    blob = next(
        path for path in (home / f"{IMAGE}.blob").rglob("*.blob") if path.stat().st_size > 2
    )
    if how == "missing":
        blob.unlink()
    else:
        blob.chmod(0o600)
        blob.write_bytes(b"THE WEIGHTS")


@pytest.mark.parametrize("how", ["missing", "changed"])
@pytest.mark.parametrize("carry", [back_up, archive], ids=["backup", "archive"])
async def test_a_stored_file_that_is_not_whole_is_named_at_every_step(
    image, home, tmp_path, how, carry
):
    sha256 = hashlib.sha256(b"the weights").hexdigest()
    _spoil(home, how)
    target = tmp_path / "kept"
    reason = ["why"] if carry is archive else []
    made = await carry(image, target, *reason)
    assert made["damaged"] == [sha256]
    if carry is back_up:
        assert verify(target)["damaged"] == [sha256]
    told, copy = await restored(target, tmp_path / "other")
    assert told["damaged"] == [sha256]
    assert await slot(copy, "robot_obj", "colour") == "red"
    await copy.close()


async def test_a_backup_whose_manifest_leaves_a_stored_file_out_is_not_called_whole(
    image, tmp_path
):
    await back_up(image, tmp_path / "backup")
    path = tmp_path / "backup" / manifest.NAME
    facts = json.loads(path.read_text())
    facts["blobs"] = []
    path.write_text(json.dumps(facts))
    assert len(restore(tmp_path / "backup", tmp_path / "other")["damaged"]) == 2


async def test_the_next_backup_is_whole_again_once_the_file_is_back(image, home, tmp_path):
    _spoil(home, "missing")
    assert (await back_up(image, tmp_path / "backup"))["damaged"]
    await take_in(image, tmp_path / "again", b"the weights")
    assert (await back_up(image, tmp_path / "backup"))["damaged"] == []
    assert verify(tmp_path / "backup")["damaged"] == []
