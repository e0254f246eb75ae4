"""What a night of idle work gives: the public briefs once, then practice and doubt. Real model.

    python benchmarks/night.py [--briefs FILE] [--examples] [--minutes N] [--limit N]
                               [--unseen N] [--everyday N] [--folder FOLDER]

Each brief is tried once, without an example, or with one. Then the mind is left alone for a
simulated night: nobody comes, nothing is busy, and N minutes of processor time may be spent. The
setting ``idle`` is "install", the freest one. A proposal counts as right if one of its choices
installs a method that passes all tests of its brief, and as wrong otherwise.

In the morning a person who knows the answers takes what is right and dismisses the rest. Before
the night and after the morning, on copies of the image, three things are asked: the briefs that
failed, again, of new objects; N tasks of the exam, which this mind has not seen; and N everyday
requests, of a daemon (0 for none).

All of it takes half an hour of processor time. With ``--folder`` it can be ended anywhere, also by
a signal, and the same command goes on with it: the image and ``night.jsonl`` lie there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from bat_os.client.client import KernelClient  # noqa: E402 - runs from a checkout
from bat_os.core.protocol import Request  # noqa: E402 - as above
from bat_os.core.values import to_wire  # noqa: E402 - as above
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
from benchmarks.scratch import work_in  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bat_os.kernel.context import KernelContext

FIRST = 1000  # objects that one bench may make; no two share a number, also in copies
DAY, SLEPT, DECIDED = "day", "slept", "decided"
FAILED, UNSEEN, EVERYDAY = "briefs that failed", "tasks never seen", "everyday requests"
BEFORE, AFTER = "before", "after"
PATIENCE = 600.0  # seconds for a turn: a busy machine is no fault of the mind


class Diary:
    """What was done so far, one JSON line each: (part, entry)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._kept: list[list[Any]] = [json.loads(line) for line in lines]

    def of(self, part: str) -> list[Any]:
        """Return the entries of a part, the oldest first."""
        return [entry for name, entry in self._kept if name == part]

    def add(self, part: str, entry: Any) -> None:
        """Note what was done; it is on disk when this returns."""
        self._kept.append([part, entry])
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps([part, entry]) + "\n")
        print(f"{part}: {entry}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Night:
    """One night: what is asked, where the mind lives, and what was done so far."""

    folder: Path
    diary: Diary
    cases: list[Case]
    options: argparse.Namespace

    @property
    def home(self) -> Path:
        """The mind that has the night."""
        return self.folder / "home"

    def day(self, *wanted: str) -> list[str]:
        """Return the selectors of the day that came to one of these ends."""
        return [one["selector"] for one in self.diary.of(DAY) if one["end"] in wanted]

    @property
    def failed(self) -> list[Case]:
        """The briefs that have to be asked again."""
        names = self.day("failed")
        return [case for case in self.cases if case.selector in names]


async def learned_in(mind: KernelContext) -> dict[str, str]:
    """Return the sources of the methods that were learned, by selector."""

    def look(root: Any) -> dict[str, str]:
        return {
            method.selector: method.versions[method.current].source
            for _, method in entries.learned(root)
        }

    return await mind.image.transact(look, note="look")


async def ask(bench: Bench, case: Case, kind: Kind) -> dict[str, Any]:
    """Run the mission of a brief; return how it ended."""
    row = Row(kind.name)
    await bench.run_mission(case, row, kind, {})
    ends = {(0, 0): "failed", (1, 0): "wrong", (1, 1): "right"}
    end = ends[row.installed, row.right]
    return {"selector": case.selector, "end": end, "note": row.notes[-1]}


def bench_of(mind: KernelContext, night: Night) -> Bench:
    """Return a bench whose objects are new."""
    roster: Any = Metered(mind.roster)
    night.diary.add("bench", time.time())
    return Bench(replace(mind, roster=roster), FIRST * len(night.diary.of("bench")))


async def ask_all(home: Path, night: Night, part: str, cases: list[Case], kind: Kind) -> None:
    """Ask the mind in ``home`` what it was not asked yet."""
    left = cases[len(night.diary.of(part)) :]
    if not left:
        return
    async with mind_in(home, 8) as mind:
        bench = bench_of(mind, night)
        for case in left:
            night.diary.add(part, await ask(bench, case, kind))


async def sleep(night: Night) -> None:
    """Leave the mind alone for a night, then decide on what it has found."""
    async with mind_in(night.home, 8) as mind:
        if not night.diary.of("known"):
            night.diary.add("known", sorted(await learned_in(mind)))
        spent = sum(night.diary.of(SLEPT))
        heart = Heartbeat(replace(mind, options=replace(mind.options, idle="install")), install)
        heart.around = Surroundings(
            is_quiet=lambda seconds: True, spent=processor_seconds, busy=lambda: "",
            budget=night.options.minutes * 60, now=time.time,
        )  # fmt: skip
        begun = processor_seconds()
        while spent + processor_seconds() - begun < heart.around.budget and await heart.beat():
            spent, begun = spent + (took := processor_seconds() - begun), begun + took
            night.diary.add(SLEPT, round(took, 1))
        after = await learned_in(mind)
        bench = bench_of(mind, night)
        if not night.diary.of("installed"):
            new = sorted(set(after) - set(night.diary.of("known")[0]))
            rights = [await bench.is_right(by_name(night)[name], after[name]) for name in new]
            night.diary.add("installed", dict(zip(new, rights, strict=True)))
        for one in await mind.image.transact(proposals.standing, note="look"):
            night.diary.add(DECIDED, await decide(bench, one, night))


def by_name(night: Night) -> dict[str, Case]:
    """Return the briefs by their selectors."""
    return {case.selector: case for case in night.cases}


async def decide(bench: Bench, one: dict[str, Any], night: Night) -> dict[str, Any]:
    """Take the first right choice of a proposal, or dismiss it; return what it was."""
    selector, cases = one["rests_on"][0]["selector"], by_name(night)
    rights = []
    for choice in one["choices"]:
        deed = choice["deed"]
        is_new = deed["do"] == "install" and selector in cases
        rights.append(
            await bench.is_right(cases[selector], deed["source"]) if is_new
            else deed.get("verb") == "verify-method" and selector in night.day("right")
        )  # fmt: skip
    body = {"n": one["n"], "choice": rights.index(True) + 1} if any(rights) else {"n": one["n"]}
    verb = "accept" if any(rights) else "dismiss"
    told = {"selector": selector, "kind": one["kind"], "rights": rights, "what": one["what"]}
    try:
        await VERBS[verb](bench.mind, check(Request(verb, body=body)), lambda _: None)
    except BatError as error:
        return told | {"untaken": str(error)}
    return told


def unseen(count: int) -> list[Case]:
    """Return the first tasks of the exam; nothing is trained on them."""
    return [
        Case(task.brief, task.selector,
             [{"args": one.args, "check": f"r == {one.result!r}"} for one in task.tests],
             task.state)
        for task in read_paper().tasks[:count]
    ]  # fmt: skip


async def measure(night: Night, when: str) -> None:
    """Ask copies of the mind what it can do."""
    for name, cases in ((FAILED, night.failed), (UNSEEN, unseen(night.options.unseen))):
        with copied(night, f"{when} {name}", len(cases)) as copy:
            await ask_all(copy, night, f"{when} {name}", cases, Kind(name))
    cases = everyday.read_cases(everyday.CASES, [], night.options.everyday or -1)
    wanted = cases if night.options.everyday else []
    part = f"{when} {EVERYDAY}"
    with copied(night, part, len(wanted)) as copy:
        if left := wanted[len(night.diary.of(part)) :]:
            await live(copy, night, part, left)


@contextmanager
def copied(night: Night, part: str, count: int) -> Iterator[Path]:
    """Give a copy of the mind as long as ``count`` entries of a part are not all there."""
    copy = night.folder / part.replace(" ", "-")
    begun, whole = copy / "begun", len(night.diary.of(part)) >= count
    if not whole and not begun.exists():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(night.home, copy, ignore=shutil.ignore_patterns("*.lock", "*.sock", "run"))
        begun.touch()
    yield copy
    shutil.rmtree(copy, ignore_errors=True)


async def live(home: Path, night: Night, part: str, cases: list[dict[str, Any]]) -> None:
    """Say everyday requests to a daemon that serves a copy."""
    kernel = start(home)
    try:
        await until(home, "ready")
        async with KernelClient.at(home) as client:
            for case in cases:
                night.diary.add(part, [await say(client, case, turn) for turn in case["turns"]])
    finally:
        await asyncio.to_thread(stop, kernel)


async def say(client: KernelClient, case: dict[str, Any], turn: dict[str, Any]) -> str:
    """Return the verdict on what one turn is answered."""
    fields = {"session": case["id"], "ik": os.urandom(8).hex()}
    begun = time.perf_counter()
    try:
        body = await client.request(
            "say", timeout=PATIENCE, body={"text": turn["say"], "once": False}, **fields
        )
    except BatError as error:
        body = {"error": {"code": error.code, "message": str(error)}}
    line = json.dumps(to_wire(body), default=str)
    reply = everyday.read_reply(0, line, time.perf_counter() - begun)
    return everyday.judge(turn, reply, datetime.now().astimezone())


def show(night: Night) -> None:
    """Print the figures."""
    decided, installed = night.diary.of(DECIDED), night.diary.of("installed")[0]
    found = [one for one in decided if one["kind"] == "practice"]
    doubted = {one["selector"] for one in decided if one["kind"] == "doubt"}
    rows = {
        "installed in the day, right": night.day("right"),
        "installed in the day, wrong": night.day("wrong"),
        "failed in the day": night.day("failed"),
        "failed, and proposed in the night": [one["selector"] for one in found],
        "  a choice is right": [one["selector"] for one in found if any(one["rights"])],
        "  the first choice is right": [one["selector"] for one in found if one["rights"][0]],
        "  could not be taken": [one["selector"] for one in decided if "untaken" in one],
        "wrong ones doubted": [name for name in night.day("wrong") if name in doubted],
        "right ones doubted": [name for name in night.day("right") if name in doubted],
        "installed by the mind itself": list(installed),
        "  wrong": [name for name, right in installed.items() if not right],
    }
    for name, names in rows.items():
        print(f"{name:<40}{len(names):>4}  {', '.join(names)}")
    print(f"{'processor time, s':<40}{sum(night.diary.of(SLEPT)):>4.0f}")
    print(f"\n{'right / wrong / of':<40}{'before':>14}{'after':>14}")
    for name in (FAILED, UNSEEN):
        print(
            f"{name:<40}" + "".join(f"{_ends(night, when, name):>14}" for when in (BEFORE, AFTER))
        )
    cells = []
    for when in (BEFORE, AFTER):
        turns = Counter(one for turns in night.diary.of(f"{when} {EVERYDAY}") for one in turns)
        cells.append(f"{turns['right'] + turns['honest']} / {turns['wrong']} / {turns.total()}")
    print(f"{f'{EVERYDAY} (right or honest)':<40}{cells[0]:>14}{cells[1]:>14}")


def _ends(night: Night, when: str, name: str) -> str:
    ends = Counter(one["end"] for one in night.diary.of(f"{when} {name}"))
    return f"{ends['right']} / {ends['wrong']} / {ends.total()}"


async def run(options: argparse.Namespace, folder: Path) -> Night:
    """Return a night on a new image, or the rest of one, with what the mind can do around it."""
    diary = Diary(folder / "night.jsonl")
    cases = load(options.briefs)[: options.limit or None]
    night = Night(folder, diary, cases, options)
    await ask_all(night.home, night, DAY, cases, Kind(DAY, with_example=options.examples))
    if not diary.of(SLEPT):
        await measure(night, BEFORE)
    if not diary.of("morning"):
        await sleep(night)
        diary.add("morning", time.time())
    await measure(night, AFTER)
    return night


def main() -> int:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--briefs", type=Path, default=BRIEFS)
    parser.add_argument("--examples", action="store_true", help="give each brief its example")
    parser.add_argument("--minutes", type=float, default=30.0, help="of processor time")
    parser.add_argument("--limit", type=int, default=0, help="the first N briefs only")
    parser.add_argument("--unseen", type=int, default=20, help="so many tasks of the exam")
    parser.add_argument("--everyday", type=int, default=200, help="so many everyday requests")
    parser.add_argument("--folder", type=Path, help="keep all there, and go on with what is there")
    options = parser.parse_args()
    # Whatever looks for the network finds a closed port.
    os.environ.update(dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"))
    with work_in(options.folder) as folder:
        show(asyncio.run(run(options, folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
