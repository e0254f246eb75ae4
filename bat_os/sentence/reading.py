"""A sentence with the values in it: what is said, in which language, and about what.

    number    int or float                 340, 1,234.5, 1.234,5, "twelve", "a dozen", "half"
    percent   int or float                 17%, 17 percent
    unit      name for units_obj           km, miles, weeks: "mile", "week"
    money     {"amount", "currency"}       $40, 40 euros
    date      ISO date                     3 May, next Friday, Christmas, tomorrow, 14 July 1789
    time      "HH:MM"                      half past three, 3pm, 15:30
    text      str                          in quotes, or after a colon
    list      list of plain values         [1, 2], 3, 1, 2, and after a colon: kiwi, fig, banana
    map       dict                         {"a": 1}
    path      str                          ~/notes.txt, /etc/hosts
    address   str                          https://example.org, ann@example.org
    name      str                          Berlin, Anna: capitalised inside of a sentence

A quantity or a duration is a number followed by a unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Value:
    """A typed value, and where it stands in the sentence."""

    kind: str
    value: Any  # plain data, as a method gets it
    start: int  # first character in the sentence
    end: int  # behind the last one
    text: str  # as it was said


@dataclass(frozen=True, slots=True)
class Sentence:
    """What was said, read once."""

    text: str
    language: str  # code of ISO 639-1
    values: tuple[Value, ...]  # in order; they do not overlap
    masked: str  # the text, lower case, each value as {kind}: "what is {percent} of {number}"
