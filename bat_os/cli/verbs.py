"""``batos VERB``: one request to a running kernel, its answer on standard output.

Whatever goes wrong is one coded error that says what to do, with ``--json`` as JSON.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli import background, cluster, licences, update, upgrade
from bat_os.cli import parser as completion
from bat_os.cli.answer import status_of
from bat_os.cli.connection import (
    EXIT_INTERRUPTED,
    connect,
    may_come,
    refuse,
    run_interruptible,
    suggest,
)
from bat_os.cli.console import Screen, to_json
from bat_os.cli.environment import as_coded, enter_mind, find_home, find_name, require
from bat_os.cli.language import RawFormatter
from bat_os.cli.parser import Parser
from bat_os.cli.show import (
    access,
    bundle,
    files,
    history,
    hosts,
    idle,
    knowledge,
    leaving,
    minds,
    missions,
    models,
    objects,
    personas,
    schedules,
    system,
)
from bat_os.cli.show.command import Ask, Command
from bat_os.core.fields import AT, Field
from bat_os.core.object_verbs import WHEN
from bat_os.core.verbs import COMMANDS as VERBS
from bat_os.errors import ArgumentsError, BatError, RemoteError
from bat_os.failpoints import VARIABLE, arm
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bat_os.core.fields import Verb

_THEMES: Final = (
    access, background, bundle, cluster, completion, files, history, hosts, idle, knowledge,
    leaving, licences, minds, missions, models, objects, personas, schedules, system, update,
    upgrade,
)  # fmt: skip
COMMANDS: Final[Mapping[str, Command]] = {name: Command() for name in VERBS} | {
    name: command for theme in _THEMES for name, command in theme.COMMANDS.items()
}
EXIT_STATUSES: Final = {
    0: "a result",
    1: "an error of the daemon or the image, or `doctor` or `verify` found something broken",
    2: "wrong usage, or a setting that cannot be used",
    3: "no daemon answers",
    4: "of `ask` and of one sentence: the answer is a question",
    5: "of `ask` and of one sentence: nothing that is known does this",
    78: "of `batos serve`: a person has to act (a wrong setting, say)",
    130: "Ctrl-C; what `send`, `ask` or `models add` had begun is cancelled first (a second "
    "Ctrl-C leaves at once)",
}
_PLAIN: Final = "no colours, nothing redrawn: for screen readers"
_EPILOG: Final = """\
{name} VERB --help has the arguments and examples of one verb;
{name} serve --help is about the daemon itself.

