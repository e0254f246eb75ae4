"""The end of a mission that worked with tools: the answer, and the method that the steps become.

    trace > distil > the guardian > tried on what the steps gave, and on nothing else
          > tried again with other answers of the world: the method has to notice
          > installed, in the transaction that answers

The method is not run for this answer: what the steps have done in the world is done.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import steps as stepwise
from bat_os.core.brief import goal, parameters
from bat_os.core.steps import AnswerGiven, AnswerKept, MethodDistilled
from bat_os.core.values import to_wire
from bat_os.errors import BatError
from bat_os.image import missions
from bat_os.image.history.entries import summary_of_brief
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import find
from bat_os.kernel import views
from bat_os.kernel.agent.choosing import plain, things_in
from bat_os.kernel.agent.distil import Taken, distil
from bat_os.kernel.agent.errands import is_own
from bat_os.kernel.agent.judgement import Judgement, let_ask
from bat_os.kernel.agent.showing import read_request, show_step
from bat_os.kernel.effects.deeds import question_of
from bat_os.kernel.learning.proof import find_deafness
from bat_os.kernel.learning.target import STEWARD
from bat_os.kernel.learning.trial import SEED, try_turn
from bat_os.kernel.reach import Answers
from bat_os.kernel.turn import Answer, Candidate
from bat_os.method.plausibility import find_unused
from bat_os.natives import table as natives
from bat_os.sentence.measures import in_english

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.mission import Event, Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]
    Emit = Callable[[str, Mission, dict[str, Any]], None]
    Step = Mapping[str, Any]
    Outcome = tuple[Event, dict[str, Any]] | None

STATUS: Final = "provisional"  # one trace shows one way
MAX_RECORD: Final = 64 << 10  # characters of a recorded world that is kept with a method


async def finish(context: KernelContext, emit: Emit, record: Record) -> Outcome:
    """Answer, and install what the steps have become; return None: it is written."""
    mission = record.mission
    given = mission.last(AnswerGiven).answer
    made = await make_method(context, mission)
    skill = await _skill(context, record, made) if made.source else None
    effects = tuple(
        number
        for _, result in stepwise.taken(mission.events)
        for number in result.get("effects", ())
    )
    answer = Answer(
        given["value"], "", "said" if given["by"] and not made.follows else "tools", writes=True,
        label=frozenset(stepwise.label(mission.brief, mission.events)), effects=effects,
    )  # fmt: skip

    def work(root: Root) -> Mission:
        target, reason = find(root, mission.brief.target), made.reason
        installs = skill is not None and target.lookup(skill.selector) is None
        if skill is not None and installs:
            install(root, target, skill)
            if made.asks:
                let_ask(root, target, skill, made.asks)
        event = MethodDistilled(STATUS) if installs else AnswerKept(reason or "it is understood")
        done = mission.advance(event)
        about = views.facts(record, done) | {"learned": installs}
        if made.asks and installs:
            about["asks"] = made.asks
        about["steps"] = [show_step(step) for step, _ in stepwise.taken(mission.events)]
        body = views.result(mission.brief, answer, **about)
        missions.write(root, record.id, done, {"type": "result", "body": body})
        return done

    done = await context.image.transact(work, note="answer by tools", mission=record.id)
    emit(record.id, done, {"reason": made.reason and f"no method: {made.reason}"})
    return None


@dataclass(slots=True)
class Made:
    """A method made of a trace; without one, why."""

    source: str = ""
    reason: str = ""
    follows: bool = False  # the answer follows from what the steps gave
    asks: str = ""  # the persona whose model the method asks
    record: dict[str, Any] = field(default_factory=dict)  # what the world answered, by question


async def make_method(context: KernelContext, mission: Mission) -> Made:
    """Return the method that the steps of a mission become, tried; nothing is committed."""
    brief, given = mission.brief, mission.last(AnswerGiven).answer
    steps = [
        (step, result)
        for step, result in stepwise.taken(mission.events)
        if "error" not in result and "role" not in step
    ]
    params = [*zip(parameters(brief), brief.args, strict=False)]
    taken = [Taken(s["slot"], s["selector"], tuple(s["args"]), r["value"]) for s, r in steps]
    said = in_english(brief.text, read_request(brief.text).language)
    judged, value = None, given["value"]
    found = distil(brief.selector, params, taken, value, said)
    follows = bool(found.source)
    if not follows and given["by"] and isinstance(value, str) and not _changes(steps):
        label = stepwise.label(brief, mission.events)
        judged = Judgement(context, replace(brief, label=label), given["by"], value)
        found, value = await judged.distil(params, taken), judged.said
    if not found.source:
        return Made(reason=found.reason)
    if reason := _lacks(brief, steps) or _unasked(brief, steps, value):
        return Made(reason=reason, follows=follows)
    source = context.guardian.repair(found.source, brief.selector)
    asked = await _recorded(context, await _flat(context, steps))
    if judged is not None:
        asked |= judged.record
    findings = context.guardian.audit(source, brief.selector).lines()
    if not findings and (unused := find_unused(source, brief.selector)):
        findings = (f"nothing that was done depends on {unused}",)
    reason = findings[0] if findings else await _doubt(context, brief, source, value, asked)
    asks = judged.persona if judged is not None and not reason else ""
    return Made("" if reason else source, reason, follows=follows, record=asked, asks=asks)


def _changes(steps: list[tuple[Step, Mapping[str, Any]]]) -> bool:
    return any(step["changes"] or "wish" in step for step, _ in steps)


def _lacks(brief: Brief, steps: list[tuple[Step, Mapping[str, Any]]]) -> str:
    """Return why steps cannot become a method, without a try; "" if they may."""
    if strange := [step for step, _ in steps if not step["slot"] and not is_own(step)]:
        return f"{brief.target} has no slot for what {show_step(strange[0])} was sent to"
    if not steps:
        return "nothing was done"
    if bare := [step for step, result in steps if not result.get("kept", True)]:
        return f"what {bare[0]['of']} has done became no method"
    if any(result.get("cut") for _, result in steps):
        return "an answer was too long to be kept whole"
    return ""


def _unasked(brief: Brief, steps: list[tuple[Step, Mapping[str, Any]]], value: Any) -> str:
    """Return that nobody has agreed to the raw result of one step; "" if it is something else."""
    raw = steps[0][1]["value"]
    fields = raw.values() if isinstance(raw, dict) else ()
    if brief.tentative and len(steps) == 1 and (value == raw or value in fields):
        return "one step was near to what was said, and nobody has said that it was meant"
    return ""


async def _doubt(
    context: KernelContext, brief: Brief, source: str, value: Any, asked: Mapping[str, Any]
) -> str:
    """Return why a method is not what the trace shows; "" if it is."""
    trial, call = Candidate(brief.selector, source, SEED, time.time()), replace(brief, mode="")
    answers = Answers(dict(asked), closed=True)
    example = {"args": brief.args, "kwargs": brief.kwargs, "world": asked}
    try:
        told = await try_turn(context.image, context.cell, call, trial, context, answers)
        if to_wire(told.value) != to_wire(value):
            return "on what the steps gave, the method answers something else"
        return await find_deafness(context, call, trial, [example])
    except BatError as error:
        return f"on what the steps gave, the method fails: {error}"


async def _flat(
    context: KernelContext, steps: list[tuple[Step, Mapping[str, Any]]]
) -> list[tuple[Step, Mapping[str, Any]]]:
    """Return the steps with tools, those of errands in their places."""
    flat: list[tuple[Step, Mapping[str, Any]]] = []
    for step, result in steps:
        if not (errand := result.get("errand")):
            flat.append((step, result))
            continue
        done = await context.image.transact(
            partial(missions.read, mission_id=errand), note="read an errand"
        )
        flat += await _flat(context, [*stepwise.taken(done.mission.events)])
    return [(step, result) for step, result in flat if "error" not in result]


class _Listener:
    """What a trusted function asks the world for, instead of the world."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.asked: tuple[str, tuple[Any, ...]] = ("", ())

    async def perform(self, operation: str, *args: Any) -> Any:
        self.asked = operation, args
        return self.value


