"""Facts in the image: what a person has said to remember.

    root["facts"]          id -> an object whose slots are those of ``Fact``
    root["facts_by_day"]   ISO date, or "--05-03" for each year -> ids
    root["facts_by_word"]  stem -> ids

Each fact that recall may find is a passage of the knowledge catalog too, of the kind ``fact``. A
fact that was forgotten or replaced loses its passage and its entries here and stays an object,
so history and ``undo`` have it.

All functions work on the root inside ``ImageStore.transact``.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOTreeSet

from bat_os.image import missions
from bat_os.image.catalog import catalog_in
from bat_os.image.facts import Fact, is_yearly, names_of, words_of
from bat_os.image.objects import UvmObject, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.image.knowledge.shelf import SegmentCache

    Root = MutableMapping[str, Any]

FACTS: Final = "facts"
BY_DAY: Final = "facts_by_day"
BY_WORD: Final = "facts_by_word"
KIND: Final = "fact"
TITLE: Final = "memory"
NEAREST: Final = 20  # passages that are looked at for one question
RARE: Final = 3  # facts that share a word which links them
MAX_NEIGHBOURS: Final = 3
MAX_CHAIN: Final = 100  # facts that replaced each other
MAX_DAYS: Final = 400
# Weight of the words beside the cosine, and the bars of what comes out, from the 40 questions of
# tests/cases/facts.toml. "My mother's birthday" comes as near to "my sister's birthday" as "born"
# to "birthday", so a fact is certain only if it has most words of the question, or its names.
WORDS: Final = 0.35
CERTAIN: Final = 0.8  # score from which a fact with the names of the question is certain
CERTAIN_WORDS: Final = 0.6  # part of the question's words, by weight, if it has no names
CERTAIN_SCORE: Final = 0.65
NEAR: Final = 0.5
OTHER_NAME: Final = 0.2  # what a fact loses that lacks a name of the question
_NAME: Final = re.compile(r"[\w.+/~-]+")


@dataclass(frozen=True, slots=True)
class Recalled:
    """A fact that a question found."""

    fact: Fact
    cosine: float  # of question and fact, -1 to 1
    score: float  # cosine, and how many of the question's words the fact has
    certain: bool  # False: it is the nearest that is known
    before: tuple[Fact, ...] = ()  # what it replaced, newest first
    neighbours: tuple[Fact, ...] = ()  # facts that share a rare word with it
    short: str = ""  # the part of the fact that answers, or ""


def keep(root: Root, fact: Fact, vector: NDArray[np.float32]) -> Fact:
    """Add a fact with its vector, ``(1, d)``; return it with its links."""
    fact = replace(fact, links=_links(root, fact.text))
    obj = UvmObject("", (root["objects"]["traits_obj"],))
    for name, value in fact.to_plain().items():
        obj.set_slot(name, value)
    tree_of(root, FACTS)[fact.id] = obj
    _enter(root, fact, vector)
    return fact


def fact_of(root: Mapping[str, Any], fact_id: str) -> Fact | None:
    """Return a fact, whatever became of it, or None."""
    obj = root.get(FACTS, {}).get(fact_id)
    return Fact.from_plain(fact_id, obj.slots) if isinstance(obj, UvmObject) else None


def facts_in(root: Mapping[str, Any], *, every: bool = False) -> Iterator[Fact]:
    """Yield the facts that are true now, the newest first; ``every`` one: all of them."""
    kept = root.get(FACTS, {})
    for fact_id in reversed(list(kept)):
        fact = fact_of(root, fact_id)
        if fact is not None and (every or is_live(fact)):
            yield fact


def is_live(fact: Fact) -> bool:
    """Return whether recall may find a fact."""
    return not (fact.hidden or fact.replaced_by)


def change(root: Root, fact_id: str, vector: NDArray[np.float32] | None, **slots: Any) -> None:
    """Set slots of a fact; what recall finds follows.

    Args:
        root: Of the image.
        fact_id: Of a fact.
        vector: Of its text, ``(1, d)``; needed if the fact is found again from now on.
        slots: ``hidden``, ``replaced_by`` or ``replaces``.
    """
    obj, before = root[FACTS][fact_id], fact_of(root, fact_id)
    for name, value in slots.items():
        obj.set_slot(name, value)
    after = fact_of(root, fact_id)
    if before is None or after is None or is_live(before) == is_live(after):
        return
    if is_live(after):
        if vector is not None:
            _enter(root, after, vector)
    else:
        _take_out(root, after)


def erase(root: Root, fact_id: str) -> None:
    """Remove a fact and all that finds it; ``change`` with ``hidden`` keeps it for history."""
    if (fact := fact_of(root, fact_id)) is not None:
        _take_out(root, fact)
    del root[FACTS][fact_id]


def supersede(root: Root, old: str, new: str) -> None:
    """Note that one fact is true instead of another one now."""
    fact = fact_of(root, new)
    if fact is not None and old != new and old in root[FACTS]:
        change(root, old, None, replaced_by=new)
        change(root, new, None, replaces=[*fact.replaces, old])


def _enter(root: Root, fact: Fact, vector: NDArray[np.float32]) -> None:
    meta = {
        name: value
        for name, value in fact.to_plain().items()
        if name not in ("id", "text", "links", "hidden", "replaced_by", "replaces") and value
    }
    catalog_in(root).leave(_doc_id(fact.id), TITLE, [fact.text], vector, kind="fact", meta=meta)
    for name, key in _keys(fact):
        tree = tree_of(root, name)
        if key not in tree:
            tree[key] = OOTreeSet()
        tree[key].insert(fact.id)


def _take_out(root: Root, fact: Fact) -> None:
    catalog_in(root).remove(_doc_id(fact.id))
    for tree, key in _keys(fact):
        held = tree_of(root, tree).get(key)
        if held is not None and fact.id in held:
            held.remove(fact.id)
            if not held:
                del root[tree][key]


def _keys(fact: Fact) -> Iterator[tuple[str, str]]:
    for day in fact.when:
        yield BY_DAY, day
        if is_yearly(fact.text):
            yield BY_DAY, f"--{day[5:10]}"
    for word in words_of(fact.text):
        yield BY_WORD, word


def rank_facts(
    root: Root, question: str, vector: NDArray[np.float32], cache: SegmentCache | None = None
) -> list[Recalled]:
    """Return the facts that answer a question or are near, best first.

    ``vector`` is the question's, ``(1, d)``. Cosines alone hardly tell what was said from
    what was not; words that few facts have do.
    """
    if not root.get(FACTS):
        return []
    found = catalog_in(root).search([question], vector, top_k=NEAREST, kind="fact", cache=cache)
    weights, names = _weigh_words(root, words_of(question)), set(names_of(question))
    ranked = []
    for passage in found:
        fact = fact_of(root, passage.doc_id.partition(":")[2])
        if fact is None or not is_live(fact):
            continue
        words, cosine = _coverage(weights, fact), passage.similarity
        lacks = not names <= set(words_of(fact.text))
        score = cosine + WORDS * words - OTHER_NAME * lacks
        sure = score >= CERTAIN if names else words >= CERTAIN_WORDS
        certain = sure and not lacks and score >= CERTAIN_SCORE
        if score >= NEAR:
            ranked.append(Recalled(fact, round(cosine, 4), round(score, 4), certain))
    ranked.sort(key=lambda one: (one.score, one.fact.id), reverse=True)  # of equals, the newest
    return [_with_others(root, one) for one in ranked]


def _with_others(root: Root, found: Recalled) -> Recalled:
    before = tuple(history_of(root, found.fact.id))
    return replace(found, before=before, neighbours=tuple(neighbours_of(root, found.fact)))


def _weigh_words(root: Root, words: Sequence[str]) -> dict[str, float]:
    """Return how much each word of a question tells: those of many facts tell little."""
    by_word, count = root.get(BY_WORD, {}), len(root.get(FACTS, ()))
    return {word: math.log(1 + count / (1 + len(by_word.get(word, ())))) for word in words}


def _coverage(weights: Mapping[str, float], fact: Fact) -> float:
    """Return which part of the question's words a fact has, by weight, 0 to 1."""
    whole = sum(weights.values())
    has = set(words_of(fact.text))
    return sum(weight for word, weight in weights.items() if word in has) / whole if whole else 0.0


