"""What an idle mind does, most urgent first; what comes of each is a list of proposals.

    practise     wishes that failed, or wait for an example: drafts in several ways
    doubt        provisional methods in use: ``doubting.py``
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
from bat_os.errors import CellError, DraftsError, NotFoundError
from bat_os.image import runs
from bat_os.image.objects import MethodVersion, find
from bat_os.image.proposals import Proposal
from bat_os.image.store import SLOW
from bat_os.kernel.canary.replaying import as_version, better, replay, worse
from bat_os.kernel.idle.curator import curate
from bat_os.kernel.idle.practice import SECONDS, Behaviour, Practice, differ, has_voice, show_call
from bat_os.kernel.learning.proof import check_examples
from bat_os.kernel.learning.trial import ITS_FAULT, SEED, try_turn
from bat_os.kernel.turn import Candidate
from bat_os.kernel.verbs.files import prove, put_in
from bat_os.kernel.verbs.moments import on_a_fork, rehearse_brief

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from bat_os.kernel.canary.replaying import Known
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.forge.smithy import Smithy

log = logging.getLogger(__name__)

MOST: Final = 64  # drafts for a wish with an example
MOST_BLIND: Final = 16  # without an example: nothing decides which is right
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
        best = [one for one in practice.best if results or has_voice(brief, one)][:2]
        if best:
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
    failed = (  # both endings stand in the text itself, so that each is one text to translate
        f'"{wish}" failed before and '
        f"{'now fits your example' if with_example else 'has drafts that run'}"
    )
    apart = differ(*best) if len(best) > 1 else None
    if apart is not None:
        call = show_call(brief.selector, apart[0])
        answers = [preview(apart[1]), preview(apart[2])]
        what = f"{failed}: is {call} {answers[0]} or {answers[1]}?"
        choices = [
            choice_of(brief, one, (apart[0], value), call)
            for one, value in zip(best, apart[1:], strict=True)
        ]
    else:
        args, value = _telling(best[0])
        call = show_call(brief.selector, args)
        what = f"{failed}: is {call} to be {preview(value)}?"
        choices = [choice_of(brief, best[0], (args, value), call)]
    return Proposal(
        "practice", f"practice {mission}", what,
        f"{practice.drawn} drafts; those that fit answer in {_ways(len(practice.behaviours))}",
        choices, [resting_on(brief.target, brief.selector, 0)],
        {"drafts": practice.drawn, "behaviours": len(practice.behaviours), "mission": mission,
         "sources": [one.source for one in best]},
    )  # fmt: skip


def _ways(count: int) -> str:
    return "one way" if count == 1 else f"{count} ways"


def _telling(one: Behaviour) -> tuple[tuple[Any, ...], Any]:
    """Return the call of a behaviour that says most: the last one that was answered plainly."""
    plain = [(args, value) for args, value in one.answers.values() if is_plain(value)]
    return plain[1] if len(plain) > 1 else next(iter(one.answers.values()))


def is_plain(value: Any) -> bool:
    """Return whether a person can say yes to a value."""
    return isinstance(value, bool | int | float | str | list | dict) and value not in ("", [], {})


def choice_of(
    brief: Brief, one: Behaviour, shown: tuple[tuple[Any, ...], Any], call: str
) -> dict[str, Any]:
    """Return the choice to install a behaviour, with its answer as one more example."""
    args, value = shown
    example = {"args": list(args), "kwargs": {}, "result": value}
    deed = _install(brief, one, [example] if is_plain(value) else [])
    return {"shown": f"yes, {call} is {preview(value)}", "deed": deed}


def _install(brief: Brief, one: Behaviour, examples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "do": "install", "target": brief.target, "selector": brief.selector,
        "source": one.source, "provenance": one.provenance, "examples": list(examples),
    }  # fmt: skip


def verb_deed(verb: str, target: str, selector: str, **body: Any) -> dict[str, Any]:
    """Return the deed of asking for a verb."""
    return {"do": "verb", "verb": verb, "target": target, "selector": selector, "body": body}


def resting_on(target: str, selector: str, version: int, while_: str = "") -> dict[str, Any]:
    """Return what a proposal rests on: this version, and what it is."""
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
    adapted: bool = False  # from a known function
    examples: tuple[Mapping[str, Any], ...] = ()

    @property
    def name(self) -> str:
        """Its name for people."""
        return f"{self.holder}.{self.selector}"


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
                    [resting_on(skill.holder, skill.selector, skill.version, "failing")],
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
            deed = verb_deed("redo", skill.holder, skill.selector, version=before)
            work.found.append(
                Proposal(
                    "canary", f"canary {skill.name} {skill.version}",
                    f"Since version {skill.version} of {skill.name}, {told['what']} comes to "
                    f"{told['before']} and not to {told['known']}",
                    f"{len(lost)} of {len(found)} known answers are otherwise; none is so with "
                    f"version {before}",
                    [{"shown": f"go back to version {before}", "deed": deed}],
                    [resting_on(skill.holder, skill.selector, skill.version)],
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
    deed = verb_deed("unlearn", skill.holder, skill.selector)
    return Proposal(
        kind, f"{kind} {skill.name} {skill.version}", what, why,
        [{"shown": shown, "deed": deed}], [resting_on(skill.holder, skill.selector, skill.version)],
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
    deed = verb_deed("teach", holder, "", source=source)
    return [
        Proposal(
            "duplicate", f"duplicate {holder}.{selector} {other}",
            f"{holder}.{selector} does what {holder}.{other} does",
            "their texts, or their answers to a few calls, are the same",
            [{"shown": f"pass {selector} on to {other}", "deed": deed}],
            [resting_on(holder, selector, lineage["version"]),
             resting_on(holder, other, twin["version"])],
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
            deed = verb_deed("unlearn", skill.holder, skill.selector)
            work.found.append(
                Proposal(
                    "stale", f"stale {skill.name} {skill.version} {digest(changed)[:8]}",
                    f"{skill.name} no longer holds: {why.partition('; nothing was changed')[0]}",
                    f"since it was verified: {changed}",
                    [{"shown": "unlearn it; the next message has it written again", "deed": deed}],
                    [resting_on(skill.holder, skill.selector, skill.version)],
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
