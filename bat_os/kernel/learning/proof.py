"""Whether a method does what its examples say, and goes by what it reads: for a person.

And whether it does what it did when it was tried.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.choosing import preview
from bat_os.core.values import to_wire
from bat_os.errors import BatError, DraftsError, EffectWantedError
from bat_os.kernel.agent.parts import variants
from bat_os.kernel.effects.wants import in_words, key_of
from bat_os.kernel.learning.trial import try_examples, try_turn
from bat_os.kernel.reach import Answers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.trial import Example
    from bat_os.kernel.turn import Candidate

MAX_WORLDS: Final = 30  # other ones that a source is tried on


async def check_examples(
    context: KernelContext, brief: Brief, trial: Candidate, examples: Iterable[Example]
) -> None:
    """Raise an error for a person if ``trial`` does not reproduce an example."""
    async for outcome in try_examples(context, brief, trial, examples):
        if not outcome.is_right:
            named = outcome.example.get("kwargs", {}).items()
            given = [*map(repr, outcome.example["args"]), *(f"{n}={v!r}" for n, v in named)]
            call = f"{brief.selector}({', '.join(given)})"
            gives, wanted = preview(outcome.value), preview(outcome.example["result"])
            if gives == wanted or "effects" in outcome.example:
                gives += f" and {in_words(outcome.wanted)}"
                wanted += f" and {in_words(outcome.example.get('effects', ()))}"
            raise DraftsError(
                f"{call} gives {gives}, not {wanted}; nothing was changed: correct the function or "
                "the example"
            )


async def check_hears(
    context: KernelContext, brief: Brief, trial: Candidate, examples: Iterable[Example]
) -> None:
    """Raise an error for a person if ``trial`` only repeats what the world of an example said."""
    if deaf := await find_deafness(context, brief, trial, examples):
        raise DraftsError(f"{brief.selector}: {deaf}; nothing was changed")


async def check_effects(
    context: KernelContext, brief: Brief, trial: Candidate, recorded: Sequence[Mapping[str, Any]]
) -> None:
    """Raise an error for a person if a message wants other effects than it did when it was tried.

    ``recorded`` are those of then.
    """
    try:
        found = (await try_turn(context.image, context.cell, brief, trial, context)).wanted
    except EffectWantedError as error:
        found = error.wanted
    if key_of(found) != key_of(recorded):
        raise DraftsError(
            f"{brief.selector} {in_words(found)}, and when it was tried it {in_words(recorded)}; "
            "nothing was changed: give an example that states what it does"
        )


async def find_deafness(
    context: KernelContext, brief: Brief, trial: Candidate, examples: Iterable[Example]
) -> str:
    """Return why a source does not go by what the world of an example says; "" if it does.

    One world is soon repeated. So it answers once more where the world had said something else:
    the answer, or the next question, has to be another one, and not always an error.
    """
    for example in examples:
        args, kwargs = tuple(example["args"]), dict(example.get("kwargs", brief.kwargs))
        call = replace(brief, args=args, kwargs=kwargs)
        if example.get("world") and (deaf := await _find_deafness(context, call, trial, example)):
            return deaf
    return ""


async def _find_deafness(
    context: KernelContext, call: Brief, trial: Candidate, example: Example
) -> str:
    async def run(world: Mapping[str, Any]) -> list[Any]:
        answers = Answers(dict(world), closed=True)
        told = await try_turn(context.image, context.cell, call, trial, context, answers)
        return [to_wire(told.value), key_of(told.wanted)]

    world, usual = example["world"], await run(example["world"])
    tries = [{key: other} for key, known in world.items() for other in variants(known)]
    # "is a longer than b?" is answered otherwise where each has what the other had
    tries[:0] = [{a: world[b], b: world[a]} for a, b in itertools.pairwise(world)]
    why = "it fails on all but what was read once"
    for other in tries[:MAX_WORLDS]:
        try:
            if await run({**world, **other}) != usual:
                return ""
            why = "the answer does not depend on what the tools gave"
        except EffectWantedError:  # it asks for something else then
            return ""
        except BatError:
            continue
    return why
