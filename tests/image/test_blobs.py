"""Model files in the image: in, out, repaired, resumed."""

import hashlib
import shutil

import pytest

from bat_os.errors import BlobError, NotFoundError
from bat_os.image.blobs import ingest_folder, link_folder, model_digest, model_names
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
    assert await image.transact(lambda root: root["models"]["m"].meta, note="read") == meta


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

    with pytest.raises(BlobError, match=f"model.safetensors is {state}; take the model in again"):
        await link_folder(image, "m", tmp_path / "links")
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
