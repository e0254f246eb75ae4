"""Which tool a request is for: a ranking, and how far the first one leads.

    "what time is it in Tokyo"  >  time.get_current_time 0.71, files.facts 0.24, ...

A small model that is asked to name a tool is not far from guessing. So no model names one here: a
tool is as near as what it does and the nearest of the requests that it served, by meaning and by
words; and what the request names (a file, an address, an expression) has to be what the tool takes.
Where none leads, a model says how likely the request is, were it one for each of the nearest tools;
it writes nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from bat_os.sentence.values import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from bat_os.sentence.reading import Sentence

    Floats = NDArray[np.float32]

# A lead from which the first tool is taken without a question: docs/agent.md has the figures.
SURE: Final = 0.15
NEAR: Final = 4  # tools that are weighed by likelihood
LIKELY: Final = 0.06  # what a unit of it counts for (a natural logarithm), beside a cosine
MAX_SHOTS: Final = 2  # requests that a tool served, beside what it does
LEAST: Final = 0.25  # below, a request is like no tool
SERVED: Final = 0.15  # a request that it served counts for itself, less this
WORDS: Final = 0.2  # what shared words count for, beside a cosine
FITS: Final = 0.15  # what a file, an address or an expression counts for that the tool takes
FITS_TOO: Final = 0.05  # the same for a name or a date: many tools take one
LACKS: Final = 0.12  # one that it needs, and the request does not name
ALIEN: Final = 0.25  # a file or an address that it cannot take
NAMED: Final = 0.15  # its name, said
ASKS: Final = 0.12  # a question, for a tool that only reads; an order, for one that does more
# Name of a parameter, or a part of it -> kinds of values that are meant for it.
MEANT: Final[Mapping[str, tuple[str, ...]]] = {
    "path": ("file", "path"), "file": ("file", "path"), "filename": ("file", "path"),
    "folder": ("path", "name"), "directory": ("path", "name"), "dir": ("path", "name"),
    "url": ("page",), "uri": ("page",),
    "address": ("page", "person"), "link": ("page",), "page": ("page",), "expression": ("sum",),
    "formula": ("sum",), "pattern": ("pattern",), "place": ("name",), "city": ("name",),
    "timezone": ("name", "zone"), "zone": ("name", "zone"), "country": ("name",),
    "when": ("moment",), "date": ("moment",), "time": ("moment",), "at": ("moment",),
    "to": ("person", "name"), "recipient": ("person", "name"), "person": ("person", "name"),
    "email": ("person",), "name": ("name",), "text": ("text",), "query": ("text",),
}  # fmt: skip
# What only a tool for it can take; a tool without such a parameter is not meant.
_OUTSIDE: Final = frozenset({"file", "path", "page", "person", "sum"})
_SAID: Final[Mapping[str, str]] = {
    "file": "the file", "path": "the path", "page": "the web page", "person": "the person",
    "sum": "an expression", "pattern": "the files",
}  # fmt: skip
_FILE: Final = re.compile(
    r"(?<![\w.@/])[\w~-][\w./~-]*\.[a-z][a-z0-9]{1,4}(?![\w/])", re.IGNORECASE
)
_WORD: Final = re.compile(r"[a-z][a-z']+")
_IDLE: Final = frozenset(
    {
        *("the", "an", "is", "are", "was", "in", "of", "to", "and", "that", "it", "at", "on"),
        *("for", "with", "from", "my", "me", "your", "you", "do", "does", "did", "what", "which"),
        *("how", "please", "can", "could", "tell", "show", "give", "return", "there", "some"),
        *("text", "this"),
    }
)


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool as the ranking sees it."""

    name: str  # "files.read"
    needs: tuple[str, ...]  # names of the parameters without which it cannot be called
    takes: tuple[str, ...]  # names of all its parameters
    said: tuple[str, ...]  # what it does, in words, then requests that it served
    vectors: Floats  # a row for each of ``said``; the first one ``compared``
    changes: bool = False  # it does more than read


@dataclass(frozen=True, slots=True)
class Ranked:
    """A tool, and how near the request is to it."""

    name: str
    score: float


def things_in(sentence: Sentence) -> tuple[Value, ...]:
    """Return the values of a sentence, with names of files that are read as words elsewhere."""
    values = [*sentence.values]
    for match in _FILE.finditer(sentence.text):
        first, end = match.span()
        if all(value.end <= first or value.start >= end for value in values):
            values.append(Value("path", match[0], first, end, match[0]))
    return tuple(sorted(values, key=lambda value: value.start))


def kind_of(value: Value) -> str:
    """Return what kind of thing a value of a sentence names, as parameters are meant for it."""
    if value.kind == "path":
        if "*" in value.text:
            return "pattern"
        return "file" if PurePath(str(value.value)).suffix else "path"
    if value.kind == "address":
        return "person" if "@" in value.text else "page"
    known = {"expression": "sum", "name": "name", "date": "moment", "time": "moment"}
    return known.get(value.kind, value.kind)


def meant_for(parameter: str) -> tuple[str, ...]:
    """Return the kinds of values that a parameter of this name is meant for; () if it is open.

    >>> meant_for("file_path"), meant_for("fact")
    (('file', 'path'), ())
    """
    for word in (parameter, *reversed(parameter.casefold().split("_"))):
        if word in MEANT:
            return MEANT[word]
    return ()


def plain(text: str, values: Sequence[Value]) -> str:
    """Return the words of a request, with a noun in the place of what it names.

    >>> plain("read x", ())
    'read x'
    """
    for value in sorted(values, key=lambda one: -one.start):
        noun = _SAID.get(kind_of(value))
        if noun is not None:
            text = f"{text[: value.start]}{noun}{text[value.end :]}"
    return text


