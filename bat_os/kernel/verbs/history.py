"""Verbs about what became of methods, from why to recall, and of missions.

Whatever makes a version current again runs its examples in the cell first. If the method changes
between that run and the commit, the commit is refused.

    replay    prompts, batch, sampling > model > text > fix-ups > covenant > source: the same?
"""

from __future__ import annotations

import asyncio
import secrets
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief
from bat_os.core.choosing import MENDED
from bat_os.core.digest import digest
from bat_os.core.prompts import FENCE_STOP, Prompt, read_method
from bat_os.core.schema import replace
from bat_os.core.values import to_wire
from bat_os.errors import (
    ArgumentsError,
    CellError,
    DraftsError,
    ModelError,
    NotFoundError,
    ProtocolError,
)
from bat_os.image import grants, outbox, runs
from bat_os.image.history import basis, experience, marks, versions
from bat_os.image.history import provenance as recall
from bat_os.image.history.provenance import explain
from bat_os.image.objects import find, merge_examples, ref_of
from bat_os.kernel import portraits
from bat_os.kernel.learning.proof import check_effects, check_examples, check_hears
from bat_os.kernel.learning.trial import SEED
from bat_os.kernel.sinks import describe
from bat_os.kernel.turn import Candidate
from bat_os.method.fixups import apply_fixups
from bat_os.method.mutate import make_variants
from bat_os.ports import Sampling

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from bat_os.core.protocol import Request
    from bat_os.image.history.versions import Picked
    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]

FENCE: Final = "```python\n"  # what a prompt's prefill has before the method begins


