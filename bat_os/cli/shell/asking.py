"""Verbs in words: ask a sentence, who the personas are, stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli import watchdog
from bat_os.cli.commands.command import Command
from bat_os.cli.shell.launch import add_reading
from bat_os.core.personas import PERSONAS
from bat_os.errors import KernelUnreachableError, SettingsError
from bat_os.models.machine import read_book
from bat_os.supervisor.home import Home
from bat_os.supervisor.lock import is_held

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen

STOP_SECONDS: Final = 10.0


async def _ask(ask: Ask) -> Mapping[str, Any]:
    from bat_os.cli.chat.once import answer  # what reads sentences; no other verb needs it

    options = ask.options
    sentence = " ".join(options.sentence)
    return await answer(ask.kernel, ask.screen, sentence, fresh=options.fresh, call=options.call)


async def _personas(ask: Ask) -> Mapping[str, Any]:
    health = await ask.kernel.request("health")
    try:
        assigned = read_book().profile(str(health["profile"])).personas
    except SettingsError:  # a profile of another version
        assigned = {}
    rows = []
    for persona in PERSONAS.values():
        thinks = assigned.get(persona.name)
        rows.append(
            {
                "name": persona.name,
                "role": persona.role,
                "model": thinks.model if thinks else "",
                "adapter": (thinks.writing or thinks.adapter) if thinks else "",
                "temperature": thinks.temperature if thinks else 0.0,
            }
        )
    return {"profile": health["profile"], "personas": rows}


async def _stop(ask: Ask) -> Mapping[str, Any]:
    home = Home(ask.home)
    if is_held(home.lock):
        status = await asyncio.to_thread(watchdog.stop, home)
        return {"stopped": status == 0, "was": "watched", "exit_status": status}
    try:
        await ask.kernel.request("shutdown", timeout=STOP_SECONDS)
    except KernelUnreachableError:
        return {"stopped": True, "was": "not running", "exit_status": 0}
    return {"stopped": True, "was": "alone", "exit_status": 0}


def _show_answer(body: Mapping[str, Any], screen: Screen) -> None:
    from bat_os.cli.chat.once import show_answer  # as above

    show_answer(body, screen)


def _show_personas(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (one["name"], one["model"], one["adapter"] or "-", one["role"]) for one in body["personas"]
    ]
    screen.table(rows, ("PERSONA", "MODEL", "ADAPTER", "ROLE"))
    screen.note(f"profile {body['profile']}")


def _show_stop(body: Mapping[str, Any], screen: Screen) -> None:
    if body["was"] == "alone":
        screen.note("The kernel goes down; no watchdog was there.")
    elif body["was"] == "not running":
        screen.note("BAT OS is not running.")


def _ask_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sentence", nargs="+", help="what you want, in words")
    add_reading(parser)


COMMANDS: Final[Mapping[str, Command]] = {
    "ask": Command("say what you want, in words", _ask, _ask_words, _show_answer),
    "personas": Command(
        "list the personas and what they think with", _personas, show=_show_personas
    ),
    "stop": Command("stop the kernel and its watchdog", _stop, show=_show_stop),
}
