"""``batos VERB``: one request to a running kernel, its answer on standard output.

Exit status as of the chat: 0 a result, 1 an error of the kernel, 2 usage, 3 no kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import bat_os
from bat_os.cli.chat import EXIT_INTERRUPTED, connect, refuse
from bat_os.cli.commands import (
    asking,
    carry,
    exchange,
    experience,
    history,
    integrity,
    keys,
    knowledge,
    missions,
    models,
    moments,
    objects,
    system,
)
from bat_os.cli.commands.command import Ask
from bat_os.cli.shell.asking import COMMANDS as ASKING
from bat_os.cli.shell.completion import COMMANDS as COMPLETION
from bat_os.cli.shell.config import COMMANDS as CONFIG
from bat_os.cli.upkeep import service, upgrade
from bat_os.clients.console import Screen, to_json
from bat_os.clients.suggest import suggest
from bat_os.errors import BatError, RemoteError
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.cli.commands.command import Command

ROOT: Final = Path(bat_os.__file__).parents[1]
COMMANDS: Final[Mapping[str, Command]] = {
    **objects.COMMANDS,
    **knowledge.COMMANDS,
    **models.COMMANDS,
    **missions.COMMANDS,
    **keys.COMMANDS,
    **integrity.COMMANDS,
    **history.COMMANDS,
    **moments.COMMANDS,
    **carry.COMMANDS,
    **exchange.COMMANDS,
    **experience.COMMANDS,
    **asking.COMMANDS,
    **ASKING,
    **CONFIG,
    **COMPLETION,
    **system.COMMANDS,
    **service.COMMANDS,
    **upgrade.COMMANDS,
}
EXIT_STATUSES: Final = {
    0: "a result",
    1: "an error of the kernel, or `doctor` found something broken",
    2: "wrong usage, or a setting that cannot be used",
    3: "no kernel answers",
    78: "the kernel itself: a person has to act (a wrong setting, a held image)",
    130: "Ctrl-C",
}
_EPILOG: Final = "Exit status: 0 result, 1 error of the kernel, 2 usage, 3 no kernel, 130 Ctrl-C."


class Parser(argparse.ArgumentParser):
    """A parser that says what was probably meant."""

    def error(self, message: str) -> NoReturn:
        """Print the message, with a guess for an unknown verb, and exit with status 2."""
        if unknown := re.match(r"argument VERB: invalid choice: '([^']*)'", message):
            near = difflib.get_close_matches(unknown[1], COMMANDS, n=1)
            guess = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(COMMANDS)}"
            message = f"no verb {unknown[1]!r}; {guess}"
        super().error(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of one verb."""
    options = make_parser().parse_args(argv)
    home = options.home.absolute() if options.home else Home.find(os.environ, ROOT).path
    screen = Screen(as_json=options.json, plain=bool(os.environ.get("NO_COLOR")))
    command = COMMANDS[options.verb]
    try:
        body = asyncio.run(_run(command, home, options, screen))
    except BatError as error:
        return refuse(screen, error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    try:
        if options.json:
            screen.answer(to_json(body))
        else:
            command.show(body, screen)
            moments.show_moment(body, screen)
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return int(body.get("exit_status", 0))


async def _run(
    command: Command, home: Path, options: argparse.Namespace, screen: Screen
) -> Mapping[str, Any]:
    async with connect(home) as kernel:
        when = getattr(options, "at", None) if options.verb in moments.IN_TIME else None
        asked: Any = moments.PastKernel(kernel, when) if when is not None else kernel
        try:
            return await command.run(Ask(asked, home, options, screen))
        except RemoteError as error:
            target, selector = getattr(options, "object", ""), getattr(options, "selector", "")
            guess = await suggest(kernel, error, target, selector)
            if not guess:
                raise
            raise RemoteError(error.body | {"message": f"{error}; {guess}"}) from error


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    common = Parser(add_help=False)
    common.add_argument("--home", type=Path, help="home directory (default: $BATOS_HOME, or data)")
    common.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser = Parser(prog="batos", description="One request to a running kernel.", epilog=_EPILOG)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    for name, command in COMMANDS.items():
        made = verbs.add_parser(
            name, parents=[common], help=command.help, description=_sentence(command.help)
        )
        command.arguments(made)
        if name in moments.IN_TIME:
            moments.add_moment(made)
    return parser


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
