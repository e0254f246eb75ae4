"""The journal of thought: one JSON line per event in ``metacognition.jsonl``.

The only module that knows aiologger, and it uses the part that loses nothing: a file
handler, a bounded queue and one consumer that awaits each record. Fire-and-forget records
are lost at shutdown, and its default handlers close standard output.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, Final

from aiologger.formatters.base import Formatter
from aiologger.handlers.files import AsyncFileHandler
from aiologger.levels import LogLevel
from aiologger.records import LogRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAX_QUEUED: Final = 10_000
MAX_BYTES: Final = 20 << 20


class Journal:
    """Appends events to a file, in order; rotates once to ``<name>.1``.

    Attributes:
        dropped: Events that did not fit into the queue.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: asyncio.Queue[str] = asyncio.Queue(MAX_QUEUED)
        self._handler = self._open()
        self._consumer = asyncio.create_task(self._consume(), name="journal")
        self.dropped = 0

    def write(self, event: Mapping[str, Any]) -> None:
        """Queue one event; from the loop's own thread. Never waits, never raises."""
        try:
            self._queue.put_nowait(json.dumps(event, ensure_ascii=False, default=str))
        except asyncio.QueueFull:
            self.dropped += 1

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
            await self._handler.emit(record)
            self._queue.task_done()
            if self._queue.empty() and self._path.stat().st_size > MAX_BYTES:
                await self._handler.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
                self._handler = self._open()
