"""What ``say`` answers: a kind that says what stands behind it, and what a person can do with it.

    computed   a method that a person or examples stand behind; ``reading`` says which, with what
    recalled   memory or a document; ``sources`` says which, and when it was said
    acted      something was changed; ``undo`` says how to take it back
    said       a model's own words, which nobody has checked
    guess      a method that only a model's drafts speak for; it is not installed
    asked      one question, and in ``needs`` what the answer would be
    unable     what is missing, and the nearest that it can do

Every client shows these seven, each in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.readable import show_value

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS: Final = ("computed", "recalled", "acted", "said", "guess", "asked", "unable")
NEEDS: Final = ("grant", "example", "clarification", "confirmation", "model")

_GUESS: Final[Mapping[str, str]] = {
    "en": "guess", "de": "Vermutung", "fr": "supposition", "es": "suposición",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer to one sentence; ``as_body`` is what goes over the wire."""

    kind: str  # one of KINDS
    text: str  # for a person, in the language of the sentence
    value: Any = None  # plain data: of ``computed``, ``recalled`` and ``guess``
    reading: str = ""  # how the sentence was understood, as ``percent_of(17, 340)``
    needs: str = ""  # of ``asked``: one of NEEDS
    choices: tuple[str, ...] = ()  # what may be meant, or the nearest; numbered for a person
    # what it is from: {"kind": "fact" | "document" | "method", "title", "text", "at"?: Unix time}
    sources: tuple[Mapping[str, Any], ...] = ()
    undo: str = ""  # a sentence that takes it back, or ""
    learned: bool = False  # a method was installed
    model_calls: int = 0
    language: str = "en"  # of ``text``
    # what a follow-up needs, kept in the conversation and not sent: see ``kernel/say``
    memory: Mapping[str, Any] = field(default_factory=dict)

    def as_body(self, seconds: float) -> dict[str, Any]:
        """Return the body of the reply."""
        body = {each.name: getattr(self, each.name) for each in fields(self)}
        del body["memory"]
        body["choices"], body["sources"] = list(self.choices), [dict(s) for s in self.sources]
        return {**body, "seconds": round(seconds, 4)}


def show_answer(body: Mapping[str, Any]) -> str:
    """Return the body of an answer as text; a guess always has its mark."""
    language, kind = str(body.get("language", "en")), body.get("kind")
    text = str(body.get("text") or "") or show_value(body.get("value"), language)
    if kind == "guess":
        mark = _GUESS.get(language, _GUESS["en"])
        text = text if mark.lower() in text.lower() else f"{text} ({mark})"
    if kind not in ("asked", "unable"):
        return text
    choices = (f"  {number}  {each}" for number, each in enumerate(body.get("choices", ()), 1))
    return "\n".join([text, *choices])
