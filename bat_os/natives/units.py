"""Quantities and their units, by pint.

    convert(5, "miles", "km")                8.04672
    convert(3, "EUR", "EUR_cent")            300

A unit is named as people write it (``sq ft``, ``°F``, ``km/h``, ``lbs``): ``names.toml`` has what
pint does not know or reads as something rare. Every function raises ArgumentsError for a unit that
is not known, or that measures something else.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final

from bat_os.errors import ArgumentsError
from bat_os.natives.names import names

CURRENCIES: Final = ("USD", "EUR", "GBP", "CHF", "CAD", "AUD", "NZD")  # with hundredths
MAX_UNIT: Final = 60  # characters
_WORDS: Final = re.compile(r"[A-Za-zµμ°Ω'\"²³][A-Za-zµμΩ'\"²³_. ]*(?:(?:\^|\*\*)?-?[1-4])?")
_PLURALS: Final = {"foot": "feet", "inch": "inches", "stone": "stone", "century": "centuries"}
_POWERS: Final = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def convert(number: float, unit: str, to: str) -> int | float:
    """Return a quantity in another unit.

    >>> convert(5, "miles", "km"), convert(20, "°C", "F"), convert(90, "minutes", "hours")
    (8.04672, 68, 1.5)
    """
    quantity, wanted = _quantity(number, unit, to), _unit(to, beside=unit)
    if not quantity.is_compatible_with(wanted):
        raise ArgumentsError(
            f"{unit} and {to} do not measure the same: {_kind(unit)} and {_kind(to)}"
        )
    return _plain(quantity.to(wanted).magnitude)


def add(number1: float, unit1: str, number2: float, unit2: str) -> int | float:
    """Return the sum of two quantities in the first unit.

    >>> add(5, "km", 300, "m"), add(1, "hour", 45, "minutes")
    (5.3, 1.75)
    """
    return _plain(_decimal(number1) + Decimal(repr(convert(number2, unit2, unit1))))


def subtract(number1: float, unit1: str, number2: float, unit2: str) -> int | float:
    """Return the first quantity less the second, in the first unit.

    >>> subtract(5, "km", 300, "m"), subtract(2, "hours", 30, "minutes")
    (4.7, 1.5)
    """
    return _plain(_decimal(number1) - Decimal(repr(convert(number2, unit2, unit1))))


def split_unit(number: float, unit: str, large: str, small: str) -> str:
    """Return a quantity as whole large units, and the rest in small ones.

    >>> split_unit(178, "cm", "foot", "inch"), split_unit(200, "minutes", "hour", "minute")
    ('5 feet, 10.08 inches', '3 hours, 20 minutes')
    """
    size = Decimal(repr(convert(1, large, small)))
    total = round(Decimal(repr(convert(number, unit, small))), 2)
    if size <= 1:
        raise ArgumentsError(f"{large} is not larger than {small}")
    whole = abs(total) // size
    rest = round(abs(total) - whole * size, 2)
    sign = "-" if total < 0 else ""
    return f"{sign}{_counted(int(whole), large)}, {_counted(_plain(rest), small)}"


def compare(number1: float, unit1: str, number2: float, unit2: str) -> str:
    """Return which of two quantities is more: ``first``, ``second`` or ``equal``.

    >>> compare(1, "mile", 1.5, "km")
    'first'
    """
    other = convert(number2, unit2, unit1)
    if math.isclose(number1, other, rel_tol=1e-9):
        return "equal"
    return "first" if number1 > other else "second"


def price_for(wanted: float, to: str, number: float, unit: str, price: float) -> int | float:
    """Return what an amount costs, to the cent, if another amount has a price.

    >>> price_for(1, "kg", 250, "g", 3.2), price_for(100, "g", 2, "kg", 9)
    (12.8, 0.45)
    """
    amount = _decimal(convert(wanted, to, unit))
    if not number:
        raise ArgumentsError("the amount that has the price is nothing")
    return _plain(round(amount / _decimal(number) * _decimal(price), 2))


def units_like(unit: str) -> list[str]:
    """Return the names of common units that measure the same.

    >>> "kilometer" in units_like("mile")
    True
    """
    wanted = _unit(unit).dimensionality
    common = dict.fromkeys(names("units").values())
    return sorted(name for name in common if _known(name).dimensionality == wanted)


@cache
def _registry() -> Any:
    # Here: it takes a fifth of a second, and most sentences have no unit.
    import pint

    registry: Any = pint.UnitRegistry(non_int_type=Decimal, autoconvert_offset_to_baseunit=True)
    for currency in CURRENCIES:  # none is converted into another
        registry.define(f"{currency} = [{currency}]")
        registry.define(f"{currency}_cent = {currency} / 100")
    return registry


def _quantity(number: float, unit: str, to: str) -> Any:
    return _registry().Quantity(_decimal(number), _unit(unit, beside=to))


def _unit(text: Any, beside: str = "") -> Any:
    """Return pint's unit for what a person wrote; ``beside`` is what it is converted to or from."""
    if type(text) is not str or not text.strip() or len(text) > MAX_UNIT:
        raise ArgumentsError(f"a unit is a text of at most {MAX_UNIT} characters, such as 'km/h'")
    try:
        return _known(_spelled(" ".join(text.split())))
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        near = f", beside {beside}" if beside else ""
        raise ArgumentsError(f"{text[:40]!r} is not a unit that I know{near}") from error


@lru_cache(maxsize=1000)
def _known(name: str) -> Any:
    return _registry().parse_units(name)


def _spelled(text: str) -> str:
    """Return a unit as pint reads it.

    >>> _spelled("square feet"), _spelled("miles per hour"), _spelled("°F")
    ('foot**2', 'miles/hour', 'degree_Fahrenheit')
    """
    known: str = names("symbols").get(text) or names("units").get(text.lower()) or ""
    if known:
        return known
    parts = re.split(r"\s+per\s+|\s*/\s*", text)
    if len(parts) > 1:
        first, *rest = (_spelled(part) for part in parts)
        return "/".join([first, *(f"({part})" if "*" in part else part for part in rest)])
    head, _, tail = text.partition(" ")
    if tail and head.lower() in _POWERS:
        return f"{_spelled(tail)}**{_POWERS[head.lower()]}"
    if tail and tail.lower() in ("squared", "cubed"):
        return f"{_spelled(head)}**{2 if tail.lower() == 'squared' else 3}"
    if _WORDS.fullmatch(text) is None:
        raise ValueError(text)
    return text.replace(" ", "_").replace("²", "**2").replace("³", "**3").replace("^", "**")


def _kind(unit: str) -> str:
    return str(_unit(unit).dimensionality).replace("[", "").replace("]", "") or "a bare number"


def _decimal(number: Any) -> Decimal:
    if type(number) not in (int, float, Decimal) or not math.isfinite(number):
        raise ArgumentsError(f"{str(number)[:40]!r} is not a number")
    return Decimal(repr(number)) if type(number) is float else Decimal(number)


def _counted(count: float, unit: str) -> str:
    name = str(_unit(unit)).replace("_", " ")
    many = _PLURALS.get(name, f"{name}s")
    return f"{count} {name if count == 1 else many}"


def _plain(value: Any) -> int | float:
    shown = round(float(value), 12) if abs(value) < 10**6 else float(f"{value:.15g}")
    shown = float(f"{shown:.12g}") if abs(value) >= 10**-9 else float(value)
    return int(shown) if shown.is_integer() and abs(shown) < 2**53 else shown
