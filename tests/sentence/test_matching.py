"""bat_os.sentence.matching: a sentence against one wording."""

import datetime as dt

from bat_os.method.shelf import Parameter
from bat_os.sentence.matching import FEATURES, Lexicon, Skill, Wording, match
from bat_os.sentence.phrasebook import Phrasebook
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.wishes import word_wish

NOON = dt.datetime(2026, 5, 18, 12, tzinfo=dt.UTC)


def word(text, /, **kinds):
    """Return a wording with slots of these kinds."""
    skill = Skill("demo_obj", "demo", tuple(Parameter(*each) for each in kinds.items()))
    return Wording.make(skill, text, "en", kinds, {})


def fit(said, wording):
    """Return what fills the wording's parameters, and its features by name."""
    book = Phrasebook([wording], [[0.0]], "en")
    asked = book.ask(read_sentence(said, NOON, "en"), None)
    found = match(asked, wording, Lexicon({}, 1.0), set())
    return dict(found.filled), dict(zip(FEATURES, found.features, strict=True))


def test_values_fill_slots_by_kind_whatever_their_order():
    wording = word("convert {number} {unit} to {to}", number="number", unit="unit", to="unit")
    for said in ("convert 5 miles to km", "in km, how much are 5 miles", "5 miles in km"):
        filled, features = fit(said, wording)
        assert (filled["number"], filled["unit"]) == (5, "mile"), said
        assert features["missing"] == 0


def test_of_two_values_of_a_kind_the_order_decides():
    wording = word("what is {percent} of {number}", percent="percent", number="number")
    assert fit("what is 17% of 340", wording)[0] == {"percent": 17, "number": 340}
    assert fit("of 340, what is 17%", wording)[0] == {"percent": 17, "number": 340}


def test_an_exact_sentence_is_known_as_such():
    wording = word("count the words in {text}", text="text")
    assert fit("Count the words in 'a b'", wording)[1]["exact"] == 1
    assert fit("count all the words in 'a b'", wording)[1]["exact"] == 0


def test_the_remaining_words_fill_a_free_slot_between_words_that_agree():
    wording = word("how many words are in {text}", text="text")
    filled, features = fit("how many words are in the quick brown fox", wording)
    assert filled == {"text": "the quick brown fox"}
    assert features["free"] == 1
    assert "text" not in fit("who was the quick brown fox", wording)[0]


def test_values_that_nothing_takes_and_slots_without_a_value_are_counted():
    wording = word("add {a} and {b}", a="number", b="number")
    assert fit("add 3 and", wording)[1]["missing"] == 2  # a parameter, and its slot
    assert fit("add 3 and 4 and 'x'", wording)[1]["unused"] == 1


def test_a_wish_becomes_a_wording():
    wish = "Convert a number celsius to fahrenheit."
    assert word_wish(wish, [("number", "number")]) == "convert {number} celsius to fahrenheit"
