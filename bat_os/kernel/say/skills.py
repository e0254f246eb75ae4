"""Which skill a sentence means: the library and what was learned, ranked by one trained scorer.

    sentence > vector > wordings of the library (by words, by vector)  ┐
                      > learned methods (by the catalog's search)      ┴> matches > probabilities
        > one short transaction: is it there still, does it take these values? > Candidates

The wordings of the library come with the program. Those of a learned method are its wish and what
people have confirmed since. A provisional method is found by the very words that it was written
for, and by no others.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bat_os.core.brief import goal
from bat_os.errors import DamagedError
from bat_os.image.objects import Method
from bat_os.image.shipped import SHIPPED
from bat_os.kernel.say.book import FIRST, read_book, read_vectors
from bat_os.kernel.say.wordings import confirmed
from bat_os.method.shelf import Parameter
from bat_os.method.text import find_forwarded, is_pure
from bat_os.natives.table import SERVERS
from bat_os.sentence import scoring
from bat_os.sentence.clauses import tells
from bat_os.sentence.matching import FEATURES, Skill, Wording
from bat_os.sentence.phrasebook import Phrasebook, as_embedded
from bat_os.sentence.reading import read_sentence
from bat_os.sentence.values import lies_outside
from bat_os.sentence.wishes import name_kinds, parameters_of_line, word_wish

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from numpy.typing import NDArray

    from bat_os.core.brief import Brief
    from bat_os.image.catalog import Passage
    from bat_os.kernel.context import KernelContext
    from bat_os.sentence.matching import Match
    from bat_os.sentence.reading import Sentence

    Root = MutableMapping[str, Any]
    Floats = NDArray[np.float32]

MOST: Final = 5
LIKE_NOTHING: Final = 0.25  # probability below which a sentence is like no wording
# Probability that two readings leave which differ: just too little to act on.
UNSURE: Final = 0.99 * (1 - scoring.ASK / scoring.WRONG)
LEARNED: Final = 12  # learned methods that are looked at
_SAYABLE: Final = (int, float, str, list)  # types of values that a sentence can name
# Share of the words of a sentence times that of a wording's. Of 37 everyday sentences that ask
# nothing by their words, those that were read right have 0.5 and more, the others 0.35 and less.
COMMON: Final = 0.4
_EXACT, _SAID, _WORDED = (FEATURES.index(name) for name in ("exact", "said", "worded"))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A skill that a sentence may mean, with the values that it gets."""

    target: str
    selector: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    probability: float  # calibrated: that this is what was meant
    reading: str  # "percent_of(17, 340)"
    changes: bool  # the method changes the image
    status: str  # shipped, primitive, taught, verified or provisional
    wording: str  # the wording that it was found by
    is_served: bool = False  # a program outside answers it
    left: tuple[str, ...] = ()  # what was said that changes the meaning, and is not read
    in_part: bool = False  # the sentence and the wording have less than COMMON in common


def decide(found: Sequence[Candidate]) -> scoring.Decision:
    """Return what costs least; see ``bat_os.sentence.scoring.decide``.

    A reading that leaves out what changes the meaning is asked about, however likely it is; and so
    is one that a sentence shares few words with which asks nothing: "had a cup of coffee, finally".
    """
    decision = scoring.decide([(each.probability, each.changes) for each in found])
    return "ask" if decision == "act" and found[0].left else decision


def agree(whole: Sequence[Candidate], asking: Sequence[Candidate], given: int) -> list[Candidate]:
    """Return the skills of two readings of a sentence of several clauses, the best first.

    Two readings that end in the same message are surer than one: 1 - (1 - p)(1 - q). Where they
    differ, or leave out some of the ``given`` values, neither is sure; unless the whole sentence is
    like nothing that is known.
    """
    if not whole or not asking:
        return [*whole, *asking]
    first, second = whole[0], asking[0]
    same = first.reading == second.reading and first.target == second.target
    complete = len(second.args) + len(second.kwargs) >= given
    if same and complete:
        both = 1 - (1 - first.probability) * (1 - second.probability)
        return [replace(first, probability=round(both, 4)), *whole[1:]]
    if first.probability < LIKE_NOTHING and complete:
        return [*asking]
    order = sorted((first, second)[same:], key=lambda each: -each.probability)
    return [replace(each, probability=min(each.probability, UNSURE)) for each in order]


