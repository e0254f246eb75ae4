"""Python source is read into a tree by one thread at a time, wherever the program does so."""

import ast
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import bat_os
from bat_os.core import syntax
from bat_os.natives.calculator import evaluate


def test_two_threads_never_build_a_tree_at_once(monkeypatch):
    inside, most, real = 0, 0, ast.parse
    lock = threading.Lock()

    def slow(*args, **kwargs):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.01)
        with lock:
            inside -= 1
        return real(*args, **kwargs)

    monkeypatch.setattr(ast, "parse", slow)
    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(syntax.parse, ["a = 1"] * 8))
        values = list(pool.map(syntax.parse_literal, ["[1, 'a']"] * 8))
    assert most == 1
    assert [ast.unparse(tree) for tree in trees] == ["a = 1"] * 8
    assert values == [[1, "a"]] * 8


@pytest.fixture
def broken(monkeypatch):
    """The errors that building a tree ends in, one after the other, before it works."""
    real, broken = ast.parse, [SystemError("AST constructor recursion depth mismatch")] * 2

    def spoilt(*args, **kwargs):
        if broken:
            raise broken.pop()
        return real(*args, **kwargs)

    monkeypatch.setattr(ast, "parse", spoilt)
    return broken


def test_a_tree_that_another_thread_spoilt_is_built_again(broken):
    assert ast.unparse(syntax.parse("a = 1")) == "a = 1"
    broken += [SystemError("it stays")] * 9
    with pytest.raises(SystemError, match="it stays"):
        syntax.parse("a = 1")


def test_nothing_else_in_the_program_builds_one():
    folder = Path(bat_os.__file__).parent
    found = [
        path.name
        for path in folder.rglob("*.py")
        if "ast.parse(" in path.read_text(encoding="utf-8")
    ]
    assert found == ["syntax.py"]


@pytest.mark.parametrize("text", ["1 +", "f()", "a.b", "x = 1", "\0"])
def test_what_is_no_literal_is_refused(text):
    with pytest.raises((SyntaxError, ValueError)):
        syntax.parse_literal(text)


def test_a_literal_may_be_indented():
    assert syntax.parse_literal("  {'a': (1, 2.5)}") == {"a": (1, 2.5)}


def test_the_tree_of_an_expression_is_built_again_too(broken):
    assert evaluate("2 * (3 + 4)") == 14
    assert broken == []
