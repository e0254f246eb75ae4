"""When two readings of a sentence ask for the same.

Names of one wish differ in how the asker asks and in how words are bent; neither counts:

    report_current_system_time  =  current_system_time  =  getCurrentSystemTime
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bat_os.sentence.words import ARTICLES, singular, word_set

if TYPE_CHECKING:
    from bat_os.sentence.translate import Translated

# Words that say how the asker asks, not what for; prepositions tell "from" and "to" apart.
_ASKING: Final = (
    ARTICLES
    | word_set("get find calculate compute determine report return say tell show give print")
    | word_set("what which who how whether if is are was were does do check of in me it")
)
_PART: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")


def name_words(selector: str) -> list[str]:
    """Return the words of a selector that count, in order, without their plural.

    >>> name_words("reportCurrentTimes"), name_words("is_it")
    (['current', 'time'], ['is', 'it'])
    """
    words = [word.lower() for word in _PART.findall(selector)]
    kept = [singular(word) for word in words if word not in _ASKING]
    return kept or words


def is_same_name(one: str, other: str) -> bool:
    """Return True when two selectors name the same wish.

    >>> is_same_name("calculate_factorial", "factorial"), is_same_name("add", "subtract")
    (True, False)
    """
    return name_words(one) == name_words(other)


def is_same_message(one: Translated, other: Translated) -> bool:
    """Return True when two readings go to one object, under one name, with the same values."""
    return (
        one.target == other.target
        and is_same_name(one.selector, other.selector)
        and (one.args, one.kwargs, one.examples) == (other.args, other.kwargs, other.examples)
    )
