"""Time travel on the command line: ``--at`` for verbs that read, diff, bisect."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import Command, read_words
from bat_os.cli.console import render

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen
    from bat_os.client.client import KernelClient

SECONDS: Final = 600.0  # bisect runs learned code at a dozen moments
FORMS: Final = "'2 hours ago', 2026-11-21T14:30, or the id of a transaction or mission"
# Verbs that take ``--at WHEN``: they ask the kernel for nothing but what it reads.
IN_TIME: Final = frozenset(
    {
        "diff-method",
        "documents",
        "find",
        "inspect",
        "list",
        "models",
        "search",
        "send",
        "source",
        "versions",
        "why",
    }
)


class PastKernel:
    """A kernel's client whose every request is about one moment."""

    def __init__(self, kernel: KernelClient, when: str) -> None:
        self._kernel = kernel
        self._when = when

    async def request(self, verb: str, **fields: Any) -> Any:
        """Ask as ``KernelClient.request`` does, about that moment."""
        body = {**fields.pop("body", {}), "at": self._when}
        return await self._kernel.request(verb, body=body, **fields)


def add_moment(parser: argparse.ArgumentParser) -> None:
    """Add ``--at`` to the parser of a verb that reads."""
    parser.add_argument("--at", metavar="WHEN", help=f"as of then: {FORMS}")


def show_moment(body: Mapping[str, Any], screen: Screen) -> None:
    """Say of which moment an answer is, where it is not of now."""
    at = body.get("at")
    if isinstance(at, dict) and "transaction" in at:
        dropped = "; what it would have changed was dropped" if body.get("dropped") else ""
        screen.note(f"as of {show_time(at['time'])} (transaction {at['transaction']}){dropped}")


def show_time(moment: float | None) -> str:
    """Return Unix time as local time, for people; "" for none."""
    if not moment:
        return ""
    return dt.datetime.fromtimestamp(moment, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


async def _diff(ask: Ask) -> Mapping[str, Any]:
    body = {"a": ask.options.a, "b": ask.options.b}
    return await ask.kernel.request("diff", timeout=SECONDS, body=body)


def show_changes(body: Mapping[str, Any], screen: Screen) -> None:
    """Write what differs between two moments, for people."""
    for row in body["objects"]:
        screen.answer(f"{row['what']:<8}{row['object']}")
        if "parents" in row:
            before, after = (", ".join(names) for names in row["parents"])
            screen.answer(f"        parents: {before} -> {after}")
        for slot in row["slots"]:
            screen.answer(f"        {slot['slot']}: {slot['before']} -> {slot['after']}")
    for row in body["methods"]:
        before, after = (row[key] or "none" for key in ("before", "after"))
        screen.answer(f"method  {row['object']}.{row['selector']}: version {before} -> {after}")
    for row in body["documents"]:
        screen.answer(f"{row['what']:<8}{row['document']}")
    count = len(body["transactions"])
    screen.note(f"{count} transactions, from {body['from']} to {body['to']}")


async def _bisect(ask: Ask) -> Mapping[str, Any]:
    args, kwargs = read_words(ask.options.words)

    def show(_kind: str, told: Any) -> None:
        ask.screen.note(f"  {told.get('text', '')}")

    return await ask.kernel.request(
        "bisect",
        timeout=SECONDS,
        on_event=show,
        target=ask.options.object,
        selector=ask.options.selector,
        args=args,
        kwargs=kwargs,
        body={"good": ask.options.good, "bad": ask.options.bad},
    )


def _show_found(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(f"{body['transaction']}  {show_time(body['time'])}  {body['note']}")
    if body["mission"]:
        screen.answer(f"mission  {body['mission']}")
    for end in ("before", "after"):
        told = body[end]
        text = render(told["result"]) if "result" in told else f"{told['error']} {told['message']}"
        screen.answer(f"{end:<7}  {text}")
    screen.note(f"one of {body['transactions']} transactions, found in {body['openings']} openings")


def _two_moments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help=FORMS)
    parser.add_argument("b", metavar="B", nargs="?", default="now", help="the same (default: now)")


def _message_and_moments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", help="name or oid")
    parser.add_argument("selector", help="the message")
    parser.add_argument("words", nargs="*", default=[], metavar="ARGS", help="as those of send")
    parser.add_argument("--good", required=True, metavar="A", help=f"answered well: {FORMS}")
    parser.add_argument("--bad", default="now", metavar="B", help="later, not so (default: now)")


COMMANDS: Final[Mapping[str, Command]] = {
    "diff": Command("say what changed between two moments", _diff, _two_moments, show_changes),
    "bisect": Command(
        "find the transaction that changed an answer", _bisect, _message_and_moments, _show_found
    ),
}
