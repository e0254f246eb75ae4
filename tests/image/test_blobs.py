"""Model files in the image: in, out, repaired, resumed, and what a killed intake leaves."""

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bat_os.errors import ArgumentsError, BlobError, NotFoundError
from bat_os.image.blobs import Verified
from bat_os.image.models import ingest_files, ingest_folder, link_folder, model_digest, model_names
from bat_os.image.store import ImageStore


@pytest.fixture
async def image(tmp_path):
    store = ImageStore.open(tmp_path / "image" / "image.fs")
    yield store
    await store.close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4096)
    (folder / ".gitattributes").write_text("hidden")
    return folder


def break_blob(links, name, content):
    blob = (links / name).resolve()
    blob.chmod(0o600)
    if content is None:
        blob.unlink()
    else:
        blob.write_bytes(content)


async def stored_files(image):
    return await image.transact(lambda root: len(root["files_by_sha256"]), note="count")


async def test_a_model_comes_out_as_it_went_in(image, folder, tmp_path):
    lines = []
    meta = {"license": "apache-2.0"}
    digest = await ingest_folder(image, "m", folder, meta=meta, progress=lines.append)
    links = await link_folder(image, "m", tmp_path / "links")

    for name in ("config.json", "1_Pooling/config.json", "model.safetensors"):
        assert (links / name).read_bytes() == (folder / name).read_bytes()
        assert (links / name).is_symlink()
    assert not (links / ".gitattributes").exists()
    assert lines[-1] == "m: model.safetensors (1.0 MB), 3 of 3"
    assert await model_names(image) == ["m"]
    assert await model_digest(image, "m") == digest
    assert hashlib.sha256((links / "SHA256SUMS").read_bytes()).hexdigest() == digest
    kept = await image.transact(lambda root: root["models"]["m"].meta, note="read")
    assert kept.pop("added") > 0
    assert kept == {
        "kind": "transformers",
        "source": str(folder),
        "revision": "",
        "licence": "",
        "base": "",
        "bytes": 2 + 256 * 4096,  # the two equal files are one
        "license": "apache-2.0",
    }


async def test_equal_files_are_stored_once(image, folder):
    await ingest_folder(image, "one", folder)
    await ingest_folder(image, "two", folder)

    assert await stored_files(image) == 2
    assert await model_digest(image, "one") == await model_digest(image, "two")


async def test_the_source_is_copied_unless_it_is_to_be_consumed(image, folder, tmp_path):
    await ingest_folder(image, "kept", folder)
    assert (folder / "model.safetensors").exists()

    shutil.rmtree(folder / "1_Pooling")
    (folder / "model.safetensors").write_bytes(b"other weights")
    await ingest_folder(image, "moved", folder, consume=True)
    links = await link_folder(image, "moved", tmp_path / "links")

    assert [path.name for path in folder.iterdir()] == [".gitattributes"]
    assert (links / "model.safetensors").read_bytes() == b"other weights"


async def test_an_interrupted_intake_goes_on_where_it_stopped(image, folder, tmp_path):
    class Interrupted(Exception):  # noqa: N818 - stands for a killed process
        pass

    def stop_at_third(line):
        if "3 of 3" in line:
            raise Interrupted

    with pytest.raises(Interrupted):
        await ingest_folder(image, "m", folder, consume=True, progress=stop_at_third)
    assert await model_names(image) == []
    assert await stored_files(image) == 1

    digest = await ingest_folder(image, "m", folder, consume=True)
    assert await model_digest(image, "m") == digest
    assert (await link_folder(image, "m", tmp_path / "links")).is_dir()


