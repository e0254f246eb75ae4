"""All scenarios in order, one line each, then a Markdown table; exit status 1 where one fails.

python -m tests.campaign                     the short forms
python -m tests.campaign --full --seed 7     what docs/reliability.md reports
python -m tests.campaign --only flips        those whose name has that in it
"""

import argparse
import asyncio
import datetime as dt
import importlib
import platform
import sys
import tempfile
from pathlib import Path

import psutil

from tests.campaign.scenario import Settings, run_scenario

MODULES = (
    "crash", "once", "effects", "overtaken", "faults", "steps", "waits", "damage", "network",
    "fuzzing", "resources", "models",
)  # fmt: skip
COLUMNS = ("test", "target", "measured", "verdict", "seconds")


def gather():
    """Return all scenarios, in order."""
    modules = [importlib.import_module(f"tests.campaign.{name}") for name in MODULES]
    return [scenario for module in modules for scenario in module.SCENARIOS]


async def run(scenarios, options):
    """Yield the row of each scenario."""
    with tempfile.TemporaryDirectory(prefix="batos-campaign-") as folder:
        for number, scenario in enumerate(scenarios):
            place = Path(folder) / f"{number}"
            settings = Settings(options.full, options.seed, place, options.kills)
            yield await run_scenario(scenario, settings)


def table(rows):
    """Return the rows as Markdown."""
    lines = [COLUMNS, ["---"] * len(COLUMNS)]
    for row in rows:
        verdict = "ok" if row.ok else "FAILED"
        cells = (row.name, row.target, row.measured, verdict, f"{row.seconds:.0f}")
        lines.append([cell.replace("|", "\\|").replace("\n", " ") for cell in cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


async def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the long forms")
    parser.add_argument("--only", default="", help="part of a scenario's name")
    parser.add_argument("--seed", type=int, default=1, help="of every random choice")
    parser.add_argument("--kills", type=int, default=0, help="how many random ones")
    parser.add_argument("--list", action="store_true", help="only list the names")
    options = parser.parse_args()
    scenarios = [one for one in gather() if options.only in one.name]
    if options.list or not scenarios:
        print("\n".join(one.name for one in gather()))  # noqa: T201 - a report
        return int(not scenarios)
    rows = []
    async for row in run(scenarios, options):
        rows.append(row)
        verdict = "ok" if row.ok else "FAILED"
        print(f"{row.name}: {verdict} in {row.seconds:.0f} s: {row.measured}", flush=True)  # noqa: T201 - a report
    when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    machine = f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} processors"
    words = " ".join(["python -m tests.campaign", *sys.argv[1:]])
    print(f"\n`{words}`, {when}, {machine}\n\n{table(rows)}")  # noqa: T201 - a report
    return int(not all(row.ok for row in rows))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
