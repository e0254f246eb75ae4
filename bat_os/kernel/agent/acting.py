"""The ACTING step of one mission: decide the next step, or take it.

    ToolChosen (committed) > the tool, in a turn whose commit has StepTaken > ... > AnswerGiven

A step is a run of its own, ``MISSION.N``: killed in between, the next kernel takes the step that
was chosen, and what an effect has done already is not done again. What is to be changed outside of
the image waits for a yes. What the steps have read is the label of the mission: it goes with each
further step, and no sink lets it through that a person has not joined to it. A step may be a
mission of its own (``errands``); what all of them may spend is one budget (``budget``).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, goal
from bat_os.core.digest import digest
from bat_os.core.mission import MethodRejected
from bat_os.core.steps import (
    AnswerGiven,
    StepTaken,
    ToolChosen,
    ToolsOffered,
    label,
    pending,
    taken,
)
from bat_os.core.values import to_wire
from bat_os.errors import (
    ArgumentsError,
    CellError,
    DeadlineError,
    GrantWantedError,
    NotFoundError,
    NotGrantedError,
    NotUnderstoodError,
    ProtocolError,
    ServerError,
    WorldError,
)
from bat_os.image import missions
from bat_os.image.quotes import ask
from bat_os.kernel.agent.arguments import fill, pick, value_of
from bat_os.kernel.agent.budget import TO_DECIDE, TO_TAKE, check_budget, depth_of
from bat_os.kernel.agent.choosing import LEAST, SURE, kind_of, lead, things_in
from bat_os.kernel.agent.deciding import Decider, may_decide
from bat_os.kernel.agent.division import Division
from bat_os.kernel.agent.errands import do_errand, inherited, offer_errands
from bat_os.kernel.agent.phrases import own_words
from bat_os.kernel.agent.planning import make_plan
from bat_os.kernel.agent.showing import (
    ask_step,
    read_request,
    request_of,
    show_step,
    show_value,
    spell_step,
)
from bat_os.kernel.agent.tools import open_toolbox
from bat_os.kernel.learning import asking
from bat_os.kernel.learning.target import STEWARD
from bat_os.kernel.reach import Answers
from bat_os.kernel.turn import take_turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence

    from bat_os.core.mission import Event, Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.agent.choosing import Ranked
    from bat_os.kernel.agent.planning import Plan
    from bat_os.kernel.agent.tools import Tool, Toolbox
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.turn import Answer
    from bat_os.sentence.reading import Sentence

    Root = MutableMapping[str, Any]
    Emit = Callable[[str, Mission, dict[str, Any]], None]
    Outcome = tuple[Event, dict[str, Any]] | None

SAME: Final = 3  # the same call for so many times goes round in circles
MAX_VALUE: Final = 64 << 10  # characters of an answer that is kept with the mission
# What a tool may answer; another error is not the step's, and ends the mission.
ITS_OWN: Final = (
    ArgumentsError, CellError, NotFoundError, NotGrantedError, NotUnderstoodError, ServerError,
    WorldError,
)  # fmt: skip


async def offer_tools(
    record: Record, answer_if_understood: Callable[[Record], Awaitable[object]]
) -> Outcome:
    """Answer a message that a method serves by now, and return None; else offer the tools."""
    with contextlib.suppress(ProtocolError, *ITS_OWN):  # a method for another folder, say
        if await answer_if_understood(record) is None:
            return None
    return ToolsOffered(), {"goal": goal(record.mission.brief)}


async def fall_over(context: KernelContext, record: Record, outcome: Any) -> Outcome:
    """Return that a mission goes on with tools, for which no method could be written.

    It stays the failure that it is where no tool that was granted is clearly meant.
    """
    event, said = outcome
    brief, kept = record.mission.brief, (event, said)
    if brief.mode or brief.examples or brief.fresh or not isinstance(event, MethodRejected):
        return kept
    if depth_of(record.id):  # that a method could not be written is what an errand answers
        return kept
    sentence = await asyncio.to_thread(lambda: read_request(request_of(brief)))
    box = await open_toolbox(context, brief.once)
    ranked = await box.rank(sentence, is_question=asks(sentence)) if box.tools else []
    persona = brief.persona or STEWARD
    if not may_decide(context.ability_of(persona)) and plan_for(sentence) is None:
        # What nobody ordered ends where no method can be written for it.
        ordered = ranked and not brief.tentative
        ranked = await box.weigh(persona, sentence, ranked) if ordered else []
        clear = ranked and ranked[0].score >= LEAST and lead(ranked) >= SURE
        if not clear or (await choose_call(box, ranked[0].name, sentence))[1]:
            return kept
    elif not ranked or ranked[0].score < LEAST:
        return kept
    spent = {"model_calls": event.model_calls, "tokens": event.tokens}
    return ToolsOffered(event.reason, **spent), {"reason": f"no method: {event.reason}"}


class Acting:
    """Brings a mission on by one event."""

    def __init__(
        self,
        context: KernelContext,
        record: Record,
        emit: Emit,
        run: Callable[[str], Awaitable[dict[str, Any]]],
    ) -> None:
        self._context = context
        self._run = run  # brings another mission to its end
        self._record = record
        self._mission = record.mission
        self._steps = taken(record.mission.events)
        self._label = label(record.mission.brief, record.mission.events)
        self._emit = emit
        self._persona = record.mission.brief.persona or STEWARD
        self._request = request_of(record.mission.brief)

    async def go_on(self) -> Outcome:
        """Return the event that happened; None if it is written already.

        Raises:
            DeadlineError: What the mission may spend is used up, or it goes round in circles.
            GrantWantedError: A person has to say yes first.
        """
        if (step := pending(self._mission.events)) is not None:
            return await self._take(step)
        await self._check_budget(TO_DECIDE)
        event = await self._decide()
        if isinstance(event, ToolChosen):
            self._check_circles(event.step)
            if "role" not in event.step:  # a remark of a persona takes nothing from the budget
                await self._check_budget(TO_TAKE)
            return event, {"step": show_step(event.step), "persona": self._by(event.step)}
        return event, {"reason": "has an answer"}

    async def _check_budget(self, limits: Sequence[str]) -> None:
        await self._context.image.transact(
            lambda root: check_budget(root, self._record.id, limits), note="look at the budget"
        )

    def _by(self, step: Mapping[str, Any]) -> str:
        return str(step.get("by") or self._persona)

    def _check_circles(self, step: Mapping[str, Any]) -> None:
        same = sum(_call_of(each) == _call_of(step) for each, _ in self._steps)
        if same >= SAME - 1:
            raise DeadlineError(f"goes round in circles: {show_step(step)} for the {SAME}rd time")

    async def _decide(self) -> ToolChosen | AnswerGiven:
        """Return the next step, or the answer."""
        context, mission = self._context, self._mission
        await context.refresh()
        if may_decide(context.ability_of(self._persona)):
            divided = context.cast.entries["acting"]["step"] == "divided"
            if not divided or depth_of(self._record.id):
                return await self._have_decide(self._persona)
            division = Division(context, mission.brief, self._label, self._steps)
            return await division.decide(self._have_decide)
        sentence = read_request(self._request)
        box, _ = await self._open_box(self._persona)
        ranked = await box.rank(sentence, is_question=asks(sentence)) if box.tools else []
        if (plan := plan_for(sentence)) is not None:
            return await self._plan(box, plan)
        if self._steps:
            return self._answer()
        return await self._rank(box, ranked, sentence)

    async def _open_box(self, persona: str) -> tuple[Toolbox, list[str]]:
        """Return the tools that a persona may touch, and what that is."""
        box = await open_toolbox(self._context, self._mission.brief.once)
        touches = touched_by(self._context, persona)
        box.tools = {name: tool for name, tool in box.tools.items() if may_touch(touches, tool)}
        return box, touches

    async def _have_decide(self, persona: str) -> ToolChosen | AnswerGiven:
        """Have a persona decide on the next step, or answer."""
        context, sentence = self._context, read_request(self._request)
        box, touches = await self._open_box(persona)
        ranked = await box.rank(sentence, is_question=asks(sentence)) if box.tools else []
        found = await context.image.transact(
            lambda root: inherited(root, self._record.id), note="look what was found"
        )
        errands = await offer_errands(context, self._record, touches)
        brief = replace(self._mission.brief, text=self._request)
        decider = Decider(context, persona, brief, self._label, errands)
        names = [one.name for one in ranked]
        event = await decider.decide(box, names, (*found, *self._steps))
        if isinstance(event, ToolChosen):
            return replace(event, step={**event.step, "by": persona})
        return event

    async def _plan(self, box: Toolbox, plan: Plan) -> ToolChosen | AnswerGiven:
        """Return the next step of a plan, or what all of it comes to."""
        step, result = self._steps[-1] if self._steps else ({}, {})
        if "error" in result:
            raise NotFoundError(f"{show_step(step)}: {result['error']}")
        values = [each["value"] for _, each in self._steps]
        following = plan.next(values)
        if following is None:
            return AnswerGiven({"value": plan.answer(values), "by": ""})
        operation, path = following
        if (tool := box.tools.get(f"files.{operation}")) is None:
            raise NotGrantedError(f"no grant lets files be asked for {operation}")
        return ToolChosen(await box.step(tool, {"path": path}))

    def _answer(self) -> AnswerGiven:
        step, result = self._steps[-1]
        if "error" in result:
            raise NotFoundError(f"{show_step(step)}: {result['error']}")
        value, _ = pick(result["value"], self._request)
        return AnswerGiven({"value": value, "by": ""})

    async def _rank(self, box: Toolbox, ranked: Sequence[Ranked], sentence: Sentence) -> ToolChosen:
        """Return the step that the ranking leads to; no model is asked."""
        ranked = await box.weigh(self._persona, sentence, ranked)
        if not ranked or ranked[0].score < LEAST or lead(ranked) < SURE:
            near = ", ".join(one.name for one in ranked[:2]) or "no tool is granted"
            raise ArgumentsError(f"it is not clear which tool is meant: {near}")
        step, lacking = await choose_call(box, ranked[0].name, sentence)
        if lacking:
            raise ArgumentsError(f"{ranked[0].name} needs {lacking}, which nothing names")
        return ToolChosen(step)

    async def _take(self, step: Mapping[str, Any]) -> Outcome:
        context, mission, record = self._context, self._mission, self._record
        if "role" in step:  # what a persona said
            said = {"value": step["said"], "label": list(self._label), "said": True}
            shown = f"{show_step(step)} gave {show_value(step['said'])}"
            return StepTaken(said), {"reason": shown, "persona": step["by"]}
        if "wish" in step:
            return await do_errand(context, record, step, self._label, self._run)
        if step["changes"]:
            self._ask_first(step)
        brief = Brief(
            step["oid"], step["selector"], tuple(step["args"]), label=self._label,
            once=mission.brief.once, may=mission.brief.may,
        )  # fmt: skip
        begun, answers = time.monotonic(), Answers(run=f"{record.id}.{len(self._steps)}")
        done: list[tuple[Mission, str]] = []

        def settle(root: Root, answer: Answer) -> None:
            kept, is_cut = bounded(answer.value)
            result = {"value": kept, "label": sorted(answer.label), "effects": answer.effects}
            result |= {"seconds": round(time.monotonic() - begun, 3), "cut": is_cut}
            result["calls"] = len(answers.by_key) + len(answer.effects)
            after = mission.advance(StepTaken(result))
            missions.write(root, record.id, after)
            done[:] = [(after, show_value(kept))]

        try:
            await take_turn(
                context.image, context.cell, brief, settle=settle, mission=record.id,
                reach=context, answers=answers,
            )  # fmt: skip
        except GrantWantedError as error:
            raise await asking.question(context, mission.brief, [error]) from error
        except ITS_OWN as error:
            said_by = sorted({*self._label, *error.details.get("label", ())})
            seconds = round(time.monotonic() - begun, 3)
            result: dict[str, Any] = {
                "value": None,
                "error": str(error)[:MAX_VALUE],
                "label": said_by,
            }
            result |= {"seconds": seconds, "calls": len(answers.by_key)}
            return StepTaken(result), {"step": show_step(step), "reason": f"failed: {error}"}
        after, shown = done[0]
        said = {"reason": f"{show_step(step)} gave {shown}", "persona": self._by(step)}
        self._emit(record.id, after, said)
        return None

    def _ask_first(self, step: Mapping[str, Any]) -> None:
        """Let what changes something go on only after a person's yes to exactly that.

        Raises:
            GrantWantedError: Nobody has said yes.
        """
        key = digest(json.dumps([len(self._steps), _call_of(step)], default=repr))
        if ("effect", key, "") not in self._mission.brief.once:
            asked, whole = ask_step(step), spell_step(step)
            more = {"whole": whole} if whole != asked else {}
            raise GrantWantedError(
                f"this would do {ask_step(step)}", effect={"key": key, "text": asked, **more}
            )


def touched_by(context: KernelContext, persona: str) -> list[str]:
    """Return what a persona may touch, as the image has it."""
    entries = context.cast.entries[persona.partition(":")[0].lower()]
    touches: list[str] = entries["touches"]
    return touches


def may_touch(touches: Sequence[str], tool: Tool) -> bool:
    """Return whether a tool is one that a persona may touch."""
    sort = "changes" if tool.changes else "reads"
    return sort in touches or any(fnmatchcase(tool.name, one) for one in touches)


async def choose_call(box: Toolbox, name: str, sentence: Sentence) -> tuple[dict[str, Any], str]:
    """Return a step that calls a tool with what a request names, and what it lacks."""
    tool = box.tools[name]
    about = f"{tool.selector.replace('_', ' ')} {tool.said[0]}"
    own = own_words([about, *tool.said[1:]]) if tool.schema else frozenset()
    values = things_in(sentence)
    given, lacking = fill(sentence.text, values, tool.takes, tool.needs, own, tool.schema)
    return await box.step(tool, given), lacking


def plan_for(sentence: Sentence) -> Plan | None:
    """Return the plan for a request about all files of a folder, or about several files."""
    named = [one for one in things_in(sentence) if kind_of(one) in ("path", "file")]
    kinds = {kind_of(one) for one in named}
    if kinds == ({"file"} if len(named) > 1 else {"path"}):
        paths = [str(value_of(one)) for one in named]
        between = sentence.text[named[0].end : named[1].start] if len(named) == 2 else ""
        plan = make_plan(sentence.text, sentence.language, paths, between)
        if plan is not None and plan.how in ("more", "less"):
            # "are there 3 more lines in a.md than in b.md?", "make a.md longer than b.md"
            return plan if asks(sentence) and len(things_in(sentence)) == 2 else None
        return plan
    return None


def asks(sentence: Sentence) -> bool:
    """Return whether a request is a question, and not an order."""
    return ask(sentence.text, sentence.language).is_question


def bounded(value: Any) -> tuple[Any, bool]:
    """Return an answer as it is kept, and whether it was cut.

    Raises:
        CellError: It is too long, and cannot be cut.
    """
    if isinstance(value, str):
        return value[:MAX_VALUE], len(value) > MAX_VALUE
    if len(repr(value)) > MAX_VALUE:
        raise CellError(f"the answer of a step has over {MAX_VALUE >> 10} kB", kind="limit")
    return value, False


def _call_of(step: Mapping[str, Any]) -> list[Any]:
    return [step["oid"], step["selector"], to_wire(list(step["args"]))]
