"""bat_os.image.files.verify: real bits flipped in real files are found, named and set aside."""

import os
import zlib

import numpy as np
import pytest

from bat_os.cli.doctor.image import read_image
from bat_os.core.brief import Brief
from bat_os.core.personas import PERSONAS
from bat_os.engines.scripted import HashEmbedder
from bat_os.errors import BlobError, DamagedError
from bat_os.image import missions
from bat_os.image.awakening import awaken
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import CatalogService
from bat_os.image.files import storage
from bat_os.image.files.backup import back_up
from bat_os.image.files.pack import pack
from bat_os.image.files.verify import verify
from bat_os.image.models import ingest_folder, link_folder
from bat_os.image.objects import Method
from bat_os.image.store import ImageStore

SOURCE = "def wave(self):\n    return 'waving with both hands'\n"
OTHER = "def nod(self):\n    return 'nodding gently'\n"


class Files:
    """An image on the disk, opened only while it is used, and whose bytes can be changed."""

    def __init__(self, folder):
        self.path = folder / "live_image.fs"

    async def use(self, work):
        """Return what ``work(image)`` returns."""
        image = ImageStore.open(self.path)
        try:
            return await work(image)
        finally:
            await image.close()

    async def transact(self, work):
        return await self.use(lambda image: image.transact(work, note="test"))

    async def verify(self):
        async def look(image):
            return await verify(image, CatalogService(image, HashEmbedder()), lambda text: None)

        return await self.use(look)

    def flip(self, text, path=None):
        """Change one bit of the last occurrence of ``text`` in a file of the image."""
        path = path or self.path
        data = bytearray(path.read_bytes())
        self._change(path, data, data.rindex(text))

    def flip_compressed(self, text):
        """Change one bit in the middle of the compressed record that holds ``text``."""
        for at in range(len(data := bytearray(self.path.read_bytes()))):
            if data[at : at + 3] == b".zx":
                reader = zlib.decompressobj()
                plain = reader.decompress(data[at + 2 :])
                if text in plain:
                    size = len(data) - at - 2 - len(reader.unused_data)
                    return self._change(self.path, data, at + size // 2)
        raise AssertionError(f"no compressed record holds {text!r}")

    @staticmethod
    def _change(path, data, at):
        data[at] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)


@pytest.fixture
async def files(tmp_path, monkeypatch):
    """An image as programs before format 7 wrote them: a flipped bit leaves a record readable."""
    made = Files(tmp_path)
    with monkeypatch.context() as before:
        before.setattr(storage, "LEAST", 1 << 40)
        await made.transact(make_fill())
    return made


@pytest.fixture
async def packed(tmp_path):
    """The same, with long texts, so that they are compressed."""
    made = Files(tmp_path)
    await made.transact(make_fill(" and so on" * 40))
    return made


def make_fill(more=""):
    """Return work that fills an image with two methods, two missions and two documents."""

    def fill(root):
        awaken(root, image_id="i", created=1.0, personas=PERSONAS, primitives=["clone"])
        genesis = root["objects"]["genesis_obj"]
        for source in (SOURCE, OTHER):
            method = Method(source.split("def ")[1].split("(")[0])
            method.add_version(source + f"#{more}\n" * bool(more), "taught", {})
            genesis.set_slot(method.selector, method)
        for number, text in enumerate(("juggle seven knives", "count to ten")):
            brief = Brief("genesis_obj", f"do_{number}", (), text=text + more)
            about = {"session": "s", "accepted": 1.0}
            missions.open_brief(root, brief, mission_id=f"m{number}", key=f"k{number}", about=about)
        rows = np.eye(2, 8, dtype=np.float32)
        for number, text in enumerate(("bees dance in the dark", "cats sleep all day")):
            catalog_in(root).add(f"document:{number}", f"title {number}", [text + more], rows[number : number + 1])  # fmt: skip # noqa: E501

    return fill


def find_documents(root):
    """Return the ids of all documents that a search finds, sorted; each can be read."""
    catalog = catalog_in(root)
    assert len(catalog.doc_ids()) == len(catalog)
    return search(root)


def search(root):
    """Return the ids of all documents that a search finds, sorted."""
    found = catalog_in(root).search(["dance day owls title"], np.ones((1, 8), np.float32), top_k=9)
    return sorted({one.doc_id for one in found})


async def test_an_image_that_is_whole_is_said_to_be_so(files):
    told = await files.verify()
    assert (told["damaged"], told["quarantined"]) == ([], [])
    assert told["checked"]["mission"] == 2
    assert told["checked"]["document"] == 2
    assert told["checked"]["record"] > 20


