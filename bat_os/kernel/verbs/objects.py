"""Look at objects and methods, find skills, teach methods, and settle what is provisional.

teach    covenant repair > guardian's audit > a trial turn per example > one transaction
"""

from __future__ import annotations

import ast
import asyncio
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief
from bat_os.core.digest import digest
from bat_os.core.values import check_taught, to_wire
from bat_os.errors import ArgumentsError, AuditError, NotFoundError
from bat_os.image.history import basis, marks, staleness
from bat_os.image.history.entries import summary_of_taught, wishes_of
from bat_os.image.history.versions import Skill, install, turn_down
from bat_os.image.objects import Method, UvmObject, find, kept_examples, merge_examples
from bat_os.kernel import portraits
from bat_os.kernel.effects.wants import sentence
from bat_os.kernel.learning.proof import check_examples
from bat_os.kernel.say import wordings
from bat_os.kernel.say.conversation import PREFIX, find_conversation
from bat_os.kernel.say.skills import search_library
from bat_os.kernel.turn import Candidate
from bat_os.kernel.verbs.history import release
from bat_os.method.text import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.core.protocol import Request
    from bat_os.image.objects import MethodVersion
    from bat_os.kernel.context import Handler, KernelContext, Say
    from bat_os.method.guardian import PersistenceGuardian

    Root = MutableMapping[str, Any]

TEACHER: Final = "ARCHITECT"


async def list_objects(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"objects": [...]}``: the root objects, a page at a time.

    With ``body.stale`` also ``stale``: the methods under which something has changed.
    """
    after, limit = request.body["after"], request.body["limit"]

    def read(root: Root) -> dict[str, Any]:
        return portraits.objects(root, after, limit)

    # Asked for by every client, and the same as long as nothing is stored.
    listed = {**await mind.image.read(("list", after, str(limit)), read, note="list objects")}
    if request.body["stale"]:
        rows = await mind.image.transact(
            lambda root: staleness.stale(root, time.time()), note="list stale methods"
        )
        listed["stale"] = to_wire(rows)
    return listed


async def inspect(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return one object, or one of its methods where the request has a selector."""

    def look(root: Root) -> dict[str, Any]:
        _, is_talk, session = request.target.partition(PREFIX)
        if is_talk and request.target.startswith(PREFIX):
            return portraits.inspect(find_conversation(root, request.caller, session))
        return portraits.inspect(find(root, request.target), request.selector)

    return await mind.image.transact(look, note=f"inspect {request.target}"[:70])


async def find_skills(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"skills": [...]}``: methods for the words in ``body.text``, best first."""
    text, limit = request.body["text"], request.body["limit"]
    hits = await mind.catalog.search((text,), top_k=limit, kind="method")
    skills = await mind.image.transact(
        lambda root: [skill for hit in hits if (skill := portraits.skill(root, hit))],
        note="find skills",
    )
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for skill in skills:  # a skill may be found by several names
        best.setdefault((skill["object"], skill["selector"]), skill)
    if "at" not in request.body:  # the words of the library are those of the present
        for skill in await search_library(mind, text, limit):
            best.setdefault((skill["object"], skill["selector"]), skill)
    ranked = sorted(best.values(), key=lambda skill: -skill["similarity"])
    return {"skills": ranked[:limit]}


async def approve(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Settle a method by the Architect's yes, or by examples that it reproduces.

    A version that waits becomes the one that answers; with ``body.no`` it is turned down.
    Else a provisional method becomes verified; approving what is settled changes nothing.
    Without a selector: ``{"waiting": [...]}``, what waits.
    """
    examples, target, selector = request.body["examples"], request.target, request.selector
    if not selector:
        return {"waiting": await mind.image.transact(_list_waiting, note="list what waits")}
    if request.body["no"]:
        return await _turn_down(mind, request)
    waits = await mind.image.transact(lambda root: _waits(root, request), note="look what waits")
    if waits:
        return await release(mind, request, waits, examples)
    number, source = await mind.image.transact(
        lambda root: _number_and_source(_version(root, request)), note=f"read {selector}"[:70]
    )
    await check_examples(mind, Brief(target, selector), Candidate(selector, source), examples)
    how = {"at": time.time(), "by": "ARCHITECT", "examples": list(examples)}

    def settle(root: Root) -> str:
        version = _version(root, request)
        if version.number != number:
            raise NotFoundError(f"{selector} has a new version now; look at it first")
        method = find(root, target).slots[selector]
        if method.status == "provisional":
            method.approve(how)
            basis.note(root, find(root, target), method)
        return str(method.status)

    status = await mind.image.transact(settle, note=f"approve {selector}"[:70])
    return {"target": target, "selector": selector, "version": number, "status": status}


