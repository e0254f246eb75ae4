"""Steps as people, and the prompts of personas, see them: cut to one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.core.values import to_wire

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SHOWN: Final = 160  # characters


def show_step(step: Mapping[str, Any]) -> str:
    """Return a step for people: ``files.facts('~/notes/todo.md')``."""
    said = [step["wish"], step["of"]] if "wish" in step else []
    args = [*filter(None, said), *([] if step.get("of") else step["args"])]
    return _cut(f"{step['tool']}({', '.join(map(repr, args))})")


def show_value(value: Any) -> str:
    """Return what a step gave."""
    return _cut(repr(to_wire(value)))


def _cut(shown: str) -> str:
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 1]}…"
