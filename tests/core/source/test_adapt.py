"""bat_os.core.source.adapt: a known method under another name."""

import ast
from importlib import resources

import pytest

from bat_os.core.guardian import PersistenceGuardian
from bat_os.core.seeds import parse_seeds
from bat_os.core.source.adapt import adapt

SOURCE = '''def add_all(self, numbers, start=0):
    """Add."""
    import math

    return math.fsum(numbers) + start
'''
SEEDS = parse_seeds((resources.files("bat_os") / "seeds.toml").read_text(encoding="utf-8"))


def test_name_parameters_and_docstring_are_those_that_were_asked_for():
    text = adapt(SOURCE, "add_all", "total", ["values"], "Total the values.")
    assert "def total(self, values, start=0):" in text
    assert "math.fsum(values) + start" in text
    assert ast.get_docstring(ast.parse(text).body[0]) == "Total the values."


@pytest.mark.parametrize("params", [[], ["a", "b", "c"], ["math"], ["start"]])
def test_it_does_not_fit_other_counts_or_names_that_are_taken(params):
    assert adapt(SOURCE, "add_all", "total", params, "x") == ""


def test_a_call_of_itself_follows_the_new_name():
    source = "def f(self, n):\n    return 1 if n < 2 else n * self.f(n - 1)\n"
    assert "self.g(m - 1)" in adapt(source, "f", "g", ["m"], "x")


@pytest.mark.parametrize("source", ["", "x = 1", "def (", "def f(self, *a):\n    return a\n"])
def test_what_is_no_such_method_does_not_fit(source):
    assert adapt(source, "f", "g", ["a"], "x") == ""


def test_every_seed_can_be_adapted_and_passes_the_guardian():
    for seed in SEEDS:
        params = [f"p{n}" for n in range(len(seed.params))]
        text = adapt(seed.source, seed.selector, "renamed", params, seed.wish)
        assert text, seed.selector
        assert PersistenceGuardian().audit(text, "renamed").lines() == (), text
