"""When two requests are one, and when a word that only one of them has makes them two.

    "what is the biggest number in [1, 9]?"  ->  maximum (# list)
    "find the maximum of a list"             ->  maximum (# list)

A request is taken apart into concepts, many words for each, and into its values:

    "how many hours are 150 minutes?"     "Convert a number minutes to hours."
      count hours a number minutes          convert a number minutes to hours
      concepts  hour minute                 concepts  minute hour
      given     (number, minute)            given     (number, minute)

A value is known by its kind and by the word right beside it, so that 150 minutes in hours are
not 150 hours in minutes. Words that only say how somebody asks are dropped; inflected words
("sorting", "sizes") are led back to one that the thesaurus, or the other request, knows. No
grammar, no model. The words are in english.toml, which is read when it is first needed.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bat_os.method.text import words as word_set
from bat_os.sentence.tokens import ARTICLES, PREPOSITIONS, singular

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


ENGLISH: Final = Path(__file__).with_name("english.toml")
# What a value is called if the request has one.
VALUES: Final = word_set("number text list dictionary value array string item name")
# Cosine of the requests' embeddings from which on a known skill serves; see docs/benchmarks.md.
REUSE: Final = 0.90
# Shares of the written candidates' votes that a known function has, by likeness of the requests;
# measured on requests that are neither in the library nor among the cases (docs/benchmarks.md).
NEAR: Final = 0.72
FAR: Final = 0.45
_WORD: Final = re.compile(r"[^\W_]+", re.UNICODE)
_NAME_PART: Final = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+")
_ENDINGS: Final = ("ing", "ed", "es", "er", "ly", "en", "ation", "ion", "ment", "ness", "ity", "al")
ANY: Final = "any"  # the kind of a value if only its name is known
_YES_OR_NO: Final = word_set("is are was were does do did has have can")
_KINDS: Final = "number|text|name|list|dictionary|truth value"
_SLOT: Final = r"\b(?:a|an|another|the) ({})\b(?: of(?= times))?"
_VALUE: Final = re.compile(_SLOT.format(_KINDS))
_TOKEN: Final = re.compile(r"[^\W_]+|#\w+|[:;,]")
_UP_TO: Final = word_set("until till than after before above below")
_INTO: Final = word_set("to into in as")
_FROM: Final = word_set("from")
_POLITE: Final = re.compile(r"^(?:do you know|(?:can|could|will|would) you) ")
# Phrases with a gap: (what is said, what is read).
_GAPPED: Final = tuple(
    (re.compile(said), read)
    for said, read in (
        (r"^(?:turn|put) (.*) around$", r"reverse \1"),
        (r"^(?:make|keep) (.*) unique$", r"remove duplicates \1"),
        (r"^(?:get|pull|fetch) (.*) out of ", r"extract \1 from "),
        (r"^(?:put|write) (#text) (?:on|onto) ", r"add \1 to "),
        (r"^(?:change|turn) (#text (?:to|into) #text)", r"replace \1"),
        (r"^(?:change|turn) (?:all|each|every) ", "replace "),
        (r"^(?:cut|divide|break) (.*) into ", r"split \1 into "),
        (r"^(?:start|begin) (.*) with a (?:capital|big)(?: letter)?$", r"capitalize \1"),
        (r"^(?:make|write) the first letter of (.*) (?:upper ?case|big)$", r"capitalize \1"),
        (r"^how much (?!(?:is|are|was|does|do|did|will|can|would|should) )", "count "),
        (r"^where (?:is|are) (?=#)", "index of "),
        (r"^list (?!#)", ""),
    )
)


@dataclass(frozen=True, slots=True)
class English:
    """The words of english.toml."""

    # what is said, word by word, to the concepts that it means; () for none
    table: Mapping[tuple[str, ...], tuple[str, ...]]
    longest: int  # how many words the longest key of ``table`` has
    known: frozenset[str]  # what inflected words are led back to
    actions: frozenset[str]  # concepts of what is done; ``measures``: of what is measured
    measures: frozenset[str]
    turns: frozenset[str]  # concepts that have to be in both requests
    units: frozenset[str]  # measures, and what else is counted
    asking: frozenset[str]  # words that mean no concept
    # words that do not count in a quick comparison; ``contrasts``: those that decide it
    fillers: frozenset[str]
    contrasts: frozenset[str]
    asking_in_names: frozenset[str]  # words that do not count in a selector


@cache
def read_english() -> English:
    """Return the words; the file is read once."""
    data = tomllib.loads(ENGLISH.read_text(encoding="utf-8"))
    concepts: dict[str, str] = data.pop("concepts")
    table: dict[tuple[str, ...], tuple[str, ...]] = dict.fromkeys(
        _split_phrases(data.pop("meaningless")), ()
    )
    for concept, phrases in concepts.items():
        meant = tuple(concept.split())
        table |= dict.fromkeys(_split_phrases(phrases), meant)
        if len(meant) > 1:
            table[meant] = meant
    sets = {name: word_set(words) for name, words in data.items()}
    units = sets["measures"] | sets.pop("counted")
    single = (phrase for phrase in table if len(phrase) == 1)
    known = sets["asking"].union(sets["actions"], sets["turns"], units, *single, *table.values())
    # "notes" is not a form of "not".
    known -= {"not", "no", "but", "per", "any", "or", "too", "than"}
    return English(table, max(map(len, table)), known, units=units, **sets)


def _split_phrases(text: str) -> list[tuple[str, ...]]:
    return [tuple(phrase.split()) for phrase in text.split(",")]


def is_same_request(wish: str, known: str, *, values: int) -> bool:
    """Return True if no word sets two requests of similar meaning apart.

    >>> is_same_request("Compute the yearly payment.", "Compute the monthly payment.", values=0)
    False
    >>> is_same_request("Count the vowels in a text.", "How many vowels has a text?", values=1)
    True
    """
    first, second = take_apart(wish, values=values), take_apart(known, values=values)
    asked, learned = set(first.concepts) - VALUES, set(second.concepts) - VALUES
    is_exchanged = bool(asked - learned) and bool(learned - asked)
    return has_same_words(wish, known) and has_same_parts(first, second) and not is_exchanged


def has_same_parts(asked: Parts, known: Parts) -> bool:
    """Return True if no concept sets the requests apart."""
    first, second = set(asked.concepts), set(known.concepts)
    return (
        asked.asks_whether == known.asks_whether
        and not _goes_elsewhere(asked, known)
        and asked.actions == known.actions
        and not ("count" in asked.actions and asked.objects & VALUES - known.objects)
        and not (first ^ second) & read_english().turns
        and has_same_words(" ".join(sorted(first - VALUES)), " ".join(sorted(second - VALUES)))
    )


def _goes_elsewhere(asked: Parts, known: Parts) -> bool:
    """Return True for "hex to rgb" where the skill goes from rgb to hex."""
    if asked.target and known.target and asked.target != known.target:
        return asked.target in known.concepts
    turned = ((asked.source, known.target), (known.source, asked.target))
    return any(source and source == target for source, target in turned)


def weigh_known(likeness: float, wish: str, known: str) -> float | None:
    """Return what a function that was written for the request ``known`` counts for.

    Returns:
        As a share of the candidates that a model wrote: 1 for the same request in other words,
        less for one that is near; 0 where only an example can speak for it, and None where
        it is of no use.
    """
    if likeness < FAR:
        return None
    if likeness < NEAR:
        return 0.0
    first, second = _content(wish), _content(known)
    if _differs(first, second):
        return 0.0
    if not _is_in_order(first, second):
        return likeness * 0.4
    return 1.0 if likeness >= REUSE else likeness * 0.6


def has_same_words(one: str, other: str) -> bool:
    """Return True if no plain word sets two requests of similar meaning apart.

    >>> has_same_words("Convert celsius to fahrenheit.", "Convert fahrenheit to celsius.")
    False
    >>> has_same_words("Reverse a text.", "Please reverse the text")
    True
    """
    first, second = _content(one), _content(other)
    return not _differs(first, second) and _is_in_order(first, second)


def _differs(first: list[str], second: list[str]) -> bool:
    """Return True if only one has a number or a word that makes it another request."""
    return _marks(first) != _marks(second)


def _marks(words: list[str]) -> set[str]:
    contrasts = read_english().contrasts
    return {word.rstrip("s") for word in words if word in contrasts or word.isdigit()}


def _content(text: str) -> list[str]:
    fillers = read_english().fillers
    words = (word.casefold() for word in _WORD.findall(text))
    return [word for word in words if word not in fillers]


def _is_in_order(first: list[str], second: list[str]) -> bool:
    """Return True if the words that both have come in the same order."""
    shared = set(first) & set(second)
    return _order(first, shared) == _order(second, shared)


def _order(words: list[str], shared: set[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word in shared))


def read_concepts(words: Sequence[str], others: Collection[str] = ()) -> list[str]:
    """Return the concepts of some words, in order; what only asks is left out.

    Inflected words are also led back to ``others``.

    >>> read_concepts("what is biggest of".split())
    ['maximum']
    """
    english = read_english()
    table, asking = english.table, english.asking
    concepts: list[str] = []
    at = 0
    while at < len(words):
        sizes = range(min(english.longest, len(words) - at), 0, -1)
        size = next((size for size in sizes if tuple(words[at : at + size]) in table), 1)
        said = tuple(words[at : at + size])
        if said not in table:
            said = (find_base_form(words[at], others),)
        concepts += table.get(said, () if said[0] in asking or not said[0].isalnum() else said)
        at += size
    return concepts


def find_base_form(word: str, others: Collection[str] = ()) -> str:
    """Return a known word that ``word`` is a form of, or its singular.

    >>> [find_base_form(word) for word in ("sorting", "dividing", "bats", "string")]
    ['sort', 'divide', 'bat', 'string']
    """
    bases = list_base_forms(word)
    for known in (read_english().known, others):
        for form in bases:
            if form in known:
                return form
    return bases[0]


def list_base_forms(word: str) -> list[str]:
    """Return the words that ``word`` may be a form of, likely ones first."""
    bases = [singular(word), word]
    for ending in _ENDINGS:
        stem = word.removesuffix(ending)
        if 3 <= len(stem) < len(word):
            bases += [stem[:-1]] if stem[-1] == stem[-2] else []
            bases += [stem, f"{stem}e"]
    return [*bases, f"{word[:-3]}y"] if word.endswith("ies") else bases


@dataclass(frozen=True, slots=True)
class Parts:
    """What a request speaks of."""

    concepts: tuple[str, ...]  # in the order they are said
    kinds: tuple[str, ...]  # of the values, in order; ANY if only its name is given
    beside: tuple[str, ...]  # for each value the unit after it or the name before it, or ""
    joints: tuple[str, ...]  # for each value the preposition before it, or ""
    asks_whether: bool  # it is answered by yes or no
    target: str  # what is to come out, after "to" and the like, or ""
    source: str  # what it comes from, after "from", or ""

    @property
    def actions(self) -> frozenset[str]:
        """What is done."""
        return read_english().actions & set(self.concepts)

    @property
    def objects(self) -> frozenset[str]:
        """What it is done to: the concept right after each action."""
        actions = read_english().actions
        pairs = zip(self.concepts, self.concepts[1:], strict=False)
        return frozenset(after for action, after in pairs if action in actions)


def take_apart(
    text: str, *, values: int = 0, names: Iterable[str] = (), others: Collection[str] = ()
) -> Parts:
    """Return the parts of a request.

    Args:
        text: With words in place of values: "count the vowels in a text".
        values: How many values the request comes with.
        names: Of the parameters; "a radius" is a value where one has that name.
        others: Words that inflected ones may be led back to.
    """
    low = text.lower().replace("#", " ").strip(" .?!")
    words = low.split()
    asks = words[:1] and words[0] in _YES_OR_NO and words[1:2] != ["you"]
    low = _mark_values(_POLITE.sub("", low), values, names)
    for said, read in _GAPPED:
        low = said.sub(read, low)
    tokens = [token for token in _TOKEN.findall(low) if token not in ARTICLES]
    places = [at for at, token in enumerate(tokens) if token[0] == "#"]
    runs = [
        tokens[start + 1 : end]
        for start, end in zip([-1, *places], [*places, len(tokens)], strict=True)
    ]
    befores = [tokens[at - 1] if at else "" for at in places]
    concepts = [concept for run in runs for concept in read_concepts(run, others)]
    return Parts(
        concepts=(*_without_count(concepts), *(["any"] if asks and "any" in words else [])),
        kinds=tuple(tokens[at][1:] for at in places),
        beside=tuple(_beside(tokens, at, others) for at in places),
        joints=tuple(word if word in PREPOSITIONS else "" for word in befores),
        asks_whether=bool(asks) or "whether" in words[:3],
        target=_named_after(_INTO, runs, others),
        source=_named_after(_FROM, runs, others),
    )


def _mark_values(text: str, values: int, names: Iterable[str]) -> str:
    """Return the text with "#number" for "a number", as far as there are values."""
    if not values:
        return text
    marked = _VALUE.sub(lambda match: f"#{match[1].replace('name', 'text').split()[0]}", text)
    named = "|".join(re.escape(name.replace("_", " ")) for name in names)
    if named and marked.count("#") < values:
        marked = re.sub(_SLOT.format(named), f"#{ANY}", marked)
    return marked


def _beside(tokens: Sequence[str], at: int, others: Collection[str]) -> str:
    """Return "minute" for the value of "150 minutes", "radius" for that of "with radius 3"."""
    if tokens[at] != "#number":
        return ""
    before, after = tokens[:at][-2:], tokens[at + 1 : at + 3]
    unit = read_concepts(after if after[:1] == ["degrees"] else after[:1], others)
    if unit and unit[0] in read_english().units:
        return unit[0]
    if len(before) < 2 or before[0][0] == "#" or before[1] in _UP_TO:
        return ""
    name = read_concepts(before[1:], others)
    return name[0] if name and name[0] not in read_english().actions else ""


def _named_after(
    joints: Collection[str], runs: Iterable[Sequence[str]], others: Collection[str]
) -> str:
    """Return what is named after "to" and the like, the last time, or ""."""
    named = [
        named_concepts[0]
        for run in runs
        for at, word in enumerate(run)
        if word in joints and (named_concepts := read_concepts(run[at + 1 :], others))
    ]
    return named[-1] if named else ""


def _without_count(concepts: list[str]) -> list[str]:
    """Return "hour minute" for "count hour minute": a measure is converted, not counted."""
    at = concepts.index("count") if "count" in concepts else len(concepts)
    if read_english().measures.isdisjoint(concepts[at + 1 : at + 2]):
        return concepts
    return concepts[:at] + concepts[at + 1 :]


def name_words(selector: str) -> list[str]:
    """Return the words of a selector that count, in order, without their plural.

    Selectors for one request differ in how the asker asks and in how words are inflected.

    >>> name_words("reportCurrentTimes"), name_words("is_it")
    (['current', 'time'], ['is', 'it'])
    """
    skipped = read_english().asking_in_names
    words = [word.lower() for word in _NAME_PART.findall(selector)]
    kept = [singular(word) for word in words if word not in skipped]
    return kept or words


def is_same_name(one: str, other: str) -> bool:
    """Return True if two selectors name the same request.

    >>> is_same_name("calculate_factorial", "factorial"), is_same_name("add", "subtract")
    (True, False)
    """
    return name_words(one) == name_words(other)
