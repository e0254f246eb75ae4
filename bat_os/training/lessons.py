"""Lessons from examples: exactly the question that a mission asks, and the answer to learn.

The question comes from ``core/prompts.py``, so what is trained is what is used. One example
makes many lessons: other personas ask, parameters have the names that the kernel gives them,
and some questions show similar methods first.
"""

from __future__ import annotations

import random
import textwrap
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bat_os.core.brief import goal
from bat_os.core.personas import ALFRED, BABS, BRICK, ROBIN
from bat_os.core.prompts import ask_method

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.core.prompts import Prompt
    from bat_os.training.examples import Example

# ALFRED writes where nobody else is named; BRICK's objects are the next most common.
_ASKERS: Final = (ALFRED, ALFRED, ALFRED, BRICK, BRICK, ROBIN, BABS)
_FENCE: Final = "\n```"


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing to learn: after this prompt comes this answer, and then the turn ends."""

    prompt: Prompt
    answer: str


def make_lessons(examples: Sequence[Example], *, count: int, seed: int) -> list[Lesson]:
    """Return ``count`` lessons; every example comes once before any comes twice.

    The same examples, count and seed give the same lessons.
    """
    draw = random.Random(seed)  # noqa: S311 - an order of lessons, no secret
    order: list[Example] = []
    while len(order) < count:
        once = list(examples)
        draw.shuffle(once)
        order += once
    return [_make_lesson(example, examples, draw) for example in order[:count]]


def ask_plainly(example: Example) -> Prompt:
    """Return the question for an example as a mission asks it first."""
    return ask_method(example.to_brief(), ALFRED.system_prompt, None)


def _make_lesson(example: Example, others: Sequence[Example], draw: random.Random) -> Lesson:
    params = example.params
    if draw.random() < 0.4 and example.rename(generic := example.generic_params()):
        params = generic
    brief = example.to_brief(params)
    if draw.random() < 0.1:
        brief = replace(brief, text=f"create a method to {brief.text}")
    shots = _pick_shots(example, others, draw) if draw.random() < 0.25 else None
    prompt = ask_method(brief, draw.choice(_ASKERS).system_prompt, shots)
    # The prompt ends within the indentation of the first line of the body.
    body = textwrap.indent(example.rename(params), "    ")
    return Lesson(prompt, body.removeprefix("   ") + _FENCE)


def _pick_shots(
    example: Example, others: Sequence[Example], draw: random.Random
) -> list[tuple[str, str]]:
    """Return none to two (wish, source) pairs, the first of the same kind; pure functions."""
    pure = [other for other in others if other is not example and "self" not in other.body]
    same = [other for other in pure if other.kind == example.kind] or pure
    shots = [draw.choice(pool) for pool in (same, pure) if pool][: draw.randrange(3)]
    return [(goal(shot.to_brief()), shot.to_source().rstrip()) for shot in shots]
