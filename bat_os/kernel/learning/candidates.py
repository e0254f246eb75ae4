"""The SYNTHESIZING step of one mission: a batch of candidates for a method.

    a program by example                where the examples decide on one
    known functions near the wish       as they are, under the new name
    known functions that fit examples   whatever their words, also with arguments rearranged
    if those do not decide:
    first batch                         one greedy, the others sampled; one prompt, read once,
                                        prefilled with the signature
    later batches                       sampled after similar functions are shown, learned ones and
                                        those of the library, without the adapter for writing

With that adapter a small model writes from what it was trained on, without it from what it is
shown: the two fail on different wishes, so the second batch finds what the first does not.

The words of a wish find what was written for words like them. An example finds more: whatever the
library has that fits and gives the wanted result. A trial takes some milliseconds: POOL are tried.

If the brief has the mode ``cascade``, it also goes through BRICK, ROBIN, BABS and ALFRED in the
first round, and one more candidate comes out: at most four calls of a model.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import packet as talk
from bat_os.core.brief import goal, literals, parameters
from bat_os.core.choosing import preview
from bat_os.core.digest import digest
from bat_os.core.mission import Draft, MethodDrafted, MethodRejected, PassagesFound, QueriesPlanned
from bat_os.core.packet import CognitiveStatePacket, Stage
from bat_os.core.prompts import FENCE_STOP, STOP, Plan, ask_again, ask_method, read_method
from bat_os.errors import ModelOutputError
from bat_os.image.history.entries import is_sound
from bat_os.kernel.learning.likeness import Written, weigh, weight_of
from bat_os.kernel.learning.target import STEWARD
from bat_os.kernel.learning.trial import reproduces, tells_enough
from bat_os.kernel.say.skills import read_as_said
from bat_os.method.adapt import adapt, rebind_arguments
from bat_os.method.induction import decides, induce, write_method
from bat_os.sentence.examples import name_operations
from bat_os.sentence.wishes import wish_in_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.mission import Mission
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.target import Target
    from bat_os.kernel.missions.feed import TextFeed
    from bat_os.method.induction import Program
    from bat_os.ports import Completion, Prompt, Sampling

ADAPTED: Final = 3
POOL: Final = 48  # functions of each kind that are tried on the examples
TRIALS: Final = 240
ENOUGH: Final = 3
PLAIN: Final = 3.0  # bits of a program by example that anybody may mean
_LIBRARY: Final = "seed:"  # so begin the documents of its functions
INDUCED: Final = "examples"  # what a program by example is known from
STAGE_SECONDS: Final = 60.0  # for one stage of a cascade, waiting included
_SAMPLING: Final = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")
FREE_TOKENS: Final = 400  # of a method with its helpers, where no form is forced
_FENCE: Final = "```python\n"  # for the model, not for people who watch


@dataclass(frozen=True, slots=True)
class Similar:
    """A known function: learned, or of the seed library."""

    doc_id: str  # its document in the knowledge catalog
    wish: str  # what it was written for
    line: str  # its ``def`` line
    selector: str  # its name
    source: str  # of the function alone, with its imports
    pure: bool  # it uses nothing of its object; only such ones are shown to a writer
    likeness: float  # to the wish, a cosine

    def as_draft(self, source: str, weight: float = 0.0) -> Draft:
        """Return the function in its new form as a candidate."""
        return Draft(STEWARD, source=source, known=self.doc_id, weight=weight)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one call of the model draws: equal prompts are read once."""

    prompts: Sequence[Prompt]
    sampling: Sampling
    adapted: bool = True  # through the persona's adapter for writing methods


