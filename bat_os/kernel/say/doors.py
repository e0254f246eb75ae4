"""How a sentence reaches the rest of the kernel: turns, missions, the other verbs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bat_os.core.scopes import demand, demand_message
from bat_os.errors import RemoteError
from bat_os.image import missions
from bat_os.image.gathering import flush, gather, unit_of
from bat_os.kernel.learning import asking
from bat_os.kernel.once import Once, interrupted
from bat_os.kernel.say.leave import labelled
from bat_os.sentence.translate import DEFAULT_TARGET

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.brief import Brief
    from bat_os.core.protocol import Request
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.kernel.missions.scheduler import Scheduler

    # A turn: the body of its result, or None if the key of the request is stored.
    Turn = Callable[[Request, Brief], Awaitable[dict[str, Any] | None]]


def addressed(request: Request, brief: Brief) -> Brief:
    """Return a brief for the object that the sentence was said to, if it names none itself."""
    if not request.target or brief.target != DEFAULT_TARGET:
        return brief
    return replace(brief, target=request.target)


@dataclass(frozen=True, slots=True)
class Doors:
    """What a sentence may have done."""

    image: ImageStore
    scheduler: Scheduler
    turn: Turn
    verbs: Mapping[str, Handler]
    once: Once  # answers a request with a key

    async def act(self, request: Request, brief: Brief) -> dict[str, Any]:
        """Return the body of a turn's result; with a key, of the one that ran first.

        Raises:
            BatError: The message is not understood, or its method failed.
        """
        brief = labelled(request, addressed(request, brief))
        body = await self.turn(request, brief)
        if body is None:  # it ran, and its answer is stored
            record = await self.scheduler.accept(brief, request.by or request.session, request.key)
            answer = record.answer or await self.scheduler.result(record.id)
            body = dict(answer["body"])
            if answer["type"] == "error":
                raise RemoteError(body)
        return body

    async def learn(self, request: Request, brief: Brief, say: Say) -> Mapping[str, Any]:
        """Return the last reply of a mission: ``{"type": "result" | "error", "body": ...}``."""
        demand(request.may, "learn", f"to learn {brief.selector}")
        demand_message(request.may, brief.selector)
        brief = labelled(request, brief)
        unit = unit_of(self.image)
        if unit is not None:  # a mission sees what is committed
            await unit.flush()
        record = await self.scheduler.accept(
            brief, request.by or request.session, request.key, unit.asked if unit else ""
        )
        hear = say if request.body.get("tokens") else None
        with self.scheduler.text_feed.listen(record.id, hear):
            answer = record.answer or await self.scheduler.result(record.id, say)
        if unit is not None and missions.may_pass(answer):
            unit.is_final = False
        return answer

    async def answer_mission(
        self, mind: KernelContext, mission_id: str, way: str, caller: str, say: Say
    ) -> Mapping[str, Any] | None:
        """Answer what a mission asks leave for; return its last reply, None after a no."""
        await flush(self.image)
        with gather(None):  # it goes on from what is committed
            # It does already if a kernel was killed before it could answer this yes.
            goes_on = not await asking.is_waiting(mind, mission_id)
            if not (
                goes_on or await asking.answer(mind, self.scheduler, mission_id, way, by=caller)
            ):
                return None
        return await self.scheduler.result(mission_id, say)

    async def stored(self, request: Request) -> tuple[Brief, Mapping[str, Any]] | None:
        """Return what was done under the key of a request, once it has ended; None if nothing.

        Raises:
            EffectUnknownError: A part of it was done, and nothing says how it went on.
        """
        if not request.key:
            return None

        def read(root: Any) -> Any:
            known = missions.id_of(root, request.key)
            return missions.read(root, known) if known else None

        record = await self.image.transact(read, note="read by key")
        if record is None:
            unit = unit_of(self.image)
            if unit is not None and unit.was_begun:
                raise interrupted(request)
            return None
        answer = record.answer or await self.scheduler.result(record.id)
        return None if missions.may_pass(answer) else (record.mission.brief, answer)
