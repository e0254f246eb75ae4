"""The phrases of a request, and which of them is surely what it is about.

    "call a cab to the old opera, please"   >  "a cab", "the old opera"  >  the old opera
    "what does one share of Apple cost"     >  "Apple", "cost"           >  Apple

The words that a tool says of itself are left out: a request for it says them again. Pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bat_os.image.facts import is_small
from bat_os.kernel.agent.choosing import stems_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Span = tuple[int, int]

_PIECE: Final = re.compile(r"[^\s,;:?!]+")
_OPENS: Final = frozenset(
    {
        *("the", "a", "an", "my", "our", "his", "her", "their", "your", "der", "die", "das", "den"),
        *("dem", "ein", "eine", "einen", "mein", "meine", "le", "la", "les", "un", "une", "el"),
        *("los", "las", "una", "mi"),
    }
)
_PREPOSITIONS: Final = frozenset(
    {
        *("in", "at", "for", "by", "of", "from", "into", "with", "about", "up", "auf", "bei"),
        *("nach", "aus", "mit", "en", "pour", "chez", "con", "para", "f\u00fcr"),
    }
)
_APART: Final = frozenset(  # behind a phrase, and no part of it
    {
        *("up", "down", "off", "on", "out", "over", "away", "back", "again", "now", "please"),
        *("today", "tonight", "tomorrow", "too"),
    }
)
_TO: Final = frozenset({"to", "zu"})  # before a noun, or a verb
_JOINS: Final = frozenset({"and", "of", "und", "von", "et", "de", "y"})
_OF: Final = frozenset({"of", "von", "de"})
# How surely a phrase is what a request is about; of several that are as sure, none is.
_CALLED, _BEHIND, _NOUN = 3, 2, 1


def own_words(said: Sequence[str]) -> frozenset[str]:
    """Return the stems of a tool's own words: of what it does, and of the requests that it served.

    What such a request was about is none of them: the next one may be about the same.

    >>> sorted(own_words(["Say what the weather is.", "is it cold in Oslo"]))
    ['cold', 'say', 'weather']
    """
    about, *served = said
    own = stems_of(about)
    for request in served:
        rest = request
        for start, end in sorted(phrases_of(request, (), own), reverse=True):
            if _firmness(request, start, end):
                rest = f"{rest[:start]}{rest[end:]}"
        own |= stems_of(rest)
    return own


def phrases_of(text: str, named: Sequence[Span], own: frozenset[str]) -> Iterator[Span]:
    """Yield where the phrases of a request are, without what it names and a tool's own words.

    >>> request = "switch off everything in the bedroom"
    >>> own = stems_of("Switch lights on or off")
    >>> [request[a:b] for a, b in phrases_of(request, (), own)]
    ['everything', 'the bedroom']
    """
    phrase: list[tuple[int, int, str]] = []
    end_before = 0
    for match in [*_PIECE.finditer(text), None]:
        start, end = match.span() if match else (len(text), len(text))
        bare = text[start:end].strip(".\"'()")
        word = bare.casefold()
        breaks = match is None or text[end_before:start].strip() != ""
        breaks = breaks or any(a < end and start < b for a, b in named)
        opened = bool(phrase) and phrase[0][2] in _OPENS
        inside = opened and phrase[-1][2] not in _OPENS
        known = bool(stems_of(word) & own) and not inside  # "the living room"
        idle = (is_small(word) or known or word in _APART | _PREPOSITIONS) and (
            word not in _OPENS | _JOINS
        )
        if idle or breaks or _begins_anew(text, phrase, bare, own):
            yield from _trimmed(phrase)
            phrase = []
        if match and not idle and not any(a < end and start < b for a, b in named):
            at = text.index(bare, start) if bare else start
            phrase.append((at, at + len(bare), word))
        end_before = end


def firmest(text: str, phrases: Sequence[Span]) -> Span:
    """Return the phrase that is surer than all others to be what a request is about, or (0, 0)."""
    ranked = sorted(((_firmness(text, *one), one) for one in phrases), reverse=True)
    if not ranked or not ranked[0][0] or (len(ranked) > 1 and ranked[0][0] == ranked[1][0]):
        return 0, 0
    return ranked[0][1]


def _begins_anew(
    text: str, phrase: Sequence[tuple[int, int, str]], bare: str, own: frozenset[str]
) -> bool:
    """Return whether a word is the first one of another phrase: an article, or a name ends."""
    if not phrase:
        return False
    word, before = bare.casefold(), phrase[-1]
    if word in _OPENS:
        return before[2] not in _JOINS
    if before[2] in _OF and any(stems_of(one) & own for _, _, one in phrase):
        return True  # "the price of Nokia"
    here = bare[:1].isupper()
    if before[2] in _OPENS | _JOINS:
        return here and before[2] in _OF and phrase[0][2] not in _OPENS
    named = text[before[0]].isupper() and before[0] > 0
    opened = phrase[0][2] in _OPENS
    return (named and not here) or (here and not named and not opened)


def _firmness(text: str, start: int, end: int) -> int:
    """Return how surely a phrase is one of a noun: "Mr. Lopez", "in Lima", "the pharmacy"."""
    words = text[start:end].split()
    before = "".join(text[:start].split()[-1:]).casefold()
    opened = words[0].casefold() in _OPENS and len(words) > 1
    if any(word[:1].isupper() for word in words[not start :]):
        return _CALLED
    if before in _PREPOSITIONS or (before in _TO and opened):
        return _BEHIND
    return _NOUN if opened or before in _TO else 0


def _trimmed(phrase: list[tuple[int, int, str]]) -> Iterator[Span]:
    while phrase and (phrase[-1][2] in _OPENS | _JOINS or _is_adverb(phrase)):
        phrase.pop()
    while phrase and phrase[0][2] in _JOINS:
        phrase.pop(0)
    if phrase:
        yield phrase[0][0], phrase[-1][1]


def _is_adverb(phrase: Sequence[tuple[int, int, str]]) -> bool:
    """Return whether a phrase without an article ends in one: "gateway lately"."""
    return len(phrase) > 1 and phrase[0][2] not in _OPENS and phrase[-1][2].endswith("ly")
