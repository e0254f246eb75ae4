"""bat_os.sentence.likeness: wishes that mean the same, and those that only sound like it."""

import pytest

from bat_os.sentence.likeness import is_same_wish, weigh


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Convert celsius to fahrenheit.", "Convert fahrenheit to celsius."),
        ("Return the largest number of a list.", "Return the smallest number of a list."),
        ("Sum the even numbers.", "Sum the odd numbers."),
        ("Add 3 days to a date.", "Add 5 days to a date."),
        ("Tell the first word.", "Tell the last word."),
        ("Convert celsius to kelvin.", "Convert celsius to fahrenheit."),
        ("Check that a text is empty.", "Check that a text is not empty."),
    ],
)
def test_wishes_that_differ_in_one_word_that_counts_are_not_the_same(one, other):
    assert not is_same_wish(one, other)
    assert not is_same_wish(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Reverse a text.", "please reverse the text"),
        ("Report the current system time.", "What time is it now?"),
        ("Count the vowels in a text.", "How many vowels are in a text?"),
        ("Return the largest number of a list.", "find the largest number in a list"),
    ],
)
def test_wishes_that_differ_in_the_asking_only_may_be_the_same(one, other):
    assert is_same_wish(one, other)


def test_a_function_for_the_same_wish_counts_as_much_as_all_that_were_written():
    assert weigh(0.95, "Find the largest number in a list.", "Find the largest number.") == 1.0


def test_the_less_alike_two_wishes_are_the_less_a_function_counts():
    wish, near, other = "Reverse a text.", "Turn a text round.", "Sort the words by length."
    weights = [weigh(0.8, wish, near), weigh(0.8, "Sort the rows.", other), weigh(0.6, wish, near)]
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == 0
    assert weigh(0.3, wish, near) is None
