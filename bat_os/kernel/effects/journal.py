"""Effects whose answer a message needs: done once, however often the message has to run.

    run > an answer is wanted > intent (committed) > the deed > result (committed) > run again

The message stops where it wants the answer, and runs again from its start once that is there. What
it is to be given again is kept with its run: what it had read, the seed of its random numbers, and
its clock. So it asks the same questions, and a question that was answered is not asked again. A
kernel that takes the message up after a kill finds all of it:

    root["runs"]    id of a run -> what it had read, its seed, its clock; until it has ended
"""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from persistent.mapping import PersistentMapping

from bat_os.errors import (
    ArgumentsError,
    BatError,
    EffectUnknownError,
    NotFoundError,
    NotGrantedError,
)
from bat_os.failpoints import cross
from bat_os.image import outbox
from bat_os.image.gathering import flush, gather
from bat_os.image.objects import tree_of
from bat_os.image.outbox import DONE, DROPPED, FAILED, PERFORMING, RUNS, STAGED, UNKNOWN
from bat_os.kernel.effects.deeds import perform, store
from bat_os.ports import AWAIT

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from bat_os.errors import EffectWantedError
    from bat_os.image.outbox import Effect
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.reach import Answers

    Root = MutableMapping[str, Any]

_ERRORS: Final = {each.code: each for each in (ArgumentsError, NotFoundError, NotGrantedError)}


async def carry_out(
    mind: KernelContext | None, answers: Answers, wanted: EffectWantedError
) -> None:
    """Bring a run one step on: fix what it is given again, or do what it wants and note the answer.

    Raises:
        EffectWantedError: It is on trial, and does nothing in the world.
        NotGrantedError: The grant has ended meanwhile.
        EffectUnknownError: An earlier kernel was killed while it did it.
    """
    if mind is None or wanted.effect is None:
        raise wanted
    await flush(mind.image)
    with gather(None):  # each step is stored before the next one
        await _carry_out(mind, answers, wanted.effect)


async def _carry_out(mind: KernelContext, answers: Answers, wanted: Effect) -> None:
    if answers.seed is None:  # nothing is done before it is sure that it is wanted again, too
        await _fix(mind, answers)
        return
    effect, told = await _begin(mind, answers, wanted), None
    if effect.state == PERFORMING:
        cross("await.begun")
        effect, told = await _do(mind, effect)
        cross("await.stored")
    answers.awaited[effect.question] = effect.number
    answers.keep(effect.question, answer_of(effect) if told is None else told)


async def _fix(mind: KernelContext, answers: Answers) -> None:
    """Fix what a run is given whenever it runs again: as an earlier kernel did, or from now on."""
    kept = await mind.image.transact(
        lambda root: dict(root.get(RUNS, {}).get(answers.run, {})), note="look for a run"
    )
    answers.seed = kept.get("seed", secrets.randbits(31))
    answers.now = kept.get("now", time.time())
    answers.by_key |= kept.get("answers", {})
    answers.here |= kept.get("here", {})


async def _begin(mind: KernelContext, answers: Answers, wanted: Effect) -> Effect:
    """Commit the intent; return the effect, as it is if it was begun or done before."""
    boot = mind.orchestrator.performer.boot if mind.orchestrator.performer else ""
    told = {k: each for k, each in answers.by_key.items() if not isinstance(each, BatError)}

    def work(root: Root) -> Effect:
        given = {"seed": answers.seed, "now": answers.now, "answers": told, "here": answers.here}
        tree_of(root, RUNS)[answers.run] = PersistentMapping({**given, "at": time.time()})
        known = [each for each in outbox.of_run(root, answers.run) if each.kind == AWAIT]
        same = [each for each in known if each.question == wanted.question]
        effect = same[0] if same else outbox.put(root, [wanted], mind.home_id)[0]
        if effect.state != STAGED:
            return effect
        if not outbox.has_right(root, effect, time.time()):
            raise NotGrantedError(f"the grant of {effect.name or 'the object'} has ended")
        begun = {"state": PERFORMING, "boot": boot, "attempts": effect.attempts + 1}
        return outbox.change(root, effect.number, **begun)

    cross("await.wanted")
    effect = await mind.image.transact(work, note=f"intend {wanted.operation}"[:70])
    if effect.state == PERFORMING and effect.boot != boot:
        answer_of(effect)  # another kernel was killed while it did it
    return effect


async def _do(mind: KernelContext, effect: Effect) -> tuple[Effect, BatError | None]:
    """Do it, and commit what came of it; return that, and an error as it was raised."""
    told: BatError | None = None
    outcome: dict[str, Any] = {"state": DONE, "error": "", "code": ""}
    try:
        outcome["answer"] = await perform(mind.drivers[effect.driver], effect)
    except BatError as error:  # an answer, too
        is_known = not isinstance(error, EffectUnknownError) or effect.repeatable
        told = error if is_known else None
        state = FAILED if is_known else UNKNOWN
        outcome = {"state": state, "error": str(error), "code": error.code}
    cross("await.done")

    def work(root: Root) -> Effect:
        return outbox.change(root, effect.number, **outcome, ended=time.time())

    return await store(mind.image, work, f"store {effect.operation}"[:70]), told


def answer_of(effect: Effect) -> Any:
    """Return what a message is given: the answer, or the error to be raised.

    Raises:
        EffectUnknownError: Nobody can say whether it was done.
    """
    if effect.state == DONE:
        return effect.answer
    if effect.state == FAILED:
        return _ERRORS.get(effect.code, NotGrantedError)(effect.error)
    if effect.state == DROPPED:
        return NotGrantedError(f"effect {effect.number}, {effect.text}, was not done: dropped")
    text = f"effect {effect.number}, {effect.text}, is {effect.state}: look whether it was done"
    raise EffectUnknownError(f"{text}, then batos effects redo {effect.number}, or drop it")
