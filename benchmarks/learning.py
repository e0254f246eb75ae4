"""How many ordinary wishes the cycle learns, and what each of its parts gives. Real model.

    python benchmarks/learning.py [--briefs FILE] [--only PART] [--candidates N] [--json FILE]

Each brief is a JSON line: brief, selector, params, state (slots before) and tests, each with
args and a Python check over ``r``, the result (tests/cases/briefs.jsonl). The first rows judge
single drafts; the last ones run whole missions, without an example and with one. A method
counts as right when it passes all tests of its brief, in order, on one object. Fixed seeds.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.cli.wiring import assemble  # noqa: E402 - runs from a checkout
from bat_os.core.brief import Brief  # noqa: E402 - as above
from bat_os.core.events import MethodVerified  # noqa: E402 - as above
from bat_os.core.settings import Settings  # noqa: E402 - as above
from bat_os.errors import BatError  # noqa: E402 - as above
from bat_os.image import missions  # noqa: E402 - as above
from bat_os.image.awakening import awaken  # noqa: E402 - as above
from bat_os.image.install import Skill, install  # noqa: E402 - as above
from bat_os.image.objects import UvmObject  # noqa: E402 - as above
from bat_os.kernel.cycle import CognitiveCycle  # noqa: E402 - as above
from bat_os.kernel.primitives import PRIMITIVES  # noqa: E402 - as above
from bat_os.kernel.turn import take_turn  # noqa: E402 - as above
from bat_os.supervisor.home import Home  # noqa: E402 - as above

if TYPE_CHECKING:
    from bat_os.kernel.mind import Mind

BRIEFS = ROOT / "tests" / "cases" / "briefs.jsonl"


@dataclass(frozen=True)
class Case:
    """One wish and how to see whether a method fulfils it."""

    text: str
    selector: str
    tests: list[dict[str, Any]]
    state: dict[str, Any]

    def brief(self, target: str, examples: tuple[dict[str, Any], ...] = ()) -> Brief:
        """Return the message of the first test."""
        args = tuple(self.tests[0]["args"])
        return Brief(target, self.selector, args, text=self.text, examples=examples, fresh=True)


@dataclass
class Row:
    """What one part of the cycle reached over all briefs."""

    name: str
    right: int = 0
    installed: int = 0
    shown: int = 0
    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Bench:
    """One image and one model, and as many objects as there are tries."""

    def __init__(self, mind: Mind) -> None:
        self.mind = mind
        self.tries = 0

    async def make_object(self, state: dict[str, Any]) -> str:
        """Return the name of a new object with these slots."""
        self.tries += 1
        name = f"try{self.tries}_obj"

        def work(root: Any) -> None:
            obj = UvmObject(name, (root["objects"]["traits_obj"],))
            for slot, value in state.items():
                obj.set_slot(slot, value)
            root["objects"][name] = obj

        await self.mind.image.transact(work, note="make an object")
        return name

    async def is_right(self, case: Case, source: str) -> bool:
        """Say whether ``source`` passes all tests of its brief on a new object."""
        name = await self.make_object(case.state)
        skill = Skill(case.selector, source, "taught", {}, case.text)
        await self.mind.image.transact(
            lambda root: install(root, root["objects"][name], skill), note="install"
        )
        for test in case.tests:
            told = Brief(name, case.selector, tuple(test["args"]))
            try:
                answer = await take_turn(self.mind.image, self.mind.cell, told)
            except BatError:
                return False
            if not passes(test["check"], answer.value):
                return False
        return True

    async def run_mission(self, case: Case, row: Row, examples: tuple[Any, ...]) -> None:
        """Run one whole mission and add what came of it to ``row``."""
        name = await self.make_object(case.state)
        brief = case.brief(name, examples)
        mission_id = f"bench{self.tries:06d}"
        about = {"session": "bench", "accepted": time.time()}
        await self.mind.image.transact(
            lambda root: missions.open_brief(
                root, brief, mission_id=mission_id, key=mission_id, about=about
            ),
            note="accept",
        )
        started = time.perf_counter()
        answer = await CognitiveCycle(self.mind, lambda *_: None).run(mission_id)
        row.seconds.append(time.perf_counter() - started)
        record = await self.mind.image.transact(
            lambda root: missions.read(root, mission_id), note="read"
        )
        row.tokens.append(record.mission.tokens)
        chosen = record.mission.last(MethodVerified)
        body = answer["body"]
        if chosen is not None:
            source = chosen.verdicts[chosen.chosen]["source"]
            right = await self.is_right(case, source)
            row.installed += 1
            row.right += right
            row.shown += right
            row.notes.append(f"{chosen.status} {'right' if right else 'WRONG'}: {case.text}")
            return
        choices = body.get("details", {}).get("choices") or []
        right = bool(choices) and await self.is_right(case, choices[0]["source"])
        row.shown += right
        told = f"asks, first choice {'right' if right else 'wrong'}" if choices else "none"
        row.notes.append(f"{told}: {case.text}: {body.get('message', '')[:200]}")


def passes(check: str, value: Any) -> bool:
    """Say whether a check of the briefs file holds for a result."""
    names = {"r": value, "near_now": near_now, "re": re, "dt": dt}
    try:
        return bool(eval(check, names))  # noqa: S307 - the checks are this project's own
    except Exception:  # noqa: BLE001 - a check of a wrong kind of result
        return False


def near_now(value: Any) -> bool:
    """Say whether a value names the present moment to the minute."""
    now = dt.datetime.now().astimezone()
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo else value.astimezone()
        return abs((moment - now).total_seconds()) < 120
    if isinstance(value, int | float):
        return abs(value - now.timestamp()) < 120
    moments = [zone + dt.timedelta(minutes=back)
               for back in (0, -1) for zone in (now, now.astimezone(dt.UTC))]  # fmt: skip
    return any(f"{m:%H:%M}" in str(value) or f"{m:%I:%M}" in str(value) for m in moments)


def examples_of(case: Case) -> tuple[dict[str, Any], ...]:
    """Return one example, as a person would give it; none where no check names the result.

    It is the second test, or the first where the object's slots matter: those of the second
    depend on the first.
    """
    for test in case.tests[:1] if case.state else (*case.tests[1:], *case.tests[:1]):
        found = re.fullmatch(r"(?:\w+\(r\)|r) ?(==|is|in) ?([^=<>]+)", test["check"])
        if found:
            try:
                value = eval(found[2], {})  # noqa: S307 - this project's own
            except (NameError, SyntaxError):
                continue
            value = value[0] if found[1] == "in" else value
            return ({"args": test["args"], "kwargs": {}, "result": value},)
    return ()


def load(path: Path) -> list[Case]:
    """Return the briefs in a file of JSON lines."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Case(one["brief"], one["selector"], one["tests"], one["state"]) for one in lines]


