"""Faults planted in the product, one at a time: how many of them the tests catch.

    python -m benchmarks.faults [--sample N] [--seed S] [--folder FOLDER] [--against FILE]

A sample over all folders of the product is drawn by a seed. One run of the whole suite, with
probes, tells which tests run the place of each fault. Then each fault is planted in a copy, and
those tests run, the nearest and quickest first, until one fails. What no test caught is listed.

With ``--folder`` it can be ended anywhere, and the same command goes on with it; the folder keeps
``sample.json``, ``reach.json`` and ``verdicts.json``. ``--against`` names the verdicts of an
earlier run: faults that were caught there and survive here are listed, and make the status 1.
``--faults`` names the sample of an earlier run: its faults are found again where lines moved, too.

Cells, and what reads files of strangers, run where a probe cannot write; their faults are tried on
the tests that ``UNPROBED`` names.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.planting import Fault, draw_sample, find_faults, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
WORKERS = 4  # of two cores: a third of the time a test waits
UNPROBED = {
    "bat_os/cells/": ("tests/cells",),
    "bat_os/documents/extract.py": ("tests/documents", "tests/world/test_web.py"),
    "bat_os/world/confined.py": ("tests/world/test_confined.py", "tests/world/test_shell.py"),
}
FIRST, MOST = 6.0, 40.0  # seconds of tests, as measured: of the first attempt, and in all
SLOWEST = 90  # seconds of one test before it counts as a hang
START = 60.0  # seconds that a run may take beside its tests
# Their imports take a second, and they are not of the product: each run is a fork that has them.
WARM = ("BTrees.OOBTree", "ZODB", "numpy", "ormsgpack", "pint", "prompt_toolkit", "pytest", "rich",
        "xllamacpp", "zmq.asyncio",
        "zope.index.text")  # fmt: skip


class Campaign:
    """One sample of faults, what reaches them, and what was caught so far."""

    def __init__(self, folder: Path, sample: list[Fault]) -> None:
        self.folder, self.sample = folder, sample
        self.verdicts: dict[str, dict[str, Any]] = _load(folder / "verdicts.json", {})
        self.times: dict[str, float] = {}
        self.reach: dict[str, list[str]] = {}

    def measure_reach(self) -> None:
        """Run the suite with probes, unless that was done."""
        if not (self.folder / "reach.json").exists():
            copy = _copy(self.folder / "probed")
            for path, faults in self._by_file().items():
                (copy / path).write_bytes(probe((copy / path).read_bytes(), faults))
            hits, times = self.folder / "hits", self.folder / "times.json"
            hits.unlink(missing_ok=True)
            command = [sys.executable, "-m", "pytest", "-q", "-n", str(WORKERS),
                       "-p", "benchmarks.reached", "--times", str(times)]  # fmt: skip
            subprocess.run(command, cwd=copy, env=os.environ | {"PROBES": str(hits)}, check=False)
            self.take_reach(hits, times)
        told = _load(self.folder / "reach.json", {})
        self.reach, self.times = told["reach"], told["times"]

    def take_reach(self, hits: Path, times: Path) -> None:
        """Read what a run with probes wrote: for each fault its tests, the nearest first."""
        book = json.loads(times.read_text())
        spent = {test: sum(parts[:3]) for test, parts in book["tests"].items()}
        for test in book["failed"]:  # of the probes themselves, or of this machine
            spent.pop(test, None)
        files = defaultdict(list)
        for test in spent:
            files[test.partition("::")[0]].append(test)
        found: dict[int, dict[str, int]] = defaultdict(dict)
        for line in hits.read_text().splitlines():
            number, where, test = line.split("\t")
            node, _, phase = test.rpartition(" ")
            direct = where == "here" and phase == "(call)"
            for one in {node} if direct else {node, *files[node.partition("::")[0]]}:
                if one in spent:
                    distance = 0 if direct else 1 if one == node else 2
                    found[int(number)][one] = min(distance, found[int(number)].get(one, 9))
        reach = {}
        for number, fault in enumerate(self.sample, 1):
            for start, folders in UNPROBED.items():
                if fault.path.startswith(start):
                    found[number] = {t: 0 for t in spent if t.startswith(folders)}
            near = _name_test(fault.path)
            reach[fault.id] = sorted(
                found[number],
                key=lambda t: (found[number][t], not t.startswith(near), round(spent[t], 1)),
            )
        (self.folder / "reach.json").write_text(json.dumps({"reach": reach, "times": spent}))

    def remember(self, earlier: dict[str, dict[str, Any]]) -> None:
        """Have the test that caught a fault in an earlier run be the first."""
        for name, verdict in earlier.items():
            if verdict["by"] in self.reach.get(name, ()):
                self.reach[name].sort(key=lambda test, by=verdict["by"]: test != by)

    def run(self) -> None:
        """Plant each fault that has no verdict yet, and check that the tests pass without it."""
        for name in WARM:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
        desks = [Desk(self, _copy(self.folder / f"copy{n}")) for n in range(WORKERS)]
        sound: set[str] = set()
        while waiting := [fault for fault in self.sample if fault.id not in self.verdicts]:
            self._try_all(waiting, desks)
            catching = {verdict["by"] for verdict in self.verdicts.values()} - {""} - sound
            failing = desks[0].check(sorted(catching))
            sound |= catching - failing
            for name, verdict in list(self.verdicts.items()):
                if verdict["by"] in failing:  # it fails anyway
                    self.reach[name].remove(verdict["by"])
                    del self.verdicts[name]

    def _try_all(self, waiting: list[Fault], desks: list[Desk]) -> None:
        while waiting or any(desk.work for desk in desks):
            for desk in desks:
                if not desk.work and waiting:
                    desk.begin(waiting.pop(0))
                elif desk.work and not next(desk.work, False):
                    desk.work = None
            time.sleep(0.02)

    def note(self, fault: Fault, verdict: dict[str, Any]) -> None:
        """Keep a verdict, on disk too."""
        self.verdicts[fault.id] = verdict
        draft = self.folder / "verdicts.new"
        draft.write_text(json.dumps(self.verdicts, indent=1))
        draft.replace(self.folder / "verdicts.json")
        print(f"{len(self.verdicts):4}/{len(self.sample)} {verdict['is']:<9}"
              f"{verdict['seconds']:6.1f} s  {verdict['change']}", flush=True)  # fmt: skip

    def _by_file(self) -> dict[str, dict[int, Fault]]:
        files: dict[str, dict[int, Fault]] = defaultdict(dict)
        for number, fault in enumerate(self.sample, 1):
            if not fault.path.startswith(tuple(UNPROBED)):
                files[fault.path][number] = fault
        return files


class Desk:
    """A copy of the checkout in which one fault at a time is tried."""

    def __init__(self, campaign: Campaign, copy: Path) -> None:
        self.work: Iterator[bool] | None = None
        self._campaign, self._copy = campaign, copy
        self._stamp = int(time.time()) - 100_000

    def begin(self, fault: Fault) -> None:
        """Take a fault; each ``next(work)`` looks after it, and is False or ends at the end."""
        self.work = self._try(fault)

    def _try(self, fault: Fault) -> Iterator[bool]:
        path = self._copy / fault.path
        source = path.read_bytes()
        verdict = {"is": "survived", "change": fault.show(source), "by": "", "seconds": 0.0}
        began = time.monotonic()
        tests = self._campaign.reach.get(fault.id, [])
        if not tests:
            verdict["is"] = "unreached"
        self._write(path, fault.plant(source))
        for group in self._divide(tests):
            seconds = sum(self._campaign.times[test] for test in group)
            status = yield from self._run(group, START + 5 * seconds, "-x")
            if status not in (0, 5):
                verdict |= {"is": "caught", "by": next(iter(self._failures()), "")}
                break
        self._write(path, source)
        tried = verdict | {"seconds": round(time.monotonic() - began, 1), "tests": len(tests)}
        self._campaign.note(fault, tried)

    def check(self, tests: list[str]) -> set[str]:
        """Return which of some tests fail without a fault."""
        if not tests:
            return set()
        for _ in self._run(tests, 10 * START + sum(self._campaign.times[t] for t in tests)):
            time.sleep(0.2)
        return set(self._failures())

    def _divide(self, tests: list[str]) -> Iterator[list[str]]:
        """The tests in two or three groups: a few, then more, up to the time there is."""
        group: list[str] = []
        spent, total, limit = 0.0, 0.0, FIRST
        for test in tests:
            seconds = self._campaign.times[test] + 0.02
            if total and total + seconds > MOST:
                break
            group.append(test)
            spent, total = spent + seconds, total + seconds
            if spent > limit:
                yield group
                group, spent, limit = [], 0.0, MOST
        if group:
            yield group

    def _run(self, tests: list[str], patience: float, *options: str) -> Any:
        log = self._copy.with_suffix(".log")
        pid = os.fork()
        if not pid:
            _run_tests(self._copy, [*options, *tests], log)
        deadline = time.monotonic() + patience
        while True:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                return -9
            yield True

    def _failures(self) -> list[str]:
        """The tests that failed in the last run; none if it crashed or hung."""
        text = self._copy.with_suffix(".log").read_text(errors="replace")
        named = re.findall(r"^(?:FAILED|ERROR) (tests/.*?)(?: - .*)?$", text, re.MULTILINE)
        return [test for test in named if test in self._campaign.times]

    def _write(self, path: Path, source: bytes) -> None:
        """Write a file so that no bytecode of the same second passes for it."""
        path.write_bytes(source)
        self._stamp += 2
        os.utime(path, (self._stamp, self._stamp))


def _run_tests(copy: Path, words: list[str], log: Path) -> None:
    """Run tests in this process, a fork, and end it."""
    os.setsid()
    os.chdir(copy)
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(stream, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.path[:] = [str(copy), *(one for one in sys.path if one not in ("", str(ROOT)))]
    for name in [name for name in sys.modules if name.startswith("benchmarks")]:
        del sys.modules[name]
    import pytest

    options = ["-q", "--no-header", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist",
               "-o", f"timeout={SLOWEST}"]  # fmt: skip
    status = 3
    try:
        status = int(pytest.main([*options, *words]))
    except BaseException:  # noqa: BLE001 - a fork that must not go on with what its parent does
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _copy(folder: Path) -> Path:
    """Return a copy of what git knows of the checkout, as it is now, with its environment."""
    shutil.rmtree(folder, ignore_errors=True)
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run([sys.executable, "-m", "compileall", "-q", "bat_os"], cwd=folder, check=False)
    return folder


def _name_test(path: str) -> str:
    """The file that mirrors a module in the tests, without its end."""
    parts = Path(path).relative_to("bat_os").parts
    return "/".join(["tests", *parts[:-1], f"test_{Path(parts[-1]).stem}"])


def _load(path: Path, default: Any) -> Any:
    return json.loads(path.read_text()) if path.exists() else default


def _find_again(names: list[str]) -> list[Fault]:
    """Return the faults with these ids, as the lines are now; what is gone is left out."""
    wanted = dict.fromkeys(names)
    for path in {name.partition("::")[0] for name in names}:
        if (ROOT / path).exists():
            for fault in find_faults(path, (ROOT / path).read_bytes()):
                if fault.id in wanted:
                    wanted[fault.id] = fault
    return [fault for fault in wanted.values() if fault is not None]


def report(campaign: Campaign, against: dict[str, dict[str, Any]]) -> int:
    """Print the counts, the survivors, and what was caught before and is not now."""
    verdicts = campaign.verdicts
    for title, key in (("folder", lambda f: f.path.split("/")[1]), ("kind", lambda f: f.kind)):
        print(f"\n{title:<14}faults  caught")
        caught, total = Counter(), Counter()
        for fault in campaign.sample:
            total[key(fault)] += 1
            caught[key(fault)] += verdicts[fault.id]["is"] == "caught"
        for name, count in sorted(total.items()):
            print(f"{name:<14}{count:6}{caught[name]:8}  {caught[name] / count:.0%}")
    print("\nNot caught:")
    for fault in campaign.sample:
        verdict = verdicts[fault.id]
        if verdict["is"] != "caught":
            print(f"  {verdict['is']:<10}{verdict['tests']:5} tests  {verdict['change']}")
    good = sum(verdict["is"] == "caught" for verdict in verdicts.values())
    print(f"\n{good} of {len(verdicts)} caught ({good / len(verdicts):.1%})")
    lost = [
        name
        for name, verdict in against.items()
        if verdict["is"] == "caught" and verdicts.get(name, {"is": "caught"})["is"] != "caught"
    ]
    if against:
        print(f"{len(lost)} were caught before and are not now")
        print("".join(f"  {name}\n" for name in lost), end="")
    return 1 if lost else 0


def main() -> int:
    """Draw, measure, plant, report."""
    parser = argparse.ArgumentParser(description="How many planted faults the tests catch.")
    parser.add_argument("--sample", type=int, default=400, help="how many faults")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where it keeps what it knows, to go on later")
    parser.add_argument("--faults", type=Path, help="sample.json of an earlier run")
    parser.add_argument("--against", type=Path, help="verdicts.json of an earlier run")
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    folder.mkdir(parents=True, exist_ok=True)
    names = _load(given.faults or folder / "sample.json", None)
    sample = _find_again(names) if names else draw_sample(ROOT, given.sample, given.seed)
    (folder / "sample.json").write_text(json.dumps([fault.id for fault in sample], indent=1))
    campaign = Campaign(folder, sample)
    campaign.measure_reach()
    against = _load(given.against, {}) if given.against else {}
    campaign.remember(against)
    campaign.run()
    return report(campaign, against)


if __name__ == "__main__":
    raise SystemExit(main())
