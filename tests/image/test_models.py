"""Named models and adapters: listed, removed, and their space given back."""

import asyncio
import threading
import time

import pytest
from ZODB.FileStorage import FileStorage

from bat_os.errors import ArgumentsError, BlobError, NotFoundError
from bat_os.image.allowlist import AllowListDB
from bat_os.image.blobs import StoredModel
from bat_os.image.files.pack import clear_and_pack, pack, space
from bat_os.image.history.weights import bring_back
from bat_os.image.models import (
    ingest_adapter,
    ingest_file,
    ingest_folder,
    link_file,
    link_folder,
    list_models,
    model_digest,
    model_names,
    remove_model,
)
from bat_os.image.store import ImageStore


@pytest.fixture
def make_folder(tmp_path):
    def make(name, **files):
        folder = tmp_path / "sources" / name
        folder.mkdir(parents=True)
        for file_name, content in files.items():
            (folder / file_name.replace("__", ".")).write_bytes(content)
        return folder

    return make


@pytest.fixture
def model(make_folder):
    return make_folder("model", config__json=b"{}", model__safetensors=b"weights" * 1000)


@pytest.fixture
def adapter(make_folder):
    return make_folder(
        "adapter",
        adapter_config__json=b'{"peft_type": "LORA"}',
        adapter_model__safetensors=b"small",
        optimizer__pt=b"a pickle",
        README__md=b"about it",
    )


async def test_the_list_says_what_is_known_and_counts_shared_files_once(image, model, make_folder):
    twin = make_folder("twin", config__json=b'{"a": 1}', model__safetensors=b"weights" * 1000)
    meta = {"source": "o/n", "revision": "abc", "licence": "MIT"}
    digest = await ingest_folder(image, "b", model, meta=meta)
    await ingest_folder(image, "a", twin)
    first, second = await list_models(image)

    assert second.pop("added") <= time.time()
    assert second == {
        "name": "b",
        "kind": "transformers",
        "source": "o/n",
        "revision": "abc",
        "licence": "MIT",
        "base": "",
        "bases": {},
        "derived": [],
        "digest": digest,
        "files": 2,
        "size": 7002,
        "bytes": 2,  # the weights are counted with model a
        "same_as": [],
        "damaged": "unknown",
    }
    assert (first["name"], first["size"], first["bytes"]) == ("a", 7008, 7008)
    assert first["source"] == str(twin)


async def test_a_model_whose_files_another_one_has_under_other_names_says_which(
    image, model, make_folder
):
    part = make_folder("part", renamed__safetensors=b"weights" * 1000)
    await ingest_folder(image, "whole", model)
    await ingest_folder(image, "part", part)
    assert {row["name"]: (row["same_as"], row["bytes"]) for row in await list_models(image)} == {
        "part": (["whole"], 7000),
        "whole": ([], 2),  # "part" does not have the configuration
    }


async def test_a_model_of_an_older_image_is_listed_with_what_can_be_known(image, model):
    await ingest_folder(image, "m", model)

    def age(root):
        root["models"]["m"] = StoredModel("m", dict(root["models"]["m"].files), {})

    await image.transact(age, note="forget the facts")
    (listed,) = await list_models(image)

    assert (listed["kind"], listed["size"], listed["added"]) == ("transformers", 7002, 0)


@pytest.mark.parametrize("content", [None, b"shorter"])
async def test_a_file_that_is_gone_or_cut_short_shows_in_the_list(image, model, tmp_path, content):
    await ingest_folder(image, "m", model)
    links = await link_folder(image, "m", tmp_path / "links")
    blob = (links / "model.safetensors").resolve()
    blob.chmod(0o600)
    blob.unlink() if content is None else blob.write_bytes(content)

    assert [listed["damaged"] for listed in await list_models(image)] == ["yes"]


async def test_an_empty_image_has_no_models(image):
    assert await list_models(image) == []
    with pytest.raises(NotFoundError, match="no model ghost"):
        await remove_model(image, "ghost")


async def test_a_gguf_file_goes_in_and_comes_out_as_it_is(image, make_folder, tmp_path):
    source = make_folder("gguf", model__gguf=b"GGUF and the rest") / "model.gguf"
    await ingest_file(image, "m", source, meta={"source": "o/n"})
    link = await link_file(image, "m", tmp_path / "links")

    assert link.read_bytes() == b"GGUF and the rest"
    assert link.is_symlink()
    (listed,) = await list_models(image)
    assert (listed["kind"], listed["source"], listed["files"]) == ("gguf", "o/n", 1)


