"""Judge a batch of candidates, and prepare the winner for the transaction that installs it.

    fix-ups > covenant repair > guardian's audit > cell: examples, then the caller's arguments

Every trial is a turn that commits nothing, under one seed and one clock, so candidates that
mean the same answer the same.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal, signature
from bat_os.core.choosing import Verdict, choose, meaning, preview
from bat_os.core.events import MethodDrafted, MethodVerified, PassagesFound
from bat_os.core.prompts import read_method
from bat_os.core.source.fixups import apply_fixups
from bat_os.errors import CellError, NotFoundError, ProtocolError, TransitionError
from bat_os.image.install import Skill, install
from bat_os.image.objects import digest
from bat_os.kernel.snapshot import copy_of, find
from bat_os.kernel.turn import Candidate, try_turn
from bat_os.kernel.views import check_readable

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.core.mission import Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.mind import Mind
    from bat_os.kernel.turn import Answer

TRIAL_SEED: Final = 1
MAX_MEANING: Final = 200
# All else (a full disk, a cell that cannot be had) is not the candidate's fault: it ends the step.
_ITS_FAULT: Final = (CellError, ProtocolError)


@dataclass(frozen=True, slots=True)
class Installation:
    """The winner, ready to be put into the image by the transaction that answers."""

    candidate: Candidate
    target: str
    skill: Skill
    mission: Mission

    def into(self, root: MutableMapping[str, Any]) -> None:
        """Install it; to be called inside ``transact``.

        Raises:
            TransitionError: The target understands the message already.
        """
        target = find(root, self.target)
        if target.lookup(self.skill.selector) is not None:
            raise TransitionError(f"{self.skill.selector} was taught meanwhile")
        install(root, target, self.skill)


class Validation:
    """The VALIDATING step of one mission."""

    def __init__(self, mind: Mind, record: Record) -> None:
        self._mind = mind
        self._record = record
        self._brief = record.mission.brief
        self._drafts = record.mission.last(MethodDrafted).drafts
        self._now = dt.datetime.fromtimestamp(record.accepted).astimezone()

    async def judge(self) -> Choice:
        """Try every candidate and return the choice, with one verdict per candidate.

        Raises:
            CellUnavailableError: No learned code can run on this machine.
        """
        slots = await self._mind.image.transact(
            lambda root: frozenset(copy_of(find(root, self._brief.target), {}).slots),
            note="read slot names",
        )
        verdicts: list[Verdict] = []
        judged: dict[str, Verdict] = {}
        for number, draft in enumerate(self._drafts):
            source, fixups = self._mend(draft["text"], slots)
            if source not in judged:
                judged[source] = await self._judge_one(Verdict(number, source, fixups))
            verdicts.append(replace(judged[source], draft=number, fixups=fixups))
        return choose(tuple(verdicts), len(self._brief.examples))

    async def _judge_one(self, verdict: Verdict) -> Verdict:
        guardian, selector = self._mind.guardian, self._brief.selector
        source = guardian.repair(verdict.source, selector)
        mended = replace(verdict, source=source)
        findings = guardian.audit(source, selector).lines()
        return replace(mended, problem=findings[0]) if findings else await self._try(mended)

    async def prepare(self, choice: Choice) -> Installation:
        """Return what the installing transaction needs; embeds the summary before it."""
        chosen = choice.chosen
        if chosen is None:
            raise NotFoundError("no candidate was chosen")
        verdicts = tuple(v.to_plain() for v in choice.verdicts)
        event = MethodVerified(chosen.draft, choice.status, verdicts)
        summary = f"{goal(self._brief)}\n{signature(self._brief)}"
        vector = await self._mind.embedder.embed([summary])
        skill = Skill(
            self._brief.selector,
            chosen.source,
            choice.status,
            self._provenance(choice, chosen),
            summary,
            vector,
        )
        mission = self._record.mission.advance(event)
        candidate = Candidate(self._brief.selector, chosen.source)
        return Installation(candidate, self._brief.target, skill, mission)

    def _mend(self, text: str, slots: frozenset[str]) -> tuple[str, tuple[str, ...]]:
        source = read_method(self._brief, text)
        return apply_fixups(source, self._brief.selector, slots=slots)

    async def _try(self, verdict: Verdict) -> Verdict:
        passed = 0
        for example in self._brief.examples:
            told = replace(self._brief, args=tuple(example["args"]), kwargs=dict(example["kwargs"]))
            try:
                answer = await self._run(verdict, told)
            except _ITS_FAULT as error:
                return replace(verdict, problem=str(error), passed=passed)
            passed += await asyncio.to_thread(_same, answer.value, example["result"])
        try:
            answer = await self._run(verdict, self._brief)
        except _ITS_FAULT as error:
            return replace(verdict, problem=str(error), passed=passed)
        if answer.value is None and not answer.writes:
            return replace(verdict, problem="returned nothing and changed nothing", passed=passed)
        key = await asyncio.to_thread(meaning, answer.value, self._now)
        key = key if len(key) <= MAX_MEANING else digest(key)
        found = replace(verdict, preview=preview(answer.value), meaning=key, passed=passed)
        return replace(found, readable=isinstance(answer.value, str | dt.datetime))

    async def _run(self, verdict: Verdict, brief: Brief) -> Answer:
        trial = Candidate(brief.selector, verdict.source, TRIAL_SEED, self._now.timestamp())
        answer = await try_turn(self._mind.image, self._mind.cell, brief, trial)
        await asyncio.to_thread(check_readable, answer.value)
        return answer

    def _provenance(self, choice: Choice, chosen: Verdict) -> dict[str, Any]:
        draft, found = self._drafts[chosen.draft], self._record.mission.last(PassagesFound)
        return {
            "mission": self._record.id,
            "brief": self._brief.to_plain(),
            "goal": goal(self._brief),
            "persona": draft["persona"],
            "model": draft["model"],
            "model_digest": draft["digest"],
            "adapter": "",
            "prompt_sha256": draft["prompt"],
            "temperature": draft["temperature"],
            "seed": draft["seed"],
            "why": choice.reason,
            "fixups": list(chosen.fixups),
            "draft": chosen.draft,
            "candidates": [v.to_plain() for v in choice.verdicts],
            "passages": [p["doc_id"] for p in found.passages],
            "created": time.time(),
        }


def _same(value: Any, wanted: Any) -> bool:
    return meaning(value) == meaning(wanted)
