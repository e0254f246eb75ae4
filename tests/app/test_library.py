"""bat_os.app.library: the shipped vectors are those of the shipped texts."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from bat_os.app import library
from bat_os.engines.minilm import packaged_minilm
from bat_os.engines.scripted import HashEmbedder
from bat_os.image.catalog import catalog_in
from bat_os.image.catalog_service import CatalogService
from bat_os.image.knowledge.vectors import PROBE
from bat_os.image.store import ImageStore

AGAIN = "the library changed; make its vectors anew: python -m bat_os.app.library"


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
    assert "embedded again" in caplog.text


class CountingEmbedder:
    """Passes texts on to a model and remembers them."""

    def __init__(self, model):
        self.model = model
        self.asked = []

    async def embed(self, texts):
        self.asked += texts
        return await self.model.embed(texts)


@pytest.fixture
async def mind(monkeypatch, tmp_path):
    """A mind of which no more is needed than its image and catalog, and a small library."""
    (tmp_path / "seeds.toml").write_text(
        '[[seed]]\nwish = "Purr."\nexamples = [{value = "purr"}]\n'
        "source = '''def purr(self):\n    \"Purr.\"\n    return \"purr\"'''\n"
    )
    monkeypatch.setattr(library, "_SEEDS", tmp_path)
    image = ImageStore.in_memory()
    service = CatalogService(image, CountingEmbedder(HashEmbedder()))
    yield SimpleNamespace(image=image, catalog=service, folder=tmp_path)
    await image.close()


@pytest.fixture
def reads(monkeypatch):
    """Count how often the seed library is read."""
    seen, read_seeds = [], library.read_seeds
    monkeypatch.setattr(library, "read_seeds", lambda: seen.append(1) or read_seeds())
    return seen


async def titles(mind):
    return [one["title"] for one in await mind.catalog.documents(kind="seed")]


async def test_what_was_taken_in_is_compared_with_nothing_at_the_next_start(mind, reads):
    for _ in range(3):
        await library.load_seeds(mind)
        assert await titles(mind) == ["purr"]
    assert len(reads) == 1


async def test_a_seed_that_is_missing_or_has_changed_is_taken_in_again(mind, reads):
    await library.load_seeds(mind)
    (doc_id,) = await mind.image.transact(lambda root: catalog_in(root).doc_ids("seed"), note="t")
    await mind.catalog.forget(doc_id)
    await library.load_seeds(mind)
    assert await titles(mind) == ["purr"]
    place = mind.folder / "seeds.toml"
    place.write_text(place.read_text().replace("purr", "growl").replace("Purr", "Growl"))
    await library.load_seeds(mind)
    assert (await titles(mind), len(reads)) == (["growl"], 3)


async def test_another_version_of_the_program_looks_again(mind, reads, monkeypatch):
    await library.load_seeds(mind)
    monkeypatch.setattr(library.bat_os, "__version__", "99")
    await library.load_seeds(mind)
    assert (await titles(mind), len(reads)) == (["purr"], 2)


async def test_a_library_is_read_while_the_loop_answers_others(mind, monkeypatch):
    threads, read_seeds = [], library.read_seeds
    note = lambda: threads.append(threading.current_thread()) or read_seeds()  # noqa: E731
    monkeypatch.setattr(library, "read_seeds", note)
    await library.load_seeds(mind)
    assert await titles(mind) == ["purr"]
    assert threads != [threading.main_thread()]


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
    # One in sixteen: all were embedded at once, and that none is missing is a test of its own.
    texts = sorted(set(library.texts_of_library()), key=len)[::16]
    vectors, _ = library.read_vectors().find(texts)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # bytes are not quite of length 1
    assert np.einsum("nd,nd->n", vectors, await minilm.embed(texts)).min() >= 0.9999


class Reference:
    """The embedding model as sentence-transformers runs it, and as earlier versions did."""

    name = "MiniLmEmbedder"

    def __init__(self, folder):
        from sentence_transformers import SentenceTransformer

        self.model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)

    async def embed(self, texts):
        return self.model.encode(list(texts), normalize_embeddings=True)


@pytest.mark.model
@pytest.mark.slow
async def test_an_image_that_sentence_transformers_filled_needs_no_new_vectors(minilm):
    pytest.importorskip("sentence_transformers", reason="the reference is not installed")
    image, counting = ImageStore.in_memory(), CountingEmbedder(minilm)
    seeds = library.read_seeds()[:3]
    await CatalogService(image, Reference(packaged_minilm())).seed_methods(seeds, None)
    service = CatalogService(image, counting)
    (best,) = await service.search([seeds[0].wish], top_k=1, kind="seed")
    await image.close()
    assert best.title == seeds[0].selector
    assert counting.asked == [PROBE, seeds[0].wish]
