"""What models write, while they write it, for clients that asked to see it.

    engine --on_text--> Writing (puts pieces together) --at most RATE a second--> listeners

Only the first completion of a batch is told: one text is what a person can follow. Nothing
here is kept, and a piece may be lost; what counts is in the mission's events.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Tell = Callable[[Mapping[str, Any]], object]
    OnText = Callable[[int, str], None]

RATE: Final = 10.0


class Pieces:
    """Who listens to the text of which brief."""

    def __init__(self) -> None:
        self._listening: dict[str, list[Tell]] = {}

    @contextlib.contextmanager
    def listen(self, brief_id: str, tell: Tell | None) -> Iterator[None]:
        """Have ``tell`` hear of the brief's text meanwhile; None hears nothing."""
        if tell is None:
            yield
            return
        those = self._listening.setdefault(brief_id, [])
        those.append(tell)
        try:
            yield
        finally:
            those.remove(tell)
            if not those:
                self._listening.pop(brief_id, None)

    @contextlib.contextmanager
    def writing(self, brief_id: str, persona: str, begin: str = "") -> Iterator[OnText | None]:
        """Give an engine's ``on_text`` for one batch, or None where nobody listens.

        Args:
            brief_id: Whose text.
            persona: Who writes.
            begin: What the text begins with, before anything is drawn.
        """
        those = self._listening.get(brief_id)
        if not those:
            yield None
            return
        writing = _Writing(those, {"brief_id": brief_id, "persona": persona})
        writing.add(begin, first=True)
        try:
            yield writing.hear
        finally:
            writing.flush()


class _Writing:
    """One text in the making."""

    def __init__(self, listening: Sequence[Tell], about: Mapping[str, Any]) -> None:
        self._listening = listening
        self._about = about
        self._waiting = ""
        self._begins = False
        self._alarm: asyncio.TimerHandle | None = None

    def hear(self, index: int, text: str) -> None:
        if index == 0:
            self.add(text)

    def add(self, text: str, *, first: bool = False) -> None:
        self._waiting += text
        self._begins |= first
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(1 / RATE, self.flush)

    def flush(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self._waiting:
            return
        told = {**self._about, "text": self._waiting, "begins": self._begins}
        self._waiting, self._begins = "", False
        for tell in list(self._listening):
            tell(told)
