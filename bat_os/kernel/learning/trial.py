"""Run a source that is not installed: on examples, on written tests, with small changes.

Every trial is a turn that commits nothing. Values are compared by meaning.

    try_examples      what a source answers to each example
    check_examples    the same, as an error for a person
    reproduces        the same, as yes or no, after the guardian's audit
    serves            the same for a method that is installed
    mend              small changes to candidates that ran, until one reproduces every example
    weigh_by_tests    tests that ALFRED writes where the caller gave no example
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bat_os.core import written_tests as written
from bat_os.core.ability import USUAL
from bat_os.core.brief import goal
from bat_os.core.choosing import preview, same
from bat_os.core.digest import digest
from bat_os.errors import (
    ArgumentsError,
    CellError,
    ConflictError,
    DraftsError,
    EffectWantedError,
    GrantWantedError,
    ModelOutputError,
    NotFoundError,
    NotUnderstoodError,
    ProtocolError,
)
from bat_os.kernel.effects import wants
from bat_os.kernel.turn import TRIES, Candidate, Turn
from bat_os.method.mutate import make_variants
from bat_os.method.programs import equal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from bat_os.core.ability import Agreement
    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice, Verdict
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.effects.wants import Wanted
    from bat_os.kernel.reach import Answers, Reach
    from bat_os.kernel.turn import Answer
    from bat_os.ports import Cell

    Example = Mapping[str, Any]

# Any other error (a full disk, a cell that cannot be had) is not the candidate's fault, and ends
# the step.
ITS_FAULT: Final = (CellError, ProtocolError, GrantWantedError, EffectWantedError)
SEED: Final = 1  # one for all, so that candidates that mean the same answer the same
MAX_SAID: Final = 300  # characters of what effects do
SHORT_SECONDS: Final = 0.5  # for a trial of which there are many
MAX_MENDS: Final = 320
ENOUGH_MENDED: Final = 3
TESTER: Final = "ALFRED"
# So many answers of yes or no tell as much as one answer of another kind.
BITS: Final = 4


async def try_turn(
    image: ImageStore,
    cell: Cell,
    brief: Brief,
    candidate: Candidate | None,
    reach: Reach | None = None,
    answers: Answers | None = None,
) -> Answer:
    """Return how ``candidate``, or what is installed, answers; nothing is committed."""
    for _ in range(TRIES - 1):
        with contextlib.suppress(ConflictError):  # the world moved: try it on the new one
            return await Turn(image, cell, candidate, reach, answers).run(brief)
    return await Turn(image, cell, candidate, reach, answers).run(brief)


class Outcome(NamedTuple):
    """What a source answered to one example, and what it wants done in the world."""

    example: Example
    value: Any
    wanted: tuple[Wanted, ...]
    is_right: bool  # the value and, if the example states any, the effects


async def try_examples(
    context: KernelContext,
    brief: Brief,
    trial: Candidate | None,
    examples: Iterable[Example],
    answers: Answers | None = None,
) -> AsyncIterator[Outcome]:
    """Yield what ``trial``, or the method that is installed, answers to each example."""
    for example in examples:
        args, kwargs = tuple(example["args"]), dict(example.get("kwargs", brief.kwargs))
        call = replace(brief, args=args, kwargs=kwargs)
        answer = await try_turn(context.image, context.cell, call, trial, context, answers)
        is_right = await asyncio.to_thread(same, answer.value, example["result"])
        effects = await wants.stated(context, example)
        is_right &= effects in (None, wants.key_of(answer.wanted))
        yield Outcome(example, answer.value, answer.wanted, is_right)


async def check_examples(
    context: KernelContext, brief: Brief, trial: Candidate, examples: Iterable[Example]
) -> None:
    """Raise an error for a person if ``trial`` does not reproduce an example."""
    async for outcome in try_examples(context, brief, trial, examples):
        if not outcome.is_right:
            named = outcome.example.get("kwargs", {}).items()
            given = [*map(repr, outcome.example["args"]), *(f"{n}={v!r}" for n, v in named)]
            call = f"{brief.selector}({', '.join(given)})"
            gives, wanted = preview(outcome.value), preview(outcome.example["result"])
            if gives == wanted or "effects" in outcome.example:
                gives += f" and {_does(outcome.wanted)}"
                wanted += f" and {_does(outcome.example.get('effects', ()))}"
            raise DraftsError(
                f"{call} gives {gives}, not {wanted}; nothing was changed: correct the function or "
                "the example"
            )


async def check_effects(
    context: KernelContext, brief: Brief, trial: Candidate, recorded: Sequence[Mapping[str, Any]]
) -> None:
    """Raise an error for a person if a message wants other effects than it did when it was tried.

    ``recorded`` are those of then.
    """
    try:
        found = (await try_turn(context.image, context.cell, brief, trial, context)).wanted
    except EffectWantedError as error:
        found = error.wanted
    if wants.key_of(found) != wants.key_of(recorded):
        raise DraftsError(
            f"{brief.selector} {_does(found)}, and when it was tried it {_does(recorded)}; "
            "nothing was changed: give an example that states what it does"
        )


def _does(effects: Iterable[Wanted | Mapping[str, Any]]) -> str:
    """Return what effects do, in words: those of a trial, or those that an example states."""
    said = [
        each.text if isinstance(each, wants.Wanted) else each.get("text")
        or f"{each['target']}.{each['selector']}({', '.join(map(repr, each['args']))})"
        for each in effects
    ]  # fmt: skip
    return "; ".join(said)[:MAX_SAID] if said else "does nothing outside"


async def reproduces(
    context: KernelContext, brief: Brief, source: str, examples: Iterable[Example]
) -> bool:
    """Return True if the guardian accepts ``source`` and it gives the result of every example."""
    if context.guardian.audit(source, brief.selector).lines():
        return False
    return await _passes(context, brief, source, examples)


async def serves(context: KernelContext, brief: Brief, examples: Iterable[Example]) -> bool:
    """Return True if the method that is installed gives exactly the result of every example."""
    try:
        async for outcome in try_examples(context, brief, None, examples):
            # What an example says nothing of is not done because of it.
            surplus = outcome.wanted and outcome.example.get("effects") is None
            is_right = outcome.is_right and not surplus
            if not (is_right and equal(outcome.value, outcome.example["result"])):
                return False
    except (*ITS_FAULT, ArgumentsError, NotFoundError, NotUnderstoodError):
        return False
    return True


def tells_enough(examples: Sequence[Example]) -> bool:
    """Return True if hardly any method reproduces the examples by chance."""
    bits = sum(type(example["result"]) in (bool, type(None)) for example in examples)
    return len(examples) > bits or bits >= BITS


async def mend(
    context: KernelContext, brief: Brief, examples: Sequence[Example], verdicts: Sequence[Verdict]
) -> list[tuple[Verdict, str]]:
    """Return up to ENOUGH_MENDED (candidate, its mended source) that reproduce every example.

    Only examples can show that a change mends, and only those that say more than yes or no: a
    single bit is soon hit by chance.

    Raises:
        CellUnavailableError: No learned code can run on this machine.
    """
    if not tells_enough(examples):
        return []
    ran = {v.source: v for v in verdicts if not v.known and v.preview}
    lots = [  # in a thread: known messages are answered at the same time
        (verdict, await asyncio.to_thread(make_variants, source, brief.selector))
        for source, verdict in ran.items()
    ]
    trials = [
        (verdict, lot[rank])
        for rank in range(max((len(lot) for _, lot in lots), default=0))
        for verdict, lot in lots
        if rank < len(lot)
    ]
    mended: list[tuple[Verdict, str]] = []
    for verdict, source in trials[:MAX_MENDS]:
        if await reproduces(context, brief, source, examples):
            mended.append((verdict, source))
            if len(mended) == ENOUGH_MENDED:
                break
    return mended


@dataclass(frozen=True, slots=True)
class Tested:
    """A choice after written tests."""

    choice: Choice  # as ``bat_os.core.written_tests.weigh`` leaves it
    # for the provenance: ``args``, ``result``, ``passed``, ``strong`` of each
    tests: tuple[Mapping[str, Any], ...] = ()
    model_calls: int = 0  # batches that the model ran for them
    tokens: int = 0  # new tokens that it drew


def are_tests_written(context: KernelContext) -> bool:
    """Return True if tests are written where the caller gave no example."""
    wanted = context.cast.entries["validating"]["step"]
    return context.ability_of(TESTER).writes_tests if wanted == "auto" else wanted == "written"


async def weigh_by_tests(
    context: KernelContext, brief: Brief, choice: Choice, now: float, agreement: Agreement = USUAL
) -> Tested:
    """Have tests written, run the candidates on them, and weigh the choice.

    If the tests cannot be read, the candidates' agreement decides, as it would without them.
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
        sources = [s for s in drafts if await _passes(context, brief, s, [test], now)]
        passed.append(frozenset().union(*(drafts[source] for source in sources)))
    strong = written.find_strong(passed, frozenset(verdict.draft for verdict in usable))
    weighed = written.weigh(choice, [passed[number] for number in strong], agreement)
    kept = tuple(written.with_results(tests, passed, strong))
    return Tested(weighed, kept, 1, completion.tokens)


async def _passes(
    context: KernelContext,
    brief: Brief,
    source: str,
    examples: Iterable[Example],
    now: float | None = None,
) -> bool:
    trial = Candidate(brief.selector, source, SEED, now, SHORT_SECONDS)
    try:
        async for outcome in try_examples(context, brief, trial, examples):
            if not outcome.is_right:
                return False
    except ITS_FAULT:
        return False
    return True
