"""Servers of tools as objects: grant one, show its tools, say yes to what has changed in them.

    grant-mcp time -- PROGRAM   >  time_obj, a child of mcp_obj, whose messages are the tools

What a server says of its tools is shown to a person, who agrees to exactly that. Models that write
methods see the names of messages and parameters; sentences find a tool by its meaning.
"""

from __future__ import annotations

import asyncio
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.printable import show_control
from bat_os.errors import ArgumentsError, ModelError, NotFoundError, NotGrantedError
from bat_os.image import grants
from bat_os.image.objects import Method, find
from bat_os.kernel.say.wordings import Worded, word_tools
from bat_os.kernel.verbs.grants import give_named, object_name, read_terms, show_grant
from bat_os.natives.table import SERVERS
from bat_os.ports import READ, ServerDriver

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.core.protocol import Request
    from bat_os.image.grants import Grant
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]

MAX_ABOUT: Final = 1_000  # characters of what a server says of a tool, as a person is shown it
MAX_EMBEDDED: Final = 200
_KINDS: Final = {"number": "number", "integer": "number", "array": "list", "object": "map"}


async def grant_server(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Grant a server of tools to a new object, or show or renew the tools of one."""
    body = request.body
    driver = mind.drivers.get("mcp")
    if not isinstance(driver, ServerDriver):
        raise ArgumentsError("this kernel has no way to servers of tools")
    name = object_name(body["name"])
    if not body["program"]:
        return await _show_server(mind, driver, name, renew=body["renew"])
    if body["renew"]:
        raise ArgumentsError("--renew takes no program: it is the one that was granted")
    await mind.image.transact(lambda root: _refuse_taken(root, name), note="look for a name")
    say({"text": f"starting {name.removesuffix('_obj')}"})
    wanted = {**body, "program": [str(word) for word in body["program"]]}
    scope = await asyncio.to_thread(driver.meet, name.removesuffix("_obj"), wanted)
    about, worded = read_terms(driver, scope, request), await _word(mind, driver, scope)

    def work(root: Root) -> dict[str, Any]:
        given = give_named(root, driver, scope, name, about)
        _install(root, driver, given, worded)
        return show_grant(mind, root, given) | {"tools": _show_tools(driver, given)}

    shown = await mind.image.transact(work, note=f"grant {name}"[:70])
    return shown | {"changes": [], "renewed": False}


async def _show_server(
    mind: KernelContext, driver: ServerDriver, name: str, *, renew: bool
) -> dict[str, Any]:
    """Compare a server with what was granted, and say yes to what it says now if that is asked."""

    def look(root: Root) -> tuple[Grant, dict[str, Any]]:
        try:
            given = grants.named(root, name)
        except NotFoundError:
            raise NotFoundError(
                f"no server {name.removesuffix('_obj')} was granted; say its program: "
                "batos grant-mcp NAME -- PROGRAM ARGS"
            ) from None
        if given.driver != driver.name or not grants.chain(root, given.oid, time.time()):
            raise NotGrantedError(f"{name} has no grant of a server that counts")
        return given, show_grant(mind, root, given) | {"tools": _show_tools(driver, given)}

    given, shown = await mind.image.transact(look, note=f"look at {name}"[:70])
    scope = await asyncio.to_thread(driver.meet, name.removesuffix("_obj"), given.scope)
    changes = driver.changes(given.scope, scope)
    if not renew or not changes:
        return shown | {"changes": changes, "renewed": False}
    had_all = set(given.operations) == set(driver.operations(given.scope))
    wanted = tuple(each for each in driver.operations(scope) if had_all or each in given.operations)
    worded = await _word(mind, driver, scope)

    def work(root: Root) -> dict[str, Any]:
        if look(root)[0] != given:
            raise NotGrantedError(f"the grant of {name} has changed meanwhile; ask again")
        renewed = grants.renew(root, driver, given.oid, scope, wanted)
        _install(root, driver, renewed, worded)
        return show_grant(mind, root, renewed) | {"tools": _show_tools(driver, renewed)}

    shown = await mind.image.transact(work, note=f"renew {name}"[:70])
    return shown | {"changes": changes, "renewed": True}


def _install(root: Root, driver: ServerDriver, given: Grant, worded: Sequence[Worded]) -> None:
    """Give the object of a server a message for each tool, and take away those that are gone."""
    obj, signatures = find(root, given.oid), driver.signatures(given.scope)
    for selector, held in list(obj.slots.items()):
        if isinstance(held, Method) and held.primitive and selector not in given.operations:
            obj.remove_slot(selector)
    for selector in given.operations:
        held = obj.slots.get(selector)
        if held is not None and not isinstance(held, Method):
            obj.remove_slot(selector)
        method = held if isinstance(held, Method) else Method(selector)
        method.primitive = f"{SERVERS}.{signatures[selector]}"
        obj.set_slot(selector, method)
    word_tools(root, given.name, [each for each in worded if each.selector in given.operations])


async def _word(
    mind: KernelContext, driver: ServerDriver, scope: Mapping[str, Any]
) -> list[Worded]:
    """Return how people ask for the tools that only read; the others are for messages."""
    kinds = driver.operations(scope)
    read = {key: tool for key, tool in scope["tools"].items() if kinds[key].kind == READ}
    texts = [
        f"{key.replace('_', ' ')}: {tool['description'].partition(chr(10))[0][:MAX_EMBEDDED]}"
        for key, tool in read.items()
    ]
    if not texts:
        return []
    try:
        rows = await mind.catalog.embed(texts)
    except ModelError:  # then messages reach them, and sentences do not
        return []
    found = []
    for (selector, tool), row in zip(read.items(), rows, strict=True):
        properties = tool["schema"].get("properties", {})
        slots = {
            name: _KINDS.get(str(dict(properties[asked]).get("type")), "text")
            for name, asked, needed in tool["parameters"]
            if needed and type(properties[asked]) is dict
        }
        found.append(Worded(selector, slots, row))
    return found


def _show_tools(driver: ServerDriver, given: Grant) -> list[dict[str, Any]]:
    kinds, signatures = driver.operations(given.scope), driver.signatures(given.scope)
    return [
        {
            "message": selector,
            "signature": signatures[selector],
            "kind": kinds[selector].kind,
            "about": show_control(given.scope["tools"][selector]["description"])[:MAX_ABOUT],
        }
        for selector in given.operations
    ]


def _refuse_taken(root: Root, name: str) -> None:
    if name in root["objects"]:
        raise ArgumentsError(f"there is already an object {name!r}; take another name")


VERBS: Final[Mapping[str, Handler]] = MappingProxyType({"grant-mcp": grant_server})
