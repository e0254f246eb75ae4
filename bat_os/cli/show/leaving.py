"""The verb ``uninstall``: BAT OS stops, its service goes, and what stays is named with its place.

With ``--data`` it asks twice and then deletes what BAT OS has made in the home, and nothing else: a
home may be any folder, so backups, keys and logs of another name in it stay.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.environment import ROOT, load
from bat_os.cli.show.command import Command, read_line
from bat_os.cli.show.system import remove_service, service_of, stop
from bat_os.client.client import KernelClient
from bat_os.core.redaction import hide_secrets
from bat_os.core.settings import IMAGE
from bat_os.errors import ArgumentsError, BatError, LockedError, StorageError
from bat_os.image.files import manifest
from bat_os.models.profiles import show_size
from bat_os.supervisor.home import Home, is_held

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

# What BAT OS makes in a home. A person may have put other things there, even into a folder of the
# same name: of a folder only these go, and the folder itself once it is empty.
OURS: Final = (
    f"{IMAGE}*", "*.blob.frozen", "home.json", "home.new", "program.json", "upgrade_keys",
    "update_instructions.json", "batos.toml", "profiles.toml", "metacognition.jsonl*",
    "chat_history", "batos*.task.xml", "log/kernel.log*", "log/watchdog.log*", "log/crash/*.json",
    "run/endpoint.json*", "run/status.json*", "run/trial.json*", "run/missions.json*",
    "run/*.sock", "run/token*",
    "run/watchdog.lock", "run/loading-ahead", "run/models", "run/adapters", "run/new", "run/packed",
    "keys/*.json*", "keys/*.key", "upgrade/*.json", "upgrade/ended/*.json", "upgrade/update.key*",
    "forge/about.json", "forge/order.json", "forge/records.jsonl", "forge/stopped",
)  # fmt: skip
# Whole folders, each with the file that shows that BAT OS made it.
_MARKED: Final = (
    ("backups/daily-[0-9]*", manifest.NAME), ("backups/format-[0-9]*", manifest.NAME),
    ("upgrade/backup", manifest.NAME), ("upgrade/restored", IMAGE),
    ("forge/adapter", "adapter_config.json"),
    ("forks/*", f"{IMAGE}.fork/fork.json"), ("versions/*-*", "tree/bat_os/__init__.py"),
)  # fmt: skip
_FOLDERS: Final = (  # an inner one first, the home last
    "log/crash", "log", "run", "keys", "upgrade/ended", "upgrade", "forge", "forks", "versions",
    "backups", "",
)  # fmt: skip
PATIENCE: Final = 30.0  # seconds for a daemon to end
LOOK: Final = 0.05


async def _uninstall(ask: Ask) -> Mapping[str, Any]:
    home = Home(ask.home)
    if ask.options.data and ask.screen.as_json:
        raise ArgumentsError("--data asks twice; leave out --json")
    elsewhere = await asyncio.to_thread(_list_elsewhere, home)
    stopped = await _stop_whole(ask)
    service = await asyncio.to_thread(remove_service, service_of(home), home)
    deleted: list[str] = []
    if ask.options.data and await _agree(home):
        deleted = await asyncio.to_thread(_delete, home)
    stays = await asyncio.to_thread(lambda: [*_list_stays(home), *elsewhere])
    failed = bool(stopped["exit_status"] or service["exit_status"])
    return {
        "stopped": stopped["stopped"], "service": service["trouble"] or service["done"],
        "stays": stays, "deleted": deleted, "exit_status": int(failed),
    }  # fmt: skip


async def _stop_whole(ask: Ask) -> Mapping[str, Any]:
    """Stop the daemon; before data goes, wait until it has written what it writes at its end.

    It is that of this home, whatever daemon elsewhere the settings connect to.
    """
    pid = 0
    ask = replace(ask, kernel=KernelClient.at(ask.home))
    with contextlib.suppress(BatError):
        pid = int((await ask.kernel.request("health", timeout=PATIENCE)).get("pid", 0))
    try:
        stopped = await stop(ask)
    finally:
        ask.kernel.close()
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
    if is_held(home.lock) or is_held(home.path / f"{IMAGE}.lock"):
        raise LockedError(f"something still serves {home.path}; stop it first (./run.sh stop)")
    deleted = []
    try:
        ours = sorted({*_list_ours(home.path)})
        for path in ours:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            deleted.append(str(path))
        for name in _FOLDERS:
            folder = home.path / name
            if folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir()):
                folder.rmdir()
                deleted.append(str(folder))
    except OSError as error:
        raise StorageError(f"not everything could be deleted: {error}") from error
    return deleted


def _list_ours(home: Path) -> Iterator[Path]:
    """Yield what BAT OS made in a home; nothing that only a link leads to."""
    found = [path for pattern in OURS for path in home.glob(pattern)]
    for pattern, mark in _MARKED:
        found += [path for path in home.glob(pattern) if (path / mark).is_file()]
    yield from (path for path in found if path.parent.resolve().is_relative_to(home.resolve()))


def _list_elsewhere(home: Home) -> list[dict[str, Any]]:
    """Return the data that the settings keep outside of the home; it is never deleted here."""
    with contextlib.suppress(BatError):  # settings that cannot be read must not keep anybody here
        settings = load(home.path, os.environ).settings
        found = []
        if settings.image:
            where = hide_secrets(settings.image)
            found.append(_stay("the image", where, "delete it there, or drop that database"))
        if settings.blob_dir:
            folder = home.path / settings.blob_dir
            found.append(_stay("large files of the image", folder, "delete the folder"))
        return found
    return []


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


def _stay(what: str, path: Path | str, remove: str) -> dict[str, Any]:
    size = _size_of(path) if isinstance(path, Path) else 0
    return {"what": what, "where": str(path), "size": size, "remove": remove}


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
    screen.say("BAT OS does not run any more." if body["stopped"] else "It could not be stopped.")
    screen.say(f"its service: {body['service']}")
    for path in body["deleted"]:
        screen.note(f"deleted {path}")
    rows = [(one["what"], show_size(one["size"]), one["where"], one["remove"])
            for one in body["stays"]]  # fmt: skip
    screen.table(rows, ("WHAT STAYS", "SIZE", "WHERE", "TO REMOVE IT"))
    screen.note("to take your data along first: batos export --all FOLDER")


COMMANDS: Final[Mapping[str, Command]] = {"uninstall": Command(_show, _uninstall)}
