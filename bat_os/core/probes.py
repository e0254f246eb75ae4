"""Other arguments of the same kind: what tells candidates apart that agree on the caller's.

``is_prime(7)`` is True for a method that says True to everything. Trying the candidates on a
few neighbours of the caller's arguments, too, shows which of them mean the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_PROBES: Final = 4
MAX_LENGTH: Final = 2_000  # of a text or list that is varied: probes have to stay cheap


def vary(args: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
    """Return up to MAX_PROBES argument lists; one argument differs from ``args`` in each.

    The same arguments give the same probes. What cannot be varied (a reference, a moment)
    stays as it is.

    >>> vary((7,))
    ((8,), (2,), (0,), (70,))
    """
    columns = [[_put(args, place, value) for value in _near(args[place])]
               for place in range(len(args))]  # fmt: skip
    found: list[tuple[Any, ...]] = []
    for row in range(max(map(len, columns), default=0)):
        found += [column[row] for column in columns if row < len(column)]
    return tuple(found[:MAX_PROBES])


def find_dull(args: Sequence[Any], value: Any, probed: Sequence[tuple[Any, Any]]) -> str:
    """Return in one line why the answers of a method say nothing, or "".

    A right method may look like that on unlucky arguments, so this is a doubt, no refusal.

    Args:
        args: The caller's arguments.
        value: The answer to them.
        probed: (arguments, answer) of each probe that was answered.

    >>> find_dull(("abc",), "abc", [(("ABC",), "ABC"), (("cba",), "cba")])
    'gives its argument back as it is'
    """
    if not args:
        return ""
    if _is_nothing(value):
        return "answers with nothing"
    if any(_gives_back(own, place, value, probed) for place, own in enumerate(args)):
        return "gives its argument back as it is"
    if type(value) is not bool and len(probed) > 1 and all(_is(v, value) for _, v in probed):
        return "answers everything alike"
    return ""


def _is_nothing(value: Any) -> bool:
    if isinstance(value, str):
        return not value or value.isspace()
    return value is None or (isinstance(value, list | dict | tuple | set) and not value)


def _gives_back(own: Any, place: int, value: Any, probed: Sequence[tuple[Any, Any]]) -> bool:
    return bool(probed) and _is(value, own) and all(_is(v, given[place]) for given, v in probed)


def _is(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _put(args: Sequence[Any], place: int, value: Any) -> tuple[Any, ...]:
    return (*args[:place], value, *args[place + 1 :])


def _near(value: Any) -> list[Any]:
    kind = type(value)
    if kind is bool:
        return [not value]
    if kind is int:
        return _others(value, (value + 1, 2, 0, value * 10)) if abs(value) < 10**12 else []
    if kind is float:
        return _others(value, (value + 1.5, value * 2, 0.0))
    if kind in (str, list) and len(value) <= MAX_LENGTH:
        return _near_text(value) if kind is str else _near_list(value)
    return []


def _near_text(value: str) -> list[str]:
    return _others(value, (value.swapcase(), f"{value} {value}", value[::-1], ""))


def _near_list(value: list[Any]) -> list[Any]:
    return _others(value, (value[::-1], value + value[:1], value[:1], []))


def _others(value: Any, near: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for one in near:
        if one != value and one not in found:
            found.append(one)
    return found
