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


def test_the_name_of_a_file_is_no_text_to_work_on_unless_it_is_quoted():
    wording = word("count the words in {text}", text="text")
    for said in ("count the words in notes.txt", "count the words in https://example.org/a"):
        assert "text" not in fit(said, wording)[0], said
    assert fit("count the words in 'notes.txt'", wording)[0] == {"text": "notes.txt"}
    assert fit("count the words in ann@example.org", wording)[0] == {"text": "ann@example.org"}


def test_what_is_about_names_of_files_takes_one():
    wording = word("file extension of {text}", text="path")
    assert fit("file extension of report.pdf", wording)[0] == {"text": "report.pdf"}


def test_a_number_is_given_in_the_unit_that_the_wording_names():
    wording = word(
        "average speed of {distance} km in {hours} hours", distance="number", hours="number"
    )
    assert fit("average speed of 30 km in 90 minutes", wording)[0] == {"distance": 30, "hours": 1.5}
    filled = fit("average speed of 10 miles in 2 hours", wording)[0]
    assert filled == {"distance": 16.09344, "hours": 2}


def test_a_number_does_not_fill_the_slot_of_another_dimension():
    wording = word("bmi with {height} m and {weight} kg", height="number", weight="number")
    for said in ("bmi with 70 kg and 1.75 m", "bmi with 1.75 m and 70 kg"):
        assert fit(said, wording)[0] == {"height": 1.75, "weight": 70}, said
    assert fit("bmi with 175 cm and 154 lbs", wording)[0]["height"] == 1.75
    assert "weight" not in fit("bmi with 1.75 m and 3 hours", wording)[0]


def test_a_list_of_as_many_numbers_fills_the_slots_for_them():
    wording = word("volume of a box {a} by {b} by {c}", a="number", b="number", c="number")
    assert fit("volume of a box 80, 35 and 40", wording)[0] == {"a": 80, "b": 35, "c": 40}
    assert "a" not in fit("volume of a box 80, 35, 40 and 2", wording)[0]


def test_of_the_units_of_a_skill_those_that_were_said_stay():
    kinds = {"distance": "number", "hours": "number"}
    skill = word("{distance} km in {hours} hours, how fast", **kinds)
    other = Wording.make(skill.skill, "{distance} miles in {hours} hours", "en", kinds, {})
    book = Phrasebook([skill, other], [[0.0], [0.0]], "en")
    for match_ in book.find(book.ask(read_sentence("90 miles in 90 minutes", NOON, "en"), None)):
        assert dict(match_.filled) == {"distance": 90, "hours": 1.5}
