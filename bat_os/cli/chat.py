"""``batos-chat``: one sentence, or a conversation.

Exit status: 0 a result, 1 an error of the kernel, 2 wrong usage, 3 no kernel, 130 Ctrl-C.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli.console import Screen, as_call
from bat_os.cli.remember import remember
from bat_os.cli.shell.access import require
from bat_os.cli.shell.briefs import interruptible, request
from bat_os.cli.shell.launch import make_parser
from bat_os.cli.shell.loop import prefer_sockets
from bat_os.client.client import KernelClient
from bat_os.client.keys import ClientKey
from bat_os.core.protocol import error_body
from bat_os.errors import (
    ArgumentsError,
    BatError,
    KernelUnreachableError,
    ProtocolError,
    RemoteError,
    SettingsError,
)
from bat_os.sentence.tokens import parse_call
from bat_os.sentence.translate import translate
from bat_os.supervisor.home import Home
from bat_os.supervisor.lock import is_held

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from bat_os.cli.shell.translator import Translator, Understood
    from bat_os.sentence.translate import Translated

ROOT: Final = Path(bat_os.__file__).parents[1]
EXIT_ERROR: Final = 1
EXIT_USAGE: Final = 2
EXIT_NO_KERNEL: Final = 3
EXIT_INTERRUPTED: Final = 130
MAX_PIPED: Final = 1 << 20
TALK: Final = "talk"  # the status of a reply to a greeting and the like
HELP: Final = """\
Say what you want, and the image answers; what it cannot do yet, it learns.

  create a method to report the current system time
  calculate the factorial of 5
  greet 'Ann', e.g. 'Bob' gives 'Hello, Bob!'
  genesis_obj.calculate_factorial(6)          a message as it is

/1 /2  which known skill is meant, or which answer is right, when the image asks
/as selector(values)  the last sentence once more, read as this; its words are remembered
/fresh SENTENCE  learn it anew, even if a known skill would serve
/tokens on  show what models write, while they write it
/VERB WORDS  as batos VERB WORDS: /list, /source OBJECT SELECTOR, /why ...; /help VERB says more

