"""Draws and tries drafts in two ways, such as through two adapters: what gates and canary go by.

    the exam's tasks, the held-out records, the last missions ──→ 8 drafts each, twice ──→ cell

The same wishes and seeds for both. What a model writes runs in the cell and nowhere else; the
image is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.choosing import meaning, same
from bat_os.core.digest import digest
from bat_os.core.exam import Task, Try
from bat_os.core.gate import DRAFTS, Draft, Wish
from bat_os.core.prompts import STOP, ask_method, read_method
from bat_os.core.syntax import parse_literal
from bat_os.kernel.exam.sitting import answers, read_paper
from bat_os.method.fixups import apply_fixups
from bat_os.method.golden import GOLD, HELD_OUT, NONE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from bat_os.kernel.cast import Cast
    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Completion, Prompt, Sampling

    # Draws a batch; gives way to everything else that the model is needed for.
    Draw = Callable[[Sequence[Prompt], Sampling], Awaitable[Sequence[Completion]]]

MAX_OWN: Final = 50  # of the last methods that this mind has installed
_RULES: Final = ("kernel/exam/briefs.jsonl", "kernel/exam/sitting.py", "kernel/forge/comparing.py",
                 "core/gate.py")  # fmt: skip
_LARGEST_SEED: Final = 1 << 31


def find_tasks(records: Sequence[Mapping[str, Any]]) -> list[tuple[Task, bool]]:
    """Return (task, whether it is one of this mind's own methods) for all that is tried.

    ``records`` are those of ``batos golden``. Held-out gold counts as a test; the last methods of
    any grade but none are the mind's own.
    """
    tasks = [(task, False) for task in read_paper().tasks]
    for record in records:
        if (record["grade"], record["split"]) == (GOLD, HELD_OUT):
            tasks += [(task, False) for task in as_task(record)]
    return tasks + [(task, True) for record in find_own(records) for task in as_task(record)]


def find_own(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the records of the last methods of this mind that can be written again."""
    kept = [record for record in records if record["grade"] != NONE and as_task(record)]
    return sorted(kept, key=lambda one: str(one["lineage"]["mission"]))[-MAX_OWN:]


def as_task(record: Mapping[str, Any]) -> list[Task]:
    """Return the task that a record is, in a list; [] where its cases cannot be tried so."""
    try:
        tests = [
            Try(parse_literal(f"[{case['args']}]"), parse_literal(case["value"]))
            for case in record["cases"]
        ]
    except (ValueError, SyntaxError, KeyError, MemoryError, RecursionError):
        return []
    selector, _, params = record["call"].removesuffix(")").partition("(")
    names = [name for name in params.split(", ") if name]
    return [Task(record["wish"], selector, names, {}, tests, "", "")] if tests else []


def digest_rules() -> str:
    """Return a digest of what decides: the tasks, how they are tried, and the gates.

    It stands in the record of a run, so that it is seen where something has changed them.
    """
    package = resources.files("bat_os")
    return digest("\n".join((package / place).read_text("utf-8") for place in _RULES))


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two ways in which a method is written."""

    system: str  # what the writer is
    order: str  # how a method is asked for
    sampling: Sampling
    draw: Draw


def side_of(cast: Cast, persona: str, draw: Draw) -> Side:
    """Return how a persona of a cast writes methods."""
    entry = cast.entries["synthesizing"]
    system = f"{cast.personas[persona].system_prompt} {entry['advice']}".rstrip()
    return Side(system, entry["order"], cast.assigned[persona].sampling, draw)


class Trial:
    """One comparison of two ways to write.

    Attributes:
        done, of: Wishes that were drawn for, of both sides, and all of them.
    """

    def __init__(
        self, context: KernelContext, before: Side, after: Side,
        tell: Callable[[int, int], None] = lambda done, of: None,
    ) -> None:  # fmt: skip
        self._context = context
        self._sides = before, after
        self._tell = tell
        self.done = self.of = 0

    async def compare(self, tasks: Sequence[tuple[Task, bool]]) -> list[Wish]:
        """Return the drafts of both sides for each task.

        Raises:
            ModelError: The model, or one of the adapters, cannot be had.
            CellUnavailableError: No learned code can run on this machine.
        """
        self.done, self.of = 0, 2 * len(tasks)
        # One side after the other: each may need a model of its own in memory.
        drawn = [[await self._drafts(task, side) for task, _ in tasks] for side in self._sides]
        return [
            Wish(task.brief, before, after, own)
            for (task, own), before, after in zip(tasks, *drawn, strict=True)
        ]

    async def _drafts(self, task: Task, side: Side) -> tuple[Draft, ...]:
        prompt = ask_method(task.to_brief(), side.system, None, order=side.order)
        seed = int(digest(task.brief), 16) % _LARGEST_SEED
        sampling = replace(side.sampling, seed=seed, stop=STOP, schema=None)
        drawn = await side.draw([prompt] * DRAFTS, sampling)
        found = tuple([await self._try(task, answer.text) for answer in drawn])
        self.done += 1
        self._tell(self.done, self.of)
        return found

    async def _try(self, task: Task, text: str) -> Draft:
        """Return the draft as it stands, or as the fix-ups make it if only that is right."""
        source = read_method(task.to_brief(), text, STOP)
        first = await self._run(task, source)
        if first.right:
            return first
        fixed, _ = apply_fixups(source, task.selector, frozenset(task.state), frozenset())
        second = await self._run(task, fixed) if fixed != source else first
        return second if second.behaviour else first

    async def _run(self, task: Task, source: str) -> Draft:
        guardian = self._context.guardian
        source = guardian.repair(source, task.selector)
        if guardian.audit(source, task.selector).lines():
            return Draft(False, "", source)
        values = await answers(self._context.cell, task, source, [one.args for one in task.tests])
        if values is None:
            return Draft(False, "", source)
        right = all(same(value, one.result) for value, one in zip(values, task.tests, strict=True))
        return Draft(right, digest("\n".join(map(meaning, values))), source)
