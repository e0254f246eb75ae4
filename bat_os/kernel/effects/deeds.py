"""A deed in the world, and the commit of what came of it."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from bat_os.core.digest import digest
from bat_os.core.values import check, to_wire
from bat_os.errors import BatError, EffectUnknownError, NotGrantedError, ShuttingDownError

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping, Sequence

    from bat_os.image.outbox import Effect
    from bat_os.image.store import ImageStore
    from bat_os.ports import Driver

    Root = MutableMapping[str, Any]

log = logging.getLogger(__name__)
T = TypeVar("T")

SECONDS: Final = 60.0  # for one deed
FULL_PAUSE: Final = 1.0  # seconds until a commit that failed is tried again


async def store(image: ImageStore, work: Callable[[Root], T], note: str) -> T:
    """Commit what came of deeds that are done, however long that takes: it must not be lost."""
    while True:
        try:
            return await image.transact(work, note=note)
        except ShuttingDownError:
            raise
        except BatError as error:  # a full disk, say
            log.warning("what came of effects is not stored yet: %s", error)
            await asyncio.sleep(FULL_PAUSE)


async def perform(driver: Driver, effect: Effect) -> Any:
    """Return the answer of a deed.

    Raises:
        BatError: It was not done.
        EffectUnknownError: It may have been.
    """
    deed, known = effect.deed, driver.operations(effect.scope).get(effect.operation)
    if known is None and not effect.undoes:  # the driver is of another program than its grant
        raise NotGrantedError(f"{driver.name} has no {effect.operation} any more")
    seconds = max(SECONDS, known.seconds if known is not None else 0.0)
    try:
        async with asyncio.timeout(seconds):
            answer = await asyncio.to_thread(
                driver.perform, deed.scope, deed.operation, deed.args, effect.key
            )
        check(answer, where=f"the answer of {deed.operation}")
    except BatError:
        raise
    except TimeoutError:
        raise EffectUnknownError(f"it took over {seconds:.0f} s") from None
    except Exception as error:  # foreign code: a fault of a driver must not stop all effects
        log.exception("effect %d", effect.number)
        raise EffectUnknownError(f"it failed: {error}"[:300]) from error
    return answer


def question_of(oid: str, operation: str, args: Sequence[Any], staged: int) -> str:
    """Return what names a question to the world: behind ``staged`` deeds it is another one."""
    return digest(json.dumps([oid, operation, to_wire(list(args)), staged], sort_keys=True))