Enter sends; while a bracket or quote is open it goes on in the next line, as Alt-Enter (or Esc,
Enter) always does. Tab completes, the arrows find earlier lines, Ctrl-R searches them.
Ctrl-C cancels what runs, Ctrl-D or /quit leaves.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of one sentence or one conversation."""
    prefer_sockets()
    options = make_parser().parse_args(argv)
    home = options.home.absolute() if options.home else Home.find(os.environ, ROOT).path
    screen = Screen(as_json=options.json, plain=bool(os.environ.get("NO_COLOR")))
    sentence = " ".join(options.sentence)
    try:
        if not options.sentence and sys.stdin is not None:
            if sys.stdin.isatty():
                # A line editor, and all verbs: only a conversation needs them.
                from bat_os.cli.shell.conversation import converse

                return asyncio.run(converse(home, screen))
            sentence = sys.stdin.buffer.read(MAX_PIPED).decode(errors="replace")
        asked = _ask_once(home, screen, sentence, options)
        return asyncio.run(interruptible(asked, screen))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


async def _ask_once(home: Path, screen: Screen, sentence: str, options: argparse.Namespace) -> int:
    try:
        async with connect(home) as kernel:
            show_answer(
                await answer(kernel, screen, sentence, fresh=options.fresh, call=options.call),
                screen,
            )
    except BatError as error:
        return refuse(screen, error)
    return 0


async def answer(
    kernel: KernelClient, screen: Screen, sentence: str, *, fresh: bool, call: str | None
) -> dict[str, Any]:
    """Return the body of the answer to one sentence; shows states while it waits.

    Args:
        kernel: Answers.
        screen: Where states and notes go.
        sentence: What was said.
        fresh: Learn it anew even if a known skill would serve.
        call: Read the sentence as this message.

    Raises:
        BatError: The kernel answered with an error, there is none, or nothing was said.
    """
    if call:
        wish = correct(translate(sentence), call)
        body = await request(kernel, screen, as_fields(wish, fresh=fresh))
        if told := await remember(kernel, sentence, wish):
            screen.note(told)
        return body
    async with _translator() as translator:
        understood = await understand(kernel, screen, translator, sentence, fresh=fresh)
    if understood.reply:
        return _as_answer(understood)
    for near in understood.near[:1]:
        name = f"{near.message.target}.{near.message.selector}"
        told = f'--as "{name}(values)" sends it and remembers these words'
        screen.note(f"{name} may do this already; {told}")
    return await request(kernel, screen, as_fields(understood.wish, fresh=fresh))


def show_answer(body: Mapping[str, Any], screen: Screen) -> None:
    """Write what ``answer`` returned; how it came about only where something was sent."""
    if body["status"] == TALK and not screen.as_json:
        screen.answer(str(body["result"]))
    else:
        screen.result(body)


def _as_answer(understood: Understood) -> dict[str, Any]:
    """Return a reply that no kernel gave, in the form of those that kernels give."""
    told = {"result": understood.reply, "status": TALK, "learned": False, "printed": ""}
    told |= {"model_calls": 0, "tokens": 0, "seconds": 0.0}
    asked = as_fields(understood.wish)
    return told | {key: asked[key] for key in ("target", "selector", "args", "kwargs")}


def connect(home: Path, expects: Callable[[], bool] | None = None) -> KernelClient:
    """Return a client that waits for a kernel only where one was killed or is being started.

    With ``BATOS_KEY_FILE`` it is a client of the kernel elsewhere that the key is for.

    Args:
        home: Whose kernel is meant.
        expects: Says otherwise than above whether a kernel that does not answer may come back.

    Raises:
        SettingsError: The key file, or ``BATOS_CONNECT``, cannot be used.
    """
    file, elsewhere = os.environ.get("BATOS_KEY_FILE"), os.environ.get("BATOS_CONNECT", "")
    if file:
        return KernelClient.remote(ClientKey.read(Path(file)), elsewhere)
    if elsewhere:
        raise SettingsError(
            f"BATOS_CONNECT={elsewhere!r} needs a key: batos keys make NAME on the kernel's "
            "machine writes one; set BATOS_KEY_FILE to that file"
        )
    there = Home(home)
    if expects is None:
        require(home)
    return KernelClient.at(
        home, expects or (lambda: there.endpoint.exists() or is_held(there.lock))
    )


def refuse(screen: Screen, error: BatError) -> int:
    """Show an error and return the exit status that goes with it."""
    screen.error(error.body if isinstance(error, RemoteError) else error_body(error))
    if isinstance(error, KernelUnreachableError):
        return EXIT_NO_KERNEL
    return EXIT_USAGE if isinstance(error, (ProtocolError, SettingsError)) else EXIT_ERROR


@contextlib.asynccontextmanager
async def _translator() -> AsyncIterator[Translator]:
    # numpy and what runs models: only sentences need them.
    from bat_os.cli.shell.translator import make_translator

    translator = make_translator()
    try:
        yield translator
    finally:
        await translator.close()


async def understand(
    kernel: KernelClient, screen: Screen, translator: Translator, sentence: str, *, fresh: bool
) -> Understood:
    """Return what a sentence was taken for, and say so where that is not certain."""
    understood = await translator.read(kernel, sentence, fresh=fresh)
    if understood.note:
        screen.note(f"read as {as_call(as_fields(understood.wish))}: {understood.note}")
    return understood


def correct(wish: Translated, call: str) -> Translated:
    """Return the wish with another message: ``selector(values)``, perhaps with a target.

    Raises:
        ArgumentsError: It is no call.
    """
    read = parse_call(call)
    if read is None:
        raise ArgumentsError(f"{call[:60]!r} is no message; write it as selector(5, 'text')")
    target, selector, args, kwargs = read
    return replace(wish, target=target or wish.target, selector=selector, args=args, kwargs=kwargs)


def as_fields(understood: Translated, *, fresh: bool = False) -> dict[str, Any]:
    """Return a message as the fields of a request, under a key of its own."""
    return {
        "ik": secrets.token_hex(16),
        "target": understood.target,
        "selector": understood.selector,
        "args": list(understood.args),
        "kwargs": dict(understood.kwargs),
        "body": {
            "text": understood.text,
            "examples": list(understood.examples),
            "fresh": fresh,
        },
    }
