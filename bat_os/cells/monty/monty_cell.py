"""The cell for machines without seccomp: learned code in Monty, an interpreter of its own.

Monty is a Python written in Rust that has no way to the machine: no files, no sockets, no
processes. It supports less Python, and reports what it lacks (dialect.py). Every call gets a
fresh process and session; a few wait ahead, with the prelude fed.

    MontyCell.run > dialect > a spare session, or a fresh one > MontyTalk > its process ended
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pydantic_monty as pm

from bat_os.cells.call_protocol import raised
from bat_os.cells.choice import run_attacks
from bat_os.cells.monty.dialect import MISSING as MISSING
from bat_os.cells.monty.dialect import Program, translate
from bat_os.cells.monty.session import MontyTalk, refuse_gaps
from bat_os.cells.prefork import Spares
from bat_os.errors import CellError, CellUnavailableError
from bat_os.method.text import Flaw

if TYPE_CHECKING:
    from bat_os.ports import Call, RunResult, Sender

log = logging.getLogger(__name__)

MEMORY: Final = 64 << 20  # bytes of one session
_DEPTH: Final = 500  # function calls inside each other
_LONGEST: Final = 60.0  # seconds; a call's deadline comes first, this is for when we miss it
_PAUSES: Final = 20_000  # sends, sleeps, imports of what is not there
_PROCESSES: Final = 256
_PRELUDE: Final = Path(__file__).parent / "prelude.py"


class MontyCell:
    """Runs learned methods in Monty; adapter of ``ports.Cell`` for any system.

    A call costs about two milliseconds with a spare session ready, some five without. Use it
    from one event loop.
    """

    def __init__(self, *, spares: int = 2, zone: str = "") -> None:
        """Make a cell; nothing starts yet."""
        self._ahead = spares
        self._zone = zone
        self._pool: pm.AsyncMonty | None = None
        self._prelude = ""
        self._spares = Spares(spares, self._make, _leave)
        self._running: set[asyncio.Task[RunResult]] = set()
        self._starting = asyncio.Lock()
        self._translate = functools.lru_cache(maxsize=256)(translate)
        self._calls = self._failed = 0

    async def start(self) -> None:
        """Start the processes that wait ahead, unless they are there."""
        await self._ensure()
        await self._spares.fill()

    async def run(self, call: Call, send: Sender) -> RunResult:
        """Run one method; see ``ports.Cell.run``.

        Raises:
            CellError: As the port says; of kind ``unsupported``, with ``feature`` and
                ``line``, where the method needs what Monty lacks.
            CellUnavailableError: There is no Monty for this machine.
        """
        self._calls += 1
        try:
            return await self._attempt(self._read(call), call, send)
        except CellError:
            self._failed += 1
            raise

    def stats(self) -> dict[str, Any]:
        """Return what confines the sessions, and how many calls there were."""
        return {
            "kind": "monty",
            "lacks": list(MISSING),
            "confinement": {
                "interpreter": f"monty {pm.__version__}",
                "process": "one for each call",
                "memory": MEMORY,
            },
            "running": self._pool is not None,
            "spares": len(self._spares),
            "calls": self._calls,
            "failed": self._failed,
        }

    async def self_test(self) -> dict[str, Any]:
        """Return how a handful of attacks fared: ``{"ok": bool, "held": [], "through": []}``."""
        return await run_attacks(self, "monty")

    async def close(self) -> None:
        """End all sessions and their processes. Idempotent."""
        async with self._starting:
            pool, self._pool = self._pool, None
            await self._spares.close()
            running = list(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            if pool is not None:
                await pool.__aexit__(None, None, None)

    def _read(self, call: Call) -> Program:
        """Return the call's source as Monty can run it."""
        if not call.selector.isidentifier():
            raise raised("NameError", 0, f"the source defines no function {call.selector!r}")
        program = self._translate(call.source, call.selector)
        if isinstance(program, tuple):
            refuse_gaps(program)
        if isinstance(program, Flaw):
            if program.rule == "size":
                raise CellError(program.message, kind="refused")
            name = "SyntaxError" if program.rule == "syntax" else "NameError"
            raise raised(name, program.line, program.message)
        return program

    async def _attempt(self, program: Program, call: Call, send: Sender) -> RunResult:
        """Return the result; a spare that had died before anything happened is replaced."""
        pool = await self._ensure()
        plain = call.seed is None and call.now is None
        spare = self._spares.take() if plain else None
        if spare is not None:
            talk = MontyTalk(spare, program, call)
            try:
                return await self._finish(pool, talk, send)
            except CellError as error:
                if error.details["kind"] != "died" or talk.messages or pool is not self._pool:
                    raise
        talk = MontyTalk(await self._open(pool, call), program, call)
        return await self._finish(pool, talk, send)

    async def _finish(self, pool: pm.AsyncMonty, talk: MontyTalk, send: Sender) -> RunResult:
        """Return the result of a call, and end its process."""
        work = asyncio.ensure_future(talk.run(send))
        self._running.add(work)
        try:
            return await work
        except asyncio.CancelledError as error:
            if pool is self._pool:
                raise
            raise CellError("the cell was closed", kind="died") from error
        finally:
            self._running.discard(work)
            del work  # its error holds this frame
            await _leave(talk.session)
            self._spares.fill_later()

    async def _open(self, pool: pm.AsyncMonty, call: Call | None = None) -> pm.AsyncMontySession:
        """Return a session of its own process, with the prelude fed."""
        session = pool.checkout(
            limits={
                "max_memory": MEMORY,
                "max_recursion_depth": _DEPTH,
                "max_feed_duration_secs": _LONGEST,
                "max_turn_duration_secs": _LONGEST,
                "max_suspensions": _PAUSES,
            },
            assert_message_annotations=False,
            os_policy=self._policy(call),
        )
        try:
            await session.__aenter__()
            await session.feed_run(self._prelude)
        except (pm.MontyError, OSError) as error:
            raise CellUnavailableError(f"Monty does not start: {error}") from error
        return session

    def _policy(self, call: Call | None) -> pm.OSPolicy:
        """Return clock and chance of a session."""
        offset = dt.datetime.now().astimezone().utcoffset() or dt.timedelta()
        policy: pm.OSPolicy = {
            "timezone": self._zone or {"offset_seconds": round(offset.total_seconds())}
        }
        if call is not None and call.seed is not None:
            policy["random_start"] = {"seed": call.seed}
        if call is not None and call.now is not None:
            policy["datetime"] = dt.datetime.fromtimestamp(call.now, dt.UTC)
        return policy

    async def _ensure(self) -> pm.AsyncMonty:
        """Return the pool, started if there is none."""
        async with self._starting:
            if self._pool is None:
                pool = pm.AsyncMonty(
                    min_processes=self._ahead,
                    max_processes=_PROCESSES,
                    checkout_timeout=_LONGEST,
                    request_timeout=_LONGEST + 5,
                    max_checkouts_per_worker=1,
                )
                try:
                    self._prelude = await asyncio.to_thread(_PRELUDE.read_text, encoding="utf-8")
                    await pool.__aenter__()
                except (pm.MontyError, OSError, RuntimeError) as error:
                    raise CellUnavailableError(f"Monty does not start: {error}") from error
                self._pool = pool
            return self._pool

    async def _make(self) -> pm.AsyncMontySession | None:
        """Return a spare; None when there is no pool to take it from."""
        pool = self._pool
        return None if pool is None else await self._open(pool)


async def _leave(session: pm.AsyncMontySession) -> None:
    """End a session; its process goes with it."""
    with contextlib.suppress(pm.MontyError, OSError, RuntimeError):
        await session.__aexit__(None, None, None)
