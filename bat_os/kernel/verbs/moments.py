"""Time travel and rehearsal: requests about the image of another moment, or on a fork of it.

    in_time(name, handler)    with ``at`` in the body, the verb reads the image of that moment
    rehearse                  fork > mission there > what it changed there > fork removed
                                                    keep: the method is proved here, then sent here

``bat_os.core.moments`` says how moments are named. Nothing is learned in the past. The mission of a
rehearsal is a real one, with models, cell, audit and commits; only the image is another.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import secrets
import time
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from persistent.TimeStamp import TimeStamp

from bat_os.core.brief import checked
from bat_os.core.choosing import preview, same
from bat_os.core.mission import State
from bat_os.core.moments import parse_when
from bat_os.core.scopes import demand, demand_message
from bat_os.core.values import to_wire
from bat_os.core.verbs import REQUESTS, SCOPE_OF
from bat_os.errors import (
    ArgumentsError,
    CellError,
    DeadlineError,
    NotFoundError,
    NotUnderstoodError,
    ProtocolError,
)
from bat_os.image import missions
from bat_os.image.catalog_service import CatalogService
from bat_os.image.files import fork as forks
from bat_os.image.files import lineage
from bat_os.image.history import moments
from bat_os.image.history.entries import REHEARSAL
from bat_os.image.history.moments import PastImage, bisect, list_changes
from bat_os.image.missions import WHO
from bat_os.image.objects import Method, MethodVersion, find
from bat_os.kernel import views
from bat_os.kernel.context import Orchestrator
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.turn import Turn, take_turn
from bat_os.kernel.verbs.files import prove, put_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.mission import Mission
    from bat_os.core.protocol import Request
    from bat_os.image.history.moments import Change
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]

# What a message may be answered with instead of a value; all else does not come from the image.
_NOT_THERE: Final = {NotFoundError.code, NotUnderstoodError.code}
_ON_A_COPY: Final = "tried it on a copy of the image"
_ANSWERS: Final = (CellError, NotFoundError, NotUnderstoodError, ProtocolError)


def in_time(name: str, handler: Handler) -> Handler:
    """Return the handler such that ``at`` in the body of a request takes it to that moment.

    Its answer then has ``at``, too: ``transaction`` and ``time`` (Unix time) of what it saw. Verbs
    that do not only read the image have a handler for the present alone.
    """
    if REQUESTS[name].access != "past":
        return handler

    async def run(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        if "at" not in request.body:
            return await handler(mind, request, say)
        then, at = await _go_back(mind, request.body["at"])
        return await handler(then, request, say) | {"at": at}

    return run


async def send_at(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Answer a message as the image of the moment ``body.at`` would have; nothing is kept.

    Returns:
        As ``send``, with ``at`` and ``dropped``: it would have changed the image.
    """
    brief, started = checked(request.brief()), time.monotonic()
    then, at = await _go_back(mind, request.body["at"])
    answer = await Turn(then.image, then.cell, reach=then).run(brief)
    seconds = round(time.monotonic() - started, 4)
    return views.result(brief, answer, at=at, dropped=answer.writes, seconds=seconds)


