"""Programs by example: the likeliest one, and when the examples leave open which is meant."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bat_os.method.adapt import Form
from bat_os.method.guardian import PersistenceGuardian
from bat_os.method.induction import decides, induce, write_method


def learn(examples, asked, *tags, hints=()):
    names = ["a", "b"][: len(asked)] if len(asked) > 1 else ["value"]
    return induce(examples, asked, names, tags, hints)


@pytest.mark.parametrize(
    ("examples", "asked", "answer"),
    [
        ([([42], "00042")], [7], "00007"),
        ([(["hi"], "*hi*")], ["yes"], "*yes*"),
        ([([3], 9), ([4], 16)], [5], 25),
        ([(["ann"], "Ann!")], ["bob"], "Bob!"),
        ([(["a,b"], ["a", "b"])], ["c,d,e"], ["c", "d", "e"]),
        ([(["Ada Lovelace"], "Lovelace, Ada")], ["Alan Turing"], "Turing, Alan"),
        ([([[1, 2, 3]], [2, 4, 6])], [[5, 10]], [10, 20]),
        ([(["abc"], "a.b.c.")], ["usa"], "u.s.a."),
        ([(["2024-05-17"], "17.05.2024")], ["2023-12-31"], "31.12.2023"),
        ([(["12345678"], "****5678")], ["99887766"], "****7766"),
        ([([100], 212), ([0], 32)], [20], 68),
        ([([2, 3], 6), ([4, 5], 20)], [6, 7], 42),
        ([([5], "$5.00")], [12], "$12.00"),
        ([([4], True), ([5], False)], [10], True),
        ([(["abc"], "CBA")], ["dog"], "GOD"),
    ],
)
def test_the_examples_decide(examples, asked, answer):
    programs = learn(examples, asked)
    assert decides(programs)
    assert programs[0].answer == answer


@pytest.mark.parametrize(
    ("examples", "asked"),
    [
        ([([4], 8)], [21]),  # twice as much, or four more
        ([([3], 9)], [5]),  # squared, or three times
        ([(["a"], "aa"), (["b"], "bb")], ["xyz"]),  # twice the text, or each letter twice
        ([([5], 25)], [5]),  # the same value shows nothing new
    ],
)
def test_examples_that_more_than_one_program_fits_do_not_decide(examples, asked):
    programs = learn(examples, asked)
    assert len(programs) > 1
    assert not decides(programs)


def test_words_of_the_wish_decide_between_programs():
    assert decides(learn([([4], 8)], [21], "double"))
    assert learn([([4], 8)], [21], "add")[0].answer == 25
    assert learn([([3], 9)], [14], "triple")[0].answer == 42


def test_constants_that_the_wish_names_are_likely():
    assert learn([([10], 34)], [20], hints=(3, 4))[0].answer == 64


def test_one_yes_shows_nothing():
    assert learn([([7], True)], [9]) == []


@pytest.mark.parametrize("examples", [[], [([1, 2], 3), ([1], 3)], [([None], 1)], [([{}], 1)]])
def test_what_is_no_example_has_no_program(examples):
    assert learn(examples, [1]) == []


def test_values_that_are_too_large_have_no_program():
    assert learn([([10**30], 10**31)], [5]) == []
    assert learn([(["a" * 500], "b")], ["c"]) == []


def test_a_program_is_a_method_that_the_guardian_accepts():
    program = learn([([5], 120), ([4], 24)], [6])[0]
    source = write_method(program, Form("factorial_of", ("value",), "Return the factorial."))
    assert PersistenceGuardian().audit(source, "factorial_of").lines() == ()
    assert "math.factorial(value)" in source


@settings(max_examples=25, deadline=None)
@given(st.text("ab -,.;'1\"\\{}", min_size=1, max_size=12), st.text("ab -1'", max_size=12))
def test_every_program_that_is_found_runs_and_reproduces_the_example(text, result):
    for program in learn([([text], result)], [f"{text} x"]):
        assert eval(program.expression, {"value": text}) == result  # noqa: S307 - made of our operations
        assert eval(program.expression, {"value": f"{text} x"}) == program.answer  # noqa: S307
