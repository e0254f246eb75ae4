"""bat_os.core.judging.probes: other arguments of the same kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bat_os.core.judging.probes import MAX_PROBES, vary
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
