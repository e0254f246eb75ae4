"""Known functions by what they do: those that reproduce every example of a brief.

The words of a wish find what was written for words like them. An example finds more: whatever
the library has that fits and gives the wished result, however it was asked for. Trying one is a
turn in the cell that commits nothing, some milliseconds, so the nearest POOL are tried.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal, literals
from bat_os.core.choosing import same
from bat_os.errors import CellError, ProtocolError
from bat_os.image.objects import kept_examples, merge_examples
from bat_os.kernel.learning.similar import as_draft, form_of, read_functions
from bat_os.kernel.snapshot import find
from bat_os.kernel.turn import Candidate, try_turn
from bat_os.method.adapt import rebind_arguments

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.kernel.context import KernelContext

POOL: Final = 48  # of each kind
TRIALS: Final = 240
ENOUGH: Final = 3
SECONDS: Final = 0.5
BITS: Final = 4  # so many answers of yes or no tell as much as one other


async def find_by_example(
    mind: KernelContext, brief: Brief, known: Collection[str]
) -> list[dict[str, Any]]:
    """Return up to ENOUGH functions as drafts that do what the examples show, the nearest first.

    Args:
        mind: The image and the ports.
        brief: What is wanted; without an example nothing is found.
        known: Documents that are candidates already.

    Raises:
        ModelError: The embedding model cannot be had.
        CellUnavailableError: No learned code can run on this machine.
    """
    kept = await mind.image.transact(
        lambda root: kept_examples(find(root, brief.target), brief.selector), note="read examples"
    )
    examples = merge_examples(brief.examples, kept)
    if not tells_enough(examples):
        return []
    wish, form = goal(brief), await form_of(mind, brief)
    hits = [
        {"doc_id": hit.doc_id, "text": hit.text}
        for kind in ("method", "seed")
        for hit in await mind.catalog.search((wish,), top_k=POOL, kind=kind)
        if hit.doc_id not in known
    ]
    drafts: list[dict[str, Any]] = []
    left = TRIALS
    for one in await read_functions(mind, wish, hits):
        # Off the event loop: known messages are answered meanwhile.
        ways = await asyncio.to_thread(
            rebind_arguments, one.source, one.selector, form, literals(wish)
        )
        for text in ways[:left]:
            if await reproduces(mind, brief, text, examples):
                drafts.append(as_draft(one, text, 0.0))
                break
        left -= len(ways)
        if len(drafts) == ENOUGH or left <= 0:
            break
    return drafts


def tells_enough(examples: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether hardly a method reproduces the examples by chance."""
    bits = sum(type(example["result"]) in (bool, type(None)) for example in examples)
    return len(examples) > bits or bits >= BITS


async def reproduces(
    mind: KernelContext, brief: Brief, source: str, examples: Sequence[Mapping[str, Any]]
) -> bool:
    """Say whether ``source`` gives the result of every example."""
    if mind.guardian.audit(source, brief.selector).lines():
        return False
    candidate = Candidate(brief.selector, source, seed=1, seconds=SECONDS)
    with suppress(CellError, ProtocolError):
        for example in examples:
            told = replace(brief, args=tuple(example["args"]), kwargs=dict(example["kwargs"]))
            answer = await try_turn(mind.image, mind.cell, told, candidate)
            if not await asyncio.to_thread(same, answer.value, example["result"]):
                return False
        return True
    return False
