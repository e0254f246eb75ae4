"""What a person sees: states as they pass, answers, errors. Plain text without a terminal.

Standard output carries only the answer; everything else goes to standard error. What only a
terminal needs is in ``canvas``, and imported where it is first used.
"""

from __future__ import annotations

import re
import sys
import textwrap
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.language import translate
from bat_os.core.printable import show_control
from bat_os.core.readable import align, heads_of
from bat_os.core.readable import to_json as to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.cli.canvas import Canvas

_COLOURS: Final = {"complete": "green", "failed": "red"}
_HINTS: Final = {
    "BUSY": "wait a moment and ask again",
    "NOT_FOUND": "batos list shows the objects",
    "MODEL_UNAVAILABLE": "batos status says why; batos models fit shows which profile fits "
    "(BATOS_PROFILE=NAME)",
    "SANDBOX_FAILED": "say it in other words, or give an example (e.g. 5 gives 120)",
    "EXAMPLE_WANTED": "say it again with an example (..., e.g. 5 gives 120)",
    "STORAGE_FULL": "free some disk space and ask again",
}
WIDE: Final = 76  # characters of a list or map that still read well on one line
# Columns whose cells are words of ours, and no values of a person.
OURS: Final = frozenset(
    {"", "ADAPTERS", "CAME OF IT", "FATE", "FROM", "GRADE", "HOW", "KIND", "LAST USE", "RUNS",
     "STATE", "STATUS", "WHERE", "WHY"}
)  # fmt: skip
_EVENT: Final = 37  # characters of a state's line before its detail
_WIDE_EVENT: Final = 60  # a window narrower than this has no columns
_LEAST: Final = 20
_COMMAND: Final = "batos "
_ADVICE: Final = re.compile(r"\bbatos ([a-z-]+)")


class Screen:
    """Writes to a terminal or a pipe.

    A pipe gets an answer unchanged. On a terminal, control characters are spelt out: the
    output of learned code must not move the cursor.

    Attributes:
        as_json: Write one JSON object per answer or error, and no notes.
        quiet: Write answers and errors, and no notes.
        plain: Write without colours and styles.
    """

    def __init__(
        self, *, as_json: bool = False, plain: bool = False, quiet: bool = False, name: str = ""
    ) -> None:
        """Write without any colour or style when ``plain``.

        ``name`` is what a person types before a verb, as ``./run.sh `` or ``/``: advice has it.
        """
        self._name = name
        self.plain = plain
        self.as_json = as_json
        self.quiet = quiet or as_json

    @cached_property
    def notes(self) -> Canvas:
        """Standard error."""
        from bat_os.cli.canvas import Canvas

        canvas = Canvas(stderr=True, plain=self.plain)
        # A terminal gets its lines broken between words, a pipe gets them whole.
        canvas.soft_wrap = not canvas.is_terminal
        return canvas

    @cached_property
    def _out(self) -> Canvas:
        from bat_os.cli.canvas import Canvas

        return Canvas(plain=self.plain)

    @property
    def at_terminal(self) -> bool:
        """True if standard error is a terminal."""
        return sys.stderr.isatty()

    @property
    def lively(self) -> bool:
        """True if a line may be rewritten in place: a terminal that may have colours."""
        can = self.at_terminal and not (self.quiet or self.plain)
        return can and not self.notes.is_dumb_terminal

    def _write(self, *parts: tuple[str, str], end: str = "\n") -> None:
        """Write texts with their styles to standard error."""
        if self.at_terminal:
            from bat_os.cli.canvas import assemble

            self.notes.print(assemble(parts), end=end)
        else:
            print("".join(text for text, _ in parts), file=sys.stderr, end=end, flush=True)

    def answer(self, text: str) -> None:
        """Write a line to standard output."""
        print(show_control(text) if sys.stdout.isatty() else text, flush=True)

    def say(self, text: str) -> None:
        """Write a line of ours, which has no text of a person's, to standard output."""
        self.answer(translate(text))

    def table(
        self, rows: Sequence[Sequence[Any]], heads: Sequence[str], *, as_is: bool = False
    ) -> None:
        """Write rows under their heads; ``as_is``: they are a person's, not ours to translate.

        On a terminal the widest column wraps; if the others leave no room for it, each row
        becomes several lines.
        """
        if not as_is:
            rows = [
                [translate(cell) if head in OURS and isinstance(cell, str) else cell
                 for head, cell in zip(heads, row, strict=False)]
                for row in rows
            ]  # fmt: skip
            heads = [translate(head) for head in heads]
        if not sys.stdout.isatty():
            for line in columns(rows, heads):
                self.answer(line)
        elif rows:
            from bat_os.cli.canvas import lay_out

            self._out.print(lay_out(rows, heads, self._out.width), soft_wrap=False)

    def code(self, source: str) -> None:
        """Write Python source; on a terminal with line numbers and colours."""
        if sys.stdout.isatty():
            from bat_os.cli.canvas import colour

            shown = colour(show_control(source), "python", numbers=True)
            self._out.print(shown, soft_wrap=False)
        else:
            self.answer(source)

    def data(self, value: Any) -> None:
        """Write a value as JSON over several lines; on a terminal in colours."""
        text = to_json(value, indent=2)
        if sys.stdout.isatty():
            from bat_os.cli.canvas import colour

            self._out.print(colour(show_control(text), "json"), soft_wrap=False)
        else:
            self.answer(text)

    def piece(self, text: str) -> None:
        """Write a part of an unfinished text to standard error, without ending the line."""
        if not self.quiet:
            self._write((show_control(text), "dim"), end="")

    def draft(self, source: str) -> None:
        """Write a text by a model to standard error."""
        if not self.quiet:
            from bat_os.cli.canvas import colour

            self.notes.print(colour(show_control(source.strip("\n")), "python"), soft_wrap=False)

    def note(self, text: str, style: str = "dim", *, as_is: bool = False) -> None:
        """Write a line to standard error; ``as_is``: it is not one of ours to translate."""
        if not self.quiet:
            text = text if as_is else translate(text)
            self._write((show_control(self._spell(text)), style))

    def _spell(self, text: str) -> str:
        """Return a text with the commands in it as they can be typed here."""
        if self._name == "batos ":  # installed
            text = text.replace("./run.sh", "batos")
        if not self._name or _COMMAND not in text:
            return text
        from bat_os.core.verbs import COMMANDS  # an answer seldom needs them

        def write(found: re.Match[str]) -> str:
            return f"{self._name}{found[1]}" if found[1] in COMMANDS else found[0]

        return _ADVICE.sub(write, text)

    def event(self, kind: str, body: Mapping[str, Any], seconds: float) -> None:
        """Write one state of the cognitive cycle."""
        if kind != "event" or self.quiet:
            return
        state = str(body.get("state", "?"))
        who, what = str(body.get("persona", "")), show_control(translate(_detail(body)))
        if self.at_terminal:  # wrapped text stays in its column
            broken = textwrap.wrap(what, max(self.notes.width - _EVENT, _LEAST)) or [""]
            what = f"\n{' ' * _EVENT}".join(broken) if self.notes.width > _WIDE_EVENT else what
        self._write(
            (f"{seconds:6.1f} s  ", "dim"), (f"{state.upper():<13} ", _COLOURS.get(state, "cyan")),
            (f"{who:<12} ", "bold"), (what, ""),
        )  # fmt: skip

    def result(self, body: Mapping[str, Any]) -> None:
        """Write an answer, and how it came about."""
        if self.as_json:
            self.answer(to_json(body))
            return
        if body.get("printed"):
            self.note(str(body["printed"]).rstrip("\n"), style="", as_is=True)
        self._value(body.get("result"))
        self.note(_origin(body))

    def error(self, body: Mapping[str, Any]) -> None:
        """Write what went wrong and what can be done."""
        message = str(body.get("message", ""))
        if self.as_json:
            self.answer(to_json({"error": {**body, "message": self._spell(message)}}))
            return
        code = str(body.get("code", "INTERNAL"))
        # After a semicolon, a message itself says what to do.
        details = body.get("details", {})
        known = "; " in message or "kind" in details
        known = known or (code == "NOT_FOUND" and "target" not in details)  # not of an object
        hint = f"; {translate(_HINTS[code])}" if code in _HINTS and not known else ""
        said = show_control(self._spell(translate(message)))
        self._write((code, "red"), (f" {said}", ""), (self._spell(hint), "dim"))

    def _value(self, value: Any) -> None:
        """Write an answer: in a pipe on one line, on a terminal in its most readable form."""
        if sys.stdout.isatty() and (heads := heads_of(value)):
            cells = [[render(row[head]) for head in heads] for row in value]
            self.table(cells, heads, as_is=True)
        elif sys.stdout.isatty() and isinstance(value, dict | list) and len(render(value)) > WIDE:
            self.data(value)
        else:
            self.answer(render(value))


