"""A known method in another form: same body, the signature that a brief asks for.

Its parameters may be renamed, put in another order, or bound to a value: ``is_divisible(number,
divisor)`` serves "is a number divisible by 7" with the divisor bound to 7; ``repeat(times, text)``
serves a caller who gives the text first. Which way is right only an example can tell.
"""

from __future__ import annotations

import ast
import builtins
import copy
from dataclasses import dataclass
from itertools import islice, permutations
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.text import find_method, is_name, parse_method, unparse

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

WAYS: Final = 12  # of one known method; each costs a run per example


@dataclass(frozen=True, slots=True)
class Form:
    """What a method is to look like."""

    selector: str  # its name
    params: Sequence[str]  # names of its parameters, without ``self``
    wish: str  # its docstring
    slots: Collection[str] = ()  # what its object has that a method may use


def adapt(source: str, selector: str, form: Form) -> str:
    """Return ``source``, a method ``selector``, in another form; "" if it does not fit.

    Parameters are renamed by place; one of the same name keeps it, and a variable gives way to a
    parameter. It does not fit if the number of parameters differs, or if a new name is in use
    otherwise. The one slot that it keeps something in becomes the one slot that the object has.
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return ""
    tree, method = parsed
    args, params = method.args, form.params
    own = [arg.arg for arg in (*args.posonlyargs, *args.args)][1:]
    open_ended = args.vararg or args.kwarg or args.kwonlyargs
    if open_ended or not len(own) - len(args.defaults) <= len(params) <= len(own):
        return ""
    renames = {old: new for old, new in zip(own, params, strict=False) if old != new}
    used = {node.id for node in ast.walk(method) if isinstance(node, ast.Name)} | set(own)
    taken = used.intersection(renames.values()) - set(renames)
    if not taken <= _variables(method) - set(own):
        return ""
    renames |= {name: _spare(name, {*used, *params}) for name in taken}
    attributes = _fit_slots(method, selector, form)
    if attributes is None:
        return ""
    _Renamer(renames, attributes).visit(method)
    method.name = form.selector
    if ast.get_docstring(method) is not None:
        method.body[0] = ast.Expr(ast.Constant(form.wish))
    return unparse(tree)


def _variables(method: ast.FunctionDef) -> set[str]:
    """Return the names that can be changed wherever they stand in the method: its own variables."""
    bound, fixed = set[str](), set(dir(builtins))
    for node in ast.walk(method):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                bound.add(name)
            case ast.keyword(arg=str(name)) | ast.ExceptHandler(name=str(name)):
                fixed.add(name)
            case ast.alias(name=name, asname=other):
                fixed.add(other or name)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                fixed.update(names)
            case ast.FunctionDef(name=name):
                fixed.add(name)
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                fixed.add(name)
    return bound - fixed


def _spare(name: str, used: Collection[str]) -> str:
    while name in used:
        name += "_"
    return name


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
    names = set()
    for node in ast.walk(method):
        if isinstance(node, ast.Attribute) and is_name(node.value, "self"):
            names.add(node.attr)
        elif isinstance(node, ast.Call) and (name := _named_slot(node)):
            names.add(name)
    return names


def _named_slot(call: ast.Call) -> str:
    """Return the slot that a ``getattr(self, "name")`` and its like are about, or ""."""
    function, args = call.func, call.args
    if not isinstance(function, ast.Name) or function.id not in ("getattr", "setattr", "hasattr"):
        return ""
    if len(args) < 2 or not is_name(args[0], "self") or not isinstance(args[1], ast.Constant):
        return ""
    return str(args[1].value)


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
        if is_name(node.value, "self"):
            node.attr = self._attributes.get(node.attr, node.attr)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if name := _named_slot(node):
            node.args[1] = ast.Constant(self._attributes.get(name, name))
        self.generic_visit(node)
        return node


def rebind_arguments(source: str, selector: str, form: Form, values: Sequence[Any]) -> list[str]:
    """Return ``source``, a method ``selector``, in up to WAYS forms; the plainest first.

    ``values`` are what parameters may be bound to that the caller does not give.
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return []
    tree, method = parsed
    if method.args.posonlyargs or method.args.kwonlyargs:
        return []
    texts = [adapt(source, selector, form)]
    for order, bound in islice(_ways(method, len(form.params), values), WAYS - 1):
        changed = copy.deepcopy(tree)
        bound_method = find_method(changed, selector)
        if bound_method is not None:
            _rearrange(bound_method, order, bound)
            text = ast.unparse(ast.fix_missing_locations(changed))
            texts.append(adapt(text, selector, form))
    return list(dict.fromkeys(text for text in texts if text))


def _ways(
    method: ast.FunctionDef, count: int, values: Sequence[Any]
) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Yield which parameters the caller gives, in order, and what the others are bound to."""
    own = [arg.arg for arg in method.args.args][1:]
    if not count <= len(own) <= count + 2:
        return
    open_ended = set(own[len(own) - len(method.args.defaults) :])
    for order in permutations(own, count):
        rest = [name for name in own if name not in order]
        if not open_ended.intersection(order) and set(rest) <= open_ended and rest:
            yield order, {}
        if order != tuple(own):
            for chosen in permutations(values, len(rest)):
                yield order, dict(zip(rest, chosen, strict=True))


def _rearrange(method: ast.FunctionDef, order: Sequence[str], bound: Mapping[str, Any]) -> None:
    """Give the method the parameters ``order`` first, and bind others in its body."""
    args = method.args
    given = {arg.arg: arg for arg in args.args}
    own = [arg.arg for arg in args.args][1:]
    defaults = dict(zip(own[len(own) - len(args.defaults) :], args.defaults, strict=True))
    left = [name for name in own if name not in order and name not in bound]
    args.args = [args.args[0], *(given[name] for name in (*order, *left))]
    args.defaults = [defaults[name] for name in left]
    start = 0 if ast.get_docstring(method) is None else 1
    method.body[start:start] = [
        ast.Assign([ast.Name(name, ast.Store())], ast.Constant(value))
        for name, value in bound.items()
    ]
