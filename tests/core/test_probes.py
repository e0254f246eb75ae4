"""bat_os.core.probes: other arguments of the same kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.probes import MAX_PROBES, find_dull, vary
from bat_os.core.values import Ref

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=8
)


def test_a_number_has_neighbours_and_edges():
    assert vary((7,)) == ((8,), (2,), (0,), (70,))


def test_several_arguments_take_turns():
    assert vary((3, "ab")) == ((4, "ab"), (3, "AB"), (2, "ab"), (3, "ab ab"))


@pytest.mark.parametrize("args", [(), (None,), (Ref("0" * 16),), ({"a": 1},), ("x" * 9999,)])
def test_what_cannot_be_varied_cheaply_has_no_probes(args):
    assert vary(args) == ()


@given(st.lists(PLAIN, max_size=4))
def test_probes_are_few_other_arguments_and_always_the_same(args):
    probes = vary(args)
    assert len(probes) <= MAX_PROBES
    assert repr(probes) == repr(vary(args))
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
    told = list(zip(vary(("abc",)), probed, strict=True))
    assert find_dull(("abc",), value, told).startswith(doubt)


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
    assert find_dull(args, value, list(zip(vary(args), probed, strict=False))) == ""
