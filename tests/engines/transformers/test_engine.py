"""The transformers engine with real weights, and the decoding loop under it."""

import asyncio
import json
import os
import shutil
import threading
from dataclasses import replace

import pytest

from bat_os.engines.transformers.engine import TransformersEngine
from bat_os.errors import BlobError, ModelError
from bat_os.image.models import ingest_folder, link_folder
from bat_os.image.store import ImageStore
from bat_os.ports import Prompt, Sampling
from tests.engines.contract import (
    PROMPTS,
    SHIPPED_ADAPTER,
    AdapterContract,
    EngineContract,
    assert_closing_is_idempotent_and_final,
    assert_closing_lets_a_running_call_go,
)

pytestmark = [pytest.mark.slow, pytest.mark.model]

PLAN = {
    "type": "object",
    "properties": {
        "persona": {"enum": ["ALFRED", "BRICK", "ROBIN", "BABS"]},
        "queries": {
            "type": "array",
            "items": {"type": "string", "maxLength": 20},
            "minItems": 1,
            "maxItems": 2,
        },
    },
    "required": ["persona", "queries"],
    "additionalProperties": False,
}


def give(folder):
    async def find():
        return folder

    return find


@pytest.fixture(scope="module")
def engine(smollm_folder):
    engine = TransformersEngine("smollm2", give(smollm_folder))
    asyncio.run(engine.add_adapter("writer", SHIPPED_ADAPTER))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def talkative():
    return Sampling(max_tokens=22)


@pytest.fixture
def make_cold(smollm_folder):
    async def make():
        engine = TransformersEngine("cold", give(smollm_folder))
        await engine.add_adapter("writer", SHIPPED_ADAPTER)
        return engine

    return make


class TestContract(EngineContract):
    pass


class TestAdapters(AdapterContract):
    pass


async def test_nothing_is_loaded_before_the_first_prompt(smollm_folder):
    engine = TransformersEngine("smollm2", give(smollm_folder))

    assert engine.stats()["state"] == "unloaded"
    assert engine.digest == ""
    await engine.close()


async def test_a_closed_engine_answers_nothing(smollm_folder, talkative):
    engine = TransformersEngine("smollm2", give(smollm_folder))
    await assert_closing_lets_a_running_call_go(engine, talkative)
    await assert_closing_is_idempotent_and_final(engine, talkative)


async def test_the_model_answers_a_simple_question(engine):
    prompt = Prompt((("user", "What is the capital of France?"),))
    [completion] = await engine.generate([prompt], Sampling(max_tokens=20))

    assert "Paris" in completion.text
    assert completion.finished


async def test_the_text_goes_on_from_the_prefill(engine):
    source = "def area(self, width, height):\n    return"
    prompt = Prompt((("user", "Write the area of a rectangle in Python."),), source)
    [completion] = await engine.generate([prompt], Sampling(max_tokens=20, stop=r"\n"))

    assert completion.text.startswith(" ")
    compile(source + completion.text, "method", "exec")


async def test_a_batch_of_different_lengths_draws_what_each_prompt_draws_alone(engine):
    long = Prompt((("user", "Repeat the word tree. " * 40),))
    prompts = [*PROMPTS, long]
    sampling = Sampling(max_tokens=6)
    together = await engine.generate(prompts, sampling)
    alone = [(await engine.generate([prompt], sampling))[0] for prompt in prompts]

    assert [c.text for c in together] == [c.text for c in alone]


async def test_samples_of_one_prompt_differ_and_other_seeds_give_other_samples(engine):
    sampling = Sampling(temperature=1.0, max_tokens=10, seed=1)
    first = await engine.generate(PROMPTS[:1] * 4, sampling)
    second = await engine.generate(PROMPTS[:1] * 4, replace(sampling, seed=2))

    assert len({c.text for c in first + second}) > 4


async def test_a_schema_holds_every_text_to_valid_json(engine):
    prompt = Prompt((("user", "Who plans a method that reports the time? Answer in JSON."),))
    sampling = Sampling(temperature=1.2, max_tokens=60, schema=PLAN)
    completions = await engine.generate([prompt] * 3, sampling)

    assert all(c.finished for c in completions)
    for plan in (json.loads(c.text) for c in completions):
        assert plan["persona"] in PLAN["properties"]["persona"]["enum"]
        assert 1 <= len(plan["queries"]) <= 2
        assert all(len(query) <= 20 for query in plan["queries"])


async def test_cancelling_in_the_middle_returns_what_was_drawn(engine):
    class RaisedAfterLooks(threading.Event):
        looks = 0

        def is_set(self):
            self.looks += threading.current_thread() is not threading.main_thread()
            return self.looks > 6

    sampling = Sampling(max_tokens=5000)
    [completion] = await engine.generate(PROMPTS[:1], sampling, cancel=RaisedAfterLooks())

    assert not completion.finished
    assert 0 < completion.tokens < 10
    assert completion.text


async def test_cancelling_the_task_frees_the_engine_for_the_next_call(engine):
    loop, begun = asyncio.get_running_loop(), asyncio.Event()

    class TellsOfLooks(threading.Event):
        def is_set(self):
            if threading.current_thread() is not threading.main_thread():
                loop.call_soon_threadsafe(begun.set)
            return False

    asking = asyncio.create_task(
        engine.generate(PROMPTS, Sampling(max_tokens=5000), cancel=TellsOfLooks())
    )
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    [completion] = await engine.generate(PROMPTS[:1], Sampling(max_tokens=2))

    assert completion.tokens == 2


