"""Tests that ALFRED writes where the caller gave no example, and what they say of candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bat_os.core import written_tests as written
from bat_os.core.ability import USUAL
from bat_os.core.brief import goal
from bat_os.core.digest import digest
from bat_os.errors import ModelOutputError
from bat_os.kernel.learning.trial import TESTER, passes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.ability import Agreement
    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.reach import Answers


@dataclass(frozen=True, slots=True)
class Tested:
    """A choice after written tests."""

    choice: Choice  # as ``bat_os.core.written_tests.weigh`` leaves it
    # for the provenance: ``args``, ``result``, ``passed``, ``strong`` of each
    tests: tuple[Mapping[str, Any], ...] = ()
    model_calls: int = 0  # batches that the model ran for them
    tokens: int = 0  # new tokens that it drew


async def weigh_by_tests(
    context: KernelContext,
    brief: Brief,
    choice: Choice,
    now: float,
    agreement: Agreement = USUAL,
    answers: Answers | None = None,
) -> Tested:
    """Have tests written, run the candidates on them, and weigh the choice.

    If the tests cannot be read, the candidates' agreement decides, as it would without them.
    ``answers`` is the one world of all trials.
    """
    usable = [verdict for verdict in choice.verdicts if not verdict.problem]
    if not brief.args or len(usable) < 2:  # nothing to vary, or nothing to tell apart
        return Tested(choice)
    limits = context.profile.limits
    prompt = written.ask_tests(brief, context.cast.personas[TESTER].system_prompt)
    sampling = replace(
        context.cast.assigned[TESTER].sampling,
        temperature=0.0,
        max_tokens=limits.test_tokens,
        seed=int(digest(goal(brief))[:8], 16),
        schema=written.schema_for(brief, limits),
    )
    completion = (await context.roster.generate(TESTER, [prompt], sampling))[0]
    try:
        tests = written.read_tests(completion.text, brief, limits)
    except ModelOutputError:
        return Tested(choice, (), 1, completion.tokens)
    drafts: dict[str, set[int]] = {}
    for verdict in usable:
        drafts.setdefault(verdict.source, set()).add(verdict.draft)
    passed: list[frozenset[int]] = []
    for test in tests:
        sources = [s for s in drafts if await passes(context, brief, s, [test], now, answers)]
        passed.append(frozenset().union(*(drafts[source] for source in sources)))
    strong = written.find_strong(passed, frozenset(verdict.draft for verdict in usable))
    weighed = written.weigh(choice, [passed[number] for number in strong], agreement)
    kept = tuple(written.with_results(tests, passed, strong))
    return Tested(weighed, kept, 1, completion.tokens)
