"""Verbs about missions: missions, watch, cancel."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import Command
from bat_os.cli.console import to_json
from bat_os.errors import KernelUnreachableError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen


async def _missions(ask: Ask) -> Mapping[str, Any]:
    body = {"limit": ask.options.limit, "state": ask.options.state}
    return await ask.kernel.request("missions", body=body)


def _list_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--limit", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--state", default="", help="only these: running, complete, failed, ...")


def _show_missions(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (
            one["brief_id"],
            one["state"],
            _moment(one.get("accepted")),
            f"{one.get('target', '?')}.{one.get('selector', '?')}",
            " ".join(str(one.get("problem", "")).split())[:80],
        )
        for one in body["missions"]
    ]
    screen.table(rows, ("BRIEF", "STATE", "ACCEPTED", "MESSAGE", "PROBLEM"))
    if not rows:
        screen.note("no missions")


async def _watch(ask: Ask) -> Mapping[str, Any]:
    """Print events until Ctrl-C, or until the one mission ends; goes on after a restart."""
    about: dict[str, Any] = {"brief_id": ask.options.brief} if ask.options.brief else {}
    seen: dict[str, int] = {}

    def show(_kind: str, told: Mapping[str, Any]) -> None:
        seen["after_seq" if ask.options.brief else "after"] = int(
            told["seq" if ask.options.brief else "n"]
        )
        ask.screen.answer(to_json(told) if ask.screen.as_json else _event(told))

    while True:
        try:
            body = about | seen
            request = ask.kernel.request(
                "subscribe", timeout=None, on_event=show, id=secrets.token_hex(8), body=body
            )
            return await request
        except KernelUnreachableError:
            seen.pop("after", None)  # the next kernel counts from 1 again
            await ask.kernel.request("ping", timeout=60)


def _watch_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("brief", nargs="?", default="", help="one brief (default: all)")


def _show_end(body: Mapping[str, Any], screen: Screen) -> None:
    screen.note(f"over: {body['ended']}")


def _event(told: Mapping[str, Any]) -> str:
    message = f"{told.get('target')}.{told.get('selector')}"
    state = str(told["state"]).upper()
    return f"{told['brief_id']}  {state:<13} {told['persona']:<12} {message}  {told['does']}"


async def _cancel(ask: Ask) -> Mapping[str, Any]:
    return await ask.kernel.request("cancel", body={"brief_id": ask.options.brief})


def _cancel_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("brief", help="its id; batos missions lists them")


def _show_cancelled(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer("cancelled" if body["cancelled"] else "it does not run (any more)")


def _moment(at: Any) -> str:
    try:
        return dt.datetime.fromtimestamp(at, dt.UTC).astimezone().strftime("%m-%d %H:%M:%S")
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"


COMMANDS: Final[Mapping[str, Command]] = {
    "missions": Command("list missions, the newest first", _missions, _list_words, _show_missions),
    "watch": Command("show what missions do, until Ctrl-C", _watch, _watch_words, _show_end),
    "cancel": Command("withdraw a mission", _cancel, _cancel_words, _show_cancelled),
}
