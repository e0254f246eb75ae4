"""What the kernel does for its image while it serves: it packs, backs up, forgets old answers.

Answers are kept for seven days, and go a week at a time: the records that they leave lie together,
and each day would write the same ones again. What a mission went through stays as a packed record
(``bat_os.image.history.experience``). After the clock has jumped, nothing is forgotten for another
seven days (``bat_os.image.files.pack``).
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError
from bat_os.image import answered, missions, outbox
from bat_os.image.files.pack import clock_steady_for, pack_if_due
from bat_os.image.files.rotation import back_up_if_due
from bat_os.image.history import experience

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping
    from pathlib import Path

    from bat_os.image.objects import UvmObject
    from bat_os.image.store import ImageStore

log = logging.getLogger(__name__)

PRUNE_SECONDS: Final = 86_400.0
PACK_SECONDS: Final = 600.0
AT_ONCE: Final = 500  # missions per transaction, so that the rest of the kernel does not wait


async def keep_pruning(image: ImageStore) -> None:
    """Prune now and once a day what is worth it; ends when it is cancelled."""
    while True:
        try:
            now = time.time()
            due = await image.transact(partial(is_due, now=now), note="look for old missions")
            if pruned := await prune_if_sure(image, now, answers=due):
                log.info("forgot %d missions that ended over 7 days ago", pruned)
        except BatError as error:  # a full disk, say; the next day tries again
            log.warning("old missions are kept for now: %s", error)
        await asyncio.sleep(PRUNE_SECONDS)


async def keep_packing(image: ImageStore, *, every: float = PACK_SECONDS) -> None:
    """Check now and every so many seconds whether a pack is due; ends when it is cancelled.

    An error (a backup is running, a full disk) is logged, and the next check tries again.
    """
    while True:
        try:
            now = time.time()
            steady = await _steady_seconds(image, now)
            if packed := await pack_if_due(image, now=now, steady=steady):
                log.info("packed the image: %s bytes, before %s", packed["after"], packed["before"])
        except BatError as error:
            log.warning("the image was not packed: %s", error)
        await asyncio.sleep(every)


async def keep_backing_up(
    image: ImageStore, folder: Path | None, *, first: float = PACK_SECONDS, every: float = 3600.0
) -> None:
    """Look every so many seconds whether the backup of the day is due; ends when it is cancelled.

    Without a folder it does nothing. An error (a pack is running, a full disk) is logged, and the
    next look tries again; ``batos doctor`` warns when the newest is a week old.
    """
    await asyncio.sleep(first)
    while folder is not None:
        try:
            if made := await back_up_if_due(image, folder, time.time()):
                log.info("backed the image up: %s, %s bytes", made["folder"], made["size"])
        except (BatError, OSError) as error:
            log.warning("the image was not backed up: %s", error)
        await asyncio.sleep(every)


def is_due(root: Mapping[str, Any], now: float) -> bool:
    """Return whether the oldest mission, or an answer, is twice KEEP_SECONDS old."""
    before = now - 2 * missions.KEEP_SECONDS
    oldest = next(iter(root["missions"]), None)
    is_old = oldest is not None and oldest < f"{int(before * 1000):012x}"
    return is_old or answered.has_old(root, before)


async def prune_if_sure(image: ImageStore, now: float, *, answers: bool = True) -> int:
    """Prune answers, or effects only, unless the clock jumped less than KEEP_SECONDS ago.

    Returns:
        How many answers are gone.
    """
    if await _steady_seconds(image, now) < missions.KEEP_SECONDS:
        log.warning("the clock has jumped: answers are kept for now")
        return 0
    if answers:
        return await prune_answers(image, now)
    await _prune_effects(image, now)
    return 0


async def prune_answers(image: ImageStore, now: float) -> int:
    """Forget missions that ended over KEEP_SECONDS before ``now``; return how many.

    Missions that have not ended stay, however old.
    """
    before, pruned = now - missions.KEEP_SECONDS, 0
    after: str | None = ""
    while after is not None:
        start = after
        more, after = await image.transact(
            lambda root, start=start: prune(  # type: ignore[misc] # mypy cannot infer a lambda with a default
                root, before, start, AT_ONCE, experience.keep
            ),
            note="prune old missions",
        )
        pruned += more
    after = ""
    while after is not None:
        start = after
        _, after = await image.transact(
            lambda root, start=start: answered.prune(root, before, start, AT_ONCE),  # type: ignore[misc] # as above
            note="prune old answers",
        )
    await _prune_effects(image, now)
    return pruned


async def _prune_effects(image: ImageStore, now: float) -> None:
    old = now - outbox.KEEP_SECONDS
    while await image.transact(
        lambda root: outbox.prune(root, old, AT_ONCE), note="prune old effects"
    ):
        pass


def prune(
    root: MutableMapping[str, Any],
    before: float,
    after: str,
    limit: int,
    keep: Callable[[MutableMapping[str, Any], str], None] = lambda root, mission_id: None,
) -> tuple[int, str | None]:
    """Forget missions that ended before a moment, some at a time.

    Up to ``limit`` missions behind the id ``after`` are looked at; "" begins with the oldest.
    ``keep`` is called with the root and the id of each before it goes.

    Returns:
        How many are gone, and the id to go on behind; None when all were looked at.
    """
    kept = root["missions"]
    # Ids begin with the time, so what came later need not be looked at.
    ids = kept.keys(min=after, max=f"{int(before * 1000):012x}g", excludemin=bool(after))
    looked = [mission_id for _, mission_id in zip(range(limit), ids, strict=False)]
    old = [one for one in looked if ended(kept[one]) < before]
    for mission_id in old:
        keep(root, mission_id)
        missions.forget_key(root, kept.pop(mission_id).slots.get("key"), mission_id)
    return len(old), looked[-1] if len(looked) == limit else None


async def _steady_seconds(image: ImageStore, now: float) -> float:
    """Return for how long the clock has not jumped."""
    return await image.transact(lambda root: clock_steady_for(root, now), note="look at the clock")


def ended(obj: UvmObject) -> float:
    """Return when a mission ended; infinity while it has not, or where that is unreadable."""
    answer, accepted = obj.slots.get("answer"), obj.slots.get("accepted")
    if type(answer) is not dict or type(accepted) is not float:
        return math.inf
    body = answer.get("body")
    took = body.get("seconds") if type(body) is dict else None
    return accepted + took if isinstance(took, int | float) else accepted
