"""What people call an object: its name, or a word and a number where it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bat_os.core.values import Ref

_NAMELESS: Final = "object_"  # before the number


def called(ref: Ref) -> str:
    """Return the name of an object, or the word and number in place of one."""
    return ref.name or name_oid(ref.oid)


def name_oid(oid: str) -> str:
    """Return the word and number for an object without a name.

    >>> name_oid("000000000000012f"), oid_named("object_303"), oid_named("robot_obj")
    ('object_303', '000000000000012f', '')
    """
    return f"{_NAMELESS}{int(oid, 16)}"


def oid_named(name: str) -> str:
    """Return the oid of an object that is called so because it has no name, or ""."""
    number = name.removeprefix(_NAMELESS)
    is_number = number != name and number.isascii() and number.isdigit() and len(number) <= 20
    oid = f"{int(number):016x}" if is_number else ""
    return oid if len(oid) == 16 else ""
