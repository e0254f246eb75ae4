"""The rules of the style guide that no linter holds."""

import ast
import re
from pathlib import Path

import pytest

from bat_os import errors

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bat_os"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = ("batos.py", "chat_client.py", "min_watchdog_service.py")
MAX_MODULE, MAX_FUNCTION, MAX_SCRIPT = 500, 60, 8


def count_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_module(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_a_module_is_short_enough_to_be_read_at_once(path):
    assert count_lines(path) <= MAX_MODULE


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_a_function_fits_on_a_page(path):
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION
    ]
    assert long == []


@pytest.mark.parametrize("path", MODULES, ids=name_module)
def test_exceptions_are_defined_in_one_place(path):
    if path.name == "errors.py":
        return
    strays = [
        node.name
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
        and any(re.search(r"(Error|Exception)\b", ast.unparse(base)) for base in node.bases)
    ]
    assert strays == []


def test_the_error_tree_in_the_docstring_is_the_tree_of_the_classes():
    parents, drawn = [], []
    for indent, name in re.findall(r"^( +)(\w+Error)\b", errors.__doc__ or "", re.MULTILINE):
        depth = len(indent) // 4
        drawn.append((name, parents[depth - 2] if depth > 1 else "Exception"))
        parents[depth - 1 :] = [name]

    real = [
        (name, kind.__base__.__name__)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ]

    assert drawn == real


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_at_the_top_only_hands_over(name):
    assert count_lines(ROOT / name) <= MAX_SCRIPT


def test_the_windows_launcher_is_plain_ascii_with_windows_line_ends():
    text = (ROOT / "puter.bat").read_bytes()
    assert text.isascii()
    assert text.count(b"\r\n") == text.count(b"\n")
