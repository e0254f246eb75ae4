"""The line editor: history, completion, several lines in one message.

Enter         sends, or starts a new line while a bracket or quote is open
Alt-Enter     starts a new line (so does Esc, then Enter); pasted lines stay together
Ctrl-C        drops the line          Ctrl-D   leaves
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from prompt_toolkit.completion import Completer
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyPressEvent

PROMPT: Final = "you> "
GOES_ON: Final = "...> "
MENU: Final = 6  # lines for what Tab offers, where there is room
LINES_KEPT: Final = 5
HISTORY: Final = "chat_history"
_OPENING: Final = {"(": ")", "[": "]", "{": "}"}
_CLOSING: Final = frozenset(_OPENING.values())
_SMILEY: Final = re.compile(r"(?<!\S)[:;]-?[()\[\]]")


class Lines(FileHistory):
    """Earlier lines; if they cannot be stored, the chat works without."""

    def load_history_strings(self) -> Iterable[str]:
        """Yield the lines, the newest first; none where the file cannot be read."""
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        """Store a line, if that is possible."""
        with contextlib.suppress(OSError):
            super().store_string(string)


class Editor:
    """Reads what a person types."""

    def __init__(self, home: Path, completer: Completer, toolbar: Callable[[], str]) -> None:
        """Store lines in ``home`` if it is a folder; ``toolbar`` is shown under the line."""
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            history=_history(home),
            completer=completer,
            complete_while_typing=True,
            complete_style=CompleteStyle.COLUMN,
            auto_suggest=AutoSuggestFromHistory(),
            multiline=True,
            prompt_continuation=_continue,
            key_bindings=_make_keys(),
            bottom_toolbar=lambda: toolbar()[: self._session.output.get_size().columns],
            output=create_output(always_prefer_tty=True),
        )

    def redraw(self) -> None:
        """Draw the screen again, with what the toolbar says now."""
        self._session.app.invalidate()

    async def read(self) -> str:
        """Return what was typed, without surrounding space.

        Raises:
            EOFError: Ctrl-D.
            KeyboardInterrupt: Ctrl-C at an empty prompt; one that drops a line raises nothing.
        """
        while True:
            try:
                lines = self._session.output.get_size().rows
                self._session.reserve_space_for_menu = max(0, min(MENU, lines - LINES_KEPT))
                return (await self._session.prompt_async()).strip()
            except KeyboardInterrupt:
                if not self._session.default_buffer.text:
                    raise


def _history(home: Path) -> History:
    return Lines(str(home / HISTORY)) if home.is_dir() else InMemoryHistory()


def _continue(_width: int, _line: int, _soft: object) -> str:
    return GOES_ON


def _make_keys() -> KeyBindings:
    keys = KeyBindings()

    def press_enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        state = buffer.complete_state
        if state is not None and state.current_completion is not None:
            buffer.complete_state = None  # accepts what the menu offers, and sends nothing
        elif is_whole(buffer.text):
            buffer.validate_and_handle()
        else:
            buffer.newline(copy_margin=False)

    def go_on(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    bindings: dict[tuple[Any, ...], Callable[[KeyPressEvent], None]] = {
        ("enter",): press_enter,
        ("escape", "enter"): go_on,
    }
    for pressed, handler in bindings.items():
        keys.add(*pressed)(handler)
    return keys


def is_whole(text: str) -> bool:
    r"""Return True when ``text`` can be sent: no bracket and no quote is open.

    An apostrophe is not a quote. An empty last line closes everything.

    >>> is_whole("what's 2 + 2?"), is_whole("f([1,"), is_whole("greet 'Ann"), is_whole("f([1,\n")
    (True, False, False, True)
    """
    first, newline, rest = text.rpartition("\n")
    if newline and first.strip() and not rest.strip():
        return True
    depth, quote = 0, ""
    text = _SMILEY.sub("", text)
    for at, char in enumerate(text):
        if char in "'\"":
            quote = _quote_after(text, at, quote)
        elif not quote:
            depth += (char in _OPENING) - (char in _CLOSING)
    return depth <= 0 and not quote


def _quote_after(text: str, at: int, quote: str) -> str:
    """Return which quote is open after the quote character at ``at``."""
    char, before, after = text[at], text[:at][-1:], text[at + 1 :][:1]
    if before == "\\":
        return quote
    inside_word = char == "'" and before.isalnum()
    if quote:
        return "" if char == quote and not (inside_word and after.isalnum()) else quote
    return "" if inside_word else char
