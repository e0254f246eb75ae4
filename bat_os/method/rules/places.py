"""Where a name stands in the text of a method, and how to put another one there.

What every rule of ``fixups`` needs: the method that is wanted, and replacement of names that
is also right inside f-strings, whose parts Python 3.11 places wrongly.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bat_os.method.text import find_method, parse, split_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Wanted:
    """The method that a source should define.

    Attributes:
        selector: Its name.
        slots: Names of the receiver's slots; None where they are not known.
        selectors: Messages that the receiver understands; None where they are not known.
    """

    selector: str
    slots: frozenset[str] | None = None
    selectors: frozenset[str] | None = None


def read(source: str, wanted: Wanted) -> tuple[ast.Module, ast.FunctionDef] | None:
    """Return the tree of ``source`` and the wanted method in it, or None."""
    tree = parse(source)
    method = find_method(tree, wanted.selector) if isinstance(tree, ast.Module) else None
    return (tree, method) if isinstance(tree, ast.Module) and method is not None else None


def get_parameters(method: ast.FunctionDef) -> list[str]:
    """Return the names of the parameters, ``self`` and those that take several left out."""
    args = (*method.args.posonlyargs, *method.args.args, *method.args.kwonlyargs)
    return [arg.arg for arg in args if arg.arg != "self"]


def get_body(method: ast.FunctionDef) -> list[ast.stmt]:
    """Return the statements of a method without its docstring."""
    first = method.body[0]
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    return method.body[1:] if told else method.body


def replace(source: str, tree: ast.AST, texts: Mapping[ast.expr, str]) -> str:
    """Return ``source`` with other texts for some names, dotted names and calls.

    Nothing changes if one of them cannot be found where it should be.
    """
    inside: dict[ast.AST, ast.JoinedStr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for part in ast.walk(node):
                inside.setdefault(part, node)
    spans: list[tuple[int, int, str]] = []
    starts = _line_starts(source)
    for node, text in texts.items():
        if node not in inside:
            start, end = _span(source, starts, node)
            if isinstance(node, ast.Name | ast.Attribute) and source[start:end] != _text(node):
                return source
            spans.append((start, end, text))
    for whole in dict.fromkeys(inside[node] for node in texts if node in inside):
        found = list(_spans_in(source, starts, whole, texts))
        if not found:
            return source
        spans += found
    for start, end, text in sorted(spans, reverse=True):
        source = source[:start] + text + source[end:]
    return source


def _spans_in(
    source: str, starts: list[int], whole: ast.JoinedStr, texts: Mapping[ast.expr, str]
) -> Iterator[tuple[int, int, str]]:
    """Yield the places inside an f-string; none where one of them is in doubt."""
    start, end = _span(source, starts, whole)
    segment = source[start:end]
    spans = []
    for old in {_text(node) for node in ast.walk(whole) if node in texts}:
        same = [n for n in ast.walk(whole) if isinstance(n, ast.expr) and _text(n) == old]
        new = {texts.get(node) for node in same}
        pattern = rf"(?<![\w.'\"]){re.escape(old)}(?!\w)"
        hits = [hit for hit in re.finditer(pattern, segment) if _is_code(segment, hit.start())]
        text = new.pop()
        if text is None or new or not old or len(hits) != len(same):
            return
        spans += [(start + hit.start(), start + hit.end(), text) for hit in hits]
    yield from spans


def _is_code(segment: str, at: int) -> bool:
    """Return whether a place in an f-string lies between braces."""
    before = segment[:at].replace("{{", "  ").replace("}}", "  ")
    return before.count("{") > before.count("}")


def _text(node: ast.AST) -> str:
    """Return a name or dotted name as it is written; "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        base = _text(node.value)
        return base and f"{base}.{node.attr}"
    return ""


def _line_starts(source: str) -> list[int]:
    starts, at = [], 0
    for line in split_lines(source):
        starts.append(at)
        at += len(line)
    return starts


def _span(source: str, starts: list[int], node: ast.expr) -> tuple[int, int]:
    end_line = node.end_lineno or node.lineno
    start = _offset(source, starts[node.lineno - 1], node.col_offset)
    return start, _offset(source, starts[end_line - 1], node.end_col_offset or 0)


def _offset(source: str, start: int, column: int) -> int:
    """Return the place of a byte column, in characters."""
    line = source[start : start + column].encode("utf-8", "surrogatepass")
    return start + len(line[:column].decode("utf-8", "replace"))


def drop_statements(source: str, nodes: Iterable[ast.stmt]) -> str:
    """Return ``source`` without statements that have their lines for themselves."""
    lines = split_lines(source)
    for node in sorted(nodes, key=lambda n: n.lineno, reverse=True):
        end = node.end_lineno or node.lineno
        first = lines[node.lineno - 1].encode("utf-8", "surrogatepass")
        last = lines[end - 1].encode("utf-8", "surrogatepass")
        rest = last[node.end_col_offset or 0 :].strip()
        if first[: node.col_offset].strip() or (rest and not rest.startswith(b"#")):
            return source
        del lines[node.lineno - 1 : end]
    return "".join(lines)
