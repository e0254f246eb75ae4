"""The Linux cell: learned code in a forked, confined process of its own, one per call.

The kernel never runs learned code and never forks itself. It starts one bare interpreter, the
zygote (main.py), which confines itself and forks a child for every call; a few children
wait ahead. What they say to each other is in conversation.py.

    ZygoteCell.run > a spare child, or a fresh one > Conversation > child killed, spare forked

Where seccomp and Landlock cannot both be had, nothing runs at all.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from bat_os.cells.call_protocol import Conversation
from bat_os.cells.prefork import Spares
from bat_os.cells.selftest import run_attacks
from bat_os.cells.zygote.process import Zygote
from bat_os.errors import BusyError, CellError, CellUnavailableError

if TYPE_CHECKING:
    from bat_os.cells.zygote.process import Child
    from bat_os.ports import Call, RunResult, Sender

log = logging.getLogger(__name__)

# Ending a process and forking the next take a processor that whoever is answered needs.
_ANSWER_FIRST: Final = 0.005  # seconds
_NO_MEMORY: Final = 72  # exit status in main.py


class ZygoteCell:
    """Runs learned methods in confined processes; adapter of ``ports.Cell``.

    A call costs about a millisecond with a spare child ready, a fork more without. Use it
    from one event loop, in a thread that lives as long as the cell.
    """

    def __init__(self, *, python: str = sys.executable, spares: int = 2, zone: str = "") -> None:
        """Make a cell; nothing starts yet.

        Args:
            python: The interpreter to run the children with.
            spares: Children that wait ahead.
            zone: Time zone as in the TZ variable; "" takes the machine's.
        """
        self._python = python
        self._zone = zone
        self._zygote: Zygote | None = None
        self._spares = Spares(spares, self._fork, _drop)
        self._running: set[Child] = set()
        self._starting = asyncio.Lock()
        self._calls = self._failed = self._starts = 0

    async def start(self) -> None:
        """Start the zygote and its spares, unless they are there.

        Raises:
            CellUnavailableError: This machine cannot confine learned code.
        """
        await self._ensure()
        await self._spares.fill()

    async def run(self, call: Call, send: Sender) -> RunResult:
        """Run one method; see ``ports.Cell.run``."""
        self._calls += 1
        try:
            result = await self._attempt(call, send) or await self._attempt(call, send)
        except CellError:
            self._failed += 1
            raise
        if result is None:
            self._failed += 1
            raise CellError("the zygote died twice", kind="died")
        return result

    def stats(self) -> dict[str, Any]:
        """Return what confines the children, and how many calls there were."""
        hello = self._zygote.hello if self._zygote else {}
        return {
            "kind": "zygote",
            "confinement": {
                "landlock": hello.get("landlock", 0),
                "seccomp": hello.get("seccomp", False),
                "namespaces": hello.get("namespaces", ""),
                "unprivileged": hello.get("unprivileged", False),
            },
            "running": self._zygote is not None and not self._zygote.gone,
            "pid": self._zygote.process.pid if self._zygote else 0,
            "spares": len(self._spares),
            "calls": self._calls,
            "failed": self._failed,
            "starts": self._starts,
        }

    async def self_test(self) -> dict[str, Any]:
        """Return how a handful of attacks fared: ``{"ok": bool, "held": [], "through": []}``."""
        return await run_attacks(self)

    async def close(self) -> None:
        """Kill the zygote and all children. Idempotent."""
        async with self._starting:
            for child in self._running:
                child.kill()
            if self._zygote is not None:
                await self._zygote.stop()
                self._zygote = None
            await self._spares.close()

    async def _attempt(self, call: Call, send: Sender) -> RunResult | None:
        """Return the result; None when the zygote died before the method did anything."""
        zygote = await self._ensure()
        try:
            child = self._spares.take() or await zygote.fork()
        except ConnectionError:
            return None
        talk = Conversation(child.channel, call, send)
        self._running.add(child)
        pause = 0.0
        try:
            result = await talk.run()
            pause = _ANSWER_FIRST if len(self._spares) else 0.0
        except (EOFError, OSError) as error:
            child.kill()
            try:
                status = await zygote.wait(child.pid)
            except ConnectionError:
                if talk.messages == 0:
                    return None
                status = -signal.SIGKILL
            raise _explain(status) from error
        else:
            return result
        finally:
            if pause:
                asyncio.get_running_loop().call_later(pause, self._clear_up, child)
            else:
                self._clear_up(child)

    def _clear_up(self, child: Child) -> None:
        child.kill()
        self._running.discard(child)
        self._spares.fill_later()

    async def _ensure(self) -> Zygote:
        """Return the zygote, started if there is none."""
        if sys.platform != "linux":
            raise CellUnavailableError("this cell needs Linux: seccomp and Landlock confine it")
        async with self._starting:
            if self._zygote is not None and not self._zygote.gone:
                return self._zygote
            await self._spares.empty()
            if self._zygote is not None:
                log.warning("the zygote died; starting another")
                await self._zygote.stop()
            self._zygote = await Zygote.start(self._python, self._zone)
            self._starts += 1
            return self._zygote

    async def _fork(self) -> Child | None:
        """Return a spare; None when there is no zygote to fork it, or no descriptor for it."""
        try:
            return await self._zygote.fork() if self._zygote else None
        except (ConnectionError, BusyError):
            return None


async def _drop(child: Child) -> None:
    child.kill()


def _explain(status: int) -> CellError:
    """Return the error for a child that ended by itself."""
    if status == _NO_MEMORY:
        return CellError("used too much memory", kind="limit")
    if status >= 0:
        return CellError("ended without an answer", kind="died", status=status)
    name = signal.Signals(-status).name
    if -status == signal.SIGXCPU:
        return CellError("used too much processor time", kind="limit")
    return CellError(f"crashed ({name})", kind="died", signal=name)
