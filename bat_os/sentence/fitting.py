"""What a wording takes of a sentence, and what it leaves out although it changes the meaning.

    how many days are left in this month    days_left_in_year()         leaves "month"
    the sum from 1 to 10 except 5           sum_up_to(10)               leaves "except" and 5
    my oven knows only celsius, 300 F?      convert(300, F, C)          leaves nothing that counts

Some kinds of values serve a parameter of another kind, at a cost. Of what is left, a name or a noun
may be of the situation. A number, a unit, a period, an order, a comparison or a negation asks for
something else, or for a part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.sentence.language import fold, speak
from bat_os.sentence.values import as_kind, lies_outside

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.terms import Term
    from bat_os.sentence.values import Value

# kind of a parameter -> kinds of values that fill it (``as_kind``), and what that costs
FITS: Final[Mapping[str, Mapping[str, float]]] = {
    "number": {"number": 0.0, "money": 0.2, "expression": 0.3, "percent": 0.4, "date": 0.6},
    "percent": {"percent": 0.0, "number": 0.3, "expression": 0.5},
    "expression": {"expression": 0.0, "number": 0.3, "percent": 0.3},
    "money": {"money": 0.0, "number": 0.1, "expression": 0.3},
    "unit": {"unit": 0.0},
    "date": {"date": 0.0},
    "time": {"time": 0.0},
    "text": {
        "text": 0.0, "name": 0.2, "address": 0.2, "date": 0.5, "time": 0.5, "number": 0.5,
        "expression": 0.5, "percent": 0.6, "money": 0.6, "list": 0.7, "unit": 0.7,
        "map": 0.7,
    },
    "name": {"name": 0.0, "text": 0.2},
    "list": {"list": 0.0, "number": 0.7},
    "map": {"map": 0.0},
    "path": {"path": 0.0, "text": 0.3},
    "address": {"address": 0.0, "text": 0.3, "name": 0.3},
}  # fmt: skip
FREE: Final = frozenset({"text", "name", "address"})  # kinds that the remaining words may fill


def cost_of(kind: str, value: Value) -> float | None:
    """Return what it costs to give a value to a parameter of a kind; None if it does not fit.

    A file or a page is not the text of its name: who asks for its lines means what it holds.
    """
    if kind == "text" and lies_outside(value):
        return None
    return FITS.get(kind, {}).get(value.kind)


def convert(kind: str, value: Value) -> Any:
    """Return a value as a parameter of a kind gets it: of an amount of money the bare number.

    Raises:
        ArgumentsError: It cannot serve there.
    """
    if kind == "money":
        return as_kind(value, "number")
    return as_kind(value, kind)


def find_left(
    sentence: Sentence, unread: Iterable[Term], own_words: Collection[str]
) -> tuple[str, ...]:
    """Return what changes the meaning, among the terms of a sentence that serve no reading.

    Args:
        sentence: What was said.
        unread: Its terms that neither fill a slot nor stand in the wording.
        own_words: Stems that wordings of the skill have.
    """
    found: list[str] = []
    for term in unread:
        if term.value is not None:
            found += [term.value.text] * (term.value.kind != "name")
        elif term.stem not in own_words:
            word = sentence.text[term.start : term.end]
            found += [word] * limits(word, sentence.language)
    return tuple(found)


def limits(word: str, language: str) -> bool:
    """Return whether a word changes of what a sentence speaks: before, without, month, second."""
    spoken, low = speak(language), fold(word)
    if len(low) == 1:
        return False
    known = (spoken.limits, spoken.phrases("units"), spoken.phrases("ordinals"))
    return any(low in each for each in known)