def _list_waiting(root: Root) -> list[dict[str, Any]]:
    """Return what waits for approval, with what it does in the world in words."""
    rows = marks.all_waiting(root)
    for row in rows:
        method = find(root, row["object"]).slots.get(row["selector"])
        if isinstance(method, Method) and row["version"] <= len(method.versions):
            wanted = method.versions[row["version"] - 1].provenance.get("effects", ())
            row["effects"] = sentence(wanted)
    return rows


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


async def teach(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Install a method that a person wrote; return what stands in the image afterwards.

    Teaching the source that is current already changes nothing.
    """
    given = request.body["source"]
    selector = request.selector or _first_function(given)
    check_taught(selector)
    source = await asyncio.to_thread(_audited, mind.guardian, given, selector)
    kept, wishes = await mind.image.transact(
        lambda root: _kept(find(root, request.target), selector), note="read examples"
    )
    examples = merge_examples(request.body["examples"], kept)
    call = Brief(request.target, selector)
    await check_examples(mind, call, Candidate(selector, source), examples)
    found_by = summary_of_taught(selector, source, examples, wishes)
    provenance = {
        "persona": TEACHER,
        "created": time.time(),
        "examples": list(examples),
        "wishes": wishes,
        "cell": mind.cell.stats().get("kind", ""),
    }
    vector = await mind.catalog.embed(found_by.passages)
    skill = Skill(selector, source, "taught", provenance, found_by.text, vector, found_by.kinds)

    def work(root: MutableMapping[str, Any]) -> int:
        portraits.check_serial(root, request.target, request.body["if_serial"])
        target = find(root, request.target)
        known = target.slots.get(selector)
        if isinstance(known, Method) and known.current >= 0 and known.version.source == source:
            return known.version.number
        before = wordings.parameters(root, request.target, selector)
        number = install(root, target, skill)
        wordings.rename(root, (target.name, selector), before)
        return number

    version = await mind.image.transact(work, note=f"teach {selector}"[:70])
    about = {"target": request.target, "selector": selector, "status": "taught"}
    return about | {"version": version, "sha256": digest(source), "source": source}


def _kept(obj: UvmObject, selector: str) -> tuple[tuple[Mapping[str, Any], ...], list[str]]:
    """Return the examples and the wishes of the versions that are there."""
    method = obj.slots.get(selector)
    wishes = wishes_of(method if isinstance(method, Method) else None)
    return kept_examples(obj, selector), wishes


def _audited(guardian: PersistenceGuardian, source: str, selector: str) -> str:
    """Return the source with its covenant line, which the guardian lets pass."""
    mended = guardian.repair(source, selector)
    if findings := guardian.audit(mended, selector).lines():
        raise AuditError(findings)
    return mended


def _first_function(source: str) -> str:
    tree = parse(source)
    body = tree.body if isinstance(tree, ast.Module) else []
    names = [node.name for node in body if isinstance(node, ast.FunctionDef)]
    if not names:
        raise ArgumentsError("there is no function in the source; write def NAME(self, ...)")
    return names[0]


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        "approve": approve,
        "find": find_skills,
        "inspect": inspect,
        "list": list_objects,
        "teach": teach,
    }
)
