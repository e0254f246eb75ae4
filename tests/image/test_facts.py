"""bat_os.image.facts: what the words of a fact say."""

import datetime as dt

import pytest

from bat_os.image.facts import describe, is_same, replaces, shorten
from bat_os.sentence.reading import read_sentence

NOW = dt.datetime(2026, 5, 6, 9, 30, tzinfo=dt.UTC)


def read(text):
    return describe("1", text, 0.0, read_sentence(text, NOW).values)


@pytest.mark.parametrize(
    ("text", "about", "where", "when"),
    [
        ("my sister's birthday is 3 May 2027", "my sister's birthday", "", ("2027-05-03",)),
        ("the spare key is under the mat", "the spare key", "the mat", ()),
        ("I parked the car in Mill Lane, near the church", "", "Mill Lane", ()),
        ("we meet on Friday at the harbour", "", "the harbour", ("2026-05-08",)),
        ("nothing much", "", "", ()),
    ],
)
def test_subject_place_and_days_are_read(text, about, where, when):
    fact = read(text)
    assert (fact.about, fact.where, fact.when) == (about, where, when)


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        ("my locker code is 9931", "my locker code is 4711", True),
        ("I parked on level 5", "I parked on level 3", True),
        ("I lent the drill to Ada", "I lent the drill to Marek", True),
        ("my locker code is 4711.", "My locker code is 4711", False),
        ("I like pears", "I like apples", False),
        ("Eva's birthday is 3 May", "Ada's birthday is 9 June", False),
    ],
)
def test_what_may_be_said_instead_of_what(new, old, expected):
    assert replaces(new, old) is expected


@pytest.mark.parametrize(
    ("question", "text", "short"),
    [
        ("when is Ada's birthday?", "Ada's birthday is 3 May", "3 May"),
        ("when does it run?", "it runs on 3 May and on 9 June", ""),
        ("how old is my dog?", "my dog is 5 years old", "5 years"),
        ("how many eggs do we need?", "we need 12 eggs", "12"),
        ("what is my dog called?", "my dog is called Rex", "Rex"),
        ("where is the spare key?", "the spare key is under the mat", "under the mat"),
        ("where is the dentist?", "the dentist is on 12 May", ""),
        ("who is my dentist?", "the dentist is on 12 May", ""),
        ("who is my dentist?", "my dentist is Dr Lund", "Dr Lund"),
        ("what did I say about my sister?", "my sister's birthday is 3 May", ""),
        ("what is my shoe size?", "I wear size 43", ""),
    ],
)
def test_the_short_answer_is_a_part_of_the_fact_or_nothing(question, text, short):
    assert shorten(question, text, read_sentence(text, NOW).values) == short
    assert short in text


def test_the_same_words_are_the_same_fact():
    assert is_same("The bins go out on Tuesday!", "the bins go out on tuesday")
    assert not is_same("the bins go out on Tuesday", "the bins go out on Friday")
