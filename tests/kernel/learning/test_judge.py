"""bat_os.kernel.learning.judge: what is in doubt, and what an example settles."""

import pytest

from bat_os.core.mission import MethodRejected, MethodVerified
from bat_os.kernel.learning.cycle import CognitiveCycle
from tests.kernel.minds import PLAN, make_mind, open_mission, read, script

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Right answers to everyday wishes that a rule on the words of the wish takes for something else.
DOUBTED_BUT_RIGHT = [
    ("Calculate how much I save with a discount.", 12.0),
    ("Find the nearest store to a place.", "Aldi"),
    ("Explain how to save energy.", "Switch off the light."),
    ("How many ways are there to remember a phone number?", 3),
    ("Return the first word of a sentence to forget.", "a"),
    ("Count the words in a text and list them.", {"a": 1}),
    ("Count the letters in a text by letter.", {"a": 2}),
    ("Check whether a password is strong and say why.", "no: too short"),
    ("How many days and hours are a number of minutes?", "1 day, 2 hours"),
    ("Is it better to take the bus or the train?", "the bus"),
]


@pytest.fixture
def think(image, cell):
    """Return a function that runs one mission and returns (answer, record)."""

    async def run(answers, selector, *args, **fields):
        mind = make_mind(image, cell, answers)
        mission_id = await open_mission(image, selector, *args, **fields)
        answer = await CognitiveCycle(mind, lambda *_: None).run(mission_id)
        return answer, await read(image, mission_id)

    return run


def example(*args, result):
    return {"args": list(args), "kwargs": {}, "result": result}


@pytest.mark.parametrize(("wish", "value"), DOUBTED_BUT_RIGHT)
async def test_an_answer_that_reproduces_the_example_is_installed_whatever_the_wish_sounds_like(
    think, wish, value
):
    answer, _ = await think(
        script(f" return {value!r}"), "do_it", text=wish, examples=(example(result=value),)
    )
    body = answer["body"]
    assert (answer["type"], body.get("result"), body.get("status")) == (
        "result", value, "verified",
    )  # fmt: skip


@pytest.mark.parametrize(("wish", "value"), DOUBTED_BUT_RIGHT[::3])
async def test_without_an_example_a_doubted_answer_is_offered_and_not_refused(think, wish, value):
    answer, record = await think(script(f" return {value!r}"), "do_it", text=wish)
    assert answer["body"]["code"] == "EXAMPLE_WANTED"
    assert [choice["result"] for choice in answer["body"]["details"]["choices"]] == [value]
    verdicts = record.mission.last(MethodRejected).verdicts
    assert all(verdict["dull"] and not verdict["problem"] for verdict in verdicts)


async def test_a_doubted_answer_has_no_vote_against_others(think):
    bodies = [" return [count]", " return count * 2"]

    def answers(prompt, sampling, index):
        return PLAN if sampling.schema is not None else bodies[sampling.temperature > 0]

    answer, record = await think(answers, "count_it", 4, text="Count the legs of two chairs.")
    assert (answer["body"].get("result"), answer["body"].get("status")) == (8, "provisional")
    verdicts = record.mission.last(MethodVerified).verdicts
    assert [bool(verdict["dull"]) for verdict in verdicts] == [True, False, False]


async def test_a_batch_that_nothing_speaks_for_has_no_part_in_the_next_vote(think):
    answer, record = await think(script(" return None", " return number * 2"), "double", 21)
    assert (answer["body"].get("result"), record.mission.rounds) == (42, 2)


async def test_what_most_drafts_may_not_reach_is_refused_in_the_words_of_the_audit(think, image):
    def answers(prompt, sampling, index):
        made_up = sampling.temperature == 0
        return " return ['file1']" if made_up else " import os\n    return os.listdir()"

    answer, record = await think(answers, "teach_yourself_to_list_files")
    assert answer["body"]["code"] == "AUDIT_REJECTED"
    assert answer["body"]["message"].startswith("line 3: import of os. Use only the arguments")
    assert record.mission.state == "failed"


async def test_one_example_does_not_speak_for_a_method_that_ignores_its_argument(think):
    shown = (example(5, result=25),)
    answer, _ = await think(script(" return 25"), "area", 5, examples=shown)
    assert answer["body"]["code"] == "EXAMPLE_WANTED"
    assert "ignores its argument 'number'" in answer["body"]["message"]


async def test_examples_that_differ_in_an_argument_show_that_it_may_be_ignored(think):
    shown = (example(5, result="hello"), example(6, result="hello"))
    answer, _ = await think(script(' return "hello"'), "greet", 7, examples=shown)
    assert (answer["body"].get("result"), answer["body"].get("status")) == ("hello", "verified")


COUNTS = ("return len(text)", "return len(text.split())")


@pytest.mark.parametrize(
    ("wish", "body", "arg"),
    [
        ("count the letter a in a text", COUNTS[0], "banana"),
        ("count the trolls in a text", COUNTS[1], "troll troll"),
    ],
)
async def test_a_method_that_counts_whatever_is_there_has_no_vote(think, wish, body, arg):
    answer, record = await think(script(f" {body}"), "count_it", arg, text=wish)
    assert answer["body"]["code"] == "EXAMPLE_WANTED"
    assert "counts all there is" in record.mission.last(MethodRejected).reason


@pytest.mark.parametrize("count", [1, 2])
async def test_one_example_does_not_settle_what_is_counted_and_two_do(think, count):
    examples = (example("troll troll", result=2), example("troll and troll", result=3))[:count]
    answer, _ = await think(
        script(f" {COUNTS[1]}"), "count_it", "troll troll",
        text="count the trolls in a text", examples=examples,
    )  # fmt: skip
    assert (answer["body"].get("status") == "verified") is (count == 2)


@pytest.mark.parametrize(
    ("wish", "body", "arg"),
    [
        ("count the words in a text", COUNTS[1], "a b"),
        ("count the letters of a text", COUNTS[0], "abc"),
        ("count the trolls in a list", COUNTS[0], ["a", "b"]),
        ("count the trolls in a text", "return text.count('troll')", "troll troll"),
    ],
)
async def test_a_count_of_what_was_asked_for_keeps_its_vote(think, wish, body, arg):
    name = "items" if isinstance(arg, list) else "text"
    answer, _ = await think(script(f" {body.replace('text', name)}"), "count_it", arg, text=wish)
    assert answer["body"].get("status") == "provisional", answer
