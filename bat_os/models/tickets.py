"""One request to a model, from its arrival to its answer, and what computes it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from bat_os.ports import Completion

if TYPE_CHECKING:
    import asyncio
    import threading
    from collections.abc import Callable, Sequence

    from bat_os.models.residency import Waiting
    from bat_os.models.residents import Resident
    from bat_os.ports import Prompt, Sampling

HERE: Final = ""  # the name of this machine among the devices
REMOTE_WIDTH: Final = 4
LEAST_SECONDS: Final = 0.001


@dataclass(slots=True, eq=False)
class Device:
    """What computes.

    Attributes:
        width: How many requests at a time.
        running: How many now.
        last: Model and adapter that are in place.
    """

    width: int
    running: int = 0
    last: tuple[str, str] = ("", "")


@dataclass(slots=True, eq=False)
class Ticket:
    """One request.

    Attributes:
        rank: What the rule of who is next looks at.
        model: Whose turn it waits for.
        keep_alive: How long the model stays after it, in seconds.
        done: The answer; set once.
        task: Loads and draws; None while the request waits.
        drawing: The engine has it.
        spoken: Its asker has heard some of the text.
        left: Nobody waits for the answer any more.
    """

    rank: Waiting
    model: Resident
    keep_alive: float
    prompts: Sequence[Prompt]
    sampling: Sampling
    cancel: threading.Event | None
    on_text: Callable[[int, str], None] | None
    done: asyncio.Future[list[Completion]]
    task: asyncio.Task[list[Completion]] | None = None
    drawing: bool = False
    spoken: bool = False
    left: bool = False

    @property
    def device(self) -> str:
        """Name of what computes it: a server, or this machine."""
        return self.model.name if self.model.is_remote else HERE

    @property
    def can_end_early(self) -> bool:
        """It may be withdrawn, or its time may run out."""
        return self.cancel is not None or bool(self.sampling.seconds)

    def is_over(self, now: float) -> bool:
        """Return True when it was withdrawn or its time has run out."""
        return (self.cancel is not None and self.cancel.is_set()) or self._seconds_left(now) <= 0

    def unfinished(self) -> list[Completion]:
        """Return the answer to a request for which nothing was drawn."""
        return [Completion("", 0, finished=False) for _ in self.prompts]

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless there is an answer."""
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # seen: its asker may be leaving at this moment

    async def draw(self, now: float) -> list[Completion]:
        """Let the engine answer, in the time that is left.

        Raises:
            ModelError: As in ``ModelEngine.generate``.
            ModelMemoryError: As there.
        """
        sampling = self.sampling
        if sampling.seconds:
            sampling = replace(sampling, seconds=max(self._seconds_left(now), LEAST_SECONDS))
        self.drawing = True
        return await self.model.engine.generate(
            self.prompts,
            sampling,
            adapter=self.rank.adapter,
            cancel=self.cancel,
            on_text=None if self.on_text is None else self._speak,
        )

    def _seconds_left(self, now: float) -> float:
        return (self.sampling.seconds or math.inf) - (now - self.rank.since)

    def _speak(self, index: int, text: str) -> None:
        if self.on_text is not None and not self.left:
            self.spoken = True
            self.on_text(index, text)
