"""bat_os.kernel.learning.likeness: when a known function was written for the same request."""

import pytest

from bat_os.app.library import load_library, load_seeds
from bat_os.core.brief import Brief
from bat_os.engines.scripted import ScriptedEngine
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.learning.likeness import NEVER, OPEN, REUSE, Written, weigh, weight_of
from bat_os.kernel.say.skills import read_as_said
from bat_os.sentence.wishes import wish_in_name
from tests.kernel.minds import make_mind, open_mission, script

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]
LINE = "def known(self, {}):"
NUMBER, TEXT = ("number", 7), ("text", "abc")


@pytest.fixture
async def likely(image, cell, minilm):
    """Return a function that says how likely a request is that of each function."""
    mind = make_mind(image, cell, [], embedder=minilm)

    async def weigh_all(wish, values, *known):
        kinds = [kind for kind, _ in values]
        names = [f"{kind}{at}" if len(values) > 1 else kind for at, kind in enumerate(kinds, 1)]
        brief = Brief("genesis_obj", "asked", tuple(value for _, value in values), text=wish)
        line = LINE.format(", ".join(names))
        return await weigh(mind, brief, [Written(each, line, kinds) for each in known])

    return weigh_all


@pytest.mark.parametrize(
    ("wish", "known", "values"),
    [
        ("Reverse a text.", "Reverse a text.", [TEXT]),
        ("Convert a number celsius to fahrenheit.", "Convert a number celsius to fahrenheit.",
         [NUMBER]),
        ("Report the current system time.", "Report the current system time.", []),
        ("Double the recipe.", "Double the recipe.", [("data", {"eggs": 2})]),
    ],
)  # fmt: skip
async def test_the_same_request_is_known_again(likely, wish, known, values):
    assert (await likely(wish, values, known))[0] >= REUSE


@pytest.mark.parametrize(
    ("wish", "known", "values"),
    [
        ("Is a text shorter than a text?", "Is a text longer than a text?", [TEXT, TEXT]),
        ("Is a text in snake case?", "Convert a text to snake case.", [TEXT]),
        ("Count the different characters in a text.", "Count the characters in a text.", [TEXT]),
        ("Convert a number celsius to fahrenheit.", "Convert a number fahrenheit to celsius.",
         [NUMBER]),
        ("List the vowels in a text.", "Count the vowels in a text.", [TEXT]),
        ("Return the largest number of a list.", "Return the smallest number of a list.",
         [("numbers", [1, 2])]),
        ("Tell the first word of a text.", "Tell the last word of a text.", [TEXT]),
        ("Convert a number celsius to kelvin.", "Convert a number celsius to fahrenheit.",
         [NUMBER]),
        ("Check that a text is empty.", "Check that a text is not empty.", [TEXT]),
        ("Decrypt a text with caesar shift a number.",
         "Encrypt a text with caesar shift a number.", [TEXT, NUMBER]),
    ],
)  # fmt: skip
async def test_a_word_that_turns_a_request_makes_it_another(likely, wish, known, values):
    assert (await likely(wish, values, known))[0] < REUSE
    assert (await likely(known, values, wish))[0] < REUSE


async def test_of_two_functions_the_one_with_the_same_words_is_meant(likely):
    there, back = (
        "Convert a number celsius to fahrenheit.",
        "Convert a number fahrenheit to celsius.",
    )
    chances = await likely(there, [NUMBER], back, there)
    assert chances[1] >= REUSE > OPEN > chances[0]


async def test_the_same_request_of_two_objects_is_one(likely):
    assert (
        min(await likely("Reverse a text.", [TEXT], "Reverse a text.", "Reverse a text.")) > REUSE
    )


async def test_a_function_that_would_get_the_values_in_another_order_is_none(image, cell, minilm):
    mind = make_mind(image, cell, [], embedder=minilm)
    brief = Brief("genesis_obj", "asked", ("a", 3), text="Repeat a text a number times.")
    wish = "Repeat a text a number times."
    right = Written(wish, "def known(self, text, number):", ["text", "number"])
    wrong = Written(wish, "def known(self, number, text):", ["number", "text"])
    assert (await weigh(mind, brief, [right]))[0] >= REUSE
    assert await weigh(mind, brief, [wrong]) == [0.0]


async def test_what_is_like_nothing_known_is_like_none_of_them(likely):
    assert await likely("Reverse a text.", [TEXT]) == []
    assert (await likely("Reverse a text.", [TEXT], "Sort the rows of a table by a text."))[
        0
    ] < OPEN


async def test_the_less_likely_a_function_is_meant_the_less_it_counts():
    weights = [weight_of(chance) for chance in (1.0, REUSE, REUSE - 0.01, 0.5, OPEN, NEVER)]
    assert weights == sorted(weights, reverse=True)
    assert weights[1] == 1.0
    assert weights[2] < 5 / 8  # it cannot outvote the other candidates alone
    assert weights[-1] == 0
    assert weight_of(NEVER / 2) is None


async def test_a_message_that_names_a_function_of_the_library_needs_no_model(image, cell, minilm):
    model = ScriptedEngine(script(" return 0"))
    mind = make_mind(image, cell, None, engine=model, embedder=minilm)
    await load_library(mind)
    await load_seeds(mind)
    cycle = CognitiveCycle(mind, lambda *_: None)
    answer = await cycle.run(await open_mission(image, "calculate_fibonacci", kwargs={"n": 10}))
    assert (answer["body"]["result"], answer["body"]["status"]) == (55, "provisional")
    order = "teach_yourself_to_greet"
    answer = await cycle.run(await open_mission(image, order, text=wish_in_name(order)))
    assert answer["body"]["result"].startswith("Good ")
    assert model.prompts == []
    for message in (
        Brief("genesis_obj", "prepare_everything", (10,)),
        Brief("genesis_obj", "calculate_fibonacci", (10, 3)),  # a value would be left
        Brief("genesis_obj", "calculate_fibonacci", ({"n": 10},)),
    ):
        assert await read_as_said(mind, message) == {}