def columns(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> list[str]:
    """Return rows as lines of aligned columns, under ``heads``; [] without rows."""
    if not rows:
        return []
    return align([[str(cell) for cell in row] for row in (heads, *rows)])


def render(value: Any) -> str:
    """Return an answer as text: a text unchanged, anything else as JSON.

    >>> render("a"), render([1, None]), render({"a": True})
    ('a', '[1, null]', '{"a": true}')
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    return to_json(value)


def as_call(body: Mapping[str, Any]) -> str:
    """Return a message as people write it: ``genesis_obj.greet('Ann')``."""
    arguments = [repr(arg) for arg in body.get("args", [])]
    arguments += [f"{key}={value!r}" for key, value in body.get("kwargs", {}).items()]
    target = f"{body['target']}." if "target" in body else ""
    return f"{target}{body.get('selector')}({', '.join(arguments)})"


def _origin(body: Mapping[str, Any]) -> str:
    took, status = float(body.get("seconds", 0)), body.get("status")
    seconds = f"{took:.1f} s" if took >= 1 else f"{took * 1000:.1f} ms"
    why = f", {body['why']}" if body.get("why") else ""
    doubt = "; not confirmed by a person yet" if status == "provisional" else ""
    if reused := body.get("reused"):
        name = f"{reused['holder']}.{reused['selector']}"
        return f"{as_call(body)}: {name} already does this ({status}{doubt}), {seconds}"
    if not body.get("learned"):
        ran = "its model answered" if body.get("model_calls") else "no model ran"
        return f"{as_call(body)}: known ({status}{doubt}), {ran}, {seconds}"
    return f"{as_call(body)}: learned now ({status}{why}{doubt}), {seconds}"


def _detail(body: Mapping[str, Any]) -> str:
    detail = body.get("detail", {})
    if body.get("state") == "failed":  # the error that follows gives the reason
        return str(body.get("does", ""))
    describe: dict[str, Callable[[Any], str]] = {
        "queries": lambda queries: "searches for: " + "; ".join(queries),
        "passages": lambda found: (
            f"found {len(found)} passage{'s' * (len(found) != 1)}; writes candidates"
        ),
        "reason": str,
        "step": str,
        "candidates": lambda n: f"checks and tests {n} candidate{'s' * (n != 1)}",
        "goal": str,
    }
    for key, say in describe.items():
        if detail.get(key) and not (key == "candidates" and "status" in detail):
            return say(detail[key])
    return str(body.get("does", ""))
