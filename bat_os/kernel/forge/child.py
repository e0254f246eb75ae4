"""The child process of a run of the forge: stopped while somebody waits, paused if they stay.

while it is quiet        it trains
a message comes          it is stopped at once, and keeps its memory
PATIENCE_SECONDS later   it writes a checkpoint and ends, and its memory is free

One that nobody asked for is also stopped while it rests, and ends where the rest is a long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

MODULE: Final = "bat_os.training.forge"
# Of the folder of a run: what to train, what to learn from, what comes of it.
ORDER, RECORDS, ADAPTER = "order.json", "records.jsonl", "adapter"
PAUSED: Final = 75  # exit status, EX_TEMPFAIL: start it again, and it goes on
QUIET_SECONDS: Final = 2.0  # without a message, before it goes on
PATIENCE_SECONDS: Final = 30.0  # that it keeps its memory while others work
REST_SECONDS: Final = 300.0  # that it keeps its memory while it rests
POLL_SECONDS: Final = 0.05


class Child:
    """One process that trains.

    Attributes:
        said: What it said last: ``step``, ``of``, ``loss``, ``each``, ``left``; or ``does``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopped = False
        self.said: dict[str, Any] = {}

    async def run(
        self, is_quiet: Callable[[float], bool], may_work: Callable[[], bool] = lambda: True
    ) -> bool:
        """Train until the end or a pause; return True at the end.

        Only while nobody has wanted anything for some seconds, and while it ``may_work``.

        Raises:
            ModelError: It cannot train; says why.
        """
        process = self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - see _hear; our own
            [sys.executable, "-m", MODULE, str(self._folder)],
            cwd=Path(bat_os.__file__).parent.parent,  # where -m finds this package
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        ended = asyncio.create_task(asyncio.to_thread(self._hear, process))
        watch = self._watch = asyncio.create_task(
            self._give_way(is_quiet, may_work), name="the forge gives way"
        )
        try:
            status = await asyncio.shield(ended)
        finally:
            watch.cancel()
            self._process = None
            if not ended.done():  # cancelled: the next start goes on from a checkpoint
                process.kill()
                await asyncio.wait([ended])
        if status not in (0, PAUSED):
            raise ModelError(str(self.said.get("error") or f"the training ended with {status}"))
        return status == 0

    def _hear(self, process: subprocess.Popen[bytes]) -> int:
        """Note what it says until it ends; return its status.

        In a thread: the event loop that ZeroMQ needs on Windows starts no processes.
        """
        with process:
            for line in process.stdout or ():
                with contextlib.suppress(ValueError):
                    self.said = json.loads(line)
        return process.returncode

    def pause(self) -> None:
        """Have it end the step, write a checkpoint and end; at once if it does not train yet."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.closed:
            return
        if self._watch is not None:
            self._watch.cancel()  # a message, such as this one, would stop it on its way
        process.stdin.close()
        self._send("SIGCONT")

    async def _give_way(
        self, is_quiet: Callable[[float], bool], may_work: Callable[[], bool]
    ) -> None:
        stopped_at = 0.0
        begun = time.monotonic()
        while True:
            await asyncio.sleep(POLL_SECONDS)
            quiet = is_quiet(min(time.monotonic() - begun, QUIET_SECONDS))
            patience = REST_SECONDS if quiet else PATIENCE_SECONDS
            if quiet and may_work():
                if self._stopped:
                    self._send("SIGCONT")
                    self._stopped = False
            elif not self._stopped:
                self._send("SIGSTOP")
                self._stopped, stopped_at = True, time.monotonic()
            elif time.monotonic() - stopped_at > patience:
                self.pause()
                return

    def _send(self, name: str) -> None:
        """Send a signal, where the system has it: Windows has neither, and trains on."""
        number = getattr(signal, name, None)
        if number is not None and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
