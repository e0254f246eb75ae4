"""The shipped fakes behave as the engines that they stand for."""

import asyncio
import threading

import numpy as np
import pytest

from bat_os.engines.scripted import HashEmbedder, ScriptedEngine
from bat_os.errors import ModelError
from bat_os.ports import Prompt, Sampling
from tests.engines.contract import (
    PROMPTS,
    EngineContract,
    assert_closing_is_idempotent_and_final,
    assert_closing_lets_a_running_call_go,
)


def echo(prompt, sampling, index):
    return f"{prompt.messages[-1][1]} " + " ".join(f"w{n}" for n in range(40))


@pytest.fixture
def engine():
    return ScriptedEngine(echo)


@pytest.fixture
def talkative():
    return Sampling(max_tokens=60)


class TestContract(EngineContract):
    pass


async def test_a_closed_engine_answers_nothing(engine, talkative):
    await assert_closing_is_idempotent_and_final(engine, talkative)


async def test_closing_lets_a_running_call_go(engine, talkative):
    await assert_closing_lets_a_running_call_go(engine, talkative)


async def test_an_added_adapter_can_be_named(engine, talkative, tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    await engine.add_adapter("writer", tmp_path)
    await engine.generate(PROMPTS[:1], talkative, adapter="writer")

    assert engine.used == ["writer"]
    assert engine.stats()["adapters"] == ["writer"]


async def test_a_list_is_read_out_over_all_calls_and_then_ends():
    engine = ScriptedEngine(["one", "two", "three"])
    first = await engine.generate(PROMPTS, Sampling())
    second = await engine.generate(PROMPTS[:1], Sampling())

    assert [c.text for c in first + second] == ["one", "two", "three"]
    with pytest.raises(ModelError, match="used up"):
        await engine.generate(PROMPTS[:1], Sampling())
    assert engine.prompts[0] == tuple(PROMPTS)


@pytest.mark.parametrize("gate", [asyncio.Event, threading.Event])
async def test_a_closed_gate_holds_the_answer_back_until_it_opens(gate):
    way = gate()
    engine = ScriptedEngine(["yes"], gate=way)
    answer = asyncio.create_task(engine.generate(PROMPTS[:1], Sampling()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not answer.done()

    way.set()
    assert [c.text for c in await answer] == ["yes"]


async def test_a_call_that_waits_at_the_gate_can_be_cancelled():
    engine = ScriptedEngine(["yes"], gate=asyncio.Event())
    cancel = threading.Event()
    answer = asyncio.create_task(engine.generate(PROMPTS[:1], Sampling(), cancel=cancel))
    cancel.set()

    assert [(c.text, c.finished) for c in await answer] == [("", False)]


async def test_hashed_vectors_are_unit_vectors_near_for_shared_words():
    texts = ["the red fox jumps", "a red fox jumped", "", "compound interest rate"]
    vectors = await HashEmbedder().embed(texts)

    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[3]
    assert np.array_equal(vectors, await HashEmbedder().embed(texts))


async def test_a_prompt_may_be_answered_by_its_place_in_the_batch():
    engine = ScriptedEngine(lambda prompt, sampling, index: f"{sampling.seed}-{index}")
    answers = await engine.generate([Prompt((("user", "x"),))] * 3, Sampling(seed=4))

    assert [c.text for c in answers] == ["4-0", "4-1", "4-2"]
