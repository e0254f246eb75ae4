"""When two wishes are one: nothing that is said in only one of them turns it into another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bat_os.sentence.concepts import TURNS
from bat_os.sentence.likeness import is_same_wish
from bat_os.sentence.parts import take_apart
from bat_os.sentence.words import word_set

if TYPE_CHECKING:
    from bat_os.sentence.parts import Parts

# What a value is called, where there is one.
VALUES: Final = word_set("number text list dictionary value array string item name")


def is_the_same(wish: str, known: str, *, values: int) -> bool:
    """Return True when no word sets two wishes of like meaning apart.

    Args:
        wish: With words in place of values: "count the vowels in a text".
        known: The other one.
        values: How many values either comes with.

    >>> is_the_same("Compute the yearly payment.", "Compute the monthly payment.", values=0)
    False
    >>> is_the_same("Count the vowels in a text.", "How many vowels has a text?", values=1)
    True
    """
    asked, told = take_apart(wish, values=values), take_apart(known, values=values)
    said, heard = set(asked.concepts) - VALUES, set(told.concepts) - VALUES
    is_exchanged = bool(said - heard) and bool(heard - said)
    return is_same_wish(wish, known) and is_one_wish(asked, told) and not is_exchanged


def is_one_wish(asked: Parts, known: Parts) -> bool:
    """Return True when no word sets the wishes apart."""
    first, second = set(asked.concepts), set(known.concepts)
    return (
        asked.asks_whether == known.asks_whether
        and not _goes_elsewhere(asked, known)
        and asked.actions == known.actions
        and not ("count" in asked.actions and asked.objects & VALUES - known.objects)
        and not (first ^ second) & TURNS
        and is_same_wish(" ".join(sorted(first - VALUES)), " ".join(sorted(second - VALUES)))
    )


def _goes_elsewhere(asked: Parts, known: Parts) -> bool:
    """Return True for "hex to rgb" where the skill goes from rgb to hex."""
    if asked.target and known.target and asked.target != known.target:
        return asked.target in known.concepts
    turned = ((asked.source, known.target), (known.source, asked.target))
    return any(one and one == other for one, other in turned)
