"""What shown methods give the writer, and which methods are doubted. Real model.

    python -m benchmarks.practice [--only shown|doubt] [--briefs FILE] [--limit N] [--tasks N]
                                  [--folder FOLDER]

shown   8 drafts for each brief by the base without an adapter, asked plainly and with the three
        nearest methods shown, as practice draws them: how many pass all tests of their brief.
doubt   The briefs and N tasks of the exam are tried once, without an example, on one image. Each
        method that was installed as provisional is then doubted as in a night; the drafts do not
        depend on the method. Marked: of those that fail a test of their wish, and of the others.

With ``--folder`` it can be ended anywhere, and the same command goes on with it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bat_os.kernel.idle.agenda import read_agenda
from bat_os.kernel.idle.practice import BATCH, SHOTS, Practice, Way
from benchmarks.learning import BRIEFS, Bench, Case, Kind, load, mind_in
from benchmarks.night import DAY, Diary, Night, ask_all, unseen
from benchmarks.processor import processor_seconds
from benchmarks.scratch import work_in

if TYPE_CHECKING:
    from bat_os.kernel.context import KernelContext

ROWS = {"asked plainly": Way(adapted=False, shots=0), "three shown": Way(False, SHOTS)}
GOAL, PLAIN = 50, 40  # right drafts of 160, with methods shown and without (measured before)
MARKED, DISTURBED = 0.6, 0.1
NUMBERS = 500_000  # objects of this benchmark; those of the missions have lower numbers


async def count_shown(night: Night) -> None:
    """Draw for each brief in both ways."""
    async with mind_in(night.home, BATCH) as mind:
        bench = Bench(mind, NUMBERS)
        for name, way in ROWS.items():
            for case in night.cases[len(night.diary.of(name)) :]:
                begun = processor_seconds()
                practice = Practice(case.brief(await bench.make_object(case.state)), BATCH, (way,))
                await practice.draw(mind)
                right = [
                    one.votes for one in practice.best if await bench.is_right(case, one.source)
                ]
                took = round(processor_seconds() - begun, 1)
                night.diary.add(name, [case.selector, sum(right), took])


async def doubt_all(night: Night, cases: list[Case]) -> None:
    """Try all once, then doubt what is provisional."""
    await ask_all(night.home, night, DAY, cases, Kind(DAY))
    known = {case.selector: case for case in cases}
    async with mind_in(night.home, BATCH) as mind:
        bench = Bench(mind, 2 * NUMBERS)
        while work := await next_doubt(mind, {one["key"] for one in night.diary.of("doubted")}):
            while not await work.step(mind, work):
                pass
            selector = work.what.rpartition(".")[2]
            source = await source_of(mind, work.what)
            right = await bench.is_right(known[selector], source)
            told = {"key": work.key, "selector": selector, "right": right}
            night.diary.add("doubted", told | {"marked": [one.what for one in work.found]})


async def next_doubt(mind: KernelContext, done: set[str]) -> Any:
    """Return the next work on a provisional method; None once all are done."""
    agenda = await mind.image.transact(
        lambda root: read_agenda(root, time.time(), lambda key: key in done), note="look"
    )
    return next((work for work in agenda if work.kind == "doubt"), None)


async def source_of(mind: KernelContext, name: str) -> str:
    """Return the source of ``object.selector``."""
    holder, _, selector = name.rpartition(".")

    def read(root: Any) -> str:
        method = root["objects"][holder].slots[selector]
        return str(method.versions[method.current].source)

    return await mind.image.transact(read, note="read")


def show(night: Night, only: str) -> None:
    """Print the figures, each beside its goal."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in ROWS if "shown".startswith(only) else ():
        found = night.diary.of(name)
        right, of = sum(one[1] for one in found), BATCH * len(found)
        goal = f"goal {GOAL} of 160" if name != "asked plainly" else f"{PLAIN} of 160 before"
        briefs, took = sum(one[1] > 0 for one in found), sum(one[2] for one in found)
        print(f"{name:<16}{right:>4} of {of} drafts right ({goal}), for {briefs} of {len(found)} "
              f"briefs, {took:.0f} s of processor time")  # fmt: skip
    if not "doubt".startswith(only):
        return
    for right, name, goal in ((False, "wrong", MARKED), (True, "right", DISTURBED)):
        found = [one for one in night.diary.of("doubted") if one["right"] is right]
        marked = [one["selector"] for one in found if one["marked"]]
        bound = f"{'at most' if right else 'at least'} {goal:.0%}"
        names = ", ".join(marked)
        print(f"{name:<16}{len(marked):>4} of {len(found)} provisional doubted ({bound}): {names}")


async def run(options: argparse.Namespace, folder: Path) -> Night:
    """Measure what was asked for and is not there yet."""
    cases = load(options.briefs)[: options.limit or None]
    night = Night(folder, Diary(folder / "practice.jsonl"), cases, options)
    if "shown".startswith(options.only):
        await count_shown(night)
    if "doubt".startswith(options.only):
        await doubt_all(night, [*cases, *unseen(options.tasks)])
    return night


def main() -> int:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", choices=("", "shown", "doubt"))
    parser.add_argument("--briefs", type=Path, default=BRIEFS)
    parser.add_argument("--limit", type=int, default=0, help="the first N briefs only")
    parser.add_argument("--tasks", type=int, default=60, help="so many tasks of the exam")
    parser.add_argument("--folder", type=Path, help="keep all there, and go on with what is there")
    options = parser.parse_args()
    with work_in(options.folder) as folder:
        show(asyncio.run(run(options, folder)), options.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
