"""What a mission does differently for an able model: abilities switch the steps, never a name."""

import json

import pytest

from bat_os.core.ability import Ability
from bat_os.core.mission import MethodDrafted, QueriesPlanned
from bat_os.image.objects import find
from bat_os.kernel.learning import judge
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.verbs.history import draw_again
from bat_os.method.fixups import apply_fixups
from tests.kernel.minds import make_mind, open_mission, read

pytestmark = pytest.mark.asyncio(loop_scope="module")
JUDGE = Ability(writes=0.9, judges=0.8, form=1.0)
RIGHT = "def double(self, number):\n    return number * 2\n"
LATE = "def double(self, number):\n    return number * 2 if number > 20 else number\n"
TEXT = "def double(self, number):\n    return ['a', number, 'b', number]\n"
WRONG = "def double(self, number):\n    return missing_name * 2\n"


def fenced(source):
    return f"Here it is:\n```python\n{source}```\nHave fun!"


class Writer:
    """Writes these sources one after the other, the last one on; each in a fenced block."""

    def __init__(self, *sources, **forms):
        self.sources = list(sources)
        self.forms = {"queries": ["multiplication"], **forms}
        self.asked = []

    def __call__(self, prompt, sampling, _index):
        self.asked.append((prompt, sampling))
        if sampling.schema is not None:
            fields = sampling.schema["properties"]
            return json.dumps({name: self.forms[name] for name in fields})
        return fenced(self.sources.pop(0) if len(self.sources) > 1 else self.sources[0])

    @property
    def written(self):
        return [prompt for prompt, sampling in self.asked if sampling.schema is None]


@pytest.fixture
def think(image, cell):
    """Return a function that runs one mission and returns (answer, record, mind)."""

    async def run(writer, ability=JUDGE, selector="double", arg=21, **fields):
        mind = make_mind(image, cell, writer)
        mind.abilities.update(dict.fromkeys(mind.personas, ability))
        mission_id = await open_mission(image, selector, arg, **fields)
        answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)
        return answer["body"], await read(image, mission_id), mind

    return run


def drafted(record):
    return [len(e.drafts) for e in record.mission.events if isinstance(e, MethodDrafted)]


async def source_of(image, selector="double"):
    def work(root):
        version = find(root, "genesis_obj").slots[selector].version
        return version.source, dict(version.provenance)

    return await image.transact(work, note="look")


NO_TESTS = Ability(writes=0.9, form=1.0)


async def test_two_that_agree_on_other_arguments_are_enough(think, image):
    writer = Writer(RIGHT)
    body, record, mind = await think(writer, NO_TESTS)

    assert (body["result"], body["status"]) == (42, "provisional")
    assert drafted(record) == [2]
    assert body["why"] == "2 of 2 candidates agree"
    assert all(prompt.prefill == "" for prompt in writer.written)
    source, origin = await source_of(image)
    assert source == RIGHT
    assert "def double(self, number):" in writer.written[0].messages[-1][1]
    assert (await draw_again(mind, origin)).startswith("Here it is:")


async def test_two_that_differ_on_other_arguments_are_followed_by_two_more(think, image):
    body, record, _ = await think(Writer(LATE, RIGHT, RIGHT), NO_TESTS)

    assert (body["result"], drafted(record)) == (42, [2, 2])
    assert body["why"] == "4 of 4 candidates agree"
    assert (await source_of(image))[0] == RIGHT


async def test_a_refused_candidate_goes_back_with_the_error_and_is_corrected(think, image):
    writer = Writer(WRONG, WRONG, RIGHT)
    body, record, _ = await think(writer, NO_TESTS)

    assert (body["result"], drafted(record)) == (42, [2, 2])
    again = writer.written[2].messages
    assert again[-2] == ("assistant", f"```python\n{WRONG.rstrip()}\n```")
    assert "missing_name" in again[-1][1]
    assert (await source_of(image))[0] == RIGHT


async def test_a_candidate_that_misses_an_example_hears_which(think):
    writer = Writer(TEXT, TEXT, RIGHT)
    example = {"args": [4], "kwargs": {}, "result": 8}
    body, record, _ = await think(writer, NO_TESTS, examples=(example,))

    assert (body["status"], drafted(record)) == ("verified", [2, 2])
    assert "it does not give that double(4,) is 8" in writer.written[2].messages[-1][1]


async def test_it_is_repaired_twice_and_no_more(think):
    writer = Writer(WRONG)
    body, record, _ = await think(writer, NO_TESTS)

    assert (body["code"], drafted(record)) == ("SANDBOX_FAILED", [2, 2, 2])
    assert [len(prompt.messages) for prompt in writer.written] == [2, 2, 4, 4, 4, 4]


async def test_tests_and_queries_are_asked_of_a_model_that_is_good_at_them(think):
    tests = [{"args": [4], "result": 8}, {"args": [3], "result": 7}]
    writer = Writer(RIGHT, LATE, RIGHT, tests=tests)
    body, record, _ = await think(writer, Ability(tests=0.9, plans=0.9, form=1.0))

    assert body["why"] == "3 of 3 candidates agree; passes the written test"
    assert record.mission.last(QueriesPlanned).queries == ("multiplication",)


async def test_fix_ups_wait_until_a_candidate_was_refused(think, image, monkeypatch):
    tried = []

    def apply(source, *rest):
        tried.append(source)
        return apply_fixups(source, *rest)

    monkeypatch.setattr(judge, "apply_fixups", apply)
    await think(Writer(RIGHT), NO_TESTS)
    assert tried == []

    needs_one = RIGHT.replace("number *", "self.number *").replace("double", "treble")
    body, _, _ = await think(Writer(needs_one), NO_TESTS, selector="treble")
    _, origin = await source_of(image, "treble")
    assert (body["result"], origin["fixups"], len(set(tried))) == (42, ["drop_self"], 1)


@pytest.mark.parametrize("answer", ["yes", "no", "ask"])
async def test_whether_two_requests_are_one_is_asked_once_where_the_rules_leave_it_open(
    think, answer
):
    writer = Writer(RIGHT.replace("double", "twofold"), answer=answer)
    await think(
        writer, Ability(form=1.0), selector="twofold", text="Double the given number for me."
    )
    writer.sources = [RIGHT]
    for _ in range(2):
        body, _, _ = await think(
            writer, JUDGE, arg=4, text="Double the given number for my friend."
        )
        assert body["result"] == 8
        assert ("reused" in body) == (answer == "yes")
        if answer != "yes":  # it was written, and is understood from now on
            break
    asked = [s for _, s in writer.asked if s.schema and "answer" in s.schema["properties"]]
    assert len(asked) == 1


async def test_an_unknown_ability_asks_as_it_suits_a_small_model(think):
    writer = Writer(RIGHT)
    _, record, _ = await think(writer, Ability())
    assert writer.written[0].prefill.startswith("```python\ndef double(self, number):")
    assert drafted(record)[0] == 3
