"""bat_os.sentence.skills: is what was asked known already?"""

import json

import pytest

from bat_os.sentence.skills import CHOICES, OFFERED, recognise, suggest
from bat_os.sentence.translate import translate
from tests.kernels import ROOT

ROWS = [
    json.loads(line)
    for line in (ROOT / "tests/cases/skills.jsonl").read_text(encoding="utf-8").splitlines()
]
FRESH = 4, 7  # what no rule was made for is measured (benchmarks/translate.py), not tested
KNOWN = [row for row in ROWS if "wish" in row and row["set"] not in FRESH]
VOWELS = ("Count the vowels in a text.", "count_vowels", ["text"])


def skill(wish, selector, params, similarity=0.9):
    line = f"def {selector}({', '.join(['self', *params])})"
    return {"object": "robot_obj", "selector": selector, "wish": wish, "signature": line,
            "similarity": similarity}  # fmt: skip


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: f"{row['set']}-{row['selector']}")
def test_no_sentence_that_asks_for_something_else_is_taken_for_a_skill(row):
    # At a likeness that counts for nothing by itself: only words can serve.
    one = skill(row["wish"], row["selector"], row["params"], similarity=0.49)
    others = [one["other"] for one in ROWS if "other" in one and one["set"] == row["set"]]
    taken = [other for other in others if recognise(translate(other), [one])]
    assert taken == []


def test_the_known_message_is_sent_with_the_values_of_the_sentence():
    found = recognise(translate("how many vowels are in 'banana'?"), [skill(*VOWELS)])
    assert (found.target, found.selector, found.args) == ("robot_obj", "count_vowels", ["banana"])


@pytest.mark.parametrize(
    "sentence",
    [
        "list the vowels in 'banana'",
        "remove the vowels from 'banana'",
        "count the vowels",
        "count the vowels in 'a' and 'b'",
        "count the vowels in [1, 2]",
        "count the vowels in 'banana', e.g. 'hello' gives 2",
    ],
)
def test_what_turns_the_wish_into_another_is_no_repeat(sentence):
    assert recognise(translate(sentence), [skill(*VOWELS)]) is None


REPLACE = ("Replace a text with another text in another text.", "swap_in", ["old", "new", "text"])
TIP = ("Calculate a number percent tip on another number.", "tip", ["percent", "amount"])
MILES = ("Convert miles to kilometres.", "convert", ["miles"])
COLOR = ("Convert the hex color a text to rgb.", "hex_to_rgb", ["color"])
CAPITAL = ("Return the capital of a text.", "capital_of", ["country"])
SPHERE = ("Compute the volume of a sphere with radius a number.", "volume", ["radius"])
LONGER = ("Is a text longer than another text.", "is_longer", ["first", "second"])


@pytest.mark.parametrize(
    ("known", "repeat", "other"),
    [
        (REPLACE, "substitute 'a' with 'b' in 'cab'", "in 'cab' replace 'a' with 'b'"),
        (TIP, "what is the tip of 10 percent on 60?", "what is the tip on 60 at 10 percent?"),
        (MILES, "how many kilometres are 5 miles?", "how many miles are 5 kilometres?"),
        (COLOR, "what is the hex color '#fff' in rgb?", "convert rgb '255,0,0' to the hex color"),
        (CAPITAL, "what is the capital of 'Spain'?", "which country has the capital 'Madrid'?"),
        (SPHERE, "what volume has a ball with radius 2?", "what radius has a ball of volume 2?"),
        (LONGER, "check if 'ab' is longer than 'a'", "is 'ab' shorter than 'a'?"),
    ],
)
def test_values_in_another_role_make_another_wish(known, repeat, other):
    found = recognise(translate(repeat), [skill(*known)])
    assert found is not None
    assert recognise(translate(other), [skill(*known)]) is None


def test_a_word_exchanged_for_an_unknown_one_makes_another_wish_however_like_they_are():
    area = ("Calculate the area of a circle with a radius.", "area", ["radius"])
    wish = translate("calculate the perimeter of a circle with radius 2")
    assert recognise(wish, [skill(*area, 0.99)]) is None


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        (("Tell a joke.", "joke", []), "tell me a joke in German"),
        (("List the planets.", "planets", []), "list the dwarf planets"),
        (("Average the best scores of a list.", "best", ["scores"]), "average the scores of [1]"),
        (("Find the notes that mention a text.", "find", ["text"]),
         "find the notes that do not mention 'bat'"),
        (("Find the notes that mention a text.", "find", ["text"]),
         "find the notes that don't mention 'bat'"),
    ],
)  # fmt: skip
def test_a_wish_that_says_more_or_less_than_a_known_one_is_asked_about(known, sentence):
    near = skill(*known, 0.99)
    assert recognise(translate(sentence), [near]) is None
    assert [one.message.selector for one in suggest(translate(sentence), [near])] == [known[1]]


def test_other_words_for_the_same_serve_where_the_meaning_is_like():
    maximum = ("Find the maximum of a list.", "find_maximum", ["numbers"])
    wish = translate("what is the largest number in [1, 9]?")
    assert recognise(wish, [skill(*maximum, 0.7)]).selector == "find_maximum"
    assert recognise(wish, [skill(*maximum, 0.2)]) is None


def test_the_likest_of_those_that_fit_is_taken():
    skills = [skill("Greet a name.", "greet", ["name"], 0.6),
              skill("Greet a text.", "greet_politely", ["name"], 0.8)]  # fmt: skip
    assert recognise(translate("greet 'Ann'"), skills).selector == "greet_politely"


def test_skills_that_are_like_a_wish_are_offered_if_they_take_the_values():
    near = skill("Count the letters of a text.", "count_letters", ["text"], OFFERED)
    nearer = skill(*VOWELS, similarity=OFFERED + 0.1)
    two = skill("Swap a text and a text.", "swap", ["one", "two"], 0.99)
    wish = translate("compute the period of 'banana'")
    found = suggest(wish, [near, nearer, two])
    assert [(one.message.selector, one.message.args) for one in found] == [
        ("count_vowels", ["banana"]),
        ("count_letters", ["banana"]),
    ]
    assert found[0].wish == VOWELS[0]
    assert len(suggest(wish, [near] * 9)) == CHOICES
    assert suggest(wish, [skill(*VOWELS, similarity=OFFERED - 0.01)]) == ()
    assert suggest(wish, []) == ()
    assert suggest(translate("double 4, e.g. 2 gives 4"), [nearer]) == ()


@pytest.mark.parametrize(
    ("line", "takes"),
    [
        ("def greet", True),  # only the name was kept
        ("def greet(self, name):", True),
        ("def greet(self, name, mark='!'):", True),
        ("def greet(self, *names):", True),
        ("def greet(self, name: str, *, mark: str = '(,)'):", True),
        ("def greet(self, **names):", False),
        ("def greet(self, *, name):", False),
        ("def greet(self, one, two, *names):", False),
        ("def greet(self):", False),
        ("def greet(self, name, mark):", False),
        ("def greet(self, name, *, mark):", False),
    ],
)
def test_a_signature_says_how_many_values_a_skill_takes(line, takes):
    known = skill("Greet a text.", "greet", ["name"], 0.9) | {"signature": line}
    assert bool(suggest(translate("greet 'Ann'"), [known])) is takes
