"""Verbs about what happens at a time; and what was due, on one line each."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.show.command import Command, read_words, table_of
from bat_os.errors import ArgumentsError, BatError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask, Columns
    from bat_os.client.client import KernelClient

    Beside = Callable[[Callable[[], None]], Awaitable[None]]

PATIENCE: Final = 2.0  # seconds: what is due may wait for the next time
_WORDS: Final = ("send", "say", "learn", "remind")


async def _schedule(ask: Ask) -> Mapping[str, Any]:
    fields, words = ask.fields(), list(ask.options.what)
    kind = words.pop(0) if words and words[0] in _WORDS else "remind"
    if kind == "send":
        if len(words) < 2:
            raise ArgumentsError("write it as: batos schedule WHEN send OBJECT MESSAGE ARGS")
        target, selector, *rest = words
        args, kwargs = read_words(rest)
        fields |= {"target": target, "selector": selector, "args": args, "kwargs": kwargs}
        words = [target, selector, *rest]
    body = {**fields.get("body", {}), "kind": kind, "text": " ".join(words)}
    return await ask.request(**{**fields, "body": body})


async def show_due(kernel: KernelClient, screen: Screen, beside: Beside | None = None) -> None:
    """Write what was due and was not seen, on dim lines, and note that it was.

    ``beside`` writes where a line is being typed.
    """
    try:
        found = (await kernel.request("due", timeout=PATIENCE))["due"]
        lines = [f"\u23f0 {each['line']}" for each in found]
    except (BatError, KeyError, TypeError):  # it is shown another time
        return
    if not lines:
        return

    def write() -> None:
        for line in lines:
            screen.note(line, as_is=True)

    if beside is None:
        write()
    else:
        await beside(write)
    with contextlib.suppress(BatError):
        body = {"seen": [each["key"] for each in found], "limit": 0}
        await kernel.request("due", timeout=PATIENCE, body=body)


def _show_one(body: Mapping[str, Any], screen: Screen) -> None:
    what = f": {body['text']}" if body["text"] else ""
    both = body["rule"] and body["when"]
    rule = f"{body['rule']}, next {body['when']}" if both else body["rule"] or body["when"]
    screen.answer(f"{body['number']}  {rule}{what}")
    screen.note(f"to cancel it: batos unschedule {body['number']}")


def _show_cancelled(body: Mapping[str, Any], screen: Screen) -> None:
    for one in body["cancelled"]:
        screen.say(f"cancelled {one['number']}: {one['text'] or one['kind']}")
    if body["transaction"]:
        screen.note(f"to take it back: batos undo {body['transaction']}")


_SCHEDULES: Final[Columns] = {
    "NUMBER": "number",
    "KIND": "kind",
    "WHAT": "text",
    "NEXT": "when",
    "AGAIN": "rule",
    "STATE": lambda one: one["state"] if not one["why"] else f"{one['state']}: {one['why']}",
}
_NOTHING: Final = "nothing is due; say: remind me tomorrow at 9 to call Ann"
COMMANDS: Final[Mapping[str, Command]] = {
    "schedule": Command(_show_one, _schedule),
    "schedules": Command(table_of("schedules", _SCHEDULES, _NOTHING)),
    "unschedule": Command(_show_cancelled),
}
