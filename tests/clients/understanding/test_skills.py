"""bat_os.clients.understanding.skills: is what was asked known already?"""

import json

import pytest

from bat_os.clients.translate import translate
from bat_os.clients.understanding.skills import recognise
from tests.kernels import ROOT

ROWS = [
    json.loads(line)
    for line in (ROOT / "tests/cases/skills.jsonl").read_text(encoding="utf-8").splitlines()
]
KNOWN = [row for row in ROWS if "wish" in row]
VOWELS = ("Count the vowels in a text.", "count_vowels", ["text"])


def skill(wish, selector, params, similarity=0.9):
    line = f"def {selector}({', '.join(['self', *params])})"
    return {"object": "robot_obj", "selector": selector, "wish": wish, "signature": line,
            "similarity": similarity}  # fmt: skip


@pytest.mark.parametrize("row", KNOWN, ids=lambda row: row["selector"])
def test_no_sentence_that_asks_for_something_else_is_taken_for_a_skill(row):
    # At a likeness that counts for nothing by itself: only words can serve.
    one = skill(row["wish"], row["selector"], row["params"], similarity=0.5)
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


def test_other_words_for_the_same_serve_where_the_meaning_is_like():
    maximum = ("Find the maximum of a list.", "find_maximum", ["numbers"])
    wish = translate("what is the largest number in [1, 9]?")
    assert recognise(wish, [skill(*maximum, 0.7)]).selector == "find_maximum"
    assert recognise(wish, [skill(*maximum, 0.2)]) is None


def test_the_likest_of_those_that_fit_is_taken():
    skills = [skill("Greet a name.", "greet", ["name"], 0.6),
              skill("Greet a text.", "greet_politely", ["name"], 0.8)]  # fmt: skip
    assert recognise(translate("greet 'Ann'"), skills).selector == "greet_politely"
