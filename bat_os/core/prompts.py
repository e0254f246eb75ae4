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

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.core.brief import Brief

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
_PLANS: Final[tuple[tuple[str, list[str], dict[str, Any]], ...]] = (
    (
        "Sort the words by length.",
        ["sort a list with a key function", "length of a text"],
        {"temperature": 0.4, "candidates": 8, "system": "Use sorted with a key."},
    ),
    (
        "Tell how old a person is.",
        ["difference between two dates", "today's date in Python"],
        {"temperature": 0.7, "candidates": 12, "system": "Mind the month and the day."},
    ),
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


def ask_plan(brief: Brief, system: str, *, whole: bool) -> Prompt:
    """Return BRICK's question: what should be looked up, and, ``whole``, how to go about it?

    The answer is read by ``bat_os.core.plan.read_plan``.
    """
    messages = [("system", system)]
    for task, queries, how in _PLANS:
        plan = {"queries": queries} | (how if whole else {})
        messages += [("user", _ask_plan(task)), ("assistant", json.dumps(plan))]
    messages.append(("user", _ask_plan(f"{goal(brief)} As `{signature(brief)}`")))
    return Prompt(tuple(messages))


def ask_method(brief: Brief, system: str, shots: Sequence[tuple[str, str]] | None) -> Prompt:
    """Return the question for one candidate.

    Args:
        brief: What is wanted.
        system: The persona's system prompt.
        shots: (wish, source) pairs shown before the question; None asks plainly, and an
            empty sequence shows the built-in ones.
    """
    messages = [("system", system)]
    for wish, source in () if shots is None else (shots or _SHOTS):
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
