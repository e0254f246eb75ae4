"""What the model of a profile can do: the exam that every daemon holds, run by hand.

    python -m benchmarks.abilities [--profile tiny] [--threads N] [--write]

Makes a home in a scratch folder, stores the profile's models in its image, holds the exam of each,
and prints the figures with the processor time. ``--write`` puts them into the package
(``bat_os/kernel/exam/figures.toml``), so that a new home with these very models need not measure
them. Do that for the models of ``tiny`` after a change of the exam, of the model or of its adapter.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.app.wiring import assemble  # noqa: E402 - runs from a checkout
from bat_os.core.settings import Settings  # noqa: E402 - as above
from bat_os.image.awakening import awaken  # noqa: E402 - as above
from bat_os.kernel.primitives import PRIMITIVES  # noqa: E402 - as above
from bat_os.supervisor.home import Home  # noqa: E402 - as above
from benchmarks.processor import processor_seconds  # noqa: E402 - as above

if TYPE_CHECKING:
    from bat_os.core.ability import Ability

FIGURES = ROOT / "bat_os" / "kernel" / "exam" / "figures.toml"


async def measure(folder: Path, profile: str, threads: int) -> str:
    """Return the figures of the profile's models as TOML."""
    home = Home(folder)
    home.prepare()
    parts = assemble(home, Settings(home=str(folder), profile=profile, threads=threads))
    mind, examiner = parts.mind, parts.examiner
    try:
        await mind.image.transact(
            lambda root: awaken(
                root, image_id="exam", created=1.0, personas=mind.personas, primitives=PRIMITIVES
            ),
            note="awaken",
        )
        for step in parts.steps:
            await step(lambda line: print(f"  {line}", file=sys.stderr))
        await examiner.recall()
        lines = []
        for one in examiner.examinees:
            started, wall = processor_seconds(), time.monotonic()
            await examiner.hold(one)
            spent, wall = processor_seconds() - started, time.monotonic() - wall
            print(f"{one.model} {one.adapter}: {spent:.0f} s of processor time, {wall:.0f} s")
            known = mind.ability_of(one.persona)
            lines += [f'["{one.key}"]', f'model = "{one.model}"', f'adapter = "{one.adapter}"']
            lines += _figures(known)
        return "\n".join(lines)
    finally:
        for port in (mind.cell, mind.roster, mind.embedder, mind.image):
            await port.close()


def _figures(known: Ability) -> list[str]:
    return [f"{name} = {value}" for name, value in known.to_plain().items() if value is not None]


def main() -> int:
    """Measure, print, and write if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="batos-exam-") as folder:
        work = measure(Path(folder) / "home", options.profile, options.threads)
        figures = asyncio.run(work)
    print(figures)
    if options.write:
        comments = [line for line in FIGURES.read_text().splitlines() if line.startswith("#")]
        FIGURES.write_text("\n".join([*comments, "", figures, ""]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
