"""What a person sees: states as they pass, answers, errors. Plain text where no terminal is.

Standard output carries the answer and nothing else; all the rest goes to standard error.
"""

from __future__ import annotations

import json
import math
import re
import sys
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
    "EXAMPLE_WANTED": "say it again with an example (..., e.g. 5 gives 120)",
    "STORAGE_FULL": "free some disk space and ask again",
}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Screen:
    """Writes to a terminal or a pipe.

    A pipe gets an answer as it is. On a terminal, control characters are shown and do
    nothing: what learned code says is not to move the cursor.

    Attributes:
        notes: Standard error.
        as_json: Write one JSON object per answer or error, and no notes.
    """

    def __init__(self, *, as_json: bool = False, plain: bool = False) -> None:
        """Write without any colour or style when ``plain``."""
        self.notes = Console(
            stderr=True,
            highlight=False,
            soft_wrap=True,
            emoji=False,
            color_system=None if plain else "auto",
        )
        self.as_json = as_json

    def answer(self, text: str) -> None:
        """Write a line to standard output."""
        print(show_control(text) if sys.stdout.isatty() else text, flush=True)  # noqa: T201 - the one place that answers

    def note(self, text: str, style: str = "dim") -> None:
        """Write a line beside the answer."""
        if not self.as_json:
            self.notes.print(show_control(text), style=style, markup=False)

    def event(self, kind: str, body: Mapping[str, Any], seconds: float) -> None:
        """Write one state of the cognitive cycle."""
        if kind != "event" or self.as_json:
            return
        state = str(body.get("state", "?"))
        colour = _COLOURS.get(state, "cyan")
        who, what = str(body.get("persona", "")), _detail(body)
        line = f"[dim]{seconds:6.1f} s[/]  [{colour}]{escape(state.upper()):<13}[/] "
        self.notes.print(line + f"[bold]{escape(who):<12}[/] {escape(show_control(what))}")

    def result(self, body: Mapping[str, Any]) -> None:
        """Write an answer, and how it came about."""
        if self.as_json:
            self.answer(to_json(body))
            return
        if body.get("printed"):
            self.note(str(body["printed"]).rstrip("\n"), style="")
        self.answer(render(body.get("result")))
        self.note(_origin(body))

    def error(self, body: Mapping[str, Any]) -> None:
        """Write what went wrong and what can be done."""
        if self.as_json:
            self.answer(to_json({"error": body}))
            return
        code = str(body.get("code", "INTERNAL"))
        message = show_control(str(body.get("message", "")))
        self.notes.print(f"[red]{escape(code)}[/] {escape(message)}")
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
    return to_json(value)


def to_json(value: Any, *, indent: int | None = None) -> str:
    """Return what a kernel answered as strict JSON; bytes as hexadecimal digits.

    >>> to_json({"a": b"ab", "b": [float("inf"), "é"]})
    '{"a": "6162", "b": ["inf", "é"]}'
    """
    return json.dumps(_for_json(value), ensure_ascii=False, indent=indent, allow_nan=False)


def _for_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _for_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_for_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value.hex() if isinstance(value, bytes) else value


def show_control(text: str) -> str:
    r"""Return ``text`` with its control characters spelt out, all but tabs and line ends.

    >>> show_control("a" + chr(27) + "[2J")
    'a\\x1b[2J'
    """
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def as_call(body: Mapping[str, Any]) -> str:
    """Return a message as people write it: ``genesis_obj.greet('Ann')``."""
    arguments = [repr(arg) for arg in body.get("args", [])]
    arguments += [f"{key}={value!r}" for key, value in body.get("kwargs", {}).items()]
    return f"{body.get('target')}.{body.get('selector')}({', '.join(arguments)})"


def _origin(body: Mapping[str, Any]) -> str:
    took, status = float(body.get("seconds", 0)), body.get("status")
    seconds = f"{took:.1f} s" if took >= 1 else f"{took * 1000:.1f} ms"
    why = f", {body['why']}" if body.get("why") else ""
    doubt = "; nobody has confirmed it yet" if status == "provisional" else ""
    if reused := body.get("reused"):
        name = f"{reused['holder']}.{reused['selector']}"
        return f"{as_call(body)}: {name} does this already ({status}{doubt}), {seconds}"
    if not body.get("learned"):
        return f"{as_call(body)}: known ({status}{doubt}), no model ran, {seconds}"
    return f"{as_call(body)}: learned now ({status}{why}{doubt}), {seconds}"


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
