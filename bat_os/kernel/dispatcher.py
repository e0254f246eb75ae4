"""One message: look up and run a turn, or open a mission and wait for its end.

send    understood: a turn, and no model runs. Not understood, or with a key: a brief
brief   stored, then acknowledged, then a mission; the same key gives the same answer
"""

from __future__ import annotations

import asyncio
import contextlib
import keyword
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.protocol import Reply
from bat_os.core.values import check_selector, check_slot_name
from bat_os.errors import (
    ArgumentsError,
    DeadlineError,
    NotFoundError,
    NotUnderstoodError,
    UnknownTypeError,
)
from bat_os.image import missions
from bat_os.kernel import views
from bat_os.kernel.snapshot import find
from bat_os.kernel.turn import take_turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.protocol import Request
    from bat_os.image.missions import Record
    from bat_os.kernel.mind import Mind
    from bat_os.kernel.scheduler import Scheduler
    from bat_os.kernel.verbs.table import Verb

    Send = Callable[[Reply], None]
    Root = MutableMapping[str, Any]

TURNS: Final = 32  # at once: learned code may take 256 MB in each cell


class Dispatcher:
    """Answers requests; the sockets are someone else's.

    Attributes:
        mind: The image and the ports.
        scheduler: Runs missions.
        about: Returns the kernel's own facts, for ``health`` and ``hello``.
        stop: Asks the kernel to go down.
        others: More verbs, by name.
    """

    def __init__(
        self,
        mind: Mind,
        scheduler: Scheduler,
        about: Callable[[], Mapping[str, Any]],
        stop: Callable[[], None],
        others: Mapping[str, Verb],
    ) -> None:
        self.mind = mind
        self.scheduler = scheduler
        self.about = about
        self.stop = stop
        self.others = others
        self._turns = asyncio.Semaphore(TURNS)
        self._verbs: dict[str, Callable[[Request, Send], Awaitable[Reply]]] = {
            "hello": self._facts,
            "health": self._facts,
            "ping": self._ping,
            "send": self._send,
            "brief": self._brief,
            "brief.get": self._brief_get,
            "cancel": self._cancel,
            "shutdown": self._shutdown,
        }

    async def handle(self, request: Request, send: Send) -> Reply:
        """Return the last reply to ``request``; ``send`` takes those before it.

        Raises:
            BatError: What is wrong, for the error reply.
        """
        verb = self._other if request.type in self.others else self._verbs.get(request.type)
        if verb is None:
            known = ", ".join(sorted({*self._verbs, *self.others}))
            raise UnknownTypeError(f"unknown type {request.type!r}; known are: {known}")
        try:
            async with asyncio.timeout(request.ttl):
                return await verb(request, send)
        except TimeoutError:
            raise DeadlineError(
                "the answer took longer than ttl_ms; ask again with its key"
            ) from None

    async def _send(self, request: Request, send: Send) -> Reply:
        brief, mind = _checked(request.brief()), self.mind
        if not request.key:
            started = time.monotonic()
            try:
                async with self._turns:
                    body = await take_turn(
                        mind.image, mind.cell, brief, settle=lambda _, a: views.result(brief, a)
                    )
            except NotUnderstoodError:
                return await self._brief(request, send)
            seconds = round(time.monotonic() - started, 4)
            return Reply("result", request.id, body | {"seconds": seconds})
        return await self._brief(request, send)

    async def _brief(self, request: Request, send: Send) -> Reply:
        brief = _checked(request.brief())
        known = request.key and await self._read(lambda root: root["keys"].get(request.key))
        with contextlib.nullcontext() if known else self.scheduler.room(request.session):
            record = await self._accept(brief, request)
            self.scheduler.start(record)
        if not request.plain:
            body = {"brief_id": record.id, "position": self.scheduler.queued}
            send(Reply("accepted", request.id, body | {"awakening": self.about()["awakening"]}))
        answer = record.answer or await self.scheduler.result(
            record.id, None if request.plain else lambda n: send(Reply("event", request.id, n))
        )
        return views.final_reply(request, answer)

    async def _accept(self, brief: Brief, request: Request) -> Record:
        now = time.time()
        mission_id = f"{int(now * 1000):012x}{secrets.token_hex(6)}"
        key = request.key or mission_id

        def store(root: Root) -> Record:
            find(root, brief.target)
            about = {"session": request.session, "accepted": now}
            return missions.open_brief(root, brief, mission_id=mission_id, key=key, about=about)

        note = f"accept {brief.target} {brief.selector}"[:70]
        return await self.mind.image.transact(store, note=note, mission=mission_id)

    async def _brief_get(self, request: Request, _: Send) -> Reply:
        def read(root: Root) -> dict[str, Any]:
            return views.mission(missions.read(root, self._brief_id(root, request)))

        return Reply("result", request.id, await self._read(read))

    async def _cancel(self, request: Request, _: Send) -> Reply:
        brief_id = await self._read(lambda root: self._brief_id(root, request))
        return Reply("result", request.id, {"cancelled": self.scheduler.cancel(brief_id)})

    def _brief_id(self, root: Root, request: Request) -> str:
        brief_id = request.body.get("brief_id") or root["keys"].get(request.key)
        if type(brief_id) is not str or brief_id not in root["missions"]:
            raise NotFoundError("no brief has this brief_id or key")
        return brief_id

    async def _facts(self, request: Request, _: Send) -> Reply:
        facts = dict(self.about())
        if request.type == "hello":
            facts = {
                key: facts[key] for key in ("version", "boot", "image_id", "limits", "protocol")
            }
        return Reply("result", request.id, facts)

    async def _ping(self, request: Request, _: Send) -> Reply:
        return Reply("pong", request.id, {"boot": self.about()["boot"]})

    async def _other(self, request: Request, send: Send) -> Reply:
        async with self._turns:
            body = await self.others[request.type](
                self.mind, request, lambda told: send(Reply("event", request.id, told))
            )
        return Reply("result", request.id, body)

    async def _shutdown(self, request: Request, _: Send) -> Reply:
        asyncio.get_running_loop().call_later(0.05, self.stop)
        return Reply("result", request.id, {"stopping": True})

    async def _read(self, work: Callable[[Root], Any]) -> Any:
        return await self.mind.image.transact(work, note="read")


def _checked(brief: Brief) -> Brief:
    check_selector(brief.selector)
    for name in brief.kwargs:
        check_slot_name(name)
        if keyword.iskeyword(name):
            raise ArgumentsError(f"{name!r} is a word of Python and cannot be an argument")
    return brief