exit status:
  0 a result   1 an error   2 wrong usage or setting   3 no daemon answers
  4 a question (ask)   5 not able (ask)   130 Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of one verb."""
    words = sys.argv[1:] if argv is None else list(argv)
    plain = bool(os.environ.get("NO_COLOR"))
    name = find_name()
    spelt = f"{name} "
    screen = Screen(as_json="--json" in words, plain=plain, name=spelt)
    try:
        options = make_parser(name).read(words or ["--help"])
        plain = plain or options.plain
        screen = Screen(as_json=options.json, plain=plain, quiet=options.quiet, name=spelt)
        return _carry_out(options, screen)
    except BatError as error:
        return refuse(screen, error)
    except OSError as error:
        return refuse(screen, as_coded(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _carry_out(options: argparse.Namespace, screen: Screen) -> int:
    arm(os.environ.get(VARIABLE, ""))
    home = find_home(options.home).path
    if VERBS[options.verb].needs_home and not os.environ.get("BATOS_KEY_FILE"):
        require(home)
    body = run_interruptible(run(home, options, screen), screen)
    show(body, options, screen)
    return int(body.get("exit_status", 0)) or status_of(body)


def show(body: Mapping[str, Any], options: argparse.Namespace, screen: Screen) -> None:
    """Write what a verb has returned."""
    if options.json:
        screen.answer(to_json(body))
    else:
        COMMANDS[options.verb].show(body, screen)
        history.show_moment(body, screen)


async def run(home: Path, options: argparse.Namespace, screen: Screen) -> Mapping[str, Any]:
    """Return the body of a verb's answer, on a connection of its own.

    Raises:
        BatError: The kernel answered with an error, or there is none, or the words are wrong.
    """
    command = COMMANDS[options.verb]
    async with connect(home, lambda: may_come(Home(home))) as kernel:
        when = options.at if VERBS[options.verb].access == "past" else ""
        asked: Any = history.PastKernel(kernel, when) if when else kernel
        try:
            return await command.run(Ask(asked, home, options, screen))
        except RemoteError as error:
            target, selector = getattr(options, "object", ""), getattr(options, "selector", "")
            guess = await suggest(kernel, error, target, selector)
            if not guess:
                raise
            raise RemoteError(error.body | {"message": f"{error}; {guess}"}) from error


def make_parser(name: str = "batos") -> Parser:
    """Return the parser of all verbs; ``name`` is what a person types before one."""
    parser = Parser(
        prog=name,
        description="Send a command to the running BAT OS.",
        epilog=_EPILOG.format(name=name),
        formatter_class=RawFormatter,
    )
    parser.add_argument("--version", action="version", version=f"BAT OS {bat_os.__version__}")
    _add_common(parser, {"home": None, "json": False, "quiet": False})
    parser.add_argument("--plain", action="store_true", help=_PLAIN)
    common = Parser(add_help=False)
    _add_common(common, dict.fromkeys(("home", "json", "quiet"), argparse.SUPPRESS))
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=Parser)
    for verb in VERBS.values():
        for name in (verb.name, *verb.hidden):
            shown: dict[str, Any] = {"help": verb.help} if name == verb.name else {}
            made = verbs.add_parser(
                name,
                parents=[common],
                description=f"{verb.help[:1].upper()}{verb.help[1:]}.",
                epilog=_describe_examples(verb, parser.prog),
                formatter_class=RawFormatter,
                **shown,
            )
            made.set_defaults(verb=verb.name)
            if all("--plain" not in field.word for field in verb.fields):  # backup has its own
                made.add_argument(
                    "--plain", action="store_true", default=argparse.SUPPRESS, help=_PLAIN
                )
            _add_fields(made, verb)
    return parser


def _add_fields(parser: Parser, verb: Verb) -> None:
    groups: dict[str, argparse._MutuallyExclusiveGroup] = {}
    for field in verb.fields:
        if field.group and field.group not in groups:
            groups[field.group] = parser.add_mutually_exclusive_group()
        if field.word:
            _add_field(groups.get(field.group, parser), field)
    if verb.access == "past":
        parser.add_argument("--at", default="", metavar=AT.shown, help=f"as of then: {WHEN}")


def _add_field(parser: argparse._ActionsContainer, field: Field) -> None:
    """Add a word or an option, as the table of verbs has it."""
    flags = [word for word in field.word.split() if word.startswith("-")]
    many = field.kind in ("examples", "map", "paths", "texts")
    default = field.default if field.usual is None else field.usual
    about: dict[str, Any] = {"help": _describe(field, default), "default": default}
    if field.kind == "flag":
        parser.add_argument(*flags, action="store_true", help=field.help)
        return
    if default is None and field.kind not in ("whole", "number"):
        about["default"] = [] if many or field.word.endswith(("*", "+")) else ""
    about |= {"metavar": field.shown} if field.shown else {}
    if field.choices and (field.place == "client" or "" not in field.choices):
        about["choices"] = field.choices
    about |= {"type": _TYPES[field.kind]} if field.kind in _TYPES else {}
    if field.kind == "whole" and field.place != "body":
        about["type"] = partial(_read_whole, field)
    if flags:
        about |= {"action": "append"} if many else {}
        parser.add_argument(*flags, required=field.required, **about)
    else:
        about |= {"nargs": field.word[-1]} if field.word[-1] in "?*+" else {}
        parser.add_argument(field.dest, **about)


def _describe(field: Field, default: Any) -> str:
    """Return the help of an option or word."""
    more = {
        "examples": "; may come more than once",
        "file": "; - for stdin",
        "map": "; may come more than once",
        "paths": "; may come more than once",
        "texts": "; may come more than once",
        "moment": f" (default: {default})" if default else "",
        "whole": f" (default: {default})" if default else "",
    }
    return field.help + more.get(field.kind, "")


def _read_whole(field: Field, text: str) -> Any:
    try:
        return field.read(int(text))
    except (ValueError, ArgumentsError):
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not {field.allowed()}") from None


def _read_path(text: str) -> Path:
    """Return a path that the kernel, which has another working directory, understands."""
    return Path(text).expanduser().absolute()


_TYPES: Final[Mapping[str, Callable[[str], Any]]] = {
    "number": float,
    "path": _read_path,
    "paths": _read_path,
    "whole": int,
}


def _describe_examples(verb: Verb, prog: str) -> str:
    """Return the examples of a verb as the end of its help."""
    lines = [f"  {prog} {verb.name} {words}".rstrip() for words in verb.examples]
    return "\n".join(["examples:" if len(lines) > 1 else "example:", *lines])


class _Homes(argparse.Action):
    """Keeps the last home in ``home``, and all of them in ``homes``: ``diff`` takes two."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Take one more."""
        namespace.home = values
        namespace.homes = [*getattr(namespace, "homes", ()), values]


class _Chosen(argparse.Action):
    """Has a mind of the directory be meant."""

    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None
    ) -> None:
        """Take its name."""
        enter_mind(values)


def _add_common(parser: Parser, defaults: Mapping[str, Any]) -> None:
    """Add what every verb takes, before the verb or after it."""
    parser.add_argument(
        "--home",
        action=_Homes,
        type=Path,
        default=defaults["home"],
        metavar="FOLDER",
        help="home directory (default: $BATOS_HOME, or data)",
    )
    parser.add_argument(
        "--mind", action=_Chosen, default=None, metavar="NAME",
        help="a mind that batos minds lists, instead of a home (default: $BATOS_MIND)",
    )  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", default=defaults["json"], help="one JSON object on one line"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", default=defaults["quiet"],
        help="the answer and errors, nothing else",
    )  # fmt: skip
