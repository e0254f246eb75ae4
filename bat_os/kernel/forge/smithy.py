"""The smithy: trains an adapter from gold in a child process, tries it, and puts it in its place.

    start ──→ FOLDER: order.json, records.jsonl, about.json ──→ training (child) ──→ FOLDER/adapter
          ──→ trial ──→ gates ──→ one transaction: adapter, record, pointers of the personas
                          └─ the first no: the adapter is thrown away, its figures are kept

A person begins a run, or the heartbeat does, once enough was learned: then it works only in the
heartbeat's steps, within its budget, and the adapter waits for a yes.

It works only while nobody else does: a message stops the child at once, and after a while has it
write a checkpoint and give its memory back. A run outlives the daemon: its folder is taken up at
the next start, and nothing is in the image before the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import shutil
import time
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

import psutil

from bat_os.core.gate import Gate, judge
from bat_os.errors import ArgumentsError, BatError, BusyError, ModelError, ResourceError
from bat_os.image import runs
from bat_os.image.history import entries
from bat_os.kernel.exam.sitting import read_paper
from bat_os.kernel.forge.child import ADAPTER, ORDER, QUIET_SECONDS, RECORDS, Child
from bat_os.kernel.forge.comparing import Side, Trial, digest_rules, find_tasks, side_of
from bat_os.kernel.idle.curator import alike_wishes, curate
from bat_os.method.golden import GOLD, TRAIN, digest_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping, Sequence
    from pathlib import Path

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.kernel.exam.examiner import Examiner
    from bat_os.ports import Completion, Prompt, Sampling

log = logging.getLogger(__name__)

LEAST_GOLD: Final = 50  # new records, in LEAST_CLUSTERS, before a run is worth its time
LEAST_CLUSTERS: Final = 20
MEMORY: Final = 3 << 30  # bytes that have to be free
# 130 to 250 steps of 8 lessons: 15 to 30 minutes of two quiet cores for a model of 135M.
RECIPE: Final = {"rank": 16, "rate": 5e-4, "epochs": 4}
POLL_SECONDS: Final = 0.1
_NAMED: Final = ("mission", "object", "selector", "version")
_KEPT: Final = ("model", "dataset", "records", "lineage", "personas", "begun")
_ABOUT, _STOPPED = "about.json", "stopped"


class Models(Protocol):
    """What knows the engines and the weights, which the kernel does not."""

    def check_training(self) -> None:
        """Raise ModelError if what trains is not installed."""

    async def weights(self, name: str) -> Path:
        """Return the GGUF file of a stored model, or the folder of its safetensors."""

    async def try_adapter(self, name: str, folder: Path, base: str) -> None:
        """Make an adapter known to the engine of ``base`` without storing it."""

    async def keep_adapter(
        self, name: str, folder: Path, base: str, also: Callable[[Any], None]
    ) -> None:
        """Store an adapter that was tried; ``also`` is done in the transaction that enters it."""


class Smithy:
    """Makes one adapter at a time; belongs to one event loop.

    Args:
        context: Whose image it is.
        models: Knows the engines.
        examiner: Draws while nothing else is wanted.
        folder: Where a run is kept while it goes on; it may not be there.
    """

    def __init__(
        self, context: KernelContext, models: Models, examiner: Examiner, folder: Path
    ) -> None:
        self._context = context
        self._models = models
        self._examiner = examiner
        self._folder = folder
        self._wake = asyncio.Event()
        self._may_work = asyncio.Event()  # set during the steps of the heartbeat
        self._child: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._trial: Trial | None = None
        self._fault = ""

    async def start(self, *, anyway: bool = False) -> dict[str, Any]:
        """Begin a run, or go on with the one that was stopped; return what ``status`` does.

        Raises:
            BusyError: One goes on.
            ArgumentsError: Too little was learned since the last one, and not ``anyway``.
            ModelError: What trains is not installed, or the model runs on a server.
            ResourceError: Too little memory is free.
        """
        if (stopped := self._folder / _STOPPED).exists():
            stopped.unlink()
        elif (about := self._about()) and not about.get("unasked"):
            raise BusyError("a run goes on already; see: batos forge status")
        elif not about:
            await self._prepare(anyway=anyway)
        if (about := self._about()).pop("unasked", False):  # by a person's word from now on
            self._note(about)
        self._fault = ""
        self._may_work.set()
        self._wake.set()
        return await self.status()

    async def stop(self) -> bool:
        """Stop the run that goes on; ``start`` goes on with it. Return False if there is none."""
        if not self._about() or (self._folder / _STOPPED).exists():
            return False
        (self._folder / _STOPPED).touch()
        if self._child is not None:
            self._child.pause()
        elif self._task is not None:
            self._task.cancel()  # what was tried is tried again
        return True

    async def status(self) -> dict[str, Any]:
        """Return what goes on, and what is missing for the next run."""
        state = "idle"
        facts: dict[str, Any] = {}
        if about := self._about():
            stopped = (self._folder / _STOPPED).exists()
            state = "stopped" if stopped else "trying" if self._trial else "training"
            facts = {"run": about["run"], "records": len(about["records"])}
            if self._trial is not None:
                facts |= {"tried": self._trial.done, "of": self._trial.of}
            else:
                facts |= about.get("reached", {}) | (self._child.said if self._child else {})
        else:
            records, near = await self._gold()
            facts = {**await self._missing(records), "near": near}
        return {"state": state, **facts, **({"fault": self._fault} if self._fault else {})}

    async def next_run(self) -> int:
        """Return the number of the run that the heartbeat is to work on; 0 for none.

        It is one that was begun unasked, or the next one where enough was learned.
        """
        if about := self._about():
            return int(about["run"]) if about.get("unasked") and self._goes_on() else 0
        learned = await self._context.image.transact(
            lambda root: sum(1 for _ in islice(entries.learned(root), LEAST_GOLD)), note="count"
        )
        if learned < LEAST_GOLD or (await self._missing((await self._gold())[0]))["missing"]:
            return 0
        return await self._context.image.transact(runs.next_number, note="look for runs")

    async def work(self, seconds: float) -> bool:
        """Go on for some seconds with the run of the heartbeat; return True at its end.

        Raises:
            ModelError, ResourceError, ArgumentsError: As ``start``.
        """
        if not self._about():
            await self._prepare(anyway=False, unasked=True)
        self._may_work.set()
        self._wake.set()
        try:
            until = time.monotonic() + seconds
            while self._goes_on() and time.monotonic() < until:  # noqa: ASYNC110 - much ends it
                await asyncio.sleep(POLL_SECONDS)
        finally:
            self._may_work.clear()
        return not self._goes_on()

    def _goes_on(self) -> bool:
        return bool(self._about()) and not (self._folder / _STOPPED).exists() and not self._fault

    def _may(self) -> bool:
        return self._may_work.is_set() or not self._about().get("unasked")

    async def keep(self) -> None:
        """Go on with what is begun, until cancelled."""
        while True:
            if self._goes_on() and self._may():
                self._task = asyncio.create_task(self._go_on(), name="forge")
                try:
                    await asyncio.wait([self._task])
                finally:
                    self._task.cancel()
                    found = await asyncio.gather(self._task, return_exceptions=True)
                    self._task = None
                if isinstance(error := found[0], BatError | OSError):
                    self._fault = str(error)
                    log.warning("the forge has failed: %s", error)
                elif isinstance(error, Exception):
                    raise error
                continue
            self._wake.clear()
            await self._wake.wait()

    async def _prepare(self, *, anyway: bool, unasked: bool = False) -> None:
        context = self._context
        self._models.check_training()
        if psutil.virtual_memory().available < MEMORY:
            raise ResourceError("training needs 3 GB of free memory; try again later")
        model, personas = self._writers()
        if context.roster.is_remote(model):
            raise ModelError(f"model {model} runs on a server; the forge trains those in the image")
        records, _ = await self._gold()
        missing = (await self._missing(records))["missing"]
        if missing and not anyway:
            raise ArgumentsError(f"too little to learn from yet: {missing}")
        about = {
            "run": await context.image.transact(runs.next_number, note="look for runs"),
            "persona": personas[0], "personas": personas, "model": model,
            "before": context.roster.adapter_of(personas[0], writing=True),
            "dataset": digest_of(records), "records": [record["digest"] for record in records],
            "lineage": [{key: record["lineage"][key] for key in _NAMED} for record in records],
            "begun": time.time(), "unasked": unasked,
        }  # fmt: skip
        order = {"base": str(await self._models.weights(model)), "base_name": model, **RECIPE}
        lines = "".join(json.dumps(record) + "\n" for record in records)

        def write() -> None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir(parents=True)
            (self._folder / ORDER).write_text(json.dumps(order), encoding="utf-8")
            (self._folder / RECORDS).write_text(lines, encoding="utf-8")
            self._note(about)  # last: a folder without it is not a run

        await asyncio.to_thread(write)

    def _note(self, about: Mapping[str, Any]) -> None:
        (self._folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

    def _writers(self) -> tuple[str, list[str]]:
        """Return the model that ALFRED writes methods with, and all personas that do so, too."""
        roster = self._context.roster
        model, adapter = roster.model_of("ALFRED"), roster.adapter_of("ALFRED", writing=True)
        alike = [
            persona
            for persona in self._context.profile.personas
            if roster.model_of(persona) == model
            and roster.adapter_of(persona, writing=True) == adapter
        ]
        return model, ["ALFRED", *(persona for persona in alike if persona != "ALFRED")]

    async def _gold(self) -> tuple[list[dict[str, Any]], int]:
        """Return the gold to train on, and how many are left out: much like a task of the exam."""
        records = await curate(self._context)
        gold = [one for one in records if (one["grade"], one["split"]) == (GOLD, TRAIN)]
        if not gold:
            return [], 0
        tasks = [task.brief for task in read_paper().tasks]
        embed = self._context.catalog.embed
        alike = alike_wishes(await embed([one["wish"] for one in gold]), await embed(tasks))
        apart = [one for one, row in zip(gold, alike, strict=True) if not row.any()]
        return apart, len(gold) - len(apart)

    async def _missing(self, gold: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Return how much of the gold is new, and what is missing for a run."""
        known = await self._context.image.transact(runs.read, note="look for runs")
        seen = {record for run in known for record in run["records"]}
        new = [one for one in gold if one["digest"] not in seen]
        clusters = len({one["cluster"] for one in new})
        wants = []
        if len(new) < LEAST_GOLD:
            wants.append(f"{LEAST_GOLD - len(new)} more gold records")
        if clusters < LEAST_CLUSTERS:
            wants.append(f"{LEAST_CLUSTERS - clusters} more clusters of them")
        return {"new": len(new), "clusters": clusters, "missing": " and ".join(wants)}

    async def _go_on(self) -> None:
        about = self._about()
        known = await self._context.image.transact(runs.read, note="look for runs")
        if not any(run["run"] == about["run"] for run in known):  # else it ended just after that
            if not (self._folder / ADAPTER).is_dir() and not await self._train():
                return
            await self._try(about)
        await asyncio.to_thread(shutil.rmtree, self._folder)

    async def _train(self) -> bool:
        """Train while it is quiet; return True once the adapter is there."""
        is_quiet = self._examiner.is_quiet
        while not (is_quiet(QUIET_SECONDS) and self._may()):
            await asyncio.sleep(POLL_SECONDS)
            if (self._folder / _STOPPED).exists():
                return False
        self._child = Child(self._folder)
        try:
            status = await self._child.run(is_quiet, self._may)
        finally:
            said, self._child = self._child.said, None
            if "step" in said and (about := self._about()):
                self._note({**about, "reached": said})  # ``status`` says it while nothing trains
        return status

    async def _try(self, about: Mapping[str, Any]) -> None:
        """Let the gates decide, and do what they say."""
        number, name = about["run"], runs.adapter_of(about["run"])
        folder, base = self._folder / ADAPTER, about["model"]
        record = {key: about[key] for key in _KEPT}
        record["rules"] = await asyncio.to_thread(digest_rules)
        try:
            await self._models.try_adapter(name, folder, base)
        except ModelError as error:
            gates = [Gate("whole", False, {}, str(error))]
        else:
            gates = await self._judge(about, name)
        record["ended"] = time.time()
        record["gates"] = [
            {"gate": gate.name, "passed": gate.passed, "figures": gate.figures, "why": gate.why}
            for gate in gates
        ]
        image = self._context.image
        if not gates[-1].passed:
            entry = {**record, "outcome": runs.REFUSED}
            await image.transact(
                lambda root: runs.note(root, number, entry), note=f"forge run {number} is refused"
            )
            log.info("forge run %d is refused at the gate %s", number, gates[-1].name)
            return
        waits = self._context.options.approve or about.get("unasked", False)

        def also(root: MutableMapping[str, Any]) -> None:
            if waits:
                runs.note(root, number, {**record, "outcome": runs.WAITS})
            else:
                runs.promote(root, number, record, about["personas"], at=time.time())

        await self._models.keep_adapter(name, folder, base, also)
        await self._context.refresh()
        log.info("forge run %d %s", number, "waits for a yes" if waits else "is promoted")

    async def _judge(self, about: Mapping[str, Any], name: str) -> list[Gate]:
        context, persona = self._context, about["persona"]

        def through(adapter: str) -> Side:
            return side_of(
                context.cast, persona,
                lambda prompts, sampling: self._draw(persona, prompts, sampling, adapter),
            )  # fmt: skip

        self._trial = Trial(context, through(about["before"]), through(name))
        try:
            return judge(await self._trial.compare(find_tasks(await curate(context))))
        finally:
            self._trial = None

    async def _draw(
        self, persona: str, prompts: Sequence[Prompt], sampling: Sampling, adapter: str
    ) -> Sequence[Completion]:
        if not self._may():
            await self._may_work.wait()
        return await self._examiner.draw(persona, prompts, sampling, True, adapter)

    def _about(self) -> dict[str, Any]:
        """Return what the run that is begun is about; {} if there is none."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self._folder / _ABOUT).read_text(encoding="utf-8"))
            return dict(found)
        return {}


async def _move(mind: KernelContext, do: str, number: int) -> dict[str, Any]:
    """Take a run that waits, or undo a promoted one."""
    change = {"take": runs.take, "undo": runs.undo}[do]
    done = await mind.image.transact(
        partial(change, number=number, at=time.time()), note=f"{do} forge run {number}"
    )
    await mind.refresh()
    if do == "take":
        return {"taken": done}
    through = await mind.image.transact(
        partial(runs.written_through, number=number), note="look what it wrote"
    )
    return {"undone": done, "written": through}


def make_forge_verbs(smithy: Smithy) -> Mapping[str, Handler]:
    """Return the verb ``forge`` over a smithy."""

    async def forge(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        do, number = request.body["do"], request.body["run"]
        if do == "start":
            return {"forge": await smithy.start(anyway=request.body["anyway"])}
        if do == "stop":
            return {"stopped": await smithy.stop(), "forge": await smithy.status()}
        if do in ("take", "undo"):
            return await _move(mind, do, number)
        if do == "runs":
            return {"runs": await mind.image.transact(runs.read, note="list the forge's runs")}
        return {"forge": await smithy.status()}

    return {"forge": forge}