class Synthesis:
    """Writes the candidates of one round."""

    def __init__(
        self, context: KernelContext, record: Record, target: Target, text_feed: TextFeed
    ) -> None:
        self.target = target
        self._context = context
        self._record = record
        self._text_feed = text_feed
        self._brief = record.mission.brief
        planned = record.mission.last(QueriesPlanned)
        self._plan = Plan(**planned.plan) if planned.plan else Plan(planned.queries)

    async def recall(self) -> list[Draft]:
        """Return known functions as candidates, in the first round; no model is asked."""
        if self._record.mission.rounds:
            return []
        programs = await asyncio.to_thread(self._induce)
        if programs and decides(programs):
            source = write_method(programs[0], self.target.form_for(self._brief))
            return [Draft(STEWARD, source=source, known=INDUCED, weight=1.0)]
        # Where plain programs that differ fit the examples, so do functions for anything.
        is_open = bool(programs) and programs[0].cost < PLAIN
        return await self._adapt(await self._find_similar(), by_example=not is_open)

    def _induce(self) -> list[Program]:
        """Return the programs that reproduce the examples, the likeliest first."""
        brief, examples = self._brief, self.target.examples
        if not examples or brief.kwargs or any(one.get("kwargs") for one in examples):
            return []
        shown = [(one["args"], one["result"]) for one in examples]
        tags, hints = name_operations(brief.text), literals(brief.text)
        return induce(shown, brief.args, parameters(brief), tags, hints)

    async def write(self, known: Sequence[Draft]) -> MethodDrafted:
        """Return ``known`` and what the model writes; the same for the same record and model.

        Raises:
            ModelError: The model cannot be had.
        """
        mission, replaced = self._record.mission, self.target.replaced
        drafts = list(known)
        again = f" {replaced.number}" if replaced.number else ""
        seed = int(digest(f"{goal(self._brief)}{mission.rounds}{again}")[:8], 16)
        calls = tokens = 0
        for batch in self._batches(await self._find_similar(), seed):
            completions = await self._draw(batch)
            drafts += self._as_drafts(batch, completions)
            calls, tokens = calls + 1, tokens + sum(text.tokens for text in completions)
        packet: Mapping[str, Any] = {}
        if self._brief.mode and not mission.rounds:
            passages = mission.last(PassagesFound).passages
            cascaded, final = await run_cascade(self._context, self._brief, passages)
            drafts, packet = [*drafts, final], asdict(cascaded)
            calls += 3 + bool(passages)
            tokens += sum(stage.tokens for stage in cascaded.stages)
        return MethodDrafted(_with_prompts_once(drafts), packet, model_calls=calls, tokens=tokens)

    def _batches(self, similar: Sequence[Similar], seed: int) -> list[Batch]:
        """Return what is drawn: asked plainly at first, then after being shown functions."""
        persona, limits = self.target.persona, self._context.profile.limits
        system = self._context.cast.personas[persona].system_prompt
        entry = self._context.cast.entries["synthesizing"]
        said = " ".join(filter(None, (system, self._plan.system, entry["advice"])))
        system, form = said + self._without() + self._reach() + self.target.here, entry["form"]
        ask = partial(ask_method, self._brief, system, order=entry["order"], form=form)
        ability = self._context.ability_of(persona)
        count = self._plan.candidates or ability.draws(entry["candidates"])
        own, forced = self._context.cast.assigned[persona].sampling, not ability.is_formed
        likely = replace(own, temperature=0.0, seed=seed, stop=STOP)
        if not forced:
            likely = replace(likely, stop=FENCE_STOP, max_tokens=max(own.max_tokens, FREE_TOKENS))
        varied = replace(likely, temperature=self._plan.temperature or own.temperature)
        plain = ask(None, forced=forced)
        if ability.repairs and (refused := self._refused()):
            again = [ask_again(plain, self._brief, *one, form) for one in refused]
            return [Batch([again[n % len(again)] for n in range(count)], varied)]
        if _was_written(self._record.mission):
            shots = [(known.wish, known.source) for known in similar if known.pure]
            shown = ask(shots[: limits.shots], forced=forced)
            return [Batch([shown] * count, varied, adapted=False)]
        batches = [Batch([plain], likely), Batch([plain] * (count - 1), varied)]
        return [batch for batch in batches if batch.prompts]

    def _refused(self) -> list[tuple[str, str]]:
        """Return (source, what is wrong with it) of what the model wrote in the last round.

        Nothing where candidates only disagree: then none of them is known to be wrong.
        """
        rejected = self._record.mission.last(MethodRejected)
        examples = self.target.examples
        written = [v for v in rejected.verdicts if not v["known"]] if rejected else []
        wrong = [v for v in written if v["problem"] or v["passed"] < len(examples)]
        if len(wrong) < len(written):
            return []
        wanted = "; ".join(
            f"{self._brief.selector}{tuple(one['args'])} is {preview(one['result'])}"
            for one in examples[:3]
        )
        said = {v["source"]: v["problem"] or f"it does not give that {wanted}" for v in wrong}
        return [*said.items()]

    def _without(self) -> str:
        """Return what the cell's Python lacks, for the writer; "" if it lacks nothing.

        What candidates of an earlier round failed on comes first.
        """
        rejected = self._record.mission.last(MethodRejected)
        missed = [v["lacks"] for v in rejected.verdicts if v.get("lacks")] if rejected else []
        most = self._context.profile.limits.lacks
        lacks = dict.fromkeys([*missed, *self._context.cell.stats().get("lacks", ())])
        return f" Do without {'; '.join(list(lacks)[:most])}." if lacks else ""

    def _reach(self) -> str:
        """Return what the receiver can send to, for the writer; "" if it refers to no object."""
        calls = self.target.reach
        return f" The method may call {'; '.join(calls)}." if calls else ""

    async def _draw(self, batch: Batch) -> Sequence[Completion]:
        persona, begin = self.target.persona, batch.prompts[0].prefill.removeprefix(_FENCE)
        with self._text_feed.writing(self._record.id, persona, begin) as hear:
            return await self._context.roster.generate(
                persona, batch.prompts, batch.sampling, writing=batch.adapted, on_text=hear
            )

    def _as_drafts(self, batch: Batch, completions: Sequence[Completion]) -> list[Draft]:
        name = f"{self._record.mission.rounds} {batch.sampling.temperature}"
        return [
            draft_of(self._context, self.target.persona, prompt, completion, batch, name)
            for prompt, completion in zip(batch.prompts, completions, strict=True)
        ]

    async def _find_similar(self) -> list[Similar]:
        """Return the functions among the passages found, the nearest wish first."""
        passages = self._record.mission.last(PassagesFound).passages
        known = [passage for passage in passages if passage["kind"] in ("method", "seed")]
        wishes = [passage["text"].partition("\n")[0] for passage in known]
        vectors = await self._context.catalog.embed([goal(self._brief), *wishes])
        likeness = [float(vectors[0] @ vector) for vector in vectors[1:]]
        similar = await read_functions(self._context, known, likeness)
        if self.target.replaced.number:  # it would come back as its own successor
            similar = [known for known in similar if known.selector != self._brief.selector]
        return similar

    async def _adapt(self, similar: Sequence[Similar], *, by_example: bool) -> list[Draft]:
        """Return known functions as drafts: the likeliest by their words, and others by example."""
        form = self.target.form_for(self._brief)
        drafts: list[Draft] = []
        written = [Written(known.wish, known.line) for known in similar]
        chances = await weigh(self._context, self._brief, written)
        brief, said = self._brief, dict[str, float]()
        if brief.text == wish_in_name(brief.selector):  # nothing else says what is wanted
            said = await read_as_said(self._context, brief)
        chances = [
            said.get(known.selector, chance) if known.doc_id.startswith(_LIBRARY) else chance
            for chance, known in zip(chances, similar, strict=True)
        ]
        ranked = sorted(zip(chances, similar, strict=True), key=lambda pair: -pair[0])
        for chance, known in ranked:
            weight = weight_of(chance)
            source = adapt(known.source, known.selector, form) if weight is not None else ""
            if source and len(drafts) < ADAPTED:
                drafts.append(known.as_draft(source, weight or 0.0))
        if not by_example:
            return drafts
        return drafts + await self._find_by_example({draft.known for draft in drafts})

    async def _find_by_example(self, known: Collection[str]) -> list[Draft]:
        """Return up to ENOUGH functions that do what the examples show, the nearest first."""
        context, brief, examples = self._context, self._brief, self.target.examples
        if not tells_enough(examples):
            return []
        form = self.target.form_for(brief)
        hits = [
            hit
            for kind in ("method", "seed")
            for hit in await context.catalog.search((form.wish,), top_k=POOL, kind=kind)
            if hit.doc_id not in known
        ]
        found = [{"doc_id": hit.doc_id, "text": hit.text} for hit in hits]
        # How like the whole passages are is known: embedding a hundred wishes takes half a second.
        likeness = [hit.similarity for hit in hits]
        drafts: list[Draft] = []
        left = TRIALS
        for function in await read_functions(context, found, likeness):
            # In a thread: known messages are answered at the same time.
            ways = await asyncio.to_thread(
                rebind_arguments, function.source, function.selector, form, literals(form.wish)
            )
            for source in ways[:left]:
                if await reproduces(context, brief, source, examples):
                    drafts.append(function.as_draft(source))
                    break
            left -= len(ways)
            if len(drafts) == ENOUGH or left <= 0:
                break
        return drafts


