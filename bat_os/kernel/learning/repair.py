"""Mend candidates that ran and gave the wrong answer, until one reproduces every example.

Only examples can tell that a change is a mend, and only those that say more than yes or no: a
single bit is soon hit by chance.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bat_os.kernel.learning.byexample import reproduces, tells_enough
from bat_os.method.mutate import make_variants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Verdict
    from bat_os.kernel.context import KernelContext

TRIALS: Final = 320
ENOUGH: Final = 3


async def mend(
    mind: KernelContext,
    brief: Brief,
    examples: Sequence[Mapping[str, object]],
    verdicts: Sequence[Verdict],
) -> list[tuple[Verdict, str]]:
    """Return up to ENOUGH (candidate, its mended source) that do what the examples show.

    Args:
        mind: The image and the ports.
        brief: What is wanted.
        examples: What a method has to reproduce.
        verdicts: The candidates; those that a model wrote and that ran are tried.

    Raises:
        CellUnavailableError: No learned code can run on this machine.
    """
    if not tells_enough(examples):
        return []
    ran = {v.source: v for v in verdicts if not v.known and v.preview}
    lots = [  # off the event loop: known messages are answered meanwhile
        (verdict, await asyncio.to_thread(make_variants, source, brief.selector))
        for source, verdict in ran.items()
    ]
    trials = [
        (verdict, lot[rank])
        for rank in range(max((len(lot) for _, lot in lots), default=0))
        for verdict, lot in lots
        if rank < len(lot)
    ]
    found: list[tuple[Verdict, str]] = []
    for verdict, source in trials[:TRIALS]:
        if await reproduces(mind, brief, source, examples):
            found.append((verdict, source))
            if len(found) == ENOUGH:
                break
    return found
