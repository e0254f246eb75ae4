"""Verbs about objects and their methods: send, list, inspect, source, teach, find, approve."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import (
    Command,
    read_example,
    read_text,
    read_words,
    simple,
)
from bat_os.cli.connection import send
from bat_os.cli.shell.parser import guess
from bat_os.errors import NotFoundError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen

TEACH_SECONDS: Final = 60.0


async def _send(ask: Ask) -> Mapping[str, Any]:
    args, kwargs = read_words(ask.options.words)
    fields = {
        "target": ask.options.object,
        "selector": ask.options.selector,
        "args": args,
        "kwargs": kwargs,
        "body": {"fresh": ask.options.fresh} | ({"mode": "cascade"} if ask.options.cascade else {}),
    }
    return await send(ask.kernel, ask.screen, fields)


async def _inspect(ask: Ask) -> Mapping[str, Any]:
    return await ask.kernel.request("inspect", target=ask.options.object)


async def _source(ask: Ask) -> Mapping[str, Any]:
    target, selector = ask.options.object, ask.options.selector
    told = await ask.kernel.request("inspect", target=target, selector=selector)
    method: dict[str, Any] | None = told["methods"].get(selector)
    if not method or "source" not in method:
        known = sorted((await ask.kernel.request("inspect", target=target))["methods"])
        meant = guess(selector, known) if known else "it has none yet"
        raise NotFoundError(f"{target} has no learned method {selector!r} of its own; {meant}")
    return {"object": target, "selector": selector} | method


async def _teach(ask: Ask) -> Mapping[str, Any]:
    source = read_text(ask.options.file, sys.stdin.read)
    examples = [read_example(text) for text in ask.options.example]
    body = {"source": source, "examples": examples}
    target = ask.options.object
    return await ask.kernel.request("teach", timeout=TEACH_SECONDS, target=target, body=body)


async def _find(ask: Ask) -> Mapping[str, Any]:
    body = {"text": " ".join(ask.options.wish), "limit": ask.options.limit}
    return await ask.kernel.request("find", timeout=TEACH_SECONDS, body=body)


async def _approve(ask: Ask) -> Mapping[str, Any]:
    if not ask.options.selector:
        return await ask.kernel.request("approve", timeout=TEACH_SECONDS)
    examples = [read_example(text) for text in ask.options.example]
    body = {"examples": examples, "no": ask.options.no}
    return await ask.kernel.request(
        "approve",
        timeout=TEACH_SECONDS,
        target=ask.options.object,
        selector=ask.options.selector,
        body=body,
    )


def _show_objects(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (
            one["name"],
            one["slots"],
            ", ".join(one["parents"]),
            ", ".join(s + _noted(one, s) for s in one["selectors"]),
        )
        for one in body["objects"]
    ]
    screen.table(rows, ("OBJECT", "SLOTS", "PARENTS", "MESSAGES"))


def _noted(one: Mapping[str, Any], selector: str) -> str:
    noted = [mark for mark in ("tainted", "failing") if selector in one.get(mark, ())]
    return f" ({', '.join(noted)})" if noted else ""


def _show_source(body: Mapping[str, Any], screen: Screen) -> None:
    screen.code(body["source"].rstrip("\n"))
    told = f"version {body['version']} of {body['versions']}, SHA-256 {body['sha256'][:16]}"
    screen.note(f"{body['object']}.{body['selector']}: {body['status']}, {told}")


def _show_taught(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(
        f"{body['target']}.{body['selector']}: {body['status']}, version {body['version']}"
    )


def _show_approved(body: Mapping[str, Any], screen: Screen) -> None:
    if "waiting" not in body:
        _show_taught(body, screen)
        return
    rows = [(f"{one['object']}.{one['selector']}", one["version"], one["mission"])
            for one in body["waiting"]]  # fmt: skip
    screen.table(rows, ("METHOD", "VERSION", "MISSION"))
    if not rows:
        screen.note("nothing waits for a yes")


def _show_skills(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (
            f"{one['similarity']:.2f}",
            f"{one['object']}.{one['selector']}",
            one["status"],
            one["wish"],
        )
        for one in body["skills"]
    ]
    screen.table(rows, ("LIKE", "MESSAGE", "STATUS", "LEARNED FOR"))
    if not rows:
        screen.note("nothing has been learned yet")


def _object(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", help="name or oid")


def _method(parser: argparse.ArgumentParser) -> None:
    _object(parser)
    parser.add_argument("selector", help="the message")


def _example(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--example",
        action="append",
        default=[],
        metavar="'5 gives 120'",
        help="what it has to answer; may come more than once",
    )


def _send_words(parser: argparse.ArgumentParser) -> None:
    _method(parser)
    parser.add_argument(
        "words",
        nargs="*",
        default=[],
        metavar="ARGS",
        help="plain words (Ann 5 loud=true), or a JSON list and a JSON map",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="learn it anew even if a known skill would serve"
    )
    parser.add_argument(
        "--cascade", action="store_true", help="have all personas work on what has to be learned"
    )


def _teach_words(parser: argparse.ArgumentParser) -> None:
    _object(parser)
    parser.add_argument("file", help="Python file whose first def is the method; - for stdin")
    _example(parser)


def _find_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("wish", nargs="+", help="what it should do, in words")
    parser.add_argument("--limit", type=int, default=5, help="at most so many (default: 5)")


def _approve_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", nargs="?", default="", help="name or oid; none lists what waits")
    parser.add_argument("selector", nargs="?", default="", help="the message")
    _example(parser)
    parser.add_argument("--no", action="store_true", help="turn down what waits")


COMMANDS: Final[Mapping[str, Command]] = {
    "send": Command(
        "send a message to an object", _send, _send_words, lambda body, screen: screen.result(body)
    ),
    "list": Command("list the root objects", simple("list"), show=_show_objects),
    "inspect": Command("show one object: slots, methods, parents", _inspect, _object),
    "source": Command("show the source of a learned method", _source, _method, _show_source),
    "teach": Command("install a method that you wrote", _teach, _teach_words, _show_taught),
    "find": Command("find learned methods by what they do", _find, _find_words, _show_skills),
    "approve": Command(
        "say yes to a method that waits or is provisional, also by an example",
        _approve,
        _approve_words,
        _show_approved,
    ),
}
