"""A known method under another name: same body, the signature that a brief asks for."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bat_os.method.text import find_method, parse

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(frozen=True, slots=True)
class Form:
    """What a method is to look like.

    Attributes:
        selector: Its name.
        params: Names of its parameters, without ``self``.
        wish: Its docstring.
        slots: What its object has that a method may use.
    """

    selector: str
    params: Sequence[str]
    wish: str
    slots: Collection[str] = ()


def adapt(source: str, selector: str, form: Form) -> str:
    """Return ``source``, a method ``selector``, in another form; "" where it does not fit.

    Parameters are renamed by place; one of the same name keeps it. It does not fit when the
    number of parameters differs, or when a new name is in use already. The one slot that it
    keeps something in becomes the one slot that the object has.

    Args:
        source: Module text that defines ``selector`` and nothing else but imports.
        selector: Its name there.
        form: What is wanted.
    """
    tree = parse(source)
    method = find_method(tree, selector) if isinstance(tree, ast.Module) else None
    if method is None or method.args.vararg or method.args.kwarg or method.args.kwonlyargs:
        return ""
    own = [arg.arg for arg in (*method.args.posonlyargs, *method.args.args)][1:]
    needed, params = len(own) - len(method.args.defaults), form.params
    if not needed <= len(params) <= len(own):
        return ""
    renames = {old: new for old, new in zip(own, params, strict=False) if old != new}
    used = {node.id for node in ast.walk(method) if isinstance(node, ast.Name)} | set(own)
    if any(new in used - set(renames) for new in renames.values()):
        return ""
    attributes = _fit_slots(method, selector, form)
    if attributes is None:
        return ""
    _Renamer(renames, attributes).visit(method)
    method.name = form.selector
    if ast.get_docstring(method) is not None:
        method.body[0] = ast.Expr(ast.Constant(form.wish))
    assert isinstance(tree, ast.Module)  # noqa: S101 - for the type checker
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _fit_slots(method: ast.FunctionDef, selector: str, form: Form) -> dict[str, str] | None:
    """Return new names for what the method uses of ``self``; None where it does not fit."""
    names = {selector: form.selector}
    used = _attributes(method) - {selector}
    if used <= set(form.slots) or not form.slots:
        return names
    if len(used) == len(form.slots) == 1:
        return names | dict(zip(used, form.slots, strict=True))
    return None


def _attributes(method: ast.FunctionDef) -> set[str]:
    """Return the names that the method reads from or writes to ``self``."""
    found = set()
    for node in ast.walk(method):
        if isinstance(node, ast.Attribute) and _is_self(node.value):
            found.add(node.attr)
        elif isinstance(node, ast.Call) and (name := _named_slot(node)):
            found.add(name)
    return found


def _named_slot(call: ast.Call) -> str:
    """Return the slot that a ``getattr(self, "name")`` and its like are about, or ""."""
    function, args = call.func, call.args
    if not isinstance(function, ast.Name) or function.id not in ("getattr", "setattr", "hasattr"):
        return ""
    if len(args) < 2 or not _is_self(args[0]) or not isinstance(args[1], ast.Constant):
        return ""
    return str(args[1].value)


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


class _Renamer(ast.NodeTransformer):
    def __init__(self, names: dict[str, str], attributes: dict[str, str]) -> None:
        self._names = names
        self._attributes = attributes

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._names.get(node.arg, node.arg)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if _is_self(node.value):
            node.attr = self._attributes.get(node.attr, node.attr)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if name := _named_slot(node):
            node.args[1] = ast.Constant(self._attributes.get(name, name))
        self.generic_visit(node)
        return node
