"""What the forge withstands, what a person notices of it, and what its gates refuse.

    python -m benchmarks.forge [--only kills|messages|gates] [--seed N] [--kills N]
                               [--messages N] [--tasks N] [--poisoned N] [--folder FOLDER]

kills     A tiny random model is trained, and its process killed at N random moments of its whole
          life; each adapter that comes of it is compared with that of an unbroken run.
messages  A daemon with the packaged model: N known messages while an adapter is trained, and N
          while that is stopped, in turn; and new wishes until the first words of a draft, before
          and while it trains.
gates     The packaged model. Adapters that must not pass, against the shipped one, each with 8
          drafts for N tasks of the exam: of random weights; trained to write one body always; on
          wrong methods for these tasks; on 32 examples, all right; on these 32 with 30% of them
          made wrong, once for each of N seeds.

With ``--folder`` the gates can be ended anywhere, and the same command goes on with them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from safetensors.numpy import load_file, save_file

from bat_os.client.client import KernelClient
from bat_os.core.digest import digest
from bat_os.core.gate import DRAFTS, judge
from bat_os.engines.gguf import convert_gguf, packaged_gguf
from bat_os.errors import BatError
from bat_os.kernel.exam.sitting import read_paper
from bat_os.kernel.forge.child import ADAPTER, MODULE, ORDER, RECORDS
from bat_os.kernel.forge.comparing import Side, Trial, side_of
from bat_os.method.golden import write_body
from bat_os.training.examples import parse_examples
from bat_os.training.training import EXAMPLES, PACKAGED
from benchmarks.adapter import SHIPPED
from benchmarks.learning import ROOT, mind_in
from benchmarks.mission import TIME, once, start, stop, until
from benchmarks.night import Diary
from benchmarks.scratch import work_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bat_os.core.exam import Task
    from bat_os.ports import Prompt, Sampling

WEIGHTS = "adapter_model.safetensors"
POISONED = "30% wrong"  # and its seed
NAMES = ("random weights", "one body", "the opposite", "32 examples")


def order_run(folder: Path, base: Path, name: str, records: Sequence[Any], **order: Any) -> None:
    """Leave in a folder what the forge is to train."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"base": str(base), "base_name": name, **order}
    (folder / ORDER).write_text(json.dumps(told), encoding="utf-8")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / RECORDS).write_text(lines, encoding="utf-8")


