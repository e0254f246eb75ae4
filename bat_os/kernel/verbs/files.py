"""Verbs about the image as a whole and what leaves and enters it, all while it serves.

    backup, archive, fork, pack, space   need the image alone, so they work without a kernel too
    export, import                       one object or method, as text that people can read

What is imported goes the way of what is taught: covenant, the guardian's audit, a trial turn per
example, and one transaction, in which an object appears with all its methods or not at all.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief
from bat_os.core.digest import digest
from bat_os.core.moments import parse_when
from bat_os.core.values import check_object_name
from bat_os.errors import ArgumentsError, AuditError, NotFoundError
from bat_os.image import server_care
from bat_os.image.files import archive as tarball
from bat_os.image.files import belongings, export, lineage
from bat_os.image.files import fork as forks
from bat_os.image.files import pack as housekeeping
from bat_os.image.files.backup import back_up
from bat_os.image.files.chronicle import chronicle, note_copy
from bat_os.image.files.disk import check_absolute
from bat_os.image.files.layers import is_in_files, path_of
from bat_os.image.files.verify import verify as verify_image
from bat_os.image.history import marks
from bat_os.image.history.entries import summary_of
from bat_os.image.history.moments import resolve
from bat_os.image.history.versions import Skill, install
from bat_os.image.objects import (
    Method,
    MethodVersion,
    UvmObject,
    find,
    kept_examples,
    merge_examples,
    ref_of,
)
from bat_os.kernel import views
from bat_os.kernel.learning.proof import check_examples
from bat_os.kernel.turn import Candidate
from bat_os.kernel.verbs.erase import erase

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence

    from bat_os.core.protocol import Request
    from bat_os.image.store import ImageStore
    from bat_os.kernel.context import Handler, KernelContext, Say

    Body = Mapping[str, Any]
    Root = MutableMapping[str, Any]

# How a method says that it came from another image.
IMPORTED: Final = "imported"


async def backup(image: ImageStore, body: Body) -> dict[str, Any]:
    """Bring the backup in ``body.folder`` up to date; see ``back_up``."""
    await _note_outside(image, "backup", body["folder"])
    if not is_in_files(image.storage):
        return await server_care.back_up(image, Path(body["folder"]))
    return await back_up(image, Path(body["folder"]), full=body["full"], copy=body["copy"])


async def _note_outside(image: ImageStore, kind: str, folder: str) -> None:
    """Note a copy outside of the home, before it is made: ``erase`` names it, whole or not."""
    path = Path(folder)
    check_absolute(path, f"the folder of a {kind}")
    home = path_of(image.storage).parent if is_in_files(image.storage) else None
    if home is None or not path.is_relative_to(home):
        await image.transact(
            lambda root: note_copy(root, kind, str(path), time.time()), note=f"chronicle a {kind}"
        )


async def archive(image: ImageStore, body: Body) -> dict[str, Any]:
    """Write the image to ``body.file``, and ``body.reason`` into the chronicle."""
    _need_files(image, "archive")
    return await tarball.archive(image, Path(body["file"]), body["reason"])


async def tell_chronicle(image: ImageStore, body: Body) -> dict[str, Any]:
    """Return ``{"chronicle": [...]}``: what was done to the image as a whole, oldest first."""
    return {"chronicle": await image.transact(chronicle, note="read the chronicle")}


async def fork(image: ImageStore, body: Body) -> dict[str, Any]:
    """Make the fork ``body.name``, of now or of the moment ``body.at``.

    Raises:
        ArgumentsError: The name or the moment cannot be used.
        NotFoundError: No such mission.
    """
    _need_files(image, "fork")
    name, when = body["name"], body["at"]
    if when in ("", "now"):
        return await forks.fork(image, name)
    moment = parse_when(when, dt.datetime.now().astimezone())
    tid = await image.transact(lambda root: resolve(root, moment), note="find a moment")
    return await forks.fork(image, name, at=bytes.fromhex(tid))


async def list_forks(image: ImageStore, body: Body) -> dict[str, Any]:
    """Return ``{"forks": [...]}``: the forks of this image."""
    if not is_in_files(image.storage):
        return {"forks": []}
    path = path_of(image.storage)
    return {"forks": await asyncio.to_thread(forks.list_forks, path)}


async def drop_fork(image: ImageStore, body: Body) -> dict[str, Any]:
    """Remove the fork ``body.name`` and all that it learned."""
    _need_files(image, "fork")
    path = path_of(image.storage)
    return await asyncio.to_thread(forks.drop_fork, path, body["name"])


async def pack(image: ImageStore, body: Body) -> dict[str, Any]:
    """Forget what was superseded more than ``body.days`` ago.

    With ``body.policy`` (a map: auto, days, floor) nothing is packed now: it says when the
    kernel does it unasked.
    """
    if body["policy"] is not None:
        return await housekeeping.set_policy(image, body["policy"])
    days = body["days"]
    kept = housekeeping.KEEP_DAYS if days is None else days
    if not is_in_files(image.storage):
        return await server_care.pack(image, days=kept)
    return await housekeeping.clear_and_pack(image, days=kept)


async def export_all(image: ImageStore, body: Body) -> dict[str, Any]:
    """Write all that a person has put in to the new folder ``body.folder``."""
    await _note_outside(image, "export", body["folder"])
    return await belongings.export_all(image, Path(body["folder"]))


async def space(image: ImageStore, body: Body) -> dict[str, Any]:
    """Return what takes the room."""
    at_server = not is_in_files(image.storage)
    return await housekeeping.space(image, server_care.measure if at_server else None)


def _need_files(image: ImageStore, verb: str) -> None:
    if not is_in_files(image.storage):
        raise server_care.refuse(image.storage, verb)


WORKS: Final[Mapping[str, Callable[[ImageStore, Body], Awaitable[dict[str, Any]]]]] = (
    MappingProxyType(
        {
            "archive": archive,
            "backup": backup,
            "chronicle": tell_chronicle,
            "erase": erase,
            "export.all": export_all,
            "fork": fork,
            "fork.drop": drop_fork,
            "forks": list_forks,
            "pack": pack,
            "space": space,
        }
    )
)


async def give(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return an object, or with a selector one method, as text that ``import`` takes."""
    return await mind.image.transact(
        lambda root: write_export(root, request.target, request.selector),
        note=f"export {request.target}"[:70],
    )


