"""English words that say little by themselves, and words without their plural."""

from __future__ import annotations

from typing import Final


def word_set(words: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(words.split())


ARTICLES: Final = frozenset({"a", "an", "the"})
PREPOSITIONS: Final = word_set(
    "of to in on at for from with by into onto between about using through over"
)


def singular(word: str) -> str:
    """Return a word without its plural.

    >>> singular("words"), singular("class"), singular("is")
    ('word', 'class', 'is')
    """
    plural = len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))
    return word[:-1] if plural else word
