"""The words of a sentence as another name of a skill that somebody said it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bat_os.core.brief import Brief, goal, parameters, signature

if TYPE_CHECKING:
    from bat_os.clients.translate import Translated


def as_another_name(said: Translated, sent: Translated) -> str:
    """Return the source of a method that is named as it was said and sends what was meant.

    Args:
        said: What the rules read in the sentence.
        sent: The message that it stands for.

    Returns:
        "" where there is nothing to remember: the same name, or other values than were said.
    """
    if said.selector == sent.selector:
        return ""
    if (list(said.args), dict(said.kwargs)) != (list(sent.args), dict(sent.kwargs)):
        return ""
    brief = Brief(sent.target, said.selector, tuple(said.args), dict(said.kwargs), said.text)
    passed = ", ".join([*parameters(brief), *(f"{name}={name}" for name in said.kwargs)])
    lines = (
        signature(brief),
        f'    """{goal(brief)}"""',
        f"    return self.{sent.selector}({passed})",
    )
    return "\n".join(lines) + "\n"
