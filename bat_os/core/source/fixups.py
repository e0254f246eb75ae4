"""Fix-ups: small certain repairs of what language models get wrong, text to text.

Each rule takes the source and the selector, and returns the source, changed or not; it leaves
alone what is right. ``apply_fixups`` runs them in order and keeps a rule's output only if it
is Python. No rule guesses what the method should compute.
"""

from __future__ import annotations

import ast
from collections import Counter
from typing import TYPE_CHECKING, Final

from bat_os.core.source.allowed import SAFE_MODULES, is_top_level
from bat_os.core.source.imports import import_missing, mend_datetime
from bat_os.core.source.names import count_stores, get_bound, get_uses, is_name, walk_own
from bat_os.core.source.sourcetext import (
    Edit,
    apply_edits,
    find_method,
    get_text,
    insert_before,
    parse,
    parses,
    split_lines,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAX_PIECES: Final = 300
_WINDOW: Final = 4  # a def may hold this many lines that look like top-level ones


def apply_fixups(
    source: str, selector: str, slots: frozenset[str] = frozenset()
) -> tuple[str, tuple[str, ...]]:
    """Return the mended source and the names of the rules that changed it.

    Args:
        source: A candidate, as a model wrote it.
        selector: The method that it should define.
        slots: Names of the receiver's slots, for ``qualify_slots``.
    """

    def qualify(text: str, name: str) -> str:
        return qualify_slots(text, name, slots)

    rules: dict[str, Callable[[str, str], str]] = {
        "expand_tabs": expand_tabs,
        "cut_rest": cut_rest,
        "add_self": add_self,
        "pass_self": pass_self,
        "qualify_slots": qualify,
        "import_missing": import_missing,
        "mend_datetime": mend_datetime,
        "return_printed": return_printed,
    }
    text, applied = source, []
    for name, rule in rules.items():
        mended = rule(text, selector)
        if mended != text and (parses(mended) or not parses(text)):
            text = mended
            applied.append(name)
    return (text, tuple(applied)) if parses(text) else (source, ())


def expand_tabs(source: str, selector: str) -> str:
    """Return the source indented by spaces, where tabs and spaces are mixed wrongly."""
    if parses(source):
        return source
    lines = []
    for line in split_lines(source):
        body = line.lstrip(" \t")
        lines.append(line[: len(line) - len(body)].expandtabs(4) + body)
    return "".join(lines)


def cut_rest(source: str, selector: str) -> str:
    """Return imports, constants, classes and functions only; the first ``selector`` counts."""
    text, tree = source, parse(source)
    if not isinstance(tree, ast.Module):
        text = "".join(_keep_python(split_lines(source)))
        tree = parse(text)
    method = find_method(tree, selector) if isinstance(tree, ast.Module) else None
    if not isinstance(tree, ast.Module) or method is None:
        return source
    lines = split_lines(text)
    for node in reversed(tree.body):
        again = getattr(node, "name", "") == selector and node is not method
        if again or not is_top_level(node):
            first = min(part.lineno for part in (node, *getattr(node, "decorator_list", [])))
            del lines[first - 1 : node.end_lineno]
    return "".join(lines)


def _keep_python(lines: list[str]) -> Iterator[str]:
    """Yield the top-level pieces that are Python by themselves."""
    starts = [i for i, line in enumerate(lines) if not line.startswith((*" \t\r\n)]}",))]
    starts.append(len(lines))
    if len(starts) > _MAX_PIECES:
        return
    at = 0
    while at < len(starts) - 1:
        for end in range(at + 1, min(at + _WINDOW, len(starts) - 1) + 1):
            piece = "".join(lines[starts[at] : starts[end]])
            if parses(piece):
                yield piece
                at = end
                break
        else:
            at += 1


def add_self(source: str, selector: str) -> str:
    """Return the source with ``self`` as the method's first parameter."""
    method = _find(source, selector)
    if method is None:
        return source
    args = method.args
    every = (*args.posonlyargs, *args.args, *args.kwonlyargs)
    if any(arg.arg == "self" for arg in every):
        return source
    line = split_lines(source)[method.lineno - 1].encode("utf-8", "surrogatepass")
    column = line.find(b"(", method.col_offset) + 1
    bare = not every and args.vararg is None and args.kwarg is None
    return apply_edits(source, [Edit(method.lineno, column, "self" if bare else "self, ")])


def pass_self(source: str, selector: str) -> str:
    """Return the source with a method that calls itself as ``selector(self, ...)``.

    A bare ``selector(n - 1)`` lacks the receiver; ``self.selector(n - 1)`` is a message, which
    nothing answers before the method is installed.
    """
    method = _find(source, selector)
    if method is None or selector in get_bound(method):
        return source
    edits = []
    for call in ast.walk(method):
        if not isinstance(call, ast.Call):
            continue
        func, first = call.func, call.args[0] if call.args else None
        lead = "self, " if call.args or call.keywords else "self"
        end = Edit(func.end_lineno or 0, func.end_col_offset or 0, f"({lead}", 1)
        if get_text(source, end) != "(":
            continue
        if is_name(func, selector) and not (first is not None and is_name(first, "self")):
            edits.append(end)
        elif isinstance(func, ast.Attribute) and func.attr == selector:
            prefix = Edit(func.lineno, func.col_offset, "", len("self."))
            if is_name(func.value, "self") and get_text(source, prefix) == "self.":
                edits += [prefix, end]
    return apply_edits(source, edits)


def qualify_slots(source: str, selector: str, slots: frozenset[str] = frozenset()) -> str:
    """Return the source with ``self.`` before each slot that is used as a bare name."""
    tree, method = parse(source), _find(source, selector)
    if not isinstance(tree, ast.Module) or method is None:
        return source
    counted = Counter(
        node.target.id
        for node in ast.walk(method)
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)
    )
    bound = get_bound(tree) - {
        name for name, times in counted.items() if count_stores(tree, name) == times
    }
    modules = {
        name for name, used in get_uses(method).items() if name in SAFE_MODULES and all(used)
    }
    wanted = slots - bound - modules
    names = [n for n in ast.walk(method) if isinstance(n, ast.Name) and n.id in wanted]
    return insert_before(source, names, "self.")


