"""Laws that the answers of a method keep, by what was wished for: to sort twice is to sort once.

A law needs no example. It is read from the words of the wish, so one that is broken is a reason to
doubt, and proves nothing.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.choosing import meaning

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[[Any], Awaitable[Any]]

ORDER: Final = "the order of the values does not matter"
TWICE: Final = "doing it twice is doing it once"
LENGTH: Final = "the length stays"
INVERSE: Final = "doing it twice undoes it"
_LAWS: Final = (
    (ORDER, r"\b(sum|total|average|mean|median|maximum|minimum|largest|smallest|biggest|highest|"
            r"lowest|sort(ed)?|product)\b"),
    (TWICE, r"\b(sort(ed)?|strip|trim|unique|duplicates?|lower ?case|upper ?case|capitali[sz]e|"
            r"absolute|normali[sz]e)\b"),
    (LENGTH, r"\b(sort(ed)?|reverse[ds]?|upper ?case|lower ?case|swap ?case)\b"),
    (INVERSE, r"\b(reverse[ds]?|swap ?case|negate|opposite)\b"),
)  # fmt: skip
# The words of a law do not mean it where something is counted, compared or taken from it.
_ELSE: Final = re.compile(
    r"\b(count|how many|whether|check|is|are|difference|index|position|words?|each|every|second|"
    r"third|and)\b",
    re.IGNORECASE,
)


def laws_of(wish: str) -> tuple[str, ...]:
    """Return the laws that a method with one argument should keep, by what it was wished for.

    >>> laws_of("Reverse a text.")
    ('the length stays', 'doing it twice undoes it')
    >>> laws_of("Count the words of the sorted list.")
    ()
    """
    if _ELSE.search(wish):
        return ()
    return tuple(law for law, words in _LAWS if re.search(words, wish, re.IGNORECASE))


async def find_broken(wish: str, value: Any, ask: Ask) -> str:
    """Return the first law that a method breaks at ``value``, or "".

    ``ask`` gives its answer to an argument; what it raises ends the look.
    """
    for law in laws_of(wish):
        if not await _keeps(law, value, ask):
            return law
    return ""


async def _keeps(law: str, value: Any, ask: Ask) -> bool:
    """Return whether a law holds at a value, or says nothing of it."""
    answer = await ask(value)
    if law == ORDER:
        is_list = isinstance(value, list) and len(value) > 1
        return not is_list or meaning(await ask(value[::-1])) == meaning(answer)
    if type(answer) is not type(value):
        return True
    if law == LENGTH:
        return not isinstance(value, str | list) or len(answer) == len(value)
    wanted = answer if law == TWICE else value
    return meaning(await ask(answer)) == meaning(wanted)
