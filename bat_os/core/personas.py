"""The four personas, the codex they share, and the limits of a model that speaks for them.

A persona is a voice for one kind of work: a role and a system prompt; which model speaks for it
is the profile's business (``bat_os.models``). The codex (``persona_codex.jsonl``) holds their
values, one JSON object a line; it seeds the knowledge catalog. A small model loses the thread of a
long prompt and does not finish a long answer, so each profile sets ``Limits`` for its own models.
This module reads text, never files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

from bat_os.core.schema import Record, convert, number, one_of, read_json, text
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_FIELD: Final = 4_000
_Line = Annotated[str, text(MAX_FIELD, filled=True)]


@dataclass(frozen=True, slots=True)
class Persona:
    """Who does a piece of work, and how."""

    name: str  # in capitals, as in ``PERSONAS``; of a facet with its name, ``BRICK:tamland``
    role: str  # one line for people
    system_prompt: str  # who the model is to be, in one or two sentences
    core_identity: str = ""  # what the prompt says of who it is
    voice: str = ""  # and of what it does, and how


def compose_prompt(name: str, core_identity: str, voice: str, pillars: Sequence[str] = ()) -> str:
    """Return the system prompt that a codex makes.

    >>> compose_prompt("BRICK", "a logical thinker", "You take a task apart.", ["exactness"])
    'You are BRICK, a logical thinker. You take a task apart. What guides you: exactness.'
    """
    guides = f"What guides you: {'; '.join(pillars)}." if pillars else ""
    return " ".join(filter(None, (f"You are {name}, {core_identity}.", voice, guides)))


def _persona(name: str, role: str, core_identity: str, voice: str) -> Persona:
    return Persona(name, role, compose_prompt(name, core_identity, voice), core_identity, voice)


ALFRED: Final = _persona(
    "ALFRED",
    "steward and auditor: pragmatic, dry, asks the naive question",
    "a pragmatic steward",
    "You check work, ask the simple question that others forget, and prefer the shortest code "
    "that is right.",
)
BRICK: Final = _persona(
    "BRICK",
    "logical deconstructor: what it is, and how it works",
    "a logical thinker",
    "You take a task apart into small exact steps and write short, correct Python.",
)
ROBIN: Final = _persona(
    "ROBIN",
    "empathic heart: why it matters to people",
    "warm and attentive",
    "You ask why something matters to the person and answer in simple, kind words.",
)
BABS: Final = _persona(
    "BABS",
    "researcher: precise, joyful, names her sources",
    "a precise and cheerful researcher",
    "You find the facts that a task needs, say where they come from, and leave out the rest.",
)
PERSONAS: Final[Mapping[str, Persona]] = MappingProxyType(
    {persona.name: persona for persona in (ALFRED, BRICK, ROBIN, BABS)}
)


def shorten_prompts(personas: Mapping[str, Persona], most: int) -> Mapping[str, Persona]:
    """Return the personas with system prompts of at most ``most`` characters, cut at a word.

    >>> shorten_prompts({"BRICK": BRICK}, 30)["BRICK"].system_prompt
    'You are BRICK, a logical'
    """
    return MappingProxyType(
        {
            name: replace(persona, system_prompt=shorten(persona.system_prompt, most))
            for name, persona in personas.items()
        }
    )


def shorten(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, cut at a word."""
    return text if len(text) <= most else text[: most + 1].rpartition(" ")[0]


_ABOUT: Final = {"persona": "ALFRED", "topic": "golden"}  # of a line that does not say


class CodexLine(Record, frozen=True):
    """One line of the codex: what a persona answers to a prompt."""

    persona: Annotated[str, one_of(PERSONAS)]  # a name in ``PERSONAS``
    prompt: _Line  # a question, in plain words
    response: _Line  # two to five sentences, possibly with a short piece of code
    topic: _Line  # a key of a few words joined by hyphens


def parse_codex(text: str) -> tuple[CodexLine, ...]:
    """Return the lines of a codex; empty lines are skipped.

    A line of a plain golden file has ``prompt`` and ``response`` alone; it is ALFRED's.
    """
    lines = enumerate(text.removeprefix("\ufeff").split("\n"), start=1)
    return tuple(_parse_line(line, number) for number, line in lines if line.strip())


def _parse_line(line: str, number: int) -> CodexLine:
    where, error = f"codex line {number}", partial(ArgumentsError, line=number)
    data = read_json(line, error, where)
    if isinstance(data, dict) and not _ABOUT.keys() & data.keys():
        data = {**data, **_ABOUT}
    return convert(data, CodexLine, error, where)


MAX_TOKENS: Final = 32_768
_Length = Annotated[int, number(1, MAX_TOKENS)]
_Count = Annotated[int, number(1, 50)]  # a search gives 100 passages at most


class Limits(Record, frozen=True):
    """The limits of one profile; the defaults suit a model of 135 million parameters."""

    plan_tokens: _Length = 160  # new tokens of BRICK's plan
    test_tokens: _Length = 200  # new tokens of the tests that ALFRED writes
    remark_tokens: _Length = 100  # new tokens of ROBIN's remark in a cascade
    fact_tokens: _Length = 120  # new tokens of the facts that BABS finds in a cascade
    answer_tokens: _Length = 96  # new tokens of an answer in a discussion
    sentences: _Count = 3  # sentences that are kept of such an answer
    tests: _Count = 4  # tests that are asked for
    facts: _Count = 1  # facts that are asked for
    remark_chars: _Length = 80  # characters of a remark, and of a fact
    advice_chars: _Length = 80  # characters that a plan may add to the writer's system prompt
    system_chars: _Length = 300  # characters of a persona's system prompt
    lacks: _Count = 6  # features missing from the cell's Python that a writer is warned about
    shots: _Count = 3  # known functions that a writer is shown
    shot_chars: _Length = 600  # characters of a known function that is shown or adapted
    passages: _Count = 4  # passages of documents that are looked up for a mission or a discussion
    passage_chars: _Length = 400  # characters that are shown of a passage in a discussion
    note_chars: _Length = 200  # characters that are shown of a passage in a cascade
