"""``batos VERB``: one request to a running kernel, its answer on standard output.

Exit status as of the chat: 0 a result, 1 an error of the kernel, 2 usage, 3 no kernel.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli.chat import EXIT_INTERRUPTED, connect, refuse
from bat_os.clients.console import Screen, to_json
from bat_os.errors import ArgumentsError, BatError
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(bat_os.__file__).parents[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Return the exit status of one verb."""
    options = _parser().parse_args(argv)
    home = options.home.absolute() if options.home else Home.find(os.environ, ROOT).path
    screen = Screen(as_json=options.json, plain=bool(os.environ.get("NO_COLOR")))
    try:
        body = asyncio.run(_run(home, options))
    except BatError as error:
        return refuse(screen, error)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    if options.verb == "send" or options.json:
        screen.result(body)
    else:
        screen.answer(to_json(body, indent=2))
    return 0


async def _run(home: Path, options: argparse.Namespace) -> dict[str, Any]:
    async with connect(home) as kernel:
        if options.verb == "send":
            return await kernel.request(
                "send",
                timeout=None,
                target=options.object,
                selector=options.selector,
                args=options.args,
                kwargs=options.kwargs,
            )
        if options.verb == "teach":
            source = sys.stdin.read() if options.file == "-" else _read(options.file)
            return await kernel.request(
                "teach", timeout=60, target=options.object, body={"source": source}
            )
        if options.verb == "inspect":
            return await kernel.request("inspect", target=options.object)
        return await kernel.request(options.verb)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--home", type=Path, help="home directory (default: $BATOS_HOME, or data)")
    common.add_argument("--json", action="store_true", help="one JSON object on one line")
    parser = argparse.ArgumentParser(prog="batos", description="One request to a running kernel.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    send = verbs.add_parser("send", parents=[common], help="send a message to an object")
    send.add_argument("object", help="name or oid")
    send.add_argument("selector", help="the message")
    send.add_argument("args", nargs="?", type=_list, default=[], help="JSON list: '[5, \"x\"]'")
    send.add_argument("kwargs", nargs="?", type=_map, default={}, help="JSON map: '{\"n\": 5}'")
    inspect = verbs.add_parser("inspect", parents=[common], help="show one object")
    inspect.add_argument("object", help="name or oid")
    teach = verbs.add_parser("teach", parents=[common], help="install a method that you wrote")
    teach.add_argument("object", help="name or oid")
    teach.add_argument("file", help="Python file whose first def is the method; - for stdin")
    for verb, text in (
        ("list", "list the root objects"),
        ("health", "say how the kernel is"),
        ("shutdown", "let the kernel go down; its watchdog ends too"),
    ):
        verbs.add_parser(verb, parents=[common], help=text)
    return parser


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ArgumentsError(f"{file} cannot be read: {error}") from error


def _list(text: str) -> list[Any]:
    value = _json(text)
    if not isinstance(value, list):
        raise argparse.ArgumentTypeError("not a JSON list")
    return value


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from error


def _map(text: str) -> dict[str, Any]:
    value = _json(text)
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("not a JSON map")
    return value
