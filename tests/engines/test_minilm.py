"""bat_os.engines.minilm: real weights, compared with sentence-transformers, and damaged files."""

import asyncio
import json
import os
import shutil
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from bat_os.engines.minilm import BATCH, MAX_HEADER, MiniLm, MiniLmEmbedder
from bat_os.errors import ImageError, ModelError

pytestmark = pytest.mark.model

LONG = "the bat hangs from the roof of the cave and listens to the world "
ODD_TEXTS = (
    "",
    " \n\t ",
    "?",
    "What time is it?",
    "🦇🦇 how many bats 🦇?",
    "Tage bis zum Urlaub, größer als fünf",
    "сколько дней до отпуска",
    "休暇まであと何日 days until 休暇 عطلة",
    "e\u0301 is é, \u200bzero width\u200b, null \x00 and bell \x07",
    "antidisestablishmentarianism" * 8,
    LONG * 40,
    "word " * 254 + "end",
    "日本" * 600,
)


def at(folder):
    async def find():
        return folder

    return MiniLmEmbedder(find)


@pytest.fixture
def copy(minilm_folder, tmp_path):
    """Files that a test may damage: the model's own, but all weights are zero, which is faster."""
    shutil.copyfile(minilm_folder / "tokenizer.json", tmp_path / "tokenizer.json")
    weights = minilm_folder / "model.safetensors"
    with weights.open("rb") as source, (tmp_path / weights.name).open("wb") as sparse:
        sparse.write(source.read(16_000))
        sparse.truncate(weights.stat().st_size)
    return tmp_path


async def test_vectors_have_length_one_and_near_meanings_are_near(minilm_folder):
    embedder = at(minilm_folder)
    texts = ["What time is it?", "Tell me the current hour.", "Bake a cake with apples."]
    vectors = await embedder.embed(texts)
    none = await embedder.embed([])
    await embedder.close()
    await embedder.close()

    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert none.shape == (0, 384)
    with pytest.raises(ModelError, match="closed"):
        await embedder.embed(texts)


async def test_a_text_has_the_same_vector_alone_and_among_others(minilm_folder):
    embedder = at(minilm_folder)
    together = await embedder.embed(ODD_TEXTS * 2)
    alone = np.concatenate([await embedder.embed([text]) for text in ODD_TEXTS])
    await embedder.close()

    assert np.abs(together - np.tile(alone, (2, 1))).max() < 1e-5


def test_batches_hold_all_texts_in_order_and_few_tokens(minilm_folder):
    model, texts = MiniLm(minilm_folder), [*ODD_TEXTS, *[LONG] * 50]
    batches = list(model.batches(texts))

    places = [place for part, _ in batches for place in range(len(texts))[part]]
    assert places == list(range(len(texts)))
    assert max(sum(map(len, tokens)) for _, tokens in batches) <= BATCH
    assert max(len(own) for _, tokens in batches for own in tokens) == 256


@pytest.mark.slow
async def test_the_vectors_are_those_of_sentence_transformers(minilm_folder):
    pytest.importorskip("sentence_transformers", reason="the reference is not installed")
    from sentence_transformers import SentenceTransformer

    reference = SentenceTransformer(str(minilm_folder), device="cpu", local_files_only=True)
    wanted = reference.encode(list(ODD_TEXTS), normalize_embeddings=True)
    embedder = at(minilm_folder)
    vectors = await embedder.embed(ODD_TEXTS)
    await embedder.close()

    assert (vectors * wanted).sum(axis=1).min() >= 0.9999
    assert np.abs(vectors - wanted).max() < 1e-5


async def test_loading_and_embedding_imports_no_other_model_library(minilm_folder):
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from bat_os.engines.minilm import MiniLm\n"
        f"model = MiniLm(Path({str(minilm_folder)!r}))\n"
        "print([model.embed(tokens).shape for _, tokens in model.batches(['hello'])])\n"
        "print(*sys.modules)"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE
    )
    shapes, modules = (await child.communicate())[0].decode().splitlines()

    assert shapes == "[(1, 384)]"
    assert "tokenizers" in modules.split()
    heavy = {"torch", "transformers", "sentence_transformers", "sklearn", "scipy", "safetensors"}
    assert heavy.isdisjoint(modules.split())


