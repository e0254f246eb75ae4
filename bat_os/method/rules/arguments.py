"""Fix-ups of arguments: a method that was given what it needs, and does not use it.

Text to text, as ``fixups`` describes.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from bat_os.method.rules.imports import get_import
from bat_os.method.rules.places import (
    Wanted,
    drop_statements,
    get_body,
    get_parameters,
    read,
    replace,
)
from bat_os.method.rules.receiver import get_strangers
from bat_os.method.text import get_bound, get_uses, is_name, words

if TYPE_CHECKING:
    from collections.abc import Mapping

_SHORTEST: Final = 3
_LOOPED: Final = words("char count digit element index item key letter line num word val value")


def keep_argument(source: str, wanted: Wanted) -> str:
    """Return the source without a sample value that overwrites a parameter at the start.

    ``numbers = [1, 2, 3]`` and ``text = input("Text: ")``, before the parameter was read.
    """
    found = read(source, wanted)
    if found is None:
        return source
    method = found[1]
    parameters = set(get_parameters(method)) - _get_optional(method)
    body, dropped, seen = get_body(method), [], set[str]()
    for node in body[:-1]:
        name = _get_target(node)
        if name in parameters and name not in seen and _is_sample(node):
            dropped.append(node)
        seen |= get_uses(node).keys() | ({name} if node not in dropped else set())
    return drop_statements(source, dropped)


def _get_optional(method: ast.FunctionDef) -> set[str]:
    args = method.args
    plain = [*args.posonlyargs, *args.args]
    given = plain[len(plain) - len(args.defaults) :] if args.defaults else []
    pairs = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    return {arg.arg for arg in (*given, *(arg for arg, default in pairs if default))}


def _get_target(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    else:
        return ""
    return target.id if isinstance(target, ast.Name) else ""


def _is_sample(node: ast.stmt) -> bool:
    value = getattr(node, "value", None)
    while isinstance(value, ast.Call) and not value.keywords:
        if is_name(value.func, "input"):
            return True
        func = value.func
        plain = isinstance(func, ast.Name) and func.id in ("int", "float", "str")
        value = value.args[0] if plain and len(value.args) == 1 else None
    if isinstance(value, ast.UnaryOp):
        value = value.operand
    if isinstance(value, ast.List | ast.Tuple | ast.Set | ast.Dict):
        parts = [part for part in ast.walk(value) if isinstance(part, ast.expr)]
        simple = (ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.UnaryOp)
        return len(parts) > 1 and all(isinstance(part, simple) for part in parts)
    return isinstance(value, ast.Constant) and value.value is not None


def ask_argument(source: str, wanted: Wanted) -> str:
    """Return the source with the unused parameters in place of as many ``input(...)``."""
    found = read(source, wanted)
    if found is None or "input" in (*get_parameters(found[1]), *_get_stored(found[0])):
        return source
    asked = [
        node
        for node in ast.walk(found[1])
        if isinstance(node, ast.Call) and is_name(node.func, "input")
    ]
    asked.sort(key=lambda node: (node.lineno, node.col_offset))
    unused = _get_unused(found[1])
    if not asked or len(asked) != len(unused):
        return source
    return replace(source, found[0], dict(zip(asked, unused, strict=True)))


def use_argument(source: str, wanted: Wanted) -> str:
    """Return the source with the one parameter that is not used, for the one unknown name.

    ``return 3.14 * radius ** 2``, or ``self.radius``, in a method of ``number``. A short name,
    or one that loops often use, rather is a loop that was forgotten.
    """
    found = read(source, wanted)
    if found is None:
        return source
    tree, method = found
    unused, missing = _get_unused(method), _get_missing(tree, method, wanted)
    if len(unused) != 1 or len(missing) != 1:
        return source
    ((name, nodes),) = missing.items()
    if len(name) < _SHORTEST or name in _LOOPED:
        return source
    return replace(source, tree, dict.fromkeys(nodes, unused[0]))


def _get_missing(
    tree: ast.Module, method: ast.FunctionDef, wanted: Wanted
) -> Mapping[str, list[ast.expr]]:
    """Return what the method reads and nothing gives a value to."""
    bound, uses = get_bound(tree), get_uses(tree)
    calls = {node.func for node in ast.walk(method) if isinstance(node, ast.Call)}
    unknown = {
        name
        for name in uses.keys() - bound - (wanted.slots or set()) - {wanted.selector}
        if not get_import(name, uses[name])
    }
    missing: dict[str, list[ast.expr]] = {}
    for node in ast.walk(method):
        if isinstance(node, ast.Name) and node.id in unknown:
            missing.setdefault(node.id, []).append(node)
    for stranger in get_strangers(method, wanted):
        missing.setdefault(f"self.{stranger.attr}", []).append(stranger)
    called = any(node in calls for nodes in missing.values() for node in nodes)
    return {} if called else missing


def _get_unused(method: ast.FunctionDef) -> list[str]:
    touched = {node.id for node in ast.walk(method) if isinstance(node, ast.Name)}
    return [name for name in get_parameters(method) if name not in touched]


def _get_stored(tree: ast.AST) -> set[str]:
    return {
        node.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
