"""A known method fitted to a brief in more ways than one, to be tried against its examples.

``is_divisible(number, divisor)`` serves "is a number divisible by 7" with the divisor bound to 7;
``repeat(times, text)`` serves a caller who gives the text first. Which way is right only an
example can tell.
"""

from __future__ import annotations

import ast
import copy
from itertools import islice, permutations
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.adapt import adapt
from bat_os.method.text import find_method, parse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bat_os.method.adapt import Form

WAYS: Final = 12


def bend(source: str, selector: str, form: Form, values: Sequence[Any]) -> list[str]:
    """Return ``source``, a method ``selector``, in up to WAYS forms; the plainest first.

    Args:
        source: Module text that defines ``selector`` and nothing else but imports.
        selector: Its name there.
        form: What is wanted.
        values: What parameters may be bound to that the caller does not give.
    """
    tree = parse(source)
    method = find_method(tree, selector) if isinstance(tree, ast.Module) else None
    if method is None or method.args.posonlyargs or method.args.kwonlyargs:
        return []
    found = [adapt(source, selector, form)]
    assert isinstance(tree, ast.Module)  # noqa: S101 - for the type checker
    for order, bound in islice(_ways(method, len(form.params), values), WAYS - 1):
        changed = copy.deepcopy(tree)
        bent = find_method(changed, selector)
        if bent is not None:
            _rearrange(bent, order, bound)
            text = ast.unparse(ast.fix_missing_locations(changed))
            found.append(adapt(text, selector, form))
    return list(dict.fromkeys(text for text in found if text))


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