async def test_a_caller_who_leaves_and_close_end_the_work_after_a_batch(minilm_folder):
    embedder = at(minilm_folder)
    await embedder.embed(["loaded"])
    texts = [LONG * 40] * 2_000  # minutes of work
    leaving = asyncio.create_task(embedder.embed(texts))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (await asyncio.wait_for(embedder.embed(["the next caller"]), 30)).shape == (1, 384)

    waiting = [asyncio.create_task(embedder.embed(texts)) for _ in range(2)]
    await asyncio.sleep(0)  # one has begun, one is queued
    await asyncio.wait_for(embedder.close(), 30)
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ends] == [ModelError] * 2


async def test_an_image_that_lacks_the_model_is_an_error_that_can_be_tried_again(minilm_folder):
    there = False

    async def find():
        if not there:
            raise ImageError("all-MiniLM-L6-v2 is not in the image")
        return minilm_folder

    embedder = MiniLmEmbedder(find)
    with pytest.raises(ModelError, match="not in the image"):
        await embedder.embed(["hello"])
    there = True
    assert len(await embedder.embed(["hello"])) == 1
    await embedder.close()


def change(folder, edit):
    """Replace the header of the weights by what ``edit`` makes of it."""
    with (folder / "model.safetensors").open("r+b") as weights:
        (length,) = struct.unpack("<Q", weights.read(8))
        size = weights.seek(0, 2) - length
        weights.seek(8)
        header = json.dumps(edit(json.loads(weights.read(length)))).encode()
        weights.seek(0)
        weights.write(struct.pack("<Q", len(header)) + header)
        weights.truncate(size + len(header))


def with_tensor(**values):
    name = "encoder.layer.3.output.dense.weight"
    return lambda folder: change(folder, lambda header: header | {name: {**header[name], **values}})


def overwrite(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def cut(name, size):
    return lambda folder: os.truncate(folder / name, size)


def with_words(folder):
    words = json.loads((folder / "tokenizer.json").read_text())
    words["model"]["vocab"] |= {"batos": len(words["model"]["vocab"])}
    (folder / "tokenizer.json").write_text(json.dumps(words))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "model.safetensors").unlink(),
        lambda folder: (folder / "tokenizer.json").unlink(),
        overwrite("model.safetensors", b""),
        overwrite("model.safetensors", b"short"),
        overwrite("model.safetensors", struct.pack("<Q", 1 << 62) + bytes(100)),
        overwrite("model.safetensors", struct.pack("<Q", MAX_HEADER + 1) + bytes(MAX_HEADER + 99)),
        overwrite("model.safetensors", struct.pack("<Q", 2) + b"[]"),
        overwrite("model.safetensors", struct.pack("<Q", 4) + b"\xff{}]"),
        overwrite("model.safetensors", struct.pack("<Q", 5_000) + b"[" * 5_000),
        cut("model.safetensors", 60_000_000),
        with_tensor(dtype="F16"),
        with_tensor(shape=[1536, 384]),
        with_tensor(shape=[-384, -1536]),
        with_tensor(data_offsets=[0, 4]),
        with_tensor(data_offsets=[90_000_000, 90_000_000 + 4 * 384 * 1536]),
        with_tensor(data_offsets=[-8, -8 + 4 * 384 * 1536]),
        lambda folder: change(folder, lambda header: {}),
        overwrite("tokenizer.json", b"{}"),
        overwrite("tokenizer.json", bytes(17 << 20)),
        cut("tokenizer.json", 200_000),
        with_words,
    ],
)
async def test_damaged_files_are_an_error_that_says_what_to_do(copy, damage):
    damage(copy)
    embedder = at(copy)
    with pytest.raises(ModelError, match="store its files again"):
        await embedder.embed(["hello"])
    await embedder.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_weights_are_mapped_and_given_back_on_close(minilm_folder):
    def mapped():
        return "model.safetensors" in Path("/proc/self/maps").read_text()

    embedder = at(minilm_folder)
    assert not mapped()
    await embedder.embed(["hello"])
    assert mapped()
    await embedder.close()
    assert not mapped()
