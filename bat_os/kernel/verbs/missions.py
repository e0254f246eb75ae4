"""Look at missions, listen to them, withdraw them: the verbs that need the scheduler."""

from __future__ import annotations

import math
from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import State
from bat_os.core.protocol import Reply
from bat_os.errors import BatError, NotFoundError
from bat_os.image import desks, missions
from bat_os.kernel import views
from bat_os.kernel.agent.budget import show_steps
from bat_os.kernel.learning import asking
from bat_os.kernel.missions.feed import replay
from bat_os.kernel.missions.retention import ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping

    from bat_os.core.mission import Mission
    from bat_os.core.protocol import Request
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.missions.scheduler import Scheduler

    Root = MutableMapping[str, Any]
    Send = Callable[[Reply], bool | None]

_LOOKED_AT: Final = 5000
_LISTED: Final = ("brief_id", "state", "seq", "target", "selector", "accepted", "attempts")


class MissionVerbs:
    """The verbs about missions, over one scheduler."""

    def __init__(self, mind: KernelContext, scheduler: Scheduler) -> None:
        self._mind = mind
        self._scheduler = scheduler

    def table(self) -> dict[str, Callable[[Request, Send], Awaitable[Reply]]]:
        """Return the verbs by name."""
        return {
            "brief.get": self._get,
            "cancel": self._cancel,
            "missions": self._list,
            "missions.resume": self._resume,
            "missions.leave": self._leave,
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }

    async def _get(self, request: Request, _: Send) -> Reply:
        """Answer with one mission; with ``after_seq`` also with its events from there on."""
        after = request.body["after_seq"]

        def read(root: Root) -> dict[str, Any]:
            record = missions.read(root, _brief_id(root, request))
            if after is None:
                return views.mission(record)
            waits = (record.answer or {}).get("type") == "error"
            events = replay(record.id, record.mission, after, waits=waits)
            return views.mission(record) | {"events": events} | show_steps(record.mission)

        return Reply("result", request.id, await self._read(read))

    async def _cancel(self, request: Request, _: Send) -> Reply:
        if request.key and self._scheduler.cancel_turn(request.key):
            return Reply("result", request.id, {"cancelled": True})
        brief_id = await self._read(lambda root: _brief_id(root, request))
        if self._scheduler.cancel(brief_id):
            return Reply("result", request.id, {"cancelled": True})
        if await self._mind.image.transact(
            lambda root: desks.withdraw(root, brief_id), note="withdraw a mission"
        ):  # its kernel sees it
            return Reply("result", request.id, {"cancelled": True})

        def read(root: Root) -> dict[str, Any]:
            found = missions.stored(root, brief_id)
            state, at = str(missions.read(root, brief_id).mission.state), ended(found)
            return {"state": state} | ({"ended": at} if math.isfinite(at) else {})

        return Reply("result", request.id, {"cancelled": False, **await self._read(read)})

    async def _list(self, request: Request, _: Send) -> Reply:
        """Answer with missions, the newest first; page on with ``before``."""
        limit, state, before = (request.body[key] for key in ("limit", "state", "before"))

        def read(root: Root) -> dict[str, Any]:
            rows: list[dict[str, Any]] = []
            last = ""
            for last in _newest_first(root, before):
                row = _listed(root, last)
                if _fits(row, state):
                    rows.append(row)
                if len(rows) == limit:
                    return {"missions": rows, "before": last}
            return {"missions": rows, "before": ""}

        return Reply("result", request.id, await self._read(read))

    async def _resume(self, request: Request, send: Send) -> Reply:
        """Have a mission that failed go on, and answer as it does; each state is an event."""
        brief_id = await self._read(lambda root: _brief_id(root, request))
        await self._scheduler.resume_failed(brief_id, more=request.body["more"])

        def tell(event: Mapping[str, Any]) -> None:
            send(Reply("event", request.id, event))

        answer = await self._scheduler.result(brief_id, tell)
        return Reply(answer["type"], request.id, answer["body"])

    async def _leave(self, request: Request, send: Send) -> Reply:
        """Answer what a mission asks leave for; it then goes on, and answers as it does."""
        brief_id = await self._read(lambda root: _brief_id(root, request))
        way, what = request.body["way"], request.body["what"]
        goes_on = await asking.answer(
            self._mind, self._scheduler, brief_id, way, what, request.caller
        )
        if not goes_on:
            return Reply("result", request.id, {"refused": True, "brief_id": brief_id})

        def tell(event: Mapping[str, Any]) -> None:
            send(Reply("event", request.id, event))

        answer = await self._scheduler.result(brief_id, tell)
        return Reply(answer["type"], request.id, answer["body"])

    async def _subscribe(self, request: Request, send: Send) -> Reply:
        """Send events until it is over: of one mission, or of all."""
        about = request.body["about"]
        feed = self._scheduler.changes if about == "changes" else self._scheduler.feed
        key = (request.session, request.id)
        after, after_seq = request.body["after"], request.body["after_seq"]

        def tell(event: Mapping[str, Any]) -> bool | None:
            return send(Reply("event", request.id, event))

        if about != "changes" and (request.key or request.body["brief_id"]):
            brief_id = await self._read(lambda root: _brief_id(root, request))

            async def stored() -> Mission:
                record: Record = await self._read(lambda root: missions.read(root, brief_id))
                return record.mission

            record = await self._read(lambda root: missions.read(root, brief_id))
            if record.answer is None and not self._scheduler.is_own(record):
                why = await self._watch_elsewhere(brief_id, after_seq, tell)
            else:
                why = await feed.follow(key, after_seq, tell, brief_id, stored)
        else:
            why = await feed.follow(key, feed.number if after is None else after, tell)
        return Reply("result", request.id, {"ended": why, "n": feed.number})

    async def _watch_elsewhere(
        self, brief_id: str, after: int, tell: Callable[[Mapping[str, Any]], object]
    ) -> str:
        """Send the events of a mission that another kernel runs, as the image has them."""

        def hear(event: Mapping[str, Any]) -> None:
            if event["seq"] > after:
                tell(event)

        await self._scheduler.result(brief_id, hear)
        return "complete"

    async def _unsubscribe(self, request: Request, _: Send) -> Reply:
        key = (request.session, request.body["id"])
        ended = self._scheduler.feed.stop(key) or self._scheduler.changes.stop(key)
        return Reply("result", request.id, {"unsubscribed": ended})

    async def _read(self, work: Callable[[Root], Any]) -> Any:
        return await self._mind.image.transact(work, note="read")


