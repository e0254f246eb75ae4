"""What changes ``self``: the statements and expressions of a method that alter its receiver.

Slots set or deleted, containers in slots altered in place, at any depth and through local
names that stand for a part of the receiver. Does not know in which order things run; see
``covenant`` for that. In doubt it is a change.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from bat_os.method.text import words

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MUTATORS: Final = words(
    "add append appendleft clear difference_update discard extend extendleft insert "
    "intersection_update move_to_end pop popitem popleft remove reverse rotate setdefault sort "
    "subtract symmetric_difference_update update"
)
_MUTATING_CALLS: Final = words(
    "heapify heappop heappush heappushpop heapreplace insort insort_left insort_right "
    "setattr delattr shuffle"
)
_VIEWS: Final = frozenset(("get", "items", "setdefault", "values"))
_ITERATORS: Final = frozenset(("enumerate", "filter", "list", "reversed", "sorted", "tuple", "zip"))
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Changes:
    """Which statements and expressions of a method change its receiver, or signal that."""

    def __init__(self, method: ast.FunctionDef) -> None:
        self._names: set[str] = set()
        self._seen: dict[ast.AST, bool] = {}
        for _ in range(4):  # a name may be bound from a name that is bound further down
            for node in _walk(method.body):
                self._names.update(self._bound_names(node))

    def changes(self, *nodes: ast.AST | None) -> bool:
        """Return whether evaluating any of ``nodes`` may change the receiver."""
        return any(self._changes(node) for node in nodes if node is not None)

    def _changes(self, top: ast.AST) -> bool:
        if top not in self._seen:
            self._seen[top] = any(self._is_change(node) for node in _walk([top]))
        return self._seen[top]

    def _is_change(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            return self._is_mutating_call(node)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            fresh = (ast.List, ast.ListComp, ast.Set, ast.SetComp, ast.Dict, ast.DictComp)
            return node.target.id in self._names and isinstance(node.value, fresh)
        if not isinstance(node, (ast.Attribute, ast.Subscript)) or isinstance(node.ctx, ast.Load):
            return False
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            return not (isinstance(node, ast.Attribute) and node.attr == "_p_changed")
        return self._is_part(node.value)

    def _is_mutating_call(self, node: ast.Call) -> bool:
        func = node.func
        name = name_of(func)
        if isinstance(func, ast.Attribute) and name in _MUTATORS and self._is_part(func.value):
            return True
        if name not in _MUTATING_CALLS or not node.args or is_signal(ast.Expr(node)):
            return False
        first = node.args[0]
        return self._is_part(first) or (isinstance(first, ast.Name) and first.id == "self")

    def _is_part(self, node: ast.AST) -> bool:
        """Return whether ``node`` is a value inside the receiver, not a copy of one."""
        if isinstance(node, ast.Name):
            return node.id in self._names
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice):
            return False
        if isinstance(node, (ast.Attribute, ast.Subscript)):
            root = node.value
            return (isinstance(root, ast.Name) and root.id == "self") or self._is_part(root)
        if isinstance(node, (ast.BoolOp, ast.IfExp)):
            either = node.values if isinstance(node, ast.BoolOp) else [node.body, node.orelse]
            return any(self._is_part(value) for value in either)
        return isinstance(node, ast.Call) and self._is_view(node)

    def _is_view(self, node: ast.Call) -> bool:
        if isinstance(node.func, ast.Attribute):
            return node.func.attr in _VIEWS and self._is_part(node.func.value)
        first = node.args[0] if node.args else None
        of_self = isinstance(first, ast.Name) and first.id == "self"
        return of_self and name_of(node.func) in ("getattr", "vars")

    def _bound_names(self, node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.Assign) and self._is_part(node.value):
            for target in node.targets:
                yield from _names_in(target)
        elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
            if node.value is not None and self._is_part(node.value):
                yield from _names_in(node.target)
        elif isinstance(node, (ast.For, ast.comprehension)) and self._yields_parts(node.iter):
            yield from _names_in(node.target)

    def _yields_parts(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Call) and name_of(node.func) in _ITERATORS:
            return any(self._yields_parts(arg) for arg in node.args)
        return self._is_part(node)


def is_signal(node: ast.AST) -> bool:
    """Return whether a statement is ``self._p_changed = True`` or says the same."""
    if isinstance(node, ast.Assign):
        value: ast.AST = node.value
        marked = any(
            isinstance(target, ast.Attribute)
            and target.attr == "_p_changed"
            and isinstance(target.value, ast.Name)
            and target.value.id == "self"
            for target in node.targets
        )
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        args = node.value.args
        if name_of(node.value.func) != "setattr" or len(args) != 3:
            return False
        marked = isinstance(args[1], ast.Constant) and args[1].value == "_p_changed"
        value = args[2]
    else:
        return False
    return marked and isinstance(value, ast.Constant) and bool(value.value)


def name_of(func: ast.AST) -> str:
    """Return the last part of a called name: ``shuffle`` for ``random.shuffle``; or ""."""
    if isinstance(func, ast.Attribute):
        return func.attr
    return func.id if isinstance(func, ast.Name) else ""


def _names_in(target: ast.AST) -> Iterator[str]:
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for item in target.elts:
            yield from _names_in(item.value if isinstance(item, ast.Starred) else item)


def _walk(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Yield all nodes but those of functions that have a ``self`` of their own."""
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, _FUNCTIONS):
            args = node.args
            if any(arg.arg == "self" for arg in (*args.posonlyargs, *args.args, *args.kwonlyargs)):
                continue
        yield node
        stack.extend(ast.iter_child_nodes(node))
