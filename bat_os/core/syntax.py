"""Python source as a tree, one source at a time.

CPython 3.11 counts how deep a tree is in a place that all threads share. If another thread runs
while one makes its tree (a finalizer let go of the interpreter), both end in ``SystemError: AST
constructor recursion depth mismatch`` (https://github.com/python/cpython/issues/106905).
"""

from __future__ import annotations

import ast
import threading
from typing import Any, Final, Literal, overload

_ONE_AT_A_TIME: Final = threading.Lock()


@overload
def parse(source: str, mode: Literal["exec"] = ...) -> ast.Module: ...
@overload
def parse(source: str, mode: Literal["eval"]) -> ast.Expression: ...
def parse(source: str, mode: str = "exec") -> ast.AST:
    """Return the tree of a source.

    Raises:
        SyntaxError: It is not Python.
        ValueError: It has a null byte.
        RecursionError: It is nested too deep.
        MemoryError: The same, found by the parser.
    """
    with _ONE_AT_A_TIME:
        return ast.parse(source, mode=mode)


def parse_literal(source: str) -> Any:
    """Return the value of a literal; raises what ``parse`` does, and ValueError for no literal."""
    return ast.literal_eval(parse(source.lstrip(" \t"), "eval"))