def write_export(root: Root, target: str, selector: str) -> dict[str, Any]:
    """Return what ``give`` does; inside ``ImageStore.transact`` only."""
    obj = find(root, target)
    mind = lineage.mind_of(root)
    content = (
        export.export_method(obj, selector, mind) if selector else export.export_object(obj, mind)
    )
    text = json.dumps(content, indent=1, ensure_ascii=False)
    return {"name": f"{target}.{selector}".rstrip("."), "sha256": content["sha256"], "text": text}


async def take(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Install what ``body.text`` holds: an object (as ``body.as``) or a method (into ``target``).

    Returns:
        ``object``, ``new`` (the object was made), and ``methods``: selector, version, status
        and sha256 of each.
    """
    content = await asyncio.to_thread(export.read, request.body["text"])
    if content["kind"] == "method":
        target = request.target or str(content["object"])
        return await take_method(mind, content, target, request.by)
    name = request.body["as"] or content["name"]
    check_object_name(name)
    return await _take_object(mind, content, name, request.by)


async def take_method(
    mind: KernelContext, content: Mapping[str, Any], target: str, by: str
) -> dict[str, Any]:
    """Install a method of an export that was read, for the caller ``by``."""
    selector = str(content["selector"])
    kept = await mind.image.transact(
        lambda root: kept_examples(find(root, target), selector), note="read examples"
    )
    skill = _doubted(await _tried(mind, content, target, kept, content.get("mind", {})), by)
    version = await mind.image.transact(
        lambda root: put_in(root, find(root, target), skill), note=f"import {selector}"[:70]
    )
    return {"object": target, "new": False, "methods": [_row(skill, version)]}


async def _take_object(
    mind: KernelContext, content: Mapping[str, Any], name: str, by: str
) -> dict[str, Any]:
    # Without a name it is out of reach for all others, and the next pack forgets it: what
    # is tried here and fails, or is killed, leaves nothing behind.
    oid = await mind.image.transact(
        lambda root: _stage(root, content, name), note=f"stage the import of {name}"[:70]
    )
    source, held = content.get("mind", {}), {"object": content["name"]}
    tried = [await _tried(mind, held | method, oid, (), source) for method in content["methods"]]
    skills = [_doubted(skill, by) for skill in tried]

    def work(root: Root) -> list[int]:
        _check_new(root, name)
        obj = find(root, oid)
        root["objects"][name] = obj
        return [put_in(root, obj, skill) for skill in skills]

    numbers = await mind.image.transact(work, note=f"import {name}"[:70])
    methods = [_row(skill, number) for skill, number in zip(skills, numbers, strict=True)]
    return {"object": name, "new": True, "methods": methods}


def _stage(root: Root, content: Mapping[str, Any], name: str) -> str:
    _check_new(root, name)
    missing = [held for held in export.references(content) if held not in root["objects"]]
    if missing:
        text = f"{name} refers to what is not here: {', '.join(missing)}; import that first"
        raise NotFoundError(text[:500], missing=missing)

    def resolve_name(held: str) -> UvmObject:
        return find(root, held)

    obj = UvmObject(name, tuple(map(resolve_name, content["parents"])))
    root._p_jar.add(obj)  # type: ignore[attr-defined]  # ZODB: the root's connection
    for slot, value in content["slots"].items():
        obj.set_slot(slot, export.decode(value, resolve_name))
    for slot, label in export.labels_of(content, lineage.mind_of(root)).items():
        obj.set_label(slot, label)
    return ref_of(obj).oid


def _check_new(root: Root, name: str) -> None:
    if name in root["objects"]:
        raise ArgumentsError(f"there is an object {name} already; import it under another name")


async def _tried(
    mind: KernelContext,
    content: Mapping[str, Any],
    target: str,
    kept: Sequence[Mapping[str, Any]],
    source: Mapping[str, Any],
) -> Skill:
    """Return a method of an export as a skill that was audited and reproduced its examples.

    ``source`` is the mind that the export says it comes from.
    """
    examples = await mind.image.transact(
        lambda root: merge_examples(_examples(root, content), kept), note="read examples"
    )
    past = {"persona": IMPORTED} | export.provenance_of(content)
    about = {key: content.get(key, "") for key in ("status", "sha256")}
    about |= {"object": content.get("object", ""), "version": content.get("version", 0)}
    provenance = lineage.hop_of(source, past, about, time.time()) | {
        "examples": list(examples),
        "cell": mind.cell.stats().get("kind", ""),
    }
    status = "verified" if examples else "provisional"
    version = MethodVersion(1, content["source"], status, provenance)
    return await prove(mind, target, str(content["selector"]), version)


def _doubted(skill: Skill, by: str) -> Skill:
    """Return a skill that a client sent for others; without examples it is tainted."""
    if not by or skill.provenance["examples"]:
        return skill
    return replace(skill, provenance={"tainted": by, **skill.provenance})


async def prove(mind: KernelContext, target: str, selector: str, version: MethodVersion) -> Skill:
    """Return a version from another image as a skill for this one, once it has proved itself.

    Its source is audited, and the examples in its provenance run on ``target``, which changes
    nothing.
    """
    source = await asyncio.to_thread(mind.guardian.repair, version.source, selector)
    if findings := (await asyncio.to_thread(mind.guardian.audit, source, selector)).lines():
        raise AuditError(findings)
    examples = version.provenance.get("examples", ())
    await check_examples(mind, Brief(target, selector), Candidate(selector, source), examples)
    summary = summary_of(selector, version)
    vector = await mind.catalog.embed(summary.passages)
    provenance = dict(version.provenance)
    return Skill(selector, source, version.status, provenance, summary.text, vector, summary.kinds)


def _examples(root: Root, content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    def decoded(value: Any) -> Any:
        return export.decode(value, lambda name: ref_of(find(root, name)))

    return [
        {part: decoded(example[part]) for part in ("args", "kwargs", "result")}
        for example in content["examples"]
    ]


def put_in(root: Root, target: UvmObject, skill: Skill) -> int:
    """Make the skill current in ``target`` unless it is; return the number of its version."""
    known = target.slots.get(skill.selector)
    if known is not None and not isinstance(known, Method):
        raise ArgumentsError(f"{skill.selector} is a slot of the object already")
    if known is not None and known.current >= 0 and known.version.source == skill.source:
        return int(known.version.number)
    number = install(root, target, skill)
    tainted, examples = (skill.provenance.get(key) for key in ("tainted", "examples"))
    if tainted and not examples:  # those that run here clear it, as verify-method does
        mark = {"at": time.time(), "document": tainted, "what": "changed there", "version": number}
        marks.set_mark(root, "taint", target.slots[skill.selector], mark)
    return number


def _row(skill: Skill, version: int) -> dict[str, Any]:
    return {
        "selector": skill.selector,
        "version": version,
        "status": skill.status,
        "sha256": digest(skill.source),
    }


async def verify(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what was checked, what is damaged and what is in the quarantine."""
    return await verify_image(mind.image, mind.catalog, lambda line: say(views.progress(line)))


async def keep_archive(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Do what ``archive`` does, and say every second how far it has come."""
    body = request.body
    _need_files(mind.image, "archive")
    return await tarball.archive(
        mind.image, Path(body["file"]), body["reason"], lambda line: say(views.progress(line))
    )


def _serve(work: Callable[[ImageStore, Body], Awaitable[dict[str, Any]]]) -> Handler:
    async def handler(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
        return await work(mind.image, request.body)

    return handler


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        **{name: _serve(work) for name, work in WORKS.items() if work is not erase},
        "archive": keep_archive,
        "export": give,
        "import": take,
        "verify": verify,
    }
)
