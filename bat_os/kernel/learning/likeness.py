"""Whether a request is one that a known function was written for, as the trained scorer sees it.

    "Convert a number celsius to fahrenheit."    20          the request, with its values
    "convert {number} celsius to fahrenheit"     0.98        what a function was written for
    "convert {number} fahrenheit to celsius"     0.01

The words of the request are the sentence, the wish of each function is its only wording
(``bat_os.sentence.scoring``). A function that would get the values in another order is none for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from bat_os.core.brief import goal, kinds, parameters
from bat_os.kernel.say.book import FIRST, read_book
from bat_os.method.shelf import Parameter
from bat_os.sentence.matching import Skill, Wording
from bat_os.sentence.phrasebook import Phrasebook, as_embedded
from bat_os.sentence.scoring import ASK, MISSED, read_scorer
from bat_os.sentence.wishes import name_kinds, parameters_of_line, put_values, word_wish

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.core.brief import Brief
    from bat_os.kernel.context import KernelContext
    from bat_os.sentence.matching import Match
    from bat_os.sentence.reading import Sentence

# From here on two requests are one. Of 834 rewordings 61 are known so, and of 818 requests that
# only sound alike 6 (docs/benchmarks.md); a person who names a message means a certain one.
REUSE: Final = 0.92
NEAR: Final = ASK / MISSED  # from here on a function speaks for its answer without an example
# From here on a model is asked whether they are one: a third of such pairs are.
OPEN: Final = 0.2
NEVER: Final = 0.02  # below, a function is of no use to a writer either


class Written(NamedTuple):
    """What a known function was written for."""

    wish: str
    line: str  # its ``def`` line
    kinds: Sequence[str] = ()  # of its arguments, as ``core.brief.kinds`` names them


async def weigh(mind: KernelContext, brief: Brief, known: Sequence[Written]) -> list[float]:
    """Return for each known function the probability that a brief asks for it."""
    if not known:
        return []
    given = dict(
        zip((*parameters(brief), *brief.kwargs), (*brief.args, *brief.kwargs.values()), strict=True)
    )
    asked = put_values(goal(brief), name_kinds(given, kinds(brief)), given)
    wordings = [_wording(each) for each in known]
    # Clones have the same methods, under the same wishes.
    once = [*{each.skill: each for each in wordings}.values()]
    texts = [asked.masked, *(each.masked for each in once)]
    vectors = await mind.catalog.embed([as_embedded(text) for text in texts])
    ranked = await asyncio.to_thread(_rank, asked, once, vectors)
    chances = {
        match.wording.skill: round(chance, 4)
        for match, chance in ranked
        if _in_order(match, [*given.values()])
    }
    return [chances.get(each.skill, 0.0) for each in wordings]


def weight_of(chance: float) -> float | None:
    """Return what a known function counts for, beside candidates that a model wrote.

    Returns:
        As a share of these: 1 for the same request, less for one that may be the same; 0 where
        only an example can speak for it, and None where it is of no use.
    """
    if chance >= REUSE:
        return 1.0
    return None if chance < NEVER else chance * 0.6 if chance >= NEAR else 0.0


def _wording(written: Written) -> Wording:
    """Return a wish as the only wording of its function, which needs no value but those named."""
    names = [each for each, _ in parameters_of_line(written.line)]
    slots = name_kinds(names, written.kinds)
    text = word_wish(written.wish, [*slots.items()])
    named = {each: kind or "number" for each, kind in slots.items() if f"{{{each}}}" in text}
    parameters = tuple(Parameter(each, named.get(each, ""), each in named) for each in names)
    skill = Skill("", text, parameters, "verified")
    return Wording.make(skill, text, FIRST, named, {})


def _rank(
    asked: Sentence, wordings: Sequence[Wording], vectors: NDArray[np.float32]
) -> list[tuple[Match, float]]:
    book = Phrasebook(wordings, vectors[1:], FIRST, base=read_book(FIRST).lexicon)
    return read_scorer().rank(book.find(book.ask(asked, vectors[0])))


def _in_order(match: Match, given: Sequence[object]) -> bool:
    names = [each.name for each in match.wording.skill.parameters]
    pairs = zip(names, given, strict=False)
    return all(name not in match.filled or match.filled[name] == value for name, value in pairs)
