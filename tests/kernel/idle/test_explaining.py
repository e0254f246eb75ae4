"""What a wish and a method explain of each other."""

from __future__ import annotations

import pytest

from bat_os.core.brief import Brief, parameters
from bat_os.kernel.idle.explaining import ANY, Pairs, find_unexplained, read_pairs
from bat_os.training.explaining import count, read_lessons

EXTREMES = "Give the average of the highest and the lowest temperature."
MEAN = "sum(numbers) / len(numbers)"


def unexplained(wish, args, body, answer):
    brief = Brief("genesis_obj", "f", args, text=wish)
    told = ", ".join(("self", *parameters(brief)))
    return find_unexplained(brief, f"def f({told}):\n    return {body}\n", answer)


@pytest.mark.parametrize(
    ("wish", "args", "answer", "right", "wrong"),
    [
        (EXTREMES, ([1, 2, 6],), 3.5, "(max(numbers) + min(numbers)) / 2", MEAN),
        ("Round a price up to the next whole number.", (2.1,), 3,
         "math.ceil(price)", "round(price * 100, 1)"),
        ("Reverse a text.", ("ab",), "ba", "text[::-1]", "text.upper()"),
    ],
)  # fmt: skip
def test_what_does_less_than_the_wish_says_leaves_more_unexplained(
    wish, args, answer, right, wrong
):
    assert unexplained(wish, args, right, answer) < unexplained(wish, args, wrong, answer)


def test_a_number_and_a_text_that_stand_in_the_method_are_explained():
    wish = "Tell whether a light is green."
    named = unexplained(wish, ("red",), "text == 'green'", answer=True)
    assert named < unexplained(wish, ("red",), "text == 'blue'", answer=True)
    wish = "Compute the remainder of a number divided by seven."
    assert unexplained(wish, (9,), "number % 7", 2) < unexplained(wish, (9,), "number % 5", 2)


def test_nothing_is_said_of_words_that_are_not_known():
    wish = "Gib den Mittelwert der niedrigsten und der höchsten Temperatur."
    assert unexplained(wish, ([1, 2, 6],), MEAN, 3.0) is None


def test_the_code_that_a_word_goes_with_is_counted():
    lessons = [
        (["larg", "numb"], ["max", ANY]), (["small", "numb"], ["min", ANY]),
        (["larg", "age"], ["max", ANY]), (["small", "age"], ["min", ANY]),
    ]  # fmt: skip
    pairs = count(lessons)
    assert pairs.gain("larg", "max") > 0 > pairs.gain("larg", "min")
    assert pairs.best("larg") == pairs.gain("larg", "max")
    assert isinstance(pairs, Pairs)


def test_the_lessons_are_of_the_library_and_of_the_examples():
    lessons = [*read_lessons()]
    assert any({"vowel", "count"} <= {*words} for words, _ in lessons)
    assert all(ANY in code and len(code) > 1 for _, code in lessons)


def test_what_ships_was_counted_from_the_lessons_that_ship():
    counted, shipped = count([*read_lessons()]), read_pairs()
    rerun = "out of date; python -m bat_os.training.explaining"
    assert shipped.words == pytest.approx(counted.words), rerun
    assert shipped.code == pytest.approx(counted.code, abs=0.05), rerun
    # Rounding, and with it what is left out, may differ from one Python to the next.
    often = {(word, piece) for word, row in counted.seen.items() for piece in row if row[piece] > 1}
    assert all(
        shipped.seen[word][piece] == pytest.approx(counted.seen[word][piece], abs=0.05)
        for word, piece in often
    ), rerun
