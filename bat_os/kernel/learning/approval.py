"""Approval: what a model wrote waits for the Architect's yes, if the owner wants that.

    hold            in place of the installing turn: a version that waits; the reply says so
    refuse_waiting  the message is sent again before the yes: no second method is written

The yes itself is the verb ``approve``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bat_os.core.protocol import error_body
from bat_os.errors import ApprovalWantedError, TransitionError
from bat_os.image import missions
from bat_os.image.history import versions
from bat_os.kernel import views
from bat_os.kernel.learning.target import waiting_version
from bat_os.kernel.snapshot import find

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bat_os.core.brief import Brief
    from bat_os.core.choosing import Choice
    from bat_os.image.missions import Record
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.judge import Installation
    from bat_os.kernel.learning.target import Target

    Root = MutableMapping[str, Any]


async def hold(
    context: KernelContext, record: Record, installation: Installation, choice: Choice
) -> None:
    """End the mission with a version that waits; the first call has no effect.

    Raises:
        TransitionError: The target understands the message by now, or a version waits already.
        ArgumentsError: The method is pinned.
    """
    skill, now = installation.skill, time.time()
    shown = choice.chosen.preview if choice.chosen is not None else ""

    def work(root: Root) -> None:
        installation.check(root)
        target = find(root, installation.target)
        if waiting_version(root, target, skill.selector) and not installation.replaces:
            raise TransitionError(f"{skill.selector} waits for approval already")
        number = versions.hold(root, target, skill, at=now, mission=record.id)
        error = _wanted(installation.target, skill.selector, number)
        error.details |= {"source": skill.source, "shown": shown, "status": skill.status}
        body = error_body(error) | views.facts(record, installation.mission)
        missions.write(root, record.id, installation.mission, {"type": "error", "body": body})

    await context.image.transact(work, note=f"hold {skill.selector}"[:70], mission=record.id)


def refuse_waiting(target: Target, brief: Brief) -> None:
    """Refuse a message that will be understood after the Architect's yes."""
    if target.waiting.number:
        raise _wanted(target.waiting.holder, brief.selector, target.waiting.number)


def _wanted(name: str, selector: str, number: int) -> ApprovalWantedError:
    return ApprovalWantedError(
        f"{selector} waits for the Architect's yes: batos approve {name} {selector}",
        object=name,
        selector=selector,
        version=number,
    )
