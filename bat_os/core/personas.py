"""The four personas, and the codex they share.

A persona is a voice for one kind of work: a role and a system prompt; which model speaks for it
is the profile's business (``bat_os.core.models``). The codex (``persona_codex.jsonl``) holds
what they stand for, one JSON object a line; it seeds the knowledge catalog. This module reads
text, never files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_MODEL: Final = "SmolLM2-135M-Instruct"
MAX_FIELD: Final = 4_000
_FIELDS: Final = ("persona", "topic", "prompt", "response")


@dataclass(frozen=True, slots=True)
class Persona:
    """Who does a piece of work, and how.

    Attributes:
        name: In capitals, as in ``PERSONAS``.
        role: One line for people.
        system_prompt: What a model is told that it is, in one or two sentences.
    """

    name: str
    role: str
    system_prompt: str


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
    "empathic heart: why it matters, and to whom",
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


@dataclass(frozen=True, slots=True)
class CodexLine:
    """One line of the codex: what a persona answers to a prompt.

    Attributes:
        persona: A name in ``PERSONAS``.
        prompt: A question, in plain words.
        response: Two to five sentences, possibly with a short piece of code.
        topic: A key of a few words joined by hyphens.
    """

    persona: str
    prompt: str
    response: str
    topic: str


def parse_codex(text: str) -> tuple[CodexLine, ...]:
    """Return the lines of a codex; empty lines are skipped.

    Raises:
        ArgumentsError: A line is not what it should be; names the line.
    """
    lines = enumerate(text.removeprefix("\ufeff").split("\n"), start=1)
    return tuple(_parse_line(line, number) for number, line in lines if line.strip())


def _parse_line(line: str, number: int) -> CodexLine:
    data = _load(line, number)
    if set(data) != set(_FIELDS):
        raise _complain(number, f"needs the fields {', '.join(_FIELDS)} and no others")
    for name in _FIELDS:
        value = data[name]
        if not isinstance(value, str) or not value.strip() or len(value) > MAX_FIELD:
            raise _complain(number, f"{name} must be a text of 1 to {MAX_FIELD} characters")
    if data["persona"] not in PERSONAS:
        raise _complain(number, f"persona must be one of {', '.join(PERSONAS)}")
    return CodexLine(**data)


def _load(line: str, number: int) -> dict[str, Any]:
    try:
        data = json.loads(line, object_pairs_hook=_refuse_doubles)
    except (ValueError, RecursionError) as exc:
        raise _complain(number, f"is not JSON: {exc}") from exc
    if not isinstance(data, dict):
        raise _complain(number, "is not a JSON object")
    return data


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data = dict(pairs)
    if len(data) != len(pairs):
        raise ValueError("a field comes twice")
    return data


def _complain(number: int, what: str) -> ArgumentsError:
    return ArgumentsError(f"codex line {number}: {what}", line=number)
