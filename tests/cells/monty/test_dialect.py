"""What is said to be lacking in Monty lacks, and what is not is there."""

import pydantic_monty as pm
import pytest

from bat_os.cells.monty.dialect import (
    LACKING_BUILTINS,
    LACKING_HOOKS,
    LACKING_METHODS,
    LACKING_MODULES,
    LACKING_NAMES,
    LACKING_OPTIONS,
    MODULES,
    Program,
    translate,
)
from bat_os.method.allowed import SAFE_MODULES

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def look():
    """Return a function: does Monty answer this text?"""
    with pm.Monty(max_processes=1) as pool:

        def answers(text):
            try:
                with pool.checkout() as session:
                    session.feed_run(f"{text}\n0")
            except pm.MontyError:
                return False
            return True

        yield answers


def test_the_tables_are_true(look):
    imports = {module: look(f"import {module}") for module in SAFE_MODULES}
    assert {module for module, there in imports.items() if there} == MODULES
    assert {module for module, there in imports.items() if not there} == LACKING_MODULES
    names = [f"from {m} import {name}" for m, names in LACKING_NAMES.items() for name in names]
    assert [text for text in names if look(text)] == []
    assert [name for name in LACKING_BUILTINS if look(name)] == []


SAMPLES = {"int": "5", "float": "1.5", "set": "{1}", "str": "'a'"}


def test_the_table_of_methods_is_true(look):
    named = [f"({SAMPLES[kind]}).{name}" for kind, row in LACKING_METHODS.items() for name in row]

    assert all(look(text.partition(")")[0] + ")") for text in named)
    assert [text for text in named if look(text)] == []


def test_the_table_of_options_is_true(look):
    top = "from dataclasses import dataclass, field\n"
    uses = {
        "dataclass": "@dataclass({}=True)\nclass A:\n    a: int = 1",
        "field": "@dataclass\nclass A:\n    a: int = field(default=1, {}=None)",
    }

    assert look(top + "@dataclass(frozen=True)\nclass A:\n    a: int = field(default=1)")
    for name, options in LACKING_OPTIONS.items():
        assert [one for one in options if look(top + uses[name].format(one))] == []


USES = {
    "__len__": "len(a)",
    "__lt__": "a < 1",
    "__le__": "a <= 1",
    "__gt__": "a > 1",
    "__ge__": "a >= 1",
    "__reversed__": "reversed(a)",
    "__getattr__": "a.b",
    "__getattribute__": "a.b",
}


def test_the_table_of_hooks_is_true(look):
    for name in LACKING_HOOKS & USES.keys():
        hooked = f"class A:\n    def {name}(self, *rest):\n        return 1\na = A()\n"
        assert look(hooked)
        assert not look(hooked + USES[name])
    assert LACKING_HOOKS - USES.keys() == {"__setattr__", "__delattr__", "__del__"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("next(x for x in y)", "next(iter(x for x in y))"),
        ("next((x for x in y), 0)", "next(iter(x for x in y), 0)"),
        ("next(next(b for b in a) for a in y)", "next(iter(next(iter(b for b in a)) for a in y))"),
        (
            "sorted(y, key=str.lower)",
            "sorted(y, key=(lambda _bat_x, *_bat_a, **_bat_k: _bat_x.lower(*_bat_a, **_bat_k)))",
        ),
        ("import re; re.sub('a', lambda m: 'b', y)", "import re; _bat_sub('a', lambda m: 'b', y)"),
        ("import re; re.sub('a', 'b', y)", "import re; re.sub('a', 'b', y)"),
        ("self.translate(1)", "self.translate(1)"),
        ("del d[k]", "d.pop((k))"),
        ("del d[1, 2]", "d.pop((1, 2))"),
        ("del self.row[-1]", "self.row.pop((-1))"),
        ("del self.x", "_bat_delete(self, 'x')"),
        ("self._slots['a'] = 1", "_bat_view(self)['a'] = 1"),
        ("é = 'é'; del é[self._slots['é']]", "é = 'é'; é.pop((_bat_view(self)['é']))"),
    ],
)
def test_calls_are_written_for_what_the_prelude_does(source, text):
    program = translate(f"def m(self):\n    {source}\n", "m")

    assert isinstance(program, Program)
    assert program.text == f"def m(self):\n    {text}\n"


@pytest.mark.parametrize(
    "source", ["del a", "del a[1:2]", "del (a)[1]", "del a[1], b", "del a[\n1]", "del (a.b[1])"]
)
def test_other_deletions_are_gaps(source):
    (gap,) = translate(f"def m(self):\n    {source}\n", "m")

    assert gap.feature == "del of a variable or a slice"


@pytest.mark.parametrize(
    ("source", "feature"),
    [
        ("str.__len__('a')", "methods taken from a type, str.__len__"),
        ("p.sub(lambda m: 'b', y)", "sub() of a compiled pattern with a function"),
        ("n.bit_length()", "int.bit_length"),
        ("class A:\n        def __len__(self):\n            return 1", "__len__ in a class"),
        (
            "from dataclasses import dataclass\n    @dataclass(order=True)\n    class A: pass",
            "dataclass(order=)",
        ),
    ],
)
def test_what_cannot_be_written_otherwise_is_a_gap(source, feature):
    gaps = translate(f"def m(self):\n    {source}\n", "m")

    assert [gap.feature for gap in gaps] == [feature]


def test_all_gaps_are_named_with_their_lines():
    source = "import heapq\ndef m(self):\n    yield heapq\n    return super()\n"

    gaps = translate(source, "m")

    assert [(gap.line, gap.feature) for gap in gaps] == [
        (1, "import of heapq"),
        (3, "yield"),
        (4, "the built-in super"),
    ]


def test_names_that_the_source_defines_itself_are_no_gaps():
    source = "def m(self, input):\n    def help(x):\n        return x\n    return help(input)\n"

    assert isinstance(translate(source, "m"), Program)