async def run(options: argparse.Namespace) -> list[Row]:
    """Run all parts and return their rows."""
    cases = load(options.briefs)[: options.limit or None]
    rows = []
    with tempfile.TemporaryDirectory(prefix="batos-learning-") as folder:
        home = Home(Path(folder))
        home.prepare()
        parts = assemble(home, Settings(home=folder, candidates=options.candidates))
        mind = parts.mind
        await mind.image.transact(
            lambda root: awaken(
                root, image_id="bench", created=0.0, personas=mind.personas, primitives=PRIMITIVES
            ),
            note="awaken",
        )
        for step in parts.steps:
            await step(lambda line: print(line, file=sys.stderr))
        bench = Bench(mind)
        for name, with_example in (
            ("the cycle, no example", False),
            ("the cycle, one example", True),
        ):
            if options.only and options.only not in name:
                continue
            row = Row(name)
            for case in cases:
                examples = examples_of(case) if with_example else ()
                await bench.run_mission(case, row, examples)
                print(f"{name}: {row.notes[-1]} ({row.seconds[-1]:.1f} s)", file=sys.stderr)
            rows.append(row)
        for port in (mind.cell, mind.roster, mind.embedder, mind.image):
            await port.close()
    return rows


def show(rows: list[Row], count: int) -> None:
    """Print the table."""
    print(f"{'of ' + str(count) + ' briefs':<34}{'installed':>10}{'right':>7}{'share':>7}"
          f"{'shown right':>13}{'median s':>10}{'tokens':>8}")  # fmt: skip
    for row in rows:
        share = f"{row.right / row.installed:.2f}" if row.installed else "-"
        print(f"{row.name:<34}{row.installed:>10}{row.right:>7}{share:>7}{row.shown:>13}"
              f"{median(row.seconds):>10.1f}{median(row.tokens):>8.0f}")  # fmt: skip


def main() -> int:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--briefs", type=Path, default=BRIEFS)
    parser.add_argument("--only", default="", help="run the rows whose name contains this")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument("--limit", type=int, default=0, help="the first N briefs only")
    options = parser.parse_args()
    rows = asyncio.run(run(options))
    show(rows, min(len(load(options.briefs)), options.limit or 10**6))
    return 0


if __name__ == "__main__":
    sys.exit(main())
