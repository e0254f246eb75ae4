"""Arithmetic in exact decimals: expressions, percentages, roots.

    evaluate("17% of 340")      57.8
    evaluate("2 * (3 + 4)^2")   98

An expression is data, never Python: simpleeval walks its syntax tree and knows only the operators
and functions named here. Numbers are Decimals, so ``0.1 + 0.2`` is 0.3.

Every function raises ArgumentsError for what it cannot compute.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from decimal import Context, Decimal, DecimalException, InvalidOperation, localcontext
from typing import TYPE_CHECKING, Any, Final

from simpleeval import InvalidExpression, SimpleEval

from bat_os.core import syntax
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Callable

    Number = int | float | Decimal

MAX_TEXT: Final = 500  # characters of an expression
DIGITS: Final = 200  # while computing; a fraction is shown with 15
MAX_DEGREE: Final = 50  # of a root, and decimal places
_SHOWN: Final = Context(prec=15)
_EXACT: Final = 10**15  # whole numbers beyond are kept digit by digit
_LARGEST: Final = 2_000  # exponent
_LONGEST: Final = 2_500  # digits of a whole number, in an argument, on the way or as the answer
# Of typography; ``^`` becomes ``**`` last, so that no rule before it meets two stars.
_SYMBOLS: Final = str.maketrans(
    {"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-", "^": "\u2020"}
)
_ADDED_PERCENT: Final = re.compile(r"(.+?)\s*([+-])\s*(\d+(?:\.\d+)?)\s*%\s*\Z")
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%(?!\s*\d)")
_OF: Final = re.compile(r"\bof\b", re.IGNORECASE)
_THOUSANDS: Final = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_FACTORIAL: Final = re.compile(r"(\d+)\s*!")
# Of the syntax tree; simpleeval also knows conditions, texts and attributes.
_NODES: Final = (ast.Expr, ast.BinOp, ast.UnaryOp, ast.Call, ast.Name, ast.Constant)


def evaluate(expression: str) -> Number:
    """Return the value of an arithmetic expression.

    Operators are ``+ - * / // % ^ !`` and parentheses. ``17%`` is 0.17, ``of`` multiplies, and
    ``200 + 10%`` is 220. Functions are sqrt, cbrt, abs, round, floor, ceil, ln, log, log10, exp,
    sin, cos, tan (of radians), min and max; pi and e are known.

    >>> evaluate("17% of 340"), evaluate("2^10"), evaluate("200 + 10%"), evaluate("0.1 + 0.2")
    (57.8, 1024, 220, 0.3)
    """
    if type(expression) is not str or not expression.strip():
        raise ArgumentsError("expression must be a text such as '2 * (3 + 4)'")
    if len(expression) > MAX_TEXT:
        raise ArgumentsError(f"the expression has over {MAX_TEXT} characters; split it")
    if set(expression) & set(";\n\r"):  # simpleeval would compute the first line alone
        raise ArgumentsError("the expression must be one line without a semicolon")
    text = _THOUSANDS.sub("", expression.strip().rstrip("=?").translate(_SYMBOLS))
    if added := _ADDED_PERCENT.fullmatch(text):
        text = f"({added[1]}) * (1 {added[2]} {added[3]} / 100)"
    text = _OF.sub("*", _PERCENT.sub(r"(\1 / 100)", text))
    text = _FACTORIAL.sub(r"factorial(\1)", text).replace("\u2020", "**")
    return _compute(lambda: _Exact().eval(text), expression)


def add(a: Number, b: Number) -> Number:
    """Return the sum of two numbers.

    >>> add(0.1, 0.2)
    0.3
    """
    return _compute(lambda: _decimal(a) + _decimal(b))


def subtract(a: Number, b: Number) -> Number:
    """Return the first number less the second.

    >>> subtract(60, 17)
    43
    """
    return _compute(lambda: _decimal(a) - _decimal(b))


def multiply(a: Number, b: Number) -> Number:
    """Return the product of two numbers.

    >>> multiply(2.5, 40)
    100
    """
    return _compute(lambda: _decimal(a) * _decimal(b))


def divide(a: Number, b: Number) -> Number:
    """Return the first number divided by the second.

    >>> divide(91, 7), divide(1, 8)
    (13, 0.125)
    """
    return _compute(lambda: _decimal(a) / _decimal(b))


def percent_of(percent: Number, number: Number) -> Number:
    """Return that many percent of a number.

    >>> percent_of(17, 340)
    57.8
    """
    return _compute(lambda: _decimal(percent) * _decimal(number) / 100)


def what_percent(part: Number, whole: Number) -> Number:
    """Return how many percent of the whole a part is.

    >>> what_percent(30, 120)
    25
    """
    return _compute(lambda: _decimal(part) / _decimal(whole) * 100)


def percent_change(old: Number, new: Number) -> Number:
    """Return by how many percent a value has changed; negative if it fell.

    >>> percent_change(80, 100), percent_change(100, 80)
    (25, -20)
    """
    return _compute(lambda: (_decimal(new) - _decimal(old)) / abs(_decimal(old)) * 100)


def increase_by_percent(number: Number, percent: Number) -> Number:
    """Return a number raised by that many percent; a negative percentage lowers it.

    >>> increase_by_percent(50, 20), increase_by_percent(80, -25)
    (60, 60)
    """
    return _compute(lambda: _decimal(number) * (100 + _decimal(percent)) / 100)


def decrease_by_percent(number: Number, percent: Number) -> Number:
    """Return a number lowered by that many percent.

    >>> decrease_by_percent(80, 25)
    60
    """
    return _compute(lambda: _decimal(number) * (100 - _decimal(percent)) / 100)


def whole_from_percent(part: Number, percent: Number) -> Number:
    """Return the number that a part is so many percent of.

    >>> whole_from_percent(30, 25)
    120
    """
    return _compute(lambda: _decimal(part) * 100 / _decimal(percent))


def divide_with_remainder(dividend: int, divisor: int) -> dict[str, int]:
    """Return the quotient and the remainder of two whole numbers.

    >>> divide_with_remainder(17, 5)
    {'quotient': 3, 'remainder': 2}
    """
    if type(dividend) is not int or type(divisor) is not int:
        raise ArgumentsError("dividend and divisor must be whole numbers")
    if divisor == 0:
        raise ArgumentsError("cannot divide by zero")
    quotient, remainder = divmod(dividend, divisor)
    return {"quotient": quotient, "remainder": remainder}


def root(number: Number, degree: int = 2) -> Number:
    """Return the real root of a number: the square root unless a degree is given.

    >>> root(144), root(27, 3), root(-8, 3)
    (12, 3, -2)
    """
    return _compute(lambda: _root(_decimal(number), degree))


def power(base: Number, exponent: Number) -> Number:
    """Return a number raised to a power.

    >>> power(2, 10), power(2, -1)
    (1024, 0.5)
    """
    return _compute(lambda: _power(_decimal(base), _decimal(exponent)))


def round_to(number: Number, places: int = 0) -> Number:
    """Return a number rounded to decimal places; a half is rounded away from zero.

    >>> round_to(2.5), round_to(3.14159, 2), round_to(1234, -2)
    (3, 3.14, 1200)
    """
    if type(places) is not int or abs(places) > MAX_DEGREE:
        raise ArgumentsError(f"places must be a whole number from -{MAX_DEGREE} to {MAX_DEGREE}")
    step = Decimal(1).scaleb(-places)
    return _compute(lambda: (_decimal(number) / step).to_integral_value("ROUND_HALF_UP") * step)


class _Exact(SimpleEval):
    """simpleeval over Decimals."""

    def __init__(self) -> None:
        super().__init__(
            operators={
                ast.Add: operator.add,
                ast.Sub: operator.sub,
                ast.Mult: operator.mul,
                ast.Div: operator.truediv,
                ast.FloorDiv: lambda a, b: (a / b).to_integral_value("ROUND_FLOOR"),
                ast.Mod: lambda a, b: a - b * (a / b).to_integral_value("ROUND_FLOOR"),
                ast.Pow: _power,
                ast.USub: operator.neg,
                ast.UAdd: operator.pos,
            },
            functions={name: _checked(run) for name, run in _FUNCTIONS.items()},
            names={"pi": Decimal(repr(math.pi)), "e": Decimal(repr(math.e))},
        )
        for kind in [kind for kind in self.nodes if kind not in _NODES]:
            del self.nodes[kind]

    @staticmethod
    def parse(expr: str) -> ast.AST:
        """Return the tree of one line: one tree at a time in all threads."""
        body = syntax.parse(expr.strip()).body
        if not body:
            raise InvalidExpression("the expression is empty")
        return body[0]

    def _eval_constant(self, node: Any) -> Decimal:
        if type(node.value) not in (int, float):
            raise InvalidExpression("only numbers")
        return _decimal(node.value)


def _checked(run: Callable[..., Any]) -> Callable[..., Decimal]:
    """Return a function that takes and answers Decimals only."""

    def call(*args: Any) -> Decimal:
        if not all(type(value) is Decimal for value in args):
            raise InvalidExpression("only numbers")
        return _decimal(run(*map(_decimal, args)))

    return call


def _of_floats(run: Callable[[float], float]) -> Callable[[Decimal], float]:
    return lambda value: run(float(value))


def _root(number: Decimal, degree: Any = 2) -> Decimal:
    if (
        type(degree) not in (int, Decimal)
        or degree != int(degree)
        or not 1 <= int(degree) <= MAX_DEGREE
    ):
        raise ArgumentsError(f"degree must be a whole number from 1 to {MAX_DEGREE}")
    degree = int(degree)
    if number < 0 and degree % 2 == 0:
        raise ArgumentsError(f"a negative number has no real root of degree {degree}")
    size = abs(number).sqrt() if degree == 2 else abs(number) ** (Decimal(1) / degree)
    nearest = size.to_integral_value()
    if nearest**degree == abs(number):
        size = nearest
    return size.copy_sign(number)


def _power(base: Decimal, exponent: Decimal) -> Decimal:
    if abs(exponent) > _LARGEST:
        raise ArgumentsError(f"the exponent must be at most {_LARGEST}")
    if base == exponent.to_integral_value() == 0 or exponent == 0:
        return Decimal(1)
    whole = exponent == exponent.to_integral_value()
    if whole and exponent > 0 and base == base.to_integral_value():
        return Decimal(_bounded(int(base), int(exponent)))
    return _decimal(base**exponent)


def _bounded(base: int, exponent: int) -> int:
    if base.bit_length() * exponent > 3 * _LONGEST:
        raise ArgumentsError("the answer has too many digits")
    return int(base**exponent)


def _factorial(number: Decimal) -> int:
    if number != number.to_integral_value() or not 0 <= number <= _LARGEST // 4:
        raise ArgumentsError(f"a factorial needs a whole number from 0 to {_LARGEST // 4}")
    return math.factorial(int(number))


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "sqrt": _root,
    "cbrt": lambda value: _root(value, 3),
    "root": _root,
    "abs": abs,
    "round": lambda value, places=Decimal(0): round_to(value, int(places)),
    "floor": lambda value: value.to_integral_value("ROUND_FLOOR"),
    "ceil": lambda value: value.to_integral_value("ROUND_CEILING"),
    "ln": Decimal.ln,
    "log": Decimal.log10,
    "log10": Decimal.log10,
    "log2": _of_floats(math.log2),
    "exp": Decimal.exp,
    "sin": _of_floats(math.sin),
    "cos": _of_floats(math.cos),
    "tan": _of_floats(math.tan),
    "min": min,
    "max": max,
    "factorial": _factorial,
}


def _decimal(value: Any) -> Decimal:
    if type(value) is Decimal and value.is_finite():
        # A larger one takes seconds to become an integer, in which nothing else runs.
        if value.adjusted() > _LONGEST:
            raise ArgumentsError(f"a number of more than {_LONGEST} digits is too large")
        return value
    if type(value) is int and value.bit_length() <= 4 * _LONGEST:
        return Decimal(value)
    if type(value) is float and math.isfinite(value):
        return Decimal(repr(value))
    raise ArgumentsError(f"{str(value)[:40]!r} is not a number")


def _compute(work: Callable[[], Any], shown: str = "") -> Number:
    """Return what ``work`` computes as an int or a float; an ArgumentsError if it cannot."""
    what = f"{shown[:60]!r}: " if shown else ""
    try:
        with localcontext(prec=DIGITS):
            return _plain(work())
    except (InvalidExpression, SyntaxError, TypeError, LookupError, RecursionError) as error:
        raise ArgumentsError(f"{what}it is not an arithmetic expression") from error
    except (ZeroDivisionError, InvalidOperation, DecimalException) as error:
        if "Zero" in type(error).__name__ or "Undefined" in repr(error):
            raise ArgumentsError(f"{what}cannot divide by zero") from error
        raise ArgumentsError(f"{what}it has no value") from error
    except (ValueError, OverflowError) as error:
        raise ArgumentsError(f"{what}it has no value, or one that is too large") from error


def _plain(value: Any) -> Number:
    if type(value) is not Decimal:
        raise InvalidExpression("not a number")
    _decimal(value)
    if value == value.to_integral_value() and abs(value) >= _EXACT:
        return int(value)
    shown = _SHOWN.plus(value)
    return int(shown) if shown == shown.to_integral_value() else float(shown)
