"""The words of a sentence as another name of a skill that somebody said it stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bat_os.core.brief import Brief, goal, parameters, signature

if TYPE_CHECKING:
    from bat_os.clients.translate import Translated


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
