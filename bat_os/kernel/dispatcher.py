"""One message: look up and run a turn, or open a mission and wait for its end.

send    understood: a turn, and no model runs. Not understood, or with a key: a brief
brief   stored, then acknowledged, then a mission; the same key gives the same answer

Turns are taken TURNS at a time, by session in turn, so no client can starve the others.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import checked
from bat_os.core.protocol import Reply
from bat_os.core.verbs import check
from bat_os.errors import DeadlineError, NotUnderstoodError, UnknownTypeError
from bat_os.kernel import views
from bat_os.kernel.missions.acceptance import Intake
from bat_os.kernel.missions.fairness import FairGate
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs.missions import MissionVerbs
from bat_os.kernel.verbs.moments import send_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.brief import Brief
    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext
    from bat_os.kernel.missions.scheduler import Scheduler

    Send = Callable[[Reply], bool | None]  # False: nobody is there any more

TURNS: Final = 32  # at once: learned code may take 256 MB in each cell


class Dispatcher:
    """Answers requests; the sockets are someone else's.

    Attributes:
        mind: The image and the ports.
        scheduler: Runs missions.
        about: Returns the kernel's own facts, for ``health`` and ``hello``.
        stop: Asks the kernel to go down.
        others: The verbs that need neither scheduler nor dispatcher, by name.
    """

    def __init__(
        self,
        mind: KernelContext,
        scheduler: Scheduler,
        about: Callable[[], Mapping[str, Any]],
        stop: Callable[[], None],
        others: Mapping[str, Handler],
    ) -> None:
        self.mind = mind
        self.scheduler = scheduler
        self.about = about
        self._pong = {"boot": about()["boot"]}
        self.stop = stop
        self._turns = FairGate(TURNS)
        self._intake = Intake(mind, scheduler)
        self._verbs: dict[str, Callable[[Request, Send], Awaitable[Reply]]] = {
            "hello": self._facts,
            "health": self._facts,
            "ping": self._ping,
            "send": self._send,
            "brief": self._brief,
            "shutdown": self._shutdown,
            **MissionVerbs(mind, scheduler).table(),
            **{name: partial(self._run, handler) for name, handler in others.items()},
        }

    async def handle(self, request: Request, send: Send) -> Reply:
        """Return the last reply to ``request``; ``send`` takes those before it.

        Raises:
            BatError: What is wrong, for the error reply.
        """
        request = check(request)
        handler = self._verbs.get(request.type)
        if handler is None:
            raise UnknownTypeError(f"this kernel has no {request.type}")
        try:
            async with asyncio.timeout(request.ttl):
                return await handler(request, send)
        except TimeoutError:
            raise DeadlineError(
                "the answer took longer than ttl_ms; ask again with its key"
            ) from None

    async def _send(self, request: Request, send: Send) -> Reply:
        brief, mind = checked(request.brief()), self.mind
        if "at" in request.body:  # as it was then: nothing is changed, and nothing learned
            return await self._run(send_at, request, send)
        if not (request.key or brief.fresh):
            started = time.monotonic()
            try:
                async with self._turns.enter(request.session):
                    body = await take_turn(
                        mind.image, mind.cell, brief, settle=lambda _, a: views.result(brief, a)
                    )
            except NotUnderstoodError:
                return await self._accept(request, brief, send)
            seconds = round(time.monotonic() - started, 4)
            return Reply("result", request.id, body | {"seconds": seconds})
        return await self._accept(request, brief, send)

    async def _brief(self, request: Request, send: Send) -> Reply:
        return await self._accept(request, checked(request.brief()), send)

    async def _accept(self, request: Request, brief: Brief, send: Send) -> Reply:
        record = await self._intake.accept(brief, request.session, request.key)
        if not request.plain:
            body = {"brief_id": record.id, "position": self.scheduler.queued}
            send(Reply("accepted", request.id, body | {"awakening": self.about()["awakening"]}))
        listener = None if request.plain else _events(request, send)
        hear = listener if request.body["tokens"] else None
        with self.scheduler.text_feed.listen(record.id, hear):
            answer = record.answer or await self.scheduler.result(record.id, listener)
        return views.final_reply(request, answer)

    async def _facts(self, request: Request, _: Send) -> Reply:
        facts = dict(self.about())
        if request.type == "hello":
            facts = {
                key: facts[key] for key in ("version", "boot", "image_id", "limits", "protocol")
            }
        return Reply("result", request.id, facts)

    async def _ping(self, request: Request, _: Send) -> Reply:
        return Reply("pong", request.id, self._pong)

    async def _run(self, handler: Handler, request: Request, send: Send) -> Reply:
        async with self._turns.enter(request.session):
            body = await handler(self.mind, request, _events(request, send))
        return Reply("result", request.id, body)

    async def _shutdown(self, request: Request, _: Send) -> Reply:
        asyncio.get_running_loop().call_later(0.05, self.stop)
        return Reply("result", request.id, {"stopping": True})


def _events(request: Request, send: Send) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that sends the asker an event."""

    def tell(told: Mapping[str, Any]) -> None:
        send(Reply("event", request.id, told))

    return tell
