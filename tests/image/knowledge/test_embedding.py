"""bat_os.image.knowledge.embedding: who is asked for vectors, and how often."""

import numpy as np
import pytest

from bat_os.engines.scripted import HashEmbedder
from bat_os.errors import ImageError
from bat_os.image.knowledge.embedding import BATCH, RECENT, CatalogEmbedder, ShippedVectors
from bat_os.image.knowledge.vectors import PROBE

MANY = [f"text {i}" for i in range(2 * BATCH + 1)]


class CountingEmbedder(HashEmbedder):
    """Remembers what it was asked."""

    def __init__(self):
        self.asked = []

    async def embed(self, texts):
        self.asked += texts
        return await super().embed(texts)


class OtherEmbedder(HashEmbedder):
    """The same words at other places: another model of the same width."""

    async def embed(self, texts):
        return np.roll(await super().embed(texts), 1, axis=1)


@pytest.fixture
def model():
    return CountingEmbedder()


@pytest.fixture
def embedder(image, model):
    return CatalogEmbedder(image, model)


async def shipped_of(texts, model=None):
    vectors = await (model or HashEmbedder()).embed([*texts, PROBE])
    return ShippedVectors.make(texts, vectors[:-1], vectors[-1])


async def test_a_wish_that_was_just_embedded_is_not_embedded_again(embedder, model):
    first = await embedder.embed(["sort a list", "sort a text"])
    again = await embedder.embed(["sort a text", "reverse a text", "sort a text"])
    assert model.asked == [PROBE, "sort a list", "sort a text", "reverse a text"]
    assert again[0].tolist() == again[2].tolist() == first[1].tolist()
    assert again[1].tolist() == (await HashEmbedder().embed(["reverse a text"]))[0].tolist()


async def test_what_is_remembered_is_bounded_and_the_newest(embedder, model):
    for i in range(RECENT + 1):
        await embedder.embed([f"wish {i}"])
    model.asked.clear()
    await embedder.embed([f"wish {RECENT}", "wish 1"])
    assert model.asked == []
    await embedder.embed(["wish 0"])
    assert model.asked == ["wish 0"]


@pytest.mark.parametrize("texts", [MANY, MANY[:1]])
async def test_vectors_come_in_the_order_of_the_texts_and_are_counted(embedder, texts):
    told = []
    vectors = await embedder.embed(texts, lambda done, total: told.append((done, total)))
    assert np.allclose(vectors, await HashEmbedder().embed(texts))
    assert told[-1] == (len(texts), len(texts))


async def test_no_text_has_no_vector(embedder):
    assert len(await embedder.embed([])) == 0


async def test_another_model_gives_no_vector_to_the_catalog(image, embedder):
    await embedder.claim()
    other = CatalogEmbedder(image, OtherEmbedder())
    for asking in (other.embed(["a"]), other.embed(MANY), other.embed_new(["a"], None)):
        with pytest.raises(ImageError, match="batos reindex"):
            await asking


async def test_shipped_texts_are_not_embedded_and_others_are(embedder, model):
    shipped = await shipped_of(["cats purr", "ships sail"])
    vectors = await embedder.embed_new(["ships sail", "bells ring", "cats purr"], shipped)
    assert model.asked == [PROBE, "bells ring"]
    wanted = await HashEmbedder().embed(["ships sail", "bells ring", "cats purr"])
    assert (np.einsum("nd,nd->n", vectors, wanted) > 0.99).all()


async def test_vectors_that_another_model_shipped_are_not_used(embedder, model):
    shipped = await shipped_of(["cats purr"], OtherEmbedder())
    vectors = await embedder.embed_new(["cats purr"], shipped)
    assert model.asked == [PROBE, "cats purr"]
    assert np.allclose(vectors, await HashEmbedder().embed(["cats purr"]))


async def test_nothing_new_asks_no_model(embedder, model):
    await embedder.embed_new([], await shipped_of(["cats purr"]))
    assert model.asked == []
