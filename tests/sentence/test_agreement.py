"""bat_os.sentence.agreement: names of the same wish."""

import pytest

from bat_os.sentence.agreement import is_same_message, is_same_name
from bat_os.sentence.translate import translate


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("report_current_system_time", "current_system_time", True),
        ("countVowels", "count_vowels", True),
        ("count_vowel", "count_vowels", True),
        ("is_prime", "check_if_prime", True),
        ("convert_celsius_to_fahrenheit", "convert_fahrenheit_to_celsius", False),
        ("add", "subtract", False),
        ("what_is_it", "is_it", False),
    ],
)
def test_names_are_the_same_but_for_words_of_asking(one, other, same):
    assert is_same_name(one, other) is same


def test_messages_with_other_values_are_not_the_same():
    assert is_same_message(translate("is 7 prime?"), translate("check if 7 is prime"))
    assert not is_same_message(translate("is 7 prime?"), translate("is 8 prime?"))
