"""Where a method may tip over, by the values that its source names: calls at and around these.

Two methods that answer one call alike may still differ: in which argument counts, in what is next
to a limit. ``height > 100`` and ``height >= 120`` agree on 130, and differ on 110 and 120.
"""

from __future__ import annotations

import ast
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

from bat_os.method.plausibility import MAX_LENGTH, near, put
from bat_os.method.text import parse_method

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_NUMBERS: Final = 2  # of a source
MAX_TEXTS: Final = 3
MAX_TEXT: Final = 30  # characters; methods seldom compare with longer ones
_EVERYWHERE: Final = frozenset({0, 1, 2})  # what counts from them says little
_NUMBER: Final = re.compile(r"\d+(?:\.\d+)?")


def edges(args: Sequence[Any], source: str, selector: str) -> tuple[tuple[Any, ...], ...]:
    r"""Return argument lists, each once: other values, swapped ones, and those of the source.

    >>> edges((130,), "def ride(self, n):\n    return n > 100\n", "ride")[4:7]
    ((99,), (100,), (101,))
    """
    numbers, texts = _named(source, selector)
    numbers = [one for one in numbers if one not in _EVERYWHERE][:MAX_NUMBERS]
    texts = [one for one in texts if 0 < len(one) < MAX_TEXT][:MAX_TEXTS]
    calls = [
        put(args, place, other)
        for place, value in enumerate(args)
        for other in (*near(value), *_around(value, numbers, texts), *_shapes(value))
    ]
    for one, other in combinations(range(len(args)), 2):
        swapped = list(args)
        swapped[one], swapped[other] = args[other], args[one]
        calls.append(tuple(swapped))
    found = {repr(call): call for call in calls}
    found.pop(repr(tuple(args)), None)
    return tuple(found.values())


def _around(value: Any, numbers: Sequence[Any], texts: Sequence[str]) -> Iterable[Any]:
    """Return values at and next to what a source names."""
    first = value[0] if isinstance(value, list) and value else None
    if type(value) in (int, float):
        return [near_it for one in numbers for near_it in (one - 1, one, one + 1)]
    if isinstance(value, str) and value:
        return [other for one in texts for other in (one, value + one)]
    if type(first) in (int, float):
        return [[one - 1, one, one + 1] for one in numbers]
    return [[*value, one] for one in texts] if isinstance(first, str) else []


def _shapes(value: Any) -> Iterable[Any]:
    """Return parts of a value, and others that were made of it."""
    if type(value) in (int, float):
        return [value - 1, -value, value * 3 + 1]
    if not isinstance(value, str | list) or not 0 < len(value) <= MAX_LENGTH:
        return []
    parts = [value[1:], value[:-1]]
    if isinstance(value, str):
        return [*parts, value[:1], value.upper(), value.lower(), f"{value} {value[::-1]}"]
    turned = [value[-1:] + value[:-1], value[::2], value + value, sorted(value, key=repr)]
    return [*parts, *turned]


def find_left_out(numbers: Sequence[Any], count: int, source: str, selector: str) -> Any:
    r"""Return the first of the numbers of a wish that plays no part in a method, or None.

    One that says how many arguments there are, ``count``, needs no part: "the older of two ages".
    As a share of 100 it may stand as such: 1.19 for 19 percent.

    >>> find_left_out([4], 1, "def f(self, text):\n    return len(text.split())\n", "f")
    4
    """
    named, texts = _named(source, selector)
    known = {*named, *(float(digits) for text in texts for digits in _NUMBER.findall(text))}
    for one in numbers:
        if one != count and known.isdisjoint({one, one / 100, 1 + one / 100, 1 - one / 100}):
            return one
    return None


def _named(source: str, selector: str) -> tuple[list[Any], list[str]]:
    """Return the numbers and the texts that a method names, without its docstring."""
    parsed = parse_method(source, selector)
    if parsed is None:
        return [], []
    doc = ast.get_docstring(parsed[1], clean=False)
    found = [node.value for node in ast.walk(parsed[1]) if isinstance(node, ast.Constant)]
    numbers = [one for one in found if type(one) in (int, float)]
    return numbers, [one for one in found if isinstance(one, str) and one != doc]