@pytest.mark.parametrize(("content", "state"), [(b"flipped", "damaged"), (None, "missing")])
async def test_a_broken_file_is_named_and_taking_in_again_repairs(
    image, folder, tmp_path, content, state
):
    await ingest_folder(image, "m", folder)
    links = await link_folder(image, "m", tmp_path / "links")
    break_blob(links, "model.safetensors", content)

    with pytest.raises(BlobError, match=f"model.safetensors is {state}; repair it") as caught:
        await link_folder(image, "m", tmp_path / "links")
    assert caught.value.details["command"] == f"batos models add m {folder}"
    assert str(caught.value).endswith(caught.value.details["command"])
    await ingest_folder(image, "m", folder)
    links = await link_folder(image, "m", tmp_path / "links")
    assert (links / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


async def test_a_link_folder_that_was_tampered_with_is_made_anew(image, folder, tmp_path):
    await ingest_folder(image, "m", folder)
    links = await link_folder(image, "m", tmp_path / "links")
    (links / "config.json").unlink()
    (links / "config.json").write_text("forged")

    again = await link_folder(image, "m", tmp_path / "links")
    assert again == links
    assert (again / "config.json").read_text() == "{}"


async def test_another_version_of_a_model_replaces_the_first(image, folder, tmp_path):
    first = await ingest_folder(image, "m", folder)
    (folder / "config.json").write_text('{"new": true}')
    second = await ingest_folder(image, "m", folder)
    links = await link_folder(image, "m", tmp_path / "links")

    assert first != second
    assert (links / "config.json").read_text() == '{"new": true}'


async def test_unknown_models_and_empty_folders_are_not_found(image, tmp_path):
    with pytest.raises(NotFoundError, match="no model ghost"):
        await link_folder(image, "ghost", tmp_path / "links")
    with pytest.raises(NotFoundError, match="no model ghost"):
        await model_digest(image, "ghost")
    with pytest.raises(NotFoundError, match="no files"):
        await ingest_folder(image, "m", tmp_path / "nowhere")
    assert await model_names(image) == []


async def test_a_file_is_read_once_per_process_and_again_when_it_has_changed(
    image, folder, tmp_path
):
    await ingest_folder(image, "m", folder)
    verified = Verified()
    links = await link_folder(image, "m", tmp_path / "links", verified=verified)
    blob = (links / "model.safetensors").resolve()
    facts = blob.stat()
    break_blob(links, "model.safetensors", bytes(facts.st_size))
    os.utime(blob, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    # Size, time and inode are as they were: who has read it does not read it again.
    assert await link_folder(image, "m", tmp_path / "links", verified=verified) == links
    with pytest.raises(BlobError, match="is damaged"):
        await link_folder(image, "m", tmp_path / "links", verified=Verified())
    os.utime(blob, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1))
    with pytest.raises(BlobError, match="is damaged"):
        await link_folder(image, "m", tmp_path / "links", verified=verified)


async def test_a_damaged_file_takes_down_only_the_models_that_have_it(image, folder, tmp_path):
    await ingest_folder(image, "broken", folder)
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes(b"other weights")
    await ingest_folder(image, "whole", other)
    break_blob(await link_folder(image, "broken", tmp_path / "links"), "config.json", b"[]")

    with pytest.raises(BlobError, match=r"model broken: the stored file .*config\.json is damaged"):
        await link_folder(image, "broken", tmp_path / "links")
    assert (await link_folder(image, "whole", tmp_path / "links")).is_dir()


async def test_without_a_recorded_source_the_repair_says_so(image, folder, tmp_path):
    await ingest_folder(image, "m", folder, consume=True)
    break_blob(await link_folder(image, "m", tmp_path / "links"), "config.json", None)

    with pytest.raises(BlobError, match=r"batos models add m SOURCE \(where it came from is not"):
        await link_folder(image, "m", tmp_path / "links")


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a\nb", "x" * 101])
async def test_a_name_that_could_leave_the_folder_of_links_is_refused(image, folder, name):
    with pytest.raises(ArgumentsError, match="cannot name a model"):
        await ingest_folder(image, name, folder)


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a//b", "a/./b", "a\\b", "C:x", "a\nb"])
async def test_a_file_that_could_leave_its_folder_is_refused(image, folder, name):
    with pytest.raises(ArgumentsError, match="cannot name a file of a model"):
        await ingest_files(image, "m", {name: folder / "config.json"})


async def test_an_adapter_never_takes_the_place_of_a_model(image, folder, tmp_path):
    await ingest_folder(image, "m", folder)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")

    with pytest.raises(ArgumentsError, match="m names a model in the image already"):
        await ingest_folder(image, "m", adapter)


async def test_a_source_that_cannot_be_read_is_named(image, folder):
    with pytest.raises(BlobError, match=r"gone\.json cannot be read: No such file"):
        await ingest_files(image, "m", {"gone.json": folder / "gone.json"})
    assert await model_names(image) == []


async def test_nothing_is_written_outside_the_image(image, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "does not exist"))
    await ingest_folder(image, "copied", folder)
    (folder / "model.safetensors").write_bytes(b"other weights")
    await ingest_folder(image, "moved", folder, consume=True)

    assert unfinished(tmp_path) == []


