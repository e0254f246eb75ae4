"""Give objects a way into the world, list what was given, and take it back.

    grant ~/notes  >  notes_obj, a child of files_obj with a grant; genesis_obj.notes refers to it

Only these verbs make grants: no message, method or mission does. ``narrow`` can only take away.
"""

from __future__ import annotations

import asyncio
import re
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.personas import PERSONAS
from bat_os.core.values import check_slot_name
from bat_os.errors import ArgumentsError
from bat_os.image import flows, grants
from bat_os.image.objects import find, ref_of
from bat_os.kernel.sinks import describe, name_of
from bat_os.kernel.undoing import end_servers
from bat_os.ports import StagingDriver

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.image.grants import Grant
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.ports import Driver

    Root = MutableMapping[str, Any]

HOLDER: Final = "genesis_obj"  # gets a reference, so that its methods reach what was granted
ONCE_SECONDS: Final = 60.0
_PERSONAS: Final = frozenset(f"{name.lower()}_obj" for name in PERSONAS)
_LEAVES_OUT: Final = re.compile(r"\W+")


async def grant(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Grant what ``body.what`` names to a new object."""
    driver, scope = await _driver_of(mind, request)
    asked, about = request.body["name"], read_terms(driver, scope, request)
    name = object_name(asked or driver.short_name(scope) or driver.name, driver.name)

    def work(root: Root) -> dict[str, Any]:
        if request.body["once"]:
            ends = about["given"] + ONCE_SECONDS
            given = grants.give(root, driver, scope, "", **about | {"until": ends})
        else:
            again = asked or grants.was_given(root, driver, scope, name)
            given = give_named(root, driver, scope, name if again else _free(root, name), about)
        return show_grant(mind, root, given)

    return await mind.image.transact(work, note=f"grant {name}"[:70])


async def narrow(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Grant a part of what an object may reach to a new one."""
    driver, scope = await _driver_of(mind, request)
    name = object_name(request.body["name"] or driver.short_name(scope), driver.name)
    about = read_terms(driver, scope, request)

    def work(root: Root) -> dict[str, Any]:
        outer = grants.named(root, request.target)
        given = grants.narrow(root, driver, outer, scope, name, **about)
        flows.forget(root, given.oid)
        return show_grant(mind, root, given)

    return await mind.image.transact(work, note=f"narrow {request.target}"[:70])


async def revoke(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """End a grant and all that are a part of it, and their servers; their objects stay."""
    now = time.time()

    ended = await mind.image.transact(
        lambda root: grants.revoke(root, request.target, now), note=f"revoke {request.target}"[:70]
    )
    await end_servers(mind, ended)
    return {"revoked": [each.name or each.oid for each in ended]}


async def list_grants(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return all grants, those that have ended included, the newest first."""

    def look(root: Root) -> list[dict[str, Any]]:
        found = sorted(grants.every(root), key=lambda each: -each.given)
        return [show_grant(mind, root, each) for each in found]

    return {"grants": await mind.image.transact(look, note="list grants")}


async def list_flows(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return all flows, the newest first."""

    def look(root: Root) -> list[dict[str, Any]]:
        found = sorted(flows.every(root), key=lambda each: -each.given)
        return [_show_flow(mind, root, each) for each in found]

    return {"flows": await mind.image.transact(look, note="list flows")}


async def allow(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Let what was read through ``body.source`` be sent through ``body.sink``."""
    now = time.time()

    def work(root: Root) -> dict[str, Any]:
        flow = flows.Flow(*_ends_of(root, request), now, request.caller)
        flows.allow(root, flow)
        return _show_flow(mind, root, flow)

    return await mind.image.transact(work, note="allow a flow")


async def disallow(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Take a flow back."""

    def work(root: Root) -> dict[str, Any]:
        source, sink = _ends_of(root, request)
        flows.disallow(root, source, sink)
        return {"source": name_of(root, source), "sink": name_of(root, sink)}

    return await mind.image.transact(work, note="disallow a flow")


def _ends_of(root: Root, request: Request) -> tuple[str, str]:
    """Return the oids of the two ends of a flow.

    Raises:
        ArgumentsError: Nothing is ever sent through the sink.
        NotFoundError: One of them has no grant.
    """
    source = grants.named(root, request.body["source"])
    sink = find(root, request.body["sink"])
    if sink.name not in _PERSONAS:
        grants.named(root, request.body["sink"])
    return source.oid, ref_of(sink).oid


def _show_flow(mind: KernelContext, root: Root, flow: flows.Flow) -> dict[str, Any]:
    return {
        "source": name_of(root, flow.source), "sink": name_of(root, flow.sink),
        "read": describe(root, mind.drivers, flow.source),
        "sent": describe(root, mind.drivers, flow.sink), "given": flow.given, "by": flow.by,
    }  # fmt: skip


async def _driver_of(mind: KernelContext, request: Request) -> tuple[Driver, dict[str, Any]]:
    what = request.body["what"]
    driver = next((each for each in mind.drivers.values() if each.claims(what)), None)
    if driver is None:
        raise ArgumentsError("this kernel has no way into the world")
    find_scope = driver.scope
    if request.body["write"] and isinstance(driver, StagingDriver):
        find_scope = driver.scope_to_change
    # In a thread: a folder of another machine may not answer.
    return driver, await asyncio.to_thread(find_scope, what)


def object_name(said: str, kind: str = "tools") -> str:
    """Return the name of the object for what a person has named.

    Raises:
        ArgumentsError: No object can have it.
    """
    plain = _LEAVES_OUT.sub("_", said).strip("_").lower()
    plain = f"{kind}_{plain}" if plain[:1].isdigit() else plain  # "2026", "127.0.0.1"
    if not plain:
        raise ArgumentsError(f"no object can be named after {said!r}; say --as NAME")
    return plain if plain.endswith("_obj") else f"{plain}_obj"


def _free(root: Root, name: str) -> str:
    """Return the name, with a number behind it if an object has it."""
    stem, number = name.removesuffix("_obj"), 2
    while name in root["objects"]:
        name, number = f"{stem}_{number}_obj", number + 1
    return name


def read_terms(driver: Driver, scope: Mapping[str, Any], request: Request) -> dict[str, Any]:
    """Return what a request says of a grant besides its scope: its messages, its end, its giver.

    Raises:
        ArgumentsError: It names messages that there are not.
    """
    known, said = driver.operations(scope), request.body["only"].replace(",", " ").split()
    wanted = tuple(said or (known if request.body["write"] else ()))
    if unknown := set(wanted) - set(known):
        raise ArgumentsError(
            f"{driver.name} has no {', '.join(sorted(unknown))}; it has {', '.join(known)}"
        )
    now, hours = time.time(), request.body["hours"]
    until = now + 3600 * hours if hours else 0.0
    return {"operations": wanted, "given": now, "by": request.caller, "until": until}


def give_named(
    root: Root, driver: Driver, scope: Mapping[str, Any], name: str, about: Mapping[str, Any]
) -> Grant:
    """Make an object with a grant, and let the methods of HOLDER reach it."""
    given = grants.give(root, driver, scope, name, **about)
    flows.forget(root, given.oid)  # those of a grant of that object which had ended
    holder, slot = find(root, HOLDER), name.removesuffix("_obj")
    check_slot_name(slot)
    if holder.lookup(slot) is None:
        holder.set_slot(slot, find(root, name))
    return given


def show_grant(mind: KernelContext, root: Root, given: Grant) -> dict[str, Any]:
    """Return a grant for a person."""
    driver, now = mind.drivers.get(given.driver), time.time()
    what = driver.describe(given.scope) if driver else str(dict(given.scope))
    is_live = grants.chain(root, given.oid, now)  # with what it is a part of
    state = "live" if is_live else "revoked" if given.revoked else "ended"
    if given.asleep and not given.has_ended(now):
        state = "asleep"
    return {
        "object": given.name or given.oid, "driver": given.driver, "what": what, "state": state,
        "operations": list(given.operations), "given": given.given, "until": given.until,
        "part_of": given.of, "by": given.by,
        "used": grants.uses_of(root, given.oid, mind.image.uses.waiting()),
    }  # fmt: skip


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        "grant": grant,
        "grants": list_grants,
        "narrow": narrow,
        "revoke": revoke,
        "allow": allow,
        "disallow": disallow,
        "flows": list_flows,
    }
)
