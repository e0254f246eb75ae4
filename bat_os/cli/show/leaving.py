"""The verb ``uninstall``: BAT OS stops, its service goes, and what stays is named with its place.

With ``--data`` it asks twice and then deletes what BAT OS has made in the home, and nothing else: a
home may be any folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.environment import ROOT
from bat_os.cli.show.command import Command, read_line
from bat_os.cli.show.system import remove_service, service_of, stop
from bat_os.core.settings import IMAGE
from bat_os.errors import ArgumentsError, BatError, LockedError, StorageError
from bat_os.models.profiles import show_size
from bat_os.supervisor.home import Home, is_held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

# What BAT OS makes in a home; a person may have put other things there.
OURS: Final = (
    f"{IMAGE}*", "*.blob.frozen", "log", "run", "keys", "forks", "forge", "versions", "upgrade",
    "backups", "home.json", "home.new", "program.json", "upgrade_keys", "update_instructions.json",
    "batos.toml", "profiles.toml", "metacognition.jsonl*", "chat_history*", "*.task.xml",
)  # fmt: skip


PATIENCE: Final = 30.0  # seconds for a daemon to end
LOOK: Final = 0.05


async def _uninstall(ask: Ask) -> Mapping[str, Any]:
    home = Home(ask.home)
    if ask.options.data and ask.screen.as_json:
        raise ArgumentsError("--data asks twice; leave out --json")
    stopped = await _stop_whole(ask)
    service = await asyncio.to_thread(remove_service, service_of(home), home)
    deleted: list[str] = []
    if ask.options.data and await _agree(home):
        deleted = await asyncio.to_thread(_delete, home)
    stays = await asyncio.to_thread(lambda: list(_list_stays(home)))
    failed = bool(stopped["exit_status"] or service["exit_status"])
    return {
        "stopped": stopped["stopped"], "service": service["trouble"] or service["done"],
        "stays": stays, "deleted": deleted, "exit_status": int(failed),
    }  # fmt: skip


async def _stop_whole(ask: Ask) -> Mapping[str, Any]:
    """Stop the daemon; before data goes, wait until it has written what it writes at its end."""
    pid = 0
    with contextlib.suppress(BatError):
        pid = int((await ask.kernel.request("health", timeout=PATIENCE)).get("pid", 0))
    stopped = await stop(ask)
    if pid and ask.options.data and not await asyncio.to_thread(_await_end, pid):
        raise LockedError(f"process {pid} still serves {ask.home}; end it, then try again")
    return stopped


def _await_end(pid: int) -> bool:
    import psutil  # only here

    give_up = time.monotonic() + PATIENCE
    try:
        process = psutil.Process(pid)
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > give_up:
                return False
            time.sleep(LOOK)
    except psutil.NoSuchProcess:
        pass
    return True


async def _agree(home: Home) -> bool:
    """Return whether a person has said yes twice, the second time by the folder's name."""
    size = show_size(await asyncio.to_thread(_size_of, home.path))
    first = f"Delete all data in {home.path} ({size}): what it learned, facts, documents? [yes/no] "
    if (await read_line(first)).strip().casefold() != "yes":
        return False
    name = home.path.name
    return (await read_line(f"There is no way back. Type {name} to delete it: ")).strip() == name


def _delete(home: Home) -> list[str]:
    """Delete what BAT OS has made in a home, and the home if nothing else is in it."""
    if is_held(home.lock):
        raise LockedError(f"something still serves {home.path}; stop it first (./run.sh stop)")
    deleted = []
    try:
        for path in sorted({path for pattern in OURS for path in home.path.glob(pattern)}):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            deleted.append(str(path))
        if home.path.is_dir() and not any(home.path.iterdir()):
            home.path.rmdir()
            deleted.append(str(home.path))
    except OSError as error:
        raise StorageError(f"not everything could be deleted: {error}") from error
    return deleted


def _list_stays(home: Home) -> Iterator[dict[str, Any]]:
    """Yield what is still there, and how to remove it."""
    if home.path.is_dir():
        what = "your data" if (home.path / IMAGE).exists() else "files that are not of BAT OS"
        remove = "batos uninstall --data" if what == "your data" else "look through it"
        yield _stay(what, home.path, remove)
    if (ROOT / "run.sh").is_file():
        yield _stay("the program and its libraries", ROOT, "delete the folder")
    else:
        remove = "pipx uninstall bat-os, uv tool uninstall bat-os or pip uninstall bat-os"
        yield _stay("the program and its libraries", Path(sys.prefix), remove)
    for name, command in ((".cache/pip", "pip cache purge"), (".cache/uv", "uv cache clean")):
        if (path := Path.home() / name).is_dir():
            yield _stay("a cache that other programs use, too", path, command)


def _stay(what: str, path: Path, remove: str) -> dict[str, Any]:
    return {"what": what, "where": str(path), "size": _size_of(path), "remove": remove}


def _size_of(folder: Path) -> int:
    """Return the bytes of all files in a folder, each once however many names it has."""
    seen: dict[tuple[int, int], int] = {}
    for path in folder.rglob("*"):
        try:
            about = path.lstat()
        except OSError:
            continue
        seen[about.st_dev, about.st_ino] = about.st_size
    return sum(seen.values())


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(
        "BAT OS does not run any more." if body["stopped"] else "It could not be stopped."
    )
    screen.answer(f"its service: {body['service']}")
    for path in body["deleted"]:
        screen.note(f"deleted {path}")
    rows = [(one["what"], show_size(one["size"]), one["where"], one["remove"])
            for one in body["stays"]]  # fmt: skip
    screen.table(rows, ("WHAT STAYS", "SIZE", "WHERE", "TO REMOVE IT"))
    screen.note("to take your data along first: batos export --all FOLDER")


COMMANDS: Final[Mapping[str, Command]] = {"uninstall": Command(_show, _uninstall)}