async def read_functions(
    context: KernelContext, known: Sequence[Mapping[str, Any]], likeness: Sequence[float]
) -> list[Similar]:
    """Return the functions in passages of the kinds ``method`` and ``seed``, the likest first."""
    metas = await context.image.transact(
        lambda root: [
            root["knowledge_catalog"].meta(p["doc_id"]) | {"sound": is_sound(root, p["doc_id"])}
            for p in known
        ],
        note="read similar methods",
    )
    similar = []
    for passage, meta, like in zip(known, metas, likeness, strict=True):
        if len(meta["source"]) <= context.profile.limits.shot_chars:
            wish, _, line = passage["text"].partition("\n")
            pure, source = bool(meta.get("pure")) and meta["sound"], meta["source"].rstrip()
            similar.append(
                Similar(
                    passage["doc_id"], wish, line, meta["selector"], source, pure, round(like, 4)
                )
            )
    nearest: dict[str, Similar] = {}
    for function in sorted(similar, key=lambda function: -function.likeness):
        nearest.setdefault(function.doc_id, function)  # several wishes of a seed may be found
    return [*nearest.values()]


async def run_cascade(
    context: KernelContext, brief: Brief, passages: Sequence[Mapping[str, Any]]
) -> tuple[CognitiveStatePacket, Draft]:
    """Return the packet of all stages and the final draft."""
    people, limits = context.cast.personas, context.profile.limits
    seed = int(digest(goal(brief))[:8], 16)

    def sampling_of(persona: str) -> Sampling:
        """Return how a persona writes a method: the most likely one, since one is wanted."""
        own = context.cast.assigned[persona].sampling
        return replace(own, temperature=0.0, seed=seed, stop=STOP, seconds=STAGE_SECONDS)

    async def write(persona: str, prompt: Prompt) -> Completion:
        sampling = sampling_of(persona)
        return (await context.roster.generate(persona, [prompt], sampling, writing=True))[0]

    async def ask(
        persona: str,
        prompt: Prompt,
        most: int,
        schema: Mapping[str, Any],
        read: Callable[[str], Stage],
    ) -> Stage:
        sampling = replace(sampling_of(persona), max_tokens=most, stop="", schema=schema)
        answer = (await context.roster.generate(persona, [prompt], sampling))[0]
        try:
            return replace(read(answer.text), tokens=answer.tokens)
        except ModelOutputError as error:
            text = f"the answer could not be read: {error}"
            return Stage(persona, skipped=text, tokens=answer.tokens)

    first = await write("BRICK", ask_method(brief, people["BRICK"].system_prompt, None))
    packet = CognitiveStatePacket(goal(brief)).after(
        Stage("BRICK", tokens=first.tokens), read_method(brief, first.text)
    )
    remark = await ask(
        "ROBIN",
        talk.ask_whether_it_serves(brief, people["ROBIN"], packet),
        limits.remark_tokens,
        talk.serves_schema(limits),
        lambda text: talk.read_whether_it_serves(text, limits),
    )
    packet = packet.after(remark)
    facts = Stage("BABS", skipped="no passage was found")
    if passages:
        facts = await ask(
            "BABS",
            talk.ask_facts(brief, people["BABS"], packet, passages, limits),
            limits.fact_tokens,
            talk.facts_schema(len(passages), limits),
            lambda text: talk.read_facts(text, passages, limits),
        )
    packet = packet.after(facts)
    prompt = talk.ask_final(brief, people["ALFRED"], packet)
    last = await write("ALFRED", prompt)
    packet = packet.after(Stage("ALFRED", tokens=last.tokens), read_method(brief, last.text))
    batch = Batch([prompt], sampling_of("ALFRED"))
    return packet, draft_of(context, "ALFRED", prompt, last, batch, "cascade")


