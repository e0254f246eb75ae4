"""The line editor: history, completion, several lines in one message.

Enter         sends, or goes on in the next line while a bracket or quote is open
Alt-Enter     goes on in the next line (Esc, then Enter, too); pasted lines stay together
Ctrl-C        drops the line          Ctrl-D   leaves
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import create_output
from prompt_toolkit.shortcuts import CompleteStyle

from bat_os.cli.chatroom.lines import is_whole

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


class Lines(FileHistory):
    """Lines said before; where they cannot be kept, the chat goes on without."""

    def load_history_strings(self) -> Iterable[str]:
        """Yield the lines, the newest first; none where the file cannot be read."""
        try:
            return list(super().load_history_strings())
        except OSError:
            return []

    def store_string(self, string: str) -> None:
        """Keep a line, if that is possible."""
        with contextlib.suppress(OSError):
            super().store_string(string)


class Editor:
    """Reads what a person types."""

    def __init__(self, home: Path, completer: Completer, toolbar: Callable[[], str]) -> None:
        """Keep lines in ``home``, where that is a folder; ``toolbar`` stands under the line."""
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
        """Draw again what is there: the toolbar has something else to say."""
        self._session.app.invalidate()

    async def read(self) -> str:
        """Return what was typed, without the space around it.

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
            buffer.complete_state = None  # takes what the menu offers, and stays
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
