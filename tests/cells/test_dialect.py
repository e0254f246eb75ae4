"""What is said to be lacking in Monty lacks, and what is not is there."""

import pydantic_monty as pm
import pytest

from bat_os.cells.dialect import (
    LACKING_BUILTINS,
    LACKING_MODULES,
    LACKING_NAMES,
    MODULES,
    Program,
    translate,
)
from bat_os.core.source.allowed import SAFE_MODULES

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


@pytest.mark.parametrize(
    ("source", "text"),
    [
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
