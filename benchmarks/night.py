"""What a night of idle work gives: the public briefs once, then practice and doubt. Real model.

    python benchmarks/night.py [--briefs FILE] [--examples] [--minutes N] [--limit N]
                               [--unseen N] [--everyday N]

Each brief is tried once, without an example, or with one. Then the mind is left alone for a
simulated night: nobody comes, nothing is busy, and N minutes of processor time may be spent. The
setting ``idle`` is "install", the freest one. A proposal counts as right if one of its choices
installs a method that passes all tests of its brief, and as wrong otherwise.

In the morning a person who knows the answers takes what is right and dismisses the rest. Before
the night and after the morning, on copies of the image, three things are asked: the briefs that
failed, again, of new objects; N tasks of the exam, which this mind has not seen; and N everyday
requests, through the client (0 for none).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.core.protocol import Request  # noqa: E402 - runs from a checkout
from bat_os.core.verbs import check  # noqa: E402 - as above
from bat_os.errors import BatError  # noqa: E402 - as above
from bat_os.image import proposals  # noqa: E402 - as above
from bat_os.image.history import entries  # noqa: E402 - as above
from bat_os.kernel.exam.sitting import read_paper  # noqa: E402 - as above
from bat_os.kernel.idle.heartbeat import Heartbeat, Surroundings  # noqa: E402 - as above
from bat_os.kernel.verbs.idle import VERBS, install  # noqa: E402 - as above
from benchmarks import everyday  # noqa: E402 - as above
from benchmarks.learning import BRIEFS, Bench, Case, Kind, Metered, Row, load, mind_in  # noqa: E402
from benchmarks.mission import start, stop, until  # noqa: E402 - as above
from benchmarks.processor import processor_seconds  # noqa: E402 - as above

if TYPE_CHECKING:
    from bat_os.kernel.context import KernelContext

FIRST = 1000  # of the objects that a copy is measured with; those of the day are numbered from 1


@dataclass
class Night:
    """What came of it."""

    failed: list[str] = field(default_factory=list)  # selectors of briefs that failed in the day
    wrong: list[str] = field(default_factory=list)  # installed in the day, and wrong
    right: list[str] = field(default_factory=list)  # installed in the day, and right
    found: list[str] = field(default_factory=list)  # failed, and proposed in the night
    found_right: list[str] = field(default_factory=list)  # one of the choices is right
    first_right: list[str] = field(default_factory=list)  # the first one is
    doubted: list[str] = field(default_factory=list)
    installed: list[str] = field(default_factory=list)  # in the night, by the mind itself
    installed_wrong: list[str] = field(default_factory=list)
    untaken: list[str] = field(default_factory=list)  # right, and could not be taken
    seconds: float = 0.0  # of processor time


@dataclass
class Ability:
    """What a mind can do: how many were right, and how many were wrong without a warning."""

    failed: Row = field(default_factory=lambda: Row("briefs that failed"))
    unseen: Row = field(default_factory=lambda: Row("tasks never seen"))
    everyday: Counter[str] = field(default_factory=Counter)


async def learned_in(mind: KernelContext) -> dict[str, str]:
    """Return the sources of the methods that were learned, by selector."""

    def look(root: Any) -> dict[str, str]:
        return {
            method.selector: method.versions[method.current].source
            for _, method in entries.learned(root)
        }

    return await mind.image.transact(look, note="look")


async def spend_day(mind: KernelContext, cases: list[Case], night: Night, examples: bool) -> None:
    """Try each brief once."""
    roster: Any = Metered(mind.roster)
    bench, row = Bench(replace(mind, roster=roster)), Row("day")
    for case in cases:
        await bench.run_mission(case, row, Kind("day", with_example=examples), {})
        note = row.notes[-1]
        print(note, file=sys.stderr)
        kinds = {"right": night.right, "WRONG": night.wrong}
        verdict = note.split(":")[0].split()
        kinds.get(verdict[-1] if len(verdict) == 2 else "", night.failed).append(case.selector)


async def sleep(mind: KernelContext, cases: list[Case], minutes: float, night: Night) -> None:
    """Leave the mind alone for a night, and note what it has found."""
    by_selector = {case.selector: case for case in cases}
    before = await learned_in(mind)
    bench = Bench(mind, FIRST)
    heart = Heartbeat(replace(mind, options=replace(mind.options, idle="install")), install)
    heart.around = Surroundings(
        is_quiet=lambda seconds: True, spent=processor_seconds, busy=lambda: "",
        budget=minutes * 60, now=time.time,
    )  # fmt: skip
    begun = processor_seconds()
    while await heart.beat():
        print(f"{processor_seconds() - begun:.0f} cpu s", file=sys.stderr)
    night.seconds = processor_seconds() - begun
    after = await learned_in(mind)
    night.installed = sorted(set(after) - set(before))
    for selector in night.installed:
        if not await bench.is_right(by_selector[selector], after[selector]):
            night.installed_wrong.append(selector)
    for one in await mind.image.transact(proposals.standing, note="look"):
        await decide(bench, one, by_selector, night)


async def decide(bench: Bench, one: dict[str, Any], cases: dict[str, Case], night: Night) -> None:
    """Count a proposal, and take its first right choice; dismiss it where it has none."""
    selector, kind = one["rests_on"][0]["selector"], one["kind"]
    print(f"{kind}: {one['what']} ({one['why']})", file=sys.stderr)
    rights = []
    for choice in one["choices"]:
        deed = choice["deed"]
        is_new = deed["do"] == "install" and selector in cases
        rights.append(
            await bench.is_right(cases[selector], deed["source"]) if is_new
            else deed.get("verb") == "verify-method" and selector in night.right
        )  # fmt: skip
    if kind == "doubt":
        night.doubted.append(selector)
    elif kind == "practice":
        night.found.append(selector)
        night.found_right += [selector] if any(rights) else []
        night.first_right += [selector] if rights[0] else []
    body = {"n": one["n"], "choice": rights.index(True) + 1} if any(rights) else {"n": one["n"]}
    verb = "accept" if any(rights) else "dismiss"
    request = check(Request(verb, body=body))
    try:
        await VERBS[verb](bench.mind, request, lambda _: None)
    except BatError as error:
        print(f"{verb} has failed: {error}", file=sys.stderr)
        night.untaken.append(selector)


def unseen(count: int) -> list[Case]:
    """Return the first tasks of the exam; nothing is trained on them."""
    return [
        Case(task.brief, task.selector,
             [{"args": one.args, "check": f"r == {one.result!r}"} for one in task.tests],
             task.state)
        for task in read_paper().tasks[:count]
    ]  # fmt: skip


async def measure(
    home: Path, folder: Path, failed: list[Case], options: argparse.Namespace
) -> Ability:
    """Return what copies of the mind in ``home`` can do."""
    able = Ability()
    for row, cases in ((able.failed, failed), (able.unseen, unseen(options.unseen))):
        copy = copy_of(home, folder)
        async with mind_in(copy, 8) as mind:
            roster: Any = Metered(mind.roster)
            bench = Bench(replace(mind, roster=roster), FIRST)
            for case in cases:
                await bench.run_mission(case, row, Kind(row.name), {})
                print(f"{row.name}: {row.notes[-1]}", file=sys.stderr)
        shutil.rmtree(copy)
    if options.everyday:
        copy = copy_of(home, folder)
        kernel = start(copy)
        try:
            await until(copy, "ready")
            cases = everyday.read_cases(everyday.CASES, [], options.everyday)
            records = await asyncio.to_thread(everyday.run, copy, cases, everyday.LIMIT)
        finally:
            await asyncio.to_thread(stop, kernel)
        able.everyday = Counter(one["verdict"] for one in records)
        shutil.rmtree(copy)
    return able


def copy_of(home: Path, folder: Path) -> Path:
    """Return a copy of a home that nobody serves."""
    copy = folder / "copy"
    shutil.copytree(home, copy, ignore=shutil.ignore_patterns("*.lock", "*.sock"))
    return copy


def show(night: Night, before: Ability, after: Ability) -> None:
    """Print the figures."""
    doubted = set(night.doubted)
    rows = {
        "installed in the day, right": night.right,
        "installed in the day, wrong": night.wrong,
        "failed in the day": night.failed,
        "failed, and proposed in the night": night.found,
        "  a choice is right": night.found_right,
        "  the first choice is right": night.first_right,
        "  could not be taken": night.untaken,
        "wrong ones doubted": [name for name in night.wrong if name in doubted],
        "right ones doubted": [name for name in night.right if name in doubted],
        "installed by the mind itself": night.installed,
        "  wrong": night.installed_wrong,
    }
    for name, found in rows.items():
        print(f"{name:<40}{len(found):>4}  {', '.join(found)}")
    print(f"{'processor time, s':<40}{night.seconds:>4.0f}")
    print(f"\n{'right / wrong / of':<40}{'before':>14}{'after':>14}")
    for name in ("failed", "unseen"):
        pair = [getattr(able, name) for able in (before, after)]
        cells = [f"{row.right} / {row.installed - row.right} / {len(row.notes)}" for row in pair]
        print(f"{pair[0].name:<40}{cells[0]:>14}{cells[1]:>14}")
    cells = [
        f"{found['right'] + found['honest']} / {found['wrong']} / {found.total()}"
        for found in (before.everyday, after.everyday)
    ]
    print(f"{'everyday requests (right or honest)':<40}{cells[0]:>14}{cells[1]:>14}")


async def run(options: argparse.Namespace) -> tuple[Night, Ability, Ability]:
    """Return what a night gives, on a new image, and what it can do before and after."""
    cases = load(options.briefs)[: options.limit or None]
    night = Night()
    with tempfile.TemporaryDirectory(prefix="batos-night-") as name:
        folder = Path(name)
        home = folder / "home"
        async with mind_in(home, 8) as mind:
            await spend_day(mind, cases, night, options.examples)
        failed = [case for case in cases if case.selector in night.failed]
        before = await measure(home, folder, failed, options)
        async with mind_in(home, 8) as mind:
            await sleep(mind, cases, options.minutes, night)
        return night, before, await measure(home, folder, failed, options)


def main() -> int:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--briefs", type=Path, default=BRIEFS)
    parser.add_argument("--examples", action="store_true", help="give each brief its example")
    parser.add_argument("--minutes", type=float, default=30.0, help="of processor time")
    parser.add_argument("--limit", type=int, default=0, help="the first N briefs only")
    parser.add_argument("--unseen", type=int, default=20, help="so many tasks of the exam")
    parser.add_argument("--everyday", type=int, default=200, help="so many everyday requests")
    options = parser.parse_args()
    for name in [one for one in os.environ if one.startswith("BATOS_")]:
        del os.environ[name]  # the shipped default
    # Whatever looks for the network finds a closed port.
    os.environ.update(dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"))
    show(*asyncio.run(run(options)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
