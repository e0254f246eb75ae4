"""Settings as they count here: ``batos.toml`` of the home, ``BATOS_*`` over it, flags over both.

``batos config`` shows them and who said what; it needs no kernel.
"""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import Command
from bat_os.cli.environment import load
from bat_os.core.settings import FILE, PREFIX, Settings, describe_allowed
from bat_os.errors import SettingsError
from bat_os.models.machine import read_book

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen

_HEAD: Final = f"""\
# Settings of BAT OS: {FILE} in the home directory. {PREFIX}NAME variables go over it, flags
# over both. The kernel reads them when it starts; batos config show says what counts and
# who said it.
"""


async def _config(ask: Ask) -> Mapping[str, Any]:
    if ask.options.action == "example":
        return {"example": write_example()}
    flags = {"home": str(ask.home)} if ask.options.home else {}
    found = load(ask.home, os.environ, **flags)
    values, path = asdict(found.settings), ask.home / FILE
    try:
        read_book().profile(found.settings.profile)
    except SettingsError as error:
        raise SettingsError(f"{found.origins['profile']}: {error}") from error
    return {
        "file": str(path),
        "exists": path.is_file(),
        "settings": [
            {
                "name": name,
                "value": values[name],
                "origin": origin,
                "allowed": describe_allowed(name),
            }
            for name, origin in found.origins.items()
        ],
    }


def write_example() -> str:
    """Return a settings file with every setting at its default, commented out."""
    lines = [_HEAD]
    for field in fields(Settings):
        if field.name not in ("home", "failpoint"):
            lines.append(f"# {describe_allowed(field.name)}")
            lines.append(f"# {field.name} = {_as_toml(field.default)}\n")
    return "\n".join(lines)


def _as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if "example" in body:
        screen.answer(body["example"].rstrip("\n"))
        return
    rows = [(one["name"], _as_toml(one["value"]), one["origin"]) for one in body["settings"]]
    screen.table(rows, ("SETTING", "VALUE", "FROM"))
    there = "" if body["exists"] else " (not there; batos config example prints one)"
    screen.note(f"{body['file']}{there}")


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", default="show", choices=["show", "example"], metavar="ACTION",
        help="show: what counts, and where it comes from (the default); "
        "example: print a file to start from",
    )  # fmt: skip


COMMANDS: Final[Mapping[str, Command]] = {
    "config": Command(
        "show the settings and where each comes from; works without a kernel",
        _config,
        _words,
        _show,
    ),
}
