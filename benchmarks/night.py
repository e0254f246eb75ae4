"""What a night of idle work gives: the public briefs once, then practice and doubt. Real model.

    python benchmarks/night.py [--briefs FILE] [--examples] [--minutes N] [--limit N]

Each brief is tried once, without an example, or with one. Then the mind is left alone for a
simulated night: nobody comes, nothing is busy, and N minutes of processor time may be spent. A
proposal counts as right if one of its choices installs a method that passes all tests of its
brief; nobody accepts any, so what is installed by then was installed by the mind itself.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.image import proposals  # noqa: E402 - runs from a checkout
from bat_os.image.history import entries  # noqa: E402 - as above
from bat_os.kernel.idle.heartbeat import Heartbeat, Surroundings  # noqa: E402 - as above
from bat_os.kernel.verbs.idle import install  # noqa: E402 - as above
from benchmarks.learning import BRIEFS, Bench, Case, Kind, Metered, Row, load, mind_in  # noqa: E402
from benchmarks.processor import processor_seconds  # noqa: E402 - as above

if TYPE_CHECKING:
    from bat_os.kernel.context import KernelContext


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
    installed: list[str] = field(default_factory=list)  # in the night
    seconds: float = 0.0  # of processor time


async def installed_in(mind: KernelContext) -> set[str]:
    """Return the selectors of the methods that were learned."""

    def look(root: Any) -> set[str]:
        return {method.selector for _, method in entries.learned(root)}

    return await mind.image.transact(look, note="look")


async def spend(mind: KernelContext, cases: list[Case], minutes: float, examples: bool) -> Night:
    """Try each brief once, sleep a night, and return what came of it."""
    night, by_selector = Night(), {case.selector: case for case in cases}
    roster: Any = Metered(mind.roster)
    bench, row = Bench(replace(mind, roster=roster)), Row("day")
    for case in cases:
        await bench.run_mission(case, row, Kind("day", with_example=examples), {})
        note = row.notes[-1]
        print(note, file=sys.stderr)
        kinds = {"right": night.right, "WRONG": night.wrong}
        verdict = note.split(":")[0].split()
        kinds.get(verdict[-1] if len(verdict) == 2 else "", night.failed).append(case.selector)
    before = await installed_in(mind)
    heart = Heartbeat(mind, install)
    heart.around = Surroundings(
        is_quiet=lambda seconds: True, spent=processor_seconds, busy=lambda: "",
        budget=minutes * 60, now=time.time,
    )  # fmt: skip
    begun = processor_seconds()
    while await heart.beat():
        print(f"{processor_seconds() - begun:.0f} cpu s", file=sys.stderr)
    night.seconds = processor_seconds() - begun
    night.installed = sorted(await installed_in(mind) - before)
    for one in await mind.image.transact(proposals.standing, note="look"):
        selector = one["rests_on"][0]["selector"]
        print(f"{one['kind']}: {one['what']} ({one['why']})", file=sys.stderr)
        if one["kind"] == "doubt":
            night.doubted.append(selector)
        if one["kind"] != "practice" or selector not in by_selector:
            continue
        sources = [choice["deed"]["source"] for choice in one["choices"]]
        is_right = [await bench.is_right(by_selector[selector], source) for source in sources]
        night.found.append(selector)
        night.found_right += [selector] if any(is_right) else []
        night.first_right += [selector] if is_right[0] else []
    return night


def show(night: Night) -> None:
    """Print the figures."""
    doubted = set(night.doubted)
    rows = {
        "installed in the day, right": night.right,
        "installed in the day, wrong": night.wrong,
        "failed in the day": night.failed,
        "failed, and proposed in the night": night.found,
        "  a choice is right": night.found_right,
        "  the first choice is right": night.first_right,
        "wrong ones doubted": [name for name in night.wrong if name in doubted],
        "right ones doubted": [name for name in night.right if name in doubted],
        "installed by the mind itself": night.installed,
    }
    for name, found in rows.items():
        print(f"{name:<40}{len(found):>4}  {', '.join(found)}")
    print(f"{'processor time, s':<40}{night.seconds:>4.0f}")


async def run(options: argparse.Namespace) -> Night:
    """Return what a night gives, on a new image."""
    cases = load(options.briefs)[: options.limit or None]
    with tempfile.TemporaryDirectory(prefix="batos-night-") as folder:
        async with mind_in(Path(folder), 8) as mind:
            return await spend(mind, cases, options.minutes, options.examples)


def main() -> int:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--briefs", type=Path, default=BRIEFS)
    parser.add_argument("--examples", action="store_true", help="give each brief its example")
    parser.add_argument("--minutes", type=float, default=30.0, help="of processor time")
    parser.add_argument("--limit", type=int, default=0, help="the first N briefs only")
    show(asyncio.run(run(parser.parse_args())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
