"""rehearse: a brief is tried on a throw-away fork first, and one sees what it would change.

    fork > mission there > what differs between its first and its last moment > fork removed
                                            `--keep--> the method is proved here, then sent here

The mission is a real one: models, cell, audit, commits. Only the image is another.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bat_os.core.values import check_selector, check_slot_name
from bat_os.errors import ArgumentsError, DeadlineError, NotFoundError
from bat_os.image import missions
from bat_os.image.catalog_service import CatalogService
from bat_os.image.files import fork as forks
from bat_os.image.history import moments
from bat_os.image.missions import WHO
from bat_os.image.objects import Method, MethodVersion
from bat_os.kernel import views
from bat_os.kernel.learning.cycle import CognitiveCycle
from bat_os.kernel.snapshot import find
from bat_os.kernel.turn import take_turn
from bat_os.kernel.verbs.exchange import prove, put_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.mission import Mission
    from bat_os.core.protocol import Request
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]
    Say = Callable[[Mapping[str, Any]], None]


async def rehearse(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Run a brief on a throw-away fork of the image; with ``body.keep``, then here too.

    Returns:
        ``answer`` (``type`` and ``body`` of the reply there), ``diff`` (what it changed there,
        as of the verb ``diff``), ``source`` of what was learned or "", ``seconds``, and
        ``kept``: {} or, of the message as it was sent here, the body of its result.

    Raises:
        ArgumentsError: It is no brief, or ``keep`` is neither true nor false.
        NotFoundError: No such target.
        DeadlineError: The mission took longer than a mission may.
        LockedError: A backup, fork or pack is at work.
        BatError: When keeping: as ``prove`` and ``take_turn``.
    """
    brief, keep = request.brief(), request.body.get("keep", False)
    if type(keep) is not bool:
        raise ArgumentsError("keep is neither true nor false")
    check_selector(brief.selector)
    for name in brief.kwargs:
        check_slot_name(name)
    await mind.image.transact(lambda root: find(root, brief.target).name, note="look for it")
    started = time.monotonic()
    async with forks.scratch(mind.image) as image:
        # Whoever rehearses looks before anything is kept: that is the yes to wait for.
        options = replace(mind.options, approve=False)
        catalog = CatalogService(image, mind.embedder)
        there = replace(mind, image=image, catalog=catalog, options=options)
        begin = await _last(image)
        answer = await _run(there, brief, say)
        diff = await moments.changes(image, begin, await _last(image))
        learned = await image.transact(lambda root: _learned(root, brief, diff), note="read it")
    kept: dict[str, Any] = {}
    if keep and answer["type"] == "result":
        kept = await _keep(mind, brief, learned)
    return {
        "answer": answer,
        "diff": diff,
        "source": learned[0] if learned else "",
        "kept": kept,
        "seconds": round(time.monotonic() - started, 3),
    }


async def _run(mind: KernelContext, brief: Brief, say: Say) -> dict[str, Any]:
    """Return the last reply of a mission that runs in ``mind``; ``say`` is told of its states."""
    mission_id = f"{int(time.time() * 1000):012x}{secrets.token_hex(6)}"
    about = {"session": "rehearsal", "accepted": time.time()}

    def store(root: Root) -> None:
        missions.open_brief(root, brief, mission_id=mission_id, key=mission_id, about=about)

    def emit(told: str, mission: Mission, detail: dict[str, Any]) -> None:
        who, does = WHO[mission.state]
        about = {"brief_id": told, "seq": len(mission.events), "state": str(mission.state)}
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
    if names not in {(one["object"], one["selector"]) for one in diff["methods"]}:
        return None
    if not isinstance(method, Method) or method.current < 0:
        return None
    version = method.version
    return version.source, method.status, dict(version.provenance)


async def _keep(
    mind: KernelContext, brief: Brief, learned: tuple[str, str, dict[str, Any]] | None
) -> dict[str, Any]:
    """Install what was learned, proved on the image as it is now, and send the message here."""
    if learned is not None:
        source, status, provenance = learned
        version = MethodVersion(1, source, status, provenance | {"rehearsed": True})
        skill = await prove(mind, brief.target, brief.selector, version)
        await mind.image.transact(
            lambda root: put_in(root, find(root, brief.target), skill),
            note=f"keep the rehearsed {brief.selector}"[:70],
        )
    elif await _is_unknown(mind, brief):
        raise NotFoundError("the rehearsal used a skill of another name; send the message itself")
    body: dict[str, Any] = await take_turn(
        mind.image, mind.cell, brief, settle=lambda _, answer: views.result(brief, answer)
    )
    return body


async def _is_unknown(mind: KernelContext, brief: Brief) -> bool:
    return await mind.image.transact(
        lambda root: find(root, brief.target).lookup(brief.selector) is None, note="look it up"
    )
