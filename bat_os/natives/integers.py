"""Whole numbers: primes, factorials, Roman numerals and number systems; and the mean.

check_prime(97)              True
write_roman(1994)            MCMXCIV
write_base(42, 2)            101010
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any, Final

from bat_os.errors import ArgumentsError
from bat_os.natives.calculator import divide

MAX_DIGITS: Final = 400  # in the digits of another base
MAX_ITEMS: Final = 100_000
_LARGEST_TESTED: Final = 3_317_044_064_679_887_385_961_981  # the bases below decide up to here
_BASES: Final = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
_FACTORIAL: Final = 500
_SIGNS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_ROMAN: Final = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"),
    (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_ONES: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS: Final = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SCALES: Final = ((10**12, "trillion"), (10**9, "billion"), (10**6, "million"), (1000, "thousand"))
_PREFIXES: Final = {2: "0b", 8: "0o", 16: "0x"}  # of digits, as programs write them


def check_prime(number: int) -> bool:
    """Return whether a whole number is prime.

    >>> check_prime(97), check_prime(1), check_prime(2**61 - 1)
    (True, False, True)
    """
    number = _whole(number, "number")
    if abs(number) >= _LARGEST_TESTED:
        raise ArgumentsError("the number has too many digits")
    if number < 2:
        return False
    for base in _BASES:
        if number % base == 0:
            return number == base
    # Miller and Rabin; Sorenson and Webster (2015) showed that these bases decide.
    twos = ((number - 1) & (1 - number)).bit_length() - 1
    return all(_passes(number, base, twos) for base in _BASES)


def _passes(number: int, base: int, twos: int) -> bool:
    value = pow(base, (number - 1) >> twos, number)
    if value in (1, number - 1):
        return True
    for _ in range(twos - 1):
        value = value * value % number
        if value == number - 1:
            return True
    return False


def factorial(number: int) -> int:
    """Return the product of the whole numbers from one to a number.

    >>> factorial(6), factorial(0)
    (720, 1)
    """
    number = _whole(number, "number")
    if not 0 <= number <= _FACTORIAL:
        raise ArgumentsError(f"a factorial needs a whole number from 0 to {_FACTORIAL}")
    return math.factorial(number)


def write_roman(number: int) -> str:
    """Return a number from 1 to 3999 in Roman numerals.

    >>> write_roman(1994), write_roman(49)
    ('MCMXCIV', 'XLIX')
    """
    number = _whole(number, "number")
    if not 1 <= number <= 3999:
        raise ArgumentsError("Roman numerals go from 1 to 3999")
    said = ""
    for value, letters in _ROMAN:
        said += letters * (number // value)
        number %= value
    return said


def read_roman(text: str) -> int:
    """Return the number that Roman numerals write.

    >>> read_roman("MCMXCIV"), read_roman("xlix")
    (1994, 49)
    """
    letters = str(text)[:20].strip().upper()
    left, number = letters, 0
    for value, each in _ROMAN:
        while left.startswith(each):
            left, number = left[len(each) :], number + value
    if left or not number or write_roman(number) != letters:
        raise ArgumentsError(f"{str(text)[:40]!r} is not a Roman numeral")
    return number


def number_in_words(number: int) -> str:
    """Return a whole number in English words.

    >>> number_in_words(42), number_in_words(1250), number_in_words(-7)
    ('forty-two', 'one thousand two hundred and fifty', 'minus seven')
    """
    number = _whole(number, "number")
    if abs(number) >= 10**15:
        raise ArgumentsError("the number has too many digits")
    return f"minus {_in_words(-number)}" if number < 0 else _in_words(number)


def _in_words(number: int) -> str:
    said = []
    for size, name in _SCALES:
        if number >= size:
            said.append(f"{_in_words(number // size)} {name}")
            number %= size
    if number >= 100:
        said.append(f"{_ONES[number // 100]} hundred")
        number %= 100
    if number or not said:
        tens = _ONES[number] if number < 20 else _TENS[number // 10 - 2]
        tens += f"-{_ONES[number % 10]}" if number >= 20 and number % 10 else ""
        said.append(f"and {tens}" if said else tens)
    return " ".join(said)


def write_base(number: int, base: int) -> str:
    """Return a whole number in another base, from 2 to 36.

    >>> write_base(42, 2), write_base(255, 16), write_base(-8, 8)
    ('101010', 'ff', '-10')
    """
    number, base = _whole(number, "number"), _base(base)
    if number.bit_length() > MAX_DIGITS:
        raise ArgumentsError("the number has too many digits")
    rest, digits = abs(number), ""
    while rest:
        rest, digit = divmod(rest, base)
        digits = _SIGNS[digit] + digits
    return f"{'-' * (number < 0)}{digits or '0'}"


def read_base(text: str, base: int) -> int:
    """Return the number that digits of a base, from 2 to 36, write.

    >>> read_base("101010", 2), read_base("0xFF", 16), read_base(777, 8), read_base("150b", 23)
    (42, 255, 511, 14823)
    """
    written = str(text)[: MAX_DIGITS + 1].strip()
    prefix = _PREFIXES.get(base) if type(base) is int else None
    digits = re.sub(rf"\A([-+]?){prefix}", r"\1", written, flags=re.IGNORECASE)
    if not digits or len(digits) > MAX_DIGITS or "_" in digits:
        raise ArgumentsError(f"the digits must be a text of 1 to {MAX_DIGITS} characters")
    try:
        return int(digits, _base(base))
    except ValueError as error:
        raise ArgumentsError(f"{digits[:40]!r} has digits that base {base} has not") from error


def mean(numbers: list[Any]) -> int | float | Decimal:
    """Return the average of numbers, exactly.

    >>> mean([4, 8, 15]), mean([0.1, 0.2])
    (9, 0.15)
    """
    if type(numbers) not in (list, tuple) or not 0 < len(numbers) <= MAX_ITEMS:
        raise ArgumentsError("numbers must be a list of at least one number")
    if any(type(each) not in (int, float) for each in numbers):
        raise ArgumentsError("every item must be a number")
    total = sum(Decimal(repr(each)) for each in numbers)
    return divide(total, len(numbers))


def _base(base: Any) -> int:
    number = _whole(base, "base")
    if not 2 <= number <= 36:
        raise ArgumentsError("base must be a whole number from 2 to 36")
    return number


def _whole(value: Any, name: str) -> int:
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if type(value) is int:
        return value
    raise ArgumentsError(f"{name} must be a whole number")
