"""Time travel: any reading verb as of then, a message as of then, and what changed when.

    in_time(name, verb)    with ``at`` in the body, the verb reads the image of that moment

A moment is named as ``bat_os.core.moments`` says. Nothing here changes the image, and nothing is
learned in the past.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from persistent.TimeStamp import TimeStamp

from bat_os.core.brief import checked
from bat_os.core.choosing import same
from bat_os.core.moments import parse_when
from bat_os.core.values import to_wire
from bat_os.errors import (
    ArgumentsError,
    CellError,
    NotFoundError,
    NotUnderstoodError,
    ProtocolError,
)
from bat_os.image.catalog_service import CatalogService
from bat_os.image.history import moments
from bat_os.image.history.moments import PastImage, bisect, list_changes
from bat_os.kernel import views
from bat_os.kernel.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.core.brief import Brief
    from bat_os.core.protocol import Request
    from bat_os.image.history.moments import Change
    from bat_os.kernel.context import KernelContext

    Say = Callable[[Mapping[str, Any]], None]
    Verb = Callable[[KernelContext, Request, Say], Awaitable[dict[str, Any]]]

# Verbs that only read, and do so through ``mind.image`` and ``mind.catalog``.
READING: Final = frozenset(
    {
        "diff-method",
        "documents",
        "export",
        "find",
        "inspect",
        "list",
        "models",
        "replay",
        "search",
        "versions",
        "why",
    }
)
# Verbs for which ``at`` has a meaning of its own.
OWN: Final = frozenset({"fork", "send.at"})
# What a message may be answered with instead of a value; all else is no answer of the image.
_ANSWERS: Final = (CellError, NotFoundError, NotUnderstoodError, ProtocolError)


def in_time(name: str, verb: Verb) -> Verb:
    """Return the verb such that ``at`` in the body of a request takes it to that moment.

    Its answer then has ``at``, too: ``transaction`` and ``time`` (Unix time) of what it saw.
    What is no reading verb refuses ``at``, rather than to act on the present.
    """
    if name in OWN:
        return verb

    async def run(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        if "at" not in request.body:
            return await verb(mind, request, say)
        if name not in READING:
            known = ", ".join(sorted(READING))
            raise ArgumentsError(f"{name} takes no moment; these do: {known}, send")
        then, at = await _go_back(mind, request.body["at"])
        return await verb(then, request, say) | {"at": at}

    return run


async def send_at(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Answer a message as the image of the moment ``body.at`` would have; nothing is kept.

    Returns:
        As ``send``, with ``at`` and ``dropped``: it would have changed the image.

    Raises:
        NotUnderstoodError: The receiver did not understand it then; nothing is learned.
        BatError: As ``Turn.run``; or it is no moment, or no message.
    """
    brief, started = checked(request.brief()), time.monotonic()
    then, at = await _go_back(mind, request.body.get("at"))
    answer = await Turn(then.image, then.cell).run(brief)
    seconds = round(time.monotonic() - started, 4)
    return views.result(brief, answer, at=at, dropped=answer.writes, seconds=seconds)


async def diff(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what differs between the moments ``body.a`` and ``body.b`` (now, if not said).

    Raises:
        ArgumentsError: One of them is no moment.
        NotFoundError: No such mission, or the image cannot be seen that far back.
    """
    one = await _resolve(mind, request.body.get("a"))
    other = await _resolve(mind, request.body.get("b", "now"))
    return await moments.changes(mind.image, one, other)


async def find_change(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return the transaction that changed the answer to a message.

    The message is answered as of ``body.good``, and by halves as of moments between that and
    ``body.bad`` (now, if not said), until one transaction is left.

    Returns:
        ``transaction``, ``time``, ``note`` and ``mission`` of it; ``before`` and ``after``:
        each ``{"result": value}`` or ``{"error": code, "message": text}``; ``transactions``
        (how many there were) and ``openings`` (of how many moments the image was opened).

    Raises:
        ArgumentsError: Nothing was committed between them, or the answer is the same.
        BatError: It is no moment, or no message.
    """
    brief = checked(request.brief())
    good = await _resolve(mind, request.body.get("good"))
    bad = await _resolve(mind, request.body.get("bad", "now"))
    changes = await list_changes(mind.image, good, bad)
    expected = await _answer(mind, brief, good)
    found: dict[str, dict[str, Any]] = {}

    async def is_good(change: Change) -> bool:
        told = found[change.tid] = await _answer(mind, brief, change.tid)
        say({"text": f"{change.tid}: {views.shorten(told)}"})
        return await asyncio.to_thread(same, told, expected)

    change, looks = await bisect(changes, is_good)
    if change is None:
        raise ArgumentsError(
            f"the answer is the same at both moments: {views.shorten(expected)}",
            transactions=len(changes),
        )
    about = asdict(change)
    about["transaction"], about["time"] = about.pop("tid"), about.pop("at")
    ends = {"before": expected, "after": found[change.tid]}
    return about | ends | {"transactions": len(changes), "openings": looks + 1}


async def _answer(mind: KernelContext, brief: Brief, tid: str) -> dict[str, Any]:
    try:
        answer = await Turn(PastImage(mind.image, tid), mind.cell).run(brief)
    except _ANSWERS as error:
        return {"error": error.code, "message": str(error)}
    return {"result": to_wire(answer.value)}


async def _go_back(mind: KernelContext, when: Any) -> tuple[KernelContext, dict[str, Any]]:
    tid = await _resolve(mind, when)
    image = PastImage(mind.image, tid)
    then = replace(mind, image=image, catalog=CatalogService(image, mind.embedder))
    stamp = TimeStamp(bytes.fromhex(tid))
    return then, {"transaction": tid, "time": stamp.timeTime()}


async def _resolve(mind: KernelContext, when: Any) -> str:
    if type(when) is not str:
        raise ArgumentsError("a moment is a text, such as '2 hours ago'")
    moment = parse_when(when, dt.datetime.now().astimezone())
    return await mind.image.transact(
        lambda root: moments.resolve(root, moment), note="find a moment"
    )


VERBS: Final[Mapping[str, Verb]] = MappingProxyType(
    {"bisect": find_change, "diff": diff, "send.at": send_at}
)
