"""Write a batch of candidates for a method: the SYNTHESIZING step of one mission.

a known method that fits   as it is, under the new name
greedy x 1, sampled x n    prefilled with the signature; half of them after being shown
                           similar functions, learned ones and those of the seed library
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal, parameters
from bat_os.core.events import MethodDrafted, MethodRejected, PassagesFound, QueriesPlanned
from bat_os.core.plan import Plan
from bat_os.core.prompts import STOP, ask_method
from bat_os.core.source.adapt import adapt
from bat_os.image.objects import digest
from bat_os.kernel.snapshot import find
from bat_os.ports import Sampling

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.image.missions import Record
    from bat_os.kernel.mind import Mind
    from bat_os.ports import Prompt

METHOD_TOKENS: Final = 110
MAX_SHOT: Final = 600
SHOTS: Final = 3
NEAR: Final = 0.7  # cosine of the wishes from which on a known method is a candidate itself
LACKS: Final = 6  # a small model loses the thread of longer lists
STEWARD: Final = "ALFRED"


class Synthesis:
    """The SYNTHESIZING step of one mission."""

    def __init__(self, mind: Mind, record: Record) -> None:
        self._mind = mind
        self._record = record
        self._brief = record.mission.brief
        planned = record.mission.last(QueriesPlanned)
        self._plan = Plan(**planned.plan) if planned.plan else Plan(planned.queries)
        self._persona = ""

    async def write(self) -> MethodDrafted:
        """Return the candidates; the same record gives the same ones with the same model.

        Raises:
            ModelError: The model cannot be had.
        """
        mission = self._record.mission
        self._persona = await writer_of(self._mind, self._brief)
        system = self._mind.personas[self._persona].system_prompt
        system = f"{system} {self._plan.system}".rstrip() + self._without()
        similar = await self._similar()
        shots = [(one["wish"], one["source"]) for one in similar[:SHOTS]]
        plain = ask_method(self._brief, system, None)
        shown = ask_method(self._brief, system, shots)
        count = self._plan.candidates or self._mind.options.candidates
        greedy = [plain] if mission.rounds == 0 else []
        sampled = [plain] * (count - count // 2 - len(greedy)) + [shown] * (count // 2)
        seed = int(digest(f"{goal(self._brief)}{mission.rounds}")[:8], 16)
        drafts: list[dict[str, Any]] = [] if mission.rounds else self._adapted(similar)
        calls = tokens = 0
        for prompts, temperature in ((greedy, 0.0), (sampled, self._plan.temperature)):
            if prompts:
                written, drawn = await self._draw(prompts, (temperature, seed))
                drafts += written
                calls, tokens = calls + 1, tokens + drawn
        return MethodDrafted(tuple(drafts), model_calls=calls, tokens=tokens)

    def _without(self) -> str:
        """Return what the cell's Python lacks, for the writer; "" where it lacks nothing.

        What candidates of an earlier round failed on comes first.
        """
        rejected = self._record.mission.last(MethodRejected)
        missed = [v["lacks"] for v in rejected.verdicts if v.get("lacks")] if rejected else []
        lacks = dict.fromkeys([*missed, *self._mind.cell.stats().get("lacks", ())])
        return f" Do without {'; '.join(list(lacks)[:LACKS])}." if lacks else ""

    async def _draw(
        self, prompts: Sequence[Prompt], how: tuple[float, int]
    ) -> tuple[list[dict[str, Any]], int]:
        temperature, seed = how
        sampling = Sampling(temperature, max_tokens=METHOD_TOKENS, seed=seed, stop=STOP)
        roster, persona = self._mind.roster, self._persona
        written = await roster.generate(persona, prompts, sampling, writing=True)
        drafts = [
            {
                "text": one.text,
                "finished": one.finished,
                "temperature": temperature,
                "seed": seed,
                "prompt": digest(repr(prompt)),
                "persona": persona,
                "model": roster.model_of(persona),
                "digest": roster.digest_of(persona),
                "adapter": roster.adapter_of(persona, writing=True),
            }
            for prompt, one in zip(prompts, written, strict=True)
        ]
        return drafts, sum(one.tokens for one in written)

    async def _similar(self) -> list[dict[str, Any]]:
        """Return similar functions that need no object, best first: doc_id, wish, source."""
        found = self._record.mission.last(PassagesFound).passages
        similar = [passage for passage in found if passage["kind"] in ("method", "seed")]
        metas = await self._mind.image.transact(
            lambda root: [root["knowledge_catalog"].meta(p["doc_id"]) for p in similar],
            note="read similar methods",
        )
        usable = [
            {"doc_id": passage["doc_id"], "wish": passage["text"].split("\n")[0],
             "similarity": passage["similarity"], "selector": meta["selector"],
             "source": meta["source"].rstrip()}
            for passage, meta in zip(similar, metas, strict=True)
            if meta.get("pure") and len(meta["source"]) <= MAX_SHOT
        ]  # fmt: skip
        return sorted(usable, key=lambda one: -one["similarity"])

    def _adapted(self, similar: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the nearest known function as a draft, where it fits; no model wrote it."""
        brief = self._brief
        params = (*parameters(brief), *brief.kwargs)
        for one in similar:
            if one["similarity"] < NEAR:
                break
            text = adapt(one["source"], one["selector"], brief.selector, params, goal(brief))
            if text:
                draft = {"source": text, "text": "", "finished": True, "temperature": 0.0}
                told = {"seed": 0, "prompt": "", "persona": STEWARD, "model": "", "digest": ""}
                return [draft | told | {"adapter": "", "from": one["doc_id"]}]
        return []


async def writer_of(mind: Mind, brief: Brief) -> str:
    """Return the name of the persona that the target delegates to."""

    def work(root: MutableMapping[str, Any]) -> Any:
        found = find(root, brief.target).lookup("persona")
        return found[1] if found else STEWARD

    name = await mind.image.transact(work, note="look up the persona")
    return name if type(name) is str and name in mind.personas else STEWARD
