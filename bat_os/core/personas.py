"""The four personas, and the codex they share.

A persona is a voice for one kind of work: a role and a system prompt; which model speaks for it
is the profile's business (``bat_os.models``). The codex (``persona_codex.jsonl``) holds their
values, one JSON object a line; it seeds the knowledge catalog. This module reads text, never
files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Final

from bat_os.core.schema import Record, one_of, parse_json, text
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MODEL: Final = "SmolLM2-135M-Instruct"
MAX_FIELD: Final = 4_000
_Line = Annotated[str, text(MAX_FIELD, filled=True)]


@dataclass(frozen=True, slots=True)
class Persona:
    """Who does a piece of work, and how."""

    name: str  # in capitals, as in ``PERSONAS``
    role: str  # one line for people
    system_prompt: str  # who the model is to be, in one or two sentences


ALFRED: Final = Persona(
    "ALFRED",
    "steward and auditor: pragmatic, dry, asks the naive question",
    "You are ALFRED, a pragmatic steward. You check work, ask the simple question that others "
    "forget, and prefer the shortest code that is right.",
)
BRICK: Final = Persona(
    "BRICK",
    "logical deconstructor: what it is, and how it works",
    "You are BRICK, a logical thinker. You take a task apart into small exact steps and write "
    "short, correct Python.",
)
ROBIN: Final = Persona(
    "ROBIN",
    "empathic heart: why it matters to people",
    "You are ROBIN, warm and attentive. You ask why something matters to the person and answer "
    "in simple, kind words.",
)
BABS: Final = Persona(
    "BABS",
    "researcher: precise, joyful, names her sources",
    "You are BABS, a precise and cheerful researcher. You find the facts that a task needs, say "
    "where they come from, and leave out the rest.",
)
PERSONAS: Final[Mapping[str, Persona]] = MappingProxyType(
    {persona.name: persona for persona in (ALFRED, BRICK, ROBIN, BABS)}
)


def shorten_prompts(personas: Mapping[str, Persona], most: int) -> Mapping[str, Persona]:
    """Return the personas with system prompts of at most ``most`` characters, cut at a word.

    >>> shorten_prompts({"BRICK": BRICK}, 30)["BRICK"].system_prompt
    'You are BRICK, a logical'
    """

    def shorten(text: str) -> str:
        return text if len(text) <= most else text[: most + 1].rpartition(" ")[0]

    return MappingProxyType(
        {
            name: replace(persona, system_prompt=shorten(persona.system_prompt))
            for name, persona in personas.items()
        }
    )


class CodexLine(Record, frozen=True):
    """One line of the codex: what a persona answers to a prompt."""

    persona: Annotated[str, one_of(PERSONAS)]  # a name in ``PERSONAS``
    prompt: _Line  # a question, in plain words
    response: _Line  # two to five sentences, possibly with a short piece of code
    topic: _Line  # a key of a few words joined by hyphens


def parse_codex(text: str) -> tuple[CodexLine, ...]:
    """Return the lines of a codex; empty lines are skipped."""
    lines = enumerate(text.removeprefix("\ufeff").split("\n"), start=1)
    return tuple(_parse_line(line, number) for number, line in lines if line.strip())


def _parse_line(line: str, number: int) -> CodexLine:
    where, error = f"codex line {number}", partial(ArgumentsError, line=number)
    return parse_json(line, CodexLine, error, where)
