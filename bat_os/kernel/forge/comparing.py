"""Draws and tries drafts through the present adapter and a new one: what the gates decide by.

    the exam's tasks, the held-out records, the last missions ──→ 8 drafts each, twice ──→ cell

The same prompts and seeds for both. What a model writes runs in the cell and nowhere else; the
image is not touched.
"""

from __future__ import annotations

from dataclasses import replace
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

    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Completion, Prompt, Sampling

    # Draws a batch through an adapter; gives way to everything else that the model is needed for.
    Draw = Callable[[Sequence[Prompt], Sampling, str], Awaitable[Sequence[Completion]]]

MAX_OWN: Final = 50  # of the last methods that this mind has installed
TEMPERATURE: Final = 0.7
TOKENS: Final = 110
_LARGEST_SEED: Final = 1 << 31


def find_tasks(records: Sequence[Mapping[str, Any]]) -> list[tuple[Task, bool]]:
    """Return (task, whether it is one of this mind's own methods) for all that is tried.

    ``records`` are those of ``batos golden``. Held-out gold counts as a test; the last methods of
    any grade but none are the mind's own.
    """
    tasks = [(task, False) for task in read_paper().tasks]
    kept = [record for record in records if record["grade"] != NONE and record["cases"]]
    for record in kept:
        if (record["grade"], record["split"]) == (GOLD, HELD_OUT):
            tasks += [(task, False) for task in as_task(record)]
    for record in sorted(kept, key=lambda one: str(one["lineage"]["mission"]))[-MAX_OWN:]:
        tasks += [(task, True) for task in as_task(record)]
    return tasks


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


class Trial:
    """One comparison of two adapters.

    Attributes:
        done, of: Wishes that were drawn for, and all of them.
    """

    def __init__(self, context: KernelContext, persona: str, draw: Draw) -> None:
        self._context = context
        self._persona = persona
        self._draw = draw
        self.done = self.of = 0

    async def compare(
        self, tasks: Sequence[tuple[Task, bool]], before: str, after: str
    ) -> list[Wish]:
        """Return the drafts of both adapters for each task.

        Raises:
            ModelError: The model, or one of the adapters, cannot be had.
            CellUnavailableError: No learned code can run on this machine.
        """
        self.done, self.of = 0, len(tasks)
        wishes = []
        for task, own in tasks:
            drafts = [await self._drafts(task, adapter) for adapter in (before, after)]
            wishes.append(Wish(task.brief, drafts[0], drafts[1], own))
            self.done += 1
        return wishes

    async def _drafts(self, task: Task, adapter: str) -> tuple[Draft, ...]:
        system = self._context.cast.personas[self._persona].system_prompt
        prompt = ask_method(task.to_brief(), system, None)
        seed = int(digest(task.brief), 16) % _LARGEST_SEED
        own = self._context.cast.assigned[self._persona].sampling
        sampling = replace(
            own, temperature=TEMPERATURE, seed=seed, max_tokens=TOKENS, stop=STOP, schema=None
        )
        drawn = await self._draw([prompt] * DRAFTS, sampling, adapter)
        return tuple([await self._try(task, answer.text) for answer in drawn])

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
