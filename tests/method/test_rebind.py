"""bat_os.method.rebind: a known method in the ways that might fit."""

import ast

import pytest

from bat_os.method.adapt import Form
from bat_os.method.guardian import PersistenceGuardian
from bat_os.method.rebind import WAYS, bend
from tests.library import SEEDS

DIVIDES = 'def divides(self, number, by):\n    """Say it."""\n    return number % by == 0\n'
REPEAT = "def repeat(self, times, text, between=' '):\n    return between.join([text] * times)\n"


def run(source, name, *args):
    space = {}
    exec(source, space)  # noqa: S102 - a source of this test
    return space[name](None, *args)


def test_a_parameter_that_the_caller_does_not_give_is_bound_to_a_value_of_the_wish():
    ways = bend(DIVIDES, "divides", Form("by_seven", ["n"], "Is it?"), (7,))
    assert [run(way, "by_seven", 14) for way in ways] == [True, False]
    assert ast.get_docstring(ast.parse(ways[0]).body[0]) == "Is it?"


def test_the_caller_may_give_the_arguments_in_another_order():
    ways = bend(REPEAT, "repeat", Form("again", ["text", "times"], "x"), ())
    assert run(ways[1], "again", "ab", 2) == "ab ab"


def test_a_default_may_be_bound():
    ways = bend(REPEAT, "repeat", Form("again", ["text", "count"], "x"), ("-",))
    bound = [way for way in ways if "between = '-'" in way and "(self, text, count)" in way]
    assert sorted(run(way, "again", *args) for way, args in
                  zip(bound, [(2, "a"), ("a", 2)], strict=True)) == ["a-a", "a-a"]  # fmt: skip


@pytest.mark.parametrize("source", ["", "x = 1", "def (", "def f(self, *a):\n    return a\n"])
def test_what_is_no_such_method_has_no_way(source):
    assert bend(source, "f", Form("g", ["a"], "x"), (1,)) == []


def test_the_ways_of_a_seed_are_few_and_pass_the_audit():
    guardian = PersistenceGuardian()
    for seed in SEEDS[::10]:
        ways = bend(seed.source, seed.selector, Form("other", ["one"], "Do it."), (3, ","))
        assert len(ways) <= WAYS
        for way in ways:
            assert not guardian.audit(way, "other").findings
