"""Fix-ups of results: what a method prints, or has in hand at its end, and should return.

Text to text, as ``fixups`` describes. None of them touches a method that returns a value.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from bat_os.method.covenant import Changes, is_signal
from bat_os.method.rules.places import Wanted, get_body, get_parameters, read
from bat_os.method.text import Edit, apply_edits, get_text, is_name, split_lines, walk_own, words

if TYPE_CHECKING:
    from collections.abc import Iterator

# Calls that are made for their value alone.
_PURE: Final = words("""
    abs all any bin bool chr dict divmod float format frozenset hex int len list max min oct ord pow
    range repr reversed round set sorted str sum tuple zip capitalize casefold center count endswith
    find isalpha isdigit join lower lstrip replace rjust rstrip split splitlines startswith strftime
    strip title upper zfill isoformat
""")
_VALUES: Final = (
    *(ast.BinOp, ast.BoolOp, ast.Compare, ast.Dict, ast.DictComp, ast.IfExp, ast.JoinedStr),
    *(
        ast.List,
        ast.ListComp,
        ast.Name,
        ast.Set,
        ast.SetComp,
        ast.Subscript,
        ast.Tuple,
        ast.UnaryOp,
    ),
)
_GROWING: Final = words("add append extend insert update")


def return_print(source: str, wanted: Wanted) -> str:
    """Return the source with ``return x`` for ``return print(x)``."""
    found = read(source, wanted)
    edits = [
        edit
        for node in (walk_own(found[1]) if found else ())
        if isinstance(node, ast.Return) and node.value is not None and _is_print(node.value)
        for edit in _open_call(source, node.value, "")
    ]
    return apply_edits(source, edits)


def return_printed(source: str, wanted: Wanted) -> str:
    """Return the source with ``return x`` for a final ``print(x)``, if nothing is returned."""
    found = read(source, wanted)
    if found is None or _answers(found[1]):
        return source
    calls = _last_prints(found[1].body)
    return apply_edits(source, [e for call in calls for e in _open_call(source, call, "return ")])


def return_result(source: str, wanted: Wanted) -> str:
    """Return the source with the value returned that the method ends with.

    That is a last expression, the name assigned last, or the one that the last loop builds up;
    only in a method that returns nothing and changes nothing of ``self``.
    """
    found = read(source, wanted)
    if found is None or _answers(found[1]):
        return source
    body = get_body(found[1])
    changes = Changes(found[1])
    changed = any(is_signal(node) or changes.changes(node) for node in body)
    if not body or changed or any(_is_print(node) for node in walk_own(found[1])):
        return source
    last = body[-1]
    if isinstance(last, ast.Expr):
        plain = isinstance(last.value, _VALUES) or _is_pure(last.value)
        return apply_edits(source, [Edit(last.lineno, last.col_offset, "return ")] if plain else [])
    name = _get_built(last, body[:-1])
    return _append(source, found[1], f"return {name}") if name else source


def call_inner(source: str, wanted: Wanted) -> str:
    """Return the source with a call of the inner function, if there is nothing else."""
    found = read(source, wanted)
    if found is None:
        return source
    body = get_body(found[1])
    inner = body[-1] if body else None
    fitting = all(isinstance(n, ast.FunctionDef | ast.Import | ast.ImportFrom) for n in body)
    if not fitting or not isinstance(inner, ast.FunctionDef):
        return source
    args, outer = inner.args, get_parameters(found[1])
    names = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    given = ["self", *outer] if names[:1] == ["self"] else outer
    takes = args.kwonlyargs or args.vararg or args.kwarg or inner.decorator_list
    if takes or len(names) != len(given) or found[1].args.kwonlyargs:
        return source
    return _append(source, found[1], f"return {inner.name}({', '.join(given)})")


def _answers(method: ast.FunctionDef) -> bool:
    """Return whether a method returns or yields a value somewhere."""
    return any(
        isinstance(node, ast.Yield | ast.YieldFrom)
        or (isinstance(node, ast.Return) and not _is_none(node.value))
        for node in walk_own(method)
    )


def _is_none(value: ast.expr | None) -> bool:
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def _is_print(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and is_name(node.func, "print")


def _last_prints(body: list[ast.stmt]) -> Iterator[ast.Call]:
    while len(body) > 1 and isinstance(body[-1], ast.Return | ast.Pass):
        body = body[:-1]
    last = body[-1] if body else None
    if isinstance(last, ast.If):
        yield from _last_prints(last.body)
        yield from _last_prints(last.orelse)
    elif isinstance(last, ast.Try):
        for part in (last.orelse or last.body, *(handler.body for handler in last.handlers)):
            yield from _last_prints(part)
    elif isinstance(last, ast.With):
        yield from _last_prints(last.body)
    elif isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        call = last.value
        if _is_print(call) and call.args and not call.keywords:
            yield call


def _open_call(source: str, call: ast.expr, lead: str) -> Iterator[Edit]:
    """Yield edits that leave of ``print(x)`` what it prints, after ``lead``."""
    if not isinstance(call, ast.Call) or not call.args or call.keywords:
        return
    start = Edit(call.lineno, call.col_offset, lead, len("print("))
    end, column = call.end_lineno or 0, call.end_col_offset or 0
    if len(call.args) > 1 or isinstance(call.args[0], ast.Starred):
        yield Edit(start.line, start.column, f'{lead}" ".join(map(str, ', len("print"))
        yield Edit(end, column - 1, ",))")
    elif call.lineno == end and get_text(source, start) == "print(":
        yield start
        yield Edit(end, column - 1, "", 1)
    else:
        yield Edit(start.line, start.column, lead, len("print"))


def _is_pure(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    func = node.func
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    return name in _PURE


def _get_built(last: ast.stmt, before: list[ast.stmt]) -> str:
    """Return the local name that the last statement gives its value, or ""."""
    if isinstance(last, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = last.targets if isinstance(last, ast.Assign) else [last.target]
        target = targets[0]
        return target.id if len(targets) == 1 and isinstance(target, ast.Name) else ""
    if not isinstance(last, ast.For):
        return ""
    made = {
        target.id
        for node in before
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    built = {name for node in ast.walk(last) if (name := _grown(node)) in made}
    return built.pop() if len(built) == 1 else ""


def _grown(node: ast.AST) -> str:
    """Return the name that a statement or call adds to, or ""."""
    target: ast.AST | None = None
    if isinstance(node, ast.AugAssign):
        target = node.target
    elif isinstance(node, ast.Assign):
        target = node.targets[0]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        target = node.func.value if node.func.attr in _GROWING else None
    if isinstance(target, ast.Subscript):
        target = target.value
    return target.id if isinstance(target, ast.Name) else ""


def _append(source: str, method: ast.FunctionDef, line: str) -> str:
    """Return the source with one more line at the end of a method."""
    lines = split_lines(source)
    first, end = get_body(method)[0], method.end_lineno or method.lineno
    before = lines[first.lineno - 1][: first.col_offset]
    if before.strip():  # def m(self): x = 1
        return source
    last = lines[end - 1]
    if not last.endswith(("\n", "\r")):
        lines[end - 1] = f"{last}\n"
    lines.insert(end, f"{before}{line}\n")
    return "".join(lines)
