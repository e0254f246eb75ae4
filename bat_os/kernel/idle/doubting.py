"""Doubt: is a provisional method what was asked for? New drafts, edges and laws say.

    the method, 32 new drafts in four ways > answers to the call, to others near it, at the edges
      > too few of the drafts that have a voice answer alike, for what method and wish leave
        unexplained of each other, or a law is broken > a question

A draft has a voice if it would have one in a mission. Where one of two fails, that says nothing:
nobody may ever ask that. What is adapted from a known function is better evidence than drafts of
a small model, and an answer that is another one each time cannot be compared: there only the laws
speak. Nothing here writes to the image.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal
from bat_os.core.choosing import preview
from bat_os.errors import BatError
from bat_os.image.proposals import Proposal
from bat_os.kernel.idle.explaining import find_unexplained, numbers_in
from bat_os.kernel.idle.practice import (
    SECONDS,
    Behaviour,
    Chance,
    Failure,
    Practice,
    answers_of,
    differ,
    has_voice,
    show_call,
)
from bat_os.kernel.idle.works import Skill, Work, choice_of, is_plain, resting_on, verb_deed
from bat_os.kernel.learning.trial import SEED, try_turn
from bat_os.kernel.turn import Candidate
from bat_os.method.edges import edges, find_left_out
from bat_os.method.laws import find_broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.core.brief import Brief
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.idle.practice import Answers

MOST: Final = 32  # drafts
# Shares of the drafts that have a voice: if fewer agree with a method, it is doubted. The share
# grows with what method and wish leave unexplained of each other, because drafts tend to leave out
# the same part of a wish. docs/benchmarks.md has the curve: a higher share marks more of the wrong
# ones, and disturbs more of the right ones.
SHARE_OF_A_NAT: Final = 0.13
LEAST_SHARE: Final = 0.2
USUAL_SHARE: Final = 0.45  # where the words are not known, as in another language
LAW_BROKEN: Final = 0.5


def doubt(skill: Skill, brief: Brief) -> Work:
    """Return the work on a provisional method: does what new drafts say agree with it?"""
    probes = edges(brief.args, skill.source, skill.selector)
    practice = Practice(brief, MOST, probes=probes)
    own: Answers | None = None

    async def step(mind: KernelContext, work: Work) -> bool:
        nonlocal own
        if own is None:
            own = await answers_of(mind, brief, skill.source, probes)
            if own is None:  # it fails on its own call, so there is nothing to compare
                return True
        is_compared = not skill.adapted and not any(
            isinstance(value, Chance) for _, value in own.values()
        )
        if is_compared and practice.drawn < practice.most:
            await practice.draw(mind)
            return False
        work.found += _doubts(practice, skill, own, await _broken_law(mind, skill, brief))
        return True

    return Work("doubt", f"doubt {skill.name} {skill.version}", skill.name, step)


async def _broken_law(mind: KernelContext, skill: Skill, brief: Brief) -> str:
    """Return what a method should do by the words of its wish and does not, or ""."""
    given = [*brief.args, *brief.kwargs.values()]
    told = [one for value in given for one in (value if isinstance(value, list) else [value])]
    named = [one for one, _ in numbers_in(goal(brief)) if one not in told]
    left_out = find_left_out(named, len(given), skill.source, skill.selector)
    if left_out is not None:
        return f"{preview(left_out)} was asked for and plays no part"
    if len(brief.args) != 1 or brief.kwargs:
        return ""

    async def ask(value: Any) -> Any:
        trial = Candidate(skill.selector, skill.source, SEED, 0.0, SECONDS)
        call = replace(brief, args=(value,))
        return (await try_turn(mind.image, mind.cell, call, trial, mind)).value

    try:
        law = await find_broken(goal(brief), brief.args[0], ask)
    except BatError:
        return ""
    return law and f"{law}, and it is not so"


def _share_wanted(brief: Brief, source: str, own: Answers) -> float:
    """Return the share of the drafts that has to agree with a method."""
    answer = next(iter(own.values()))[1]
    unexplained = find_unexplained(brief, source, answer)
    return USUAL_SHARE if unexplained is None else max(LEAST_SHARE, SHARE_OF_A_NAT * unexplained)


def _doubts(practice: Practice, skill: Skill, own: Answers, law: str) -> list[Proposal]:
    brief, mine = practice.brief, Behaviour(skill.source, {}, own)
    heard = [one for one in practice.best if has_voice(brief, one)]
    others = [one for one in heard if _contradiction(mine, one)]
    votes = sum(one.votes for one in heard)
    agree = votes - sum(one.votes for one in others)
    share = agree / votes if votes else 1.0
    if not law and (not others or share >= _share_wanted(brief, skill.source, own)):
        return []
    amount = 1 - share + (LAW_BROKEN if law else 0) + skill.faults / max(skill.uses, 1)
    rival = others[0] if others else None
    what, choices = _question(skill, brief, mine, rival, law)
    if not choices:
        return []
    why = f"{agree} of {votes} new drafts agree with it" if votes else "no draft speaks for it"
    return [
        Proposal(
            "doubt", f"doubt {skill.name} {skill.version}", what, why + (f"; {law}" if law else ""),
            choices, [resting_on(skill.holder, skill.selector, skill.version, "provisional")],
            {"doubt": round(amount, 3), "dissonance": round(amount * skill.uses, 3),
             "source": skill.source, "rival": rival.source if rival else "", "law": law},
        )
    ]  # fmt: skip


def _contradiction(one: Behaviour, other: Behaviour) -> tuple[tuple[Any, ...], Any, Any] | None:
    """Return what ``differ`` does, if neither fails on it."""
    apart = differ(one, other)
    if apart is None or any(isinstance(answer, Failure) for answer in apart[1:]):
        return None
    return apart


def _question(
    skill: Skill, brief: Brief, mine: Behaviour, rival: Behaviour | None, law: str
) -> tuple[str, list[dict[str, Any]]]:
    """Return the question to a person, and what each answer does; no answers if none is plain."""
    choices: list[dict[str, Any]] = []
    what, apart = f"I doubt {skill.name}", rival and _contradiction(mine, rival)
    if rival is not None and apart:
        args, value, other = apart
        call = show_call(brief.selector, args)
        what += f": is {call} {preview(value)} or {preview(other)}?"
        if is_plain(value):
            choices.append(_confirm(skill, args, value, call))
        return what, [*choices, choice_of(brief, rival, (args, other), call)]
    args, value = next(iter(mine.answers.values()))
    call = show_call(brief.selector, args)
    what += f": {law}. Is {call} {preview(value)}?"
    return what, [_confirm(skill, args, value, call)] if is_plain(value) else []


def _confirm(skill: Skill, args: Sequence[Any], value: Any, call: str) -> dict[str, Any]:
    """Return the choice to keep a method, with its answer as an example."""
    example = {"args": list(args), "kwargs": {}, "result": value}
    deed = verb_deed("verify-method", skill.holder, skill.selector, examples=[example])
    return {"shown": f"{call} is {preview(value)}: keep it", "deed": deed}