def return_printed(source: str, selector: str) -> str:
    """Return the source with ``return x`` for a final ``print(x)``, if nothing is returned."""
    method = _find(source, selector)
    if method is None or any(
        isinstance(node, (ast.Yield, ast.YieldFrom))
        or (isinstance(node, ast.Return) and node.value is not None)
        for node in walk_own(method)
    ):
        return source
    edits = [edit for call in _last_prints(method.body) for edit in _return_edits(source, call)]
    return apply_edits(source, edits)


def _last_prints(body: list[ast.stmt]) -> Iterator[ast.Call]:
    last = body[-1] if body else None
    if isinstance(last, ast.If):
        yield from _last_prints(last.body)
        yield from _last_prints(last.orelse)
    elif isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        call = last.value
        if is_name(call.func, "print") and call.args and not call.keywords:
            yield call


def _return_edits(source: str, call: ast.Call) -> Iterator[Edit]:
    start = Edit(call.lineno, call.col_offset, "return ", len("print("))
    end, column = call.end_lineno or 0, call.end_col_offset or 0
    if len(call.args) > 1 or isinstance(call.args[0], ast.Starred):
        yield Edit(start.line, start.column, 'return " ".join(map(str, ', len("print"))
        yield Edit(end, column - 1, ",))")
    elif call.lineno == end and get_text(source, start) == "print(":
        yield start
        yield Edit(end, column - 1, "", 1)
    else:
        yield Edit(start.line, start.column, start.text, len("print"))


def _find(source: str, selector: str) -> ast.FunctionDef | None:
    tree = parse(source)
    return find_method(tree, selector) if isinstance(tree, ast.Module) else None
