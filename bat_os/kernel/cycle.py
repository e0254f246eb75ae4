"""The cognitive cycle: one step per state, one short transaction per transition.

    IDLE          is it understood? then it is a turn, and the mission is complete
    DECOMPOSING   BRICK names one to three queries
    DELEGATING    the catalog finds passages and similar methods
    SYNTHESIZING  the target's persona writes a batch of candidates
    VALIDATING    fix, audit, try each in the cell, choose; then one transaction holds the
                  method, its index entry, the effects of the first call, the answer, COMPLETE

A step takes the stored record and returns the event that happened; which state follows is
``Mission.advance``'s business. Only the last step touches the target, so a killed kernel
goes on from the last committed state, and a failed mission leaves the target as it was.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal
from bat_os.core.events import (
    BriefAccepted,
    MessageUnderstood,
    MethodRejected,
    MissionFailed,
    PassagesFound,
    QueriesPlanned,
)
from bat_os.core.mission import State
from bat_os.core.prompts import QUERIES_SCHEMA, ask_queries, read_queries
from bat_os.core.protocol import error_body
from bat_os.core.values import to_wire
from bat_os.errors import (
    BatError,
    CancelledError,
    CellError,
    DraftsError,
    ModelOutputError,
    NotUnderstoodError,
)
from bat_os.image import missions
from bat_os.kernel.synthesis import Synthesis, writer_of
from bat_os.kernel.turn import take_turn
from bat_os.kernel.validation import Validation
from bat_os.ports import Sampling

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, MutableMapping

    from bat_os.core.events import Event
    from bat_os.core.mission import Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.mind import Mind
    from bat_os.kernel.turn import Answer

    Root = MutableMapping[str, Any]
    Emit = Callable[[str, Mission, dict[str, Any]], None]

QUERY_TRIES: Final = 3
PASSAGES: Final = 4
SHOTS: Final = 2
QUERY_TOKENS: Final = 120
METHOD_TOKENS: Final = 110


class CognitiveCycle:
    """Takes one mission from its stored state to its end.

    Attributes:
        mind: The image and the ports.
        emit: Told of every transition after it was committed: (mission id, mission, what
            is worth saying about it).
    """

    def __init__(self, mind: Mind, emit: Emit) -> None:
        self.mind = mind
        self.emit = emit
        self._steps = {
            State.IDLE: self._answer_or_begin,
            State.DECOMPOSING: self._plan_queries,
            State.DELEGATING: self._find_passages,
            State.SYNTHESIZING: self._write_candidates,
            State.VALIDATING: self._choose_and_install,
        }

    async def run(self, mission_id: str, cancel: threading.Event) -> dict[str, Any]:
        """Return the body of the final reply: ``{"type": "result"|"error", "body": ...}``.

        What goes wrong on the way ends the mission as FAILED with a code and a reason.
        """
        record = await self._read(mission_id)
        while record.answer is None:
            try:
                event, say = await self._steps[record.mission.state](record, cancel)
            except BatError as error:
                event, say = _failed(error)
            if event is not None and cancel.is_set():
                event, say = _failed(CancelledError("cancelled by the asker"))
            if event is not None:
                await self._advance(record, event, say)
            record = await self._read(mission_id)
        return record.answer

    async def fail(self, mission_id: str, error: BatError) -> None:
        """End a mission that is not final as FAILED."""
        record = await self._read(mission_id)
        if record.answer is None:
            await self._advance(record, *_failed(error))

    async def _advance(self, record: Record, event: Event, say: dict[str, Any]) -> None:
        after = record.mission.advance(event)
        answer = None
        if after.state is State.FAILED:
            error = say.get("error") or error_body(DraftsError(say["reason"], **say))
            answer = {"type": "error", "body": error | self._facts(record, after)}
        await self.mind.image.transact(
            lambda root: missions.write(root, record.id, after, answer),
            note=f"mission {after.state}",
            mission=record.id,
        )
        self.emit(record.id, after, say)

    async def _answer_or_begin(self, record: Record, _: threading.Event) -> tuple[Any, Any]:
        done = record.mission.advance(MessageUnderstood())

        def settle(root: Root, answer: Answer) -> None:
            body = self._result(record, done, answer)
            missions.write(root, record.id, done, {"type": "result", "body": body})

        brief, mind = record.mission.brief, self.mind
        try:
            await take_turn(mind.image, mind.cell, brief, settle=settle, mission=record.id)
        except NotUnderstoodError:
            return BriefAccepted(), {"goal": goal(brief)}
        self.emit(record.id, done, {})
        return None, None

    async def _plan_queries(self, record: Record, cancel: threading.Event) -> tuple[Any, Any]:
        persona = self.mind.personas["BRICK"]
        prompt = ask_queries(record.mission.brief, persona.system_prompt)
        tokens, problem = 0, ModelOutputError("no answer")
        for seed in range(QUERY_TRIES):
            sampling = Sampling(
                temperature=0.0 if seed == 0 else persona.temperature,
                max_tokens=QUERY_TOKENS,
                seed=seed,
                schema=QUERIES_SCHEMA,
            )
            written = (await self.mind.engine.generate([prompt], sampling, cancel=cancel))[0]
            tokens += written.tokens
            try:
                queries = read_queries(written.text)
            except ModelOutputError as error:
                problem = error
                continue
            event = QueriesPlanned(queries, model_calls=seed + 1, tokens=tokens)
            return event, {"queries": list(queries)}
        raise ModelOutputError(f"BRICK's plan could not be read {QUERY_TRIES} times: {problem}")

    async def _find_passages(self, record: Record, _: threading.Event) -> tuple[Any, Any]:
        planned = record.mission.last(QueriesPlanned)
        wish = goal(record.mission.brief)
        documents = await self.mind.catalog.search((wish, *planned.queries), top_k=PASSAGES)
        methods = await self.mind.catalog.search((wish,), top_k=SHOTS, kind="method")
        found = {(p.doc_id, p.position): p for p in (*documents, *methods)}.values()
        passages = tuple(
            {"doc_id": p.doc_id, "title": p.title, "kind": p.kind, "text": p.text,
             "similarity": round(p.similarity, 4)}
            for p in found
        )  # fmt: skip
        say = {
            "passages": [p["title"] for p in passages],
            "persona": await writer_of(self.mind, record.mission.brief),
        }
        return PassagesFound(passages), say

    async def _write_candidates(self, record: Record, cancel: threading.Event) -> tuple[Any, Any]:
        event = await Synthesis(self.mind, record).write(cancel)
        return event, {"candidates": len(event.drafts)}

    async def _choose_and_install(self, record: Record, _: threading.Event) -> tuple[Any, Any]:
        event, _say = await self._answer_or_begin(record, _)
        if event is None:  # another mission taught it meanwhile
            return None, None
        validation = Validation(self.mind, record)
        choice = await validation.judge()
        verdicts = tuple(v.to_plain() for v in choice.verdicts)
        if choice.chosen is None:
            return await self._reject(record, choice.reason, verdicts)
        install = await validation.prepare(choice)

        def settle(root: Root, answer: Answer) -> None:
            install.into(root)
            body = self._result(record, install.mission, answer)
            body |= {"learned": True, "status": choice.status, "why": choice.reason}
            missions.write(root, record.id, install.mission, {"type": "result", "body": body})

        brief, mind = record.mission.brief, self.mind
        try:
            await take_turn(
                mind.image,
                mind.cell,
                brief,
                candidate=install.candidate,
                settle=settle,
                mission=record.id,
            )
        except CellError as error:
            reason = f"the chosen candidate failed when it was to count: {error}"
            return await self._reject(record, reason, verdicts)
        self.emit(record.id, install.mission, {"status": choice.status, "why": choice.reason})
        return None, None

    async def _reject(self, record: Record, reason: str, verdicts: Any) -> tuple[Any, Any]:
        table = [{k: v[k] for k in ("draft", "problem", "preview", "agree")} for v in verdicts]
        say = {
            "reason": reason,
            "verdicts": table,
            "persona": await writer_of(self.mind, record.mission.brief),
        }
        return MethodRejected(reason, verdicts), say

    def _result(self, record: Record, mission: Mission, answer: Answer) -> dict[str, Any]:
        body = {"result": to_wire(answer.value), "printed": answer.printed}
        return body | {"status": answer.status, "learned": False} | self._facts(record, mission)

    def _facts(self, record: Record, mission: Mission) -> dict[str, Any]:
        brief = mission.brief
        return {
            "brief_id": record.id,
            "target": brief.target,
            "selector": brief.selector,
            "args": list(brief.args),
            "kwargs": dict(brief.kwargs),
            "model_calls": mission.model_calls,
            "tokens": mission.tokens,
            "seconds": round(time.time() - record.accepted, 3),
        }

    async def _read(self, mission_id: str) -> Record:
        return await self.mind.image.transact(
            lambda root: missions.read(root, mission_id), note="read a mission"
        )


def _failed(error: BatError) -> tuple[MissionFailed, dict[str, Any]]:
    return MissionFailed(error.code, str(error)), {"error": error_body(error)}
