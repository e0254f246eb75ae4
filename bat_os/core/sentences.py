"""What of a model's talk is kept: whole sentences, said once, without marks of its own.

Small models run in circles and end in the middle of a sentence. What is kept depends on the
text alone, so it is the same however soon the drawing was stopped after the first circle.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NGRAM: Final = 5  # words that come a second time are a circle
UNIT: Final = 4  # or up to so many words TIMES times in a row
TIMES: Final = 3
ECHO: Final = 0.8  # share of a sentence's words that another one had
_END: Final = re.compile(r"[.!?][\"')\]]*(?=\s|\Z)")
_LABEL: Final = re.compile(r"\A(?:[A-Z]{3,12}|Answer|Response|Assistant)\s*:\s*")
_BULLET: Final = re.compile(r"\A(?:[-*•]|\d+[.)])\s+(?=\S)")
_MARK: Final = re.compile(r"\s*\[\d+(?:\s*,\s*\d+)*\]")
# A full stop after these, after a single letter or a number in a list ends no sentence.
_SHORT: Final = re.compile(
    r"(?:\A|[\s(])(?:e\.g|i\.e|etc|vs|cf|approx|Dr|Mr|Mrs|Ms|St|[A-Z])\.\Z|\A\d+\.\Z"
)


def find_circle(text: str) -> int:
    """Return where the first repetition begins, or -1.

    >>> find_circle("a list is a list is a list is it"), find_circle("no no, it is fine")
    (10, -1)
    """
    found = list(re.finditer(r"\S+", text))
    words = [one[0].casefold().strip(".,;:!?\"'") for one in found]
    seen: set[tuple[str, ...]] = set()
    for place in range(len(words)):
        if unit := _repeated_until(words, place):
            return found[place + 1 - (TIMES - 1) * unit].start()
        gram = tuple(words[place + 1 - NGRAM : place + 1]) if place + 1 >= NGRAM else ()
        if gram and gram in seen:
            return found[place + 1 - NGRAM].start()
        seen.add(gram)
    return -1


def _repeated_until(words: Sequence[str], place: int) -> int:
    """Return the length of a unit that ends here for the TIMES-th time in a row, or 0."""
    for unit in range(1, UNIT + 1):
        begin = place + 1 - TIMES * unit
        if begin < 0:
            return 0
        part = words[place + 1 - unit : place + 1]
        if all(words[begin + k * unit : begin + (k + 1) * unit] == part for k in range(TIMES)):
            return unit
    return 0


def split(text: str) -> list[str]:
    """Return the whole sentences of a text; what has no end is left out.

    >>> split('It is so, e.g. here. "Yes!" And the')
    ['It is so, e.g. here.', '"Yes!"']
    """
    sentences, begin = [], 0
    for end in _END.finditer(text):
        sentence = text[begin : end.end()].strip()
        if _SHORT.search(sentence):
            continue
        begin = end.end()
        if re.search(r"\w", sentence):
            sentences.append(_BULLET.sub("", sentence))
    return sentences


def keep(text: str, most: int, before: Sequence[str] = (), question: str = "") -> list[str]:
    """Return the sentences that are kept of what a model wrote.

    Args:
        text: As it was drawn.
        most: How many sentences at most.
        before: Sentences that were said already; what only says one of them again is left out.
        question: What was asked; asking it again is no answer.
    """
    told = _cleaned(text)
    circle = find_circle(told)
    kept: list[str] = []
    # One more than wanted: where ``is_enough`` had it stop, there may be more or less behind it.
    for sentence in split(told if circle < 0 else told[:circle])[: most + 1]:
        asked_again = sentence.endswith("?") and _echoes(sentence, question)
        if not asked_again and not any(_echoes(sentence, said) for said in (*before, *kept)):
            kept.append(sentence)
    return kept[:most]


def is_enough(text: str, most: int) -> bool:
    """Say whether nothing that is drawn from here on would be kept; the last word may go on."""
    whole = _cleaned(re.sub(r"\S*\Z", "", text))
    return find_circle(whole) >= 0 or len(split(whole)) > most


def _cleaned(text: str) -> str:
    return " ".join(_MARK.sub("", _LABEL.sub("", text.strip())).split())


def _echoes(sentence: str, said: str) -> bool:
    words, known = (set(re.findall(r"\w+", one.casefold())) for one in (sentence, said))
    return len(words & known) >= ECHO * len(words)
