"""Socratic counterpoint: ROBIN and BRICK answer a question, the second building on the first.

    who_begins > ask_first (grounded in numbered passages) > ask_second (given the first answer)

BRICK says what it is and how it works, ROBIN why it matters and to whom. Whoever the question
is for begins: ROBIN where it asks for a reason, for advice or for a feeling, else BRICK.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.prompts import Prompt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.limits import Limits
    from bat_os.core.personas import Persona

NEAR: Final = 0.35  # similarity of a passage to the question from which on it is shown
CITED: Final = 0.5  # similarity of a sentence to a passage from which on it carries its mark
STOP: Final = r"\n\s*\n|\n(?:Question|Notes?|Answer|User)\b"
NOT_GROUNDED: Final = (
    "Nothing in the knowledge catalog is about this: the answer is the model's own, not grounded."
)
UNCITED: Final = (
    "No sentence of the answer stands in a passage: it is the model's own, not grounded."
)
_FOR_ROBIN: Final = re.compile(
    r"\A\W*(?:why|should|who cares|what if i|is it (?:good|bad|right|wrong|worth))\b"
    r"|\b(?:feel|feels|feeling|feelings|afraid|worried|sad|happy|lonely|love|hope|hurt|angry"
    r"|matter|matters|meaning|care|friend|friends|kind|thank you)\b",
    re.IGNORECASE,
)
_SECOND: Final[Mapping[str, str]] = {
    "ROBIN": "Build on it: why does it matter to a person? Answer in one or two short sentences.",
    "BRICK": "Build on it: how does it work, exactly? Answer in one or two short sentences.",
}


def who_begins(question: str) -> tuple[str, str]:
    """Return the names of the first and the second speaker.

    >>> who_begins("How does a stack work?"), who_begins("Why should I keep a diary?")
    (('BRICK', 'ROBIN'), ('ROBIN', 'BRICK'))
    """
    return ("ROBIN", "BRICK") if _FOR_ROBIN.search(question) else ("BRICK", "ROBIN")


def ask_first(persona: Persona, question: str, passages: Sequence[str], limits: Limits) -> Prompt:
    """Return the question for who begins; ``passages`` are numbered from 1."""
    order = f"Answer in at most {limits.sentences} short sentences."
    if passages:
        order = f"Use the notes. {order}"
    return _prompt(persona, f"{_notes(passages, limits)}Question: {question}\n{order}")


def ask_second(
    persona: Persona,
    question: str,
    passages: Sequence[str],
    said: tuple[str, str],
    limits: Limits,
) -> Prompt:
    """Return the question for who goes on; ``said`` is (name, answer) of the first."""
    name, text = said
    told = f"{_notes(passages[:2], limits)}Question: {question}\n{name} answered: {text}\n"
    return _prompt(persona, told + _SECOND[persona.name])


def mark(
    sentences: Sequence[str], likeness: Sequence[Sequence[float]]
) -> tuple[str, tuple[int, ...]]:
    """Return the text with ``[n]`` behind each sentence that a passage speaks for, and all n.

    The marks are measured: what a small model claims to cite is no evidence. A mark says that
    the passage is about what the sentence says, not that it proves it.

    Args:
        sentences: What was said.
        likeness: A row per sentence: its cosine with each passage shown.

    >>> mark(["A bat flies.", "It is late."], [[0.2, 0.8], [0.1, 0.3]])
    ('A bat flies. [2] It is late.', (2,))
    """
    parts: list[str] = []
    cited: list[int] = []
    for sentence, row in zip(sentences, likeness, strict=True):
        best = max(range(len(row)), key=row.__getitem__, default=-1)
        parts.append(sentence)
        if best >= 0 and row[best] >= CITED:
            parts.append(f"[{best + 1}]")
            cited.append(best + 1)
    return " ".join(parts), tuple(dict.fromkeys(cited))


def shorten(text: str, most: int) -> str:
    """Return a passage as it is shown: one line of ``most`` characters, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[:most].rsplit(" ", 1)[0] + " …"


def _notes(passages: Sequence[str], limits: Limits) -> str:
    if not passages:
        return ""
    shown = (shorten(text, limits.passage_chars) for text in passages)
    lines = [f"[{number}] {text}" for number, text in enumerate(shown, start=1)]
    return "Notes:\n" + "\n".join(lines) + "\n\n"


def _prompt(persona: Persona, told: str) -> Prompt:
    messages: list[tuple[str, Any]] = [("system", persona.system_prompt), ("user", told)]
    return Prompt(tuple(messages))
