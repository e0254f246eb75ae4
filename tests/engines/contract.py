"""What every adapter of the port ModelEngine does, the fake and the real ones alike.

A test module subclasses ``EngineContract`` and has fixtures ``engine`` and ``talkative``:
an engine, and a Sampling under which it writes more than 20 tokens.
"""

import asyncio
import re
import threading
from dataclasses import replace

import pytest

from bat_os.errors import ModelError
from bat_os.ports import Prompt

PROMPTS = [
    Prompt((("user", "Tell me a long story about a fox."),)),
    Prompt((("system", "You are terse."), ("user", "Name the seven days of the week.")), "Monday,"),
]


class EngineContract:
    async def test_there_is_one_completion_per_prompt_in_order(self, engine, talkative):
        both = await engine.generate(PROMPTS, replace(talkative, max_tokens=8))
        swapped = await engine.generate(PROMPTS[::-1], replace(talkative, max_tokens=8))

        assert [c.text for c in both] == [c.text for c in swapped[::-1]]
        assert all(c.text for c in both)

    async def test_no_prompts_give_no_completions(self, engine, talkative):
        assert await engine.generate([], talkative) == []

    async def test_the_same_seed_gives_the_same_text(self, engine, talkative):
        sampling = replace(talkative, temperature=0.9, seed=11, max_tokens=12)
        first = await engine.generate(PROMPTS * 2, sampling)
        second = await engine.generate(PROMPTS * 2, sampling)

        assert first == second

    async def test_text_is_cut_off_after_max_tokens_and_says_so(self, engine, talkative):
        [completion] = await engine.generate(PROMPTS[:1], replace(talkative, max_tokens=5))

        assert (completion.tokens, completion.finished) == (5, False)

    async def test_text_ends_before_the_first_match_of_stop(self, engine, talkative):
        [whole] = await engine.generate(PROMPTS[:1], talkative)
        word = whole.text.split()[3]
        [cut] = await engine.generate(PROMPTS[:1], replace(talkative, stop=rf"\b{word}\b"))

        assert cut.finished
        assert cut.text == whole.text[: len(cut.text)]
        assert word not in cut.text.split()
        assert cut.tokens < whole.tokens

    async def test_a_bad_regular_expression_is_refused(self, engine, talkative):
        with pytest.raises(re.error):
            await engine.generate(PROMPTS, replace(talkative, stop="("))

    async def test_a_raised_flag_returns_unfinished_completions(self, engine, talkative):
        cancel = threading.Event()
        cancel.set()
        completions = await engine.generate(PROMPTS, talkative, cancel=cancel)

        assert [c.finished for c in completions] == [False, False]

    async def test_calls_at_the_same_time_get_their_own_answers(self, engine, talkative):
        sampling = replace(talkative, max_tokens=6)
        alone = [await engine.generate([prompt], sampling) for prompt in PROMPTS]
        together = await asyncio.gather(*(engine.generate([p], sampling) for p in PROMPTS))

        assert together == alone

    async def test_stats_count_calls_and_tokens(self, engine, talkative):
        before = engine.stats()
        [completion] = await engine.generate(PROMPTS[:1], replace(talkative, max_tokens=3))
        after = engine.stats()

        assert after["calls"] == before["calls"] + 1
        assert after["tokens"] == before["tokens"] + completion.tokens
        assert after["loaded"] is True
        assert len(engine.digest) == 64


async def assert_closing_is_idempotent_and_final(engine, talkative):
    await engine.close()
    await engine.close()
    with pytest.raises(ModelError, match="closed"):
        await engine.generate(PROMPTS, talkative)
