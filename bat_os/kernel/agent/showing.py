"""Requests as they are read; steps as people, and the prompts of personas, see them: one line.

``show_step`` is for progress and prompts, and cut short. A question for leave has ``ask_step``.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.brief import goal
from bat_os.core.printable import show_asked, show_control
from bat_os.core.values import to_wire
from bat_os.kernel.agent.arguments import value_of
from bat_os.kernel.agent.choosing import things_in
from bat_os.sentence.reading import read_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.core.brief import Brief
    from bat_os.sentence.reading import Sentence

MAX_SHOWN: Final = 160  # characters


def read_request(text: str, language: str = "") -> Sentence:
    """Return a request as a sentence."""
    return read_sentence(text, dt.datetime.now().astimezone(), language)


def request_of(brief: Brief) -> str:
    """Return the words of a request, and behind them what it is about that they do not name."""
    things = things_in(read_request(brief.text)) if brief.text else ()
    named = [value_of(one) for one in things]  # not a set: a list is a value, too
    about = [
        one
        for one in brief.args
        if isinstance(one, str) and one not in brief.text and one not in named  # "~/a.md"
    ]
    return ": ".join(filter(None, (brief.text or goal(brief), ", ".join(about))))


def show_step(step: Mapping[str, Any]) -> str:
    """Return a step for people: ``files.facts('~/notes/todo.md')``."""
    return _cut(f"{step['tool']}({', '.join(map(repr, _args(step)))})")


def ask_step(step: Mapping[str, Any]) -> str:
    """Return a step as a question for leave shows it: nothing that is agreed to is hidden."""
    return f"{step['tool']}({', '.join(_named(step, show_asked))})"


def spell_step(step: Mapping[str, Any]) -> str:
    """Return all of a step, however long it is."""
    return show_control(f"{step['tool']}({', '.join(_named(step, repr))})")


def _named(step: Mapping[str, Any], show: Callable[[Any], str]) -> list[str]:
    """Return the arguments with the names of their parameters, where the step has them."""
    values = [show(value) for value in _args(step)]
    names = step.get("names") or []
    if len(names) != len(values):  # a step that an earlier program has stored
        return values
    return [f"{name}={value}" for name, value in zip(names, values, strict=True)]


def _args(step: Mapping[str, Any]) -> list[Any]:
    said = [step["wish"], step["of"]] if "wish" in step else []
    return [*filter(None, said), *([] if step.get("of") else step["args"])]


def show_value(value: Any) -> str:
    """Return what a step gave."""
    return _cut(repr(to_wire(value)))


def _cut(shown: str) -> str:
    return shown if len(shown) <= MAX_SHOWN else f"{shown[: MAX_SHOWN - 1]}…"