async def diff(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what differs between the moments ``body.a`` and ``body.b`` (now, if not said)."""
    a, b = await _resolve(mind, request.body["a"]), await _resolve(mind, request.body["b"])
    return await moments.changes(mind.image, a, b)


async def find_change(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return the transaction that changed the answer to a message.

    The message is answered as of ``body.good``, and by halves as of moments between that and
    ``body.bad`` (now, if not said), until one transaction is left.

    Returns:
        ``transaction``, ``time``, ``note`` and ``mission`` of it; ``before`` and ``after``:
        each ``{"result": value}`` or ``{"error": code, "message": text}``; ``transactions``
        (how many there were) and ``openings`` (of how many moments the image was opened).
    """
    brief = checked(request.brief())
    good = await _resolve(mind, request.body["good"])
    bad = await _resolve(mind, request.body["bad"])
    changes = await list_changes(mind.image, good, bad)
    expected, now = await _answer(mind, brief, good), await _answer(mind, brief, bad)
    if {expected.get("error"), now.get("error")} <= _NOT_THERE:
        raise ArgumentsError(
            f"{brief.target} understood {brief.selector!r} at neither moment; there is nothing to "
            "look for"
        )
    answers: dict[str, dict[str, Any]] = {}

    async def is_good(change: Change) -> bool:
        answer = answers[change.tid] = await _answer(mind, brief, change.tid)
        say({"text": f"{change.tid}: {preview(answer)}"})
        return await asyncio.to_thread(same, answer, expected)

    change, looks = await bisect(changes, is_good)
    if change is None:
        raise ArgumentsError(
            f"the answer is the same at both moments: {preview(expected)}",
            transactions=len(changes),
        )
    about = asdict(change)
    about["transaction"], about["time"] = about.pop("tid"), about.pop("at")
    ends = {"before": expected, "after": answers[change.tid]}
    return about | ends | {"transactions": len(changes), "openings": looks + 1}


async def _answer(mind: KernelContext, brief: Brief, tid: str) -> dict[str, Any]:
    try:
        answer = await Turn(PastImage(mind.image, tid), mind.cell).run(brief)
    except _ANSWERS as error:
        return {"error": error.code, "message": str(error)}
    return {"result": to_wire(answer.value)}


async def _go_back(mind: KernelContext, when: str) -> tuple[KernelContext, dict[str, Any]]:
    tid = await _resolve(mind, when)
    image = PastImage(mind.image, tid)
    catalog = CatalogService(image, mind.embedder)
    then = replace(mind, image=image, catalog=catalog, drivers={})  # the world is of the present
    stamp = TimeStamp(bytes.fromhex(tid))
    return then, {"transaction": tid, "time": stamp.timeTime()}


async def _resolve(mind: KernelContext, when: str) -> str:
    moment = parse_when(when, dt.datetime.now().astimezone())
    return await mind.image.transact(
        lambda root: moments.resolve(root, moment), note="find a moment"
    )


async def rehearse(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Run a brief on a throw-away fork of the image; with ``body.keep``, then here too.

    Returns:
        ``answer`` (``type`` and ``body`` of the reply there), ``diff`` (what it changed there,
        as of the verb ``diff``), ``source`` of what was learned or "", ``seconds``, and
        ``kept``: {} or, of the message as it was sent here, the body of its result.
    """
    brief = checked(request.brief())
    demand_message(request.may, brief.selector)
    if request.body["keep"]:
        demand(request.may, SCOPE_OF["approve"], "to keep what was rehearsed")
    await mind.image.transact(lambda root: find(root, brief.target).name, note="look for it")
    started = time.monotonic()
    # A person looks at the rehearsal before anything is kept: that is the approval.
    told = await rehearse_brief(mind, brief, say)
    answer, diff, learned = told.answer, told.diff, told.learned
    kept: dict[str, Any] = {}
    if request.body["keep"] and answer["type"] == "result":
        kept = await _keep(mind, brief, learned)
    return {
        "answer": answer,
        "diff": diff,
        "source": learned[0] if learned else "",
        "kept": kept,
        "seconds": round(time.monotonic() - started, 3),
    }


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What came of a brief on a fork."""

    answer: dict[str, Any]  # ``type`` and ``body`` of the last reply
    diff: dict[str, Any]  # what it changed there
    # source, status and provenance of what it taught the target, or None
    learned: tuple[str, str, dict[str, Any]] | None


async def rehearse_brief(mind: KernelContext, brief: Brief, say: Say) -> Rehearsed:
    """Run a brief on a throw-away fork, without approval and without ways into the world."""
    async with on_a_fork(mind) as there:
        begin = await _last(there.image)
        answer = await _run(there, brief, say)
        diff = await moments.changes(there.image, begin, await _last(there.image))
        learned = await there.image.transact(
            lambda root: _learned(root, brief, diff), note="read it"
        )
    return Rehearsed(answer, diff, learned)


@contextlib.asynccontextmanager
async def on_a_fork(mind: KernelContext) -> AsyncIterator[KernelContext]:
    """Give a mind like this one on a fork of its image, which is then removed."""
    async with forks.scratch(mind.image) as image:
        catalog = CatalogService(image, mind.embedder)
        options = replace(mind.options, approve=False)
        yield replace(mind, image=image, catalog=catalog, options=options, drivers={},
                      orchestrator=Orchestrator())  # fmt: skip


async def _run(mind: KernelContext, brief: Brief, say: Say) -> dict[str, Any]:
    """Return the last reply of a mission that runs in ``mind``; ``say`` gets its states."""
    mission_id = f"{int(time.time() * 1000):012x}{secrets.token_hex(6)}"
    about = {"session": REHEARSAL, "accepted": time.time()}

    def store(root: Root) -> None:
        missions.open_brief(root, brief, mission_id=mission_id, key=mission_id, about=about)

    def emit(brief_id: str, mission: Mission, detail: dict[str, Any]) -> None:
        who, does = WHO[mission.state]
        does = _ON_A_COPY if mission.state is State.COMPLETE else does
        about = {"brief_id": brief_id, "seq": len(mission.events), "state": str(mission.state)}
        say(about | {"persona": detail.get("persona", who), "does": does, "detail": detail})

    await mind.image.transact(store, note="accept a rehearsal", mission=mission_id)
    try:
        async with asyncio.timeout(mind.options.mission_seconds):
            return await CognitiveCycle(mind, emit).run(mission_id)
    except TimeoutError:
        raise DeadlineError("the rehearsal took longer than a mission may") from None


async def _last(image: ImageStore) -> str:
    """Return the id of the last transaction."""
    return await image.transact(
        lambda root: str(root._p_jar.db().lastTransaction().hex()),  # type: ignore[attr-defined]  # ZODB: the root's connection
        note="look at the time",
    )


def _learned(
    root: Root, brief: Brief, diff: Mapping[str, Any]
) -> tuple[str, str, dict[str, Any]] | None:
    """Return (source, status, provenance) of what the mission taught the target, or None."""
    obj = find(root, brief.target)
    names = (obj.name, brief.selector)
    method = obj.slots.get(brief.selector)
    if names not in {(row["object"], row["selector"]) for row in diff["methods"]}:
        return None
    if not isinstance(method, Method) or method.current < 0:
        return None
    version = method.version
    about = {"object": obj.name, "version": version.number, "status": method.status,
             "sha256": version.sha256}  # fmt: skip
    there = {"id": lineage.mind_of(root)["id"], "name": REHEARSAL}
    past = lineage.hop_of(there, version.provenance, about, time.time())
    return version.source, method.status, past | {"rehearsed": True}


async def _keep(
    mind: KernelContext, brief: Brief, learned: tuple[str, str, dict[str, Any]] | None
) -> dict[str, Any]:
    """Install what was learned, proved on the image as it is now, and send the message here."""
    if learned is not None:
        source, status, provenance = learned
        version = MethodVersion(1, source, status, provenance)
        skill = await prove(mind, brief.target, brief.selector, version)
        await mind.image.transact(
            lambda root: put_in(root, find(root, brief.target), skill),
            note=f"keep the rehearsed {brief.selector}"[:70],
        )
    elif await _is_unknown(mind, brief):
        raise NotFoundError("the rehearsal used a skill of another name; send the message itself")
    body: dict[str, Any] = await take_turn(
        mind.image, mind.cell, brief, settle=lambda _, answer: views.result(brief, answer),
        reach=mind,
    )  # fmt: skip
    return body


async def _is_unknown(mind: KernelContext, brief: Brief) -> bool:
    return await mind.image.transact(
        lambda root: find(root, brief.target).lookup(brief.selector) is None, note="look it up"
    )


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"bisect": find_change, "diff": diff, "rehearse": rehearse}
)
