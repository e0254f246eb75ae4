"""Draws that nobody can foresee, by the module secrets: passwords, dice, colours."""

from __future__ import annotations

import secrets
import string
from typing import Final

from bat_os.errors import ArgumentsError

SHORTEST, LONGEST = 4, 200
MOST_DICE, MOST_SIDES = 100, 1_000_000
_KINDS: Final = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!#$%&*+-=?@_")
# Without the letters and digits that people take for one another.
_SIGNS: Final = "".join(each for each in "".join(_KINDS) if each not in "Il1O0")


def new_password(length: int = 16) -> str:
    """Return a new random password with small and large letters, digits and signs."""
    if type(length) is not int or not SHORTEST <= length <= LONGEST:
        raise ArgumentsError(f"length must be a whole number from {SHORTEST} to {LONGEST}")
    while True:
        found = "".join(secrets.choice(_SIGNS) for _ in range(length))
        if all(set(found) & set(kind) for kind in _KINDS):
            return found


def roll_dice(count: int, sides: int = 6) -> list[int]:
    """Return what several dice show."""
    for name, value, most in (("count", count, MOST_DICE), ("sides", sides, MOST_SIDES)):
        if type(value) is not int or not 1 <= value <= most:
            raise ArgumentsError(f"{name} must be a whole number from 1 to {most}")
    return [1 + secrets.randbelow(sides) for _ in range(count)]


def random_hex_colour() -> str:
    """Return a random colour as ``#rrggbb``."""
    return f"#{secrets.token_hex(3)}"
