"""What every adapter of the port ModelEngine does, the fake and the real ones alike.

A test module subclasses ``EngineContract`` and has fixtures ``engine`` and ``talkative``:
an engine, and a Sampling under which it writes more than 20 tokens. The engine may serve all
tests of the module, so a test leaves it as usable as it was.
"""

import asyncio
import re
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from bat_os.errors import ArgumentsError, ModelError
from bat_os.ports import Prompt, Sampling

PROMPTS = [
    Prompt((("user", "Tell me a long story about a fox."),)),
    Prompt((("system", "You are terse."), ("user", "Name the seven days of the week.")), "Monday,"),
]
SHIPPED_ADAPTER = Path(__file__).parents[2] / "lora_adapters" / "method-writer"
METHOD = Prompt(
    (("user", "Write a short Python method. Find the median of the numbers. Return the result."),),
    '```python\ndef median(self, numbers):\n    """Find the median of the numbers."""\n   ',
)
FACTS = {"name", "engine", "state", "bytes", "load_seconds", "adapters", "calls", "tokens"}


class Listener:
    """Collects streamed pieces; ``begun`` is set by the first one, then ``then()`` runs."""

    def __init__(self, then=lambda: None):
        self.begun = asyncio.Event()
        self.pieces = []
        self._then = then
        self._thread = threading.get_ident()

    def __call__(self, index, text):
        assert threading.get_ident() == self._thread, "pieces come on the event loop"
        assert asyncio.get_running_loop().is_running()
        self.pieces.append((index, text))
        if not self.begun.is_set():
            self.begun.set()
            self._then()

    def text(self, index):
        return "".join(text for at, text in self.pieces if at == index)


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

        assert [c.text for c in first] == [c.text for c in second]

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

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("stop", "("),
            ("schema", {"type": "nonsense"}),
            ("schema", {"enum": []}),
            ("schema", {"$ref": "https://elsewhere.example/schema"}),
            ("schema", {"type": "string", "pattern": "("}),
        ],
    )
    async def test_what_cannot_be_followed_is_refused_by_the_same_coded_error(
        self, engine, talkative, field, value
    ):
        with pytest.raises(ArgumentsError, match=r"be followed|regular expression") as caught:
            await engine.generate(PROMPTS, replace(talkative, **{field: value}))
        [completion] = await engine.generate(PROMPTS[:1], replace(talkative, max_tokens=2))

        assert (caught.value.code, caught.value.details) == ("INVALID_ARGS", {"field": field})
        assert completion.tokens == 2, "the engine goes on"

    async def test_a_given_text_is_written_and_its_likelihood_said_or_refused(self, engine):
        asked = [Prompt((), "The capital of France is"), Prompt((), "Seven, eight, nine,")]
        given = Sampling(given=" Paris")
        if not engine.scores:
            with pytest.raises(ArgumentsError, match="how likely") as caught:
                await engine.generate(asked, given)
            assert caught.value.details == {"field": "given"}
            return
        france, nine = await engine.generate(asked, given)
        [rome] = await engine.generate(asked[:1], Sampling(given=" Rome"))

        assert [france.text, nine.text, rome.text] == [" Paris", " Paris", " Rome"]
        assert nine.likelihood < rome.likelihood < france.likelihood < 0
        assert france.finished

    async def test_the_pieces_of_a_prompt_add_up_to_its_text(self, engine, talkative):
        listen = Listener()
        completions = await engine.generate(PROMPTS * 2, talkative, on_text=listen)

        assert [listen.text(index) for index in range(4)] == [c.text for c in completions]
        assert len(listen.pieces) > len(completions)
        assert all(text for _, text in listen.pieces)

    async def test_the_pieces_never_go_beyond_stop(self, engine, talkative):
        [whole] = await engine.generate(PROMPTS[:1], talkative)
        middle = len(whole.text) // 2
        stop = re.escape(whole.text[middle : middle + 9])
        listen = Listener()
        [cut] = await engine.generate(PROMPTS[:1], replace(talkative, stop=stop), on_text=listen)

        assert cut.finished
        assert listen.text(0) == cut.text == whole.text[: len(cut.text)]

    async def test_a_raised_flag_returns_unfinished_completions(self, engine, talkative):
        cancel = threading.Event()
        cancel.set()
        completions = await engine.generate(PROMPTS, talkative, cancel=cancel)

        assert [c.finished for c in completions] == [False, False]

    async def test_a_flag_raised_in_the_middle_returns_what_was_drawn(self, engine, talkative):
        cancel = threading.Event()
        listen = Listener(cancel.set)
        sampling = replace(talkative, max_tokens=2000)
        completions = await engine.generate(
            PROMPTS[:1] * 2, sampling, cancel=cancel, on_text=listen
        )

        assert [c.finished for c in completions] == [False, False]
        assert any(c.text for c in completions)
        assert [listen.text(0), listen.text(1)] == [c.text for c in completions]

    async def test_a_deadline_gives_unfinished_completions(self, engine, talkative):
        completions = await engine.generate(PROMPTS, replace(talkative, seconds=1e-6))

        assert [c.finished for c in completions] == [False, False]

    async def test_a_deadline_that_is_not_reached_changes_nothing(self, engine, talkative):
        free = await engine.generate(PROMPTS[:1], replace(talkative, max_tokens=6))
        timed = await engine.generate(PROMPTS[:1], replace(talkative, max_tokens=6, seconds=100))

        assert [c.text for c in timed] == [c.text for c in free]

    async def test_cancelling_the_task_frees_the_engine_for_the_next_call(self, engine, talkative):
        listen = Listener()
        sampling = replace(talkative, max_tokens=2000)
        asking = asyncio.create_task(engine.generate(PROMPTS[:1], sampling, on_text=listen))
        await listen.begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        heard = len(listen.pieces)
        [completion] = await engine.generate(PROMPTS[:1], replace(talkative, max_tokens=2))

        assert completion.tokens == 2
        assert len(listen.pieces) == heard, "nothing is told to someone who has left"

    async def test_calls_at_the_same_time_get_their_own_answers(self, engine, talkative):
        sampling = replace(talkative, max_tokens=6)
        alone = [await engine.generate([prompt], sampling) for prompt in PROMPTS]
        together = await asyncio.gather(*(engine.generate([p], sampling) for p in PROMPTS * 3))

        assert [[c.text for c in one] for one in together] == [
            [c.text for c in one] for one in alone
        ] * 3

    async def test_cancelling_one_call_does_not_disturb_another(self, engine, talkative):
        [alone] = await engine.generate(PROMPTS[1:], replace(talkative, max_tokens=6))
        cancel = threading.Event()
        withdrawn, kept = await asyncio.gather(
            engine.generate(
                PROMPTS[:1],
                replace(talkative, max_tokens=2000),
                cancel=cancel,
                on_text=Listener(cancel.set),
            ),
            engine.generate(PROMPTS[1:], replace(talkative, max_tokens=6)),
        )

        assert [c.finished for c in withdrawn] == [False]
        assert [c.text for c in kept] == [alone.text]

    async def test_an_unloaded_model_comes_back_and_says_the_same(self, engine, talkative):
        sampling = replace(talkative, max_tokens=8)
        await engine.load()
        await engine.load()
        loaded = engine.stats()["state"]
        [first] = await engine.generate(PROMPTS[:1], sampling)
        await engine.unload()
        await engine.unload()
        unloaded = engine.stats()["state"]
        [second] = await engine.generate(PROMPTS[:1], sampling)

        assert (loaded, engine.stats()["state"]) == ("resident", "resident")
        assert unloaded in {"parked", "unloaded"}
        assert second.text == first.text

    async def test_unloading_waits_for_what_is_being_drawn(self, engine, talkative):
        sampling = replace(talkative, max_tokens=12)
        [alone] = await engine.generate(PROMPTS[:1], sampling)
        listen = Listener()
        asking = asyncio.create_task(engine.generate(PROMPTS[:1], sampling, on_text=listen))
        await listen.begun.wait()
        await engine.unload()
        [completion] = await asking

        assert completion.text == alone.text

    async def test_calls_while_it_unloads_are_all_answered(self, engine, talkative):
        sampling = replace(talkative, max_tokens=3)
        calls = [engine.generate(PROMPTS[:1], sampling) for _ in range(3)]
        answers = await asyncio.gather(
            *calls, engine.unload(), engine.generate(PROMPTS[1:], sampling)
        )

        assert all(one[0].tokens == 3 for one in answers if one is not None)

    async def test_an_unknown_adapter_is_refused_by_name(self, engine, talkative):
        with pytest.raises(ModelError, match="no_such_expert"):
            await engine.generate(PROMPTS[:1], talkative, adapter="no_such_expert")
        [completion] = await engine.generate(PROMPTS[:1], replace(talkative, max_tokens=2))

        assert completion.tokens == 2

    async def test_a_folder_that_is_no_adapter_is_refused_by_name(self, engine, tmp_path):
        with pytest.raises(ModelError, match="empty_expert"):
            await engine.add_adapter("empty_expert", tmp_path)

        assert "empty_expert" not in engine.stats()["adapters"]

    async def test_tokens_read_and_reused_are_counted(self, engine, talkative):
        sampling = replace(talkative, max_tokens=2)
        first = await engine.generate(PROMPTS, sampling)
        second = await engine.generate(PROMPTS, sampling)

        assert [c.read for c in first] == [c.read for c in second]
        assert all(0 <= c.reused <= c.read for c in first + second)
        assert all(c.read > 4 for c in first)

    async def test_stats_count_calls_and_tokens(self, engine, talkative):
        before = engine.stats()
        [completion] = await engine.generate(PROMPTS[:1], replace(talkative, max_tokens=3))
        after = engine.stats()

        assert set(after) >= FACTS
        assert after["calls"] == before["calls"] + 1
        assert after["tokens"] == before["tokens"] + completion.tokens
        assert after["state"] == "resident"
        assert after["load_seconds"] >= 0
        assert after["bytes"] >= 0
        assert len(engine.digest) == 64


