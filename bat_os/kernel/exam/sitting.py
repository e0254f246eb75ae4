"""One model answers the questions of the exam, and its answers are judged.

    form     20 tasks, nothing forced: is the answer the fenced block that was asked for?
    writes   60 tasks, the first draft: does it pass, in the cell?
    tests    20 tasks: do the tests that it writes accept the right body and refuse the wrong one?
    plans    20 wishes: do its queries, beside the wish, bring the right one of 40 passages?
    tools    20 requests, some with steps that were taken: does it decide on the right next one?
    judges   200 pairs of requests: one or two? ends when too many were wrongly called one

What a model writes runs in the cell and nowhere else. Nothing touches the image: a task with
state carries its slots from one call to the next, and the passages lie in a catalog of their own.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import written_tests
from bat_os.core.ability import Ability
from bat_os.core.choosing import same
from bat_os.core.exam import has_form, is_lost, parse_paper, share, share_known
from bat_os.core.prompts import (
    FENCE_STOP,
    SAME_SCHEMA,
    STOP,
    ask_method,
    ask_plan,
    ask_same,
    plan_schema,
    read_method,
    read_plan,
    read_same,
)
from bat_os.core.values import Ref
from bat_os.errors import CellError, ModelOutputError, NotUnderstoodError, ProtocolError
from bat_os.image.catalog_service import CatalogService
from bat_os.image.store import ImageStore
from bat_os.kernel.exam import stepping
from bat_os.kernel.learning.target import SAME_TOKENS
from bat_os.method.fixups import apply_fixups
from bat_os.ports import Call, ObjectView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from bat_os.core.exam import Paper, Task
    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Cell, Completion, Nested, NestedReply, Prompt, Sampling

    # Draws one batch; gives way to everything else that the model is needed for.
    Ask = Callable[[Sequence[Prompt], Sampling, bool], Awaitable[Sequence[Completion]]]

PARTS: Final = ("form", "writes", "tests", "plans", "tools", "judges")
BATCH: Final = 8
# Wall clock; the small model takes some minutes. A part that would begin later is left out, and
# its figure is unknown.
SECONDS: Final = 1800.0
FREE_TOKENS: Final = 160  # of an answer that is not forced: the methods are short
FOUND: Final = 3  # passages among which the right one has to be
TRY_SECONDS: Final = 1.0


@cache
def read_paper() -> Paper:
    """Return the shipped questions; the files are read once."""
    folder = resources.files("bat_os.kernel.exam")
    names = ("briefs", "pairs", "passages", "steps")
    return parse_paper(*((folder / f"{name}.jsonl").read_text(encoding="utf-8") for name in names))


class Sitting:
    """One exam of one persona's model.

    Attributes:
        part: Which of PARTS is being asked.
        done, of: Questions of the part that were answered, and all of them.
    """

    def __init__(self, context: KernelContext, persona: str, paper: Paper, ask: Ask) -> None:
        self._context = context
        self._persona = persona
        self._paper = paper
        self._ask = ask
        self._own = replace(context.cast.assigned[persona].sampling, temperature=0.0, seed=0)
        self.part, self.done, self.of = PARTS[0], 0, len(paper.sample)
        self._sizes = {
            "form": len(paper.sample),
            "writes": len(paper.tasks),
            "tests": len(paper.sample),
            "plans": len(paper.wishes),
            "tools": len(paper.decisions),
            "judges": len(paper.pairs),
        }

    async def take(self) -> Ability:
        """Ask all questions and return the figures.

        Raises:
            ModelError: The model cannot be had.
            CellUnavailableError: No learned code can run on this machine.
        """
        until = time.monotonic() + SECONDS
        ability = Ability()
        for part in PARTS:
            if time.monotonic() >= until:
                break
            measure: Callable[[Ability], Awaitable[float | None]] = getattr(self, f"_{part}")
            self.part, self.done, self.of = part, 0, self._sizes[part]
            ability = replace(ability, **{part: await measure(ability)})
        return ability

    async def _form(self, _: Ability) -> float | None:
        sampling = replace(self._own, max_tokens=FREE_TOKENS, stop=FENCE_STOP)
        asked = self._drawn(self._paper.sample, lambda task: self._order(task, False), sampling)
        return share(
            [
                has_form(answer.text, task.selector, finished=answer.finished)
                async for task, answer in asked
            ]
        )

    async def _writes(self, ability: Ability) -> float | None:
        forced = not ability.is_formed
        sampling = replace(self._own, stop=STOP)
        if not forced:
            sampling = replace(sampling, max_tokens=FREE_TOKENS, stop=FENCE_STOP)
        asked = self._drawn(
            self._paper.tasks, lambda task: self._order(task, forced), sampling, writing=True
        )
        return share(
            [
                await self._grants(task, read_method(task.to_brief(), answer.text, sampling.stop))
                async for task, answer in asked
            ]
        )

    async def _tests(self, _: Ability) -> float | None:
        limits, system = self._context.profile.limits, self._context.cast.personas["ALFRED"]
        right = []
        for tasks in group_by(self._paper.sample, lambda task: len(task.params)):
            schema = written_tests.schema_for(tasks[0].to_brief(), limits)
            sampling = replace(self._own, max_tokens=limits.test_tokens, schema=schema)
            asked = self._drawn(
                tasks,
                lambda task: written_tests.ask_tests(task.to_brief(), system.system_prompt),
                sampling,
            )
            right += [await self._tells(task, answer.text) async for task, answer in asked]
        return share(right)

    async def _tells(self, task: Task, text: str) -> bool:
        """Return True if the tests in ``text`` accept the right body and refuse the wrong one."""
        limits = self._context.profile.limits
        try:
            tests = written_tests.read_tests(text, task.to_brief(), limits)
        except ModelOutputError:
            return False
        calls = [(test["args"], test["result"]) for test in tests]
        return await self._passes(task, task.right, calls) and not await self._passes(
            task, task.wrong, calls
        )

    async def _plans(self, _: Ability) -> float | None:
        limits, system = self._context.profile.limits, self._context.cast.personas["BRICK"]
        sampling = replace(
            self._own, max_tokens=limits.plan_tokens, schema=plan_schema(limits, whole=False)
        )
        shelf = ImageStore.in_memory()
        try:
            catalog = CatalogService(shelf, self._context.embedder)
            for text in self._paper.texts:
                await catalog.learn(text.title, f"{text.title}\n\n{text.text}")
            found = []
            asked = self._drawn(
                self._paper.wishes,
                lambda text: ask_plan(text.to_brief(), system.system_prompt, whole=False),
                sampling,
            )
            async for text, answer in asked:
                try:
                    queries = read_plan(answer.text, limits).queries
                except ModelOutputError:
                    queries = ()
                hits = await catalog.search((text.wish, *queries), top_k=FOUND)
                found.append(any(hit.title == text.title for hit in hits))
            return share(found)
        finally:
            await shelf.close()

    async def _tools(self, _: Ability) -> float | None:
        system = self._context.cast.personas[self._persona].system_prompt
        asked = self._drawn(
            self._paper.decisions,
            lambda one: stepping.prompt_of(one, system),
            stepping.sampling_for(self._own),
        )
        return share([stepping.is_right(one, answer.text) async for one, answer in asked])

    async def _judges(self, _: Ability) -> float | None:
        system = self._context.cast.personas[self._persona].system_prompt
        sampling = replace(self._own, max_tokens=SAME_TOKENS, schema=SAME_SCHEMA)
        pairs, said = self._paper.pairs, []
        asked = self._drawn(pairs, lambda pair: ask_same(pair.one, pair.other, system), sampling)
        async for _pair, answer in asked:
            said.append(read_same(answer.text))
            if is_lost(pairs[: len(said)], said, of=pairs):
                return 0.0
        return share_known(pairs, said)

    def _order(self, task: Task, forced: bool) -> Prompt:
        system = self._context.cast.personas[self._persona].system_prompt
        return ask_method(task.to_brief(), system, None, forced=forced)

    async def _drawn(
        self,
        questions: Sequence[Any],
        order: Callable[[Any], Prompt],
        sampling: Sampling,
        *,
        writing: bool = False,
    ) -> AsyncIterator[tuple[Any, Completion]]:
        """Yield (question, answer), drawn in batches."""
        for start in range(0, len(questions), BATCH):
            part = questions[start : start + BATCH]
            answers = await self._ask([order(one) for one in part], sampling, writing)
            for question, answer in zip(part, answers, strict=True):
                self.done += 1
                yield question, answer

    async def _grants(self, task: Task, source: str) -> bool:
        """Return True if the draft passes all tries, as it is or after fix-ups."""
        calls = [(one.args, one.result) for one in task.tests]
        if await self._passes(task, source, calls):
            return True
        fixed, _names = apply_fixups(source, task.selector, frozenset(task.state), frozenset())
        return fixed != source and await self._passes(task, fixed, calls)

    async def _passes(
        self, task: Task, source: str, calls: Sequence[tuple[Sequence[Any], Any]]
    ) -> bool:
        source = self._context.guardian.repair(source, task.selector)
        if self._context.guardian.audit(source, task.selector).lines():
            return False
        return await passes(self._context.cell, task, source, calls)


async def passes(
    cell: Cell, task: Task, source: str, calls: Sequence[tuple[Sequence[Any], Any]]
) -> bool:
    """Return True if ``source`` returns what each of the calls wants; see ``answers``."""
    values = await answers(cell, task, source, [args for args, _ in calls])
    if values is None:
        return False
    return all(same(value, wanted) for value, (_, wanted) in zip(values, calls, strict=True))


async def answers(
    cell: Cell, task: Task, source: str, calls: Sequence[Sequence[Any]]
) -> list[Any] | None:
    """Return what ``source`` returns for each of the calls, in order, on one object.

    None if one of them fails.

    Raises:
        CellUnavailableError: No learned code can run on this machine.
    """
    slots: dict[str, Any] = dict(task.state)
    values = []
    for args in calls:
        view = ObjectView(Ref("0" * 16, "exam"), slots, frozenset({task.selector}))
        call = Call(source, task.selector, view, tuple(args), seed=1, deadline=TRY_SECONDS)
        try:
            result = await cell.run(call, _refuse)
        except (CellError, ProtocolError):
            return None
        values.append(result.value)
        slots = {
            name: value
            for name, value in (slots | dict(result.delta.changed)).items()
            if name not in result.delta.removed
        }
    return values


async def _refuse(nested: Nested) -> NestedReply:
    raise NotUnderstoodError(f"an exam has no object that answers {nested.selector[:60]}")


def group_by(tasks: Sequence[Task], key: Callable[[Task], int]) -> list[list[Task]]:
    """Return the tasks in groups of equal ``key``: one batch has one schema."""
    groups: dict[int, list[Task]] = {}
    for task in tasks:
        groups.setdefault(key(task), []).append(task)
    return [*groups.values()]
