"""Run a source that is not installed: on examples, on written tests, with small changes.

Every trial is a turn that commits nothing. Values are compared by meaning.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bat_os.core.choosing import same
from bat_os.errors import (
    ArgumentsError,
    CellError,
    ConflictError,
    EffectWantedError,
    GrantWantedError,
    NotFoundError,
    NotUnderstoodError,
    ProtocolError,
)
from bat_os.kernel.effects import wants
from bat_os.kernel.reach import Answers
from bat_os.kernel.turn import TRIES, Candidate, Turn
from bat_os.method.mutate import make_variants
from bat_os.method.programs import equal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Verdict
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.effects.wants import Wanted
    from bat_os.kernel.reach import Reach
    from bat_os.kernel.turn import Answer
    from bat_os.ports import Cell

    Example = Mapping[str, Any]

# Any other error (a full disk, a cell that cannot be had) is not the candidate's fault, and ends
# the step.
ITS_FAULT: Final = (CellError, ProtocolError, GrantWantedError, EffectWantedError)
SEED: Final = 1  # one for all, so that candidates that mean the same answer the same
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
        given = recorded([example], call) if "world" in example else answers
        answer = await try_turn(context.image, context.cell, call, trial, context, given)
        is_right = await asyncio.to_thread(same, answer.value, example["result"])
        if example.get("effects") is not None:
            is_right &= await wants.stated(context, example) == wants.key_of(answer.wanted)
        yield Outcome(example, answer.value, answer.wanted, is_right)


def recorded(examples: Iterable[Example], brief: Brief) -> Answers | None:
    """Return the world that was kept with an example for this call; it is asked nothing else."""
    for one in examples:
        if "world" in one and tuple(one["args"]) == brief.args and one["kwargs"] == brief.kwargs:
            return Answers(dict(one["world"]), closed=True)
    return None


async def reproduces(
    context: KernelContext, brief: Brief, source: str, examples: Iterable[Example]
) -> bool:
    """Return True if the guardian accepts ``source`` and it gives the result of every example."""
    if context.guardian.audit(source, brief.selector).lines():
        return False
    return await passes(context, brief, source, examples)


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


def are_tests_written(context: KernelContext) -> bool:
    """Return True if tests are written where the caller gave no example."""
    wanted = context.cast.entries["validating"]["step"]
    return context.ability_of(TESTER).writes_tests if wanted == "auto" else wanted == "written"


async def passes(
    context: KernelContext,
    brief: Brief,
    source: str,
    examples: Iterable[Example],
    now: float | None = None,
    answers: Answers | None = None,
) -> bool:
    """Return True if a source gives the result of every example."""
    trial = Candidate(brief.selector, source, SEED, now, SHORT_SECONDS)
    try:
        async for outcome in try_examples(context, brief, trial, examples, answers):
            if not outcome.is_right:
                return False
    except ITS_FAULT:
        return False
    return True
