"""bat_os.sentence.grammar: what a sentence says beside its request."""

import pytest

from bat_os.sentence.translate import translate


@pytest.mark.parametrize(
    ("sentence", "args"),
    [
        ("calculate the factorial of five", [5]),
        ("add twelve and thirty", [12, 30]),
        ("double twenty-one", [21]),
        ("add one and two", [1, 2]),
        ("add two numbers", []),
        ("add one to it each time", []),
        ("return seven", []),
        ("roll a six-sided die", []),
    ],
)
def test_number_words_are_values_where_no_noun_follows(sentence, args):
    assert translate(sentence).args == args


@pytest.mark.parametrize(
    ("sentence", "selector", "args"),
    [
        ("my name is Alice, greet me", "greet", ["Alice"]),
        ("I have a list [3, 1, 2]. Please sort it.", "sort", [[3, 1, 2]]),
        ("here is a text: 'abc'. Reverse it", "reverse", ["abc"]),
        ("I have the words 'b' and 'a'; sort them by length", "sort_by_length", ["b", "a"]),
        ("given 5, calculate the factorial", "calculate_factorial", [5]),
    ],
)
def test_what_is_introduced_stands_where_the_wish_says_it(sentence, selector, args):
    wish = translate(sentence)
    assert (wish.selector, wish.args) == (selector, args)


def test_two_values_with_names_are_named_arguments_and_one_is_not():
    two = translate("draw a box with width 2 and height 3")
    assert (two.selector, two.args, two.kwargs) == ("draw_box", [], {"width": 2, "height": 3})
    one = translate("compute the area of a circle with radius 3")
    assert (one.args, one.kwargs) == ([3], {})
