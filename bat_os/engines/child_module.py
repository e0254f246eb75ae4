"""Modules of this package as child processes: what they print is heard, line by line.

    run_step(module, arguments, progress) > python -m MODULE > say_line(...) > progress(...)

For what may abort the process, or needs memory that has to go back to the system.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import bat_os
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


async def run_module(module: str, arguments: Sequence[str], hear: Callable[[str], None]) -> int:
    """Run ``python -m module`` and return its exit status; cancelling kills it.

    A thread reads what it prints: the event loop that ZeroMQ needs on Windows starts no processes.
    """
    child = subprocess.Popen(  # noqa: ASYNC220, S603 - see above; our own module
        [sys.executable, "-m", module, *arguments],
        cwd=Path(bat_os.__file__).parent.parent,  # where -m finds this package
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def listen() -> int:
        with child:
            for raw in child.stdout or ():
                loop.call_soon_threadsafe(lines.put_nowait, raw)
        loop.call_soon_threadsafe(lines.put_nowait, None)
        return child.returncode

    ended = asyncio.create_task(asyncio.to_thread(listen))
    try:
        while (raw := await lines.get()) is not None:
            hear(raw.decode(errors="replace").strip())
        return await ended
    except BaseException:  # cancelled, or the listener failed: nothing waits for the child
        child.kill()
        await asyncio.wait([ended])
        raise


async def run_step(
    module: str, arguments: Sequence[str], progress: Callable[[str], None], failure: str
) -> None:
    """Run a module that prints its progress; see ``run_module``."""
    last = ""

    def hear(line: str) -> None:
        nonlocal last
        last = line
        progress(line)

    if status := await run_module(module, arguments, hear):
        raise ModelError(last or f"{failure} with status {status}")


def say_line(line: str) -> None:
    """Write a line for the process that runs this module (``run_module``)."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
