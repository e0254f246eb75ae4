"""What a reading of a sentence leaves out although it changes what the sentence means.

    how many days are left in this month    days_left_in_year()         leaves "month"
    the sum from 1 to 10 except 5           sum_up_to(10)               leaves "except" and 5
    my oven knows only celsius, 300 F?      convert(300, F, C)          leaves nothing that counts

A name or a noun may be of the situation. A number, a unit, a period, an order, a comparison or a
negation that is left asks for something else, or for a part of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bat_os.sentence.language import fold, speak

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bat_os.sentence.reading import Sentence
    from bat_os.sentence.terms import Term


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
