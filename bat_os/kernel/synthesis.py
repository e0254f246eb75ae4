"""Write a batch of candidates for a method: the SYNTHESIZING step of one mission.

greedy x 1 + sampled x n, all prefilled with the signature; half of them after being
shown similar methods that the image knows already
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal
from bat_os.core.events import MethodDrafted, PassagesFound
from bat_os.core.prompts import STOP, ask_method
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
LACKS: Final = 6  # a small model loses the thread of longer lists
STEWARD: Final = "ALFRED"


class Synthesis:
    """The SYNTHESIZING step of one mission."""

    def __init__(self, mind: Mind, record: Record) -> None:
        self._mind = mind
        self._record = record

    async def write(self) -> MethodDrafted:
        """Return the candidates; the same record gives the same ones with the same model.

        Raises:
            ModelError: The model cannot be had.
        """
        mission, count = self._record.mission, self._mind.options.candidates
        persona = self._mind.personas[await writer_of(self._mind, mission.brief)]
        system = persona.system_prompt + self._without()
        plain = ask_method(mission.brief, system, None)
        shown = ask_method(mission.brief, system, await self._shots())
        greedy = [plain] if mission.rounds == 0 else []
        half = count // 2
        sampled = [plain] * (count - half - len(greedy)) + [shown] * half
        seed = int(digest(f"{goal(mission.brief)}{mission.rounds}")[:8], 16)
        drafts: list[dict[str, Any]] = []
        calls = tokens = 0
        for prompts, temperature in ((greedy, 0.0), (sampled, persona.temperature)):
            if prompts:
                written, drawn = await self._draw(prompts, (temperature, seed))
                drafts += [draft | {"persona": persona.name} for draft in written]
                calls, tokens = calls + 1, tokens + drawn
        return MethodDrafted(tuple(drafts), model_calls=calls, tokens=tokens)

    def _without(self) -> str:
        """Return what the cell's Python lacks, for the writer; "" where it lacks nothing."""
        lacks = self._mind.cell.stats().get("lacks", ())
        return f" Do without {'; '.join(lacks[:LACKS])}." if lacks else ""

    async def _draw(
        self, prompts: Sequence[Prompt], how: tuple[float, int]
    ) -> tuple[list[dict[str, Any]], int]:
        temperature, seed = how
        sampling = Sampling(temperature, max_tokens=METHOD_TOKENS, seed=seed, stop=STOP)
        engine = self._mind.engine
        written = await engine.generate(prompts, sampling)
        drafts = [
            {
                "text": one.text,
                "finished": one.finished,
                "temperature": temperature,
                "seed": seed,
                "prompt": digest(repr(prompt)),
                "model": engine.stats().get("name", ""),
                "digest": engine.digest,
            }
            for prompt, one in zip(prompts, written, strict=True)
        ]
        return drafts, sum(one.tokens for one in written)

    async def _shots(self) -> list[tuple[str, str]]:
        """Return (wish, source) of similar methods; short ones that need no slots of self."""
        found = self._record.mission.last(PassagesFound).passages
        similar = [passage for passage in found if passage["kind"] == "method"]
        metas = await self._mind.image.transact(
            lambda root: [root["knowledge_catalog"].meta(p["doc_id"]) for p in similar],
            note="read similar methods",
        )
        return [
            (passage["text"].split("\n")[0], meta["source"])
            for passage, meta in zip(similar, metas, strict=True)
            if len(meta.get("source", "")) in range(1, MAX_SHOT) and "self." not in meta["source"]
        ]


async def writer_of(mind: Mind, brief: Brief) -> str:
    """Return the name of the persona that the target delegates to."""

    def work(root: MutableMapping[str, Any]) -> str:
        found = find(root, brief.target).lookup("persona")
        return str(found[1]) if found else ""

    who = await mind.image.transact(work, note="see who writes")
    return who if who in mind.personas else STEWARD
