"""Which transaction changed an answer: a search through the history, by halves.

    good | t1 t2 t3 t4 t5 t6 t7 (bad)     n transactions after the good moment
                   ?                      one look at the image as of then, log2(n) + 1 at most

That the answer at the bad moment differs is not taken for granted: where all looks are good,
the last one is at the bad moment itself. How to look is the caller's (``history.past``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persistent.TimeStamp import TimeStamp
from ZODB.utils import p64, u64

from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bat_os.image.store import ImageStore


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction of the history.

    Attributes:
        tid: Its id, 16 hexadecimal digits.
        at: Unix time.
        note: What it says of itself.
        mission: On whose behalf, or "".
    """

    tid: str
    at: float
    note: str
    mission: str


async def list_changes(image: ImageStore, after: str, until: str) -> list[Change]:
    """Return the transactions later than ``after``, up to ``until``, oldest first.

    Args:
        image: The store.
        after: Sixteen hexadecimal digits, as ``history.moments.resolve`` gives them.
        until: The same.

    Raises:
        ArgumentsError: Nothing was committed between the two.
    """
    storage = image.storage
    start = p64(u64(bytes.fromhex(after)) + 1)
    changes = await asyncio.to_thread(
        lambda: [_change(one) for one in storage.iterator(start, bytes.fromhex(until))]
    )
    if not changes:
        raise ArgumentsError("nothing was committed between the good moment and the bad one")
    return changes


async def bisect(
    changes: Sequence[Change], is_good: Callable[[Change], Awaitable[bool]]
) -> tuple[Change | None, int]:
    """Return the first transaction after which the answer is not good, and the number of looks.

    None stands for: it is good after all of them. Of several changes back and forth, one is
    found. With n transactions it takes the smallest k looks with 2**k > n, or fewer.

    Args:
        changes: What was committed after the good moment, oldest first.
        is_good: Tells of a transaction whether the answer after it is good.
    """
    low, high, looks = 0, len(changes), 0
    while low < high:
        middle = (low + high) // 2
        looks += 1
        if await is_good(changes[middle]):
            low = middle + 1
        else:
            high = middle
    return (changes[low] if low < len(changes) else None), looks


def _change(one: Any) -> Change:
    note = one.description.decode(errors="replace")
    mission = str(one.extension.get("mission", ""))
    return Change(one.tid.hex(), TimeStamp(one.tid).timeTime(), note, mission)
