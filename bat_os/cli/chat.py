"""``batos-chat``: one sentence, or a conversation.

Exit status: 0 a result, 1 an error of the kernel, 2 wrong usage, 3 no kernel, 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.clients.client import KernelClient
from bat_os.clients.console import Screen, as_call
from bat_os.clients.translate import translate
from bat_os.core.protocol import error_body
from bat_os.errors import BatError, KernelUnreachableError, RemoteError
from bat_os.supervisor.home import Home
from bat_os.supervisor.lock import is_held

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prompt_toolkit.history import History

    from bat_os.clients.translate import Translated

ROOT: Final = Path(bat_os.__file__).parents[1]
EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_KERNEL: Final = 3
EXIT_INTERRUPTED: Final = 130
MAX_PIPED: Final = 1 << 20
HELP: Final = """\
Say what you want, and the image answers; what it cannot do yet, it learns.

  create a method to report the current system time
  calculate the factorial of 5
  greet 'Ann', e.g. 'Bob' gives 'Hello, Bob!'
  genesis_obj.calculate_factorial(6)          a message as it is

/list  objects    /help  this text    /quit or Ctrl-D  leave
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of one sentence or one conversation."""
    options = _parser().parse_args(argv)
    home = options.home.absolute() if options.home else Home.find(os.environ, ROOT).path
    screen = Screen(as_json=options.json, plain=bool(os.environ.get("NO_COLOR")))
    sentence = " ".join(options.sentence)
    try:
        if not options.sentence and sys.stdin is not None:
            if sys.stdin.isatty():
                return asyncio.run(_converse(home, screen))
            sentence = sys.stdin.buffer.read(MAX_PIPED).decode(errors="replace")
        return asyncio.run(_ask_once(home, screen, sentence))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="chat_client.py",
        description="Talk to BAT OS: one sentence, or without one a conversation.",
        epilog="Exit status: 0 result, 1 error, 2 usage, 3 no kernel, 130 interrupted.",
    )
    parser.add_argument("sentence", nargs="*", help="what you want, in words")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--home", type=Path, help="home directory (default: $BATOS_HOME, or data)")
    return parser


async def _ask_once(home: Path, screen: Screen, sentence: str) -> int:
    try:
        async with connect(home) as kernel:
            screen.result(await _ask(kernel, screen, sentence))
    except BatError as error:
        return refuse(screen, error)
    return 0


def connect(home: Path) -> KernelClient:
    """Return a client that waits for a kernel only where one was killed or is being started."""
    there = Home(home)
    return KernelClient.at(home, lambda: there.endpoint.exists() or is_held(there.lock))


def refuse(screen: Screen, error: BatError) -> int:
    """Show an error and return the exit status that goes with it."""
    screen.error(error.body if isinstance(error, RemoteError) else error_body(error))
    if isinstance(error, RemoteError):
        return EXIT_ERROR
    return EXIT_NO_KERNEL if isinstance(error, KernelUnreachableError) else EXIT_USAGE


async def _ask(kernel: KernelClient, screen: Screen, sentence: str) -> dict[str, Any]:
    """Return the body of the answer to one sentence; shows states while it waits."""
    understood = translate(sentence)
    fields = _fields(understood)
    started = time.monotonic()

    def show(kind: str, body: Any) -> None:
        if kind == "accepted" and body.get("awakening"):
            screen.note(f"the image is waking up: {body['awakening']} ...")
        elif body.get("detail"):
            if body.get("state") == "decomposing":
                screen.note(f"{as_call(fields)} is not understood yet; learning it")
            screen.event(kind, body, time.monotonic() - started)

    try:
        return await kernel.request("send", timeout=None, on_event=show, **fields)
    except asyncio.CancelledError:
        await asyncio.shield(_withdraw(kernel, fields["ik"]))
        raise


async def _withdraw(kernel: KernelClient, key: str) -> None:
    with contextlib.suppress(BatError):  # it never arrived, or the kernel is gone
        await kernel.request("cancel", timeout=2.0, ik=key)


async def _converse(home: Path, screen: Screen) -> int:
    # Only a conversation needs a line editor.
    from prompt_toolkit import PromptSession

    session: PromptSession[str] = PromptSession(history=_history(home))
    screen.note("BAT OS. Say what you want; /help helps, Ctrl-D leaves.")
    async with connect(home) as kernel:
        while True:
            try:
                line = (await session.prompt_async("you> ")).strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return 0
            if line in ("/quit", "/exit"):
                return 0
            await _answer_line(kernel, screen, line)


def _history(home: Path) -> History:
    """Return the lines said before; without a home directory they are not kept."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    return FileHistory(str(home / "chat_history")) if home.is_dir() else InMemoryHistory()


async def _answer_line(kernel: KernelClient, screen: Screen, line: str) -> None:
    if not line:
        return
    asking = asyncio.ensure_future(_command(kernel, screen, line))
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":  # there, Ctrl-C ends the client
        loop.add_signal_handler(signal.SIGINT, asking.cancel)
    try:
        await asking
    except asyncio.CancelledError:
        screen.note("cancelled")
    except BatError as error:
        refuse(screen, error)
    finally:
        if sys.platform != "win32":
            loop.remove_signal_handler(signal.SIGINT)


async def _command(kernel: KernelClient, screen: Screen, line: str) -> None:
    if line == "/help":
        screen.note(HELP, style="")
    elif line == "/list":
        told = await kernel.request("list")
        for one in told["objects"]:
            known = ", ".join(one["selectors"])
            screen.answer(f"{one['name']:<24} {known}")
    elif line.startswith("/"):
        screen.note(f"unknown command {line.split()[0]}; /help lists them")
    else:
        screen.result(await _ask(kernel, screen, line))


def _fields(understood: Translated) -> dict[str, Any]:
    return {
        "ik": secrets.token_hex(16),
        "target": understood.target,
        "selector": understood.selector,
        "args": list(understood.args),
        "kwargs": dict(understood.kwargs),
        "body": {"text": understood.text, "examples": list(understood.examples)},
    }
