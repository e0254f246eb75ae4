"""An able model says what a sentence is for, where the trained scorer is not sure.

It sees the sentence, the last exchange and the skills that were found, and answers in JSON: one of
the skills with its arguments, or an answer in its own words, or that a method has to be learned,
or a question. What it says in its own words is marked as that. A model is asked only if it was
measured to tell requests apart and to keep to a form (``bat_os.core.ability``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from bat_os.core.answer import Answer
from bat_os.core.brief import Brief
from bat_os.core.prompts import Prompt
from bat_os.core.schema import Record, field, object_schema, parse_json
from bat_os.errors import BatError, ModelOutputError
from bat_os.kernel.say import replies

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.say.skills import Candidate

WHO: Final = "ALFRED"
TOKENS: Final = 400
SECONDS: Final = 30.0  # for its answer; then the scorer's word stands
MAX_SHOWN: Final = 600  # characters of a sentence, and of what was answered before
DOES: Final = ("skill", "answer", "learn", "ask")
_ASK: Final = (
    "A person says something to their assistant. Say what to do, as JSON:\n"
    '{"do": "skill", "number": N, "args": [...]} if skill N answers it, with its arguments;\n'
    '{"do": "learn"} if a small function of values in the sentence would answer it and no skill '
    "does;\n"
    '{"do": "answer", "text": "..."} if you know the answer for certain, or to write or to talk;\n'
    '{"do": "ask", "text": "..."} if it is unclear, or if it needs files, the web or a device.'
)


class _Chosen(Record, frozen=True, forbid_unknown_fields=False):
    do: Literal["skill", "answer", "learn", "ask"]
    number: int = 0
    args: list[Any] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the model wants done: one of DOES, with what belongs to it."""

    do: str
    candidate: Candidate | None = None  # of ``skill``
    text: str = ""  # of ``answer`` and ``ask``


def is_able(mind: KernelContext) -> bool:
    """Return True if the model may choose."""
    ability = mind.ability_of(WHO)
    return ability.tells_apart and ability.is_formed


async def choose(
    mind: KernelContext, sentence: str, found: Sequence[Candidate], last: Mapping[str, Any]
) -> Decision | None:
    """Return what an able model wants done; None if it gives no usable answer."""
    await mind.refresh()
    prompt = ask(sentence, found, last, mind.cast.personas[WHO].system_prompt)
    schema = object_schema(
        do={"enum": list(DOES)}, number={"type": "integer"}, args={"type": "array"},
        text={"type": "string"},
    )  # fmt: skip
    usual = mind.cast.assigned[WHO].sampling
    sampling = replace(usual, temperature=0.0, max_tokens=TOKENS, schema=schema, seconds=SECONDS)
    try:
        drawn = await mind.roster.generate(WHO, [prompt], sampling)
        said = parse_json(drawn[0].text, _Chosen, ModelOutputError, "the choice")
    except BatError:  # without a model the scorer's word stands
        return None
    if said.do == "skill":
        if not 1 <= said.number <= len(found):
            return None
        candidate = found[said.number - 1]
        if said.args and len(said.args) >= len(candidate.args):
            brief = Brief(candidate.target, candidate.selector, tuple(said.args))
            candidate = replace(
                candidate, args=tuple(said.args), kwargs={}, reading=replies.reading_of(brief)
            )
        return Decision("skill", candidate)
    if said.do != "learn" and not said.text.strip():
        return None
    return Decision(said.do, text=said.text.strip())


def ask(sentence: str, found: Sequence[Candidate], last: Mapping[str, Any], system: str) -> Prompt:
    """Return the question for the model."""
    skills = [f"{n}. {each.reading}: {each.wording}" for n, each in enumerate(found, start=1)]
    before = ""
    if last:
        value = json.dumps(last.get("value"), ensure_ascii=False, default=str)[:MAX_SHOWN]
        before = f"Before: {str(last['text'])[:MAX_SHOWN]}\nAnswered: {value}\n"
    listed = "\n".join(skills) or "none"
    shown = f"{_ASK}\n\nSkills:\n{listed}\n\n{before}The person says: {sentence[:MAX_SHOWN]}"
    return Prompt((("system", system), ("user", shown)))


def in_own_words(decision: Decision, language: str) -> Answer:
    """Return what the model said, marked as its own words."""
    if decision.do == "ask":
        return Answer(
            "asked", decision.text, needs="clarification", language=language, model_calls=1
        )
    return Answer("said", decision.text, language=language, model_calls=1)
