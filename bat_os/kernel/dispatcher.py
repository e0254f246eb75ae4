"""One message: look up and run a turn, or open a mission and wait for its end.

send    understood: a turn, and no model runs; not understood, or fresh: a brief
brief   stored, then acknowledged, then a mission

A key makes a message run once. A turn that writes stores key and answer in its one commit, and the
same key gives that answer. A turn that only reads commits nothing, so it is answered afresh.

TURNS turns run at a time, by session in turn, so no client can starve the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from bat_os.core.brief import checked
from bat_os.core.mission import MessageUnderstood
from bat_os.core.protocol import Reply
from bat_os.core.scopes import demand, demand_message
from bat_os.core.verbs import check
from bat_os.errors import (
    CancelledError,
    ConflictError,
    DeadlineError,
    NotUnderstoodError,
    UnknownTypeError,
)
from bat_os.image import missions
from bat_os.image.gathering import unit_of
from bat_os.image.store import AUTHOR
from bat_os.kernel import portraits, views
from bat_os.kernel.idle.telling import MORNING_SECONDS, news
from bat_os.kernel.learning.target import doubt_name
from bat_os.kernel.missions.fairness import FairGate
from bat_os.kernel.missions.scheduler import new_mission_id
from bat_os.kernel.once import Once
from bat_os.kernel.reach import Answers
from bat_os.kernel.say.doors import Doors
from bat_os.kernel.say.plain import answer_plainly, read_sentence_of, with_values
from bat_os.kernel.say.room import Room
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs.missions import MissionVerbs
from bat_os.kernel.verbs.moments import send_at
from bat_os.kernel.verbs.personas import check_message
from bat_os.sentence.wishes import wish_in_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.brief import Brief
    from bat_os.core.mission import Mission
    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Handler, KernelContext
    from bat_os.kernel.missions.scheduler import Scheduler
    from bat_os.kernel.turn import Answer

    Send = Callable[[Reply], bool | None]  # False: the client has gone

TURNS: Final = 32  # at once: learned code may take 256 MB in each cell
# At once, of verbs that only look, and the rest after one as a multiple of its time: more of them
# would stand in line before the turns of everyone else.
LOOKS: Final = 1
REST: Final = 3.0
_QUICK: Final = frozenset({"list", "inspect", "talks"})


class Dispatcher:
    """Answers requests; knows nothing of sockets.

    Attributes:
        about: Returns the kernel's own facts, for ``health`` and ``hello``.
        stop: Asks the kernel to shut down, and with True to be started anew.
        others: The verbs that need neither scheduler nor dispatcher, by name.
    """

    def __init__(
        self,
        context: KernelContext,
        scheduler: Scheduler,
        about: Callable[[], Mapping[str, Any]],
        stop: Callable[[bool], None],
        others: Mapping[str, Handler],
    ) -> None:
        self.context = context
        self.scheduler = scheduler
        self.about = about
        self._pong = {"boot": about()["boot"]}
        self.stop = stop
        self.last_message = time.monotonic()  # when somebody wanted something of an object
        self.last_look = self.last_message  # when a client, or a page, looked at something
        self._turns = FairGate(TURNS)
        self._looks = FairGate(LOOKS, rest=REST)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.once = Once(context)
        doors = Doors(context.image, scheduler, self._turn_once, others, self.once)
        self.room = Room(context, doors)
        self._verbs: dict[str, Callable[[Request, Send], Awaitable[Reply]]] = {
            "hello": self._facts,
            "health": self._facts,
            "ping": self._ping,
            "send": self._send,
            "say": self._say,
            "brief": self._brief,
            "shutdown": self._shutdown,
            **MissionVerbs(context, scheduler).table(),
            **{name: partial(self._run, handler) for name, handler in others.items()},
        }

    async def handle(self, request: Request, send: Send) -> Reply:
        """Return the last reply to ``request``; ``send`` takes those before it.

        Raises:
            BatError: What is wrong, for the error reply.
        """
        request = check(request)
        if request.by:
            AUTHOR.set(request.by)
        if request.catch_up:
            await self.context.image.catch_up()
        handler = self._verbs.get(request.type)
        if handler is None:
            raise UnknownTypeError(f"this kernel has no {request.type}")
        if request.ttl is None:
            return await handler(request, send)
        try:
            async with asyncio.timeout(request.ttl):
                return await handler(request, send)
        except TimeoutError:
            raise DeadlineError(
                "the answer took longer than ttl_ms; ask again with its key"
            ) from None

    async def _send(self, request: Request, send: Send) -> Reply:
        self.last_message = time.monotonic()
        brief = checked(request.brief())
        if "at" in request.body:  # as it was then: nothing is changed, and nothing learned
            return await self._run(send_at, request, send)
        body = None
        if not brief.fresh:
            with contextlib.suppress(NotUnderstoodError):
                body = await self._turn_once(request, brief)
        if body is None:
            if request.body["if_serial"]:
                raise NotUnderstoodError(f"{brief.target} does not understand {brief.selector}")
            if not brief.fresh:
                brief = await self.context.image.transact(
                    lambda root: doubt_name(root, brief), note="look for a near name"
                )
            return await self._accept(request, brief, send)
        return Reply("result", request.id, body)

    async def _say(self, request: Request, send: Send) -> Reply:
        quiet, self.last_message = time.monotonic() - self.last_message, time.monotonic()

        async def handle() -> dict[str, Any]:
            body = await self.room.answer(request, _events(request, send))
            if quiet >= MORNING_SECONDS:
                body = body | {"news": (await news(self.context, time.time(), tell=True))["text"]}
            return body

        return Reply("result", request.id, await self.once.answer(request, handle))

    async def _turn_once(self, request: Request, brief: Brief) -> dict[str, Any] | None:
        """Answer by a turn that writes under its key at most once; None if that has an answer."""
        if not request.key:
            return await self._turn(request, brief)
        lock = self._locks.setdefault(request.key, asyncio.Lock())
        async with lock:
            if await self._is_stored(request.key):
                return None
            try:
                with self.scheduler.cancellable(request.key):
                    return await self._turn(request, brief)
            except (ConflictError, CancelledError):  # it, or another kernel, may have committed
                if await self._is_stored(request.key):
                    return None
                raise

    async def _turn(self, request: Request, brief: Brief) -> dict[str, Any]:
        """Answer by a turn; if it writes under a key, its commit holds the key and the answer."""
        await check_message(self.context, brief)
        started, now = time.monotonic(), time.time()
        mission_id = new_mission_id(now) if request.key else ""
        is_gathered = unit_of(self.context.image) is not None  # its commit has the key

        def settle(root: Any, answer: Answer) -> tuple[dict[str, Any], Mission | None]:
            if answer.writes:
                portraits.check_serial(root, brief.target, request.body.get("if_serial", ""))
            if not (mission_id and answer.writes) or (is_gathered and not answer.effects):
                return views.result(brief, answer), None
            about = {"session": request.session, "accepted": now}
            record = missions.open_brief(
                root, brief, mission_id=mission_id, key=request.key, about=about
            )
            if record.id != mission_id:
                raise ConflictError("another kernel has stored the key")
            done = record.mission.advance(MessageUnderstood())
            body = views.result(brief, answer, **views.facts(record, done))
            missions.write(root, mission_id, done, {"type": "result", "body": body})
            return body, done

        async with self._turns.enter(request.by or request.session):
            body, done = await take_turn(
                self.context.image,
                self.context.cell,
                brief,
                settle=settle,
                mission=mission_id,
                commit_reads=False,
                reach=self.context,
                answers=Answers(run=request.key and f"key {request.key}"),
            )
        if done is None:
            return {**body, "seconds": round(time.monotonic() - started, 4)}
        self.scheduler.announce(mission_id, done, {})
        return dict(body)

    async def _is_stored(self, key: str) -> bool:
        return await self.context.image.transact(
            lambda root: missions.has_answer(root, key), note="look up a key"
        )

    async def _brief(self, request: Request, send: Send) -> Reply:
        if asked := read_sentence_of(request):
            return answer_plainly(request, (await self._say(asked, _ignore)).body)
        return await self._accept(request, checked(with_values(request).brief()), send)

    async def _accept(self, request: Request, brief: Brief, send: Send) -> Reply:
        self.last_message = time.monotonic()
        demand(request.may, "learn", f"to learn {brief.selector}")
        demand_message(request.may, brief.selector)
        await check_message(self.context, brief)
        brief = replace(brief, text=brief.text or wish_in_name(brief.selector))
        record = await self.scheduler.accept(brief, request.by or request.session, request.key)
        if not request.plain:
            awaited = self.scheduler.awakening or self.scheduler.loading
            body = {"brief_id": record.id, "position": self.scheduler.queued}
            if record.answer is None and not self.scheduler.is_own(record):
                body["moved"] = self.scheduler.endpoint_of(record.owner)
            send(Reply("accepted", request.id, body | {"awakening": awaited}))
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
        self.last_look = time.monotonic()
        gate = self._looks if request.type in _QUICK else self._turns

        async def handle() -> dict[str, Any]:
            async with gate.enter(request.by or request.session):
                return await handler(self.context, request, _events(request, send))

        return Reply("result", request.id, await self.once.answer(request, handle))

    async def _shutdown(self, request: Request, _: Send) -> Reply:
        asyncio.get_running_loop().call_later(0.05, self.stop, request.body["restart"])
        return Reply("result", request.id, {"stopping": True})


def _ignore(_: Reply) -> None:
    """Send nothing: a client of one map per message waits for the last one only."""


def _events(request: Request, send: Send) -> Callable[[Mapping[str, Any]], None]:
    """Return a function that sends the client an event."""

    def tell(event: Mapping[str, Any]) -> None:
        send(Reply("event", request.id, event))

    return tell
