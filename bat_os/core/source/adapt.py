"""A known method under another name: same body, the signature that a brief asks for."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from bat_os.core.source.sourcetext import find_method, parse

if TYPE_CHECKING:
    from collections.abc import Sequence


def adapt(source: str, selector: str, to: str, params: Sequence[str], wish: str) -> str:
    """Return ``source`` as a method ``to(self, *params)``, or "" where it does not fit.

    Parameters are renamed by place; one of the same name keeps it. It does not fit when the
    number of parameters differs, or when a new name is in use already.

    Args:
        source: Module text that defines ``selector`` and nothing else but imports.
        selector: Its name there.
        to: Its new name.
        params: New names, without ``self``.
        wish: Becomes the docstring.
    """
    tree = parse(source)
    method = find_method(tree, selector) if isinstance(tree, ast.Module) else None
    if method is None or method.args.vararg or method.args.kwarg or method.args.kwonlyargs:
        return ""
    own = [arg.arg for arg in (*method.args.posonlyargs, *method.args.args)][1:]
    needed = len(own) - len(method.args.defaults)
    if not needed <= len(params) <= len(own):
        return ""
    renames = {old: new for old, new in zip(own, params, strict=False) if old != new}
    used = {node.id for node in ast.walk(method) if isinstance(node, ast.Name)} | set(own)
    if any(new in used - set(renames) for new in renames.values()):
        return ""
    _Renamer(renames, selector, to).visit(method)
    method.name = to
    if ast.get_docstring(method) is not None:
        method.body[0] = ast.Expr(ast.Constant(wish))
    assert isinstance(tree, ast.Module)  # noqa: S101 - for the type checker
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


class _Renamer(ast.NodeTransformer):
    def __init__(self, renames: dict[str, str], selector: str, to: str) -> None:
        self._renames = renames
        self._selector = selector
        self._to = to

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._renames.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._renames.get(node.arg, node.arg)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if node.attr == self._selector and isinstance(node.value, ast.Name):
            node.attr = self._to
        return node
