"""bat_os.method.adapt: a known method in the form that a brief asks for."""

import ast

import pytest

from bat_os.method.adapt import WAYS, Form, adapt, rebind_arguments
from bat_os.method.guardian import PersistenceGuardian
from tests.library import SEEDS

SOURCE = '''def add_all(self, numbers, start=0):
    """Add."""
    import math

    return math.fsum(numbers) + start
'''


def test_name_parameters_and_docstring_are_those_that_were_asked_for():
    text = adapt(SOURCE, "add_all", Form("total", ["values"], "Total the values."))
    assert "def total(self, values, start=0):" in text
    assert "math.fsum(values) + start" in text
    assert ast.get_docstring(ast.parse(text).body[0]) == "Total the values."


@pytest.mark.parametrize("params", [[], ["a", "b", "c"], ["math"], ["start"]])
def test_it_does_not_fit_other_counts_or_names_that_are_taken(params):
    assert adapt(SOURCE, "add_all", Form("total", params, "x")) == ""


def test_a_variable_gives_way_to_a_parameter_and_all_else_keeps_its_name():
    source = "def f(self, number):\n    n, n_ = 0, 1\n    return [n + n_ for _ in range(number)]\n"
    text = adapt(source, "f", Form("g", ["n"], "x"))
    assert "n__, n_ = (0, 1)" in text
    assert "[n__ + n_ for _ in range(n)]" in text
    for body in ("[sum for sum in number] and sum(number)", "dict(n=[n for n in number])"):
        taken = "sum" if "sum" in body else "n"
        assert (
            adapt(f"def f(self, number):\n    return {body}\n", "f", Form("g", [taken], "x")) == ""
        )


def test_a_call_of_itself_follows_the_new_name():
    source = "def f(self, n):\n    return 1 if n < 2 else n * self.f(n - 1)\n"
    assert "self.g(m - 1)" in adapt(source, "f", Form("g", ["m"], "x"))


@pytest.mark.parametrize("source", ["", "x = 1", "def (", "def f(self, *a):\n    return a\n"])
def test_what_is_no_such_method_does_not_fit(source):
    assert adapt(source, "f", Form("g", ["a"], "x")) == ""


KEEPS = """def add_task(self, text):
    tasks = getattr(self, "tasks", [])
    self.tasks = [*tasks, text]
    return self.tasks
"""


def test_what_it_keeps_goes_into_the_one_slot_that_the_object_has():
    text = adapt(KEEPS, "add_task", Form("put", ["text"], "x", ["shopping_list"]))
    assert "tasks = getattr(self, 'shopping_list', [])" in text
    assert "self.shopping_list = [*tasks, text]" in text
    assert "self.tasks" not in text


@pytest.mark.parametrize("slots", [[], ["tasks"], ["name", "tasks"]])
def test_a_slot_of_the_same_name_or_no_slot_at_all_leaves_its_own(slots):
    assert "self.tasks = " in adapt(KEEPS, "add_task", Form("put", ["text"], "x", slots))


def test_among_several_other_slots_it_does_not_fit():
    assert adapt(KEEPS, "add_task", Form("put", ["text"], "x", ["name", "age"])) == ""


def test_every_seed_can_be_adapted_and_passes_the_guardian():
    for seed in SEEDS:
        params = [f"p{n}" for n in range(len(seed.params))]
        text = adapt(seed.source, seed.selector, Form("renamed", params, seed.wish))
        assert text, seed.selector
        assert PersistenceGuardian().audit(text, "renamed").lines() == (), text


# --- parameters in another order, or bound to a value ---

DIVIDES = 'def divides(self, number, by):\n    """Say it."""\n    return number % by == 0\n'
REPEAT = "def repeat(self, times, text, between=' '):\n    return between.join([text] * times)\n"


def run(source, name, *args):
    space = {}
    exec(source, space)  # noqa: S102 - a source of this test
    return space[name](None, *args)


def test_a_parameter_that_the_caller_does_not_give_is_bound_to_a_value_of_the_wish():
    ways = rebind_arguments(DIVIDES, "divides", Form("by_seven", ["n"], "Is it?"), (7,))
    assert [run(way, "by_seven", 14) for way in ways] == [True, False]
    assert ast.get_docstring(ast.parse(ways[0]).body[0]) == "Is it?"


def test_the_caller_may_give_the_arguments_in_another_order():
    ways = rebind_arguments(REPEAT, "repeat", Form("again", ["text", "times"], "x"), ())
    assert run(ways[1], "again", "ab", 2) == "ab ab"


def test_a_default_may_be_bound():
    ways = rebind_arguments(REPEAT, "repeat", Form("again", ["text", "count"], "x"), ("-",))
    bound = [way for way in ways if "between = '-'" in way and "(self, text, count)" in way]
    assert sorted(run(way, "again", *args) for way, args in
                  zip(bound, [(2, "a"), ("a", 2)], strict=True)) == ["a-a", "a-a"]  # fmt: skip


@pytest.mark.parametrize("source", ["", "x = 1", "def (", "def f(self, *a):\n    return a\n"])
def test_what_is_no_such_method_has_no_way(source):
    assert rebind_arguments(source, "f", Form("g", ["a"], "x"), (1,)) == []


def test_the_ways_of_a_seed_are_few_and_pass_the_audit():
    guardian = PersistenceGuardian()
    for seed in SEEDS[::10]:
        ways = rebind_arguments(
            seed.source, seed.selector, Form("other", ["one"], "Do it."), (3, ",")
        )
        assert len(ways) <= WAYS
        for way in ways:
            assert not guardian.audit(way, "other").findings