class AdapterContract:
    """For engines that use adapters.

    Fixtures beside those above: ``engine`` has an adapter named ``writer``, and awaiting
    ``make_cold()`` gives another engine with it that has read nothing.
    """

    async def test_what_was_read_through_one_adapter_does_not_reach_another(
        self, engine, talkative, make_cold
    ):
        sampling, cold = replace(talkative, max_tokens=10), {}
        for name in ("", "writer"):
            one = await make_cold()
            [cold[name]] = await one.generate([METHOD], sampling, adapter=name)
            await one.close()
        for name in ("", "writer", "", "writer"):
            [drawn] = await engine.generate([METHOD], sampling, adapter=name)
            assert drawn.text == cold[name].text, "as an engine draws that has read nothing"

        assert cold[""].text != cold["writer"].text

    async def test_the_same_seed_gives_the_same_text_through_an_adapter(self, engine, talkative):
        sampling = replace(talkative, temperature=0.9, seed=7, max_tokens=8)
        first = await engine.generate([METHOD] * 4, sampling, adapter="writer")
        await engine.generate([METHOD] * 4, sampling)
        second = await engine.generate([METHOD] * 4, sampling, adapter="writer")

        assert [c.text for c in first] == [c.text for c in second]

    async def test_calls_at_the_same_time_keep_to_their_adapters(self, engine, talkative):
        sampling = replace(talkative, max_tokens=6)
        names = ("", "writer")
        alone = {n: await engine.generate([METHOD], sampling, adapter=n) for n in names}
        together = await asyncio.gather(
            *(engine.generate([METHOD], sampling, adapter=name) for name in names * 2)
        )

        assert [[c.text for c in one] for one in together] == [
            [c.text for c in alone[name]] for name in names * 2
        ]

    async def test_a_call_through_an_adapter_is_withdrawn_like_any_other(self, engine, talkative):
        cancel = threading.Event()
        [stopped] = await engine.generate(
            [METHOD],
            replace(talkative, max_tokens=2000),
            adapter="writer",
            cancel=cancel,
            on_text=Listener(cancel.set),
        )
        [late] = await engine.generate([METHOD], replace(talkative, seconds=1e-6), adapter="writer")
        [next_one] = await engine.generate(
            [METHOD], replace(talkative, max_tokens=2), adapter="writer"
        )

        assert (stopped.finished, late.finished) == (False, False)
        assert next_one.tokens == 2

    async def test_an_adapter_outlives_unloading(self, engine, talkative):
        sampling = replace(talkative, max_tokens=8)
        await engine.unload()
        [first] = await engine.generate([METHOD], sampling, adapter="writer")
        await engine.unload()
        [second] = await engine.generate([METHOD], sampling, adapter="writer")

        assert first.text == second.text
        assert engine.stats()["adapters"] == ["writer"]


async def assert_closing_is_idempotent_and_final(engine, talkative):
    await engine.close()
    await engine.close()
    with pytest.raises(ModelError, match="closed"):
        await engine.generate(PROMPTS, talkative)
    with pytest.raises(ModelError, match="closed"):
        await engine.load()
    await engine.unload()
    assert engine.stats()["state"] == "unloaded"


async def assert_closing_lets_a_running_call_go(engine, talkative):
    listen = Listener()
    sampling = replace(talkative, max_tokens=2000)
    asking = asyncio.create_task(engine.generate(PROMPTS[:1], sampling, on_text=listen))
    await listen.begun.wait()
    await engine.close()
    [completion] = await asking

    assert not completion.finished
    assert completion.text == listen.text(0)