async def test_what_is_no_gguf_file_is_refused(image, model, tmp_path):
    with pytest.raises(ArgumentsError, match="not a GGUF file"):
        await ingest_file(image, "m", model / "config.json")
    with pytest.raises(NotFoundError, match="no file"):
        await ingest_file(image, "m", model / "none.gguf")
    await ingest_folder(image, "m", model)
    with pytest.raises(BlobError, match="has no GGUF file"):
        await link_file(image, "m", tmp_path / "links")


async def test_an_adapter_goes_in_with_its_base_and_without_other_files(
    image, model, adapter, tmp_path
):
    base_digest = await ingest_folder(image, "base", model)
    await ingest_adapter(image, "writer", adapter, ["base"], meta={"licence": "MIT"})
    links = await link_folder(image, "writer", tmp_path / "links")
    kept = await image.transact(lambda root: root["models"]["writer"].meta, note="read")

    names = ["SHA256SUMS", "adapter_config.json", "adapter_model.safetensors"]
    assert sorted(path.name for path in links.iterdir()) == names
    assert (kept["kind"], kept["base"], kept["licence"]) == ("adapter", "base", "MIT")
    assert kept["bases"] == {"base": base_digest}
    assert kept["source"] == str(adapter)


async def test_an_adapter_without_its_base_or_its_weights_is_refused(image, model, adapter):
    with pytest.raises(NotFoundError, match="no model base"):
        await ingest_adapter(image, "writer", adapter, ["base"])
    await ingest_folder(image, "base", model)
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"no file .*adapter_model\.safetensors"):
        await ingest_adapter(image, "writer", adapter, ["base"])


async def test_what_was_made_of_an_adapter_is_kept_with_it_and_is_no_part_of_its_digest(
    image, model, adapter, make_folder, tmp_path
):
    other = make_folder("other", config__json=b"{}", model__safetensors=b"other")
    made = make_folder("made", adapter__gguf=b"GGUF of the adapter") / "adapter.gguf"
    await ingest_folder(image, "one", model)
    await ingest_folder(image, "two", other)
    plain = await ingest_adapter(image, "writer", adapter, ["one"])
    derived = {"adapter.gguf": made}
    both = await ingest_adapter(image, "writer", adapter, ["two", "one"], derived=derived)
    row = {row["name"]: row for row in await list_models(image)}["writer"]
    links = await link_folder(image, "writer", tmp_path / "links")
    first = await remove_model(image, "two")
    left = {row["name"]: row for row in await list_models(image)}["writer"]
    last = await remove_model(image, "one")

    assert plain == both == row["digest"] == await model_digest(image, "writer")
    assert (row["base"], list(row["bases"]), row["files"]) == ("two", ["two", "one"], 3)
    assert row["derived"] == ["adapter.gguf"]
    assert (links / "adapter.gguf").read_bytes() == b"GGUF of the adapter"
    assert first["adapters"] == [], "it has another base"
    assert (left["base"], list(left["bases"])) == ("one", ["one"])
    assert last["adapters"] == ["writer"]


async def test_an_adapter_of_an_older_image_is_listed_with_its_one_base(image, model, adapter):
    digest = await ingest_folder(image, "one", model)
    await ingest_adapter(image, "writer", adapter, ["one"])

    def age(root):
        stored = root["models"]["writer"]
        meta = {"kind": "adapter", "base": "one", "base_digest": digest}
        root["models"]["writer"] = StoredModel("writer", dict(stored.files), meta)

    await image.transact(age, note="as it was once stored")
    row = {row["name"]: row for row in await list_models(image)}["writer"]

    assert (row["base"], row["bases"], row["derived"]) == ("one", {"one": digest}, [])


async def test_removing_a_model_forgets_the_files_that_no_other_names(
    image, model, adapter, make_folder, tmp_path
):
    other = make_folder("other", config__json=b"{}", model__safetensors=b"other")
    await ingest_folder(image, "one", model)
    await ingest_folder(image, "two", other)
    await ingest_adapter(image, "writer", adapter, ["one"])
    await link_folder(image, "one", tmp_path / "links")
    kept = await link_folder(image, "two", tmp_path / "links")
    removed = await remove_model(image, "one", links=tmp_path / "links")

    assert removed == {"name": "one", "files": 1, "bytes": 7000, "adapters": ["writer"]}
    assert await model_names(image) == ["two", "writer"]
    assert list((tmp_path / "links").iterdir()) == [kept]
    assert await link_folder(image, "two", tmp_path / "links") == kept


