"""The cascade: a brief goes through BRICK, ROBIN, BABS and ALFRED, and one more draft comes out.

It is offered as ``KernelContext.cascade``; a mission whose brief has the mode ``cascade``
calls it in its first SYNTHESIZING. The draft is judged as any other candidate. At most four
calls of a model, each with its own limit of tokens and seconds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from bat_os.core import packet as talk
from bat_os.core.brief import goal
from bat_os.core.packet import CognitiveStatePacket, Stage
from bat_os.core.prompts import STOP, ask_method, read_method
from bat_os.errors import ModelOutputError
from bat_os.image.objects import digest
from bat_os.kernel.context import Cascaded
from bat_os.kernel.learning.candidates import draft_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.core.brief import Brief
    from bat_os.kernel.context import KernelContext
    from bat_os.ports import Completion, Prompt, Sampling

SECONDS: Final = 60.0  # for one stage, waiting included


async def run_cascade(
    context: KernelContext, brief: Brief, passages: Sequence[Mapping[str, Any]]
) -> Cascaded:
    """Return the packet of all stages and the final draft.

    Raises:
        ModelError: A model cannot be had.
    """
    seed = int(digest(goal(brief))[:8], 16)
    people, limits = context.personas, context.profile.limits
    drafting = _method(context, "BRICK", seed)
    first = await _draw(
        context, "BRICK", ask_method(brief, people["BRICK"].system_prompt, None), drafting
    )
    packet = CognitiveStatePacket(goal(brief)).after(
        Stage("BRICK", tokens=first.tokens), read_method(brief, first.text)
    )
    remarking = _answer(context, "ROBIN", seed, (limits.remark_tokens, talk.serves_schema(limits)))
    prompt = talk.ask_whether_it_serves(brief, people["ROBIN"], packet)
    answer = await _draw(context, "ROBIN", prompt, remarking)
    packet = packet.after(
        _read("ROBIN", answer, lambda text: talk.read_whether_it_serves(text, limits))
    )
    if passages:
        schema = talk.facts_schema(len(passages), limits)
        finding = _answer(context, "BABS", seed, (limits.fact_tokens, schema))
        prompt = talk.ask_facts(brief, people["BABS"], packet, passages, limits)
        answer = await _draw(context, "BABS", prompt, finding)
        packet = packet.after(
            _read("BABS", answer, lambda text: talk.read_facts(text, passages, limits))
        )
    else:
        packet = packet.after(Stage("BABS", skipped="no passage was found"))
    prompt = talk.ask_final(brief, people["ALFRED"], packet)
    writing = _method(context, "ALFRED", seed)
    last = await _draw(context, "ALFRED", prompt, writing)
    packet = packet.after(Stage("ALFRED", tokens=last.tokens), read_method(brief, last.text))
    draft = draft_of(context, "ALFRED", prompt, last, writing, "cascade")
    tokens = sum(stage.tokens for stage in packet.stages)
    calls = 3 + bool(passages)
    return Cascaded(packet.to_plain(), draft, calls, tokens)


def _method(context: KernelContext, persona: str, seed: int) -> Sampling:
    """Return how a persona writes a method: the most likely one, since one is wanted."""
    own = context.profile.personas[persona].sampling
    return replace(own, temperature=0.0, seed=seed, stop=STOP, seconds=SECONDS)


def _answer(
    context: KernelContext, persona: str, seed: int, form: tuple[int, Mapping[str, Any]]
) -> Sampling:
    tokens, schema = form
    method = _method(context, persona, seed)
    return replace(method, max_tokens=tokens, stop="", schema=schema)


async def _draw(
    context: KernelContext, persona: str, prompt: Prompt, sampling: Sampling
) -> Completion:
    writing = sampling.schema is None
    return (await context.roster.generate(persona, [prompt], sampling, writing=writing))[0]


def _read(persona: str, answer: Completion, read: Callable[[str], Stage]) -> Stage:
    try:
        return replace(read(answer.text), tokens=answer.tokens)
    except ModelOutputError as error:
        text = f"the answer could not be read: {error}"
        return Stage(persona, skipped=text, tokens=answer.tokens)