async def why(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return all that is known of a method; ``body.version`` names another than the current.

    Without a selector, of an adapter that the forge has made.
    """
    if not request.selector:
        return await mind.image.transact(
            lambda root: runs.explain(root, request.target), note="why an adapter"
        )
    number, waiting = request.body["version"], mind.image.uses.waiting()

    def look(root: Root) -> dict[str, Any]:
        target, now = find(root, request.target), time.time()
        body = explain(root, target, request.selector, number, waiting)
        method = f"{ref_of(target).oid}.{request.selector}"
        return body | {
            "taught": runs.taught(root, body["object"], body["selector"]),
            "grants": [
                {
                    "object": one.name or one.oid,
                    "what": describe(root, mind.drivers, one.oid),
                    "state": "live" if grants.chain(root, one.oid, now) else "ended",
                    "used": used,
                }
                for one, used in grants.used_by(root, method, waiting)
            ],
        }

    return await mind.image.transact(look, note=f"why {request.selector}"[:70])


async def list_versions(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return the versions of a method, oldest first, with its pin, taint and moves."""
    return await mind.image.transact(
        lambda root: versions.overview(root, find(root, request.target), request.selector),
        note=f"versions of {request.selector}"[:70],
    )


async def diff_method(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what changed in the source from version ``body.a`` to ``body.b``."""
    a, b = request.body["a"], request.body["b"]
    return await mind.image.transact(
        lambda root: versions.compare(find(root, request.target), request.selector, a, b),
        note=f"compare {request.selector}"[:70],
    )


async def unlearn(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Make a method understood no longer, and its other names; ``redo`` brings them back.

    Another name that is pinned stays.
    """
    now, selector = time.time(), request.selector

    def work(root: Root) -> tuple[int, list[str]]:
        portraits.check_serial(root, request.target, request.body["if_serial"])
        holder = find(root, request.target)
        names = [
            name
            for name in versions.other_names(holder, selector)
            if not marks.pinned(root, holder.slots[name])
        ]
        number = versions.unlearn(root, holder, selector, at=now)
        for name in names:
            versions.unlearn(root, holder, name, at=now, along=selector)
        return number, names

    number, names = await mind.image.transact(work, note=f"unlearn {selector}"[:70])

    def look(root: Root) -> dict[str, Any]:
        taught = runs.taught(root, find(root, request.target).name, selector)
        return {
            "effects": outbox.count_of(root, f"{request.target}.{selector}"),
            "adapters": sorted({one["adapter"] for one in taught}),
        }

    left = await mind.image.transact(look, note="look what it left")
    return _moved(request, number, "unlearned") | {"names": names} | left


async def redo(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Make the unlearned version, or version ``body.version``, current; its examples run first.

    Other names that were unlearned with it come back after it.
    """
    names = await mind.image.transact(
        lambda root: versions.gone_with(root, find(root, request.target), request.selector),
        note="look for other names",
    )
    picked = await _go_to(mind, request, "redo", pin=False)
    for name in names:
        again = replace(request, selector=name, body={**request.body, "version": 0})
        await _go_to(mind, again, "redo", pin=False)
    return _moved(request, picked.number, "current") | {"sha256": picked.sha256, "names": names}


async def pin(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Hold a method at version ``body.version`` (the current one): no other becomes current.

    A version that is not current becomes so first, as by ``redo``.
    """
    number = request.body["version"]

    def hold(root: Root) -> Picked | None:
        method = versions.own(obj := find(root, request.target), request.selector)
        current = method.current >= 0 and number in (0, method.current + 1)
        if not current:
            return None
        if (held := marks.pinned(root, method)) != method.current + 1:
            marks.set_mark(root, "pinned", method, method.current + 1)
            marks.add_move(root, method, _move("pin", method.current + 1) | {"before": held})
        return versions.pick_current(obj, request.selector)

    picked = await mind.image.transact(hold, note=f"pin {request.selector}"[:70])
    if picked is None:
        picked = await _go_to(mind, request, "redo and pin", pin=True)
    return _moved(request, picked.number, "pinned") | {"sha256": picked.sha256}


async def unpin(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Let a method take other versions again; without a pin nothing changes."""

    def release(root: Root) -> int:
        method = versions.own(find(root, request.target), request.selector)
        if number := marks.pinned(root, method):
            marks.set_mark(root, "pinned", method, 0)
            marks.add_move(root, method, _move("unpin", number))
        return number

    number = await mind.image.transact(release, note=f"unpin {request.selector}"[:70])
    return _moved(request, number, "unpinned" if number else "not pinned")


async def verify_method(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Run a method's examples, and those in ``body.examples``; clear its taint if all pass.

    If no example states effects, and the method had some when it was tried, that is tried again.

    New examples are kept with the method, and make it verified.
    """
    given = request.body["examples"]
    picked = await mind.image.transact(
        lambda root: versions.pick_current(find(root, request.target), request.selector),
        note=f"read {request.selector}"[:70],
    )
    examples = merge_examples(given, picked.examples)
    if not examples:
        raise ArgumentsError(f"{request.selector} has no example to run; give one")
    await _check(mind, picked, examples)
    if picked.trial and not any("effects" in example for example in examples):
        tried = Candidate(picked.selector, picked.source, SEED, picked.trial["tried"])
        asked = Brief.from_plain(picked.trial["brief"])
        brief = Brief(picked.oid, picked.selector, asked.args, asked.kwargs)
        await check_effects(mind, brief, tried, picked.trial["effects"])

    def clear(root: Root) -> str:
        method = versions.unchanged(find(root, picked.oid), picked)
        if given:
            known = method.approvals.get(picked.number, {}).get("examples", ())
            merged = [*merge_examples(known, given)]
            method.approve({"at": time.time(), "by": "ARCHITECT", "examples": merged})
        if mark := marks.taint(root, method):
            marks.set_mark(root, "taint", method, {})
            move = _move("verify", picked.number) | {"document": mark["document"]}
            marks.add_move(root, method, move)
        basis.note(root, find(root, picked.oid), method)
        return str(method.status)

    status = await mind.image.transact(clear, note=f"verify {request.selector}"[:70])
    return _moved(request, picked.number, status) | {"examples": len(examples), "tainted": {}}


async def release(
    mind: KernelContext, request: Request, number: int, given: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Let the version that waits answer: its examples, and those given, have run.

    Raises:
        DraftsError: It does not reproduce one; it goes on waiting.
        ArgumentsError: The method is pinned.
        ConflictError: The method has changed since.
        ModelError: The embedding model is not available.
    """
    picked = await mind.image.transact(
        lambda root: versions.pick(root, find(root, request.target), request.selector, number),
        note=f"read {request.selector}"[:70],
    )
    await _check(mind, picked, merge_examples(given, picked.examples))
    vector = await mind.catalog.embed(picked.summary.passages)
    move = _move("approve", number)

    def work(root: Root) -> str:
        holder = find(root, picked.oid)
        versions.make_current(root, holder, picked, vector, move)
        method = holder.slots[picked.selector]
        method.approve({"at": move["at"], "by": "ARCHITECT", "examples": list(given)})
        return str(method.status)

    status = await mind.image.transact(work, note=f"approve {request.selector}"[:70])
    return _moved(request, number, status) | {"sha256": picked.sha256}


async def recall_methods(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """List the current methods from one origin; with ``body.yes`` withdraw them together.

    ``body`` names one of ``model``, ``adapter``, ``document``, ``mission``; or ``undo`` with
    the id of an earlier recall; or nothing, which lists the recalls and what is tainted.
    """
    body = request.body
    if body["undo"]:
        return await _undo_recall(mind, body["undo"])
    if not any(body[kind] for kind in recall.ORIGINS):
        return await mind.image.transact(
            lambda root: to_wire(
                {"recalls": recall.recalls(root), "tainted": recall.tainted(root)}
            ),
            note="list recalls",
        )
    origin, yes = recall.read_origin(body), body["yes"]
    recall_id, now = f"{int(time.time() * 1000):012x}{secrets.token_hex(2)}", time.time()

    def work(root: Root) -> list[dict[str, Any]]:
        if not yes:
            return recall.find(root, origin)
        return recall.withdraw(root, origin, recall_id=recall_id, at=now)

    note = f"recall {origin.kind} {origin.value}"[:70]
    rows = await mind.image.transact(work, note=note if yes else "list origins")
    return {"methods": rows, "withdrawn": yes, "recall": recall_id if yes and rows else ""}


async def _undo_recall(mind: KernelContext, recall_id: str) -> dict[str, Any]:
    picked, left = await mind.image.transact(
        lambda root: recall.withdrawn(root, recall_id), note="read a recall"
    )
    back: list[Picked] = []
    for method in picked:
        try:
            await _check(mind, method, method.examples)
            back.append(method)
        except (DraftsError, CellError, ProtocolError) as error:
            left.append({"oid": method.oid, "selector": method.selector, "reason": str(error)})
    vectors = [await mind.catalog.embed(method.summary.passages) for method in back]
    now = time.time()

    def work(root: Root) -> None:
        recall.withdrawn(root, recall_id)  # nobody else has undone it since
        move = {"at": now, "what": f"undo recall {recall_id}"}
        for method, rows in zip(back, vectors, strict=True):
            versions.make_current(root, find(root, method.oid), method, rows, move)
        recall.note_undone(root, recall_id, now, back)

    await mind.image.transact(work, note=f"undo recall {recall_id}"[:70])
    rows = [{"oid": p.oid, "selector": p.selector, "version": p.number} for p in back]
    return {"back": rows, "left": left, "recall": recall_id}


async def _go_to(mind: KernelContext, request: Request, what: str, *, pin: bool) -> Picked:
    number = request.body["version"]
    picked = await mind.image.transact(
        lambda root: versions.pick(root, find(root, request.target), request.selector, number),
        note=f"read {request.selector}"[:70],
    )
    await _check(mind, picked, picked.examples)
    vector = await mind.catalog.embed(picked.summary.passages)
    move = {"at": time.time(), "what": what}

    def work(root: Root) -> None:
        holder = find(root, picked.oid)
        versions.make_current(root, holder, picked, vector, move)
        if pin:
            marks.set_mark(root, "pinned", holder.slots[picked.selector], picked.number)

    await mind.image.transact(work, note=f"{what} {request.selector}"[:70])
    return picked


async def _check(
    mind: KernelContext, picked: Picked, examples: Sequence[Mapping[str, Any]]
) -> None:
    """Run the examples on the version."""
    call = Candidate(picked.selector, picked.source)
    try:
        await check_examples(mind, Brief(picked.oid, picked.selector), call, examples)
        if not picked.taught:  # what a person has written may be a constant
            await check_hears(mind, Brief(picked.oid, picked.selector), call, examples)
    except CellError as error:
        text = f"version {picked.number} fails on an example: {error}; nothing was changed"
        raise DraftsError(text) from error
    except DraftsError as error:
        raise DraftsError(f"version {picked.number}: {error}") from error


def _move(what: str, number: int) -> dict[str, Any]:
    return {"at": time.time(), "what": what, "version": number}


def _moved(request: Request, number: int, status: str) -> dict[str, Any]:
    about = {"target": request.target, "selector": request.selector}
    return about | {"version": number, "status": status}


async def replay(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Draw version ``body.version`` (the current one) of a method again.

    Returns:
        ``version``, ``same`` (byte for byte), ``sha256`` as recorded, ``replayed`` (SHA-256 of
        what came out), ``source`` that came out, ``diff`` from what is kept to that, ``model``,
        ``seconds``.
    """
    number = request.body["version"]

    def read(root: Root) -> tuple[int, str, str, Mapping[str, Any]]:
        _, method = versions.locate(find(root, request.target), request.selector)
        version = versions.version_of(method, number)
        return version.number, version.source, version.sha256, version.provenance

    number, kept, sha256, origin = await mind.image.transact(
        read, note=f"read {request.selector}"[:70]
    )
    if not origin.get("drawn"):
        parent = origin.get("adapted_from")
        by = f"adapted from {parent}" if parent else "not recorded"
        text = f"no model's draft to replay: {by}, {origin.get('persona', '')}".rstrip(", ")
        raise NotFoundError(f"version {number} of {request.selector}: {text}")
    started = time.monotonic()
    text = await draw_again(mind, origin)
    source = await asyncio.to_thread(_mend, mind, origin, text, sha256)
    return {
        "target": request.target,
        "selector": request.selector,
        "version": number,
        "same": digest(source) == sha256,
        "sha256": sha256,
        "replayed": digest(source),
        "source": source,
        "diff": versions.diff_of((kept, source), (f"version {number}", "drawn again")),
        "model": origin["model"],
        "seconds": round(time.monotonic() - started, 3),
    }


async def draw_again(mind: KernelContext, origin: Mapping[str, Any]) -> str:
    """Return the text that the model writes for the recorded draft, with its whole batch."""
    drawn, persona, roster = origin["drawn"], origin["persona"], mind.roster
    prompts = [
        Prompt(tuple((role, text) for role, text in prompt["messages"]), prompt["prefill"])
        for prompt in drawn["prompts"]
    ]
    batch = [prompts[place] for place in drawn["batch"]]
    if digest(repr(batch[drawn["place"]])) != origin["prompt_sha256"]:
        raise ArgumentsError("the recorded prompt does not have the recorded hash")
    model, adapter = origin["model"], origin["adapter"]
    if roster.model_of(persona) != model:
        now = roster.model_of(persona)
        raise ModelError(f"{persona} wrote it with {model}, and thinks with {now} now")
    known = {row["name"]: row["adapters"] for row in roster.stats()["models"]}
    if adapter and adapter not in known.get(model, ()):
        raise ModelError(
            f"{persona} wrote it with {model} through {adapter}, which is not there any more; "
            f"batos models add {adapter} at:WHEN brings it back, unless it was packed since"
        )
    written = await roster.generate(
        persona, batch, Sampling(**drawn["sampling"]), writing=True, through=adapter
    )
    if roster.digest_of(persona) != origin["model_digest"]:
        raise ModelError(f"the files of {origin['model']} are not those that it was written with")
    text: str = written[drawn["place"]].text
    return text


def _mend(mind: KernelContext, origin: Mapping[str, Any], text: str, sha256: str) -> str:
    brief, drawn = Brief.from_plain(origin["brief"]), origin["drawn"]
    named = frozenset(drawn["slots"]), frozenset(drawn["selectors"])
    opening = drawn["prompts"][drawn["batch"][drawn["place"]]]["prefill"].removeprefix(FENCE)
    source = f"{opening}{text.rstrip()}\n"
    if drawn["sampling"]["stop"] == FENCE_STOP:
        source = read_method(brief, text, FENCE_STOP)
    if origin["fixups"]:
        source, _ = apply_fixups(source, brief.selector, *named)
    repair, selector = mind.guardian.repair, brief.selector
    source = repair(source, selector)
    if MENDED in origin["fixups"]:
        changed = (repair(variant, selector) for variant in make_variants(source, selector))
        source = next((variant for variant in changed if digest(variant) == sha256), source)
    return source


async def list_experience(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return records of missions, the oldest first: ``{"experience": [...], "after": id}``.

    The page begins after the mission ``body.after`` and has at most ``body.limit`` records, fewer
    if they are long. ``after`` of the answer is "" once nothing is left.
    """
    after, limit, waiting = request.body["after"], request.body["limit"], mind.image.uses.waiting()
    records, last = await mind.image.transact(
        lambda root: experience.page(root, after, limit, waiting), note="read experience"
    )
    return {"experience": records, "after": last}


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {
        "diff-method": diff_method,
        "experience": list_experience,
        "pin": pin,
        "recall": recall_methods,
        "redo": redo,
        "replay": replay,
        "unlearn": unlearn,
        "unpin": unpin,
        "verify-method": verify_method,
        "versions": list_versions,
        "why": why,
    }
)
