"""The journal of thought: one JSON line per event in ``metacognition.jsonl``.

The only module that imports aiologger. It uses a file handler, a bounded queue and one consumer
that awaits each record: records that are not awaited are lost at shutdown, and aiologger's
default handlers close standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from typing import TYPE_CHECKING, Any, Final

from aiologger.formatters.base import Formatter
from aiologger.handlers.files import AsyncFileHandler
from aiologger.levels import LogLevel
from aiologger.records import LogRecord

from bat_os.core.printable import show_control

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

log = logging.getLogger(__name__)

MAX_QUEUED: Final = 10_000
MAX_BYTES: Final = 20 << 20


class Journal:
    """Appends events to a file, in order; rotates once to ``<name>.1``.

    Attributes:
        dropped: Events that did not fit into the queue.
    """

    def __init__(
        self, path: Path, *, max_bytes: int = MAX_BYTES, max_queued: int = MAX_QUEUED
    ) -> None:
        """Open ``path`` at the first event; from a running loop."""
        self._path = path
        self._max_bytes = max_bytes
        self._queue: asyncio.Queue[str] = asyncio.Queue(max_queued)
        self._handler = self._open()
        self._consumer = asyncio.create_task(self._consume(), name="journal")
        self.dropped = 0

    def write(self, event: Mapping[str, Any]) -> None:
        """Queue one event; from the loop's own thread. Never waits, never raises."""
        try:
            line = json.dumps(event, ensure_ascii=False, default=str)
            self._queue.put_nowait(show_control(line))  # people read it with tail
        except asyncio.QueueFull:
            self.dropped += 1

    __call__ = write  # the kernel calls it as a function

    async def close(self) -> None:
        """Write what is queued, then close the file."""
        await self._queue.join()
        self._consumer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._consumer
        await self._handler.close()

    def _open(self) -> Any:
        handler = AsyncFileHandler(str(self._path), encoding="utf-8")
        # The constructor takes no formatter; the text is JSON already.
        handler.formatter = Formatter("%(message)s")
        return handler

    async def _consume(self) -> None:
        while True:
            line = await self._queue.get()
            record = LogRecord("metacognition", LogLevel.INFO, __file__, 0, line)
            try:
                await self._rotate()
                await self._handler.emit(record)
            except OSError as error:  # missions continue without the journal
                self.dropped += 1
                log.warning("an event could not be written to %s: %s", self._path, error)
            finally:
                self._queue.task_done()

    async def _rotate(self) -> None:
        """Begin a new file if this one is full, or if someone removed it."""
        exists = self._path.exists()
        if exists and self._path.stat().st_size <= self._max_bytes:
            return
        await self._handler.close()
        if exists:
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._handler = self._open()
