"""bat_os.core.brief: what the wish calls the values."""

import pytest

from bat_os.core.brief import MAX_LITERALS, literals, name_numbers, name_texts


@pytest.mark.parametrize(
    ("wish", "texts", "names"),
    [
        ("Count how often a letter occurs in a text.", ["banana", "a"], ["text", "letter"]),
        ("Store a value under a key and return the settings.", ["k", "v"], ["key", "value"]),
        ("Parse a JSON text and return the value of a key.", ["{}", "a"], ["text", "key"]),
        ("Remember the birthday of a person.", ["Ann", "1990-05-01"], ["name", "birthday"]),
        ("Greet a user by name.", ["Alice"], ["name"]),
    ],
)
def test_texts_are_called_what_the_wish_calls_them(wish, texts, names):
    assert name_texts(wish, texts) == names


@pytest.mark.parametrize(
    ("wish", "texts"),
    [
        ("Check whether two words are anagrams.", ["listen", "silent"]),
        ("Count how often each word occurs in a text.", ["a b"]),
        ("", ["a", "b"]),
        ("Add a note.", []),
    ],
)
def test_other_counts_than_that_of_the_texts_give_no_names(wish, texts):
    assert name_texts(wish, texts) == []


@pytest.mark.parametrize(
    ("wish", "count", "names"),
    [
        ("Convert miles to kilometers.", 1, ["miles"]),
        ("Compute interest for a principal, rate and years.", 3, ["principal", "rate", "years"]),
        ("Return the height of a tree.", 1, []),  # the answer, no argument
        ("Add two numbers.", 2, []),
    ],
)
def test_numbers_are_called_what_the_wish_calls_them(wish, count, names):
    assert name_numbers(wish, count) == names


@pytest.mark.parametrize(
    ("wish", "values"),
    [
        ("check whether a number is divisible by 7", (7,)),
        ("roll a six-sided die", (6,)),
        ("replace all spaces with underscores", (" ", "_")),
        ("join the words with ', '", (", ",)),
        ('put "<b>" before the text', ("<b>",)),
        ("add 19.5 percent, or -3.", (19.5, -3)),
        ("say it's Bob's turn", ()),
        ("the only one of its kind in v2", ()),
        ("split at dashes and slashes", ("-", "/")),
        ("7 and 7 and seven", (7,)),
        ("", ()),
    ],
)
def test_numbers_quotes_and_signs_are_found(wish, values):
    assert literals(wish) == values


def test_there_are_never_many():
    assert len(literals(" ".join(map(str, range(50))))) == MAX_LITERALS
