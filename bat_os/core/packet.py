"""The cognitive state packet: what goes from persona to persona in a cascade, and grows.

    BRICK   first draft      ROBIN   does it serve the asker? (a remark, yes or no)
    BABS    facts, sources   ALFRED  the final version, with the remarks before its eyes

A packet is immutable; each stage returns the next one. A stage whose answer cannot be read is
skipped and says so, and the others go on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bat_os.core.brief import goal
from bat_os.core.prompts import Prompt, ask_method, join_words
from bat_os.core.schema import Record, object_schema, parse_json
from bat_os.errors import ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.personas import Limits, Persona


@dataclass(frozen=True, slots=True)
class Stage:
    """What one persona did."""

    persona: str  # who
    remarks: tuple[str, ...] = ()  # for those who come after, one line each
    serves: bool | None = None  # ROBIN's yes or no; None where it was not asked
    sources: tuple[str, ...] = ()  # ids of the documents that BABS names
    skipped: str = ""  # why the stage gave nothing; "" where it did
    tokens: int = 0  # new tokens drawn


@dataclass(frozen=True, slots=True)
class CognitiveStatePacket:
    """A brief on its way through the personas."""

    goal: str  # the wish, as one sentence
    draft: str = ""  # source of the latest version; "" before the first
    stages: tuple[Stage, ...] = ()  # what was done, in order

    @property
    def remarks(self) -> tuple[str, ...]:
        """All remarks so far, each with its persona."""
        return tuple(f"{s.persona}: {text}" for s in self.stages for text in s.remarks)

    def after(self, stage: Stage, draft: str = "") -> CognitiveStatePacket:
        """Return the packet after one more stage, with a new draft where there is one."""
        return replace(self, draft=draft or self.draft, stages=(*self.stages, stage))


def ask_whether_it_serves(brief: Brief, persona: Persona, packet: CognitiveStatePacket) -> Prompt:
    """Return ROBIN's question; ``read_whether_it_serves`` reads the answer."""
    text = f"Somebody asks: {goal(brief)}\nThe draft:\n{packet.draft}\n"
    order = 'Does it serve them? Answer as JSON with "serves" and a short "remark".'
    return Prompt((("system", persona.system_prompt), ("user", text + order)))


def serves_schema(limits: Limits) -> dict[str, Any]:
    """Return the JSON Schema of ROBIN's answer."""
    return object_schema(serves={"type": "boolean"}, remark=_line_schema(limits))


class _Serves(Record, frozen=True, forbid_unknown_fields=False):
    serves: bool
    remark: str


class _Facts(Record, frozen=True, forbid_unknown_fields=False):
    """BABS's answer; a small model puts other things among the texts and numbers, which are cut."""

    facts: list[Any]
    sources: list[Any]


def read_whether_it_serves(text: str, limits: Limits) -> Stage:
    """Return ROBIN's stage."""
    answer = parse_json(text, _Serves, ModelOutputError, "the remark")
    if not (remark := _line(answer.remark, limits)):
        raise ModelOutputError("the remark: it is empty")
    return Stage("ROBIN", (remark,), answer.serves)


def facts_schema(passages: int, limits: Limits) -> dict[str, Any]:
    """Return the JSON Schema of BABS's answer about so many passages."""
    number, line = {"enum": list(range(1, passages + 1))}, _line_schema(limits)
    return object_schema(
        facts={"type": "array", "items": line, "maxItems": limits.facts},
        sources={"type": "array", "items": number, "maxItems": limits.facts},
    )


def ask_facts(
    brief: Brief,
    persona: Persona,
    packet: CognitiveStatePacket,
    passages: Sequence[Mapping[str, Any]],
    limits: Limits,
) -> Prompt:
    """Return BABS's question about the passages found; ``read_facts`` reads the answer."""
    notes = "\n".join(
        f"[{number}] {' '.join(passage['text'].split())[: limits.note_chars]}"
        for number, passage in enumerate(passages, start=1)
    )
    text = f"Notes:\n{notes}\n\nTask: {goal(brief)}\nThe draft:\n{packet.draft}\n"
    order = 'Which facts of the notes does it need? As JSON with "facts" and "sources" (numbers).'
    return Prompt((("system", persona.system_prompt), ("user", text + order)))


def read_facts(text: str, passages: Sequence[Mapping[str, Any]], limits: Limits) -> Stage:
    """Return BABS's stage; a source that names no passage is left out."""
    answer = parse_json(text, _Facts, ModelOutputError, "the facts")
    lines = tuple(filter(None, (_line(fact, limits) for fact in answer.facts[: limits.facts])))
    known = [n for n in answer.sources if type(n) is int and 1 <= n <= len(passages)]
    sources = dict.fromkeys(str(passages[n - 1]["doc_id"]) for n in known)
    return Stage("BABS", lines, sources=tuple(sources))


def ask_final(brief: Brief, persona: Persona, packet: CognitiveStatePacket) -> Prompt:
    """Return ALFRED's question, read by ``bat_os.core.prompts.read_method``."""
    asked = ask_method(brief, persona.system_prompt, None)
    remarks = "\n".join(packet.remarks)
    text = f"A first draft:\n{packet.draft}\nRemarks:\n{remarks}\n\nNow write the final version. "
    (role, order), system = asked.messages[-1], asked.messages[0]
    return Prompt((system, (role, text + order)), asked.prefill)


def _line_schema(limits: Limits) -> dict[str, Any]:
    return {"type": "string", "minLength": 3, "maxLength": limits.remark_chars}


def _line(text: Any, limits: Limits) -> str:
    """Return a text as one clean line that fits, "" where it is none."""
    return join_words(text)[: limits.remark_chars] if type(text) is str else ""
