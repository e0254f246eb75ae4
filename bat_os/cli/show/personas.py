"""The verbs ``personas`` and ``states``: who thinks how, and what a person has set."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.show.command import Command, cut, read_json, show_time, table_of
from bat_os.core.gate import ASKS, WRITES
from bat_os.errors import ArgumentsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask, Columns

_ACTIONS: Final = ("set", "undo", "redo")
_CODEX: Final = ("core_identity", "voice", "pillars")
_PERSONAS: Final[Columns] = {
    "PERSONA": "name",
    "MODEL": "model",
    "ADAPTER": lambda row: row["writing"] or row["adapter"] or "-",
    "SET": lambda row: ", ".join(row["set"]) or "-",
    "ROLE": "role",
}
_STATES: Final[Columns] = {
    "STATE": "name",
    "STEP": "step",
    "SET": lambda row: ", ".join(row["set"]) or "-",
}


async def _personas(ask: Ask) -> Mapping[str, Any]:
    return await _look_or_change(ask, "personas", "{}_obj")


async def _states(ask: Ask) -> Mapping[str, Any]:
    return await _look_or_change(ask, "states", "state_{}_obj")


async def _look_or_change(ask: Ask, verb: str, form: str) -> Mapping[str, Any]:
    """Send what the words of the command line say: ``[set|undo|redo] NAME [KEY [VALUE]]``."""
    words = vars(ask.options)
    named = words["persona"] if verb == "personas" else words["state"]
    given = [word for word in (words["action"], named, words["key"], *words["value"]) if word]
    action = given.pop(0) if given and given[0] in _ACTIONS else ""
    if not given:
        if action:
            raise ArgumentsError(f"batos {verb} {action} needs a name and an entry")
        return await ask.kernel.request(verb, timeout=60.0)
    name, _, facet = given.pop(0).lower().removesuffix("_obj").removeprefix("state_").partition(":")
    key = given.pop(0) if given else ""
    if action and not key:
        raise ArgumentsError(
            f"batos {verb} {action} {name} needs an entry; see batos {verb} {name}"
        )
    if facet:
        key = f"facets.{facet}.{key}" if action == "set" else "facets"
    elif key in _CODEX:
        key = f"codex.{key}" if action == "set" else "codex"
    body: dict[str, Any] = {"key": key, "do": action}
    if action == "set":
        if not given:
            raise ArgumentsError(f"batos {verb} set {name} {key} needs a value")
        text = " ".join(given)
        body["value"] = read_json(text) if len(given) == 1 else text
    elif given:
        raise ArgumentsError(f"{given[0][:60]!r} is too much; batos {verb} --help shows how")
    told = await ask.kernel.request("entry", timeout=60.0, target=form.format(name), body=body)
    if action == "set" and not facet and key.partition(".")[0] in WRITES | ASKS:
        about = f"{name} {key.rpartition('.')[2]}"
        ask.screen.note(f"batos canary {about} shows what comes out better and worse with it")
    return told


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if "personas" in body:
        table_of("personas", _PERSONAS)(body, screen)
        screen.note(f"profile {body['profile']}; batos personas NAME shows what can be set")
    elif "states" in body:
        table_of("states", _STATES)(body, screen)
        screen.note("batos states NAME shows what can be set")
    else:
        _show_entries(body, screen)


def _show_entries(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (row["key"], cut(json.dumps(row["value"], ensure_ascii=False)), _whence(row), row["about"])
        for row in body["entries"]
    ]
    screen.table(rows, ("ENTRY", "VALUE", "FROM", "WHAT IT IS"))
    if len(rows) == 1:
        entry = body["entries"][0]
        screen.note(f"takes {entry['takes']}")
        for version in entry["versions"]:
            mark = "*" if version["version"] == entry["version"] else " "
            shown = cut(json.dumps(version["value"], ensure_ascii=False))
            when = show_time(version.get("at")) or "default"
            screen.answer(f"{mark} {version['version']}  {when}  {shown}")


def _whence(row: Mapping[str, Any]) -> str:
    return f"version {row['version']}" if row["version"] else "default"


COMMANDS: Final[Mapping[str, Command]] = {
    "personas": Command(_show, _personas),
    "states": Command(_show, _states),
}
