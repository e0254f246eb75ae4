"""The ACTING step of one mission: decide the next step, or take it.

    ToolChosen (committed) > the tool, in a turn whose commit has StepTaken > ... > AnswerGiven

A step is a run of its own, ``MISSION.N``: killed in between, the next kernel takes the step that
was chosen, and what an effect has done already is not done again. What is to be changed outside of
the image waits for a yes. What the steps have read is the label of the mission: it goes with each
further step, and no sink lets it through that a person has not joined to it. A step may be a
mission of its own (``errands``); what all of them may spend is one budget (``budget``).
"""

from __future__ import annotations

import contextlib
import json
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, goal
from bat_os.core.digest import digest
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
from bat_os.kernel.agent.budget import check_budget
from bat_os.kernel.agent.choosing import LEAST, SURE, kind_of, lead, things_in
from bat_os.kernel.agent.deciding import Decider, may_decide
from bat_os.kernel.agent.errands import do_errand, inherited, offer_errands
from bat_os.kernel.agent.planning import make_plan
from bat_os.kernel.agent.showing import read_request, show_step, show_value
from bat_os.kernel.agent.tools import open_toolbox
from bat_os.kernel.learning import asking
from bat_os.kernel.learning.target import STEWARD
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

    async def go_on(self) -> Outcome:
        """Return the event that happened; None if it is written already.

        Raises:
            DeadlineError: What the mission may spend is used up, or it goes round in circles.
            GrantWantedError: A person has to say yes first.
        """
        if (step := pending(self._mission.events)) is not None:
            return await self._take(step)
        await self._context.image.transact(
            lambda root: check_budget(root, self._record.id), note="look at the budget"
        )
        event = await self._decide()
        if isinstance(event, ToolChosen):
            self._check_circles(event.step)
            return event, {"step": show_step(event.step), "persona": self._persona}
        return event, {"reason": "has an answer"}

    def _check_circles(self, step: Mapping[str, Any]) -> None:
        same = sum(_call_of(each) == _call_of(step) for each, _ in self._steps)
        if same >= SAME - 1:
            raise DeadlineError(f"goes round in circles: {show_step(step)} for the {SAME}rd time")

    async def _decide(self) -> ToolChosen | AnswerGiven:
        """Return the next step, or the answer."""
        sentence = read_request(self._mission.brief.text)
        box = await open_toolbox(self._context, self._mission.brief.once)
        await self._context.refresh()
        touches = touched_by(self._context, self._persona)
        box.tools = {name: tool for name, tool in box.tools.items() if may_touch(touches, tool)}
        ranked = await box.rank(sentence, is_question=asks(sentence)) if box.tools else []
        if may_decide(self._context.ability_of(self._persona)):
            found = await self._context.image.transact(
                lambda root: inherited(root, self._record.id), note="look what was found"
            )
            decider = Decider(
                self._context, self._persona, self._mission.brief, self._label,
                await offer_errands(self._context, self._record, touches),
            )  # fmt: skip
            names = [one.name for one in ranked]
            return await decider.decide(box, names, (*found, *self._steps))
        if (plan := plan_for(sentence)) is not None:
            return await self._plan(box, plan)
        if self._steps:
            return self._answer()
        return await self._rank(box, ranked, sentence)

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
        value, _ = pick(result["value"], self._mission.brief.text)
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
        if "wish" in step:
            return await do_errand(context, record, step, self._label, self._run)
        if step["changes"]:
            self._ask_first(step)
        brief = Brief(
            step["oid"], step["selector"], tuple(step["args"]), label=self._label,
            once=mission.brief.once, may=mission.brief.may,
        )  # fmt: skip
        begun = time.monotonic()
        done: list[tuple[Mission, str]] = []

        def settle(root: Root, answer: Answer) -> None:
            kept, is_cut = bounded(answer.value)
            result = {"value": kept, "label": sorted(answer.label), "effects": answer.effects}
            result |= {"seconds": round(time.monotonic() - begun, 3), "cut": is_cut}
            after = mission.advance(StepTaken(result))
            missions.write(root, record.id, after)
            done[:] = [(after, show_value(kept))]

        try:
            await take_turn(
                context.image, context.cell, brief, settle=settle, mission=record.id,
                reach=context, run=f"{record.id}.{len(self._steps)}",
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
            result |= {"seconds": seconds}
            return StepTaken(result), {"step": show_step(step), "reason": f"failed: {error}"}
        after, shown = done[0]
        said = {"reason": f"{show_step(step)} gave {shown}", "persona": self._persona}
        self._emit(record.id, after, said)
        return None

    def _ask_first(self, step: Mapping[str, Any]) -> None:
        """Let what changes something go on only after a person's yes to exactly that.

        Raises:
            GrantWantedError: Nobody has said yes.
        """
        key = digest(json.dumps([len(self._steps), _call_of(step)], default=repr))
        if ("effect", key, "") not in self._mission.brief.once:
            raise GrantWantedError(
                f"this would do {show_step(step)}", effect={"key": key, "text": show_step(step)}
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
    given, lacking = fill(sentence.text, things_in(sentence), tool.takes, tool.needs)
    return await box.step(tool, given), lacking


def plan_for(sentence: Sentence) -> Plan | None:
    """Return the plan for a request about all files of a folder, or about several files."""
    named = [one for one in things_in(sentence) if kind_of(one) in ("path", "file")]
    kinds = {kind_of(one) for one in named}
    if kinds == ({"file"} if len(named) > 1 else {"path"}):
        paths = [str(value_of(one)) for one in named]
        return make_plan(sentence.text, sentence.language, paths)
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
