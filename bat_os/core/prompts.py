"""What each step asks a model, and how its answer is read. Pure text work.

Measured with a 135M model: a forced ``def`` line with a docstring, ended at the first
dedent, is worth more than any instruction, so the answer begins inside the function and
only its body is the model's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal, signature
from bat_os.errors import ModelOutputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.brief import Brief

MAX_QUERIES: Final = 3
QUERIES_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "queries": {
            "type": "array",
            "items": {"type": "string", "minLength": 3, "maxLength": 60},
            "minItems": 1,
            "maxItems": MAX_QUERIES,
        }
    },
    "required": ["queries"],
    "additionalProperties": False,
}
# The body ends where a line starts at the margin, or where the code fence closes.
STOP: Final = r"\n(?=[^\s)\]}])|\n?```"
_SHOTS: Final = (
    (
        "Join the words with a dash.",
        'def join_words(self, words):\n    """Join the words with a dash."""\n'
        '    return "-".join(words)',
    ),
    (
        "Count the even numbers.",
        'def count_even(self, numbers):\n    """Count the even numbers."""\n'
        "    return sum(1 for n in numbers if n % 2 == 0)",
    ),
)
_PLANS: Final = (
    ("Sort the words by length.", ["sort a list with a key function", "length of a text"]),
    ("Tell how old a person is.", ["difference between two dates", "today's date in Python"]),
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to a model.

    Attributes:
        messages: (role, text) pairs; role is ``system``, ``user`` or ``assistant``.
        prefill: How the answer begins; the model goes on from there, and the completion's
            text does not repeat it.
    """

    messages: tuple[tuple[str, str], ...]
    prefill: str = ""


def ask_queries(brief: Brief, system: str) -> Prompt:
    """Return BRICK's question: what should be looked up?"""
    messages = [("system", system)]
    for task, queries in _PLANS:
        messages += [("user", _ask_plan(task)), ("assistant", json.dumps({"queries": queries}))]
    messages.append(("user", _ask_plan(f"{goal(brief)} As `{signature(brief)}`")))
    return Prompt(tuple(messages))


def read_queries(text: str) -> tuple[str, ...]:
    """Return the queries in a model's answer.

    Raises:
        ModelOutputError: It is not the JSON that was asked for; says what is wrong.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelOutputError(f"the queries are not JSON: {error}") from error
    queries = data.get("queries") if type(data) is dict else None
    if type(queries) is not list or not 1 <= len(queries) <= MAX_QUERIES:
        raise ModelOutputError("the JSON has no list of one to three queries")
    # JSON can escape half of a surrogate pair, which no frame and no file can carry.
    texts = [q.encode(errors="ignore").decode() if type(q) is str else "" for q in queries]
    cleaned = [" ".join(text.split()) for text in texts]
    if not all(0 < len(query) <= 200 for query in cleaned):
        raise ModelOutputError("a query is empty, too long or no text")
    return tuple(dict.fromkeys(cleaned))


def ask_method(brief: Brief, system: str, shots: Sequence[tuple[str, str]] | None) -> Prompt:
    """Return the question for one candidate.

    Args:
        brief: What is wanted.
        system: The persona's system prompt.
        shots: (wish, source) pairs shown before the question; None asks plainly, and an
            empty sequence shows the built-in ones.
    """
    messages = [("system", system)]
    for wish, source in () if shots is None else (*shots, *_SHOTS)[:2]:
        messages += [("user", _order(wish)), ("assistant", f"```python\n{source}\n```")]
    messages.append(("user", _order(goal(brief))))
    return Prompt(tuple(messages), f"```python\n{_opening(brief)}")


def read_method(brief: Brief, text: str) -> str:
    """Return the source of a candidate: the forced opening and the model's body."""
    return f"{_opening(brief)}{text.rstrip()}\n"


def _opening(brief: Brief) -> str:
    return f'{signature(brief)}\n    """{goal(brief)}"""\n   '


def _ask_plan(task: str) -> str:
    return f"Task: {task}\nName one to three short search queries for it, as JSON."


def _order(wish: str) -> str:
    return f"Write a short Python method. {wish} Return the result."
