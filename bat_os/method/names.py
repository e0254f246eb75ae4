"""Which names a piece of source binds, and how it uses the others.

One flat view of a whole tree, nested functions included: enough to tell a name that nothing
binds, without a compiler's scopes.
"""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from typing import TYPE_CHECKING, Final

from bat_os.method.text import find_method, parse

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILTINS: Final = frozenset(dir(builtins))
_SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def is_name(node: ast.AST, name: str) -> bool:
    """Return whether ``node`` is the plain name ``name``."""
    return isinstance(node, ast.Name) and node.id == name


def get_bound(tree: ast.AST) -> set[str]:
    """Return the names bound anywhere below ``tree``, its own name left out; and the builtins."""
    return {
        name for node in ast.walk(tree) if node is not tree for name in _bound_by(node)
    } | BUILTINS


def _bound_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name):
        if not isinstance(node.ctx, ast.Load):
            yield node.id
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for item in node.names:
            yield (item.asname or item.name).partition(".")[0]
    elif isinstance(node, ast.arg):
        yield node.arg
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from node.names
    elif isinstance(node, ast.MatchMapping):
        yield node.rest or ""
    else:  # functions, classes, except ... as name, case ... as name
        yield getattr(node, "name", None) or ""


def get_uses(tree: ast.AST) -> dict[str, list[str]]:
    """Return each name that is read, with the attribute taken of it each time, "" for none."""
    attribute = {
        node.value: node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)
    }
    uses: dict[str, list[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            uses.setdefault(node.id, []).append(attribute.get(node, ""))
    return uses


def count_stores(tree: ast.AST, name: str) -> int:
    """Return how many times ``name`` is assigned or is a parameter below ``tree``."""
    found = Counter(
        node.id if isinstance(node, ast.Name) else node.arg
        for node in ast.walk(tree)
        if isinstance(node, ast.arg)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    )
    return found[name]


def walk_own(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, those of functions inside it left out."""
    stack: list[ast.AST] = list(function.body)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, _SCOPES):
            stack.extend(ast.iter_child_nodes(node))


def stands_for(source: str, selector: str) -> str:
    r"""Return the message that a method only passes on to its own object, or "".

    >>> stands_for("def twice(self, a):\n    return self.double(a)", "twice")
    'double'
    >>> stands_for("def twice(self, a):\n    return self.double(a + 1)", "twice")
    ''
    """
    tree = parse(source)
    method = find_method(tree, selector) if isinstance(tree, ast.Module) else None
    body = [] if method is None else method.body[ast.get_docstring(method) is not None :]
    if method is None or len(body) != 1 or not isinstance(body[0], ast.Return):
        return ""
    call = body[0].value
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
        return ""
    own, *names = [one.arg for one in method.args.args] or [""]
    passed = [*call.args, *(one.value for one in call.keywords)]
    same = [getattr(one, "id", "") for one in passed] == names
    return call.func.attr if same and is_name(call.func.value, own) else ""


def is_pure(source: str, selector: str) -> bool:
    """Say whether the method never uses its receiver, so that any object could have it."""
    tree = parse(source)
    method = find_method(tree, selector) if isinstance(tree, ast.Module) else None
    if method is None or not method.args.args:
        return False
    own = method.args.args[0].arg
    return not any(isinstance(node, ast.Name) and node.id == own for node in ast.walk(method))