def _brief_id(root: Root, request: Request) -> str:
    brief_id: str = request.body["brief_id"] or missions.id_of(root, request.key)
    if not brief_id:
        raise NotFoundError("no request has this brief_id or key; batos missions lists them")
    missions.stored(root, brief_id)
    return brief_id


def _newest_first(root: Root, before: str) -> Iterator[str]:
    """Yield ids of missions, at most _LOOKED_AT of them."""
    waiting = [key for key in reversed(missions.unfinished(root)) if not before or key < before]
    return islice(merge(waiting, _ended(root, before), reverse=True), _LOOKED_AT)


def _ended(root: Root, before: str) -> Iterator[str]:
    stored, last = root["missions"], before or None
    while True:
        try:
            key: str = stored.maxKey(last) if last else stored.maxKey()
            if key == before:
                # The tree gives what is not above; the next lower text is one character less.
                key = stored.maxKey(_below(key))
        except ValueError:  # nothing is left
            return
        yield key
        last = _below(key)


def _below(key: str) -> str:
    """Return a text just below ``key``: above all ids that sort before it.

    >>> _below("b") < "b" and _below("b") > "a~"
    True
    """
    return key[:-1] + chr(ord(key[-1]) - 1) + "\U0010ffff"


def _listed(root: Root, brief_id: str) -> dict[str, Any]:
    try:
        row = views.mission(missions.read(root, brief_id))
    except BatError as error:  # a record that cannot be read is named among the others
        return {"brief_id": brief_id, "state": "damaged", "problem": str(error)}
    body = row["answer"]["body"] if row["answer"] else {}
    failed = row["answer"] and row["answer"]["type"] == "error"
    label = (body.get("details", {}) if failed else body).get("label", ())
    told = {name: row[name] for name in _LISTED} | {"problem": body["message"] if failed else ""}
    if failed and asking.is_open(root, body):
        effect = body["details"].get("effect", {})
        whole = {"whole": effect["whole"]} if "whole" in effect else {}
        told |= {"waits": "leave", **whole}
    return told | ({"label": list(label)} if label else {})


def _fits(row: Mapping[str, Any], state: str) -> bool:
    if state == "waiting":
        return "waits" in row
    if state == "running":
        return row["state"] not in (State.COMPLETE, State.FAILED, "damaged")
    return state in ("", row["state"])
