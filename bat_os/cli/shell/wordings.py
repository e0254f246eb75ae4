"""What somebody has said that a sentence means is known from then on.

The words become another name of the skill: a small method beside it that sends what was meant,
taught as any method that a person writes. So it can be found, explained, and unlearned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bat_os.clients.literals import parse_call
from bat_os.clients.translate import translate
from bat_os.clients.understanding.wording import as_another_name
from bat_os.errors import BatError

if TYPE_CHECKING:
    from bat_os.clients.client import KernelClient
    from bat_os.clients.translate import Translated

PATIENCE: Final = 10.0  # seconds; the answer is there already


async def remember(kernel: KernelClient, sentence: str, sent: Translated) -> str:
    """Let the words of a sentence name the message that was sent for it.

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
    source = as_another_name(said, sent)
    if not source:
        return ""
    try:
        if not await _is_free(kernel, said.selector, sent):
            return ""
        body = {"source": source, "examples": []}
        await kernel.request("teach", timeout=PATIENCE, target=sent.target, body=body)
    except BatError as error:
        return f"these words are not remembered: {error}"
    name = f"{sent.target} {said.selector}"
    return f"remembered: {said.selector} is {sent.selector}; batos unlearn {name} forgets it"


async def _is_free(kernel: KernelClient, name: str, sent: Translated) -> bool:
    """Return True when the name can be given to what is meant, and leads back to it nowhere."""
    holds, meant = [
        await kernel.request("inspect", timeout=PATIENCE, target=sent.target, selector=selector)
        for selector in (name, sent.selector)
    ]
    taken = name in holds["slots"] or name in holds["inherited"]
    built_in = holds["methods"].get(name, {}).get("status") == "primitive"
    source = str(meant["methods"].get(sent.selector, {}).get("source", ""))
    return not (taken or built_in or f"self.{name}(" in source)
