"""What became of effects, and taking them back: for the verbs, for sentences, for ``undo``.

A deed that was not begun is dropped. One that was done is taken back by another one, if the driver
can say how: a file gets what it held. That deed waits in the outbox like any other. It needs no
grant, since only a person asks for it, and it does nothing but give back what was there.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from bat_os.errors import ArgumentsError
from bat_os.image import outbox
from bat_os.image.gathering import flush
from bat_os.image.outbox import DONE, DROPPED, FAILED, HELD, PERFORMING, STAGED, Effect
from bat_os.ports import STAGE, StagingDriver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.effects.performer import Performer

SECONDS: Final = 10.0  # that an answer waits for what came of an effect


@dataclass(slots=True)
class Taken:
    """What could be taken back."""

    texts: list[str] = field(default_factory=list)  # what was
    left: list[str] = field(default_factory=list)  # what could not be, and why
    numbers: list[int] = field(default_factory=list)  # of the effects that did it


async def settled(mind: KernelContext, numbers: Sequence[int]) -> list[Effect]:
    """Return effects once what can be done of them now is done."""
    performer: Performer | None = mind.orchestrator.performer
    if numbers and performer is not None:
        await flush(mind.image)  # it has to see them
        performer.wake()
        await performer.settle(SECONDS)
    return await mind.image.transact(
        lambda root: [outbox.get(root, number) for number in numbers], note="look at effects"
    )


async def numbers_of(mind: KernelContext, tid: str) -> list[int]:
    """Return the numbers of the effects that a transaction staged."""
    if not tid:
        return []
    at = bytes.fromhex(tid)

    def look(root: Any) -> list[int]:
        storage = mind.image.storage
        touched = {record.oid for step in storage.iterator(at, at) for record in step}
        # What the transaction only began or ended was there before it.
        new = {oid for oid in touched if storage.loadBefore(oid, at) is None}
        return outbox.numbers_at(root, new)

    return await mind.image.transact(look, note="look for effects")


async def take_back(mind: KernelContext, numbers: Iterable[int]) -> Taken:
    """Take effects back, the last one first; return what came of it."""
    taken = Taken()
    wanted, now = sorted(set(numbers), reverse=True), time.time()
    if not wanted:
        return taken

    def work(root: Any, *, wait: bool) -> tuple[list[Effect], list[Effect], list[str]] | None:
        found = [outbox.get(root, number) for number in wanted]
        if wait and any(effect.state == PERFORMING for effect in found):
            return None
        return _take(root, mind, found, now)

    took = await mind.image.transact(partial(work, wait=True), note="take effects back")
    if took is None:  # until what was begun is done, nobody knows what to take back
        await settled(mind, wanted)
        took = await mind.image.transact(partial(work, wait=False), note="take effects back")
    dropped, undoing, taken.left = took or ([], [], [])
    taken.texts = [each.text for each in dropped]
    if mind.orchestrator.performer is not None:
        mind.orchestrator.performer.wake()
    for effect in await settled(mind, [each.number for each in undoing]):
        taken.numbers.append(effect.number)
        if effect.state == DONE or (effect.state == STAGED and not effect.attempts):
            taken.texts.append(effect.text)
        else:
            taken.left.append(f"{effect.text}: {effect.error}")
    return taken


def _take(
    root: Any, mind: KernelContext, found: Iterable[Effect], now: float
) -> tuple[list[Effect], list[Effect], list[str]]:
    """Return what is dropped, what takes the rest back, and the texts of what stays."""
    dropped, undoing, left = list[Effect](), list[Effect](), list[str]()
    for effect in found:
        if is_droppable(effect):
            dropped.append(outbox.drop(root, effect.number, now))
        elif effect.state in (FAILED, DROPPED):
            continue  # it left nothing
        elif (back := _undoing(mind, effect, now)) is not None:
            undoing.append(back)
        else:
            left.append(effect.text)
    return dropped, outbox.put(root, undoing, mind.home_id), left


async def undo_effect(mind: KernelContext, number: int) -> Effect:
    """Take one effect back; return the effect that does it, or the one that was dropped.

    Raises:
        ArgumentsError: It cannot be taken back.
        NotFoundError: There is no such effect.
    """
    taken = await take_back(mind, [number])
    if taken.left:
        raise ArgumentsError(f"effect {number} cannot be taken back: {'; '.join(taken.left)}")
    (effect,) = await settled(mind, taken.numbers or [number])
    return effect


def can_undo(mind: KernelContext, effect: Effect) -> bool:
    """Return whether an effect that was done could be taken back."""
    return effect.state == DONE and _undoing(mind, effect, 0.0) is not None


def is_droppable(effect: Effect) -> bool:
    """Return whether an effect was not begun, and can be dropped."""
    return effect.state in (STAGED, HELD) and not effect.attempts


def _undoing(mind: KernelContext, effect: Effect, now: float) -> Effect | None:
    driver = mind.drivers.get(effect.driver)
    if not isinstance(driver, StagingDriver) or effect.kind != STAGE or effect.state != DONE:
        return None
    deed = driver.undoing(effect.deed, effect.before or {})
    if deed is None:
        return None
    return replace(
        effect, number=0, operation=deed.operation, args=tuple(deed.args), scope=deed.scope,
        text=driver.preview(deed), run=f"undo {effect.number}", at=now, state=STAGED, attempts=0,
        due=0.0, ended=0.0, answer=None, before=None, undoes=effect.number, repeatable=False,
        boot="",
    )  # fmt: skip
