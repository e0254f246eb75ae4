"""How many ordinary wishes the cycle learns, and what each of its parts gives. Real model.

    python benchmarks/learning.py [--briefs FILE] [--only PART] [--candidates N] [--limit N]

Each brief is a JSON line: brief, selector, params, state (slots before) and tests, each with
args and a Python check over ``r``, the result (tests/cases/briefs.jsonl). The first rows draw one
greedy answer; those that begin with "first batch" look at what the missions without an example
drew first; the others run whole missions. A method counts as right when it passes all tests of
its brief, in order, on one object. Fixed seeds.

"cpu s" is processor time, of this process and the cell's: unlike seconds, it hardly depends on
what else the machine does. The first mission of a row loads the model. "read" and "drawn" are
tokens; what the model had in its cache is not read.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import datetime as dt
import json
import re
import shutil
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.app.wiring import assemble  # noqa: E402 - runs from a checkout
from bat_os.core.brief import Brief, goal, signature  # noqa: E402 - as above
from bat_os.core.mission import MethodRejected, MethodVerified  # noqa: E402 - as above
from bat_os.core.prompts import STOP, Prompt, ask_method, read_method  # noqa: E402 - as above
from bat_os.core.settings import Settings  # noqa: E402 - as above
from bat_os.errors import BatError  # noqa: E402 - as above
from bat_os.image import missions  # noqa: E402 - as above
from bat_os.image.awakening import awaken  # noqa: E402 - as above
from bat_os.image.history.versions import Skill, install  # noqa: E402 - as above
from bat_os.image.objects import UvmObject  # noqa: E402 - as above
from bat_os.kernel.learning.cycle import CognitiveCycle  # noqa: E402 - as above
from bat_os.kernel.primitives import PRIMITIVES  # noqa: E402 - as above
from bat_os.kernel.turn import take_turn  # noqa: E402 - as above
from bat_os.method.fixups import apply_fixups  # noqa: E402 - as above
from bat_os.ports import Sampling  # noqa: E402 - as above
from bat_os.supervisor.home import Home  # noqa: E402 - as above
from benchmarks.processor import processor_seconds, resident_mb  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from bat_os.core.mission import Mission
    from bat_os.kernel.context import KernelContext

BRIEFS = ROOT / "tests" / "cases" / "briefs.jsonl"
WIDTH = 12
_SAME = "list|tuple|dict|str|int|float|set"  # a check of these on the result names the result


@dataclass(frozen=True)
class Case:
    """One wish and how to see whether a method fulfils it."""

    text: str
    selector: str
    tests: list[dict[str, Any]]
    state: dict[str, Any]

    def brief(
        self, target: str, examples: tuple[dict[str, Any], ...] = (), mode: str = ""
    ) -> Brief:
        """Return the message of the first test."""
        args, told = tuple(self.tests[0]["args"]), {"text": self.text, "mode": mode}
        return Brief(target, self.selector, args, examples=examples, fresh=True, **told)


@dataclass(frozen=True)
class Kind:
    """How the missions of a row are run."""

    name: str
    with_example: bool = False
    adapter: bool = True
    mode: str = ""
    plan: str = "none"


WHOLE = (
    Kind("the cycle, no example"),
    Kind("the cycle, one example", with_example=True),
    Kind("no example, without adapter", adapter=False),
    Kind("one example, without adapter", with_example=True, adapter=False),
    Kind("no example, planned queries", plan="fixed"),
    Kind("no example, written plan", plan="written"),
    Kind("no example, cascade", mode="cascade"),
)


class Metered:
    """A roster that counts the tokens which models read.

    Args:
        roster: What it asks.
        adapter: False: nobody writes through an adapter.

    Attributes:
        read: Tokens of prompts that were not in a cache; equal prompts of a batch count once.
    """

    def __init__(self, roster: Any, *, adapter: bool = True) -> None:
        self._roster = roster
        self._adapter = adapter
        self.read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._roster, name)

    async def generate(self, persona: str, prompts: Any, *args: Any, **options: Any) -> Any:
        """Generate as the roster does."""
        if not self._adapter:
            options["writing"] = False
        drawn = await self._roster.generate(persona, prompts, *args, **options)
        once = dict(zip(prompts, drawn, strict=True))
        self.read += sum(one.read - one.reused for one in once.values())
        return drawn


@dataclass
class Row:
    """What one part of the cycle reached over all briefs."""

    name: str
    right: int = 0
    installed: int = 0
    shown: int = 0
    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)  # seconds
    tokens: list[int] = field(default_factory=list)  # drawn
    read: list[int] = field(default_factory=list)  # tokens
    memory: float = 0.0  # MB after the last mission
    notes: list[str] = field(default_factory=list)


class Bench:
    """One image and one model, and as many objects as there are tries after the first ``tries``."""

    def __init__(self, mind: KernelContext, tries: int = 0) -> None:
        self.mind = mind
        self.tries = tries

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

    async def run_greedy(self, case: Case, rows: dict[str, Row]) -> None:
        """Ask for one greedy answer: plainly, in a forced form, mended, and through the adapter."""
        brief = case.brief(await self.make_object(case.state))
        system = self.mind.personas["ALFRED"].system_prompt
        asked = f"Write a Python method `{signature(brief)}` {goal(brief)} Return the result."
        plain = Prompt((("system", system), ("user", asked)))
        text = await self._draw(rows["greedy, asked plainly"], plain, writing=False, stop="")
        await self._count(rows["greedy, asked plainly"], case, code_of(text))
        forced = ask_method(brief, system, None)
        for adapted in (False, True):
            with_it = " + adapter" if adapted else ""
            row = rows[f"greedy, forced form{with_it}"]
            body = await self._draw(row, forced, writing=adapted, stop=STOP)
            source = read_method(brief, body)
            await self._count(row, case, source)
            mended = rows[f"greedy, forced form{with_it} + fix-ups"]
            for cost in ("seconds", "processor", "tokens", "read"):
                getattr(mended, cost).append(getattr(row, cost)[-1])
            source, _ = apply_fixups(source, brief.selector, frozenset(case.state), frozenset())
            await self._count(mended, case, self.mind.guardian.repair(source, brief.selector))

    async def _draw(self, row: Row, prompt: Prompt, *, writing: bool, stop: str) -> str:
        sampling = Sampling(0.0, max_tokens=160, seed=1, stop=stop)
        with self._count_cost(row):
            roster = self.mind.roster
            drawn = (await roster.generate("ALFRED", [prompt], sampling, writing=writing))[0]
        row.tokens.append(drawn.tokens)
        return drawn.text

    @contextmanager
    def _count_cost(self, row: Row) -> Iterator[None]:
        roster: Any = self.mind.roster
        started, spent, read = time.perf_counter(), processor_seconds(), roster.read
        yield
        row.seconds.append(time.perf_counter() - started)
        row.processor.append(processor_seconds() - spent)
        row.read.append(roster.read - read)
        row.memory = resident_mb()

    async def _count(self, row: Row, case: Case, source: str) -> None:
        right = bool(source) and await self.is_right(case, source)
        row.right += right
        row.shown += right
        row.notes.append(f"{'right' if right else 'wrong'}: {case.text}")

    async def count_batch(self, case: Case, mission: Mission, rows: dict[str, Row]) -> None:
        """Count what the first batch of a mission would have given without the rest."""
        judged = mission.last(MethodRejected) or mission.last(MethodVerified)
        for event in mission.events:
            if isinstance(event, MethodRejected | MethodVerified):
                judged = event
                break
        verdicts = judged.verdicts if judged else ()
        written = [v for v in verdicts if not v["known"] and not v["problem"]]
        known = [v for v in verdicts if v["known"] and not v["problem"] and v["weight"] > 0]
        best = sorted(written, key=lambda v: -v["agree"])
        for name, few in (
            ("first batch: the first that runs", written),
            ("first batch: what most agree on", best),
            ("first batch: the nearest known one", known),
        ):
            await self._count(rows[name], case, few[0]["source"] if few else "")

    async def run_mission(self, case: Case, row: Row, kind: Kind, parts: dict[str, Row]) -> None:
        """Run one whole mission and add what came of it to ``row``."""
        name = await self.make_object(case.state)
        brief = case.brief(name, examples_of(case) if kind.with_example else (), kind.mode)
        mission_id = f"bench{self.tries:06d}"
        about = {"session": "bench", "accepted": time.time()}
        await self.mind.image.transact(
            lambda root: missions.open_brief(
                root, brief, mission_id=mission_id, key=mission_id, about=about
            ),
            note="accept",
        )
        with self._count_cost(row):
            answer = await CognitiveCycle(self.mind, lambda *_: None).run(mission_id)
        record = await self.mind.image.transact(
            lambda root: missions.read(root, mission_id), note="read"
        )
        row.tokens.append(record.mission.tokens)
        if parts:
            await self.count_batch(case, record.mission, parts)
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


def code_of(text: str) -> str:
    """Return the program in an answer: in a fence, or from the first ``def`` on; "" for none."""
    found = re.search(r"```(?:python)?\n(.*?)(?:```|\Z)", text, re.DOTALL)
    source = found[1] if found else text[max(text.find("def "), 0) :]
    try:
        ast.parse(source)
    except (SyntaxError, ValueError):
        return ""
    return source


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
        found = re.fullmatch(rf"(?:(?:{_SAME})\(r\)|r) ?(==|is|in) ?([^=<>]+)", test["check"])
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


@asynccontextmanager
async def mind_in(
    folder: Path, candidates: int, adapters: str = ""
) -> AsyncIterator[KernelContext]:
    """Give the mind of the image in ``folder``, which is awakened where it is new.

    ``adapters`` names a folder of adapters to store; by default, those that ship.
    """
    home = Home(folder)
    home.prepare()
    settings = Settings(home=str(folder), candidates=candidates, lora_staging_dir=adapters)
    parts = assemble(home, settings)
    mind = parts.mind
    await mind.image.transact(
        lambda root: awaken(
            root, image_id="bench", created=0.0, personas=mind.personas, primitives=PRIMITIVES
        ),
        note="awaken",
    )
    for step in parts.steps:
        await step(lambda line: print(line, file=sys.stderr))
    try:
        yield mind
    finally:
        for port in (mind.cell, mind.roster, mind.embedder, mind.image):
            await port.close()


async def run(options: argparse.Namespace) -> list[Row]:
    """Run the rows asked for, each on an image of its own: no row knows what another learned."""
    cases = load(options.briefs)[: options.limit or None]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="batos-learning-") as folder:
        fresh = Path(folder, "fresh")
        async with mind_in(fresh, options.candidates):
            pass
        for number, part in enumerate((run_greedy_rows, *(partial(run_row, k) for k in WHOLE))):
            kind = part.args[0].name if isinstance(part, partial) else "greedy"
            if options.only not in kind:
                continue
            copy = Path(folder, str(number))
            shutil.copytree(fresh, copy, ignore=shutil.ignore_patterns("*.lock", "*.sock"))
            async with mind_in(copy, options.candidates) as mind:
                rows += await part(mind, cases)
            shutil.rmtree(copy)
    return rows


async def run_greedy_rows(mind: KernelContext, cases: list[Case]) -> list[Row]:
    """Return what single greedy answers reach."""
    rows = {name: Row(name) for name in (
        "greedy, asked plainly", "greedy, forced form", "greedy, forced form + fix-ups",
        "greedy, forced form + adapter", "greedy, forced form + adapter + fix-ups",
    )}  # fmt: skip
    bench = Bench(replace(mind, roster=Metered(mind.roster)))
    for case in cases:
        await bench.run_greedy(case, rows)
        print(f"greedy: {next(iter(rows.values())).notes[-1]}", file=sys.stderr)
    return [*rows.values()]


async def run_row(kind: Kind, mind: KernelContext, cases: list[Case]) -> list[Row]:
    """Return what missions of one kind reach; of the plain kind, its first batches too."""
    batch = {name: Row(name) for name in (
        "first batch: the first that runs", "first batch: what most agree on",
        "first batch: the nearest known one",
    )}  # fmt: skip
    parts = batch if kind is WHOLE[0] else {}
    roster: Any = Metered(mind.roster, adapter=kind.adapter)
    options = replace(mind.options, plan=kind.plan)
    bench, row = Bench(replace(mind, roster=roster, options=options)), Row(kind.name)
    for case in cases:
        await bench.run_mission(case, row, kind, parts)
        cost = f"{row.seconds[-1]:.1f} s, {row.processor[-1]:.1f} cpu s"
        print(f"{kind.name}: {row.notes[-1]} ({cost})", file=sys.stderr)
    return [*parts.values(), row]


def show(rows: list[Row], count: int) -> None:
    """Print the table."""
    heads = (
        "installed",
        "right",
        "share",
        "shown right",
        "median s",
        "cpu s",
        "read",
        "drawn",
        "MB",
    )
    print(f"{f'of {count} briefs':<42}" + "".join(f"{head:>{WIDTH}}" for head in heads))
    for row in rows:
        share = f"{row.right / row.installed:.2f}" if row.installed else "-"
        installed = row.installed or ("-" if "cycle" not in row.name else 0)
        cells: list[Any] = [installed, row.right, share, row.shown, *["-"] * 5]
        if row.seconds:
            cells[4:6] = (f"{median(cost):.1f}" for cost in (row.seconds, row.processor))
            cells[6:] = (f"{n:.0f}" for n in (median(row.read), median(row.tokens), row.memory))
        print(f"{row.name:<42}" + "".join(f"{cell:>{WIDTH}}" for cell in cells))


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
