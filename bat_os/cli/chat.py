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
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.clients.client import KernelClient
from bat_os.clients.console import Screen, as_call
from bat_os.clients.keys import ClientKey
from bat_os.clients.literals import parse_call
from bat_os.clients.translate import translate
from bat_os.core.protocol import error_body
from bat_os.errors import ArgumentsError, BatError, KernelUnreachableError, RemoteError
from bat_os.supervisor.home import Home
from bat_os.supervisor.lock import is_held

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from prompt_toolkit.history import History

    from bat_os.cli.shell.translator import Translator
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
/1 /2  which answer is right, when the image asks for an example
/as selector(values)  the last sentence once more, read as this
/fresh SENTENCE  learn it anew, even if a known skill would serve
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of one sentence or one conversation."""
    options = make_parser().parse_args(argv)
    home = options.home.absolute() if options.home else Home.find(os.environ, ROOT).path
    screen = Screen(as_json=options.json, plain=bool(os.environ.get("NO_COLOR")))
    sentence = " ".join(options.sentence)
    try:
        if not options.sentence and sys.stdin is not None:
            if sys.stdin.isatty():
                return asyncio.run(_converse(home, screen))
            sentence = sys.stdin.buffer.read(MAX_PIPED).decode(errors="replace")
        return asyncio.run(_ask_once(home, screen, sentence, options))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return EXIT_INTERRUPTED


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the chat."""
    parser = argparse.ArgumentParser(
        prog="chat_client.py",
        description="Talk to BAT OS: one sentence, or without one a conversation.",
        epilog="Exit status: 0 result, 1 error, 2 usage, 3 no kernel, 130 interrupted.",
    )
    parser.add_argument("sentence", nargs="*", help="what you want, in words")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--fresh", action="store_true", help="learn it anew even if a known skill would serve"
    )
    parser.add_argument(
        "--as", dest="call", metavar="CALL", help="read the sentence as this: 'selector(5)'"
    )
    parser.add_argument("--home", type=Path, help="home directory (default: $BATOS_HOME, or data)")
    return parser


