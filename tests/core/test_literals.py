"""bat_os.core.literals: the values that a wish names."""

import pytest

from bat_os.core.literals import MOST, literals


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
    assert len(literals(" ".join(map(str, range(50))))) == MOST