async def find_candidates(
    mind: KernelContext, sentence: Sentence, vector: Floats | None = None, receiver: str = ""
) -> list[Candidate]:
    """Return what a sentence may mean, best first, at most MOST.

    Args:
        mind: The kernel.
        sentence: As it was read.
        vector: Of ``as_embedded(sentence.masked)``, if it is there already.
        receiver: Name of the object that has to understand it; "" for any.
    """
    asked = as_embedded(sentence.masked)
    if vector is None:
        vector = (await mind.catalog.embed([asked]))[0]
    seeing = await mind.catalog.knows(await asyncio.to_thread(read_vectors))
    learned = await _find_learned(mind, asked)
    texts = [as_embedded(wording.masked) for wording in learned]
    rows = await mind.catalog.embed(texts)
    matches = await asyncio.to_thread(_match, sentence, vector, seeing, learned, rows)
    if (own := await confirmed(mind)) is not None:
        matches += own.find(own.ask(sentence, vector))
    outside = [value.value for value in sentence.values if lies_outside(value)]
    ranked = [
        (match, chance)
        for match, chance in scoring.read_scorer().rank(matches)
        if all(value in match.filled.values() for value in outside)
    ]
    found = await mind.image.transact(
        lambda root: _check(root, ranked, receiver), note="look at the skills found"
    )
    if any(each.in_part for each in found) and await asyncio.to_thread(tells, sentence):
        found = [replace(c, left=(*c.left, sentence.text)) if c.in_part else c for c in found]
    return found


async def search_library(mind: KernelContext, words: str, limit: int) -> list[dict[str, Any]]:
    """Return methods of the library by what they do, as ``find`` shows them, nearest first.

    Values in the words do not matter, so unlike ``find_candidates`` this finds what lacks some.
    """
    sentence = read_sentence(words, dt.datetime.now().astimezone())
    book = await asyncio.to_thread(read_book, sentence.language)
    vector = (await mind.catalog.embed([as_embedded(sentence.masked)]))[0]
    near = book.vectors @ vector
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for at in np.argsort(-near, kind="stable")[: 20 * limit].tolist():
        wording = book.wordings[at]
        skill = wording.skill
        names = ", ".join(each.name for each in skill.parameters)
        found.setdefault(
            (skill.target, skill.selector),
            {
                "object": skill.target, "selector": skill.selector, "wish": wording.text,
                "signature": f"{skill.selector}({names})", "similarity": round(float(near[at]), 4),
            },
        )  # fmt: skip

    def check(root: Root) -> list[dict[str, Any]]:
        looked = [(key, _look_up(root, *key)) for key in found]
        return [found[key] | {"status": about[0]} for key, about in looked if about is not None]

    return (await mind.image.transact(check, note="look at the skills found"))[:limit]


def _match(
    sentence: Sentence, vector: Floats, seeing: bool, learned: Sequence[Wording], rows: Floats
) -> list[Match]:
    matches: list[Match] = []
    for language in dict.fromkeys((sentence.language, FIRST)):
        book = read_book(language)
        matches += book.find(book.ask(sentence, vector if seeing else None))
    if learned:
        base = read_book(FIRST).lexicon
        own = Phrasebook(learned, rows, sentence.language, base=base)
        matches += own.find(own.ask(sentence, vector))
    return matches


async def _find_learned(mind: KernelContext, asked: str) -> list[Wording]:
    """Return wordings of the learned methods that are nearest."""
    hits = await mind.catalog.search((asked,), top_k=LEARNED, kind="method")
    if not hits:
        return []
    return await mind.image.transact(
        lambda root: [wording for hit in hits for wording in _wordings_of(root, hit)],
        note="read the wordings of learned skills",
    )


