"""How the gateway is started: by the watchdog, while a port is set for it.

The setting is looked at again when its file changes, so ``batos open`` restarts nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import fields
from typing import TYPE_CHECKING, Final

import bat_os
from bat_os.cli.environment import ROOT, kernel_command, kernel_environ, load
from bat_os.core.settings import FILE, Settings
from bat_os.errors import SettingsError
from bat_os.supervisor.home import read_json, write_json
from bat_os.supervisor.report import tail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bat_os.supervisor.home import Home
    from bat_os.supervisor.keeper import Keeper

WHERE: Final = "run/gateway.json"
LAST_WORDS: Final = "batos: "  # a process that cannot start begins its message with this


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of ``batos gateway``."""
    parser = argparse.ArgumentParser(
        prog="batos gateway",
        description="HTTP for the daemon of a home. Usually the watchdog starts it: batos open.",
        epilog="Exit status: 0 stopped, 74 a port is taken, 78 a person must act.",
    )
    parser.add_argument("verb", choices=["gateway"], help=argparse.SUPPRESS)
    parser.add_argument("--home", help="folder of the image (default: $BATOS_HOME, or data)")
    parser.add_argument("--supervised", action="store_true", help="stop when standard input closes")
    return parser


def make_keeper(home: Home, environ: Mapping[str, str]) -> Keeper:
    """Return what keeps the gateway of a home running while its settings want one."""
    from bat_os.supervisor.keeper import Keeper  # psutil; the gateway itself needs none

    wish = _Wish(home, environ)

    def command() -> list[str]:
        words = kernel_command(home)
        return [*words[: words.index("serve")], "gateway", *words[words.index("serve") + 1 :]]

    log_file = home.path / "log" / "gateway.log"
    return Keeper(
        "gateway", command, wish.read, log_file=log_file, environ=kernel_environ(environ),
        on_end=lambda code: _note_end(home, code, log_file),
    )  # fmt: skip


def read_http(home: Home) -> dict[str, str]:
    """Return where the gateway of a home is open, ``url``, or why it is not: ``problem``."""
    facts = read_json(home.path / WHERE)
    return {name: str(facts.get(name) or "") for name in ("url", "problem")}


def _note_end(home: Home, code: int, log_file: Path) -> None:
    """Note why there is no gateway, unless it has said so itself."""
    if read_http(home)["problem"]:
        return
    last = "".join(tail(log_file, lines=1))
    said = last.removeprefix(LAST_WORDS) if last.startswith(LAST_WORDS) else ""
    why = said or f"the gateway ended with status {code}; see {log_file}"
    with contextlib.suppress(OSError):
        write_json(home.path / WHERE, {"problem": why})


class _Wish:
    """What the settings say of the gateway, read again when their file changes."""

    def __init__(self, home: Home, environ: Mapping[str, str]) -> None:
        self._home = home
        self._environ = environ
        self._seen: object = None
        self._wish = ""

    def read(self) -> str:
        """Return what the gateway is wanted for; "" for none."""
        seen = [_facts(self._home.path / FILE), _facts(self._home.program)]
        if seen != self._seen:
            self._seen = seen
            try:
                settings = load(self._home.path, self._environ).settings
            except SettingsError:  # half written, or wrong: what runs goes on
                return self._wish
            self._wish = self._describe(settings)
        return self._wish

    def _describe(self, settings: Settings) -> str:
        if settings.http_port < 0:
            if read_http(self._home)["problem"]:  # of one that is not wanted any more
                (self._home.path / WHERE).unlink(missing_ok=True)
            return ""
        from bat_os.supervisor.program import read_program  # as above

        program = read_program(self._home, ROOT, bat_os.__version__)
        own = [field.name for field in fields(Settings) if field.name.startswith("http_")]
        return repr([str(program.tree), *(getattr(settings, name) for name in own)])


def _facts(path: Path) -> tuple[int, int] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size