async def test_adapters_are_switched_from_call_to_call(tiny_folder, adapter_folder):
    engine = TransformersEngine("tiny", give(tiny_folder))
    await engine.add_adapter("expert", adapter_folder)
    before = engine.stats()
    sampling = Sampling(max_tokens=10)
    texts = []
    for adapter in ("", "expert", "", "expert"):
        [completion] = await engine.generate(PROMPTS[:1], sampling, adapter=adapter)
        texts.append(completion.text)
        await engine.unload()
    await engine.close()

    assert (before["adapters"], before["state"]) == (["expert"], "unloaded")
    assert texts[0] == texts[2] != texts[1] == texts[3]


async def test_the_pieces_come_while_it_is_drawn_and_keep_back_the_unfinished_line(engine):
    prompt = Prompt((("user", "List three colours."),), "Here are three colours:\n1.")
    pieces = []
    sampling = Sampling(max_tokens=40, stop=r"\n(?=4)")
    [completion] = await engine.generate(
        [prompt], sampling, on_text=lambda _index, text: pieces.append(text)
    )

    assert len(pieces) > 2
    assert "".join(pieces) == completion.text


async def test_a_load_that_nobody_waits_for_any_more_spoils_nothing(tiny_folder):
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def find():
        reached.set()
        await go_on.wait()
        return tiny_folder

    engine = TransformersEngine("tiny", find)
    loading = asyncio.create_task(engine.load())
    await reached.wait()
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    go_on.set()
    [completion] = await engine.generate(PROMPTS[:1], Sampling(max_tokens=2))
    state = engine.stats()["state"]
    await engine.close()

    assert completion.tokens == 2
    assert state == "resident"


async def test_closing_while_it_loads_ends_the_wait(tiny_folder):
    reached = asyncio.Event()

    async def find():
        reached.set()
        await asyncio.Event().wait()

    engine = TransformersEngine("tiny", find)
    asking = asyncio.create_task(engine.generate(PROMPTS, Sampling()))
    await reached.wait()
    await engine.close()

    assert [c.finished for c in await asking] == [False, False]


async def test_the_event_loop_goes_on_while_the_model_draws(engine):
    await engine.generate(PROMPTS[:1], Sampling(max_tokens=1))
    asking = asyncio.create_task(engine.generate(PROMPTS[:1], Sampling(max_tokens=10)))
    turns = 0
    while not asking.done():
        await asyncio.sleep(0)
        turns += 1

    assert turns > 100


async def test_a_prompt_beyond_the_context_is_refused(engine):
    with pytest.raises(ModelError, match="too long"):
        await engine.generate([Prompt((("user", "tree " * 9000),))], Sampling())


async def test_a_folder_without_a_model_is_an_error_that_says_what_to_do(tmp_path):
    engine = TransformersEngine("empty", give(tmp_path))
    with pytest.raises(
        ModelError, match=r"empty cannot be loaded from .*missing; .*choose another"
    ):
        await engine.generate(PROMPTS, Sampling())
    await engine.close()


async def test_a_damaged_blob_is_a_model_error_and_the_next_call_tries_again(smollm_folder):
    states = iter([BlobError("model.safetensors is damaged"), smollm_folder])

    async def find():
        state = next(states)
        if isinstance(state, Exception):
            raise state
        return state

    engine = TransformersEngine("smollm2", find)
    with pytest.raises(ModelError, match="damaged"):
        await engine.generate(PROMPTS[:1], Sampling(max_tokens=1))
    [completion] = await engine.generate(PROMPTS[:1], Sampling(max_tokens=1))
    await engine.close()

    assert completion.tokens == 1


async def test_weights_cut_short_are_an_error_not_a_crash(smollm_folder, tmp_path):
    for file in smollm_folder.iterdir():
        if file.suffix != ".safetensors":
            shutil.copy(file, tmp_path)
    weights = smollm_folder / "model.safetensors"
    with weights.open("rb") as stream:
        (tmp_path / weights.name).write_bytes(stream.read(1 << 20))
    engine = TransformersEngine("short", give(tmp_path))

    with pytest.raises(ModelError, match="short cannot be loaded"):
        await engine.generate(PROMPTS, Sampling())
    await engine.close()


def test_the_libraries_are_told_to_stay_offline(engine):
    asyncio.run(engine.generate(PROMPTS[:1], Sampling(max_tokens=1)))

    assert os.environ["HF_HUB_OFFLINE"] == "1"


async def test_a_real_model_answers_from_the_blobs_after_its_source_is_gone(
    smollm_folder, tmp_path
):
    source = shutil.copytree(smollm_folder, tmp_path / "source")
    image = ImageStore.open(tmp_path / "image.fs")
    digest = await ingest_folder(image, "smollm2", source, consume=True)
    shutil.rmtree(source)
    await image.close()

    image = ImageStore.open(tmp_path / "image.fs")
    engine = TransformersEngine(
        "smollm2", lambda: link_folder(image, "smollm2", tmp_path / "links")
    )
    prompt = Prompt((("user", "What is the capital of France?"),))
    [completion] = await engine.generate([prompt], Sampling(max_tokens=20))
    await engine.close()
    await image.close()

    assert "Paris" in completion.text
    assert engine.digest == digest
