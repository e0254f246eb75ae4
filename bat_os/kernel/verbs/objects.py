"""Look at objects and methods, find skills, and settle what is provisional."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief
from bat_os.core.choosing import preview, same
from bat_os.core.frames import read_examples
from bat_os.errors import ArgumentsError, DraftsError, NotFoundError
from bat_os.image.history import marks
from bat_os.image.history.versions import turn_down
from bat_os.image.objects import Method
from bat_os.kernel import views
from bat_os.kernel.snapshot import find
from bat_os.kernel.turn import Candidate, try_turn
from bat_os.kernel.verbs.history import release

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.image.objects import MethodVersion
    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]
    Say = Callable[[Mapping[str, Any]], None]

MAX_FOUND: Final = 50


async def list_objects(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"objects": [...]}``: the root objects."""
    return {"objects": await mind.image.transact(views.objects, note="list objects")}


async def inspect(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return one object, or one of its methods where the request has a selector.

    Raises:
        NotFoundError: No such object.
    """

    def look(root: Root) -> dict[str, Any]:
        return views.inspect(find(root, request.target), request.selector)

    return await mind.image.transact(look, note=f"inspect {request.target}"[:70])


async def find_skills(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"skills": [...]}``: learned methods for the words in ``body.text``, best first.

    Raises:
        ArgumentsError: No text, or a limit that is none.
        ModelError: The embedding model cannot be had.
    """
    text, limit = request.body.get("text"), request.body.get("limit", 5)
    if type(text) is not str or not text.strip():
        raise ArgumentsError("find needs a body with a text")
    if type(limit) is not int or not 1 <= limit <= MAX_FOUND:
        raise ArgumentsError(f"limit is not a number from 1 to {MAX_FOUND}")
    found = await mind.catalog.search((text,), top_k=limit, kind="method")
    skills = await mind.image.transact(
        lambda root: [one for hit in found if (one := views.skill(root, hit))], note="find skills"
    )
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for skill in skills:  # one may be found by several names
        best.setdefault((skill["object"], skill["selector"]), skill)
    return {"skills": [*best.values()]}


async def approve(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Settle a method by the Architect's yes, or by examples that it reproduces.

    A version that waits becomes the one that answers; with ``body.no`` it is turned down.
    Else a provisional method becomes verified; approving what is settled changes nothing.
    Without a selector: ``{"waiting": [...]}``, what waits.

    Raises:
        ArgumentsError: ``no`` is neither true nor false, or the method is pinned.
        NotFoundError: No such object, or no learned method of that name of its own.
        DraftsError: It does not reproduce an example; it stays provisional.
        CellError: It fails on an example.
    """
    examples = read_examples(request.body.get("examples", []))
    target, selector = request.target, request.selector
    if not selector:
        listed = await mind.image.transact(marks.all_waiting, note="list what waits")
        return {"waiting": listed}
    if type(no := request.body.get("no", False)) is not bool:
        raise ArgumentsError("no is not true or false")
    if no:
        return await _turn_down(mind, request)
    waits = await mind.image.transact(lambda root: _waits(root, request), note="look what waits")
    if waits:
        return await release(mind, request, waits, examples)
    number, source = await mind.image.transact(
        lambda root: _number_and_source(_version(root, request)), note=f"read {selector}"[:70]
    )
    for example in examples:
        brief = Brief(target, selector, tuple(example["args"]), example["kwargs"])
        answer = await try_turn(mind.image, mind.cell, brief, Candidate(selector, source))
        if not await asyncio.to_thread(same, answer.value, example["result"]):
            gives, wanted = preview(answer.value), preview(example["result"])
            call = f"{selector}{tuple(example['args'])}"
            raise DraftsError(f"{call} gives {gives}, not {wanted}; it stays as it is")
    how = {"at": time.time(), "by": "ARCHITECT", "examples": list(examples)}

    def settle(root: Root) -> str:
        version = _version(root, request)
        if version.number != number:
            raise NotFoundError(f"{selector} has a new version meanwhile; look at it first")
        method = find(root, target).slots[selector]
        if method.status == "provisional":
            method.approve(how)
        return str(method.status)

    status = await mind.image.transact(settle, note=f"approve {selector}"[:70])
    return {"target": target, "selector": selector, "version": number, "status": status}


async def _turn_down(mind: KernelContext, request: Request) -> dict[str, Any]:
    selector, now = request.selector, time.time()
    number = await mind.image.transact(
        lambda root: turn_down(root, find(root, request.target), selector, at=now),
        note=f"turn down {selector}"[:70],
    )
    about = {"target": request.target, "selector": selector}
    return about | {"version": number, "status": "turned down"}


def _waits(root: Root, request: Request) -> int:
    method = find(root, request.target).slots.get(request.selector)
    found = marks.waiting(root, method) if isinstance(method, Method) else {}
    return int(found.get("version", 0))


def _version(root: Root, request: Request) -> MethodVersion:
    method = find(root, request.target).slots.get(request.selector)
    if not isinstance(method, Method) or method.current < 0:
        raise NotFoundError(
            f"{request.target} has no learned method {request.selector[:60]!r} of its own"
        )
    return method.version


def _number_and_source(version: MethodVersion) -> tuple[int, str]:
    return version.number, version.source