def train(folder: Path) -> subprocess.Popen[str]:
    """Return the process that trains what a folder says."""
    return subprocess.Popen(
        [sys.executable, "-m", MODULE, str(folder)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


# Kills


def run_kills(options: argparse.Namespace, folder: Path) -> None:
    """Kill the process that trains, and compare what comes of it."""
    from tests.training.test_forge import RECORDED  # needs the test's packages
    from tests.training.test_training import make_base

    base = make_base(folder / "tiny-llama")
    how = {"rank": 2, "shipped": False, "epochs": 20}  # 60 steps

    def order(name: str) -> Path:
        order_run(folder / name, base, "tiny-llama", RECORDED, **how)
        return folder / name

    begun = time.monotonic()
    with train(order("unbroken")) as child:
        said = child.stdout.read() if child.stdout else ""
    life, steps = time.monotonic() - begun, said.count("\n")
    wanted = (folder / "unbroken" / ADAPTER / WEIGHTS).read_bytes()
    draw = random.Random(options.seed)  # noqa: S311 - moments, no secret
    kills, equal, runs, hit = 0, 0, 0, dict[str, int]()
    while kills < options.kills:
        runs += 1
        place, whole = order(f"run{runs}"), False
        while not whole:
            with train(place) as child:
                try:
                    child.wait(draw.uniform(0, life) if kills < options.kills else None)
                    whole = child.returncode == 0
                except subprocess.TimeoutExpired:
                    child.kill()
                    kills += 1
                    at = "in a step" if any(place.glob("checkpoint-*")) else "before a checkpoint"
                    at = "in a checkpoint" if any(place.glob("*.partial")) else at
                    hit[at] = hit.get(at, 0) + 1
                    print(f"kill {kills}, run {runs}, {at}", file=sys.stderr)
        equal += (place / ADAPTER / WEIGHTS).read_bytes() == wanted
        print(f"{equal} of {runs} equal so far", file=sys.stderr)
    print(f"{kills} kills in {runs} runs of {steps} steps, {life:.0f} s each (seed {options.seed})")
    print(f"  {equal} of {runs} adapters equal, bit for bit (goal: all)")
    print("  " + ", ".join(f"{count} {at}" for at, count in sorted(hit.items())))


# Messages


def trainer_of(kernel: subprocess.Popen[bytes]) -> psutil.Process | None:
    """Return the process that trains for a daemon."""
    for child in psutil.Process(kernel.pid).children():
        if MODULE in child.cmdline():
            return child
    return None


async def until_it_trains(kernel: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until the training has used so much processor time and runs just now."""
    begun: float | None = None
    while True:
        await asyncio.sleep(0.02)
        child = trainer_of(kernel)
        if child is None or child.status() == psutil.STATUS_STOPPED:
            continue
        spent = child.cpu_times().user
        begun = spent if begun is None else begun
        if spent - begun >= seconds:
            return


async def ask_known(home: Path, kernel: Any, count: int) -> dict[bool, list[float]]:
    """Return the milliseconds of known messages while it trains and while it is stopped, sorted.

    In turn, so that what else the machine does falls on both: a message stops the training for two
    seconds, and the next one comes within these.
    """
    took = dict[bool, list[float]]({True: [], False: []})
    async with KernelClient.at(home) as client:
        for _ in range(count):
            for trains, times in took.items():
                await (until_it_trains(kernel, 0.2) if trains else asyncio.sleep(1))
                begun = time.perf_counter()
                await client.request("send", target="genesis_obj", selector=TIME[0])
                times.append((time.perf_counter() - begun) * 1e3)
    return {trains: sorted(times) for trains, times in took.items()}


async def first_words(home: Path, kernel: Any, wishes: Sequence[str], *, trains: bool) -> float:
    """Return the median seconds from a new wish to the first words of a draft."""
    took = []
    async with KernelClient.at(home) as client:
        for wish in wishes:
            await (until_it_trains(kernel, 0.2) if trains else asyncio.sleep(2.5))
            begun, words = time.perf_counter(), list[float]()

            def hear(kind: str, body: Any, begun: float = begun, words: Any = words) -> None:
                if kind == "event" and body.get("text"):
                    words.append(time.perf_counter() - begun)

            with suppress(BatError):  # how it ends is not measured here
                await client.request(
                    "send", timeout=600, on_event=hear, target="genesis_obj",
                    selector=f"wish_{os.urandom(4).hex()}", args=(3, 4), ik=os.urandom(8).hex(),
                    body={"text": wish, "tokens": True, "fresh": True},
                )  # fmt: skip
            took += words[:1]
    return median(took) if took else math.nan


async def run_messages(options: argparse.Namespace, folder: Path) -> None:
    """Ask a daemon without and with a training beside it, and print both."""
    home, found = folder / "home", dict[bool, list[float]]()
    words, wishes = dict[bool, float](), [task.brief for task in read_paper().tasks[:3]]
    kernel = start(home)
    try:
        await until(home, "ready")
        await once(home, *TIME)
        memory = 0
        for trains in (False, True):
            if trains:
                async with KernelClient.at(home) as client:
                    body = {"do": "start", "anyway": True}
                    await client.request("forge", timeout=300, body=body)
                while "step" not in (await forge_status(home)):  # noqa: ASYNC110 - nothing tells of it
                    await asyncio.sleep(5)
                found = await ask_known(home, kernel, options.messages)
            words[trains] = await first_words(home, kernel, wishes, trains=trains)
            if trains and (child := trainer_of(kernel)) is not None:
                memory = child.memory_info().rss >> 20
        status = await forge_status(home)
    finally:
        await asyncio.to_thread(stop, kernel)
    for trains, took in found.items():
        name = "while it trains" if trains else "while it is stopped"
        p99 = took[min(len(took) - 1, round(0.99 * len(took)))]
        print(f"known message, {name:<20} p50 {median(took):.1f} ms, p99 of {len(took)} "
              f"{p99:.1f} ms; first words of a mission {words[trains]:.2f} s")  # fmt: skip
    print(f"goal: p99 10 ms more, first words 0.5 s more; the training holds {memory} MB, "
          f"{status.get('each', '?')} s a step")  # fmt: skip


async def forge_status(home: Path) -> dict[str, Any]:
    """Return what ``batos forge`` says."""
    async with KernelClient.at(home) as client:
        told: dict[str, Any] = (await client.request("forge"))["forge"]
        return told


# Gates


def make_records(name: str, seed: int, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Return what an adapter of that name is trained on."""
    if name in ("one body", "the opposite"):
        return [
            {"wish": task.brief, "call": f"{task.selector}({', '.join(task.params)})",
             "body": "return 0" if name == "one body" else write_body(task.wrong, task.selector),
             "cases": [{"args": ", ".join(map(repr, one.args)), "value": repr(one.result)}
                       for one in task.tests], "cluster": task.selector}
            for task in tasks
        ]  # fmt: skip
    draw = random.Random(seed)  # noqa: S311 - figures, no secret
    entries = tomllib.loads(EXAMPLES.read_text(encoding="utf-8"))["example"]
    examples = dict(zip(map(id, entries), parse_examples(EXAMPLES.read_text("utf-8")), strict=True))
    chosen = draw.sample(entries, 32)
    records = [{**one, "cluster": one["wish"]} for one in chosen]
    for record, one in list(zip(records, chosen, strict=True))[
        : 10 if name.startswith(POISONED) else 0
    ]:
        params = examples[id(one)].params
        others = [
            body for other in examples.values()
            if len(other.params) == len(params) and other.body != one["body"]
            and (body := other.rename(params))
        ]  # fmt: skip
        record["body"] = draw.choice(others)
    return records


def names_of(options: argparse.Namespace) -> list[str]:
    """Return the adapters that are tried."""
    first = range(options.seed, options.seed + options.poisoned)
    return [*NAMES, *(f"{POISONED} {seed}" for seed in first)]


def make_adapters(folder: Path, options: argparse.Namespace, tasks: Sequence[Task]) -> None:
    """Train what is not there yet."""
    adapters, base = folder / "home" / "adapters", folder / "base"
    source = packaged_gguf()
    if source is None:
        raise SystemExit("the packaged model is not installed")
    if not (base / "config.json").is_file():
        convert_gguf(source, base, lambda line: print(line, file=sys.stderr))
    if not (adapters / SHIPPED.name).is_dir():
        shutil.copytree(SHIPPED, adapters / SHIPPED.name)
    for name in names_of(options):
        seed = int(name.split()[-1]) if name.startswith(POISONED) else options.seed
        place = adapters / name.replace(" ", "-").replace("%", "")
        if place.is_dir():
            continue
        if name == "random weights":
            work = place.with_name("partial")
            shutil.copytree(SHIPPED, work, dirs_exist_ok=True)
            drawn = np.random.default_rng(seed)
            tensors = load_file(work / WEIGHTS)
            save_file({key: drawn.normal(0, 0.05, one.shape).astype(one.dtype)
                       for key, one in tensors.items()}, work / WEIGHTS)  # fmt: skip
            work.rename(place)
            continue
        run = folder / f"run-{place.name}"
        records = make_records(name, seed, tasks)
        order_run(run, base, PACKAGED, records, shipped=False, epochs=1)
        with train(run) as child:
            print(name, (child.stdout.read() if child.stdout else "")[-200:], file=sys.stderr)
        (run / ADAPTER).rename(place)


async def run_gates(options: argparse.Namespace, folder: Path) -> None:
    """Draw with each adapter what is not there yet, and print what the gates say."""
    tasks = read_paper().tasks[: options.tasks]
    await asyncio.to_thread(make_adapters, folder, options, tasks)
    diary = Diary(folder / "gates.jsonl")
    async with mind_in(folder / "home", DRAFTS, "adapters") as mind:
        present = mind.roster.adapter_of("ALFRED", writing=True)

        def through(name: str) -> Side:
            known = {tuple(entry[:2]): entry[2] for entry in diary.of("drawn")}

            async def draw(prompts: Sequence[Prompt], sampling: Sampling) -> Any:
                key = name, digest(repr(prompts[0]))
                if key not in known:
                    drawn = await mind.roster.generate(
                        "ALFRED", prompts, sampling, writing=True, through=name
                    )
                    diary.add("drawn", [*key, [one.text for one in drawn]])
                    known[key] = [one.text for one in drawn]
                return [SimpleNamespace(text=text) for text in known[key]]

            return side_of(mind.cast, "ALFRED", draw)

        print(f"each against {present}: {DRAFTS} drafts for {len(tasks)} tasks of the exam")
        for name in names_of(options):
            new = name.replace(" ", "-").replace("%", "")
            trial = Trial(mind, through(present), through(new))
            found = judge(await trial.compare([(task, False) for task in tasks]))
            word = "passes" if found[-1].passed else f"refused by {found[-1].name!r}"
            print(f"{name:<16}{word}: {found[-1].why}", flush=True)


def main() -> int:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", choices=("", "kills", "messages", "gates"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=60, help="so many tasks of the exam")
    parser.add_argument("--poisoned", type=int, default=5, help="so many poisoned adapters")
    parser.add_argument("--folder", type=Path, help="keep the gates there, and go on with them")
    options = parser.parse_args()
    with work_in() as folder:
        if "kills".startswith(options.only):
            run_kills(options, folder)
        if "messages".startswith(options.only):
            asyncio.run(run_messages(options, folder / "messages"))
        if "gates".startswith(options.only):
            asyncio.run(run_gates(options, options.folder or folder / "gates"))
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
