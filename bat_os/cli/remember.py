"""What somebody has said that a sentence means is known from then on.

The words become another name of the skill: a small method beside it that sends what was meant,
taught as any method that a person writes. So it can be found, explained, and unlearned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import Brief, goal, parameters, signature
from bat_os.errors import BatError
from bat_os.method.names import stands_for
from bat_os.sentence.tokens import parse_call
from bat_os.sentence.translate import translate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.client.client import KernelClient
    from bat_os.sentence.translate import Translated

PATIENCE: Final = 3.0  # seconds; the answer is there already


async def remember(kernel: KernelClient, sentence: str, sent: Translated) -> str:
    """Let the words of a sentence name the method that was sent for it.

    Args:
        kernel: Whose image it is.
        sentence: What was said, or "".
        sent: What it stands for; it has been answered.

    Returns:
        A line for the person who said it, or "" where there is nothing to remember.
    """
    if not sentence or parse_call(sentence):
        return ""
    said = translate(sentence)
    try:
        meant = await _method(kernel, sent.target, sent.selector)
        skill = stands_for(meant.get("source", ""), sent.selector) or sent.selector
        if "source" not in meant or said.selector == skill:
            return ""
        if why := await _refuse(kernel, said, sent):
            return f"these words are not remembered: {why}"
        body = {"source": as_another_name(said, skill), "examples": []}
        await kernel.request("teach", timeout=PATIENCE, target=sent.target, body=body)
    except BatError as error:
        return f"these words are not remembered: {error}"
    name = f"{sent.target} {said.selector}"
    return f"remembered: {said.selector} is {skill}; batos unlearn {name} forgets it"


async def _refuse(kernel: KernelClient, said: Translated, sent: Translated) -> str:
    """Return why the words cannot be the name of what was sent, or ""."""
    name = said.selector
    if (list(said.args), dict(said.kwargs)) != (list(sent.args), dict(sent.kwargs)):
        return "the message has other values, or in another order"
    held = await _method(kernel, sent.target, name)
    free = held.get("status") in (None, "provisional", "unlearned")
    if free or stands_for(held.get("source", ""), name):
        return ""
    return f"{sent.target} has {name} already, for something else"


async def _method(kernel: KernelClient, target: str, selector: str) -> Mapping[str, Any]:
    """Return what an object itself has under a name: {} for nothing."""
    told = await kernel.request("inspect", timeout=PATIENCE, target=target, selector=selector)
    elsewhere = selector in told["slots"] or selector in told["inherited"]
    found: Mapping[str, Any] = told["methods"].get(selector, {})
    return {"status": "slot"} if elsewhere else found


def as_another_name(said: Translated, meant: str) -> str:
    """Return the source of a method that is named as it was said, and sends what was meant.

    Args:
        said: What the rules read in the sentence.
        meant: The selector that it stands for; it gets the same values.
    """
    brief = Brief(said.target, said.selector, tuple(said.args), dict(said.kwargs), said.text)
    passed = ", ".join([*parameters(brief), *(f"{name}={name}" for name in said.kwargs)])
    lines = (
        signature(brief),
        f'    """{goal(brief)}"""',
        f"    return self.{meant}({passed})",
    )
    return "\n".join(lines) + "\n"
