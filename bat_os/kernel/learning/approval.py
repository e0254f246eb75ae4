"""Approval: what a model wrote waits for the Architect's yes, where the owner wants that.

    hold            instead of the installing turn: a version that waits, and the asker is told
    refuse_waiting  the message is sent again before the yes: no second method is written

The yes itself is the verb ``approve``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bat_os.core.protocol import error_body
from bat_os.errors import ApprovalWantedError, TransitionError
from bat_os.image import missions
from bat_os.image.history import marks, versions
from bat_os.image.objects import Method
from bat_os.kernel import views
from bat_os.kernel.snapshot import find

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.judge import Installation

    Root = MutableMapping[str, Any]


async def hold(mind: KernelContext, record: Record, made: Installation, choice: Choice) -> None:
    """End the mission with a version that waits; the first call has no effect.

    Raises:
        TransitionError: The target understands the message meanwhile, or one waits already.
        ArgumentsError: The method is pinned.
    """
    skill, now = made.skill, time.time()
    shown = choice.chosen.preview if choice.chosen is not None else ""

    def work(root: Root) -> None:
        made.check(root)
        target = find(root, made.target)
        if _waiting(root, target, skill.selector) and not made.replaces:
            raise TransitionError(f"{skill.selector} waits for approval already")
        number = versions.hold(root, target, skill, at=now, mission=record.id)
        error = _wanted(made.target, skill.selector, number)
        error.details |= {"source": skill.source, "shown": shown, "status": skill.status}
        body = error_body(error) | views.facts(record, made.mission)
        missions.write(root, record.id, made.mission, {"type": "error", "body": body})

    await mind.image.transact(work, note=f"hold {skill.selector}"[:70], mission=record.id)


async def refuse_waiting(mind: KernelContext, brief: Brief) -> None:
    """Return nothing unless the message would be understood after the Architect's yes.

    Raises:
        ApprovalWantedError: A version of it waits.
    """

    def look(root: Root) -> tuple[str, int]:
        for holder in find(root, brief.target).lineage():
            if number := _waiting(root, holder, brief.selector):
                return holder.name or brief.target, number
        return "", 0

    name, number = await mind.image.transact(look, note="look for what waits")
    if number:
        raise _wanted(name, brief.selector, number)


def _waiting(root: Root, holder: Any, selector: str) -> int:
    method = holder.slots.get(selector)
    return int(marks.waiting(root, method).get("version", 0)) if isinstance(method, Method) else 0


def _wanted(name: str, selector: str, number: int) -> ApprovalWantedError:
    return ApprovalWantedError(
        f"{selector} waits for the Architect's yes: batos approve {name} {selector}",
        object=name,
        selector=selector,
        version=number,
    )