def _wordings_of(root: Root, hit: Passage) -> list[Wording]:
    meta = root["knowledge_catalog"].meta(hit.doc_id)
    holder = root["objects"].get(meta.get("object", ""))
    method = holder.slots.get(meta["selector"]) if holder is not None else None
    if not isinstance(method, Method) or method.current < 0:
        return []
    selector = find_forwarded(meta["source"], method.selector) or method.selector
    named = parameters_of_line(hit.signature)
    kinds = name_kinds([name for name, _ in named], meta.get("kinds") or ())
    text = word_wish(hit.wish, [*kinds.items()])
    parameters = tuple(Parameter(name, kinds[name] or "number", needed) for name, needed in named)
    skill = Skill(holder.name, selector, parameters, method.versions[method.current].status)
    slots = {each.name: each.kind for each in parameters}
    named_too = text  # "frobnicate {number}" is also said as "frobnicate the number {number}"
    for name, kind in slots.items():
        named_too = named_too.replace(f"{{{name}}}", f"the {kind} {{{name}}}")
    said = dict.fromkeys((text, named_too))
    return [Wording.make(skill, each, FIRST, slots, {}) for each in said]


def _check(root: Root, ranked: Sequence[tuple[Match, float]], receiver: str) -> list[Candidate]:
    """Return the candidates that the image understands, with the values that they take."""
    found: list[Candidate] = []
    for match, chance in ranked:
        if len(found) == MOST:
            break
        skill = match.wording.skill
        needed = {each.name for each in skill.parameters if each.required}
        target = receiver or skill.target
        about = _look_up(root, target, skill.selector)
        if about is None or needed - set(match.filled):
            continue
        status, changes, is_served = about
        if status == "provisional" and not match.features[_EXACT]:
            continue
        args, kwargs = match.call()
        shown = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        found.append(
            Candidate(
                target,
                skill.selector,
                args,
                kwargs,
                round(chance, 4),
                f"{skill.selector}({', '.join(shown)})",
                changes,
                status,
                match.wording.text,
                is_served,
                match.left,
                match.features[_SAID] * match.features[_WORDED] < COMMON,
            )
        )
    return found


def _look_up(root: Root, target: str, selector: str) -> tuple[str, bool, bool] | None:
    """Return status of a method, and whether it changes the image, and whether a server answers it.

    None if it does not answer.
    """
    holder = root["objects"].get(target)
    held = holder.lookup(selector) if holder is not None else None
    method = held[1] if held is not None else None
    if not isinstance(method, Method):
        return None
    if method.primitive:
        if "." not in method.primitive:
            return "primitive", True, False
        return SHIPPED, False, method.primitive.startswith(f"{SERVERS}.")
    try:
        status, source = method.status, method.version.source
    except DamagedError:
        return None
    return status, not is_pure(source, selector), False


async def read_as_said(mind: KernelContext, brief: Brief) -> dict[str, float]:
    """Return how likely functions of the library are meant by a message's name and values.

    ``calculate_fibonacci(10)`` is "calculate fibonacci of 10", read as if a person had said it,
    among all wordings. The functions by their selectors; {} if nobody would act on such words.
    """
    given = [*brief.args, *brief.kwargs.values()]
    if not all(type(value) in _SAYABLE for value in given):
        return {}
    name, values = goal(brief).rstrip("."), " and ".join(map(repr, given))
    told: list[Candidate] = []
    for link in (" of ", " ") if given else ("",):
        now = dt.datetime.now().astimezone()
        sentence = await asyncio.to_thread(read_sentence, f"{name}{link}{values}", now)
        found = await find_candidates(mind, sentence)
        if decide(found) == "act" and [*found[0].args, *found[0].kwargs.values()] == given:
            told = max(told, found, key=lambda each: each[0].probability if each else 0.0)
    return {each.selector: each.probability for each in told}
