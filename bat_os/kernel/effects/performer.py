"""The one task that does what turns have staged: in the order of each object, never in silence.

    staged > what is there is looked at > performing (committed) > the deed > done | failed

``performing`` is committed before the deed. So a kernel that was killed in between knows, when it
starts again, what it may have done: what can be repeated is done again, what the driver can see is
looked at, and the rest is ``unknown`` and asked. A deed that could not be done is tried again after
growing pauses. One that fails for good is a line of the journal, and a message ``effect_failed`` to
its object, if that understands it.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief
from bat_os.errors import BatError, EffectUnknownError, NotUnderstoodError
from bat_os.failpoints import cross
from bat_os.image import outbox
from bat_os.image.outbox import DONE, FAILED, HELD, PERFORMING, STAGED, UNKNOWN, Effect
from bat_os.kernel.effects.deeds import FULL_PAUSE, perform, store
from bat_os.kernel.reach import Answers
from bat_os.kernel.turn import take_turn
from bat_os.ports import STAGE, StagingDriver

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, MutableMapping

    from bat_os.kernel.context import KernelContext

    Root = MutableMapping[str, Any]
    Outcome = dict[str, Any]  # fields of the effect that change

log = logging.getLogger(__name__)

PAUSES: Final = (1.0, 4.0, 15.0, 60.0, 300.0, 1800.0)  # seconds before it is tried again
AT_ONCE: Final = 256  # effects that are looked at together
FAILING: Final = "effect_failed"  # the message to the object
_GONE: Final = "its grant has ended, or does not allow it; grant it again, then redo it"


class Performer:
    """Does what is in the outbox while ``keep`` runs.

    Attributes:
        home: Id of the home; what another one has staged is held.
        boot: Id of this run of the kernel; of one of several it begins with the kernel's id.
        others: Returns the ids of the other kernels that live: what they do is not this one's.
        tell: Gets a line of the journal for each effect that fails.
    """

    def __init__(self, mind: KernelContext, tell: Callable[[Mapping[str, Any]], object]) -> None:
        self.home = mind.home_id
        self.boot = f"{mind.image.database.kernel}.{secrets.token_hex(8)}".lstrip(".")
        self.others: Callable[[], Collection[str]] = tuple
        self.tell = tell
        self._mind = mind
        self._image = mind.image
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_running = False

    def expect(self) -> None:
        """Note that ``keep`` is about to run: what is there from before is not done yet."""
        if self.home:  # that of a kernel on trial does nothing
            self._is_running = True
            self._idle.clear()

    def wake(self) -> None:
        """Note that something was staged."""
        if self._is_running:
            self._idle.clear()
            self._wake.set()

    async def settle(self, seconds: float) -> None:
        """Wait until all that can be done now is done, or so many seconds are over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._idle.wait()

    async def keep(self) -> None:
        """Do what is staged, now and whenever something is; ends when it is cancelled."""
        self.expect()
        try:
            if self._is_running:
                await self._keep()
        finally:
            self._is_running = False
            self._idle.set()

    async def _keep(self) -> None:
        recovered = False
        while True:
            self._wake.clear()
            try:
                if not recovered:
                    await self._recover()
                    recovered = self._mind.cluster is None  # else a kernel may die at any time
                pause = await self._sweep()
            except BatError as error:  # a full disk, say: nothing was begun that is not known
                log.warning("effects wait: %s", error)
                pause = FULL_PAUSE
            if not self._wake.is_set():
                self._idle.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _recover(self) -> None:
        """Decide on what an earlier kernel had begun, and hold what another home has staged."""

        def look(root: Root) -> list[Effect]:
            begun = outbox.pending(root, {PERFORMING})
            ours = (*self.others(), self.boot)
            return [effect for effect in begun if not effect.boot.startswith(ours)]

        def settle(root: Root) -> list[Effect]:
            if not self.others():
                outbox.note_unused(root)
            return outbox.hold_foreign(root, self.home, self.boot)

        held = await self._image.transact(settle, note="hold effects")
        begun = await self._image.transact(look, note="look for effects")
        found = {each.number: await self._judge(each) for each in begun}
        if found:
            await self._store(found, "recover effects")
        if held:
            log.warning("%d effects of another home are held: batos effects", len(held))

    async def _judge(self, effect: Effect) -> Outcome:
        """Return what becomes of an effect that a killed kernel had begun."""
        driver = self._mind.drivers.get(effect.driver)
        done: bool | None = False if effect.repeatable else None
        if isinstance(driver, StagingDriver) and effect.before is not None:
            done = await asyncio.to_thread(driver.was_done, effect.deed, effect.before)
            done = False if done is None and effect.repeatable else done
        if done is None:
            why = "the kernel was killed while it was done; look, then redo or drop it"
            return {"state": UNKNOWN, "error": why, "ended": time.time()}
        return {"state": DONE, "ended": time.time()} if done else {"state": STAGED}

    async def _sweep(self) -> float:
        """Do all that is due; return the seconds until something will be."""
        while True:
            lines, due = await self._image.transact(self._look, note="look for effects")
            if not lines:
                return max(due - time.time(), 0.05) if due else 3600.0
            while lines:
                heads = [line.pop(0) for line in lines]
                stopped = await self._do_all(heads)
                lines = [
                    line for line, head in zip(lines, heads, strict=True)
                    if line and head.number not in stopped
                ]  # fmt: skip

    def _look(self, root: Root) -> tuple[list[list[Effect]], float]:
        """Return what is due, a list per object, and the first moment at which more will be."""
        now, lines, later = time.time(), dict[str, list[Effect]](), dict[str, float]()
        for effect in outbox.pending(root, {STAGED}):
            if effect.kind != STAGE:
                continue
            if effect.oid in later:  # behind one that waits
                continue
            if effect.due > now and effect.oid not in lines:
                later[effect.oid] = effect.due
            elif effect.due <= now and sum(map(len, lines.values())) < AT_ONCE:
                lines.setdefault(effect.oid, []).append(effect)
        return list(lines.values()), min(later.values(), default=0.0)

    async def _do_all(self, heads: list[Effect]) -> set[int]:
        """Do one effect of each object; return the numbers of those that have to wait."""
        cross("effect.staged")
        looked = await asyncio.gather(*map(self._before, heads))
        begun = await self._image.transact(
            lambda root: self._begin(root, looked), note="begin effects"
        )
        cross("effect.begun")
        outcomes = await asyncio.gather(*map(self._do, begun))
        found = {each.number: outcome for each, outcome in zip(begun, outcomes, strict=True)}
        cross("effect.done")
        if found:
            await self._store(found, "store effects")
        cross("effect.stored")
        return {number for number, outcome in found.items() if outcome["state"] == STAGED}

    async def _before(self, effect: Effect) -> Effect:
        driver = self._mind.drivers.get(effect.driver)
        if not isinstance(driver, StagingDriver):
            return effect
        return replace(effect, before=await asyncio.to_thread(driver.look, effect.deed))

    def _begin(self, root: Root, looked: list[Effect]) -> list[Effect]:
        """Mark effects as begun, inside ``transact``; return those that may be."""
        begun, now = [], time.time()
        for effect in looked:
            kept = outbox.get(root, effect.number)
            if kept.state != STAGED:
                continue  # dropped meanwhile
            if not outbox.has_right(root, effect, now) or effect.driver not in self._mind.drivers:
                outbox.change(root, effect.number, state=HELD, error=_GONE)
                continue
            more = {"boot": self.boot, "attempts": kept.attempts + 1, "before": effect.before}
            begun.append(outbox.change(root, effect.number, state=PERFORMING, **more))
        return begun

    async def _do(self, effect: Effect) -> Outcome:
        """Return what came of a deed."""
        try:
            answer = await perform(self._mind.drivers[effect.driver], effect)
        except BatError as error:
            about = {"error": str(error), "code": error.code, "ended": time.time()}
            if not error.retryable and not isinstance(error, EffectUnknownError):
                return {"state": FAILED, **about}
            return await self._try_again(effect, about)
        return {"state": DONE, "answer": answer, "ended": time.time(), "error": "", "code": ""}

    async def _try_again(self, effect: Effect, about: Outcome) -> Outcome:
        """Return what becomes of an effect that went wrong, and may be done or not."""
        found = await self._judge(effect)
        if found["state"] != STAGED:
            return about | found
        if effect.attempts > len(PAUSES):
            return about | {"state": FAILED}
        return about | {"state": STAGED, "due": time.time() + PAUSES[effect.attempts - 1]}

    async def _store(self, found: Mapping[int, Outcome], note: str) -> None:
        def work(root: Root) -> list[Effect]:
            return [outbox.change(root, number, **outcome) for number, outcome in found.items()]

        for effect in await store(self._image, work, note):
            if effect.state in (FAILED, UNKNOWN):
                await self._report(effect)

    async def _report(self, effect: Effect) -> None:
        """Write a line of the journal, and tell the object."""
        moment = dt.datetime.fromtimestamp(effect.ended, dt.UTC)
        about = {
            "effect": effect.number, "object": effect.name or effect.oid, "what": effect.text,
            "state": effect.state, "code": effect.code, "error": effect.error,
        }  # fmt: skip
        log.warning("effect %d is %s: %s", effect.number, effect.state, effect.error)
        stamp = moment.isoformat(timespec="milliseconds")
        self.tell({"timestamp": stamp, "event_type": "EFFECT_FAILED", **about})
        if effect.run.startswith(FAILING):
            return  # what it wanted has failed, too: no end of messages about messages
        label = (*effect.label, effect.oid)  # what it says is from there, and of what it was to do
        mind, brief = self._mind, Brief(effect.oid, FAILING, (about,), label=label)
        answers = Answers(run=f"{FAILING} {effect.number}")
        try:
            await take_turn(
                mind.image, mind.cell, brief, commit_reads=False, reach=mind, answers=answers
            )
        except NotUnderstoodError:
            pass
        except BatError as error:
            log.warning("%s of %s: %s", FAILING, about["object"], error)
