"""What was lived through: history of an object's methods, experience of missions.

Experience is for people, or as JSON lines for training.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from bat_os.cli.commands.command import Command
from bat_os.cli.commands.history import show_versions
from bat_os.cli.commands.moments import show_time
from bat_os.cli.console import to_json
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AbstractContextManager

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen

SECONDS: Final = 120.0
_WIDTH: Final = 60


async def _history(ask: Ask) -> Mapping[str, Any]:
    """Return the versions of one method, or of all that an object has of its own."""
    target, selectors = ask.options.object, [ask.options.selector]
    if not ask.options.selector:
        told = await ask.kernel.request("inspect", target=target)
        selectors = [name for name, one in told["methods"].items() if one.get("versions")]
    methods = [
        await ask.kernel.request("versions", timeout=SECONDS, target=target, selector=selector)
        for selector in selectors
    ]
    return {"object": target, "methods": methods}


def _show_history(body: Mapping[str, Any], screen: Screen) -> None:
    for one in body["methods"]:
        screen.answer(f"{one['object']}.{one['selector']}")
        show_versions(one, screen)
    if not body["methods"]:
        screen.note(f"{body['object']} has learned nothing; batos diff WHEN tells of its slots")


def _method_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", help="name or oid")
    parser.add_argument("selector", nargs="?", default="", help="one message (default: all)")


async def _experience(ask: Ask) -> Mapping[str, Any]:
    file = ask.options.jsonl
    if file is None:
        return {"experience": [one async for page in _pages(ask) for one in page]}
    try:
        return {"file": file, "records": await _write(ask, file)}
    except OSError as error:
        raise ArgumentsError(f"{file} cannot be written: {error}") from error


async def _write(ask: Ask, file: str) -> int:
    """Write a JSON line per record and return how many; page by page, so few are in memory."""
    count = 0
    with _opened(file) as out:
        async for page in _pages(ask):
            lines = "".join(f"{to_json(one)}\n" for one in page)
            await asyncio.to_thread(out.write, lines)
            count += len(page)
    return count


def _opened(file: str) -> AbstractContextManager[TextIO]:
    return nullcontext(sys.stdout) if file == "-" else Path(file).open("w", encoding="utf-8")


async def _pages(ask: Ask) -> AsyncIterator[list[dict[str, Any]]]:
    after = ask.options.after
    while True:
        body = await ask.kernel.request("experience", timeout=SECONDS, body={"after": after})
        yield body["experience"]
        if not (after := body["after"]):
            return


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if "experience" not in body:
        screen.note(f"{body['records']} records in {body['file']}")
        return
    rows = [_row(one) for one in body["experience"]]
    heads = ("MISSION", "ACCEPTED", "MESSAGE", "OUTCOME", "TRIED", "TOKENS", "FAULTS", "WHY")
    screen.table(rows, heads)
    if not rows:
        screen.note("no mission has ended yet")


def _row(one: Mapping[str, Any]) -> tuple[Any, ...]:
    if "outcome" not in one:
        return one["mission"], "", "", "unreadable", "", "", "", _cut(one["problem"])
    outcome = one["outcome"]
    return (
        one["mission"],
        show_time(one["accepted"]),
        f"{one['object']}.{one['selector']}",
        outcome.get("status") or outcome["kind"],
        len(one["candidates"]),
        one["tokens"],
        len(one["later"].get("faults", ())),
        _cut(outcome.get("reason", "")),
    )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jsonl", metavar="FILE", help="write one JSON object a line; - for standard output"
    )
    parser.add_argument("--after", default="", metavar="MISSION", help="only later ones than this")


COMMANDS: Final[Mapping[str, Command]] = {
    "history": Command(
        "list how an object's methods came about, version by version",
        _history,
        _method_words,
        _show_history,
    ),
    "experience": Command("list what missions went through", _experience, _words, _show),
}
