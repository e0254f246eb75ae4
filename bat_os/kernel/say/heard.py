"""A sentence on its way to an answer, with what each step may need."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bat_os.sentence.reading import read_sentence

if TYPE_CHECKING:
    import datetime as dt

    from bat_os.core.protocol import Request
    from bat_os.kernel.context import Say
    from bat_os.kernel.say.conversation import Conversation
    from bat_os.kernel.say.skills import Candidate
    from bat_os.sentence.forms import Form
    from bat_os.sentence.reading import Sentence


@dataclass(frozen=True, slots=True)
class Heard:
    """One sentence on its way to an answer."""

    request: Request
    sentence: Sentence  # without typing errors
    typed: Sentence  # as it was typed; the same object if there are none
    core: Sentence  # without politeness; the same object if there is none
    form: Form | None
    conversation: Conversation
    now: dt.datetime
    say: Say  # sends who asked an event
    rewrites: int = 0  # how often it was said in other words
    # skills that may be meant, the best first, once they were looked for
    found: list[Candidate] = field(default_factory=list)

    @property
    def readings(self) -> tuple[Sentence, ...]:
        """The sentence as a skill is looked for with it, one after the other until one is sure."""
        return (self.core,) if self.core is self.typed else (self.typed, self.core)

    @property
    def language(self) -> str:
        """Language of the answer."""
        return self.sentence.language


async def read_words(heard: Heard, words: str, language: str = "") -> Sentence:
    """Return other words as they are read, which may take a while: beside the event loop."""
    return await asyncio.to_thread(read_sentence, words, heard.now, language or heard.language)
