"""A mission that has to ask for leave: the question that it ends with, and the answer to it.

    trials end in GRANT_WANTED > one question for those that want the same > FAILED, and it waits
      once, always > LeaveGiven > it goes on in the state in which it asked, with what was drawn
      no           > kept for KEPT seconds, and not asked again

What waits is a record in the image: no cell, thread or model is held. The scope of a grant is what
the person has said; a path that only a method, or something that was read, has named is not.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.digest import digest
from bat_os.core.mission import LeaveGiven
from bat_os.core.printable import show_on_one_line
from bat_os.errors import ArgumentsError, BatError, GrantWantedError, NotGrantedError
from bat_os.image import flows, grants
from bat_os.image.flows import Flow
from bat_os.image.objects import find, ref_of, tree_of
from bat_os.ports import WideDriver

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]

ONCE, ALWAYS, NO = "once", "always", "no"
REFUSED: Final = "refused"  # digest of what was wanted -> Unix time of the no
KEPT: Final = 30 * 86_400.0
ENDS: Final = 86_400.0  # seconds after which a grant for one mission ends, whatever becomes of it
HOLDER: Final = "genesis_obj"


async def question(
    mind: KernelContext, brief: Brief, wanted: Sequence[GrantWantedError]
) -> BatError:
    """Return what most of the candidates want, as the error that a mission ends with.

    That is NotGrantedError for what a person has refused.
    """
    counted = Counter(_key(error.details) for error in wanted)
    most = max(counted, key=lambda key: counted[key])
    error = next(each for each in wanted if _key(each.details) == most)
    at = await mind.image.transact(lambda root: root.get(REFUSED, {}).get(most, 0), note="look")
    if time.time() - at < KEPT:
        day = time.strftime("%Y-%m-%d", time.localtime(at))
        return NotGrantedError(f"{error}; you refused that on {day}", refused=at)
    if "flow" in error.details:
        return error
    scope = await _scope(mind, brief, error)
    driver = mind.drivers.get(str(error.details.get("driver")))
    once_only = isinstance(driver, WideDriver) and not await asyncio.to_thread(
        driver.may_offer, scope
    )
    ways = (ONCE, NO) if once_only else (ONCE, ALWAYS, NO)
    details = {**error.details, "scope": scope, "ways": ways if scope else (NO,)}
    what = show_on_one_line(scope) or "something that you have not named"
    text = f"this needs to {details.get('operation', 'use')} {what}, which BAT OS may not do yet"
    return GrantWantedError(text, **details)


async def _scope(mind: KernelContext, brief: Brief, error: GrantWantedError) -> str:
    """Return what can be granted of what the person said themselves; "" if they named nothing."""
    driver = mind.drivers.get(str(error.details.get("driver")))
    named = [str(one) for one in error.details.get("what", ())]
    own = [one for one in (*brief.args, *brief.kwargs.values()) if isinstance(one, str)]
    said = [one for one in named if one in own or f" {one} " in f" {brief.text} "]
    if driver is None or brief.label or not said:
        return ""
    try:
        scope = await asyncio.to_thread(driver.scope, said[-1])
    except BatError:  # it is not there, or nothing that can be granted
        return ""
    return driver.describe(scope)


async def answer(
    mind: KernelContext, scheduler: Any, mission_id: str, way: str, what: str = "", by: str = ""
) -> bool:
    """Answer the question of a mission; return whether it goes on.

    Args:
        mind: The kernel.
        scheduler: What runs missions.
        mission_id: The mission.
        way: ``once``, ``always`` or ``no``.
        what: The scope, where the question has none, or for another one.
        by: Who answers.

    Raises:
        ArgumentsError: It asks for nothing, any more; or nothing says what is to be granted.
    """
    from bat_os.image import missions

    record = await mind.image.transact(
        lambda root: missions.read(root, mission_id), note="read a mission"
    )
    details = _asked(record)
    if way == NO and "effect" in details:
        return False
    if way == NO:
        await mind.image.transact(lambda root: _refuse(root, details), note="refuse a grant")
        return False
    scope: dict[str, Any] = {}
    if "flow" not in details and "effect" not in details:
        driver = mind.drivers.get(str(details.get("driver")))
        if way == ALWAYS and not what and way not in details.get("ways", (ALWAYS,)):
            raise ArgumentsError(
                f"{details['scope']} reaches too far to be offered from now on; "
                "say that you mean it: missions always ID --what PATH"
            )
        what = what or str(details.get("scope", ""))
        if driver is None or not what:
            raise ArgumentsError("say what may be reached: missions once ID --what ~/notes")
        scope = await asyncio.to_thread(driver.scope, what)

    def leave(root: Root, record: Record) -> LeaveGiven:
        details = _asked(record)  # as it is now: it may have been answered meanwhile
        if "effect" in details:
            return LeaveGiven(once=(("effect", details["effect"]["key"], ""),))
        if "flow" in details:
            return _let_through(root, details["flow"], way, by)
        return _grant(mind, root, record, details["driver"], scope, way, by)

    await scheduler.resume_failed(mission_id, leave=leave)
    return True


async def is_waiting(mind: KernelContext, mission_id: str) -> bool:
    """Return whether a mission asks for leave."""
    from bat_os.image import missions

    record = await mind.image.transact(
        lambda root: missions.read(root, mission_id), note="read a mission"
    )
    return _asks(record)


def _asks(record: Record) -> bool:
    return bool((record.answer or {}).get("body", {}).get("code") == GrantWantedError.code)


def _asked(record: Record) -> Mapping[str, Any]:
    body = (record.answer or {}).get("body", {})
    if not _asks(record):
        raise ArgumentsError("this request asks for nothing; batos missions lists those that do")
    details: Mapping[str, Any] = body["details"]
    return details


def is_open(root: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Return whether a mission that ended with this error still waits for leave."""
    if body.get("code") != GrantWantedError.code:
        return False
    return bool(time.time() - root.get(REFUSED, {}).get(_key(body.get("details", {})), 0) >= KEPT)


