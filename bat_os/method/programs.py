"""One program by example: how a value came out of the arguments, and how that is written."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bat_os.core import syntax

if TYPE_CHECKING:
    from bat_os.method.operations import Operation


@dataclass(frozen=True, slots=True)
class Node:
    """A value that came out of the arguments.

    It is an argument (``tree``), or was made by an operation, put together from parts, or made of
    every word, letter or item of another one.
    """

    values: tuple[Any, ...]  # for each example, then for each given value
    cost: float
    tags: frozenset[str] = frozenset()  # of all operations in it
    tree: ast.expr | None = None
    made: tuple[Operation, tuple[Node, ...], tuple[tuple[str, Any], ...]] | None = None
    parts: tuple[Node | str, ...] = ()  # of a text, or the arguments of a list of them
    each: tuple[str, Node, Node] | None = None  # "word", "letter" or "item"; of what; what is done

    @property
    def kind(self) -> str:
        """The kind of the values."""
        return kind_of_value(self.values[0])

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The parts that are no constants."""
        return tuple(part for part in self.parts if isinstance(part, Node))


def kind_of_value(value: Any) -> str:
    """Return ``flag``, ``number``, ``text`` or ``list``; "" for any other value."""
    if isinstance(value, bool):
        return "flag"
    kinds: tuple[tuple[Any, str], ...] = (((int, float), "number"), (str, "text"), (list, "list"))
    return next((kind for types, kind in kinds if isinstance(value, types)), "")


def equal(value: Any, wanted: Any) -> bool:
    """Return whether two values are the same to the letter; numbers, but for rounding errors."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, int | float) and isinstance(wanted, int | float):
        return math.isclose(value, wanted, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(value, list | tuple) and isinstance(wanted, list | tuple):
        return len(value) == len(wanted) and all(map(equal, value, wanted))
    return type(value) is type(wanted) and bool(value == wanted)


def write(node: Node) -> ast.expr:
    """Return a program as an expression."""
    if node.tree is not None:
        return node.tree
    if node.made is not None:
        operation, inputs, constants = node.made
        names = dict(zip("XY", map(write, inputs), strict=False))
        return operation.write(names | {name: ast.Constant(value) for name, value in constants})
    if node.each is not None:
        return _write_each(*node.each)
    whole, *rest = map(_write_part, node.parts)
    for tree in rest:
        whole = ast.BinOp(whole, ast.Add(), tree)
    return whole


def _write_each(way: str, leaf: Node, part: Node) -> ast.expr:
    whole, inner = ast.unparse(write(leaf)), ast.unparse(_write_part(part))
    if way == "item":
        inner = ast.unparse(write(part))
    cut = ".split(' ')" if way == "word" else ""
    items = f"[{inner} for part in {whole}{cut}]"
    joined = {"word": f"' '.join({items})", "letter": f"''.join({items})"}.get(way, items)
    return syntax.parse(joined, "eval").body


def _write_part(part: Node | str) -> ast.expr:
    """Return a part of a text as an expression that is a text."""
    if isinstance(part, str):
        return ast.Constant(part)
    tree = write(part)
    if part.kind == "text":
        return tree
    return ast.Call(ast.Name("str", ast.Load()), [tree], [])


def arguments_of(node: Node) -> set[int]:
    """Return the ids of the arguments that a program uses."""
    if node.made is not None:
        return set().union(*map(arguments_of, node.made[1]))
    if node.each is not None:
        return arguments_of(node.each[1])
    return set().union(*map(arguments_of, node.nodes)) if node.parts else {id(node)}


def describe(node: Node) -> list[str]:
    """Return in a few words what a program does."""
    if node.made is not None:
        operation, inputs, constants = node.made
        said = [word for each in inputs for word in describe(each)]
        told = [str(value) for _, value in constants if isinstance(value, int | float)]
        return [*said, *operation.tags[:2], *told]
    if node.each is not None:
        return [*describe(node.each[2]), "each", node.each[0]]
    said = [word for each in node.nodes for word in describe(each)]
    return [*said, "join"] if node.parts else said
