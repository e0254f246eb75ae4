"""The trusted functions that are methods of shipped objects.

    NATIVES["units_obj"].selectors       ("convert", ...)
    run("units_obj.convert", [5, "mile", "km"], {}, now)

The modules are imported when a method is first called. A parameter ``now``, by keyword only, gets
the present moment; a message cannot set it.
"""

from __future__ import annotations

import importlib
import inspect
import math
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError, BatError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping, Sequence

_MOMENT: Final = "now"


@dataclass(frozen=True, slots=True)
class NativeObject:
    """An object whose methods are functions of one module of this package."""

    module: str
    about: str  # one line, for people
    selectors: tuple[str, ...]


NATIVES: Final[Mapping[str, NativeObject]] = MappingProxyType(
    {
        "calculator_obj": NativeObject(
            "calculator",
            "arithmetic in exact decimals: expressions, percentages, roots",
            (
                "evaluate", "percent_of", "what_percent", "percent_change", "increase_by_percent",
                "whole_from_percent", "divide_with_remainder", "root", "power", "round_to",
            ),
        ),
        "units_obj": NativeObject(
            "units",
            "quantities: converts, adds and compares units of every kind",
            ("convert", "add", "compare", "units_like"),
        ),
        "calendar_obj": NativeObject(
            "calendar",
            "dates, weekdays, holidays, ages, times of day and time zones",
            (
                "today", "weekday", "days_between", "days_until", "days_since", "difference", "age",
                "shift", "from_now", "workdays_between", "week_number", "is_leap_year",
                "days_in_month", "holiday", "holidays_in", "time_in", "convert_time",
                "hours_between",
            ),
        ),
    }
)  # fmt: skip


def describe(name: str) -> dict[str, Any]:
    """Return the signature and the first line about a method, ``OBJECT.SELECTOR``.

    >>> describe("units_obj.convert")["signature"]
    'convert(number, unit, to)'
    """
    function, signature, _ = _find(name)
    shown = ", ".join(map(_shown, signature.parameters.values()))
    return {
        "signature": f"{function.__name__}({shown})",
        "about": (inspect.getdoc(function) or "").partition("\n")[0],
    }


def run(name: str, args: Sequence[Any], kwargs: Mapping[str, Any], now: dt.datetime) -> Any:
    """Return what a method answers; ``now`` is the present moment with the person's zone.

    May take a fifth of a second when a library is first needed, so call it off the event loop.

    Raises:
        ArgumentsError: The arguments do not fit, or it cannot compute them.
    """
    function, signature, takes_moment = _find(name)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise ArgumentsError(f"{describe(name)['signature']}: {error}") from error
    moment = {_MOMENT: now} if takes_moment else {}
    try:
        answer = function(*bound.args, **bound.kwargs, **moment)
    except BatError:
        raise
    except (ArithmeticError, ValueError, TypeError, LookupError) as error:
        # The libraries below have rules of their own: no year 10000, no sum of decibels.
        raise ArgumentsError(f"{name}: {str(error)[:200] or type(error).__name__}") from error
    if type(answer) is float and not math.isfinite(answer):
        raise ArgumentsError(f"{name}: the answer is too large")
    return answer


def signature_of(name: str) -> inspect.Signature:
    """Return the signature of a method, without the moment that a message cannot set."""
    return _find(name)[1]


@cache
def names(table: str) -> Mapping[str, Any]:
    """Return a table of ``names.toml``: what people say -> what the libraries call it."""
    text = (resources.files("bat_os.natives") / "names.toml").read_text(encoding="utf-8")
    found: dict[str, Any] = tomllib.loads(text)[table]
    return MappingProxyType(found)


@cache
def _find(name: str) -> tuple[Callable[..., Any], inspect.Signature, bool]:
    """Return the function of a method, what a message fills, and whether it takes the moment."""
    owner, _, selector = name.partition(".")
    native = NATIVES.get(owner)
    if native is None or selector not in native.selectors:
        raise ArgumentsError(f"this program has no {name[:100]}; its image was made by another one")
    module = importlib.import_module(f"bat_os.natives.{native.module}")
    function = getattr(module, selector)
    every = inspect.signature(function).parameters
    filled = [each for each in every.values() if each.name != _MOMENT]
    return function, inspect.Signature(filled), _MOMENT in every


def _shown(parameter: inspect.Parameter) -> str:
    default = parameter.default
    return parameter.name if default is parameter.empty else f"{parameter.name}={default!r}"