def draft_of(
    context: KernelContext,
    persona: str,
    prompt: Prompt,
    completion: Completion,
    drawn: Batch,
    name: str,
) -> Draft:
    """Return what a persona wrote as a draft, with all that it takes to draw it again."""
    roster, sampling = context.roster, drawn.sampling
    return Draft(
        persona,
        completion.text,
        finished=completion.finished,
        temperature=sampling.temperature,
        seed=sampling.seed,
        prompt=digest(repr(prompt)),
        model=roster.model_of(persona),
        digest=roster.digest_of(persona),
        server=completion.server,
        adapter=roster.adapter_of(persona, writing=drawn.adapted),
        batch=name,
        sampling={name: getattr(sampling, name) for name in _SAMPLING},
        asked={"messages": prompt.messages, "prefill": prompt.prefill},
    )


def _was_written(mission: Mission) -> bool:
    """Return True if a model has written candidates in an earlier round."""
    drafted = (event for event in mission.events if isinstance(event, MethodDrafted))
    return any(not draft.known for event in drafted for draft in event.drafts)


def _with_prompts_once(drafts: Sequence[Draft]) -> tuple[Draft, ...]:
    """Return the drafts, each prompt with the first that has it: it is long, and many share it."""
    asked: set[str] = set()
    kept: list[Draft] = []
    for draft in drafts:
        kept.append(replace(draft, asked=None) if draft.prompt in asked else draft)
        asked.add(draft.prompt)
    return tuple(kept)
