"""Python source as a tree, one source at a time.

CPython 3.11 counts how deep a tree is in a place that all threads share. If another thread runs
while one makes its tree (a finalizer let go of the interpreter), both end in ``SystemError: AST
constructor recursion depth mismatch`` (https://github.com/python/cpython/issues/106905). A thread
that formats a traceback makes a tree, too, without asking here: hence the second try.
"""

from __future__ import annotations

import ast
import contextlib
import threading
from typing import Any, Final, Literal, overload

TRIES: Final = 3  # beside the last one
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
        for _ in range(TRIES):
            with contextlib.suppress(SystemError):
                return ast.parse(source, mode=mode)
        return ast.parse(source, mode=mode)


def parse_literal(source: str) -> Any:
    """Return the value of a literal; raises what ``parse`` does, and ValueError for no literal."""
    return ast.literal_eval(parse(source.lstrip(" \t"), "eval"))
