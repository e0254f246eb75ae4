"""What a person sees: states as they pass, answers, errors. Plain text where no terminal is.

Standard output carries the answer and nothing else; all the rest goes to standard error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_COLOURS: Final = {"complete": "green", "failed": "red"}
_HINTS: Final = {
    "BUSY": "wait a moment and ask again",
    "NOT_FOUND": "batos list names the objects there are",
    "MODEL_UNAVAILABLE": "./run.sh status says what the kernel is doing",
    "SANDBOX_FAILED": "put the wish in other words, or give an example (e.g. 5 gives 120)",
    "STORAGE_FULL": "free some disk space and ask again",
}


class Screen:
    """Writes to a terminal or a pipe.

    Attributes:
        answers: Standard output.
        notes: Standard error.
    """

    def __init__(self) -> None:
        self.answers = Console(highlight=False, soft_wrap=True)
        self.notes = Console(stderr=True, highlight=False, soft_wrap=True)

    def note(self, text: str, style: str = "dim") -> None:
        """Write a line beside the answer."""
        self.notes.print(text, style=style, markup=False)

    def event(self, kind: str, body: Mapping[str, Any], seconds: float) -> None:
        """Write one state of the cognitive cycle."""
        if kind != "event":
            return
        state = str(body.get("state", "?"))
        colour = _COLOURS.get(state, "cyan")
        who, what = str(body.get("persona", "")), _detail(body)
        line = f"[dim]{seconds:6.1f} s[/]  [{colour}]{escape(state.upper()):<13}[/] "
        self.notes.print(line + f"[bold]{escape(who):<12}[/] {escape(what)}")

    def result(self, body: Mapping[str, Any]) -> None:
        """Write an answer, and how it came about."""
        if body.get("printed"):
            self.answers.print(str(body["printed"]).rstrip("\n"), markup=False)
        self.answers.print(render(body.get("result")), markup=False)
        self.note(_origin(body))

    def error(self, body: Mapping[str, Any]) -> None:
        """Write what went wrong and what can be done."""
        code = str(body.get("code", "INTERNAL"))
        self.notes.print(f"[red]{escape(code)}[/] {escape(str(body.get('message', '')))}")
        if code in _HINTS:
            self.note(f"  {_HINTS[code]}")


def render(value: Any) -> str:
    """Return an answer as text: a text as it is, anything else as JSON.

    >>> render("a"), render([1, None]), render({"a": True})
    ('a', '[1, null]', '{"a": true}')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, ensure_ascii=False, default=str)


def as_call(body: Mapping[str, Any]) -> str:
    """Return a message as people write it: ``genesis_obj.greet('Ann')``."""
    arguments = [repr(arg) for arg in body.get("args", [])]
    arguments += [f"{key}={value!r}" for key, value in body.get("kwargs", {}).items()]
    return f"{body.get('target')}.{body.get('selector')}({', '.join(arguments)})"


def _origin(body: Mapping[str, Any]) -> str:
    took, status = float(body.get("seconds", 0)), body.get("status")
    seconds = f"{took:.1f} s" if took >= 1 else f"{took * 1000:.1f} ms"
    how = {"provisional": "provisional: nobody has confirmed it yet"}.get(str(status), str(status))
    if not body.get("learned"):
        return f"{as_call(body)}: known ({how}), no model ran, {seconds}"
    return f"{as_call(body)}: learned now ({how}; {body.get('why', '')}), {seconds}"


def _detail(body: Mapping[str, Any]) -> str:
    detail = body.get("detail", {})
    said: dict[str, Callable[[Any], str]] = {
        "queries": lambda queries: "will look up: " + "; ".join(queries),
        "passages": lambda found: f"found {len(found)} passages; now writes candidates",
        "reason": str,
        "error": lambda error: str(error.get("message", "")),
        "candidates": lambda count: f"audits and tries {count} candidates",
        "goal": str,
    }
    for key, say in said.items():
        if detail.get(key) and not (key == "candidates" and "status" in detail):
            return say(detail[key])
    return str(body.get("does", ""))
