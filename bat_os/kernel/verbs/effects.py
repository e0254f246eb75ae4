"""List what BAT OS has done to the world, or has yet to do; redo, drop and undo it."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.image import outbox
from bat_os.kernel.effects.account import can_undo, settled, undo_effect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.core.protocol import Request
    from bat_os.image.outbox import Effect
    from bat_os.kernel.context import Handler, KernelContext, Say


async def list_effects(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Return what is not done, the newest first; with ``body.all``, what has ended, too."""
    limit = request.body["limit"]

    def look(root: Any) -> list[Effect]:
        found = list(outbox.pending(root))
        if request.body["all"]:
            found += outbox.ended(root, limit)
        return sorted(found, key=lambda effect: -effect.number)[:limit]

    found = await mind.image.transact(look, note="list effects")
    return {"effects": [_show(mind, effect) for effect in found]}


async def redo(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Let an effect that failed, is held or is not known be done once more."""
    number = request.body["number"]
    if not mind.home_id:
        raise ArgumentsError("this kernel does nothing in the world")
    await mind.image.transact(
        lambda root: outbox.redo(root, number, mind.home_id), note=f"redo effect {number}"
    )
    if mind.orchestrator.performer is not None:
        mind.orchestrator.performer.wake()
    (effect,) = await settled(mind, [number])
    return _show(mind, effect)


async def drop(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Give up an effect that is not done."""
    number, now = request.body["number"], time.time()
    effect = await mind.image.transact(
        lambda root: outbox.drop(root, number, now), note=f"drop effect {number}"
    )
    return _show(mind, effect)


async def undo(mind: KernelContext, request: Request, say: Say) -> dict[str, Any]:
    """Take back an effect that was done."""
    return _show(mind, await undo_effect(mind, request.body["number"]))


def _show(mind: KernelContext, effect: Effect) -> dict[str, Any]:
    return {
        "number": effect.number, "what": effect.text, "state": effect.state,
        "object": effect.name or effect.oid, "by": effect.by, "at": effect.at,
        "ended": effect.ended, "attempts": effect.attempts, "due": effect.due,
        "error": effect.error, "undoes": effect.undoes, "unused": effect.unused,
        "can_undo": can_undo(mind, effect),
    }  # fmt: skip


VERBS: Final[Mapping[str, Handler]] = MappingProxyType(
    {"effects": list_effects, "effects.redo": redo, "effects.drop": drop, "effects.undo": undo}
)
