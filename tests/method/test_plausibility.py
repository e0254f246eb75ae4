"""bat_os.method.plausibility: what a right answer seldom looks like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.values import Ref
from bat_os.method.plausibility import (
    MAX_PROBES,
    find_implausible,
    find_uninformative,
    find_unused,
    perturb,
)


def look(wish, answer, *, selector="do_it", writes=False, slots=()):
    return find_implausible(wish, selector, answer, writes=writes, slots=slots)


@pytest.mark.parametrize(
    ("wish", "answer", "found"),
    [
        ("Report the current time.", None, "returned nothing"),
        ("Do something.", None, "changed nothing"),
        ("Remember a note.", ["x"], "changed nothing"),
        ("Check whether a number is prime.", 1, "a yes or no"),
        ("Is it a leap year?", "yes", "a yes or no"),
        ("Count the vowels in a text.", ["a"], "a number"),
        ("How many words are there?", True, "a number"),
    ],
)
def test_an_answer_of_another_kind_than_the_wish_is_in_doubt(wish, answer, found):
    assert found in look(wish, answer)


@pytest.mark.parametrize(
    ("wish", "answer"),
    [
        ("Count how often each word occurs in a text.", {"a": 1}),
        ("Count the words per line.", [1, 2]),
        ("Check whether a number is prime.", False),
        ("Add two numbers.", 3),
        ("Island of a user.", "Crete"),
        ("Tell the time.", "12:00"),
    ],
)
def test_an_answer_of_the_right_kind_passes(wish, answer):
    assert look(wish, answer) == ""


def test_a_change_without_an_answer_is_fine_unless_a_value_was_asked_for():
    assert look("Remember a note.", None, writes=True) == ""
    assert "returned nothing" in look("Remember a note and list all notes.", None, writes=True)


def test_a_wish_to_change_a_named_slot_has_to_change_something():
    slots = ("shopping_list",)
    assert "changed nothing" in look("Add an item to the shopping list.", ["x"], slots=slots)
    assert look("Add an item to the shopping list.", ["x"], slots=()) == ""


def test_a_selector_that_asks_wants_yes_or_no():
    assert "yes or no" in look("Prime numbers.", 7, selector="is_prime")


@pytest.mark.parametrize(
    ("body", "unused"),
    [
        ("return 1", "n"), ("return n", ""), ("n = 3\n    return 1", "n"),
        ("def inner():\n        return n\n    return inner()", ""), ("return self.n", "n"),
    ],
)  # fmt: skip
def test_an_argument_that_is_never_read_is_found(body, unused):
    assert find_unused(f"def f(self, n):\n    {body}\n", "f") == unused


@given(st.text(max_size=200))
def test_no_source_makes_it_raise(source):
    assert find_unused(source, "f") == ""


@pytest.mark.parametrize(
    ("wish", "answer", "doubted"),
    [
        ("Remember a note and list all notes.", "buy milk", True),
        ("Add an item and return the list.", 1, True),
        ("Add an item and return the list.", ["bread"], False),
        ("List all notes.", {"a": 1}, False),
        ("Return the length of the list.", 3, False),
    ],
)
def test_one_thing_is_doubted_where_several_were_asked_for(wish, answer, doubted):
    assert bool(look(wish, answer, writes=True)) == doubted


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8
)


def test_a_number_has_neighbours_and_edges():
    assert perturb((7,)) == ((8,), (2,), (0,), (70,))


def test_several_arguments_take_turns():
    assert perturb((3, "ab")) == ((4, "ab"), (3, "AB"), (2, "ab"), (3, "ab ab"))


@pytest.mark.parametrize("args", [(), (None,), (Ref("0" * 16),), ({"a": 1},), ("x" * 9999,)])
def test_what_cannot_be_varied_cheaply_has_no_probes(args):
    assert perturb(args) == ()


@given(st.lists(PLAIN, max_size=4))
def test_probes_are_few_other_arguments_and_always_the_same(args):
    probes = perturb(args)
    assert len(probes) <= MAX_PROBES
    assert repr(probes) == repr(perturb(args))
    for probe in probes:
        assert len(probe) == len(args)
        assert sum(repr(a) != repr(b) for a, b in zip(probe, args, strict=True)) == 1


@pytest.mark.parametrize(
    ("value", "probed", "doubt"),
    [
        ("abc", ["ABC", "abc abc", "cba", ""], "gives its argument back"),
        ("x", ["x", "x", "x", "x"], "answers everything alike"),
        ("", ["a", "b", "c", "d"], "answers with nothing"),
        ("  ", ["a", "b", "c", "d"], "answers with nothing"),
        (None, ["a", "b", "c", "d"], "answers with nothing"),
    ],
)
def test_answers_that_say_nothing_are_doubted(value, probed, doubt):
    told = list(zip(perturb(("abc",)), probed, strict=True))
    assert find_uninformative(("abc",), value, told).startswith(doubt)


@pytest.mark.parametrize(
    ("args", "value", "probed"),
    [
        ((), "x", []),  # nothing was given that an answer could depend on
        (("abc",), "cba", ["CBA", "cba cba", "abc", ""]),
        (("level",), True, [True, True, True, True]),  # a yes or no says little anyway
        (("abc",), "abc", ["ABC", "abc", "cba", ""]),  # as it is only here
        ((1,), 1.0, [2.0, 0.0]),  # not as it is
    ],
)
def test_answers_that_depend_on_the_arguments_are_not(args, value, probed):
    assert find_uninformative(args, value, list(zip(perturb(args), probed, strict=False))) == ""
