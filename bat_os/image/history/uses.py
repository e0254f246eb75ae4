"""Who calls a method how often, and with what.

    root["method_uses"]    oid of the method -> PersistentMapping of count, first, last,
                           versions (number -> count) and callers (name -> count); ``shown``
                           (number -> up to SHOWN different calls with their answers),
                           ``days`` (number -> the first and the last day, since 1970) and
                           ``slow`` (number -> calls that took over SLOW seconds)

Calls are counted in memory (``ImageStore.uses``) and go into the image in one small transaction
now and then, so a killed daemon loses the counts of the last half minute and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import BatError
from bat_os.image import grants
from bat_os.image.history.beside import find_answering, record_of
from bat_os.image.store import SHOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.image.objects import Method
    from bat_os.image.store import Call, ImageStore, Tally

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

USES: Final = "method_uses"
EVERY: Final = 30.0  # seconds
DAY: Final = 86_400.0
MAX_CALLERS: Final = 20
OTHERS: Final = "others"
CLIENT: Final = "client"
_NONE: Final[Mapping[str, Any]] = MappingProxyType(
    {"count": 0, "first": 0.0, "last": 0.0, "versions": {}, "callers": {}}
)


async def flush(image: ImageStore) -> int:
    """Write the calls that the store counted; return how many. Without any, nothing is written.

    If the image cannot be written, the counts are kept for the next time.
    """
    counted = image.uses.take()
    if not counted:
        return 0

    def add_calls(root: Root) -> None:
        for (target, selector, caller), tally in counted.items():
            if caller.startswith(grants.USE):
                method = caller.removeprefix(grants.USE)
                grants.count_use(root, target, selector, method, tally)
                continue
            answering = find_answering(root, target, selector)
            if answering is not None:
                record = record_of(root, USES, answering[1])
                record.update(_added({**_NONE, **record}, answering[1], caller, tally))
                record.update(_shown(record, answering[1], tally))

    try:
        await image.transact(add_calls, note="count uses")
    except BatError:
        image.uses.put_back(counted)
        raise
    return sum(tally.count for tally in counted.values())


async def keep_flushing(image: ImageStore, every: float = EVERY) -> None:
    """Flush now and then, for ever; run it as a task. When cancelled, it flushes once more."""
    try:
        while True:
            await asyncio.sleep(every)
            await _try_flush(image)
    finally:
        await _try_flush(image)


async def _try_flush(image: ImageStore) -> None:
    try:
        await flush(image)
    except BatError as error:
        log.warning("uses were not written: %s", error)


def uses_of(
    root: Mapping[str, Any], method: Method, waiting: Mapping[Call, Tally] | None = None
) -> dict[str, Any]:
    """Return ``count``, ``first``, ``last``, ``versions`` and ``callers`` of a method.

    ``waiting`` are calls to add that are not yet written.
    """
    known = root.get(USES, {}).get(method._p_oid.hex(), _NONE)
    uses = {name: known[name] for name in _NONE}
    for (target, selector, caller), tally in (waiting or {}).items():
        if selector != method.selector:
            continue
        answering = find_answering(root, target, selector)
        if answering is not None and answering[1] is method:
            uses |= _added(uses, method, caller, tally)
    return {key: dict(v) if isinstance(v, dict) else v for key, v in uses.items()}


def _added(uses: Mapping[str, Any], method: Method, caller: str, tally: Tally) -> dict[str, Any]:
    number, callers = method.versions[method.current].number, uses["callers"]
    known = caller in callers or len(callers) < MAX_CALLERS
    return {
        "count": uses["count"] + tally.count,
        "first": uses["first"] or tally.first,
        "last": max(uses["last"], tally.last),
        "versions": _counted(uses["versions"], number, tally.count),
        "callers": _counted(callers, caller if known else OTHERS, tally.count),
    }


def _shown(record: Mapping[str, Any], method: Method, tally: Tally) -> dict[str, Any]:
    number = method.versions[method.current].number
    shown, days = record.get("shown", {}), record.get("days", {})
    calls = {**shown.get(number, {}), **tally.shown}
    begun = days.get(number, (int(tally.first // DAY),))
    return {
        "shown": {**shown, number: dict([*calls.items()][:SHOWN])},
        "slow": _counted(record.get("slow", {}), number, tally.slow),
        "days": {**days, number: (begun[0], int(tally.last // DAY))},
    }


def _counted(counts: Mapping[Any, int], key: Any, more: int) -> dict[Any, int]:
    return {**counts, key: counts.get(key, 0) + more}
