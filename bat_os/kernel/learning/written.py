"""Tests that ALFRED writes for the candidates of one mission, and what became of them.

Asked only where the caller gave no example and ``tests`` is set to ``written``. Tests that
cannot be read are none: the candidates' agreement decides, as without them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import written_tests as written
from bat_os.core.brief import goal
from bat_os.core.choosing import same
from bat_os.errors import CellError, ModelOutputError, ProtocolError
from bat_os.image.objects import digest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.turn import Answer

    Run = Callable[[str, Brief, float], Awaitable[Answer]]

WRITER: Final = "ALFRED"
SECONDS: Final = 0.5  # for one candidate on one test
_ITS_FAULT: Final = (CellError, ProtocolError)


@dataclass(frozen=True, slots=True)
class Tested:
    """A choice after written tests.

    Attributes:
        choice: As ``bat_os.core.written_tests.weigh`` leaves it.
        tests: For the provenance: ``args``, ``result``, ``passed``, ``strong`` of each.
        model_calls: Batches that the model ran for them.
        tokens: New tokens that it drew.
    """

    choice: Choice
    tests: tuple[Mapping[str, Any], ...] = ()
    model_calls: int = 0
    tokens: int = 0


async def weigh_by_tests(mind: KernelContext, brief: Brief, choice: Choice, run: Run) -> Tested:
    """Have tests written, run the candidates on them, and weigh the choice.

    Raises:
        ModelError: The model cannot be had.
    """
    usable = [verdict for verdict in choice.verdicts if not verdict.problem]
    if not brief.args or len(usable) < 2:  # nothing to vary, or nobody to tell apart
        return Tested(choice)
    prompt = written.ask_tests(brief, mind.personas[WRITER].system_prompt)
    seed = int(digest(goal(brief))[:8], 16)
    limits = mind.profile.limits
    sampling = replace(
        mind.profile.personas[WRITER].sampling,
        temperature=0.0, max_tokens=limits.test_tokens, seed=seed,
        schema=written.schema_for(brief, limits),
    )  # fmt: skip
    drawn = (await mind.roster.generate(WRITER, [prompt], sampling))[0]
    try:
        tests = written.read_tests(drawn.text, brief, limits)
    except ModelOutputError:
        return Tested(choice, (), 1, drawn.tokens)
    sources: dict[str, set[int]] = {}
    for verdict in usable:
        sources.setdefault(verdict.source, set()).add(verdict.draft)
    passed: list[frozenset[int]] = []
    for test in tests:
        those: set[int] = set()
        for source, drafts in sources.items():
            if await _passes(run, source, brief, test):
                those |= drafts
        passed.append(frozenset(those))
    strong = written.find_strong(passed, frozenset(verdict.draft for verdict in usable))
    weighed = written.weigh(choice, [passed[number] for number in strong])
    return Tested(weighed, tuple(written.told(tests, passed, strong)), 1, drawn.tokens)


async def _passes(run: Run, source: str, brief: Brief, test: Mapping[str, Any]) -> bool:
    try:
        answer = await run(source, replace(brief, args=tuple(test["args"])), SECONDS)
    except _ITS_FAULT:
        return False
    return await asyncio.to_thread(same, answer.value, test["result"])
