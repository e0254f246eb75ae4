"""The MiniLM embedder with real weights."""

import numpy as np
import pytest

from bat_os.engines.embedding import MiniLmEmbedder
from bat_os.errors import ModelError

pytestmark = [pytest.mark.slow, pytest.mark.model]


async def test_vectors_have_length_one_and_near_meanings_are_near(minilm_folder):
    async def find():
        return minilm_folder

    embedder = MiniLmEmbedder(find)
    texts = ["What time is it?", "Tell me the current hour.", "Bake a cake with apples."]
    vectors = await embedder.embed(texts)
    none = await embedder.embed([])
    await embedder.close()

    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.3
    assert none.shape == (0, 384)
    with pytest.raises(ModelError, match="closed"):
        await embedder.embed(texts)


async def test_a_folder_without_a_model_is_an_error_that_says_what_to_do(tmp_path):
    async def find():
        return tmp_path

    embedder = MiniLmEmbedder(find)
    with pytest.raises(ModelError, match="store its files again"):
        await embedder.embed(["hello"])
    await embedder.close()
