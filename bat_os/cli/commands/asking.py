"""Verbs for questions in words: discuss (ROBIN and BRICK in counterpoint), talks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import LONG, Command
from bat_os.cli.commands.moments import show_time
from bat_os.cli.console import show_control

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen


async def _discuss(ask: Ask) -> Mapping[str, Any]:
    """Ask, and note each sentence while it comes; what counts follows once it is whole."""
    heard: dict[str, str] = {}

    def hear(_kind: str, told: Mapping[str, Any]) -> None:
        name = str(told.get("persona", ""))
        if told.get("again"):
            heard[name] = ""
            return
        text = heard.get(name, "") + str(told.get("text", ""))
        whole, stop, rest = text.rpartition(". ")
        if stop:
            ask.screen.note(f"  {name}: {' '.join(whole.split())}.")
        heard[name] = rest

    body = {"text": " ".join(ask.options.question), "seed": ask.options.seed}
    return await ask.kernel.request("ask", timeout=LONG, on_event=hear, body=body)


async def _talks(ask: Ask) -> Mapping[str, Any]:
    return await ask.kernel.request("talks", body={"limit": ask.options.limit})


def _show_talk(body: Mapping[str, Any], screen: Screen) -> None:
    for one in body["answers"]:
        screen.answer(show_control(f"{one['persona']}: {one['text']}"))
    for one in body["passages"]:
        if one["cited"]:
            about = f"{one['title']} ({one['doc_id']}, {one['similarity']:.2f})"
            screen.note(f"[{one['n']}] {about}")
    if body["note"]:
        screen.note(body["note"], style="yellow")


def _show_talks(body: Mapping[str, Any], screen: Screen) -> None:
    for one in body["talks"]:
        screen.answer(show_control(f"{show_time(one['asked'])}  {one['question']}"))
        for said in one["answers"]:
            screen.answer(show_control(f"    {said['persona']}: {said['text']}"))
    if not body["talks"]:
        screen.note("nothing has been asked yet; batos discuss QUESTION asks")


def _question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question", nargs="+", help="a question, in words")
    parser.add_argument("--seed", type=int, default=0, help="another one gives another answer")


def _limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--limit", type=int, default=10, help="how many (default: 10)")


COMMANDS: Final[Mapping[str, Command]] = {
    "discuss": Command(
        "have ROBIN and BRICK answer a question, from what was learned",
        _discuss,
        _question,
        _show_talk,
    ),
    "talks": Command("list what was asked and answered", _talks, _limit, _show_talks),
}
