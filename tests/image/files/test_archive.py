"""bat_os.image.files.archive: an archive is a whole mind in one file, or it is refused."""

import gzip
import io
import tarfile

import pytest

from bat_os.core.settings import IMAGE
from bat_os.errors import ArgumentsError, BatError, BlobError, ForbiddenClassError, StorageError
from bat_os.image.files import archive as archive_module
from bat_os.image.files.archive import _write, archive
from bat_os.image.files.backup import Source
from bat_os.image.files.chronicle import chronicle
from bat_os.image.files.disk import Copier
from bat_os.image.files.restore import restore
from tests.image.files.images import blob_text, open_image, slot
from tests.image.files.test_backup import write_crafted


async def test_an_archive_holds_everything_and_the_chronicle_says_why(image, tmp_path):
    told = await archive(image, tmp_path / "mind.tar.gz", "before the move")
    kept = await image.transact(chronicle, note="read")
    assert [(one["kind"], one["reason"]) for one in kept] == [("archive", "before the move")]
    with tarfile.open(tmp_path / "mind.tar.gz") as packed:
        names = packed.getnames()
    assert names[0] == "manifest.json"
    assert all(name.startswith(("parts/", "blobs/")) for name in names[1:])
    back = restore(tmp_path / "mind.tar.gz", tmp_path / "other")
    assert (back["tid"], back["reason"]) == (told["tid"], "before the move")
    copy = open_image(tmp_path / "other" / IMAGE)
    assert await slot(copy, "robot_obj", "colour") == "red"
    assert await blob_text(copy) == b"the weights"
    await copy.close()


async def test_an_archive_needs_a_reason_and_a_name_of_its_own(image, tmp_path):
    with pytest.raises(ArgumentsError, match="why"):
        await archive(image, tmp_path / "mind.tar.gz", " ")
    (tmp_path / "mind.tar.gz").write_text("mine")
    with pytest.raises(ArgumentsError, match="there already"):
        await archive(image, tmp_path / "mind.tar.gz", "again")
    assert (tmp_path / "mind.tar.gz").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "mind.tar.gz"]


def members(path):
    with tarfile.open(path) as packed:
        return [(one, packed.extractfile(one).read()) for one in packed.getmembers()]


def repack(path, listed):
    with tarfile.open(path, "w:gz", format=tarfile.GNU_FORMAT) as packed:
        for member, data in listed:
            member.size = len(data) if member.isreg() else 0
            packed.addfile(member, io.BytesIO(data) if member.isreg() else None)


def escape(listed):
    outside = tarfile.TarInfo("../outside")
    return [*listed, (outside, b"x")]


def link(listed):
    pointer = tarfile.TarInfo(listed[1][0].name)
    pointer.type, pointer.linkname = tarfile.SYMTYPE, "/etc/passwd"
    return [listed[0], (pointer, b""), *listed[2:]]


def flip(listed):
    member, data = listed[1]
    return [listed[0], (member, data[:-1] + bytes([data[-1] ^ 1])), *listed[2:]]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (escape, StorageError),
        (link, StorageError),
        (flip, BlobError),
        (lambda listed: listed[1:], StorageError),
        (lambda listed: listed[:-1], StorageError),
        (lambda listed: [listed[0], *reversed(listed[1:])], StorageError),
    ],
    ids=["escape", "link", "flip", "no manifest", "short", "order"],
)
async def test_an_archive_that_was_tampered_with_is_refused(image, tmp_path, change, error):
    packed = tmp_path / "mind.tar.gz"
    await archive(image, packed, "x")
    repack(packed, change(members(packed)))
    with pytest.raises(error):
        restore(packed, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "mind.tar.gz"]


@pytest.mark.parametrize(
    "data", [b"", b"no gzip", gzip.compress(b""), gzip.compress(b"x" * 2000)], ids=len
)
def test_what_is_no_archive_is_a_coded_error(tmp_path, data):
    (tmp_path / "mind.tar.gz").write_bytes(data)
    with pytest.raises(BatError):
        restore(tmp_path / "mind.tar.gz", tmp_path / "other")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("inside", [True, False])
def test_a_crafted_image_in_an_archive_is_refused(tmp_path, capfd, inside):
    storage = write_crafted(tmp_path / "evil" / IMAGE, inside)
    _write(Source(storage, "evil", {}), tmp_path / "mind.tar.gz", "x", Copier())
    storage.close()
    with pytest.raises(ForbiddenClassError):
        restore(tmp_path / "mind.tar.gz", tmp_path / "other")
    assert capfd.readouterr().out == ""


async def test_it_says_how_far_it_has_come(image, tmp_path, monkeypatch):
    monkeypatch.setattr(archive_module, "EVERY", 0.0)
    told = []
    await archive(image, tmp_path / "all.tar.gz", "why", told.append)
    assert told
    assert all(line.startswith("archiving: ") for line in told)
