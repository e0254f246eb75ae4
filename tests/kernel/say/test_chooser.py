"""An able model chooses where the scorer is not sure; scripted as a model of 7B would answer."""

import json

import pytest

from bat_os.core.ability import Ability
from bat_os.kernel.say import room

pytestmark = pytest.mark.asyncio(loop_scope="module")
ABLE = Ability(writes=0.9, judges=0.8, form=1.0)


class Model:
    """Answers questions with a schema by ``choice``; writes a method otherwise."""

    def __init__(self):
        self.choice, self.asked = {}, []

    def __call__(self, prompt, sampling, index):
        if sampling.schema is None:
            return "```python\ndef frobnicate_number(self, number):\n    return number * 2\n```"
        self.asked.append(prompt.messages[-1][1])
        if "do" not in sampling.schema["properties"]:
            return '{"queries": ["numbers"]}'
        return json.dumps(self.choice) if isinstance(self.choice, dict) else self.choice


@pytest.fixture
def writes():
    return Model()


@pytest.fixture
def unsure(mind, monkeypatch):
    """Let the scorer never be sure, and the model be able."""
    mind.abilities.update(dict.fromkeys(mind.personas, ABLE))
    monkeypatch.setattr(room, "decide", lambda found: "none")


async def test_it_chooses_a_skill_by_its_number(said, writes, unsure):
    writes.choice = {"do": "skill", "number": 1}
    body = await said("what is 17% of 340")
    assert (body["kind"], body["value"], body["model_calls"]) == ("computed", 57.8, 1)
    assert "1. percent_of(17, 340)" in writes.asked[0]


async def test_it_may_give_other_arguments(said, writes, unsure):
    writes.choice = {"do": "skill", "number": 1, "args": [50, 340]}
    assert (await said("what is 17% of 340"))["value"] == 170


async def test_its_own_words_are_marked_as_said(said, writes, unsure):
    writes.choice = {"do": "answer", "text": "Rain taps the glass."}
    body = await said("a line on the sound of rain at night please")
    assert (body["kind"], body["text"], body["learned"]) == ("said", "Rain taps the glass.", False)


async def test_it_may_ask(said, writes, unsure):
    writes.choice = {"do": "ask", "text": "Which report?"}
    body = await said("zorb the report")
    assert (body["kind"], body["needs"], body["text"]) == (
        "asked",
        "clarification",
        "Which report?",
    )


async def test_what_it_wants_learned_is_a_guess_until_somebody_says_yes(said, writes, unsure):
    writes.choice = {"do": "learn"}
    body = await said("frobnicate the number 12")
    assert (body["kind"], body["learned"]) == ("guess", False)


@pytest.mark.parametrize(
    "choice", [{"do": "skill", "number": 99}, {"do": "fly"}, "no JSON", {"do": "answer"}]
)
async def test_an_answer_that_cannot_be_used_changes_nothing(said, writes, unsure, choice):
    writes.choice = choice
    body = await said("zorb the report")
    assert body["kind"] in ("unable", "asked")
    assert not body["learned"]


async def test_a_model_that_was_not_measured_is_not_asked(said, writes, monkeypatch):
    monkeypatch.setattr(room, "decide", lambda found: "none")
    await said("zorb the report")
    assert writes.asked == []
