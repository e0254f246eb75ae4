"""Verbs for sentences and questions: ask, discuss (ROBIN and BRICK), talks, personas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.console import show_control
from bat_os.cli.show.command import Command, show_time, table_of
from bat_os.core.personas import PERSONAS
from bat_os.errors import SettingsError
from bat_os.models.machine import read_book

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask, Columns


async def _discuss(ask: Ask) -> Mapping[str, Any]:
    """Ask, and note each sentence while it comes; what counts follows once it is whole."""
    heard: dict[str, str] = {}

    def hear(_kind: str, event: Mapping[str, Any]) -> None:
        name = str(event.get("persona", ""))
        if event.get("again"):
            heard[name] = ""
            return
        text = heard.get(name, "") + str(event.get("text", ""))
        whole, stop, rest = text.rpartition(". ")
        if stop:
            ask.screen.note(f"  {name}: {' '.join(whole.split())}.")
        heard[name] = rest

    return await ask.request(on_event=hear)


def _show_talk(body: Mapping[str, Any], screen: Screen) -> None:
    for said in body["answers"]:
        screen.answer(show_control(f"{said['persona']}: {said['text']}"))
    for hit in body["passages"]:
        if hit["cited"]:
            about = f"{hit['title']} ({hit['doc_id']}, {hit['similarity']:.2f})"
            screen.note(f"[{hit['n']}] {about}")
    if body["note"]:
        screen.note(body["note"], style="yellow")


def _show_talks(body: Mapping[str, Any], screen: Screen) -> None:
    for talk in body["talks"]:
        screen.answer(show_control(f"{show_time(talk['asked'])}  {talk['question']}"))
        for said in talk["answers"]:
            screen.answer(show_control(f"    {said['persona']}: {said['text']}"))
    if not body["talks"]:
        screen.note("nothing has been asked yet; batos discuss QUESTION asks")


async def _ask(ask: Ask) -> Mapping[str, Any]:
    from bat_os.cli.chat.once import answer  # what reads sentences; no other verb needs it

    options = vars(ask.options)
    sentence, fresh, call = " ".join(options["sentence"]), options["fresh"], options["as"]
    return await answer(ask.kernel, ask.screen, sentence, fresh=fresh, call=call)


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


def _show_answer(body: Mapping[str, Any], screen: Screen) -> None:
    from bat_os.cli.chat.once import show_answer  # as above

    show_answer(body, screen)


_PERSONAS: Final[Columns] = {
    "PERSONA": "name",
    "MODEL": "model",
    "ADAPTER": lambda row: row["adapter"] or "-",
    "ROLE": "role",
}


def _show_personas(body: Mapping[str, Any], screen: Screen) -> None:
    table_of("personas", _PERSONAS)(body, screen)
    screen.note(f"profile {body['profile']}")


COMMANDS: Final[Mapping[str, Command]] = {
    "ask": Command(_show_answer, _ask),
    "discuss": Command(_show_talk, _discuss),
    "talks": Command(_show_talks),
    "personas": Command(_show_personas, _personas),
}