async def test_the_next_pack_gives_the_space_of_a_removed_model_back(model, make_folder, tmp_path):
    place = str(tmp_path / "image.fs")
    storage = FileStorage(place, blob_dir=place + ".blob", pack_keep_old=False)
    database = AllowListDB(storage)
    image = ImageStore(database)
    try:
        other = make_folder("other", config__json=b"{}", model__safetensors=b"other")
        await ingest_folder(image, "one", model)
        await ingest_folder(image, "two", other)
        links = await link_folder(image, "one", tmp_path / "links")
        weights = (links / "model.safetensors").resolve()
        shared = (links / "config.json").resolve()
        await remove_model(image, "one")
        assert weights.exists()
        await asyncio.to_thread(database.pack)

        assert not weights.exists()
        assert shared.exists()
        assert (await link_folder(image, "two", tmp_path / "links") / "config.json").exists()
    finally:
        await image.close()


async def test_a_model_that_is_replaced_leaves_no_files_behind(image, model):
    await ingest_folder(image, "m", model)
    (model / "model.safetensors").write_bytes(b"newer weights")
    await ingest_folder(image, "m", model)

    assert await image.transact(lambda root: len(root["files_by_sha256"]), note="t") == 2
    (listed,) = await list_models(image)
    assert (listed["files"], listed["bytes"]) == (2, 15)


async def test_files_of_an_unfinished_intake_go_with_the_pack_that_a_person_starts(image, model):
    class Interrupted(Exception):  # noqa: N818 - stands for a killed process
        pass

    def stop(line):
        if "2 of 2" in line:
            raise Interrupted

    with pytest.raises(Interrupted):
        await ingest_folder(image, "m", model, progress=stop)

    await pack(image, days=0)
    assert await image.transact(lambda root: len(root["files_by_sha256"]), note="t") > 0
    await clear_and_pack(image, days=0)
    assert await image.transact(lambda root: list(root["files_by_sha256"]), note="t") == []


async def test_a_file_that_is_removed_during_an_intake_that_counts_on_it_is_taken_in_again(
    image, model, tmp_path
):
    await ingest_folder(image, "one", model)

    def remove_the_other(line):
        lines.append(line)
        if len(lines) == 2:  # the first file was found in the image; the second is next
            thread = threading.Thread(target=asyncio.run, args=(remove_model(image, "one"),))
            thread.start()
            thread.join()

    lines = []
    digest = await ingest_folder(image, "two", model, progress=remove_the_other)

    assert len(lines) == 4
    assert await model_names(image) == ["two"]
    assert await model_digest(image, "two") == digest
    assert (await link_folder(image, "two", tmp_path / "links")).is_dir()


async def test_models_added_and_removed_at_once_are_whole_or_absent(image, model, tmp_path):
    await ingest_folder(image, "old", model)
    work = [ingest_folder(image, f"new{number}", model) for number in range(3)]
    await asyncio.gather(remove_model(image, "old"), *work)

    for name in await model_names(image):
        assert (await link_folder(image, name, tmp_path / "links")).is_dir()
    assert await model_names(image) == ["new0", "new1", "new2"]


async def test_an_adapter_of_then_is_brought_back_and_a_pack_keeps_it(image, model, adapter):
    await image.transact(lambda root: root.setdefault("objects", {}), note="awaken")
    await ingest_folder(image, "m", model)
    digest = await ingest_adapter(image, "own", adapter, ["m"])
    then = await image.transact(
        lambda root: root._p_jar.db().lastTransaction().hex(), note="look at the time"
    )
    assert (await space(image))["blobs"]["old"] == 0
    (adapter / "adapter_model.safetensors").write_bytes(b"another one")
    assert await ingest_adapter(image, "own", adapter, ["m"]) != digest
    assert (await space(image))["blobs"]["old"] == len(b"small")
    await bring_back(image, "own", then)
    assert await model_digest(image, "own") == digest
    assert (await space(image))["blobs"]["old"] == len(b"small" + b"another one")
    with pytest.raises(ArgumentsError, match="is what it was then"):
        await bring_back(image, "own", then)

    await pack(image, days=0)
    assert await model_digest(image, "own") == digest
    assert (await list_models(image))[1]["damaged"] == "unknown"
    assert (await space(image))["blobs"]["old"] == 0


async def test_what_was_packed_since_is_not_brought_back(image, model):
    await image.transact(lambda root: root.setdefault("objects", {}), note="awaken")
    await ingest_folder(image, "m", model)
    then = await image.transact(
        lambda root: root._p_jar.db().lastTransaction().hex(), note="look at the time"
    )
    await remove_model(image, "m")
    await bring_back(image, "m", then)
    assert await model_names(image) == ["m"]
    await remove_model(image, "m")
    await pack(image, days=0)
    with pytest.raises(NotFoundError, match="packed since"):
        await bring_back(image, "m", then)
    assert await model_names(image) == []
    assert (await space(image))["blobs"]["files"] == 0  # nothing is missing, nothing too much
