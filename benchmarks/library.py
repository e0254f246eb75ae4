"""How often the seed library answers a wish with one example, and how often it is right. No model.

    python benchmarks/library.py [--limit N]         minutes; prints one table

Each function of the library that needs nothing but its arguments is wished for with its first
example, twice: by another phrase for it, which the library then does not have, and in its own
words while the library does without it. So the first row counts what is found, and the second
what fits an example by chance. A function is right if it answers all examples of the wanted one,
and up to four other lists of arguments, as the wanted one does.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.app.library import read_seeds  # noqa: E402 - runs from a checkout
from bat_os.core.brief import Brief  # noqa: E402 - as above
from bat_os.core.choosing import same  # noqa: E402 - as above
from bat_os.core.mission import MethodVerified, Mission, PassagesFound  # noqa: E402 - as above
from bat_os.errors import BatError, ModelError  # noqa: E402 - as above
from bat_os.image import missions  # noqa: E402 - as above
from bat_os.kernel.learning.candidates import Synthesis  # noqa: E402 - as above
from bat_os.kernel.learning.cycle import CognitiveCycle  # noqa: E402 - as above
from bat_os.kernel.learning.target import read_target  # noqa: E402 - as above
from bat_os.kernel.learning.trial import reproduces, try_turn  # noqa: E402 - as above
from bat_os.kernel.missions.feed import TextFeed  # noqa: E402 - as above
from bat_os.kernel.turn import Candidate  # noqa: E402 - as above
from bat_os.method.plausibility import perturb  # noqa: E402 - as above
from benchmarks.learning import Bench, mind_in  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.method.seeds import Seed

MORE = 6  # passages to ask for beyond those that are left out


@dataclass
class Row:
    """What came of one way to ask."""

    name: str
    wishes: int = 0
    fits: int = 0
    decided: int = 0
    right: int = 0


class Silent:
    """A roster in which no model answers."""

    def __init__(self, roster: Any) -> None:
        self._roster = roster

    def __getattr__(self, name: str) -> Any:
        return getattr(self._roster, name)

    async def generate(self, *_args: Any, **_options: Any) -> Any:
        """Raise ModelError."""
        raise ModelError("no model is asked here")


class Partial:
    """A catalog of seeds alone in which one, or one of its phrases, is missing."""

    def __init__(self, catalog: Any) -> None:
        self._catalog = catalog
        self.seed: Seed | None = None
        self.phrase = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    async def search(self, queries: Sequence[str], *, top_k: int = 5, **limits: Any) -> list[Any]:
        """Return what the catalog finds without it."""
        found = await self._catalog.search(queries, top_k=min(100, top_k + MORE), **limits)
        seed, kept = self.seed, []
        for hit in found:
            if hit.kind == "method":  # an earlier wish has taught it
                continue
            if seed is None or hit.kind != "seed" or hit.title != seed.selector:
                kept.append(hit)
            elif self.phrase:
                text = f"{seed.wish}\n{seed.source.splitlines()[0]}"
                vectors = await self._catalog.embed([queries[0], text])
                kept.append(replace(hit, text=text, similarity=float(vectors[0] @ vectors[1])))
        return sorted(kept, key=lambda hit: -hit.similarity)[:top_k]


class Study:
    """Wishes for seeds, each for a new object."""

    def __init__(self, mind: KernelContext) -> None:
        self._catalog = Partial(mind.catalog)
        self._mind = replace(mind, catalog=self._catalog, roster=Silent(mind.roster))
        self._bench = Bench(self._mind)

    async def ask(self, seed: Seed, row: Row, *, hidden: bool) -> None:
        """Wish for ``seed`` while it, or else its phrase, is hidden."""
        tests = await self._tests(seed)
        if len(tests) < 2 or (not hidden and not seed.also):
            return
        wish = seed.wish if hidden else seed.also[0]
        self._catalog.seed, self._catalog.phrase = seed, "" if hidden else wish
        name = await self._bench.make_object({})
        selector = seed.selector if hidden else f"do_{seed.selector[:3]}"
        args = tuple(tests[1]["args"])
        brief = Brief(name, selector, args, text=wish.rstrip("."), examples=(tests[0],), fresh=True)
        record = await self._run(brief)
        row.wishes += 1
        chosen = record.mission.last(MethodVerified)
        if chosen is None:
            row.fits += await self._fits(record)
            return
        row.fits += 1
        row.decided += 1
        source = chosen.verdicts[chosen.chosen]["source"]
        row.right += await self._answers(brief, source, tests)

    async def _tests(self, seed: Seed) -> list[dict[str, Any]]:
        """Return examples of a seed, then other arguments with its own answers."""
        plain = [one for one in seed.examples
                 if one.args and len(one.answers) == 1 and one.one_of is None
                 and not (one.kwargs or one.slots or one.after or one.moment)]  # fmt: skip
        tests = [{"args": list(one.args), "kwargs": {}, "result": one.value} for one in plain]
        if not tests or not seed.pure:
            return []
        name = await self._bench.make_object({})
        for args in perturb(tuple(tests[0]["args"])):
            call = Brief(name, seed.selector, args)
            trial = Candidate(seed.selector, f"{seed.source}\n", 1)
            try:
                answer = await try_turn(self._mind.image, self._mind.cell, call, trial)
            except BatError:
                continue
            tests.append({"args": list(args), "kwargs": {}, "result": answer.value})
        return tests

    async def _answers(self, brief: Brief, source: str, tests: Sequence[Any]) -> bool:
        for test in tests:
            call = replace(brief, args=tuple(test["args"]), examples=())
            trial = Candidate(brief.selector, source, 1)
            try:
                answer = await try_turn(self._mind.image, self._mind.cell, call, trial)
            except BatError:
                return False
            if not same(answer.value, test["result"]):
                return False
        return True

    async def _run(self, brief: Brief) -> Record:
        mission_id = f"study{self._bench.tries:06d}"
        about = {"session": "study", "accepted": time.time()}
        await self._mind.image.transact(
            lambda root: missions.open_brief(
                root, brief, mission_id=mission_id, key=mission_id, about=about
            ),
            note="accept",
        )
        cycle = CognitiveCycle(self._mind, lambda *_: None)
        await cycle.run(mission_id)
        return await cycle.read(mission_id)

    async def _fits(self, record: Record) -> bool:
        """Say whether a known function reproduces the example of a mission that found no way."""
        mission = Mission(record.mission.brief)
        for event in record.mission.events:
            mission = mission.advance(event)
            if isinstance(event, PassagesFound):
                break
        brief = mission.brief
        target = await read_target(self._mind, brief)
        before = replace(record, mission=mission)
        drafts = await Synthesis(self._mind, before, target, TextFeed()).recall()
        tried = [await reproduces(self._mind, brief, d.source, brief.examples) for d in drafts]
        return any(tried)


async def run(limit: int) -> list[Row]:
    """Return both rows, over the first ``limit`` seeds in a fixed random order; 0 for all."""
    rows = Row("the function is there, asked for in other words"), Row("the library lacks it")
    seeds = list(read_seeds())
    random.Random(5).shuffle(seeds)  # noqa: S311 - an order that is always the same
    with tempfile.TemporaryDirectory(prefix="batos-library-") as folder:
        async with mind_in(Path(folder), 8) as mind:
            study = Study(mind)
            for seed in seeds[: limit or None]:
                await study.ask(seed, rows[0], hidden=False)
                await study.ask(seed, rows[1], hidden=True)
    return [*rows]


def main() -> int:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--limit", type=int, default=0, help="the first N seeds only")
    rows = asyncio.run(run(parser.parse_args().limit))
    print(f"{'':<50}{'wishes':>8}{'some fit':>10}{'decided':>9}{'right':>7}")
    for row in rows:
        print(f"{row.name:<50}{row.wishes:>8}{row.fits:>10}{row.decided:>9}{row.right:>7}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
