"""bat_os.sentence.sameness: two wishes of like meaning, which words may set apart."""

import pytest

from bat_os.sentence.sameness import is_the_same


@pytest.mark.parametrize(
    ("wish", "known", "values"),
    [
        ("Reverse a text.", "Please reverse the text", 1),
        ("How many vowels are in a text?", "Count the vowels in a text.", 1),
        ("Sort a list of words.", "Please put a list of words in order", 1),
    ],
)
def test_the_same_in_other_words_is_one_wish(wish, known, values):
    assert is_the_same(wish, known, values=values)
    assert is_the_same(known, wish, values=values)


@pytest.mark.parametrize(
    ("wish", "known", "values"),
    [
        ("Is a text shorter than a text?", "Is a text longer than a text?", 2),
        ("Compute the yearly payment of a loan.", "Compute the monthly payment of a loan.", 0),
        ("Is a text in snake case?", "Convert a text to snake case.", 1),
        ("Count the different characters in a text.", "Count the characters in a text.", 1),
        ("Convert celsius to fahrenheit.", "Convert fahrenheit to celsius.", 0),
        ("List the vowels in a text.", "Count the vowels in a text.", 1),
        ("Decrypt a text with caesar shift a number.", "Encrypt a text with caesar shift a number.",
         2),
    ],
)  # fmt: skip
def test_a_word_that_turns_a_wish_makes_it_another(wish, known, values):
    assert not is_the_same(wish, known, values=values)
    assert not is_the_same(known, wish, values=values)
