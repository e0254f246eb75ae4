"""Steps with tools, as events of a mission; and what a mission that takes them knows.

    ToolsOffered > ToolChosen > StepTaken > ToolChosen > StepTaken > AnswerGiven
                                             > MethodDistilled, or AnswerKept

Which state follows which is ``bat_os.core.mission``'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.brief import Brief

    Step = Mapping[str, Any]
    Result = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """Base of the things that can happen to a mission."""

    # batches that a language model ran to bring this about
    model_calls: int = field(default=0, kw_only=True)
    tokens: int = field(default=0, kw_only=True)  # new tokens that it drew


@dataclass(frozen=True, slots=True)
class ToolsOffered(Event):
    """It is answered step by step, with tools; ``reason``: why no method was written instead."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class ToolChosen(Event):
    """The next step is decided, and not taken.

    ``step`` has tool, oid, slot, selector, args, and ``changes``: it does more than read.
    """

    step: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepTaken(Event):
    """It is taken, in the same commit.

    ``result`` has ``value``, or ``error``; and ``label``: the grants that had a say in it.
    """

    result: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AnswerGiven(Event):
    """The steps have led to an answer.

    ``answer`` has ``value``, and ``said``: a persona's own words, which no step answered.
    """

    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MethodDistilled(Event):
    """The steps have become a method, which was tried on what they gave."""

    status: str  # as of ``MethodVerified``


@dataclass(frozen=True, slots=True)
class AnswerKept(Event):
    """The steps have become no method; ``reason`` says why."""

    reason: str


EVENTS: Final = (ToolsOffered, ToolChosen, StepTaken, AnswerGiven, MethodDistilled, AnswerKept)


def taken(events: Sequence[Event]) -> tuple[tuple[Step, Result], ...]:
    """Return the steps that were taken, each with its result."""
    found: list[tuple[Step, Result]] = []
    step: Step = {}
    for event in events:
        if isinstance(event, ToolChosen):
            step = event.step
        elif isinstance(event, StepTaken):
            found.append((step, event.result))
    return tuple(found)


def pending(events: Sequence[Event]) -> Step | None:
    """Return the step that is decided, and not taken; None if there is none."""
    kinds = (ToolChosen, StepTaken)
    event = next((e for e in reversed(events) if isinstance(e, kinds)), None)
    return event.step if isinstance(event, ToolChosen) else None


def label(brief: Brief, events: Sequence[Event]) -> tuple[str, ...]:
    """Return the grants that had a say in what a mission knows: the request's, its steps'."""
    told = (oid for _, result in taken(events) for oid in result.get("label", ()))
    return tuple(sorted({*brief.label, *told}))