async def _ask_once(home: Path, screen: Screen, sentence: str, options: argparse.Namespace) -> int:
    try:
        async with connect(home) as kernel:
            screen.result(
                await answer(kernel, screen, sentence, fresh=options.fresh, call=options.call)
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
    else:
        async with _translator() as translator:
            wish = await _understand(kernel, screen, translator, sentence, fresh=fresh)
    return await _request(kernel, screen, _fields(wish, fresh=fresh))


def connect(home: Path) -> KernelClient:
    """Return a client that waits for a kernel only where one was killed or is being started.

    With ``BATOS_KEY_FILE`` it is a client of the kernel elsewhere that the key is for.

    Raises:
        SettingsError: The key file, or ``BATOS_CONNECT``, cannot be used.
    """
    if (file := os.environ.get("BATOS_KEY_FILE")) or os.environ.get("BATOS_CONNECT"):
        key = ClientKey.read(Path(file or "BATOS_KEY_FILE"))
        return KernelClient.remote(key, os.environ.get("BATOS_CONNECT", ""))
    there = Home(home)
    return KernelClient.at(home, lambda: there.endpoint.exists() or is_held(there.lock))


def refuse(screen: Screen, error: BatError) -> int:
    """Show an error and return the exit status that goes with it."""
    screen.error(error.body if isinstance(error, RemoteError) else error_body(error))
    if isinstance(error, RemoteError):
        return EXIT_ERROR
    return EXIT_NO_KERNEL if isinstance(error, KernelUnreachableError) else EXIT_USAGE


@contextlib.asynccontextmanager
async def _translator() -> AsyncIterator[Translator]:
    # numpy and what runs models: only sentences need them.
    from bat_os.cli.shell.translator import make_translator

    translator = make_translator()
    try:
        yield translator
    finally:
        await translator.close()


async def _understand(
    kernel: KernelClient, screen: Screen, translator: Translator, sentence: str, *, fresh: bool
) -> Translated:
    """Return what a sentence asks for, and say so where that is not certain."""
    understood = await translator.read(kernel, sentence, fresh=fresh)
    if understood.note:
        screen.note(f"read as {as_call(_fields(understood.wish))}: {understood.note}")
    return understood.wish


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


async def _request(
    kernel: KernelClient, screen: Screen, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body of the answer to one message; withdraws it when cancelled."""
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
    async with connect(home) as kernel, _translator() as translator:
        talk = Conversation(kernel, screen, translator)
        while True:
            try:
                line = (await session.prompt_async("you> ")).strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return 0
            if line in ("/quit", "/exit"):
                return 0
            await _answer_line(talk, line)


def _history(home: Path) -> History:
    """Return the lines said before; without a home directory they are not kept."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    return FileHistory(str(home / "chat_history")) if home.is_dir() else InMemoryHistory()


class Conversation:
    """What a conversation remembers: the last wish, and what the image has asked back."""

    def __init__(self, kernel: KernelClient, screen: Screen, translator: Translator) -> None:
        """Begin with nothing said."""
        self.kernel = kernel
        self.screen = screen
        self._translator = translator
        self._last: Translated | None = None
        self._asked: Mapping[str, Any] = {}
        self._choices: list[Mapping[str, Any]] = []

    async def take(self, line: str) -> None:
        """Do what one line says.

        Raises:
            BatError: The kernel answered with an error, or there is none.
        """
        command, _, rest = line.partition(" ")
        if command == "/help":
            self.screen.note(HELP, style="")
        elif command == "/list":
            for one in (await self.kernel.request("list"))["objects"]:
                self.screen.answer(f"{one['name']:<24} {', '.join(one['selectors'])}")
        elif command[1:].isdigit() and command.startswith("/"):
            await self._choose(int(command[1:]))
        elif command == "/as" and rest.strip():
            wish = correct(self._last or translate(rest), rest)
            await self._say(_fields(wish))
        elif command == "/fresh" and rest.strip():
            await self._hear(rest, fresh=True)
        elif command.startswith("/"):
            self.screen.note(f"unknown command {command}; /help lists them")
        else:
            await self._hear(line)

    async def _hear(self, sentence: str, *, fresh: bool = False) -> None:
        """Answer a sentence."""
        self._last = translate(sentence)
        wish = await _understand(self.kernel, self.screen, self._translator, sentence, fresh=fresh)
        await self._say(_fields(wish, fresh=fresh))

    async def _say(self, fields: Mapping[str, Any]) -> None:
        self._choices = []
        try:
            self.screen.result(await _request(self.kernel, self.screen, fields))
        except RemoteError as error:
            choices = error.body.get("details", {}).get("choices") or []
            if not choices:
                raise
            self._asked, self._choices = fields, choices
            self.screen.note(f"I am not sure what {as_call(fields)} is. Nothing was installed.")
            for number, choice in enumerate(choices, start=1):
                shown = f"{choice['shown']}  ({choice['agree']} candidates)"
                self.screen.note(f"  /{number}  {shown}", style="")
            self.screen.note("Say which is right, or say it again with an example of your own.")

    async def _choose(self, number: int) -> None:
        if not 1 <= number <= len(self._choices):
            self.screen.note("there is nothing to choose from now")
            return
        asked, result = self._asked, self._choices[number - 1]["result"]
        example = {"args": asked["args"], "kwargs": asked["kwargs"], "result": result}
        examples = [*asked["body"]["examples"], example]
        body = asked["body"] | {"examples": examples}
        await self._say(dict(asked) | {"ik": secrets.token_hex(16), "body": body})


async def _answer_line(talk: Conversation, line: str) -> None:
    if not line:
        return
    asking = asyncio.ensure_future(talk.take(line))
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":  # there, Ctrl-C ends the client
        loop.add_signal_handler(signal.SIGINT, asking.cancel)
    try:
        await asking
    except asyncio.CancelledError:
        talk.screen.note("cancelled")
    except BatError as error:
        refuse(talk.screen, error)
    finally:
        if sys.platform != "win32":
            loop.remove_signal_handler(signal.SIGINT)


def _fields(understood: Translated, *, fresh: bool = False) -> dict[str, Any]:
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
