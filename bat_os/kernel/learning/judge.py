"""Judge a batch of candidates, and prepare the winner for the transaction that installs it.

    fix-ups > covenant repair > guardian's audit > cell: examples, then the caller's arguments
      > doubts: is the answer plausible, does it depend on the arguments? > choose

Every trial is a turn that commits nothing, under one seed and one clock, so candidates that
mean the same answer the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import re
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal, kinds, parameters, signature
from bat_os.core.choosing import MENDED, PREVIEW, Verdict, choose, form, meaning, preview, same
from bat_os.core.mission import MethodDrafted, MethodRejected, MethodVerified, PassagesFound
from bat_os.core.prompts import read_method
from bat_os.core.values import to_wire
from bat_os.errors import CellError, NotFoundError, ProtocolError, TransitionError
from bat_os.failpoints import cross
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import digest, kept_examples, merge_examples
from bat_os.kernel.learning.repair import mend
from bat_os.kernel.learning.replacement import Replaced, find_replaced
from bat_os.kernel.learning.written import weigh_by_tests
from bat_os.kernel.snapshot import find, runnable_of, snapshot_of
from bat_os.kernel.turn import Candidate, try_turn
from bat_os.kernel.views import check_readable
from bat_os.method.fixups import apply_fixups
from bat_os.method.plausibility import (
    find_implausible,
    find_uninformative,
    find_unused,
    keeps_more,
    perturb,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.core.mission import Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.written import Tested
    from bat_os.kernel.turn import Answer

TRIAL_SEED: Final = 1
TRIAL_SECONDS: Final = 3.0
PROBE_SECONDS: Final = 0.5
_CHANCE: Final = re.compile(r"\b(random|secrets|uuid)\b")
MAX_MEANING: Final = 200
# All else (a full disk, a cell that cannot be had) is not the candidate's fault: it ends the step.
_ITS_FAULT: Final = (CellError, ProtocolError)


def _drafts_of(mission: Mission) -> tuple[Mapping[str, Any], ...]:
    """Return the last batch, and those before it that left open which answer is right.

    A batch in which each candidate had a problem or was in doubt says nothing about the next one.
    """
    drafts: list[Mapping[str, Any]] = []
    for event in mission.events:
        if isinstance(event, MethodDrafted):
            drafts += event.drafts
        elif isinstance(event, MethodRejected) and not any(map(_speaks, event.verdicts)):
            drafts.clear()
    return tuple(drafts)


def _speaks(verdict: Mapping[str, Any]) -> bool:
    return not (verdict["problem"] or verdict.get("dull"))


@dataclass(frozen=True, slots=True)
class Installation:
    """The winner, ready to be put into the image by the transaction that answers.

    Attributes:
        candidate: To answer the first call with.
        target: Name or oid of the receiver.
        skill: What is to be installed.
        mission: In its final state.
        replaces: Number of the version that it takes the place of, or 0.
    """

    candidate: Candidate
    target: str
    skill: Skill
    mission: Mission
    replaces: int

    def into(self, root: MutableMapping[str, Any]) -> None:
        """Install it; to be called inside ``transact``.

        Raises:
            TransitionError: The target understands the message already.
            ArgumentsError: The method is pinned.
        """
        self.check(root)
        install(root, find(root, self.target), self.skill)
        cross("install.before")

    def check(self, root: Mapping[str, Any]) -> None:
        """Return nothing when the target still lacks the method, or has the one to replace.

        Raises:
            TransitionError: It has another one meanwhile.
            ArgumentsError: The method is pinned.
        """
        target, brief = find(root, self.target), self.mission.brief
        known = runnable_of(target, self.skill.selector, {})
        here = self.skill.provenance["cell"]
        if find_replaced(root, brief).number != self.replaces:
            raise TransitionError(f"{self.skill.selector} has another version meanwhile")
        if self.replaces:
            return
        if target.lookup(self.skill.selector) and (known is None or known.cell in ("", here)):
            raise TransitionError(f"{self.skill.selector} was taught meanwhile")


class Validation:
    """The VALIDATING step of one mission.

    Attributes:
        tested: What became of written tests, once there are any.
    """

    def __init__(self, mind: KernelContext, record: Record) -> None:
        self._mind = mind
        self._record = record
        self._brief = record.mission.brief
        self._drafts = _drafts_of(record.mission)
        self._slots: frozenset[str] = frozenset()
        self._selectors: frozenset[str] = frozenset()
        self._examples: tuple[Mapping[str, Any], ...] = ()
        self._replaced = Replaced()
        self.tested: Tested | None = None
        self._now = dt.datetime.fromtimestamp(record.accepted).astimezone()

    async def judge(self) -> Choice:
        """Try every candidate and return the choice, with one verdict per candidate.

        Raises:
            CellUnavailableError: No learned code can run on this machine.
        """
        await self._mind.image.transact(self._look, note="look at the target")
        verdicts: list[Verdict] = []
        judged: dict[str, Verdict] = {}
        for number, draft in enumerate(self._drafts):
            source, fixups = self._mend(draft)
            if source not in judged:
                judged[source] = await self._judge_one(Verdict(number, source, fixups))
            known = {"known": draft.get("from", ""), "weight": draft.get("weight", 0.0)}
            verdicts.append(replace(judged[source], draft=number, fixups=fixups, **known))
        choice = choose(tuple(verdicts), len(self._examples))
        if self._examples and choice.chosen is None:
            choice = choose(tuple(await self._mended(verdicts)), len(self._examples))
        if self._mind.options.tests == "written" and not self._examples:
            self.tested = await weigh_by_tests(self._mind, self._brief, choice, self._run)
            choice = self.tested.choice
        return choice

    async def _mended(self, verdicts: list[Verdict]) -> list[Verdict]:
        """Return the verdicts, those of candidates that a small change mends in the new form."""
        found = await mend(self._mind, self._brief, self._examples, verdicts)
        after = list(verdicts)
        for old, source in found:
            new = await self._judge_one(Verdict(old.draft, source, (*old.fixups, MENDED)))
            if not new.problem and not new.doubt:
                after[old.draft] = new
        return after

    @property
    def spent(self) -> dict[str, int]:
        """What written tests cost, for the event."""
        if self.tested is None:
            return {}
        return {"model_calls": self.tested.model_calls, "tokens": self.tested.tokens}

    def _look(self, root: MutableMapping[str, Any]) -> None:
        """Read what the target has: slots, and examples that earlier versions passed."""
        target = find(root, self._brief.target)
        copy = snapshot_of(target, {})
        self._slots, self._selectors = frozenset(copy.slots), copy.selectors
        kept = kept_examples(target, self._brief.selector)
        self._examples = merge_examples(self._brief.examples, kept)
        self._replaced = find_replaced(root, self._brief)

    async def _judge_one(self, verdict: Verdict) -> Verdict:
        guardian, selector = self._mind.guardian, self._brief.selector
        source = guardian.repair(verdict.source, selector)
        mended = replace(verdict, source=source)
        if source == self._replaced.source:
            number = self._replaced.number
            return replace(mended, problem=f"it is the same as version {number}, the current one")
        if findings := guardian.audit(source, selector).lines():
            return replace(mended, problem=findings[0])
        return await self._try(mended)

    async def prepare(self, choice: Choice) -> Installation:
        """Return what the installing transaction needs; embeds the summary before it."""
        chosen = choice.chosen
        if chosen is None:
            raise NotFoundError("no candidate was chosen")
        verdicts = tuple(v.to_plain() for v in choice.verdicts)
        event = MethodVerified(chosen.draft, choice.status, verdicts, **self.spent)
        summary = f"{goal(self._brief)}\n{signature(self._brief)}"
        vector = await self._mind.catalog.embed([summary])
        skill = Skill(
            self._brief.selector,
            chosen.source,
            choice.status,
            self._provenance(choice, chosen),
            summary,
            vector,
            kinds(self._brief),
        )
        mission = self._record.mission.advance(event)
        candidate = Candidate(self._brief.selector, chosen.source)
        number = self._replaced.number
        return Installation(candidate, self._brief.target, skill, mission, number)

    def _mend(self, draft: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
        source = draft.get("source") or read_method(self._brief, draft["text"])
        return apply_fixups(source, self._brief.selector, self._slots, self._selectors)

    async def _try(self, verdict: Verdict) -> Verdict:
        """Return the verdict after the examples and the caller's own arguments."""
        brief, passed = self._brief, 0
        try:
            for example in self._examples:
                args, kwargs = tuple(example["args"]), dict(example["kwargs"])
                told = replace(brief, args=args, kwargs=kwargs)
                answer = await self._run(verdict.source, told)
                passed += await asyncio.to_thread(same, answer.value, example["result"])
            answer = await self._run(verdict.source, brief)
        except _ITS_FAULT as error:
            lacks = str(error.details.get("feature", ""))
            return replace(verdict, problem=str(error), passed=passed, lacks=lacks)
        shown = preview(answer.value)
        value = to_wire(answer.value) if len(shown) < PREVIEW else None
        found = replace(verdict, preview=shown, value=value, passed=passed)
        key = await self._key_of_chance(verdict.source, answer) or await self._key(answer)
        found = replace(
            found,
            meaning=key,
            readable=isinstance(answer.value, str | dt.datetime),
            returns_argument=any(
                type(own) is type(answer.value) and own == answer.value for own in brief.args
            ),
        )
        return await self._with_doubt(found, answer)

    async def _with_doubt(self, found: Verdict, answer: Answer) -> Verdict:
        """Return the verdict with the first reason to doubt it.

        What only the words of the wish make doubtful, an example that is reproduced settles.
        """
        source, brief = found.source, self._brief
        if ignores := self._ignored(source):
            return replace(found, doubt=f"ignores its argument {ignores!r}", ignores=ignores)
        doubt, wish = "", goal(brief)
        if not self._examples or found.passed < len(self._examples):
            doubt = find_implausible(
                wish, brief.selector, answer.value, writes=answer.writes, slots=self._slots
            )
        if doubt:
            return replace(found, doubt=doubt)
        probed, dull = await self._probe(source, answer.value)
        dull = "" if answer.writes else dull  # what was asked for is then the change
        dull = dull or await self._find_forgetful(source, answer.value)
        return replace(found, probed=probed, doubt=dull)

    def _ignored(self, source: str) -> str:
        """Return the name of an argument that ``source`` never reads, or "".

        Examples in which that argument differs show that it may be ignored.
        """
        name = find_unused(source, self._brief.selector)
        names = parameters(self._brief)
        given = [
            dict(zip(names, one["args"], strict=False)) | dict(one["kwargs"])
            for one in self._examples
        ]
        shown = {meaning(values[name]) for values in given if name in values}
        return name if len(shown) < 2 else ""

    async def _find_forgetful(self, source: str, value: Any) -> str:
        """Return in one line that a second call loses what the first one kept, or ""."""
        others = perturb(self._brief.args)
        if not others or not keeps_more(goal(self._brief), value):
            return ""
        name = self._brief.selector
        both = f"def both(self, one, two):\n    {name}(self, *one)\n    return {name}(self, *two)\n"
        brief = replace(self._brief, args=([*self._brief.args], [*others[0]]), kwargs={})
        try:
            again = await self._run(f"{source}\n\n{both}", brief, PROBE_SECONDS, selector="both")
        except _ITS_FAULT:
            return ""
        kept = isinstance(again.value, list | dict) and len(again.value) > len(value)
        return "" if kept else "forgets what an earlier call kept"

    async def _probe(self, source: str, value: Any) -> tuple[str, str]:
        """Return a key of the answers to other arguments of the same kind, and a doubt, or ""."""
        keys, told = [], []
        for args in perturb(self._brief.args):
            try:
                answer = await self._run(source, replace(self._brief, args=args), PROBE_SECONDS)
                keys.append(await self._key(answer))
                told.append((args, answer.value))
            except _ITS_FAULT as error:
                keys.append(f"error {error.details.get('type', '')}")
        return digest(repr(keys)), find_uninformative(self._brief.args, value, told)

    async def _key_of_chance(self, source: str, answer: Answer) -> str:
        """Return a key for the form of a text that another seed makes another text; else ""."""
        if not isinstance(answer.value, str) or not _CHANCE.search(source):
            return ""
        with contextlib.suppress(*_ITS_FAULT):
            again = await self._run(source, self._brief, seed=TRIAL_SEED + 1)
            return "" if again.value == answer.value else form(answer.value)
        return ""

    async def _key(self, answer: Answer) -> str:
        key = await asyncio.to_thread(meaning, answer.value, self._now)
        return key if len(key) <= MAX_MEANING else digest(key)

    async def _run(
        self,
        source: str,
        brief: Brief,
        seconds: float = TRIAL_SECONDS,
        *,
        seed: int = TRIAL_SEED,
        selector: str = "",
    ) -> Answer:
        now = self._now.timestamp()
        told = replace(brief, selector=selector or brief.selector)
        trial = Candidate(told.selector, source, seed, now, seconds)
        answer = await try_turn(self._mind.image, self._mind.cell, told, trial)
        await asyncio.to_thread(check_readable, answer.value)
        return answer

    def _provenance(self, choice: Choice, chosen: Verdict) -> dict[str, Any]:
        draft, found = self._drafts[chosen.draft], self._record.mission.last(PassagesFound)
        return {
            "mission": self._record.id,
            "brief": self._brief.to_plain(),
            "examples": list(self._examples),
            "goal": goal(self._brief),
            "persona": draft["persona"],
            "model": draft["model"],
            "model_digest": draft["digest"],
            "adapter": draft["adapter"],
            "adapted_from": draft.get("from", ""),
            "prompt_sha256": draft["prompt"],
            "temperature": draft["temperature"],
            "seed": draft["seed"],
            "drawn": self._drawn(draft),
            "why": choice.reason,
            "cell": self._mind.cell.stats().get("kind", ""),
            "fixups": list(chosen.fixups),
            "draft": chosen.draft,
            "candidates": [v.to_plain() for v in choice.verdicts],
            "written_tests": list(self.tested.tests) if self.tested is not None else [],
            "passages": [p["doc_id"] for p in found.passages],
            "created": time.time(),
        }

    def _drawn(self, draft: Mapping[str, Any]) -> dict[str, Any]:
        """Return all that it takes to draw the draft again and mend it; {} if none drew it.

        A model draws a batch at a time, so the whole batch is told: ``prompts`` (each once),
        ``batch`` (which prompt stood where), ``place`` (of the draft), ``sampling``; and the
        ``slots`` and ``selectors`` that the text names, for the fix-ups.
        """
        batch = [d for d in self._drafts if d.get("batch", "") == draft.get("batch")]
        asked = {d["prompt"]: d["asked"] for d in self._drafts if "asked" in d}
        order = list(dict.fromkeys(d["prompt"] for d in batch))
        if not batch:
            return {}
        words = set(re.findall(r"\w+", read_method(self._brief, draft["text"])))
        return {
            "prompts": [asked[prompt] for prompt in order],
            "batch": [order.index(d["prompt"]) for d in batch],
            "place": batch.index(draft),
            "sampling": draft["sampling"],
            "slots": sorted(words & self._slots),
            "selectors": sorted(words & self._selectors),
        }
