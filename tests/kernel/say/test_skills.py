"""bat_os.kernel.say.skills: which skill a sentence means, over a real image with the library."""

import datetime as dt

import pytest

from bat_os import __version__
from bat_os.app.library import read_shelf
from bat_os.core.brief import Brief
from bat_os.image.history.entries import summary_of_taught
from bat_os.image.history.versions import Skill, install, unlearn
from bat_os.image.objects import find
from bat_os.image.shipped import install_library
from bat_os.kernel.say.skills import UNSURE, Candidate, agree, decide, find_candidates
from bat_os.kernel.turn import take_turn
from bat_os.sentence.reading import Sentence, Value, read_sentence
from tests.kernel.minds import make_mind

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = dt.datetime(2026, 11, 22, 17, 0, tzinfo=dt.UTC)
TREBLE = 'def treble(self, number):\n    """Treble a number."""\n    return number * 3\n'


def say(text, *values, language="en"):
    """Return a sentence; each value is (kind, value, how it was said)."""
    found, masked, at = [], "", 0
    for kind, value, said in values:
        start = text.index(said, at)
        found.append(Value(kind, value, start, start + len(said), said))
        masked, at = f"{masked}{text[at:start].lower()}{{{kind}}}", start + len(said)
    return Sentence(text, language, tuple(found), masked + text[at:].lower())


PERCENT = say("What is 17% of 340?", ("percent", 17, "17%"), ("number", 340, "340"))


@pytest.fixture
async def mind(image, cell):
    shelf = read_shelf()
    await image.transact(
        lambda root: install_library(root, shelf, "s", __version__), note="library"
    )
    return make_mind(image, cell, [])


@pytest.fixture
async def seeing(image, mind, minilm):
    """Return a mind with the real embedding model."""
    return make_mind(image, mind.cell, [], embedder=minilm)


async def teach(mind, selector, source, status="taught"):
    about = summary_of_taught(selector, source, ())
    vector = await mind.catalog.embed([about.text])
    skill = Skill(selector, source, status, {"examples": []}, about.text, vector, about.kinds)
    await mind.image.transact(
        lambda root: install(root, find(root, "genesis_obj"), skill), note="teach"
    )


async def test_a_skill_of_the_library_is_found_with_its_values_and_answers(mind):
    best = (await find_candidates(mind, PERCENT))[0]
    assert (best.target, best.selector, best.args) == ("calculator_obj", "percent_of", (17, 340))
    assert (best.reading, best.status) == ("percent_of(17, 340)", "shipped")
    assert not best.changes
    assert best.wording.endswith("{percent} of {number}")
    answer = await take_turn(
        mind.image, mind.cell, Brief(best.target, best.selector, best.args, dict(best.kwargs))
    )
    assert answer.value == 57.8


@pytest.mark.model
async def test_with_the_embedding_model_a_known_question_is_understood(seeing):
    assert decide(await find_candidates(seeing, PERCENT)) != "none"


async def test_a_taught_method_is_found_by_its_wish(mind):
    await teach(mind, "treble", TREBLE)
    found = await find_candidates(mind, say("please treble 4", ("number", 4, "4")))
    assert ("genesis_obj", "treble", (4,)) in [(c.target, c.selector, c.args) for c in found]


async def test_a_provisional_method_is_found_by_its_own_words_only(mind):
    await teach(mind, "treble", TREBLE, "provisional")
    other = await find_candidates(mind, say("could you treble 4", ("number", 4, "4")))
    own = await find_candidates(mind, say("treble 4", ("number", 4, "4")))
    assert "treble" not in [c.selector for c in other]
    assert "treble" in [c.selector for c in own]


async def test_an_unlearned_method_is_not_found(mind):
    await teach(mind, "treble", TREBLE)
    await mind.image.transact(
        lambda root: unlearn(root, find(root, "genesis_obj"), "treble", at=0), note="unlearn"
    )
    found = await find_candidates(mind, say("treble 4", ("number", 4, "4")))
    assert "treble" not in [c.selector for c in found]


async def test_a_removed_method_of_the_library_is_not_found(mind):
    def remove(root):
        find(root, "calculator_obj").remove_slot("percent_of")

    await mind.image.transact(remove, note="remove")
    assert "percent_of" not in [c.selector for c in await find_candidates(mind, PERCENT)]


async def test_an_own_version_keeps_the_wordings_of_the_library(mind):
    source = 'def reverse_text(self, text):\n    """Reverse a text."""\n    return "mine"\n'
    about = summary_of_taught("reverse_text", source, ())
    vector = await mind.catalog.embed([about.text])
    skill = Skill("reverse_text", source, "taught", {"examples": []}, about.text, vector, None)
    await mind.image.transact(
        lambda root: install(root, find(root, "text_obj"), skill), note="teach"
    )
    said = say("reverse the text 'abc'", ("text", "abc", "'abc'"))
    found = [c for c in await find_candidates(mind, said) if c.selector == "reverse_text"]
    assert [(c.target, c.args, c.status) for c in found] == [("text_obj", ("abc",), "taught")]


def candidate(reading, probability, *args, changes=False):
    return Candidate("a_obj", "x", args, {}, probability, reading, changes, "shipped", "words")


async def test_two_readings_that_differ_never_act_however_likely_they_are():
    for first, second in ((0.999, 0.999), (1.0, 0.3), (0.3, 1.0)):
        for changes in (False, True):
            whole = [candidate("x(1)", first, 1, changes=changes)]
            asking = [candidate("x(2)", second, 2, changes=changes)]
            found = agree(whole, asking, given=1)
            assert [one.reading for one in found] == ["x(1)", "x(2)"][
                :: 1 if first >= second else -1
            ]
            assert max(one.probability for one in found) <= UNSURE
            assert decide(found) == "ask"


async def test_one_reading_that_leaves_out_a_value_never_acts():
    both = [candidate("x(1)", 0.999, 1)]
    assert decide(agree(both, both, given=1)) == "act"
    left_out = agree(both, both, given=2)
    assert [one.probability for one in left_out] == [UNSURE]
    assert decide(left_out) == "ask"


@pytest.mark.parametrize(
    ("sentence", "left"),
    [
        ("what weekday is the day before 1 March 2028", "before"),
        ("how many days are left in this month", "month"),
        ("the sum of the numbers from 1 to 10 except 5", "except"),
        ("reverse every second word of 'one two three'", "second"),
        ("welcher Wochentag ist der Tag vor dem 1. März 2028", "vor"),
        ("quel jour de la semaine est la veille du 1 mars 2028", "veille"),
        ("qué día de la semana es el día antes del 1 de marzo de 2028", "antes"),
    ],
)
async def test_a_reading_that_leaves_out_what_changes_the_meaning_never_acts(mind, sentence, left):
    found = await find_candidates(mind, read_sentence(sentence, NOW))
    assert left in found[0].left
    assert decide(found) != "act"


async def test_words_of_the_situation_may_be_left(mind):
    said = read_sentence("my oven knows only fahrenheit, the recipe says 190 celsius", NOW)
    assert (await find_candidates(mind, said))[0].left == ()
    said = read_sentence("attendance went from 160 to 196 people, by how many percent", NOW)
    assert (await find_candidates(mind, said))[0].left == ()


async def test_a_unit_that_is_converted_is_read(mind):
    said = read_sentence("what is the bmi of someone who weighs 70 kg and is 1.75 m tall", NOW)
    found = await find_candidates(mind, said)
    assert (found[0].left, decide(found)) == ((), "act")
