"""``batos minds``: the directory of minds. ``--mind NAME``, or BATOS_MIND, asks one of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.connection import may_come
from bat_os.cli.environment import MIND
from bat_os.cli.show.command import Command
from bat_os.core.schema import convert
from bat_os.errors import ArgumentsError
from bat_os.supervisor.home import Home
from bat_os.supervisor.minds import Mind, add_mind, directory, read_minds, remove_mind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

_UNKNOWN: Final = "elsewhere"


async def _minds(ask: Ask) -> Mapping[str, Any]:
    options, path = ask.options, directory(os.environ)
    if options.do in ("add", "remove") and not options.name:
        raise ArgumentsError(f"batos minds {options.do} needs a NAME")
    if options.do == "remove":
        gone = remove_mind(path, options.name)
        return {"removed": options.name, "home": gone.home}
    if options.do == "add":
        mind = _describe(ask)
        add_mind(path, options.name, mind)
        return {"added": options.name, "where": _where(mind), "directory": str(path)}
    rows = [
        {"name": name, "where": _where(one), "state": _state(one),
         "chosen": name == os.environ.get(MIND)}
        for name, one in sorted(read_minds(path).items())
    ]  # fmt: skip
    return {"minds": rows, "directory": str(path)}


def _describe(ask: Ask) -> Mind:
    file, connect = ask.options.key_file, ask.options.connect
    place = str(Path(file).expanduser().absolute()) if file else ""
    given = {"connect": connect, "key_file": place} if file or connect else {"home": str(ask.home)}
    return convert(given, Mind, ArgumentsError)


def _where(mind: Mind) -> str:
    return mind.home or mind.connect or mind.key_file


def _state(mind: Mind) -> str:
    """Return whether a daemon runs there; of one elsewhere, that is not looked at."""
    if not mind.home:
        return _UNKNOWN
    home = Home(Path(mind.home))
    if may_come(home):
        return "runs"
    return "stopped" if home.path.is_dir() else "not begun"


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if "minds" not in body:
        what = "added" if "added" in body else "removed"
        screen.answer(body[what])
        if what == "added":
            screen.note(f"batos --mind {body['added']} status asks it")
        elif body["home"]:
            screen.note(f"What it knows stays in {body['home']}.")
        return
    rows = [(one["name"], one["state"], one["where"]) for one in body["minds"]]
    screen.table(rows, ("NAME", "STATE", "WHERE"))
    if not rows:
        screen.note("batos minds add NAME --home FOLDER enters one.")


COMMANDS: Final[Mapping[str, Command]] = {"minds": Command(_show, _minds)}
