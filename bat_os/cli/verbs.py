"""``batos VERB``: one request to a running kernel, its answer on standard output.

Whatever goes wrong is one coded error that says what to do, with ``--json`` as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli import service, upgrade
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
from bat_os.cli.connection import (
    EXIT_INTERRUPTED,
    connect,
    interruptible,
    may_come,
    refuse,
    suggest,
)
from bat_os.cli.console import Screen, to_json
from bat_os.cli.environment import as_coded, find_home, require
from bat_os.cli.shell.asking import COMMANDS as ASKING
from bat_os.cli.shell.completion import COMMANDS as COMPLETION
from bat_os.cli.shell.config import COMMANDS as CONFIG
from bat_os.cli.shell.help import describe_examples
from bat_os.cli.shell.parser import Parser
from bat_os.errors import BatError, RemoteError
from bat_os.failpoints import VARIABLE, arm
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.cli.commands.command import Command

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
# They work, or say what is wrong, in a home that cannot be used.
HOMELESS: Final = frozenset({"doctor", "completion", "config"})
EXIT_STATUSES: Final = {
    0: "a result",
    1: "an error of the kernel or the image, or `doctor` or `verify` found something broken",
    2: "wrong usage, or a setting that cannot be used",
    3: "no kernel answers",
    78: "of `batos serve`: a person has to act (a wrong setting, a held image)",
    130: "Ctrl-C; what `send`, `ask` or `models add` had begun is cancelled first (a second "
    "Ctrl-C leaves at once)",
}
_EPILOG: Final = """\
batos VERB --help has the arguments and examples of one verb; batos serve --help is about the
kernel itself.

exit status:
  0 a result   1 an error   2 wrong usage or setting   3 no kernel answers   130 Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of one verb."""
    words = sys.argv[1:] if argv is None else list(argv)
    plain = bool(os.environ.get("NO_COLOR"))
    screen = Screen(as_json="--json" in words, plain=plain)
    try:
        options = make_parser().read(words)
        screen = Screen(as_json=options.json, plain=plain, quiet=options.quiet)
        return _carry_out(options, screen)
    except BatError as error:
        return refuse(screen, error)
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return refuse(screen, as_coded(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _carry_out(options: argparse.Namespace, screen: Screen) -> int:
    arm(os.environ.get(VARIABLE, ""))
    home = find_home(options.home).path
    if options.verb not in HOMELESS and not os.environ.get("BATOS_KEY_FILE"):
        require(home)
    body = asyncio.run(interruptible(run(home, options, screen), screen))
    show(body, options, screen)
    return int(body.get("exit_status", 0))


def show(body: Mapping[str, Any], options: argparse.Namespace, screen: Screen) -> None:
    """Write what a verb has returned."""
    if options.json:
        screen.answer(to_json(body))
    else:
        COMMANDS[options.verb].show(body, screen)
        moments.show_moment(body, screen)


async def run(home: Path, options: argparse.Namespace, screen: Screen) -> Mapping[str, Any]:
    """Return the body of a verb's answer, on a connection of its own.

    Raises:
        BatError: The kernel answered with an error, or there is none, or the words are wrong.
    """
    command = COMMANDS[options.verb]
    async with connect(home, lambda: may_come(Home(home))) as kernel:
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


def make_parser() -> Parser:
    """Return the parser of all verbs."""
    parser = Parser(
        prog="batos",
        description="Say VERB to the kernel that serves this home; serve runs that kernel.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_common(parser, {"home": None, "json": False, "quiet": False})
    common = Parser(add_help=False)
    _add_common(common, dict.fromkeys(("home", "json", "quiet"), argparse.SUPPRESS))
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    for name, command in COMMANDS.items():
        made = verbs.add_parser(
            name,
            parents=[common],
            help=command.help,
            description=_sentence(command.help),
            epilog=describe_examples(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(made)
        if name in moments.IN_TIME:
            moments.add_moment(made)
    return parser


def _add_common(parser: Parser, defaults: Mapping[str, Any]) -> None:
    """Add what every verb takes, before the verb or after it."""
    parser.add_argument(
        "--home",
        type=Path,
        default=defaults["home"],
        metavar="FOLDER",
        help="home directory (default: $BATOS_HOME, or data)",
    )
    parser.add_argument(
        "--json", action="store_true", default=defaults["json"], help="one JSON object on one line"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", default=defaults["quiet"],
        help="the answer and errors, nothing else",
    )  # fmt: skip


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
