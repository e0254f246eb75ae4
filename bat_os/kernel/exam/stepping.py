"""The part ``tools`` of the exam: does a model decide on the right step, or see the answer?

It is asked as a mission asks it (``bat_os.kernel.agent.deciding``), with made-up tools and results
of steps. Nothing is called.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from bat_os.core.prompts import Prompt
from bat_os.errors import ModelOutputError
from bat_os.kernel.agent.deciding import TOKENS, ask, order, read_decision, schema_of
from bat_os.kernel.agent.tools import Tool, describe_own

if TYPE_CHECKING:
    from bat_os.core.exam import Decision
    from bat_os.ports import Sampling

OFFERED: Final = (
    "files.read", "files.names", "files.facts", "files.find", "files.search", "files.append",
    "web.fetch", "web.links",
)  # fmt: skip


@cache
def read_tools() -> tuple[Tool, ...]:
    """Return the tools that are offered: some of our own, of every kind."""
    return tuple(_tool(name) for name in OFFERED)


def _tool(name: str) -> Tool:
    driver, _, selector = name.partition(".")
    takes, needs, said = describe_own(name)
    return Tool(name, selector, takes, needs, said, selector == "append", driver, ())


def prompt_of(decision: Decision, system: str) -> Prompt:
    """Return the question."""
    steps = [
        ({"tool": tool, "args": args}, {"value": value}) for tool, args, value in decision.given
    ]
    text = ask(read_tools(), decision.request, steps, "")
    return Prompt((("system", order(system)), ("user", text)))


def sampling_for(own: Sampling) -> Sampling:
    """Return how it is drawn."""
    return replace(own, max_tokens=TOKENS, stop="", schema=schema_of(read_tools()))


def is_right(decision: Decision, text: str) -> bool:
    """Return whether an answer decides as it should."""
    try:
        said = read_decision(text)
    except ModelOutputError:
        return False
    if decision.tool:
        return said.get("tool") == decision.tool and _same(said["args"], decision.args)
    return decision.answer in _words(said["answer"]) if "answer" in said else False


def _same(given: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Return whether the arguments are the wanted ones; empty ones count for nothing."""
    return {name: value for name, value in given.items() if value not in ("", None)} == wanted


def _words(value: Any) -> str:
    return " ".join(map(_words, value)) if isinstance(value, list) else str(value)
