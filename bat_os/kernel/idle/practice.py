"""Practice: drafts for one wish, written in several ways, and what tells them apart.

    through the adapter > by the base, three methods shown > hotter > adapter, one shown > ...
      > fix-ups, covenant, audit > every example > answers to the asker's arguments and near ones

Drafts that answer alike are one behaviour. The adapter and the base fail on different wishes, so
the ways take turns. Everything runs on a throw-away fork, a batch at a time, and can be broken off
between two batches and in the middle of one; what was found so far is kept in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal
from bat_os.core.choosing import meaning, preview
from bat_os.core.digest import digest
from bat_os.core.prompts import STOP, ask_method, read_method
from bat_os.errors import GrantWantedError
from bat_os.kernel.learning.candidates import Batch, draft_of, read_functions
from bat_os.kernel.learning.target import read_target
from bat_os.kernel.learning.trial import ITS_FAULT, SEED, try_examples, try_turn
from bat_os.kernel.turn import Candidate
from bat_os.kernel.verbs.moments import on_a_fork
from bat_os.method.fixups import apply_fixups
from bat_os.method.plausibility import (
    MAX_PROBES,
    find_blind_count,
    find_implausible,
    find_uninformative,
    find_unused,
    is_nothing,
    perturb,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.mission import Draft
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.candidates import Similar
    from bat_os.kernel.learning.target import Target

BATCH: Final = 8
SHOTS: Final = 3
POOL: Final = 8
SECONDS: Final = 3.0  # for one trial; generous, since nobody waits and the machine may be busy
Answers = dict[str, tuple[tuple[Any, ...], Any]]  # call -> (arguments, answer)
LATER: Final = 1e9  # a clock that is not that of the other trials
FAILED: Final = "an error"
_FORMS: Final[Mapping[type, str]] = MappingProxyType(
    {bool: "yes or no", str: "a text", int: "a number", float: "a number", list: "a list"}
)


@dataclass(frozen=True, slots=True)
class Way:
    """One way to have a method written."""

    adapted: bool  # through the persona's adapter for writing
    shots: int  # methods that are shown first
    hot: bool = False  # at temperature 1


# Measured: each finds what the others do not, and the same way again finds little.
WAYS: Final = (Way(True, 0), Way(False, SHOTS), Way(True, 0, hot=True), Way(True, 1))


@dataclass(slots=True)
class Behaviour:
    """Drafts that answer alike."""

    source: str  # of the first of them
    provenance: dict[str, Any]
    answers: Answers
    votes: int = 1


@dataclass(slots=True)
class Practice:
    """Drafts for one wish so far.

    Attributes:
        drawn: How many drafts were drawn.
        behaviours: By a key of their answers; those that reproduce every example.
    """

    brief: Brief
    most: int  # drafts to draw at most
    ways: Sequence[Way] = WAYS
    probes: Sequence[tuple[Any, ...]] = ()  # other arguments that tell behaviours apart
    drawn: int = 0
    behaviours: dict[str, Behaviour] = field(default_factory=dict)
    _seen: dict[str, str] = field(default_factory=dict)  # source -> key of its behaviour, or ""

    @property
    def best(self) -> list[Behaviour]:
        """The behaviours, the one with the most drafts first."""
        return sorted(self.behaviours.values(), key=lambda one: -one.votes)

    async def draw(self, mind: KernelContext) -> None:
        """Draw one more batch, and try it; nothing of it stays in the image."""
        async with on_a_fork(mind) as there:
            target = await read_target(there, self.brief)
            way = self.ways[self.drawn // BATCH % len(self.ways)]
            batch = await self._batch(there, target, way)
            completions = await there.roster.generate(
                target.persona, batch.prompts, batch.sampling, writing=batch.adapted
            )
            self.drawn += len(completions)
            for prompt, completion in zip(batch.prompts, completions, strict=True):
                name = f"practice {self.drawn}"
                draft = draft_of(there, target.persona, prompt, completion, batch, name)
                await self._try(there, target, draft)

    async def _batch(self, mind: KernelContext, target: Target, way: Way) -> Batch:
        persona, entry = target.persona, mind.cast.entries["synthesizing"]
        system = mind.cast.personas[persona].system_prompt + f" {entry['advice']}".rstrip()
        shown = [(known.wish, known.source) for known in await self._similar(mind)][: way.shots]
        prompt = ask_method(
            self.brief, system, shown if way.shots else None, order=entry["order"],
            form=entry["form"], forced=True,
        )  # fmt: skip
        own = mind.cast.assigned[persona].sampling
        heat = 1.0 if way.hot else own.temperature
        seed = int(digest(f"{goal(self.brief)} practice {self.drawn}")[:8], 16)
        sampling = replace(own, temperature=heat, seed=seed, stop=STOP)
        count = min(BATCH, self.most - self.drawn)
        return Batch([prompt] * count, sampling, adapted=way.adapted)

    async def _similar(self, mind: KernelContext) -> list[Similar]:
        wish = goal(self.brief)
        hits = [
            hit
            for kind in ("method", "seed")
            for hit in await mind.catalog.search((wish,), top_k=POOL, kind=kind)
        ]
        known = [{"doc_id": hit.doc_id, "text": hit.text} for hit in hits]
        similar = await read_functions(mind, known, [hit.similarity for hit in hits])
        return [one for one in similar if one.pure and one.selector != self.brief.selector]

    async def _try(self, mind: KernelContext, target: Target, draft: Draft) -> None:
        brief = self.brief
        source, fixups = apply_fixups(
            read_method(brief, draft.text, STOP), brief.selector, target.slots, target.selectors
        )
        source = mind.guardian.repair(source, brief.selector)
        if source not in self._seen:
            self._seen[source] = await self._place(mind, target, draft, (source, fixups))
        elif (key := self._seen[source]) in self.behaviours:
            self.behaviours[key].votes += 1

    async def _place(
        self, mind: KernelContext, target: Target, draft: Draft, written: tuple[str, Sequence[str]]
    ) -> str:
        """Return the key of the behaviour of a new source; "" for one that fails."""
        brief, (source, fixups) = self.brief, written
        if mind.guardian.audit(source, brief.selector).lines():
            return ""
        if not await _reproduces(mind, brief, source, target.examples):
            return ""
        answers = await answers_of(mind, brief, source, self.probes)
        if answers is None:
            return ""
        key = key_of(answers)
        if key in self.behaviours:
            self.behaviours[key].votes += 1
        else:
            origin = _provenance(self, draft, target, fixups)
            self.behaviours[key] = Behaviour(source, origin, answers)
        return key


async def _reproduces(
    mind: KernelContext, brief: Brief, source: str, examples: Sequence[Mapping[str, Any]]
) -> bool:
    trial = Candidate(brief.selector, source, SEED, 0.0, SECONDS)
    try:
        async for outcome in try_examples(mind, brief, trial, examples):
            if not outcome.is_right:
                return False
    except ITS_FAULT:
        return False
    return True


async def answers_of(
    mind: KernelContext, brief: Brief, source: str, probes: Sequence[tuple[Any, ...]] = ()
) -> Answers | None:
    """Return what a source answers to the brief's arguments, to some near them, and to ``probes``.

    None if it fails on the brief's own. Where another seed and another clock make another
    answer, the answers are ``Chance``.
    """

    async def ask(args: tuple[Any, ...], seed: int, now: float) -> Any:
        trial = Candidate(brief.selector, source, seed, now, SECONDS)
        asked = replace(brief, args=args)
        return (await try_turn(mind.image, mind.cell, asked, trial, mind)).value

    first = tuple(brief.args)
    try:
        own, other = await ask(first, SEED, 0.0), await ask(first, SEED + 1, LATER)
    except ITS_FAULT:
        return None
    is_steady = meaning(own) == meaning(other)
    found: Answers = {}
    for args in [first, *perturb(brief.args), *probes]:
        if repr(args) in found:
            continue
        try:
            value = own if args == first else await ask(args, SEED, 0.0)
        except GrantWantedError:
            return None
        except ITS_FAULT:
            value = Failure()
        else:
            value = value if is_steady else Chance(_form(value))
        found[repr(args)] = args, value
    return found


@dataclass(frozen=True, slots=True)
class Failure:
    """What a call came to that raised."""

    def __repr__(self) -> str:
        """Return what a person reads."""
        return FAILED


@dataclass(frozen=True, slots=True)
class Chance:
    """An answer that is another one each time: only its form can be compared."""

    form: str

    def __repr__(self) -> str:
        """Return what a person reads."""
        return f"{self.form}, another one each time"


def _form(value: Any) -> str:
    form = _FORMS.get(type(value), "a value")
    return f"{form} of {len(value)}" if isinstance(value, str | list) else form


def key_of(answers: Answers) -> str:
    """Return a key that behaviours share which answer alike."""
    return digest("\n".join(_meant(value) for _, value in answers.values()))


def _meant(value: Any) -> str:
    return repr(value) if isinstance(value, Failure | Chance) else meaning(value)


def differ(one: Behaviour, other: Behaviour) -> tuple[tuple[Any, ...], Any, Any] | None:
    """Return (arguments, answer of the one, of the other) of a call that tells two apart.

    A call that one of them fails on is the last choice: it may be none that anybody would make.
    One kind of nothing is as good as another.
    """
    failing = None
    for call, (args, value) in one.answers.items():
        answer = other.answers[call][1] if call in other.answers else value
        if _meant(value) != _meant(answer) and not (is_nothing(value) and is_nothing(answer)):
            if not isinstance(value, Failure) and not isinstance(answer, Failure):
                return args, value, answer
            failing = failing or (args, value, answer)
    return failing


def has_voice(brief: Brief, one: Behaviour) -> bool:
    """Return whether a behaviour would have a vote in a mission; whether it writes is not known."""
    wish, selector = goal(brief), brief.selector
    (args, value), *near = list(one.answers.values())[: 1 + MAX_PROBES]
    if find_unused(one.source, selector):
        return False
    if any(type(arg) is str for arg in args) and find_blind_count(wish, one.source, selector):
        return False
    probed = [each for each in near if not isinstance(each[1], Failure)]
    return isinstance(value, Chance) or not (
        find_implausible(wish, selector, value, writes=True)
        or find_uninformative(args, value, probed)
    )


def show_call(selector: str, args: Sequence[Any]) -> str:
    """Return a call as a person writes it."""
    return f"{selector}({', '.join(map(preview, args))})"


def _provenance(
    practice: Practice, draft: Draft, target: Target, fixups: Sequence[str]
) -> dict[str, Any]:
    return {
        "brief": practice.brief.to_plain(),
        "examples": list(target.examples),
        "goal": goal(practice.brief),
        "persona": draft.persona,
        "model": draft.model,
        "model_digest": draft.digest,
        "adapter": draft.adapter,
        "adapted_from": "",
        "prompt_sha256": draft.prompt,
        "temperature": draft.temperature,
        "seed": draft.seed,
        "fixups": list(fixups),
        "passages": [],
        "practised": True,
    }
