"""bat_os.core.judging.likeness: wishes that mean the same, and those that only sound like it."""

import pytest

from bat_os.core.judging.likeness import is_same_wish


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Convert celsius to fahrenheit.", "Convert fahrenheit to celsius."),
        ("Return the largest number of a list.", "Return the smallest number of a list."),
        ("Sum the even numbers.", "Sum the odd numbers."),
        ("Add 3 days to a date.", "Add 5 days to a date."),
        ("Tell the first word.", "Tell the last word."),
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