async def test_a_damaged_method_is_named_and_is_not_understood_any_more(files):
    files.flip(b"waving with both hands")
    with pytest.raises(DamagedError, match="source of wave is damaged"):
        await files.transact(lambda root: root["objects"]["genesis_obj"].slots["wave"].version)

    told = await files.verify()

    (one,) = told["damaged"]
    assert (one["kind"], one["what"]) == ("method", "genesis_obj.wave, version 1")
    assert one["advice"]

    def look(root):
        genesis = root["objects"]["genesis_obj"]
        return genesis.lookup("wave"), genesis.lookup("nod")[1].version.source

    assert await files.transact(look) == (None, OTHER)


async def test_what_was_set_aside_is_still_listed_the_next_time(files):
    files.flip(b"waving with both hands")
    first, second = await files.verify(), await files.verify()
    assert [one["what"] for one in second["quarantined"]] == ["genesis_obj.wave, version 1"]
    assert second["quarantined"] == first["quarantined"]


async def test_a_damaged_brief_is_named_and_not_run(files):
    files.flip(b"juggle seven knives")
    told = await files.verify()
    assert [(one["kind"], one["key"]) for one in told["damaged"]] == [("mission", "m0")]
    assert await files.transact(missions.unfinished) == ["m1"]


async def test_a_damaged_document_is_found_no_more_and_the_others_are(files):
    files.flip(b"bees dance in the dark")
    told = await files.verify()
    assert [(one["kind"], one["key"]) for one in told["damaged"]] == [("document", "document:0")]
    assert await files.transact(lambda root: catalog_in(root).doc_ids()) == ["document:1"]
    kept = await files.transact(
        lambda root: root["quarantine"]["document:document:0"]["kept"].passages
    )
    assert "dance in the dark" in kept[0]  # one letter is not what it was


async def test_a_damaged_file_takes_down_its_model_and_no_other(files, tmp_path):
    async def take_in(image):
        for name in ("good", "bad"):
            folder = tmp_path / name
            folder.mkdir()
            (folder / "weights.bin").write_bytes(f"weights of {name}".encode() * 100)
            await ingest_folder(image, name, folder)

    await files.use(take_in)
    blobs = (tmp_path / "live_image.fs.blob").rglob("*.blob")
    (bad,) = (path for path in blobs if b"weights of bad" in path.read_bytes())
    files.flip(b"weights of bad", bad)

    told = await files.verify()

    assert [(one["kind"], one["what"]) for one in told["damaged"]] == [
        ("file", "file of bad: weights.bin")
    ]

    async def link(image):
        await link_folder(image, "good", tmp_path / "links")
        with pytest.raises(BlobError, match="batos models add bad"):
            await link_folder(image, "bad", tmp_path / "links")

    await files.use(link)
    bad.unlink()
    assert (await files.verify())["damaged"][0]["why"] == "it is missing"


async def test_a_file_that_is_whole_again_leaves_the_quarantine(files, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"weights" * 100)
    await files.use(lambda image: ingest_folder(image, "model", folder))
    (blob,) = (tmp_path / "live_image.fs.blob").rglob("*.blob")
    files.flip(b"weights", blob)
    assert len((await files.verify())["quarantined"]) == 1
    await files.use(lambda image: ingest_folder(image, "model", folder))
    assert (await files.verify())["quarantined"] == []


async def test_an_object_that_cannot_be_loaded_is_named_and_the_others_are_looked_at(files):
    # The record of a version of a method begins with the name of its class.
    files.flip(b"MethodVersion")
    files.flip(b"juggle seven knives")
    kinds = {one["kind"] for one in (await files.verify())["damaged"]}
    assert {"record", "mission"} <= kinds


async def test_a_flip_in_a_compressed_record_takes_down_what_it_holds_and_nothing_else(packed):
    assert (await packed.verify())["damaged"] == []
    for text in (b"waving with both hands", b"juggle seven knives", b"cats sleep all day"):
        packed.flip_compressed(text)
    damaged = {(one["kind"], one["what"]) for one in (await packed.verify())["damaged"]}
    named = {
        ("method", "genesis_obj.wave, version 1"),
        ("mission", "mission m0"),
        ("document", "document document:1"),
    }
    assert named == {(kind, what) for kind, what in damaged if kind != "record"}

    def look(root):
        genesis = root["objects"]["genesis_obj"]
        return genesis.lookup("wave"), genesis.lookup("nod")[1].version.source[:7]

    assert await packed.transact(look) == (None, OTHER[:7])
    assert await packed.transact(missions.unfinished) == ["m1"]
    assert await packed.transact(find_documents) == ["document:0"]
    again = await packed.verify()
    assert "document" not in {one["kind"] for one in again["damaged"]}
    assert again["checked"]["document"] == 1


