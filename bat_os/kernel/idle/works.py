"""What an idle mind does, most urgent first; what comes of each is a list of proposals.

    practise     wishes that failed, or wait for an example: drafts in several ways
    doubt        provisional methods in use: new drafts, laws, and where these differ
    mend         methods that failed in use: learned again with the call that failed
    look back    methods with a new version: does it answer what the one before did? no model
    look round   the same method twice, never used, slow, hiding one of a parent: no model
    verify       methods under which something changed: their examples again, on the recorded world
    forge        an adapter from what was learned, once that is enough

A work is done in steps, between which it rests, and begins a step again that was broken off. All
run on throw-away forks. Nothing here writes to the image.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, goal
from bat_os.core.choosing import meaning, preview
from bat_os.core.digest import digest
from bat_os.errors import BatError, CellError, DraftsError, NotFoundError
from bat_os.image import runs
from bat_os.image.objects import MethodVersion, find
from bat_os.image.proposals import Proposal
from bat_os.image.store import SLOW
from bat_os.kernel.canary.replaying import as_version, better, replay, worse
from bat_os.kernel.idle.curator import curate
from bat_os.kernel.idle.practice import (
    SECONDS,
    Behaviour,
    Practice,
    Way,
    answers_of,
    differ,
    key_of,
    show_call,
)
from bat_os.kernel.learning.proof import check_examples
from bat_os.kernel.learning.trial import ITS_FAULT, SEED, try_turn
from bat_os.kernel.turn import Candidate
from bat_os.kernel.verbs.files import prove, put_in
from bat_os.kernel.verbs.moments import on_a_fork, rehearse_brief
from bat_os.method.laws import find_broken

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from bat_os.kernel.canary.replaying import Known
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.forge.smithy import Smithy

log = logging.getLogger(__name__)

MOST: Final = 64  # drafts for a wish with an example
MOST_BLIND: Final = 16  # without an example: nothing decides which is right
MOST_DOUBT: Final = 16
DOUBT_WAYS: Final = (Way(True, 0), Way(False, 3))
LAW_BROKEN: Final = 0.5
UNUSED_DAYS: Final = 90
DAY: Final = 86_400.0
LOOK_DAYS: Final = 7
FORGE_SECONDS: Final = 15.0  # of one step
SLOW_SHARE: Final = 20  # one call in so many is slow: the 95th percentile is
SLOW_CALLS: Final = 20  # before that is looked at
SHOWN: Final = 10  # answers that are otherwise
_NO: Final[Mapping[str, Any]] = MappingProxyType[str, Any]({})


@dataclass(slots=True)
class Work:
    """One thing to do.

    Attributes:
        found: What came of it, once it is done.
    """

    kind: str
    key: str
    what: str  # for people
    step: Callable[[KernelContext, Work], Coroutine[Any, Any, bool]]  # True once it is done
    found: list[Proposal] = field(default_factory=list)
    # a method to install by itself where the person allows that
    sure: Mapping[str, Any] | None = None
    settle: Mapping[str, Any] | None = None  # of ``verify``: what is to be noted


def practise(brief: Brief, mission: str, results: Sequence[Any]) -> Work:
    """Return the work on a wish that failed; ``results`` are those of its examples."""
    practice = Practice(brief, MOST if results else MOST_BLIND)

    async def step(mind: KernelContext, work: Work) -> bool:
        await practice.draw(mind)
        if practice.drawn < practice.most and not (results and len(practice.behaviours) > 1):
            return False
        if best := practice.best[:2]:
            work.found.append(_found_for(practice, best, mission, with_example=bool(results)))
            shown = {meaning(result) for result in results}
            if len(shown) > 1 and len(practice.behaviours) == 1:
                work.sure = _install(brief, best[0], ())
        return True

    return Work(
        "practice", f"practice {digest(f'{brief.target} {goal(brief)}')}", goal(brief), step
    )


def _found_for(
    practice: Practice, best: Sequence[Behaviour], mission: str, *, with_example: bool
) -> Proposal:
    brief, wish = practice.brief, goal(practice.brief).rstrip(".")
    fits = "now fits your example" if with_example else "has drafts that run"
    what = f'"{wish}" failed before and {fits}'
    apart = differ(*best) if len(best) > 1 else None
    if apart is not None:
        call = show_call(brief.selector, apart[0])
        answers = [preview(apart[1]), preview(apart[2])]
        what = f"{what}: is {call} {answers[0]} or {answers[1]}?"
        choices = [
            _choice(brief, one, (apart[0], value), call)
            for one, value in zip(best, apart[1:], strict=True)
        ]
    else:
        args, value = _telling(best[0])
        call = show_call(brief.selector, args)
        what = f"{what}: is {call} to be {preview(value)}?"
        choices = [_choice(brief, best[0], (args, value), call)]
    return Proposal(
        "practice", f"practice {mission}", what,
        f"{practice.drawn} drafts; those that fit answer in {_ways(len(practice.behaviours))}",
        choices, [_rest(brief.target, brief.selector, 0)],
        {"drafts": practice.drawn, "behaviours": len(practice.behaviours), "mission": mission,
         "sources": [one.source for one in best]},
    )  # fmt: skip


def _ways(count: int) -> str:
    return "one way" if count == 1 else f"{count} ways"


def _telling(one: Behaviour) -> tuple[tuple[Any, ...], Any]:
    """Return the call of a behaviour that says most: the last one that was answered plainly."""
    plain = [(args, value) for args, value in one.answers.values() if _is_plain(value)]
    return plain[1] if len(plain) > 1 else next(iter(one.answers.values()))


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | list | dict) and value not in ("", [], {})


def _choice(
    brief: Brief, one: Behaviour, shown: tuple[tuple[Any, ...], Any], call: str
) -> dict[str, Any]:
    """Return the choice to install a behaviour, with its answer as one more example."""
    args, value = shown
    example = {"args": list(args), "kwargs": {}, "result": value}
    deed = _install(brief, one, [example] if _is_plain(value) else [])
    return {"shown": f"yes, {call} is {preview(value)}", "deed": deed}


def _install(brief: Brief, one: Behaviour, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "do": "install", "target": brief.target, "selector": brief.selector,
        "source": one.source, "provenance": one.provenance, "examples": list(examples),
    }  # fmt: skip


def _ask(verb: str, target: str, selector: str, **body: Any) -> dict[str, Any]:
    """Return the deed of asking for a verb."""
    return {"do": "verb", "verb": verb, "target": target, "selector": selector, "body": body}


def _rest(target: str, selector: str, version: int, while_: str = "") -> dict[str, Any]:
    rest = {"object": target, "selector": selector, "version": version}
    return rest | ({"while": while_} if while_ else {})


@dataclass(frozen=True, slots=True)
class Skill:
    """A method that is looked at."""

    holder: str  # name or oid
    selector: str
    version: int
    source: str
    brief: Brief | None  # that it was written for
    uses: int = 0
    faults: int = 0
    failed: tuple[str, ...] = ()  # arguments of calls that failed, as Python writes them
    examples: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.holder}.{self.selector}"


def doubt(skill: Skill, brief: Brief) -> Work:
    """Return the work on a provisional method: does what new drafts say agree with it?"""
    practice = Practice(brief, MOST_DOUBT, DOUBT_WAYS)

    async def step(mind: KernelContext, work: Work) -> bool:
        await practice.draw(mind)
        if practice.drawn < practice.most:
            return False
        own = await answers_of(mind, brief, skill.source)
        if own is None:
            return True
        law = await _broken_law(mind, skill, brief)
        work.found += _doubts(practice, skill, own, law)
        return True

    return Work("doubt", f"doubt {skill.name} {skill.version}", skill.name, step)


async def _broken_law(mind: KernelContext, skill: Skill, brief: Brief) -> str:
    if len(brief.args) != 1 or brief.kwargs:
        return ""

    async def ask(value: Any) -> Any:
        trial = Candidate(skill.selector, skill.source, SEED, 0.0, SECONDS)
        call = replace(brief, args=(value,))
        return (await try_turn(mind.image, mind.cell, call, trial, mind)).value

    try:
        return await find_broken(goal(brief), brief.args[0], ask)
    except BatError:
        return ""


def _doubts(
    practice: Practice, skill: Skill, own: Mapping[str, tuple[tuple[Any, ...], Any]], law: str
) -> list[Proposal]:
    brief = practice.brief
    agree = practice.behaviours.get(key_of(own))
    votes = sum(one.votes for one in practice.behaviours.values())
    share = (agree.votes if agree else 0) / votes if votes else 1.0
    faults = skill.faults / max(skill.uses, 1)
    amount = 1 - share + (LAW_BROKEN if law else 0) + faults
    rival = practice.best[0] if practice.behaviours else None
    mine = Behaviour(skill.source, {}, dict(own))
    apart = differ(mine, rival) if rival is not None and rival is not agree else None
    if apart is None and not law:
        return []
    choices: list[dict[str, Any]] = []
    what = f"I doubt {skill.name}"
    if apart is not None and rival is not None:
        call = show_call(brief.selector, apart[0])
        what += f": is {call} {preview(apart[1])} or {preview(apart[2])}?"
        if _is_plain(apart[1]):
            choices.append(_confirm(skill, apart[0], apart[1], call))
        choices.append(_choice(brief, rival, (apart[0], apart[2]), call))
    else:
        args, value = next(iter(own.values()))
        call = show_call(brief.selector, args)
        what += f": {law}, and it is not so. Is {call} {preview(value)}?"
        if not _is_plain(value):
            return []
        choices.append(_confirm(skill, args, value, call))
    why = f"{round(share * 100)}% of {votes} new drafts agree with it"
    return [
        Proposal(
            "doubt", f"doubt {skill.name} {skill.version}", what, why + (f"; {law}" if law else ""),
            choices, [_rest(skill.holder, skill.selector, skill.version, "provisional")],
            {"doubt": round(amount, 3), "dissonance": round(amount * skill.uses, 3),
             "source": skill.source, "rival": rival.source if rival else "", "law": law},
        )
    ]  # fmt: skip


def _confirm(skill: Skill, args: Sequence[Any], value: Any, call: str) -> dict[str, Any]:
    """Return the choice to keep a method, with its answer as an example."""
    example = {"args": list(args), "kwargs": {}, "result": value}
    deed = _ask("verify-method", skill.holder, skill.selector, examples=[example])
    return {"shown": f"{call} is {preview(value)}: keep it", "deed": deed}


def mend(skill: Skill, brief: Brief, calls: Sequence[tuple[Any, Any]]) -> Work:
    """Return the work on a method that failed in use: ``calls`` are (args, kwargs) that failed."""

    async def step(mind: KernelContext, work: Work) -> bool:
        args, kwargs = calls[0]
        asked = replace(brief, args=tuple(args), kwargs=kwargs, fresh=True, text=goal(brief))
        told = await rehearse_brief(mind, asked, lambda event: None)
        if told.learned is None:
            return True
        source, _, provenance = told.learned
        left = [one for one in calls if not await _answers(mind, brief, source, one)]
        shown = show_call(brief.selector, args)
        deed = {"do": "install", "target": skill.holder, "selector": skill.selector,
                "source": source, "provenance": provenance, "examples": []}  # fmt: skip
        if not left and not await _makes_worse(mind, deed):
            work.found.append(
                Proposal(
                    "mend", f"mend {skill.name} {skill.version}",
                    f"{skill.name} failed on {shown}; a new version answers it",
                    f"it failed on {skill.faults} different messages; every example holds",
                    [{"shown": "install the new version", "deed": deed}],
                    [_rest(skill.holder, skill.selector, skill.version, "failing")],
                    {"source": skill.source, "new": source, "calls": len(calls)},
                )
            )  # fmt: skip
        return True

    return Work("mend", f"mend {skill.name} {skill.version}", skill.name, step)


async def _makes_worse(mind: KernelContext, deed: Mapping[str, Any]) -> bool:
    """Return whether something that was right would not be so with a method: it is not proposed."""

    async def change(there: KernelContext) -> None:
        version = MethodVersion(1, deed["source"], "provisional", deed["provenance"])
        skill = await prove(there, deed["target"], deed["selector"], version)
        await there.image.transact(
            lambda root: put_in(root, find(root, deed["target"]), skill), note="try a new version"
        )

    found = worse(await replay(mind, change))
    for one in found:
        log.info("not proposed: %s", one.to_plain())
    return bool(found)


def look_back(skill: Skill, before: int, calls: Sequence[Known]) -> Work:
    """Return the work on a new version: is what ``before`` answered, as in ``calls``, still so?"""

    async def step(mind: KernelContext, work: Work) -> bool:
        change = as_version(skill.holder, skill.selector, before)
        found = await replay(mind, change, also=calls)
        if not worse(found) and (lost := better(found)):
            told = lost[0].to_plain()
            deed = _ask("redo", skill.holder, skill.selector, version=before)
            work.found.append(
                Proposal(
                    "canary", f"canary {skill.name} {skill.version}",
                    f"Since version {skill.version} of {skill.name}, {told['what']} comes to "
                    f"{told['before']} and not to {told['known']}",
                    f"{len(lost)} of {len(found)} known answers are otherwise; none is so with "
                    f"version {before}",
                    [{"shown": f"go back to version {before}", "deed": deed}],
                    [_rest(skill.holder, skill.selector, skill.version)],
                    {"source": skill.source, "otherwise": [one.to_plain() for one in lost[:SHOWN]]},
                )
            )  # fmt: skip
        return True

    return Work("canary", f"canary {skill.name} {skill.version}", skill.name, step)


async def _answers(mind: KernelContext, brief: Brief, source: str, call: tuple[Any, Any]) -> bool:
    args, kwargs = call
    trial = Candidate(brief.selector, source, SEED, None, SECONDS)
    asked = replace(brief, args=tuple(args), kwargs=kwargs)
    try:
        await try_turn(mind.image, mind.cell, asked, trial, mind)
    except (CellError, NotFoundError):
        return False
    return True


def look_round(week: int, seen: Sequence[Proposal]) -> Work:
    """Return the weekly look: ``seen``, and methods that are there twice."""

    async def step(mind: KernelContext, work: Work) -> bool:
        for record in await curate(mind):
            if twin := record.get("same_as"):
                for one in _duplicate(record, twin):
                    deed = one.choices[0]["deed"]
                    given = {"target": deed["target"], "selector": record["lineage"]["selector"]}
                    if not await _makes_worse(mind, deed["body"] | given | {"provenance": {}}):
                        work.found.append(one)
        work.found += seen
        return True

    return Work("look", f"look {week}", "look round", step)


def unused(skill: Skill) -> Proposal:
    """Return the proposal about a method that nobody uses."""
    return _unlearn(
        "unused", skill, f"Nobody has used {skill.name} for {UNUSED_DAYS} days",
        "unlearned, it is out of the search; redo brings it back", "unlearn it",
    )  # fmt: skip


def slow(skill: Skill, count: int) -> Proposal:
    """Return the proposal about a method of whose calls ``count`` took long."""
    return _unlearn(
        "slow", skill, f"{skill.name} is slow",
        f"{count} of its {skill.uses} calls took over {round(SLOW * 1000)} ms",
        "unlearn it; the next message has it written again",
    )  # fmt: skip


def shadowed(skill: Skill, above: str, source: str) -> Proposal:
    """Return the proposal about a method that hides one of the same name, of ``above``."""
    return _unlearn(
        "shadowed", skill, f"{skill.name} hides {above}.{skill.selector}",
        "what is inherited came later, and never answers here", f"unlearn it: {above} answers then",
        {"source": skill.source, "inherited": source},
    )  # fmt: skip


def _unlearn(
    kind: str, skill: Skill, what: str, why: str, shown: str, evidence: Mapping[str, Any] = _NO
) -> Proposal:
    deed = _ask("unlearn", skill.holder, skill.selector)
    return Proposal(
        kind, f"{kind} {skill.name} {skill.version}", what, why,
        [{"shown": shown, "deed": deed}], [_rest(skill.holder, skill.selector, skill.version)],
        evidence or {"source": skill.source},
    )  # fmt: skip


def _duplicate(record: Mapping[str, Any], twin: Mapping[str, Any]) -> list[Proposal]:
    """Return the proposal to pass one of two same methods on to the other."""
    lineage = record["lineage"]
    holder, selector, other = lineage["object"], lineage["selector"], twin["selector"]
    if twin["object"] != holder or selector == other or not record["call"]:
        return []
    params = record["call"].partition("(")[2].removesuffix(")")
    source = f"def {selector}(self{params and f', {params}'}):\n    return self.{other}({params})\n"
    deed = _ask("teach", holder, "", source=source)
    return [
        Proposal(
            "duplicate", f"duplicate {holder}.{selector} {other}",
            f"{holder}.{selector} does what {holder}.{other} does",
            "their texts, or their answers to a few calls, are the same",
            [{"shown": f"pass {selector} on to {other}", "deed": deed}],
            [_rest(holder, selector, lineage["version"]), _rest(holder, other, twin["version"])],
        )
    ]  # fmt: skip


def verify(skill: Skill, examples: Sequence[Mapping[str, Any]], changed: str) -> Work:
    """Return the work on a method under which something changed: does it still hold?"""
    brief = skill.brief or Brief(skill.holder, skill.selector)

    async def step(mind: KernelContext, work: Work) -> bool:
        asked = replace(brief, target=skill.holder, selector=skill.selector)
        trial = Candidate(skill.selector, skill.source)
        why = ""
        try:
            async with on_a_fork(mind) as there:
                await check_examples(there, asked, trial, examples)
        except (DraftsError, *ITS_FAULT) as error:
            why = str(error)
        work.settle = {"object": skill.holder, "selector": skill.selector,
                       "version": skill.version, "why": why}  # fmt: skip
        if why:
            deed = _ask("unlearn", skill.holder, skill.selector)
            work.found.append(
                Proposal(
                    "stale", f"stale {skill.name} {skill.version} {digest(changed)[:8]}",
                    f"{skill.name} no longer holds: {why.partition('; nothing was changed')[0]}",
                    f"since it was verified: {changed}",
                    [{"shown": "unlearn it; the next message has it written again", "deed": deed}],
                    [_rest(skill.holder, skill.selector, skill.version)],
                    {"source": skill.source},
                )
            )  # fmt: skip
        return True

    return Work("stale", f"verify {skill.name} {skill.version} {digest(changed)}", skill.name, step)


def forge(smithy: Smithy, number: int, day: str) -> Work:
    """Return the work on a run of the forge; its adapter waits for a yes."""

    async def step(mind: KernelContext, work: Work) -> bool:
        if not await smithy.work(FORGE_SECONDS):
            return False
        known = await mind.image.transact(runs.read, note="look for runs")
        work.found += [_promote(run) for run in known if run["run"] == number
                       and run["outcome"] == runs.WAITS]  # fmt: skip
        return True

    return Work("forge", f"forge {number} {day}", f"train the adapter {number}", step)


def _promote(run: Mapping[str, Any]) -> Proposal:
    number = run["run"]
    return Proposal(
        "forge", f"forge {number}",
        f"An adapter that I trained on {len(run['records'])} of my methods writes better",
        "; ".join(gate["why"] for gate in run["gates"]),
        [{"shown": "write methods through it", "deed": {"do": "take", "run": number}}],
        [{"run": number}], {gate["gate"]: gate["figures"] for gate in run["gates"]},
    )  # fmt: skip
