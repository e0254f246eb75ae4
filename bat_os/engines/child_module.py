"""Modules of this package as child processes: what they print is heard, line by line.

    run_step(module, arguments, progress) > python -m MODULE > say_line(...) > progress(...)

For what may abort the process, or needs memory that has to go back to the system.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import bat_os
from bat_os.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


async def run_module(module: str, arguments: Sequence[str], hear: Callable[[str], None]) -> int:
    """Run ``python -m module`` and return its exit status; cancelling kills it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=Path(bat_os.__file__).parent.parent,  # where -m finds this package
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert child.stdout is not None, "a pipe was asked for"  # noqa: S101 - for the type checker
    try:
        async for raw in child.stdout:
            hear(raw.decode(errors="replace").strip())
        return await child.wait()
    except BaseException:  # cancelled, or the listener failed: nothing waits for the child
        child.kill()
        await child.wait()
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