async def test_before_a_verify_too_a_search_finds_what_is_whole(packed):
    def leave(root):
        catalog_in(root).grow(1 << 20)
        words = ["owls hunt by ear, said nobody " * 20]
        catalog_in(root).leave("document:w", "owls", words, np.eye(1, 8, dtype="f4"))

    await packed.transact(leave)
    assert await packed.transact(search) == ["document:0", "document:1", "document:w"]
    packed.flip_compressed(b"said nobody")
    assert await packed.transact(search) == ["document:0", "document:1"]
    packed.flip_compressed(b"cats sleep all day")
    assert await packed.transact(search) == ["document:0"]


@pytest.mark.parametrize("rows", [1, 2], ids=["the only one that waits", "one of two"])
async def test_a_damaged_lesson_that_waits_stops_neither_the_search_nor_the_others(packed, rows):
    def leave(root):
        catalog_in(root).grow(1 << 20)  # to an index of segments, beside which lessons wait
        for number in range(rows):
            words = [f"owls hunt by ear, said {number} " * 20]
            catalog_in(root).leave(f"document:w{number}", "owls", words, np.eye(1, 8, dtype="f4"))

    await packed.transact(leave)
    packed.flip_compressed(b"said 0")
    damaged = {(one["kind"], one["key"]) for one in (await packed.verify())["damaged"]}
    assert ("document", "document:w0") in damaged
    packed.flip_compressed(b"cats sleep all day")
    damaged = {(one["kind"], one["key"]) for one in (await packed.verify())["damaged"]}
    assert ("document", "document:1") in damaged
    waiting = [f"document:w{number}" for number in range(1, rows)]
    assert await packed.transact(find_documents) == ["document:0", *waiting]


@pytest.mark.slow
async def test_no_flip_in_a_hashed_text_goes_unseen(files):
    whole = files.path.read_bytes()
    start = whole.rindex(SOURCE[:10].encode())
    for offset in range(0, len(SOURCE), 7):
        data = bytearray(whole)
        data[start + offset] ^= 1 << offset % 8
        files.path.write_bytes(data)
        assert any(one["kind"] in ("method", "record") for one in (await files.verify())["damaged"])


async def test_an_end_that_is_missing_is_named_until_a_person_says_it_is_well(files):
    size = files.path.stat().st_size
    await files.transact(lambda root: root.__setitem__("note", "x" * 5000))
    os.truncate(files.path, size + 500)
    for _ in range(2):
        told = await files.verify()
        (damage,) = told["damaged"]
        assert damage["kind"] == "end"
        assert f"{files.path}.tr0 has what was cut off" in damage["why"]
    files.path.with_name(files.path.name + ".lost").unlink()
    told = await files.verify()
    assert (told["damaged"], told["quarantined"]) == ([], [])


# What a record begins with: oid, transaction, the record before it, where the transaction begins,
# a length that is always 0, and that of the data.
HEAD = {"oid": 3, "tid": 11, "before": 16, "transaction": 30, "version": 33, "size": 36}


@pytest.mark.parametrize("at", HEAD.values(), ids=HEAD)
async def test_a_flipped_bit_in_the_head_of_a_record_is_one_more_that_is_damaged(packed, at):
    def place(image):
        oid = min(each for each in image.storage._index if int.from_bytes(each, "big") > 3)
        return oid, image.storage._index[oid]

    async def find(image):
        return place(image)

    oid, pos = await packed.use(find)
    data = bytearray(packed.path.read_bytes())
    packed._change(packed.path, data, pos + at)
    report = await packed.verify()
    assert [one["key"] for one in report["damaged"] if one["kind"] == "record"] == [oid.hex()]
    assert report["checked"]["record"] > 20  # those behind it, too

    async def keep(image):
        backup = await back_up(image, packed.path.parent / "backup")
        with pytest.raises(DamagedError, match=oid.hex()):
            await pack(image, days=0)
        return backup["damaged"]

    assert await packed.use(keep) == [f"record {oid.hex()}"]
    facts = await read_image(packed.path)
    assert facts.damaged == (oid.hex(),)
