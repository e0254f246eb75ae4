"""Settings as they count here: ``batos.toml`` of the home, ``BATOS_*`` over it, flags over both.

``batos config`` shows them and who said what; it needs no kernel.
"""

from __future__ import annotations

import os
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final

from bat_os.app.machine import read_book
from bat_os.cli.commands.command import Command
from bat_os.cli.shell.access import require
from bat_os.core.settings import FILE, PREFIX, Resolved, Settings, describe_allowed, resolve
from bat_os.errors import SettingsError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen

MAX_BYTES: Final = 256 << 10
_HEAD: Final = f"""\
# Settings of BAT OS: {FILE} in the home directory. {PREFIX}NAME variables go over it, flags
# over both. The kernel reads them when it starts; batos config show says what counts and
# who said it.
"""


def load(home: Path, environ: Mapping[str, str], /, **flags: Any) -> Resolved:
    """Return the settings of a home directory, and where each came from.

    Raises:
        SettingsError: The home or the file cannot be used, or something in the file, in the
            environment or in the flags; the message says where and what is allowed.
    """
    require(home)
    path = home / FILE
    found = resolve(read_file(path), environ, flags | {"home": str(home)}, path=str(path))
    if "home" not in flags:
        origin = f"{PREFIX}HOME" if environ.get(f"{PREFIX}HOME") else "default"
        return Resolved(found.settings, {**found.origins, "home": origin})
    return found


def read_file(path: Path) -> str:
    """Return the text of a settings file; "" where there is none.

    Raises:
        SettingsError: It cannot be read, is too large or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise SettingsError(f"{path} has more than {MAX_BYTES} bytes; settings need far fewer")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}, line {line}: it is not UTF-8 text") from error


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
