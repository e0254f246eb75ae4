"""Small changes to a method that is nearly right, each tried against the caller's examples.

Generate-and-validate repair, as GenProg (Le Goues et al. 2012) does it, cut down to what small
models get wrong in short methods: an answer of another type, a bound that is off by one, the
wrong operator, a text where its words were meant, an argument that was left out.
"""

from __future__ import annotations

import ast
import copy
from typing import TYPE_CHECKING, Final

from bat_os.core import syntax
from bat_os.method.text import find_method, parse_method

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST: Final = 80
# E is the answer, P a parameter; what is likelier comes first.
_WITH_PARAMETER: Final = ("E[P]", "E.get(P)", "E * P", "E[:P]", "P + E", "E + P")
_ANSWERS: Final = (
    *("list(E)", "str(E)", "dict(E)", "len(E)", "sum(E)", "sorted(E)", "E[0]", "E[-1]"),
    *("int(E)", "round(E, 2)", "round(E)", "''.join(E)", "' '.join(E)", "', '.join(E)"),
    *("E[::-1]", "E.strip()", "E.lower()", "E.upper()", "list(dict.fromkeys(E))", "E + 1"),
    *("E - 1", "float(E)", "E / 100", "E * 100", "E.title()", "E.split()", "max(E)", "min(E)"),
    "sorted(set(E))",
)
_PARTS: Final = (
    *("P.split()", "P.lower()", "str(P)", "sorted(P)", "P.strip()", "list(P)", "P + 1", "P - 1"),
)
_SWAPS: Final[dict[type[ast.AST], tuple[type[ast.AST], ...]]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub, ast.Mult),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add, ast.Pow),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div, ast.Mod),
    ast.Mod: (ast.FloorDiv,),
}


def make_variants(source: str, selector: str) -> list[str]:
    r"""Return ``source``, a method ``selector``, with one small change each; at most MOST.

    >>> make_variants("def half(self, n):\n    return n * 2", "half")[0]
    'def half(self, n):\n    return list(n * 2)'
    """
    parsed = parse_method(source, selector)
    if parsed is None:
        return []
    tree, method = parsed
    params = [arg.arg for arg in (*method.args.posonlyargs, *method.args.args)][1:]
    texts: dict[str, None] = {}
    for place, new in _edits(method, params):
        changed = copy.deepcopy(tree)
        again = find_method(changed, selector)
        assert again is not None  # noqa: S101 - it is a copy
        _replace(again, place, new)
        texts[ast.unparse(ast.fix_missing_locations(changed))] = None
        if len(texts) == MOST:
            break
    return list(texts)


def _edits(method: ast.FunctionDef, params: list[str]) -> Iterator[tuple[int, ast.AST]]:
    """Yield (place of a node in ``ast.walk``, what to put there)."""
    nodes = list(ast.walk(method))
    loads = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    answers = [n.value for n in nodes if isinstance(n, ast.Return) and n.value is not None]
    for answer in answers[-1:]:
        place = nodes.index(answer)
        for name in (p for p in params if p not in loads):
            yield from ((place, _fill(form, answer, name)) for form in _WITH_PARAMETER)
        yield from ((place, _fill(form, answer, "")) for form in _ANSWERS)
        yield from ((place, _fill(_WITH_PARAMETER[0], answer, p)) for p in params if p in loads)
    for place, node in enumerate(nodes):
        yield from ((place, new) for new in _instead(node, params))


def _instead(node: ast.AST, params: list[str]) -> Iterator[ast.AST]:
    """Yield what could replace a node of a method."""
    for other in _SWAPS.get(type(node), ()):
        yield other()
    if isinstance(node, ast.Name) and node.id in params and isinstance(node.ctx, ast.Load):
        yield from (_fill(form, node, node.id) for form in _PARTS)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield from (ast.Constant(node.value + step) for step in (1, -1))


def _fill(form: str, answer: ast.AST, name: str) -> ast.AST:
    """Return an expression with the answer for E and the parameter for P."""

    class Filler(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.AST:
            if node.id == "E":
                return copy.deepcopy(answer)
            return ast.Name(name, ast.Load()) if node.id == "P" else node

    filled: ast.AST = Filler().visit(syntax.parse(form, "eval")).body
    return filled


def _replace(method: ast.FunctionDef, place: int, new: ast.AST) -> None:
    old = list(ast.walk(method))[place]
    for parent in ast.walk(method):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
                return
            if isinstance(value, list) and any(item is old for item in value):
                value[next(i for i, item in enumerate(value) if item is old)] = new
                return
