"""The verbs about what an idle mind proposes: list it, take it, dismiss it, hear of it."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.protocol import Request
from bat_os.core.schema import replace
from bat_os.core.values import to_wire
from bat_os.core.verbs import check
from bat_os.image import proposals, runs
from bat_os.image.history import experience
from bat_os.image.objects import Method, MethodVersion, find, merge_examples
from bat_os.kernel.idle.telling import curiosity_of, dissonance_of, news
from bat_os.kernel.verbs.files import prove, put_in
from bat_os.kernel.verbs.history import redo, unlearn, verify_method
from bat_os.kernel.verbs.objects import teach

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from bat_os.kernel.context import Handler, KernelContext, Say

    Root = MutableMapping[str, Any]

# What accepting a proposal may ask for besides installing a method.
_DEEDS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"redo": redo, "teach": teach, "unlearn": unlearn, "verify-method": verify_method}
)


async def list_proposals(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return ``{"proposals": [...]}``, the oldest first, and how much work there was today."""
    rows = await mind.image.transact(proposals.standing, note="list proposals")
    heartbeat = mind.orchestrator.heartbeat
    return {
        "proposals": [_row(row) for row in rows],
        "spent": round(heartbeat.spent, 1) if heartbeat is not None else 0.0,
        "budget": proposals.BUDGET,
        "dissonance": dissonance_of(rows),
        "curiosity": await curiosity_of(mind),
        "resting": heartbeat.resting if heartbeat is not None else "",
    } | (await _weeks(mind) if request.body["weeks"] else {})


async def _weeks(mind: KernelContext) -> dict[str, Any]:
    now = time.time()
    rows = await mind.image.transact(
        lambda root: experience.count_weeks(root, now), note="count what came of missions"
    )
    return {"weeks": rows}


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = [str(choice["shown"]) for choice in row["choices"]]
    plain = {key: row[key] for key in ("n", "kind", "at", "what", "why", "evidence")}
    wired: dict[str, Any] = to_wire(
        plain | {"choices": shown, "command": f"batos accept {row['n']}"}
    )
    return wired


async def accept(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Do what the choice ``body.choice`` of the proposal ``body.n`` says; then it is gone.

    Raises:
        NotFoundError: No proposal has this number.
        ArgumentsError: It has no such choice.
    """
    number, choice, now = request.body["n"], request.body["choice"], time.time()
    one = await mind.image.transact(lambda root: proposals.read(root, number), note="read it")
    chosen = proposals.choice_of(one, choice)
    deed = chosen["deed"]
    undo = await mind.image.transact(lambda root: _undo_of(root, deed), note="look at it")
    if deed["do"] == "install":
        done = await install(mind, deed)
    elif deed["do"] == "take":
        done = await mind.image.transact(
            lambda root: runs.take(root, deed["run"], at=now), note="take an adapter"
        )
        await mind.refresh()
    else:
        about = {key: deed[key] for key in ("target", "selector")}
        asked = check(Request(deed["verb"], body=dict(deed["body"]), **about))
        done = await _DEEDS[deed["verb"]](mind, replace(asked, by=request.by), say)
    await mind.image.transact(
        lambda root: _decide(root, number, taken=True), note=f"accept proposal {number}"
    )
    return {
        "n": number, "what": one["what"], "done": str(chosen["shown"]), "result": to_wire(done),
        "undo": undo,
    }  # fmt: skip


def _undo_of(root: Root, deed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verb that takes a deed back, before it is done; {} where there is none."""
    if deed["do"] == "take" or deed.get("verb") == "verify-method":
        return {}  # batos forge undo takes the first back
    about = {key: deed[key] for key in ("target", "selector")}
    if deed.get("verb") == "teach":
        about["selector"] = deed["body"]["source"].partition("(")[0].removeprefix("def ")
    method = find(root, about["target"]).slots.get(about["selector"])
    if isinstance(method, Method) and method.current >= 0:
        return {"verb": "redo", **about, "version": method.version.number}
    return {"verb": "unlearn", **about, "version": 0}


async def install(mind: KernelContext, deed: Mapping[str, Any]) -> dict[str, Any]:
    """Install a method that was found, after the same proof as any; a person stands behind it."""
    target, selector = deed["target"], deed["selector"]
    examples = merge_examples(deed["examples"], deed["provenance"].get("examples", ()))
    provenance = {**deed["provenance"], "examples": list(examples), "created": time.time()}
    provenance["cell"] = mind.cell.stats().get("kind", "")
    status = "verified" if examples else "provisional"
    version = MethodVersion(1, deed["source"], status, provenance)
    skill = await prove(mind, target, selector, version)
    number = await mind.image.transact(
        lambda root: put_in(root, find(root, target), skill), note=f"install {selector}"[:70]
    )
    return {"target": target, "selector": selector, "version": number, "status": status}


async def dismiss(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Drop the proposal ``body.n``; the same does not come again."""
    number = request.body["n"]

    def work(root: Root) -> dict[str, Any]:
        one = proposals.read(root, number)
        _decide(root, number, taken=False)
        return {"what": one["what"], "quiet": proposals.is_quiet(root, one["kind"], time.time())}

    return {"n": number} | await mind.image.transact(work, note=f"dismiss proposal {number}")


def _decide(root: Root, number: int, *, taken: bool) -> None:
    proposals.decide(root, number, taken=taken, at=time.time())


async def since(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what idle work found since somebody heard of it last; then it counts as heard."""
    told = await news(mind, time.time(), tell=True)
    return told | {"proposals": [_row(row) for row in told["proposals"]]}


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"accept": accept, "dismiss": dismiss, "proposals": list_proposals, "since": since}
)
