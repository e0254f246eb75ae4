"""What a person sees: states as they pass, answers, errors. Plain text without a terminal.

Standard output carries only the answer; everything else goes to standard error. Parts of rich
that only a terminal needs are imported in the functions that use them.
"""

from __future__ import annotations

import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from bat_os.cli.terminal import unguarded
from bat_os.core.printable import show_control
from bat_os.core.readable import align, heads_of
from bat_os.core.readable import to_json as to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import IO

    from rich.console import ConsoleOptions, RenderableType
    from rich.syntax import Syntax
    from rich.table import Table

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
_EVENT: Final = 37  # characters of a state's line before its detail
_WIDE_EVENT: Final = 60  # a window narrower than this has no columns
_LEAST: Final = 20
_COMMAND: Final = "batos "
_ADVICE: Final = re.compile(r"\bbatos ([a-z-]+)")
GAP: Final = 2  # between two columns
LEAST_WIDTH: Final = 16  # characters that the widest column should have


class Canvas(Console):
    """A console of rich that reads no markup in texts and shows no control character of theirs.

    The sequences that rich itself makes (colours, a line rewritten in place) pass.
    """

    def __init__(self, *, stderr: bool = False, plain: bool = False) -> None:
        """Write to standard output, or standard error; without colours if ``plain``."""
        super().__init__(
            stderr=stderr,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
            color_system=None if plain else "auto",
        )

    @property
    def file(self) -> IO[str]:
        """Return the stream behind the guard: what is drawn is made safe in ``render``."""
        return unguarded(super().file)  # type: ignore[arg-type]  # a text stream

    @file.setter
    def file(self, new_file: IO[str]) -> None:
        self._file = new_file

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield what is drawn, piece by piece."""
        for piece in super().render(renderable, options):
            safe = piece.control is not None
            yield piece if safe else Segment(show_control(piece.text), piece.style)


class Screen:
    """Writes to a terminal or a pipe.

    A pipe gets an answer unchanged. On a terminal, control characters are spelt out: the
    output of learned code must not move the cursor.

    Attributes:
        notes: Standard error.
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
        self.notes = Canvas(stderr=True, plain=plain)
        self._out = Canvas(plain=plain)
        # A terminal gets its lines broken between words, a pipe gets them whole.
        self.notes.soft_wrap = not self.notes.is_terminal
        self.plain = plain
        self.as_json = as_json
        self.quiet = quiet or as_json

    @property
    def lively(self) -> bool:
        """True if a line may be rewritten in place: a terminal that may have colours."""
        notes = self.notes
        return not (self.quiet or self.plain or notes.is_dumb_terminal) and notes.is_terminal

    def answer(self, text: str) -> None:
        """Write a line to standard output."""
        print(show_control(text) if sys.stdout.isatty() else text, flush=True)

    def table(self, rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> None:
        """Write rows under their heads.

        On a terminal the widest column wraps; if the others leave no room for it, each row
        becomes several lines.
        """
        if not sys.stdout.isatty():
            for line in columns(rows, heads):
                self.answer(line)
        elif rows:
            self._out.print(lay_out(rows, heads, self._out.width), soft_wrap=False)

    def code(self, source: str) -> None:
        """Write Python source; on a terminal with line numbers and colours."""
        if sys.stdout.isatty():
            shown = _colour(show_control(source), "python", numbers=True)
            self._out.print(shown, soft_wrap=False)
        else:
            self.answer(source)

    def data(self, value: Any) -> None:
        """Write a value as JSON over several lines; on a terminal in colours."""
        text = to_json(value, indent=2)
        if sys.stdout.isatty():
            self._out.print(_colour(show_control(text), "json"), soft_wrap=False)
        else:
            self.answer(text)

    def piece(self, text: str) -> None:
        """Write a part of an unfinished text to standard error, without ending the line."""
        if not self.quiet:
            self.notes.print(show_control(text), style="dim", end="")

    def draft(self, source: str) -> None:
        """Write a text by a model to standard error."""
        if not self.quiet:
            self.notes.print(_colour(show_control(source.strip("\n")), "python"), soft_wrap=False)

    def note(self, text: str, style: str = "dim") -> None:
        """Write a line to standard error."""
        if not self.quiet:
            self.notes.print(show_control(self._spell(text)), style=style)

    def _spell(self, text: str) -> str:
        """Return a text with the commands in it as they can be typed here."""
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
        colour = _COLOURS.get(state, "cyan")
        who, what = str(body.get("persona", "")), show_control(_detail(body))
        if self.notes.is_terminal:  # wrapped text stays in its column
            broken = textwrap.wrap(what, max(self.notes.width - _EVENT, _LEAST)) or [""]
            what = f"\n{' ' * _EVENT}".join(broken) if self.notes.width > _WIDE_EVENT else what
        self.notes.print(
            Text.assemble(
                (f"{seconds:6.1f} s", "dim"), "  ", (f"{state.upper():<13}", colour), " ",
                (f"{who:<12}", "bold"), f" {what}",
            )
        )  # fmt: skip

    def result(self, body: Mapping[str, Any]) -> None:
        """Write an answer, and how it came about."""
        if self.as_json:
            self.answer(to_json(body))
            return
        if body.get("printed"):
            self.note(str(body["printed"]).rstrip("\n"), style="")
        self._value(body.get("result"))
        self.note(_origin(body))

    def error(self, body: Mapping[str, Any]) -> None:
        """Write what went wrong and what can be done."""
        if self.as_json:
            self.answer(to_json({"error": body}))
            return
        code = str(body.get("code", "INTERNAL"))
        message = str(body.get("message", ""))
        # After a semicolon, a message itself says what to do.
        details = body.get("details", {})
        known = "; " in message or "kind" in details
        known = known or (code == "NOT_FOUND" and "target" not in details)  # not of an object
        hint = f"; {_HINTS[code]}" if code in _HINTS and not known else ""
        said = show_control(self._spell(message))
        self.notes.print(Text.assemble((code, "red"), f" {said}", (self._spell(hint), "dim")))

    def _value(self, value: Any) -> None:
        """Write an answer: in a pipe on one line, on a terminal in its most readable form."""
        if sys.stdout.isatty() and (heads := heads_of(value)):
            self.table([[render(row[head]) for head in heads] for row in value], heads)
        elif sys.stdout.isatty() and isinstance(value, dict | list) and len(render(value)) > WIDE:
            self.data(value)
        else:
            self.answer(render(value))


def lay_out(rows: Sequence[Sequence[Any]], heads: Sequence[str], width: int) -> Table:
    """Return rows under their heads, in at most ``width`` cells; the widest column wraps.

    If the other columns leave no room for it, heads are left of the cells instead of above
    them, and each row becomes several lines. A text is spelt out before it is measured, and is
    never markup.
    """
    from rich.cells import cell_len
    from rich.table import Table

    head, *texts = [[Text(show_control(str(cell))) for cell in row] for row in (heads, *rows)]
    widths = [
        max(cell_len(row[place].plain) for row in (head, *texts)) for place in range(len(heads))
    ]
    widest = widths.index(max(widths))
    left = width - sum(widths) - GAP * (len(heads) - 1) + widths[widest]
    if left < min(widths[widest], LEAST_WIDTH):
        return _lay_out_beside(texts, head)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, GAP, 0, 0))
    for place, name in enumerate(head):
        table.add_column(name, overflow="fold", no_wrap=place != widest)
    for row in texts:
        table.add_row(*row)
    return table


def _lay_out_beside(rows: Sequence[Sequence[Text]], heads: Sequence[Text]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, GAP, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        for place, (head, cell) in enumerate(zip(heads, row, strict=True)):
            last = place == len(heads) - 1
            table.add_row(head, cell, end_section=last)
    return table


def columns(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> list[str]:
    """Return rows as lines of aligned columns, under ``heads``; [] without rows."""
    if not rows:
        return []
    return align([[str(cell) for cell in row] for row in (heads, *rows)])


def _colour(text: str, language: str, *, numbers: bool = False) -> Syntax:
    from rich.syntax import Syntax

    return Syntax(
        text, language, theme="ansi_dark", line_numbers=numbers, word_wrap=True,
        background_color="default",
    )  # fmt: skip


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
        return f"{as_call(body)}: known ({status}{doubt}), no model ran, {seconds}"
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
        "candidates": lambda count: f"checks and tests {count} candidates",
        "goal": str,
    }
    for key, say in describe.items():
        if detail.get(key) and not (key == "candidates" and "status" in detail):
            return say(detail[key])
    return str(body.get("does", ""))
