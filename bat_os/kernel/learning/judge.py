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
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal, kinds, parameters
from bat_os.core.choosing import (
    MENDED,
    PREVIEW,
    Verdict,
    choose,
    form,
    is_settled,
    meaning,
    preview,
)
from bat_os.core.digest import digest
from bat_os.core.mission import MethodDrafted, MethodRejected, MethodVerified, PassagesFound
from bat_os.core.prompts import STOP, read_method
from bat_os.core.values import to_wire
from bat_os.errors import EffectWantedError, GrantWantedError, NotFoundError, TransitionError
from bat_os.failpoints import cross
from bat_os.image.history.entries import summary_of_brief
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import find
from bat_os.kernel.effects import wants
from bat_os.kernel.learning import asking
from bat_os.kernel.learning.proof import find_deafness
from bat_os.kernel.learning.target import find_replaced
from bat_os.kernel.learning.trial import (
    ITS_FAULT,
    SEED,
    SHORT_SECONDS,
    are_tests_written,
    mend,
    recorded,
    tells_enough,
    try_examples,
    try_turn,
)
from bat_os.kernel.learning.weighing import weigh_by_tests
from bat_os.kernel.reach import Answers
from bat_os.kernel.sinks import quotes
from bat_os.kernel.snapshot import runnable_of
from bat_os.kernel.turn import Candidate
from bat_os.kernel.views import check_readable
from bat_os.method.fixups import apply_fixups
from bat_os.method.guardian import REACHING
from bat_os.method.plausibility import (
    find_blind_count,
    find_implausible,
    find_uninformative,
    find_unused,
    keeps_more,
    perturb,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.core.mission import Draft, Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.target import Target
    from bat_os.kernel.learning.weighing import Tested
    from bat_os.kernel.turn import Answer

_CHANCE: Final = re.compile(r"\b(random|secrets|uuid)\b")
MAX_MEANING: Final = 200
READ: Final = "it failed on what it had read"


def _drafts_of(mission: Mission) -> tuple[Draft, ...]:
    """Return the last batch, and those before it that left open which answer is right.

    A batch in which each candidate had a problem or was in doubt says nothing about the next one.
    """
    drafts: list[Draft] = []
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
    """The winner, ready for the transaction that installs it and answers."""

    skill: Skill  # what is to be installed
    mission: Mission  # in its final state
    replaces: int  # number of the version that it takes the place of, or 0

    def into(self, root: MutableMapping[str, Any]) -> None:
        """Install it; to be called inside ``transact``.

        Raises:
            TransitionError: The target understands the message already.
            ArgumentsError: The method is pinned.
        """
        self.check(root)
        install(root, find(root, self.mission.brief.target), self.skill)
        cross("install.before")

    def check(self, root: Mapping[str, Any]) -> None:
        """Check that the target still lacks the method, or has the one to replace.

        Raises:
            TransitionError: It has another one by now.
            ArgumentsError: The method is pinned.
        """
        brief = self.mission.brief
        target = find(root, brief.target)
        known = runnable_of(target.lookup(self.skill.selector), {})
        here = self.skill.provenance["cell"]
        if find_replaced(root, brief).number != self.replaces:
            raise TransitionError(f"{self.skill.selector} has another version by now")
        if self.replaces:
            return
        if target.lookup(self.skill.selector) and (known is None or known.cell in ("", here)):
            raise TransitionError(f"{self.skill.selector} was taught by now")


class Validation:
    """The VALIDATING step of one mission.

    ``drafts`` are the candidates; without them, those of the record.
    """

    def __init__(
        self,
        context: KernelContext,
        record: Record,
        target: Target,
        drafts: Sequence[Draft] | None = None,
    ) -> None:
        self._context = context
        self._target = target
        self._record = record
        self._brief = record.mission.brief
        self._drafts = _drafts_of(record.mission) if drafts is None else drafts
        self._examples = target.examples
        # one world for all candidates; if one was kept, that
        self._answers = recorded(self._examples, self._brief) or Answers()
        self._wanted: list[GrantWantedError] = []  # by candidates
        shown = record.mission.last(PassagesFound)
        self._outside = [p["text"] for p in shown.passages if p.get("label")] if shown else []
        self._ability = context.ability_of(target.persona)
        self.tested: Tested | None = None  # what became of written tests, once there are any
        self._now = dt.datetime.fromtimestamp(record.accepted).astimezone()

    async def judge(self) -> Choice:
        """Try every candidate and return the choice, with one verdict per candidate.

        Raises:
            CellUnavailableError: No learned code can run on this machine.
        """
        verdicts = await self._judge_all()
        if self._wanted and all(verdict.problem for verdict in verdicts):
            raise await asking.question(self._context, self._brief, self._wanted)
        agreement = self._ability.agreement
        shown = any("effects" in example for example in self._examples)
        decide = partial(
            choose, examples=len(self._examples), agreement=agreement, shown=shown,
            traces=sum("world" in example for example in self._examples),
        )  # fmt: skip
        choice = decide(tuple(verdicts))
        if self._examples and choice.chosen is None:
            choice = decide(tuple(await self._mended(verdicts)))
        if self._tests_are_written() and not self._examples:
            self.tested = await weigh_by_tests(
                self._context, self._brief, choice, self._now.timestamp(), agreement, self._answers
            )
            choice = self.tested.choice
        return choice

    async def settles(self) -> bool:
        """Return True if the candidates, known functions, decide: then no model has to write."""
        tested = self._tests_are_written() and not self._examples
        if self._brief.mode or tested or not self._drafts:
            return False
        telling = tells_enough(self._examples)
        return is_settled(await self._judge_all(), len(self._examples), telling=telling)

    def _tests_are_written(self) -> bool:  # for an errand always: no person sees what it gave
        return "." in self._record.id or are_tests_written(self._context)

    async def _judge_all(self) -> list[Verdict]:
        verdicts: list[Verdict] = []
        judged: dict[str, Verdict] = {}
        for number, draft in enumerate(self._drafts):
            stop = str((draft.sampling or {}).get("stop", STOP))
            text = draft.source or read_method(self._brief, draft.text, stop)
            verdict = await self._judge_text(text, judged)
            verdicts.append(replace(verdict, draft=number, known=draft.known, weight=draft.weight))
        return verdicts

    async def _judge_text(self, text: str, judged: dict[str, Verdict]) -> Verdict:
        """Return the verdict on a draft after fix-ups; an able model's draft is tried without."""
        brief, target = self._brief, self._target
        if self._ability.fixes_late:
            verdict = await self._judge_once(text, judged)
            if not verdict.problem:
                return verdict
        source, fixups = apply_fixups(text, brief.selector, target.slots, target.selectors)
        return replace(await self._judge_once(source, judged), fixups=fixups)

    async def _judge_once(self, source: str, judged: dict[str, Verdict]) -> Verdict:
        if source not in judged:
            judged[source] = await self._judge_one(Verdict(0, source))
        return judged[source]

    async def _mended(self, verdicts: list[Verdict]) -> list[Verdict]:
        """Return the verdicts, those of candidates that a small change mends in the new form."""
        mended = await mend(self._context, self._brief, self._examples, verdicts)
        after = list(verdicts)
        for old, source in mended:
            new = await self._judge_one(Verdict(old.draft, source, (*old.fixups, MENDED)))
            if not new.problem and not new.doubt:
                after[old.draft] = new
        return after

    @property
    def asked(self) -> int:
        """How often the trials have asked the world itself."""
        return 0 if self._answers.closed else len(self._answers.by_key)

    @property
    def spent(self) -> dict[str, int]:
        """What written tests cost, for the event."""
        if self.tested is None:
            return {}
        return {"model_calls": self.tested.model_calls, "tokens": self.tested.tokens}

    async def _judge_one(self, verdict: Verdict) -> Verdict:
        guardian, selector = self._context.guardian, self._brief.selector
        source = guardian.repair(verdict.source, selector)
        mended = replace(verdict, source=source)
        if source == self._target.replaced.source:
            number = self._target.replaced.number
            return replace(mended, problem=f"it is the same as version {number}, the current one")
        if findings := (report := guardian.audit(source, selector)).lines():
            reaches_out = report.findings[0].rule in REACHING
            return replace(mended, problem=findings[0], reaches_out=reaches_out)
        if self._outside and quotes(source, self._outside):
            return replace(mended, problem="it holds a long text from outside; read it instead")
        return await self._try(mended)

    async def prepare(self, choice: Choice) -> Installation:
        """Return what the installing transaction needs; embeds the summary before it."""
        chosen = choice.chosen
        if chosen is None:
            raise NotFoundError("no candidate was chosen")
        verdicts = tuple(v.to_plain() for v in choice.verdicts)
        event = MethodVerified(chosen.draft, choice.status, verdicts, **self.spent)
        summary = summary_of_brief(self._brief).text
        vector = await self._context.catalog.embed([summary])
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
        return Installation(skill, mission, self._target.replaced.number)

    async def _try(self, verdict: Verdict) -> Verdict:
        """Return the verdict after the examples and the caller's own arguments."""
        brief, passed = self._brief, 0
        trial = self._trial(verdict.source)
        try:
            async for outcome in try_examples(
                self._context, brief, trial, self._examples, self._answers
            ):
                passed += outcome.is_right
            traced = [example for example in self._examples if "world" in example]
            if traced and (deaf := await find_deafness(self._context, brief, trial, traced)):
                return replace(verdict, problem=deaf, passed=passed)
            answer = await self._run(brief, trial)
        except EffectWantedError as error:
            if self._answers.closed:
                return replace(verdict, problem=str(error), passed=passed)
            return self._stopped(verdict, error)
        except ITS_FAULT as error:
            if isinstance(error, GrantWantedError):
                self._wanted.append(error)
            lacks = str(error.details.get("feature", ""))
            said = READ if "label" in error.details else str(error)  # a prompt may say it
            return replace(verdict, problem=said, passed=passed, lacks=lacks)
        shown = preview(answer.value)
        value = to_wire(answer.value) if len(shown) < PREVIEW else None
        key = await self._key_of_chance(verdict.source, answer) or await self._key(answer)
        verdict = replace(
            verdict,
            preview=shown,
            value=value,
            passed=passed,
            meaning=key,
            readable=isinstance(answer.value, str | dt.datetime),
            effects=tuple(each.to_plain() for each in answer.wanted),
            returns_argument=any(
                type(own) is type(answer.value) and own == answer.value for own in brief.args
            ),
        )
        return await self._with_doubt(verdict, answer)

    def _stopped(self, verdict: Verdict, error: EffectWantedError) -> Verdict:
        """Return the verdict on a candidate that waits for what no trial does in the world.

        It is judged by what it wants. Whether it gives the result of an example is not known.
        """
        if self._examples:
            return replace(verdict, problem=str(error))
        effects = tuple(each.to_plain() for each in error.wanted)
        found = replace(verdict, effects=effects, stops=True, preview="not known before")
        found = replace(found, meaning=f"stops {wants.key_of(error.wanted)}")
        if ignores := self._ignored(verdict.source):
            return replace(found, doubt=f"ignores its argument {ignores!r}", ignores=ignores)
        return found

    async def _with_doubt(self, found: Verdict, answer: Answer) -> Verdict:
        """Return the verdict with the first reason to doubt it.

        What only the words of the wish make doubtful, an example that is reproduced settles.
        """
        source, brief, doubt = found.source, self._brief, ""
        if not self._examples or found.passed < len(self._examples):
            doubt = find_implausible(
                goal(brief),
                brief.selector,
                answer.value,
                writes=answer.writes,
                slots=self._target.slots,
            )
        if doubt and answer.value is None and not answer.writes:  # there is nothing to ask about
            return replace(found, problem=doubt)
        if ignores := self._ignored(source):
            return replace(found, doubt=f"ignores its argument {ignores!r}", ignores=ignores)
        if counted := self._counted_blindly(source):
            return replace(found, doubt=f"counts all there is, not {counted}", ignores=counted)
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
            dict(zip(names, example["args"], strict=False)) | dict(example["kwargs"])
            for example in self._examples
        ]
        shown = {meaning(values[name]) for values in given if name in values}
        return name if len(shown) < 2 else ""

    def _counted_blindly(self, source: str) -> str:
        """Return what ``source`` should count in a text and does not look for, or "".

        One example fits a count of everything as well; two show that it is what is wanted.
        """
        if len(self._examples) > 1 or not any(type(value) is str for value in self._brief.args):
            return ""
        return find_blind_count(goal(self._brief), source, self._brief.selector)

    async def _find_forgetful(self, source: str, value: Any) -> str:
        """Return in one line that a second call loses what the first one kept, or ""."""
        others = perturb(self._brief.args)
        if not others or not keeps_more(goal(self._brief), value):
            return ""
        name = self._brief.selector
        both = f"def both(self, one, two):\n    {name}(self, *one)\n    return {name}(self, *two)\n"
        args = ([*self._brief.args], [*others[0]])
        brief = replace(self._brief, selector="both", args=args, kwargs={})
        trial = replace(self._trial(f"{source}\n\n{both}"), selector="both", seconds=SHORT_SECONDS)
        try:
            again = await self._run(brief, trial)
        except ITS_FAULT:
            return ""
        kept = isinstance(again.value, list | dict) and len(again.value) > len(value)
        return "" if kept else "forgets what an earlier call kept"

    async def _probe(self, source: str, value: Any) -> tuple[str, str]:
        """Return a key of the answers to other arguments of the same kind, and a doubt, or ""."""
        keys, answered = [], []
        trial = replace(self._trial(source), seconds=SHORT_SECONDS)
        for args in perturb(self._brief.args):
            try:
                answer = await self._run(replace(self._brief, args=args), trial)
                keys.append(await self._key(answer))
                answered.append((args, answer.value))
            except EffectWantedError as error:
                keys.append(wants.key_of(error.wanted))
            except ITS_FAULT as error:
                keys.append(f"error {error.details.get('type', '')}")
        return digest(repr(keys)), find_uninformative(self._brief.args, value, answered)

    async def _key_of_chance(self, source: str, answer: Answer) -> str:
        """Return a key for the form of a text that another seed makes another text; else ""."""
        if not isinstance(answer.value, str) or not _CHANCE.search(source):
            return ""
        with contextlib.suppress(*ITS_FAULT):
            again = await self._run(self._brief, replace(self._trial(source), seed=SEED + 1))
            key = "" if again.value == answer.value else form(answer.value)
            return key and key + self._does(answer)
        return ""

    async def _key(self, answer: Answer) -> str:
        key = await asyncio.to_thread(meaning, answer.value, self._now)
        return (key if len(key) <= MAX_MEANING else digest(key)) + self._does(answer)

    def _does(self, answer: Answer) -> str:
        return wants.key_of(answer.wanted) if answer.wanted else ""

    def _trial(self, source: str) -> Candidate:
        return Candidate(self._brief.selector, source, SEED, self._now.timestamp())

    async def _run(self, brief: Brief, trial: Candidate) -> Answer:
        context = self._context
        answer = await try_turn(context.image, context.cell, brief, trial, context, self._answers)
        await asyncio.to_thread(check_readable, answer.value)
        return answer

    def _provenance(self, choice: Choice, chosen: Verdict) -> dict[str, Any]:
        draft, passages = self._drafts[chosen.draft], self._record.mission.last(PassagesFound)
        return {
            "mission": self._record.id,
            "brief": self._brief.to_plain(),
            "examples": list(self._examples),
            "goal": goal(self._brief),
            "persona": draft.persona, "adapter": draft.adapter, "adapted_from": draft.known,
            "model": draft.model, "model_server": draft.server, "model_digest": draft.digest,
            "prompt_sha256": draft.prompt, "temperature": draft.temperature, "seed": draft.seed,
            "drawn": self._drawn(draft), "why": choice.reason, "effects": list(chosen.effects),
            "tried": self._now.timestamp(), "cell": self._context.cell.stats().get("kind", ""),
            "fixups": list(chosen.fixups), "draft": chosen.draft,
            "candidates": [v.to_plain() for v in choice.verdicts],
            "written_tests": list(self.tested.tests) if self.tested is not None else [],
            "passages": [p["doc_id"] for p in passages.passages],
            "created": time.time(),
        }  # fmt: skip

    def _drawn(self, draft: Draft) -> dict[str, Any]:
        """Return all that it takes to draw the draft again and fix it up; {} if none drew it.

        A model draws a batch at a time, so this names the whole batch: ``prompts`` (each once),
        ``batch`` (the prompt of each place), ``place`` (of the draft), ``sampling``; and the
        ``slots`` and ``selectors`` that the text names, for the fix-ups.
        """
        if draft.known:
            return {}
        batch = [d for d in self._drafts if not d.known and d.batch == draft.batch]
        asked = {d.prompt: d.asked for d in self._drafts if d.asked}
        order = list(dict.fromkeys(d.prompt for d in batch))
        words = set(re.findall(r"\w+", read_method(self._brief, draft.text)))
        return {
            "prompts": [asked[prompt] for prompt in order],
            "batch": [order.index(d.prompt) for d in batch],
            "place": batch.index(draft),
            "sampling": draft.sampling,
            "slots": sorted(words & self._target.slots),
            "selectors": sorted(words & self._target.selectors),
        }
