"""Look at missions, listen to them, withdraw them: the verbs that need the scheduler."""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.mission import State
from bat_os.core.protocol import Reply
from bat_os.errors import ArgumentsError, BatError, NotFoundError
from bat_os.image import missions
from bat_os.kernel import views
from bat_os.kernel.missions.feed import replay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping

    from bat_os.core.mission import Mission
    from bat_os.core.protocol import Request
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.missions.scheduler import Scheduler

    Root = MutableMapping[str, Any]
    Send = Callable[[Reply], bool | None]

MAX_LISTED: Final = 200
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
            "subscribe": self._subscribe,
            "unsubscribe": self._unsubscribe,
        }

    async def _get(self, request: Request, _: Send) -> Reply:
        """Answer with one mission; with ``after_seq`` also with its events from there on."""
        after = _number(request, "after_seq", -1)

        def read(root: Root) -> dict[str, Any]:
            record = missions.read(root, _brief_id(root, request))
            told = views.mission(record)
            if after >= 0:
                told["events"] = replay(record.id, record.mission, after)
            return told

        return Reply("result", request.id, await self._read(read))

    async def _cancel(self, request: Request, _: Send) -> Reply:
        brief_id = await self._read(lambda root: _brief_id(root, request))
        return Reply("result", request.id, {"cancelled": self._scheduler.cancel(brief_id)})

    async def _list(self, request: Request, _: Send) -> Reply:
        """Answer with missions, the newest first; page on with ``before``."""
        limit, before = _number(request, "limit", 50), request.body.get("before", "")
        state = request.body.get("state", "")
        if not 1 <= limit <= MAX_LISTED:
            raise ArgumentsError(f"limit is not a number from 1 to {MAX_LISTED}")
        if type(before) is not str:
            raise ArgumentsError("before is not a brief_id")
        if state not in ("", "running", *map(str, State)):
            raise ArgumentsError(f"state is none of running, {', '.join(map(str, State))}")

        def read(root: Root) -> dict[str, Any]:
            found: list[dict[str, Any]] = []
            last = ""
            for last in _newest_first(root, before):
                told = _listed(root, last)
                if _fits(told, state):
                    found.append(told)
                if len(found) == limit:
                    return {"missions": found, "before": last}
            return {"missions": found, "before": ""}

        return Reply("result", request.id, await self._read(read))

    async def _subscribe(self, request: Request, send: Send) -> Reply:
        """Send events until it is over: of one mission, or of all.

        Raises:
            ArgumentsError: No id, or a number that is none.
            BusyError: Too many listen.
            NotFoundError: No such brief.
        """
        feed, key = self._scheduler.feed, (request.session, request.id)
        after, after_seq = _number(request, "after", feed.number), _number(request, "after_seq", 0)

        def tell(told: Mapping[str, Any]) -> bool | None:
            return send(Reply("event", request.id, told))

        if request.key or "brief_id" in request.body:
            brief_id = await self._read(lambda root: _brief_id(root, request))

            async def stored() -> Mission:
                record: Record = await self._read(lambda root: missions.read(root, brief_id))
                return record.mission

            why = await feed.follow_one(key, brief_id, after_seq, tell, stored)
        else:
            why = await feed.follow(key, after, tell)
        return Reply("result", request.id, {"ended": why, "n": feed.number})

    async def _unsubscribe(self, request: Request, _: Send) -> Reply:
        of = request.body.get("id")
        if type(of) is not str:
            raise ArgumentsError("unsubscribe needs a body with the id of the subscription")
        ended = self._scheduler.feed.stop((request.session, of))
        return Reply("result", request.id, {"unsubscribed": ended})

    async def _read(self, work: Callable[[Root], Any]) -> Any:
        return await self._mind.image.transact(work, note="read")


def _brief_id(root: Root, request: Request) -> str:
    brief_id = request.body.get("brief_id") or missions.id_of(root, request.key)
    if type(brief_id) is not str or not brief_id:
        raise NotFoundError("no brief has this brief_id or key")
    missions.stored(root, brief_id)
    return brief_id


def _number(request: Request, name: str, default: int) -> int:
    value = request.body.get(name, default)
    if type(value) is not int or value < min(default, 0):
        raise ArgumentsError(f"{name} is not a whole number from 0 on")
    return value


def _newest_first(root: Root, before: str) -> Iterator[str]:
    """Yield ids of missions, at most _LOOKED_AT of them."""
    waiting = [one for one in reversed(missions.unfinished(root)) if not before or one < before]
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
        told = views.mission(missions.read(root, brief_id))
    except BatError as error:  # a record that cannot be read is named, and the others are told
        return {"brief_id": brief_id, "state": "damaged", "problem": str(error)}
    answer = told["answer"]
    problem = answer["body"].get("message", "") if answer and answer["type"] == "error" else ""
    return {name: told[name] for name in _LISTED} | {"problem": problem}


def _fits(told: Mapping[str, Any], state: str) -> bool:
    if state == "running":
        return told["state"] not in (State.COMPLETE, State.FAILED, "damaged")
    return state in ("", told["state"])
