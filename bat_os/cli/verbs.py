"""``batos VERB``: one request to a running kernel, its answer on standard output.

Exit status as of the chat: 0 a result, 1 an error of the kernel, 2 usage, 3 no kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import bat_os
from bat_os.cli.chat import EXIT_INTERRUPTED, connect, refuse
from bat_os.cli.commands import knowledge, models, objects, system
from bat_os.cli.commands.command import Ask
from bat_os.clients.console import Screen, to_json
from bat_os.errors import BatError
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.cli.commands.command import Command

ROOT: Final = Path(bat_os.__file__).parents[1]
COMMANDS: Final[Mapping[str, Command]] = {
    **objects.COMMANDS,
    **knowledge.COMMANDS,
    **models.COMMANDS,
    **system.COMMANDS,
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
    if options.json:
        screen.answer(to_json(body))
    else:
        command.show(body, screen)
    return int(body.get("exit_status", 0))


async def _run(
    command: Command, home: Path, options: argparse.Namespace, screen: Screen
) -> Mapping[str, Any]:
    async with connect(home) as kernel:
        return await command.run(Ask(kernel, home, options, screen))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all verbs."""
    common = Parser(add_help=False)
    common.add_argument("--home", type=Path, help="home directory (default: $BATOS_HOME, or data)")
    common.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser = Parser(prog="batos", description="One request to a running kernel.", epilog=_EPILOG)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    for name, command in COMMANDS.items():
        made = verbs.add_parser(
            name, parents=[common], help=command.help, description=command.help.capitalize() + "."
        )
        command.arguments(made)
    return parser
