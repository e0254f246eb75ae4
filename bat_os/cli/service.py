"""``batos service install|remove|show``: the watchdog as a service of this user."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.environment import ROOT, watchdog_command
from bat_os.cli.show.command import Command
from bat_os.errors import LockedError, StorageError
from bat_os.supervisor.home import Home, is_held
from bat_os.supervisor.service import Place, Service, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

PATIENCE: Final = 120.0  # seconds for a system command; enabling starts the watchdog


async def _service(ask: Ask) -> Mapping[str, Any]:
    home, folder = Home(ask.home), Path.home()
    name, domain = getpass.getuser(), os.environ.get("USERDOMAIN", "")
    config = os.environ.get("XDG_CONFIG_HOME", "")
    place = Place(
        platform=sys.platform,
        user=f"{domain}\\{name}" if domain and os.name == "nt" else name,
        uid=os.getuid() if hasattr(os, "getuid") else 0,
        folder=folder,
        config=Path(config) if config.startswith("/") else folder / ".config",
        usual=home.path == ROOT / "data",
    )
    service = describe(home, watchdog_command(home), ROOT, place)
    act = {"install": _install, "remove": _remove, "show": _show}[ask.options.action]
    return await asyncio.to_thread(act, service, home)


def _show(service: Service, _home: Home) -> dict[str, Any]:
    coding = "utf-16" if service.path.suffix == ".xml" else "utf-8"
    return {
        "file": str(service.path),
        "text": service.content.decode(coding),
        "commands": [" ".join(command) for command in service.enable],
        "installed": service.path.is_file() and service.path.read_bytes() == service.content,
    }


def _install(service: Service, home: Home) -> dict[str, Any]:
    if is_held(home.lock):
        raise LockedError(
            f"a watchdog already serves {home.path}; stop it (./run.sh stop), then install again"
        )
    try:
        home.prepare()
        service.path.parent.mkdir(parents=True, exist_ok=True)
        draft = service.path.with_name(service.path.name + ".new")
        draft.write_bytes(service.content)
        draft.replace(service.path)
    except OSError as error:
        raise StorageError(f"{service.path} cannot be written: {error}") from error
    return _report(service, "installed", _run_all(service.enable))


def _remove(service: Service, _home: Home) -> dict[str, Any]:
    if not service.path.exists():
        return _report(service, "not installed", "")
    trouble = _run_all(service.disable)
    try:
        service.path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{service.path} cannot be removed: {error}") from error
    return _report(service, "removed", trouble)


def _report(service: Service, done: str, trouble: str) -> dict[str, Any]:
    return {
        "file": str(service.path),
        "done": done,
        "trouble": trouble,
        "exit_status": 1 if trouble else 0,
    }


def _run_all(commands: Sequence[Sequence[str]]) -> str:
    """Run system commands in turn; return why one failed, or ""."""
    for command in commands:
        if shutil.which(command[0]) is None:
            return f"{command[0]} is not installed, so nothing was registered"
        try:
            done = subprocess.run(  # noqa: S603 - our own words, no shell
                command, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(command)}: {error}"
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())[:300]
            return f"{' '.join(command)}: {said or f'status {done.returncode}'}"
    return ""


def _show_service(body: Mapping[str, Any], screen: Screen) -> None:
    if "text" in body:
        screen.answer(body["text"].rstrip())
        exists = "already exists" if body["installed"] else "does not exist"
        screen.note(f"the file {body['file']} {exists}; install writes it, then runs:")
        for command in body["commands"]:
            screen.note(f"  {command}")
        return
    screen.answer(f"{body['file']}: {body['done']}")
    if body["trouble"]:
        screen.note(f"but the service manager failed: {body['trouble']}", "yellow")
    elif body["done"] == "installed" and sys.platform == "linux":
        screen.note("to keep it running while you are logged out: loginctl enable-linger")


COMMANDS: Final[Mapping[str, Command]] = {"service": Command(_show_service, _service)}
