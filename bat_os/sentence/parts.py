"""The parts of a wish that are compared with those of a known skill.

    "how many hours are 150 minutes?"     "Convert a number minutes to hours."
      count hours a number minutes          convert a number minutes to hours
      concepts  hour minute                 concepts  minute hour
      given     (number, minute)            given     (number, minute)

Values are told by their kind and by the word that stands right beside them, so that 150 minutes
in hours are not 150 hours in minutes. Read from plain words: no grammar, no model.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bat_os.sentence.concepts import ACTIONS, MEASURES, UNITS, read_concepts
from bat_os.sentence.words import ARTICLES, PREPOSITIONS, word_set

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

ANY: Final = "any"  # the kind of a value of which only the name is known
_YES_OR_NO: Final = word_set("is are was were does do did has have can")
_KINDS: Final = "number|text|name|list|dictionary|truth value"
_SLOT: Final = r"\b(?:a|an|another|the) ({})\b(?: of(?= times))?"
_VALUE: Final = re.compile(_SLOT.format(_KINDS))
_TOKEN: Final = re.compile(r"[^\W_]+|#\w+|[:;,]")
_UP_TO: Final = word_set("until till than after before above below")
_INTO: Final = word_set("to into in as")
_FROM: Final = word_set("from")
_POLITE: Final = re.compile(r"^(?:do you know|(?:can|could|will|would) you) ")
# Ways to say it with a gap in the midst: (what is said, what is read).
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
class Parts:
    """What a wish speaks of.

    Attributes:
        concepts: In the order they are said.
        kinds: Of the values, in order; ANY where only a name was told.
        beside: For each value the unit after it or the name before it, or "".
        joints: For each value the preposition before it, or "".
        asks_whether: It is answered by yes or no.
        target: What is to come out, after "to" and the like, or "".
        source: What it comes from, after "from", or "".
    """

    concepts: tuple[str, ...]
    kinds: tuple[str, ...]
    beside: tuple[str, ...]
    joints: tuple[str, ...]
    asks_whether: bool
    target: str
    source: str

    @property
    def actions(self) -> frozenset[str]:
        """What is done."""
        return ACTIONS & set(self.concepts)

    @property
    def objects(self) -> frozenset[str]:
        """What it is done to: the concept right after each action."""
        pairs = zip(self.concepts, self.concepts[1:], strict=False)
        return frozenset(after for action, after in pairs if action in ACTIONS)


def take_apart(
    text: str, *, values: int = 0, names: Iterable[str] = (), others: Collection[str] = ()
) -> Parts:
    """Return the parts of a wish.

    Args:
        text: With words in place of values: "count the vowels in a text".
        values: How many values the wish comes with.
        names: Of the parameters; "a radius" is a value where one has that name.
        others: Words that bent ones may be led back to.
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
    found = [concept for run in runs for concept in read_concepts(run, others)]
    return Parts(
        concepts=(*_without_count(found), *(["any"] if asks and "any" in words else [])),
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
    marked = _VALUE.sub(lambda found: f"#{found[1].replace('name', 'text').split()[0]}", text)
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
    if unit and unit[0] in UNITS:
        return unit[0]
    if len(before) < 2 or before[0][0] == "#" or before[1] in _UP_TO:
        return ""
    name = read_concepts(before[1:], others)
    return name[0] if name and name[0] not in ACTIONS else ""


def _named_after(
    joints: Collection[str], runs: Iterable[Sequence[str]], others: Collection[str]
) -> str:
    """Return what is named after "to" and the like, the last time, or ""."""
    named = [
        found[0]
        for run in runs
        for at, word in enumerate(run)
        if word in joints and (found := read_concepts(run[at + 1 :], others))
    ]
    return named[-1] if named else ""


def _without_count(concepts: list[str]) -> list[str]:
    """Return "hour minute" for "count hour minute": a measure is converted, not counted."""
    at = concepts.index("count") if "count" in concepts else len(concepts)
    if MEASURES.isdisjoint(concepts[at + 1 : at + 2]):
        return concepts
    return concepts[:at] + concepts[at + 1 :]
