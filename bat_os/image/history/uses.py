"""Who calls which method how often, without turning reads into writes.

Calls are counted in memory and go into the image in one small transaction now and then, so
a killed kernel loses the counts of the last half minute and nothing else.

    image.uses.record(calls)   a dict entry each: below a microsecond
    flush(image)               one transaction, if there is anything to write
    keep_flushing(image)       a task: flush every half minute, and when it is cancelled

    root["method_uses"]  oid of the method -> PersistentMapping of count, first, last,
                         versions (number -> count) and callers (name -> count)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from BTrees.OOBTree import OOBTree
from persistent.mapping import PersistentMapping

from bat_os.errors import BatError
from bat_os.image.objects import Method, UvmObject

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.image.store import Call, ImageStore, Tally

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)

ROOT_NAME: Final = "method_uses"
EVERY: Final = 30.0  # seconds
MAX_CALLERS: Final = 20
OTHERS: Final = "others"
CLIENT: Final = "client"
_NONE: Final[Mapping[str, Any]] = MappingProxyType(
    {"count": 0, "first": 0.0, "last": 0.0, "versions": {}, "callers": {}}
)


async def flush(image: ImageStore) -> int:
    """Write the calls that the store counted; return how many. Without any, nothing is written.

    Raises:
        BatError: The image could not be written; the counts are kept for the next time.
    """
    counted = image.uses.take()
    if not counted:
        return 0
    try:
        await image.transact(lambda root: _add_all(root, counted), note="count uses")
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

    Args:
        root: The image root.
        method: Whose calls.
        waiting: Calls to add that are not yet written; without it, what was last written.
    """
    told = dict(root.get(ROOT_NAME, {}).get(method._p_oid.hex(), _NONE))
    for (target, selector, caller), tally in (waiting or {}).items():
        if selector == method.selector and _method(root, target, selector) is method:
            told |= _added(told, method, caller, tally)
    return {key: dict(v) if isinstance(v, dict) else v for key, v in told.items()}


def _add_all(root: Root, taken: Mapping[Call, Tally]) -> None:
    for (target, selector, caller), tally in taken.items():
        method = _method(root, target, selector)
        if method is not None:
            _add(root, method, caller, tally)


def _method(root: Mapping[str, Any], target: str, selector: str) -> Method | None:
    """Return the learned method that answers now; None where there is none any more."""
    obj = root["objects"].get(target)
    if obj is None:
        with contextlib.suppress(KeyError, ValueError):
            obj = root._p_jar.get(bytes.fromhex(target))  # type: ignore[attr-defined]  # ZODB: the root's connection
    found = obj.lookup(selector) if type(obj) is UvmObject else None
    method = found[1] if found is not None else None
    return method if isinstance(method, Method) and method.current >= 0 else None


def _add(root: Root, method: Method, caller: str, tally: Tally) -> None:
    if ROOT_NAME not in root:
        root[ROOT_NAME] = OOBTree()
    tree, key = root[ROOT_NAME], method._p_oid.hex()
    if key not in tree:
        tree[key] = PersistentMapping(_NONE)
    tree[key].update(_added(tree[key], method, caller, tally))


def _added(told: Mapping[str, Any], method: Method, caller: str, tally: Tally) -> dict[str, Any]:
    number, callers = method.versions[method.current].number, told["callers"]
    known = caller in callers or len(callers) < MAX_CALLERS
    return {
        "count": told["count"] + tally.count,
        "first": told["first"] or tally.first,
        "last": max(told["last"], tally.last),
        "versions": _counted(told["versions"], number, tally.count),
        "callers": _counted(callers, caller if known else OTHERS, tally.count),
    }


def _counted(counts: Mapping[Any, int], key: Any, more: int) -> dict[Any, int]:
    return {**counts, key: counts.get(key, 0) + more}