def rank(
    text: str,
    vector: Floats,
    values: Sequence[Value],
    offers: Sequence[Offer],
    *,
    is_question: bool,
) -> list[Ranked]:
    """Return the tools, the nearest to a request first.

    Args:
        text: ``plain`` of the request.
        vector: Of that text.
        values: What the request names.
        offers: The tools.
        is_question: Nobody asks a question to have something changed.
    """
    kinds = [kind_of(value) for value in values]
    words = [stems_of(" ".join(offer.said)) | stems_of(offer.name) for offer in offers]
    weights = _weights(words)
    asked, alike = stems_of(text), all_served(offers)
    found = [
        Ranked(
            offer.name,
            _meaning(offer, vector, alike=alike)
            + WORDS * _shared(asked, own, weights)
            + NAMED * _named(asked, offer.name)
            + _fit(kinds, offer)
            - ASKS * (offer.changes and is_question),
        )
        for offer, own in zip(offers, words, strict=True)
    ]
    return sorted(found, key=lambda one: (-one.score, one.name))


def compared(name: str, about: str) -> str:
    """Return the text whose meaning requests are compared with: a tool's name, what it does.

    >>> compared("time.get_time", "Tell the time.")
    'get time: Tell the time.'
    """
    return f"{name.rpartition('.')[2].replace('_', ' ')}: {about}"


def all_served(offers: Sequence[Offer]) -> bool:
    """Return whether each tool has served a request.

    If only some have, what they served counts for less: any request is like another in its form,
    and that would speak for those tools alone.
    """
    return all(len(offer.said) > 1 for offer in offers)


def context_of(offer: Offer, vector: Floats, *, alike: bool) -> str:
    """Return a text that a request for a tool would go on from: what it does, requests like it.

    ``alike`` is ``all_served`` of the tools that are weighed.
    """
    about, *served = offer.said
    nearest = sorted(range(len(served)), key=lambda at: -float(offer.vectors[at + 1] @ vector))
    shots = "".join(f"- {served[at]}\n" for at in reversed(nearest[:MAX_SHOTS])) if alike else ""
    return f"{about}\nRequests for this:\n{shots}-"


def weigh(ranked: Sequence[Ranked], likelihoods: Sequence[float]) -> list[Ranked]:
    """Return the first tools, with the likelihood of the request given each, the nearest first.

    >>> weigh([Ranked("a", 0.5), Ranked("b", 0.4)], [-25.0, -20.0])
    [Ranked(name='b', score=0.4), Ranked(name='a', score=0.2)]
    """
    most = max(likelihoods, default=0.0)
    weighed = [
        Ranked(one.name, one.score + LIKELY * (likely - most))
        for one, likely in zip(ranked, likelihoods, strict=False)
    ]
    return sorted(weighed, key=lambda one: (-one.score, one.name))


def lead(ranked: Sequence[Ranked]) -> float:
    """Return how far the first tool is before the second; a single one leads by its score."""
    if not ranked:
        return 0.0
    return ranked[0].score - (ranked[1].score if len(ranked) > 1 else LEAST)


def _meaning(offer: Offer, vector: Floats, *, alike: bool) -> float:
    """Return how near a request is to what a tool does and to the nearest one that it served.

    One of them alone misleads: a single request says little of what else a tool is for.
    """
    about, *served = (offer.vectors @ vector).tolist()
    nearest = max(served, default=about)
    if not alike:
        return float(max(about, nearest - 2 * SERVED))
    return float(max((about + nearest) / 2, nearest - SERVED))


def _fit(kinds: Sequence[str], offer: Offer) -> float:
    """Return what the values of a request say for a tool, or against it."""
    left, score = list(kinds), 0.0
    for name in offer.takes:
        meant = meant_for(name)
        kind = next((kind for kind in left if kind in meant), None)
        if kind is not None:
            left.remove(kind)
            score += FITS if kind in _OUTSIDE or kind == "pattern" else FITS_TOO
        elif name in offer.needs and meant and not {"text", "person"} & set(meant):
            score -= LACKS
    return score - ALIEN * len(_OUTSIDE.intersection(left))


def _named(asked: frozenset[str], name: str) -> float:
    """Return the share of the words of a tool's name that a request has."""
    own = stems_of(name.rpartition(".")[2])
    return len(own & asked) / len(own) if own else 0.0


def stems_of(text: str) -> frozenset[str]:
    """Return the stems of the words of a text that tell something."""
    found = _WORD.findall(text.casefold().replace("_", " ").replace("e-mail", "email"))
    return frozenset(_stem(word) for word in found if word not in _IDLE)


def _stem(word: str) -> str:
    word = word.replace("email", "mail")
    for end in ("'s", "ing", "ed", "es", "s"):
        if word.endswith(end) and len(word) - len(end) > 2:
            return word.removesuffix(end)
    return word


def _weights(words: Collection[frozenset[str]]) -> dict[str, float]:
    """Return what each word tells: one that few tools have tells more."""
    counts: dict[str, int] = {}
    for own in words:
        for word in own:
            counts[word] = counts.get(word, 0) + 1
    return {word: 1.0 / count for word, count in counts.items()}


def _shared(asked: frozenset[str], own: frozenset[str], weights: Mapping[str, float]) -> float:
    """Return the share of the telling words of a request that are a tool's, from 0 to 1."""
    total = sum(weights.get(word, 0.25) for word in asked)
    return sum(weights[word] for word in asked & own) / total if total else 0.0