def history_of(root: Mapping[str, Any], fact_id: str) -> list[Fact]:
    """Return the facts that a fact has replaced, directly or not, newest first."""
    chain: list[Fact] = []
    fact = fact_of(root, fact_id)
    waiting = list(fact.replaces) if fact is not None else []
    while waiting and len(chain) < MAX_CHAIN:
        older = fact_of(root, waiting.pop())
        if older is not None and older not in chain:
            chain.append(older)
            waiting += older.replaces
    return sorted(chain, key=lambda fact: fact.id, reverse=True)


def neighbours_of(root: Mapping[str, Any], fact: Fact) -> list[Fact]:
    """Return the facts that share a rare word with a fact, those that share most first."""
    shared: dict[str, int] = {}
    by_word = root.get(BY_WORD, {})
    for word in words_of(fact.text):
        ids = by_word.get(word, ())
        for other in ids if 1 < len(ids) <= RARE else ():
            if other != fact.id:
                shared[other] = shared.get(other, 0) + 1
    best = sorted(shared, key=lambda other: (-shared[other], other))[:MAX_NEIGHBOURS]
    return _load(root, best)


def facts_on(root: Mapping[str, Any], start: dt.date, end: dt.date) -> list[Fact]:
    """Return the facts about the days from ``start`` to ``end``, the last included."""
    by_day = root.get(BY_DAY, {})
    if not by_day:
        return []
    ids = {one for held in by_day.values(start.isoformat(), end.isoformat()) for one in held}
    days = min((end - start).days + 1, MAX_DAYS)
    for day in (start + dt.timedelta(days=step) for step in range(max(0, days))):
        ids.update(by_day.get(f"--{day.isoformat()[5:]}", ()))
    return _load(root, ids)


def facts_told(root: Mapping[str, Any], since: float, until: float) -> list[Fact]:
    """Return the facts that were kept from ``since`` to before ``until``, Unix times."""
    kept = root.get(FACTS, {})
    if not kept:
        return []
    bounds = (f"{int(at * 1000):012x}" for at in (max(0.0, since), max(0.0, until)))
    return _load(root, kept.keys(*bounds))


def _load(root: Mapping[str, Any], ids: Iterable[str]) -> list[Fact]:
    found = (fact_of(root, fact_id) for fact_id in sorted(ids))
    return [fact for fact in found if fact is not None and is_live(fact)]


def _doc_id(fact_id: str) -> str:
    return f"{KIND}:{fact_id}"


def _links(root: Root, text: str) -> dict[str, list[str]]:
    """Return the objects, documents and missions that a text names."""
    links: dict[str, list[str]] = {}
    for name in dict.fromkeys(word.strip(".") for word in _NAME.findall(text)):
        if name in root["objects"]:
            links.setdefault("objects", []).append(name)
        elif f"document:{name}" in catalog_in(root):
            links.setdefault("documents", []).append(f"document:{name}")
        elif name in root.get("missions", {}) or missions.desk_with(root, name):
            links.setdefault("missions", []).append(name)
    return links