async def test_on_the_same_file_system_a_consumed_file_is_moved(image, folder, tmp_path):
    before = (folder / "model.safetensors").stat().st_ino
    await ingest_folder(image, "m", folder, consume=True)
    links = await link_folder(image, "m", tmp_path / "links")

    assert (links / "model.safetensors").stat().st_ino == before
    assert (links / "model.safetensors").stat().st_nlink == 1


@pytest.fixture
def elsewhere(tmp_path):
    shared_memory = Path("/dev/shm")  # noqa: S108 - only to have a second file system
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    with tempfile.TemporaryDirectory(dir=shared_memory) as folder:
        yield Path(folder)


async def test_from_another_file_system_a_consumed_file_is_copied(image, elsewhere, tmp_path):
    (elsewhere / "model.safetensors").write_bytes(b"weights")
    await ingest_folder(image, "m", elsewhere, consume=True)
    links = await link_folder(image, "m", tmp_path / "links")

    assert (links / "model.safetensors").read_bytes() == b"weights"
    assert not (elsewhere / "model.safetensors").exists()


async def test_a_consumed_link_gives_its_target_and_goes_itself(image, tmp_path):
    cache, folder = tmp_path / "cache", tmp_path / "snapshot"
    cache.mkdir()
    folder.mkdir()
    (cache / "abc").write_bytes(b"weights")
    (folder / "model.safetensors").symlink_to(cache / "abc")
    await ingest_folder(image, "m", folder, consume=True)
    links = await link_folder(image, "m", tmp_path / "links")

    assert (links / "model.safetensors").read_bytes() == b"weights"
    assert list(folder.iterdir()) == []


@pytest.mark.slow
async def test_a_cancelled_intake_stops_in_the_middle_of_a_file(image, folder, tmp_path):
    with (folder / "model.safetensors").open("wb") as large:
        large.truncate(4 << 30)  # no bytes on the disk; reading all takes seconds
    begun = asyncio.Event()

    def see(line):
        if "3 of 3" in line:
            begun.set()

    work = asyncio.create_task(ingest_folder(image, "m", folder, progress=see))
    await begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work

    assert unfinished(tmp_path) == []
    assert await model_names(image) == []


INTAKE = """
import asyncio, os, pathlib, resource, signal, sys
from bat_os.image.models import ingest_folder
from bat_os.image.store import ImageStore

image, folder, way = sys.argv[1:]
if way == "copying":  # the system kills the process at this byte of the copy
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))

def see(line):
    if way in ("between", "moving") and "3 of 3" in line:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    store = ImageStore.open(image)
    await ingest_folder(store, "m", pathlib.Path(folder), consume=way == "moving", progress=see)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="kills by signal")
@pytest.mark.parametrize("way", ["between", "copying", "moving"])
async def test_a_killed_intake_leaves_no_half_model_and_the_next_one_goes_on(tmp_path, way):
    folder, place = tmp_path / "model", tmp_path / "image" / "image.fs"
    folder.mkdir()
    for name, size in (("a.safetensors", 2), ("b.safetensors", 1), ("c.safetensors", 6)):
        (folder / name).write_bytes(name.encode() * (size << 20 >> 4))
    child = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", INTAKE, place, folder, way], check=False
    )
    assert child.returncode == -(signal.SIGXFSZ if way == "copying" else signal.SIGKILL)

    image = ImageStore.open(place)
    try:
        assert await model_names(image) == []
        assert await stored_files(image) == 2
        before = await blob_places(image)
        digest = await ingest_folder(image, "m", folder)
        after = await blob_places(image)

        assert before.items() <= after.items()  # what was in was not copied again
        assert len(after) == 3
        assert unfinished(tmp_path) == []
        assert await model_digest(image, "m") == digest
        assert (await link_folder(image, "m", tmp_path / "links")).is_dir()
    finally:
        await image.close()


def unfinished(tmp_path):
    (folder,) = tmp_path.glob("image/*.blob/tmp")
    return list(folder.iterdir())


async def blob_places(image):
    def work(root):
        stored = root["files_by_sha256"]
        return {sha256: stored[sha256].blob.committed() for sha256 in stored}

    return await image.transact(work, note="look")
