"""Requests with a key: each changes the image once, and has one answer, also after a kill.

    known?  the stored answer
    else    the handler, in a unit of work  >  one commit: what it changed, its answer, its key

The table of verbs says which change something, and which of these work ``in_steps``: what such a
verb has done is kept as it goes, asked again it does what is left, and its answer is stored at the
end. What only reads is answered afresh, from the image as it is.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from bat_os.core.digest import digest
from bat_os.core.protocol import unpack
from bat_os.core.values import to_wire
from bat_os.core.verbs import REQUESTS
from bat_os.errors import BatError, ConflictError, EffectUnknownError
from bat_os.failpoints import cross
from bat_os.image import answered
from bat_os.image.gathering import gather, unit_of
from bat_os.image.unit_of_work import UnitOfWork

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import KernelContext

# What says how an answer is told, and to which conversation it belongs, but not what is asked.
_ASIDE: Final = frozenset({"once", "tokens"})
TRIES: Final = 5  # of a request whose answer is not true any more when it is to be committed


def digest_of(request: Request) -> str:
    """Return the SHA-256 of what is asked, through whatever door, for any scope."""
    body = {key: value for key, value in request.body.items() if key not in _ASIDE}
    asked = [
        request.type, request.target, request.selector, list(request.args), dict(request.kwargs),
        body,
    ]  # fmt: skip
    return digest(json.dumps(to_wire(asked), sort_keys=True, default=repr))


def interrupted(request: Request) -> EffectUnknownError:
    """Return the error of a request that is done in part, and that nothing else is known of."""
    return EffectUnknownError(
        f"the kernel was killed when a part of this {request.type} was done, and nothing is done "
        "again; batos diff shows what was; then ask with another key"
    )


class Once:
    """Answers requests; for one event loop."""

    def __init__(self, mind: KernelContext) -> None:
        self._mind = mind
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._place = asyncio.Lock()  # held while an answer is committed

    async def answer(
        self, request: Request, handle: Callable[[], Awaitable[Mapping[str, Any]]]
    ) -> dict[str, Any]:
        """Return the body of the reply: that of ``handle``, or of the request before.

        Raises:
            KeyReusedError: The key was used for something else.
            ConflictError: What is asked was overtaken TRIES times.
            EffectUnknownError: An earlier kernel was killed when a part of it was committed.
            BatError: As ``handle`` raises it; nothing is changed then.
        """
        key, verb = request.key, REQUESTS[request.type]
        inner = unit_of(self._mind.image) is not None
        if not key or inner or verb.access != "writes":
            return dict(await handle())
        asked = digest_of(request)
        # A client that lost the daemon asks again, and the first request may still be at work.
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            for left in reversed(range(TRIES)):
                stored = await self._mind.image.transact(
                    partial(answered.find, key=key, asked=asked), note="look up a key"
                )
                if stored:
                    return unpack(stored)
                unit = UnitOfWork(self._mind.image, key, asked, is_direct=verb.in_steps)
                unit.was_begun = stored is not None
                if unit.was_begun and request.type != "say":  # which looks for what came of it
                    raise interrupted(request)
                try:
                    return await self._answer_with(unit, handle, alone=left < TRIES - 1)
                except ConflictError:
                    if not (left and unit.is_overtaken):
                        raise
        raise AssertionError  # the last try returns or raises

    async def _answer_with(
        self, unit: UnitOfWork, handle: Callable[[], Awaitable[Mapping[str, Any]]], *, alone: bool
    ) -> dict[str, Any]:
        """Answer, and commit that; ``alone`` keeps the others from committing in between.

        So who was overtaken once is not overtaken again by them. What waits for others, such as a
        mission, lets them go first.
        """
        is_held = False

        def let_go() -> None:
            nonlocal is_held
            if is_held:
                is_held = False
                self._place.release()

        unit.let_go = let_go
        try:
            if alone:
                is_held = await self._place.acquire()
            with gather(unit):
                body = await handle()
            if unit.steps and not is_held:
                is_held = await self._place.acquire()
            return await self._settle(unit, body)
        finally:
            let_go()
            for forget in unit.lost:
                forget()
            if unit.steps:  # the cast may know of changes that were not committed
                with suppress(BatError):
                    await self._mind.refresh()

    async def _settle(self, unit: UnitOfWork, body: Mapping[str, Any]) -> dict[str, Any]:
        if not unit.steps:
            return await unit.settle(body)
        cross("answer.before")
        done = await unit.settle(body)
        cross("answer.stored")
        about = self._mind.orchestrator  # others could not see it when they were told to look
        about.wake()
        if about.performer is not None:
            about.performer.wake()
        return done