def _refuse(root: Root, details: Mapping[str, Any]) -> None:
    refused, now = tree_of(root, REFUSED), time.time()
    for key in [key for key, at in refused.items() if now - at >= KEPT]:
        del refused[key]
    refused[_key(details)] = now


def _let_through(root: Root, flow: Mapping[str, str], way: str, by: str) -> LeaveGiven:
    if way == ALWAYS:
        flows.allow(root, Flow(flow["source"], flow["sink"], time.time(), by))
        return LeaveGiven()
    return LeaveGiven(once=(("flow", flow["source"], flow["sink"]),))


def _grant(  # noqa: PLR0913 - each is one thing that a grant says
    mind: KernelContext, root: Root, record: Record, name: str, scope: Mapping[str, Any],
    way: str, by: str,
) -> LeaveGiven:  # fmt: skip
    """Make an object with a grant: for this mission alone, or in the slot that was asked."""
    driver, now = mind.drivers[name], time.time()
    asked = find(root, grants.prototype_of(driver))
    about = {"given": now, "by": by}
    if way == ONCE:
        given = grants.give(root, driver, scope, "", **about, until=now + ENDS)
        return LeaveGiven(once=(("grant", ref_of(asked).oid, given.oid),))
    stem = "".join(c if c.isalnum() else "_" for c in driver.short_name(scope).lower()).strip("_")
    named, number = f"{stem or name}_obj", 2
    while named in root["objects"]:
        named, number = f"{stem or name}_{number}_obj", number + 1
    grants.give(root, driver, scope, named, **about)
    obj, target = find(root, named), find(root, record.mission.brief.target)
    for slot, held in [*target.slots.items()]:
        if held is asked:
            target.set_slot(slot, obj)
    holder, slot = find(root, HOLDER), named.removesuffix("_obj")
    if holder.lookup(slot) is None:
        holder.set_slot(slot, obj)
    return LeaveGiven()


def _key(details: Mapping[str, Any]) -> str:
    """Return a name of what is wanted: driver, operation and what it is about; or the flow."""
    flow = details.get("flow")
    if flow:
        return digest(f"flow {flow['source']} {flow['sink']}")
    return digest(repr([details.get(name) for name in ("driver", "operation", "what")]))
