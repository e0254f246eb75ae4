"""Write a batch of candidates for a method: the SYNTHESIZING step of one mission.

known methods that fit     as they are, under the new name (similar.py)
greedy x 1, sampled x n    prefilled with the signature; half of them after being shown
                           similar functions, learned ones and those of the seed library
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal
from bat_os.core.mission import MethodDrafted, MethodRejected, PassagesFound, QueriesPlanned
from bat_os.core.prompts import STOP, Plan, ask_method
from bat_os.image.objects import digest
from bat_os.kernel.learning.byexample import find_by_example
from bat_os.kernel.learning.replacement import replaced_by
from bat_os.kernel.learning.similar import STEWARD, adapt_to, find_similar
from bat_os.kernel.snapshot import find

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.similar import Similar
    from bat_os.kernel.missions.feed import TextFeed
    from bat_os.ports import Prompt, Sampling

_SAMPLING: Final = ("temperature", "top_p", "top_k", "max_tokens", "seed", "stop")
_FENCE: Final = "```python\n"  # for the model, not for who looks on


class Synthesis:
    """The SYNTHESIZING step of one mission."""

    def __init__(self, mind: KernelContext, record: Record, text_feed: TextFeed) -> None:
        self._mind = mind
        self._record = record
        self._text_feed = text_feed
        self._brief = record.mission.brief
        planned = record.mission.last(QueriesPlanned)
        self._plan = Plan(**planned.plan) if planned.plan else Plan(planned.queries)
        self._persona = ""
        self._asked: set[str] = set()

    async def write(self) -> MethodDrafted:
        """Return the candidates; the same record gives the same ones with the same model.

        Raises:
            ModelError: The model cannot be had.
        """
        mission, limits = self._record.mission, self._mind.profile.limits
        self._persona = await writer_of(self._mind, self._brief)
        system = self._mind.personas[self._persona].system_prompt
        system = f"{system} {self._plan.system}".rstrip() + self._without()
        replaced = await replaced_by(self._mind, self._brief)
        similar = await find_similar(self._mind, self._record)
        if replaced.number:  # it would come back as its own successor
            similar = [one for one in similar if one.selector != self._brief.selector]
        shots = [(one.wish, one.source) for one in similar if one.pure][: limits.shots]
        plain = ask_method(self._brief, system, None)
        shown = ask_method(self._brief, system, shots)
        count = self._plan.candidates or self._mind.options.candidates
        greedy = [plain] if mission.rounds == 0 else []
        sampled = [plain] * (count - count // 2 - len(greedy)) + [shown] * (count // 2)
        again = f" {replaced.number}" if replaced.number else ""
        seed = int(digest(f"{goal(self._brief)}{mission.rounds}{again}")[:8], 16)
        drafts = [] if mission.rounds else await self._adapt(similar)
        calls = tokens = 0
        own = self._mind.profile.personas[self._persona].sampling
        likely = replace(own, temperature=0.0, seed=seed, stop=STOP)
        varied = replace(likely, temperature=self._plan.temperature or own.temperature)
        for prompts, sampling in ((greedy, likely), (sampled, varied)):
            if prompts:
                written, drawn = await self._draw(prompts, sampling)
                drafts += written
                calls, tokens = calls + 1, tokens + drawn
        packet: Mapping[str, Any] = {}
        if self._brief.mode and self._mind.cascade is not None and not mission.rounds:
            passages = mission.last(PassagesFound).passages
            final = await self._mind.cascade(self._mind, self._brief, passages)
            drafts, packet = [*drafts, final.draft], final.packet
            calls, tokens = calls + final.model_calls, tokens + final.tokens
        return MethodDrafted(tuple(drafts), packet, model_calls=calls, tokens=tokens)

    async def _adapt(self, similar: Sequence[Similar]) -> list[dict[str, Any]]:
        """Return known functions as drafts: the nearest by their words, and others by example."""
        drafts = await adapt_to(self._mind, self._brief, similar)
        known = {draft["from"] for draft in drafts}
        return drafts + await find_by_example(self._mind, self._brief, known)

    def _without(self) -> str:
        """Return what the cell's Python lacks, for the writer; "" where it lacks nothing.

        What candidates of an earlier round failed on comes first.
        """
        rejected = self._record.mission.last(MethodRejected)
        missed = [v["lacks"] for v in rejected.verdicts if v.get("lacks")] if rejected else []
        most = self._mind.profile.limits.lacks
        lacks = dict.fromkeys([*missed, *self._mind.cell.stats().get("lacks", ())])
        return f" Do without {'; '.join(list(lacks)[:most])}." if lacks else ""

    async def _draw(
        self, prompts: Sequence[Prompt], sampling: Sampling
    ) -> tuple[list[dict[str, Any]], int]:
        roster, persona = self._mind.roster, self._persona
        begin = prompts[0].prefill.removeprefix(_FENCE)
        with self._text_feed.writing(self._record.id, persona, begin) as hear:
            written = await roster.generate(persona, prompts, sampling, writing=True, on_text=hear)
        drafts: list[dict[str, Any]] = [
            {
                "text": one.text,
                "finished": one.finished,
                "temperature": sampling.temperature,
                "seed": sampling.seed,
                "batch": f"{self._record.mission.rounds} {sampling.temperature}",
                "sampling": {name: getattr(sampling, name) for name in _SAMPLING},
                "prompt": digest(repr(prompt)),
                "persona": persona,
                "model": roster.model_of(persona),
                "digest": roster.digest_of(persona),
                "adapter": roster.adapter_of(persona, writing=True),
            }
            for prompt, one in zip(prompts, written, strict=True)
        ]
        for draft, prompt in zip(drafts, prompts, strict=True):
            if draft["prompt"] not in self._asked:  # once: it is long, and many share it
                self._asked.add(draft["prompt"])
                draft["asked"] = {"messages": prompt.messages, "prefill": prompt.prefill}
        return drafts, sum(one.tokens for one in written)


async def writer_of(mind: KernelContext, brief: Brief) -> str:
    """Return the name of the persona that the target delegates to."""

    def work(root: MutableMapping[str, Any]) -> Any:
        found = find(root, brief.target).lookup("persona")
        return found[1] if found else STEWARD

    name = await mind.image.transact(work, note="look up the persona")
    return name if type(name) is str and name in mind.personas else STEWARD
