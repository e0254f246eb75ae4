"""A situation and a question: the question's words with the values of all."""

import datetime as dt

import pytest

from bat_os.kernel.say.skills import UNSURE, Candidate, agree
from bat_os.sentence.clauses import read_clauses
from bat_os.sentence.reading import read_sentence

NOW = dt.datetime(2026, 11, 22, 12, 0, tzinfo=dt.UTC)


def clauses(text, language="en"):
    return read_clauses(read_sentence(text, NOW, language), NOW)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("The bill is 84 euros. How much does each pay?", "how much does each pay {money}"),
        ("I have 3 boxes of 12 eggs; how many eggs?", "how many eggs {number} {number}"),
        ("It is 14 degrees outside, how much is that", "how much is that {number} {unit}"),
        ("Prices: 3, 5, 9. So please sort them", "sort them {list}"),
        ("I run 3 km. I run 4 km. What is that in miles?", None),
    ],
)
def test_the_last_clause_asks_about_the_values_of_the_others(text, masked):
    read = clauses(text)
    assert text[read.asked :].lower().startswith(read.masked.split(" {")[0][:8])
    assert masked is None or read.masked == masked


def test_a_list_behind_a_colon_ends_with_its_sentence():
    read = clauses("Here are some words: kiwi, fig, apple. Sort them alphabetically.")
    assert [value.value for value in read.values] == [["kiwi", "fig", "apple"]]


@pytest.mark.parametrize(
    "text",
    [
        "what is 17% of 340",
        "sort 3, 5, 9",
        "I like cheese. What is the capital of France?",
        "translate 'It is 3. What is it?'",
        "remember that dinner is at 7, Bob comes too",
    ],
)
def test_other_sentences_are_one(text):
    assert clauses(text) is None


def test_clauses_are_data_of_each_language():
    read = clauses("Die Zahlen sind 3, 9 und 6. Was ist der Durchschnitt?", "de")
    assert read.masked == "was ist der durchschnitt {list}"


def candidate(selector, probability, *args):
    return Candidate("a_obj", selector, args, {}, probability, selector, False, "shipped", "")


def test_two_readings_that_agree_are_surer_and_two_that_differ_are_not_sure():
    one, other = candidate("mean", 0.7, 1), candidate("total", 0.9, 1)
    assert agree([one], [one], 1)[0].probability == 0.91
    assert agree([one], [other], 1)[0].probability == UNSURE
    assert agree([one], [one], 2)[0].probability == 0.7  # a value is left out
    unlike = candidate("mean", 0.1, 1)
    assert agree([unlike], [other], 1)[0].probability == 0.9
