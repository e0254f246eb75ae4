"""The cognitive cycle: one step per state, one short transaction per transition.

    IDLE          is it understood, or does a known skill serve? then it is a turn, and done
    DECOMPOSING   the wish is the query; or BRICK plans: queries, and how to go about it
    DELEGATING    the catalog finds passages and similar methods
    SYNTHESIZING  the target's persona writes a batch of candidates
    VALIDATING    fix, audit, try each in the cell, choose; then one transaction holds the
                  method, its index entry, the effects of the first call, the answer, COMPLETE

A step takes the stored record and returns the event that happened; which state follows is
``Mission.advance``'s business. Only the last step touches the target, so a killed kernel resumes
at the last committed state, and a failed mission leaves the target as it was.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import TOOLS, goal
from bat_os.core.mission import (
    BriefAccepted,
    MessageUnderstood,
    MethodDrafted,
    MethodRejected,
    MissionFailed,
    PassagesFound,
    QueriesPlanned,
    SkillReused,
    State,
)
from bat_os.core.prompts import ask_plan, plan_schema, read_plan
from bat_os.core.protocol import error_body
from bat_os.core.steps import AnswerGiven
from bat_os.errors import (
    AuditError,
    BatError,
    CellError,
    DraftsError,
    ModelOutputError,
    NotFoundError,
    NotUnderstoodError,
    ProtocolError,
    StorageError,
    TransitionError,
)
from bat_os.image import missions
from bat_os.image.history import versions
from bat_os.image.objects import find
from bat_os.image.writer import Writer
from bat_os.kernel import views
from bat_os.kernel.agent.acting import Acting, fall_over, offer_tools
from bat_os.kernel.agent.finishing import finish
from bat_os.kernel.effects.wants import sentence
from bat_os.kernel.learning.candidates import Synthesis
from bat_os.kernel.learning.judge import Validation
from bat_os.kernel.learning.target import Waiting, find_known, read_target, waiting_version
from bat_os.kernel.learning.trial import serves
from bat_os.kernel.missions.feed import TextFeed
from bat_os.kernel.reach import Answers
from bat_os.kernel.sinks import admit_prompt, let_through, readers_of
from bat_os.kernel.turn import Candidate, take_turn

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.core.mission import Event, Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.judge import Installation
    from bat_os.kernel.learning.target import Target
    from bat_os.kernel.turn import Answer

    Root = MutableMapping[str, Any]
    Emit = Callable[[str, Mission, dict[str, Any]], None]
    Outcome = tuple[Event, dict[str, Any]] | None  # None: the step has written the end itself

# A known skill that fails on these arguments is no answer: a method is written for them.
_DOES_NOT_SERVE: Final = (CellError, NotFoundError, NotUnderstoodError, ProtocolError)


class CognitiveCycle:
    """Takes one mission from its stored state to its end.

    Attributes:
        emit: Called after every transition was committed, with the mission's id, the mission, and
            details for people.
        text_feed: Sends on the text that models write.
        writer: Stores transitions, together with what else is short.
    """

    def __init__(
        self, context: KernelContext, emit: Emit, text_feed: TextFeed | None = None
    ) -> None:
        self.context = context
        self.writer = Writer(context.image)
        self.emit = emit
        self.text_feed = text_feed or TextFeed()
        self._steps = {
            State.IDLE: self._answer_or_begin, State.DECOMPOSING: self._make_plan,
            State.DELEGATING: self._find_passages, State.SYNTHESIZING: self._write_candidates,
            State.ACTING: lambda record: Acting(context, record, emit, self.run).go_on(),
            State.VALIDATING: self._judge,
        }  # fmt: skip

    async def run(self, mission_id: str) -> dict[str, Any]:
        """Return the body of the final reply: ``{"type": "result"|"error", "body": ...}``.

        What goes wrong on the way ends the mission as FAILED with a code and a reason.

        Raises:
            StorageError: The image could not be used; the mission stands where it is stored.
        """
        record = await self.read(mission_id)
        while record.answer is None:
            with contextlib.suppress(TransitionError):  # the world moved on: look again
                await self._step(record)
            record = await self.read(mission_id)
        return record.answer

    async def fail(self, mission_id: str, error: BatError) -> None:
        """End a mission that is not final as FAILED."""
        record = await self.read(mission_id)
        if record.answer is None:
            await self._advance(record, *_failed(error))

    async def _step(self, record: Record) -> None:
        try:
            await self.context.refresh()
            outcome = await self._steps[record.mission.state](record)
        except (TransitionError, StorageError):
            raise
        except BatError as error:
            outcome = _failed(error)
        if outcome is not None:
            await self._advance(record, *outcome)

    async def _advance(self, record: Record, event: Event, say: dict[str, Any]) -> None:
        after = record.mission.advance(event)
        answer = None
        if after.state is State.FAILED:
            error = say.get("error") or error_body(DraftsError(say["reason"], **say))
            answer = {"type": "error", "body": error | views.facts(record, after)}
        # An end writes more than the mission, so it goes alone.
        write = self.writer.write if answer is None else self.context.image.transact
        await write(
            lambda root: missions.write(root, record.id, after, answer),
            note=f"mission {after.state}",
            mission=record.id,
        )
        self.emit(record.id, after, say)

    async def _answer_or_begin(self, record: Record) -> Outcome:
        if record.mission.brief.mode == TOOLS:
            return await offer_tools(record, self._answer_if_understood)
        if (target := await self._answer_if_understood(record)) is None:
            return None
        looks = self.context.cast.entries["idle"]["step"] != "begin"
        if looks and not target.replaced.number and await self._reuse(record):
            return None
        if (brief := record.mission.brief).label:
            await admit_prompt(self.context, brief, target.persona)
        return BriefAccepted(), {"goal": goal(brief)}

    async def _answer_if_understood(self, record: Record) -> Target | None:
        """Answer a message that is understood, and return None; else return the receiver."""
        brief, context = record.mission.brief, self.context
        if brief.fresh and (target := await read_target(context, brief)).replaced.number:
            return target
        try:
            await self._end_by_turn(record, record.mission.advance(MessageUnderstood()), {})
        except NotUnderstoodError:
            target = await read_target(context, brief)
            target.waiting.refuse(brief.selector)
            return target
        return None

    async def _reuse(self, record: Record) -> bool:
        """Answer by a known skill for the same wish; return False if there is none."""
        brief, context = record.mission.brief, self.context
        if brief.fresh or (known := await find_known(context, brief)) is None:
            return False
        done = record.mission.advance(SkillReused(known.holder, known.selector, known.similarity))
        call = replace(brief, target=known.holder, selector=known.selector)
        if not await serves(context, call, brief.examples):  # the same words for something else
            return False
        try:
            await self._end_by_turn(record, done, {"reused": asdict(known)}, call=call)
        except _DOES_NOT_SERVE:
            return False
        return True

    async def _end_by_turn(
        self,
        record: Record,
        done: Mission,
        say: dict[str, Any],
        *,
        call: Brief | None = None,
        install: Installation | None = None,
        asked: int = 0,
    ) -> None:
        """Answer by a turn that also ends the mission; trials ``asked`` the world so often."""
        brief, answers = record.mission.brief, Answers()

        def settle(root: Root, answer: Answer) -> None:
            if install is not None:
                install.into(root)
            about = views.facts(record, done) | {"learned": install is not None} | say
            if calls := asked + len(answers.by_key) + len(answer.effects):
                about["world_calls"] = calls
            body = views.result(brief, answer, **about)
            missions.write(root, record.id, done, {"type": "result", "body": body})

        await take_turn(
            self.context.image,
            self.context.cell,
            call or brief,
            Candidate(brief.selector, install.skill.source) if install is not None else None,
            settle=settle,
            mission=record.id,
            reach=self.context,
            answers=answers,
        )
        self.emit(record.id, done, say)

    async def _make_plan(self, record: Record) -> Outcome:
        context, wish = self.context, goal(record.mission.brief)
        if not is_planned(context):
            return QueriesPlanned((wish,)), {"queries": [wish]}
        entry = context.cast.entries["decomposing"]
        whole, tries = entry["step"] == "written", entry["tries"]
        system = context.cast.personas["BRICK"].system_prompt
        prompt = ask_plan(record.mission.brief, system, whole=whole, question=entry["question"])
        own, limits = context.cast.assigned["BRICK"].sampling, context.profile.limits
        tokens, problem = 0, ModelOutputError("no answer")
        for seed in range(tries):
            sampling = replace(
                own,
                temperature=0.0 if seed == 0 else own.temperature,
                max_tokens=entry["max_tokens"],
                seed=seed,
                schema=plan_schema(limits, whole=whole),
            )
            with self.text_feed.writing(record.id, "BRICK") as hear:
                drawn = await context.roster.generate("BRICK", [prompt], sampling, on_text=hear)
            written = drawn[0]
            tokens += written.tokens
            try:
                plan = read_plan(written.text, limits)
            except ModelOutputError as error:
                problem = error
                continue
            event = QueriesPlanned(
                plan.queries, plan.to_plain(), model_calls=seed + 1, tokens=tokens
            )
            return event, {"queries": list(plan.queries), "plan": plan.to_plain()}
        text = f"BRICK's plan could not be read {tries} times: {problem}"
        return _failed(ModelOutputError(text), model_calls=tries, tokens=tokens)

    async def _find_passages(self, record: Record) -> Outcome:
        planned = record.mission.last(QueriesPlanned)
        wish, catalog = goal(record.mission.brief), self.context.catalog
        limits = self.context.profile.limits
        known = limits.shots + 1  # one may be of no use: too long, or not pure
        queries = tuple(dict.fromkeys((wish, *planned.queries)))
        entry = self.context.cast.entries["delegating"]
        looks = queries if entry["step"] == "search" else ()
        documents = await catalog.search(looks, top_k=entry["passages"]) if looks else []
        persona = (await read_target(self.context, record.mission.brief)).persona
        if any(passage.label for passage in documents):
            readers = readers_of(self.context, record.mission.brief, persona)
            documents, _ = await let_through(self.context, documents, readers)
        methods = await catalog.search((wish,), top_k=known, kind="method")
        seeds = await catalog.search((wish,), top_k=known, kind="seed")
        found = {(p.doc_id, p.position): p for p in (*documents, *methods, *seeds)}.values()
        passages = tuple(
            {"doc_id": p.doc_id, "title": p.title, "kind": p.kind, "text": p.text,
             "similarity": round(p.similarity, 4), **({"label": p.label} if p.label else {})}
            for p in found
        )  # fmt: skip
        say = {"passages": [p["title"] for p in passages], "persona": persona}
        return PassagesFound(passages), say

    async def _write_candidates(self, record: Record) -> Outcome:
        target = await read_target(self.context, record.mission.brief)
        synthesis = Synthesis(self.context, record, target, self.text_feed)
        recalls = self.context.cast.entries["synthesizing"]["step"] == "recall_or_write"
        known = await synthesis.recall() if recalls else []
        event = MethodDrafted(tuple(known))
        if not await Validation(self.context, record, target, known).settles():
            event = await synthesis.write(known)
        return event, {"candidates": len(event.drafts)}

    async def _judge(self, record: Record) -> Outcome:
        if record.mission.last(AnswerGiven) is not None:
            return await finish(self.context, self.emit, record)
        outcome = await self._choose_and_install(record)
        if outcome and record.mission.advance(outcome[0]).state is State.FAILED:
            return await fall_over(self.context, record, outcome)
        return outcome

    async def _choose_and_install(self, record: Record) -> Outcome:
        target = await self._answer_if_understood(record)
        if target is None:  # another mission has taught it by now
            return None
        validation = Validation(self.context, record, target)
        choice = await validation.judge()
        verdicts = tuple(v.to_plain() for v in choice.verdicts)
        most = self.context.cast.entries["validating"]["unsure_rounds"]
        if choice.status == "unsure" and record.mission.rounds >= most:
            if choice.refused:  # the wish is for what no method may do; the rest made it up
                raise AuditError(choice.refused)
            raise views.ask_example(record.mission.brief, choice)
        if choice.chosen is None:
            return _rejected(target, choice.reason, verdicts, validation)
        install = await validation.prepare(choice)
        # What it answers once its effects are done, nobody has seen.
        unseen = record.mission.brief.tentative or choice.chosen.stops
        unsaid = unseen and choice.status == "provisional"
        if self.context.options.approve or unsaid:
            await self._hold(record, install, choice)
            return None
        say = {"status": choice.status, "why": choice.reason}
        try:
            asked = validation.asked
            await self._end_by_turn(record, install.mission, say, install=install, asked=asked)
        except CellError as error:
            reason = f"the chosen candidate failed when it was to count: {error}"
            return _rejected(target, reason, verdicts, validation)
        return None

    async def _hold(self, record: Record, installation: Installation, choice: Choice) -> None:
        """End the mission with a version that waits for approval; the first call has no effect."""
        skill, chosen, now = installation.skill, choice.chosen, time.time()
        if chosen is None:
            raise NotFoundError("no candidate was chosen")

        def work(root: Root) -> None:
            installation.check(root)
            target = find(root, record.mission.brief.target)
            if waiting_version(root, target, skill.selector) and not installation.replaces:
                raise TransitionError(f"{skill.selector} waits for approval already")
            number = versions.hold(root, target, skill, at=now, mission=record.id)
            waiting = Waiting(record.mission.brief.target, number)
            guess = chosen.preview if record.mission.brief.tentative else ""
            error = waiting.wanted(skill.selector, sentence(chosen.effects), guess)
            error.details |= {"source": skill.source, "shown": chosen.preview}
            error.details |= {"status": skill.status, "value": chosen.value}
            if chosen.effects:
                error.details["effects"] = [str(each["text"]) for each in chosen.effects]
                error.details["stops"] = chosen.stops
            body = error_body(error) | views.facts(record, installation.mission)
            missions.write(root, record.id, installation.mission, {"type": "error", "body": body})

        note = f"hold {skill.selector}"[:70]
        await self.context.image.transact(work, note=note, mission=record.id)
        self.emit(record.id, installation.mission, {"status": "waiting", "why": choice.reason})

    async def read(self, mission_id: str) -> Record:
        """Return the stored record of a mission."""
        return await self.context.image.transact(
            lambda root: missions.read(root, mission_id), note="read a mission"
        )


def is_planned(context: KernelContext) -> bool:
    """Return True if BRICK is asked what to look up; else the wish itself is the query.

    Measured, the queries of a small model find no more than the wish does.
    """
    plan = context.cast.entries["decomposing"]["step"]
    return context.ability_of("BRICK").plans_ahead if plan == "auto" else plan != "none"


def _rejected(target: Target, reason: str, verdicts: Any, validation: Validation) -> Outcome:
    say = {"reason": reason, "verdicts": views.table(verdicts), "persona": target.persona}
    asked = {"world_calls": validation.asked} if validation.asked else {}
    return MethodRejected(reason, verdicts, **validation.spent), say | asked


def _failed(error: BatError, **spent: int) -> tuple[MissionFailed, dict[str, Any]]:
    return MissionFailed(error.code, str(error), **spent), {"error": error_body(error)}