async def _recorded(
    context: KernelContext, steps: list[tuple[Step, Mapping[str, Any]]]
) -> dict[str, Any]:
    """Return what the world answered, by the names of the questions in one turn."""

    def look(root: Root) -> list[str]:
        found = [find(root, step["oid"]).lookup(step["selector"]) for step, _ in steps]
        return [each[1].primitive if each is not None else "" for each in found]

    primitives = await context.image.transact(look, note="look at the tools")
    record, counts, staged = dict[str, Any](), Counter[str](), 0
    for (step, result), primitive in zip(steps, primitives, strict=True):
        if result.get("effects"):
            staged += len(result["effects"])
            continue
        listener = _Listener(result["value"])
        now = dt.datetime.now().astimezone()
        await natives.run(primitive, step["args"], {}, now, {"world": listener})
        question = question_of(step["oid"], listener.asked[0], listener.asked[1], staged)
        counts[question] += 1
        record[f"{question}.{counts[question]}"] = result["value"]
    return record


async def _skill(context: KernelContext, record: Record, made: Made) -> Skill:
    """Return what is installed; embeds the summary before the transaction."""
    mission, brief = record.mission, record.mission.brief
    sentence = read_request(brief.text)
    wish = dataclasses.replace(brief, text=plain(sentence.text, things_in(sentence)))
    summary = summary_of_brief(wish)
    vector = await context.catalog.embed([summary.text])
    kept = made.record if len(repr(made.record)) <= MAX_RECORD else {}
    value, examples = mission.last(AnswerGiven).answer["value"], []
    if kept and not made.asks:  # a later version is judged on this world, and touches no other
        examples = [{"args": [*brief.args], "kwargs": {}, "result": value, "world": kept}]
    provenance = {
        "mission": record.id, "brief": brief.to_plain(), "examples": examples, "goal": goal(wish),
        "persona": brief.persona or STEWARD, "model": "", "model_digest": "", "adapter": "",
        "adapted_from": "steps", "drawn": {},
        "why": "; ".join(show_step(step) for step, _ in stepwise.taken(mission.events))[:2000],
        "cell": context.cell.stats().get("kind", ""), "fixups": [], "draft": 0, "candidates": [],
        "written_tests": [], "passages": [], "created": time.time(), "world": kept,
        "asks": made.asks,
    }  # fmt: skip
    return Skill(
        brief.selector, made.source, STATUS, provenance, summary.text, vector, summary.kinds
    )
