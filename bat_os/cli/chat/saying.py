"""One sentence: said to the kernel, its answer shown. All understanding is the kernel's.

    a sentence ── say ──> what happens meanwhile, on standard error ──> the answer

A terminal is one conversation. A pipe is none, unless it names one: there the kernel keeps nothing
of the sentence, and the next one begins anew. Where no daemon runs, a person at a terminal is asked
whether to start one.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.answer import ALONE, IN_CHAT, as_line, notes_on, place_of, status_of
from bat_os.cli.chat.waiting import request
from bat_os.cli.connection import EXIT_NO_KERNEL, connect, refuse
from bat_os.cli.environment import watchdog_command
from bat_os.cli.show.command import is_interactive, read_input
from bat_os.cli.show.schedules import show_due
from bat_os.core.answer import show_answer
from bat_os.errors import ArgumentsError, BatError, KernelUnreachableError
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bat_os.cli.answer import Place
    from bat_os.cli.console import Screen
    from bat_os.client.client import KernelClient

MAX_SAID: Final = 1 << 16  # characters, as the kernel takes them
_YES: Final = ("", "y", "yes", "j", "ja", "o", "oui", "s", "si", "sí")


def as_fields(
    text: str, *, session: str = "", fresh: bool = False, call: str = "", tokens: bool = False
) -> dict[str, Any]:
    """Return a sentence as the fields of a request, under a key of its own.

    Args:
        text: The sentence.
        session: Name of the conversation that it belongs to; "" for none.
        fresh: Have it learned anew, even if a known method would serve.
        call: Read it as this message, ``selector(5)``.
        tokens: Have text shown while models write it.

    Raises:
        ArgumentsError: The sentence is empty, too long or no text, or ``call`` is not a message.
    """
    if not text.strip():
        raise ArgumentsError("the sentence is empty; say what you want")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        said = "the sentence is not UTF-8 text; have what writes it write UTF-8"
        raise ArgumentsError(said) from error
    if len(text) > MAX_SAID:
        raise ArgumentsError(f"the sentence has {len(text)} characters; at most {MAX_SAID}")
    if call:
        _check_call(call)
    body: dict[str, Any] = {"text": text, "once": not session}
    body |= {"call": call} if call else {}
    body |= {name: True for name, wanted in (("fresh", fresh), ("tokens", tokens)) if wanted}
    return {"ik": secrets.token_hex(16), "body": body} | ({"session": session} if session else {})


def _check_call(call: str) -> None:
    from bat_os.sentence.tokens import parse_call  # few sentences come with their message

    if parse_call(call) is None:
        raise ArgumentsError(f"{call[:60]!r} is not a message; write it as selector(5, 'text')")


async def say(
    kernel: KernelClient,
    screen: Screen,
    fields: Mapping[str, Any],
    returns: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Return the body of the answer to one sentence; shows what happens meanwhile.

    Raises:
        BatError: The kernel answered with an error, or there is none.
    """
    return await request(kernel, screen, fields, returns, verb="say")


def session_here(screen: Screen) -> str:
    """Return the name of the conversation at this terminal; "" in a pipe, and for a program.

    All that a shell runs has its session id, so "yes" or "undo that" refers to the sentence before.
    """
    if screen.as_json or not is_interactive() or not hasattr(os, "getsid"):  # Windows has none
        return ""
    return f"terminal-{os.getsid(0)}"


def show(body: Mapping[str, Any], screen: Screen, place: Place | None = None) -> None:
    """Write an answer to standard output, and what is beside it to standard error."""
    place = place or (IN_CHAT if session_here(screen) else ALONE)
    if screen.as_json:
        screen.answer(as_line(body))
        return
    screen.answer(show_answer(body))
    for line in notes_on(body, place):
        screen.note(line, as_is=True)


async def say_once(
    home: Path, screen: Screen, sentence: str, *, session: str = "", **how: Any
) -> int:
    """Answer one sentence, said as ``as_fields`` takes it; return the exit status."""
    while True:
        try:
            fields = as_fields(sentence, session=session or session_here(screen), **how)
            async with connect(home) as kernel:
                body = await say(kernel, screen, fields)
                if not screen.as_json:
                    await show_due(kernel, screen)
        except KernelUnreachableError as error:
            if not offer_start(home, screen):
                return refuse(screen, error)
        except BatError as error:
            return refuse(screen, error)
        else:
            show(body, screen, place_of(session) if session else None)
            return status_of(body)


async def say_each(home: Path, screen: Screen, sentences: Sequence[str], **how: Any) -> int:
    """Answer sentences one after the other; return the first exit status that is not 0."""
    first = 0
    for sentence in sentences:
        status = await say_once(home, screen, sentence, **how)
        first = first or status
        if status == EXIT_NO_KERNEL:  # the next one would not be answered either
            break
    return first


def offer_start(home: Path, screen: Screen) -> bool:
    """Ask a person whether to start the daemon, and do so; return True if it runs then."""
    at_terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    if screen.quiet or not at_terminal:
        return False
    screen.note("BAT OS is not running. Start it? [Y/n]", style="")
    line = read_input(sys.stdin.readline)
    if not line or line.strip().lower() not in _YES:
        return False
    *program, _run, _option, _home = watchdog_command(Home(home))
    command = [*program, "start", "--wait", "--home", str(home)]
    return subprocess.call(command) == 0  # noqa: S603 - our own command, no shell
