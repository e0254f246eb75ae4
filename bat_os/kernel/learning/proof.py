"""Whether a method does what its examples say, and what it did when it was tried: for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bat_os.core.choosing import preview
from bat_os.errors import DraftsError, EffectWantedError
from bat_os.kernel.effects.wants import in_words, key_of
from bat_os.kernel.learning.trial import find_deafness, try_examples, try_turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.kernel.context import KernelContext
    from bat_os.kernel.learning.trial import Example
    from bat_os.kernel.turn import Candidate


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
