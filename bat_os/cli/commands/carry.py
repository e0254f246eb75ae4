"""Verbs about the image as a whole: backup, restore, archive, fork, pack, space.

restore and ``backup --verify`` need no kernel. backup, fork, pack and the like ask the one that
serves; where none does, they open the image themselves.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import LONG, Command
from bat_os.errors import KernelUnreachableError, LockedError
from bat_os.supervisor.home import Home
from bat_os.supervisor.lock import is_held

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable, Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen


async def _backup(ask: Ask) -> Mapping[str, Any]:
    folder = ask.options.folder
    if ask.options.verify:
        from bat_os.app import offline  # ZODB: a third of a second

        return await offline.verify_backup(folder)
    full, copy = ask.options.full, ask.options.copy
    return await _ask(ask, "backup", {"folder": str(folder), "full": full, "copy": copy})


async def _restore(ask: Ask) -> Mapping[str, Any]:
    from bat_os.app import offline  # ZODB: a third of a second

    target = ask.options.target
    if is_held(Home(target).lock):
        raise LockedError(f"a watchdog serves {target}; stop it first (./run.sh stop)")
    return await offline.restore_home(ask.options.backup, target, replace=ask.options.replace)


async def _archive(ask: Ask) -> Mapping[str, Any]:
    file, reason = ask.options.file, ask.options.reason
    return await _ask(ask, "archive", {"file": str(file), "reason": reason})


async def _fork(ask: Ask) -> Mapping[str, Any]:
    name, when = ask.options.name, ask.options.at
    if ask.options.drop:
        return await _ask(ask, "fork.drop", {"name": name})
    return await _ask(ask, "fork", {"name": name, "at": when})


async def _pack(ask: Ask) -> Mapping[str, Any]:
    days = {} if ask.options.days is None else {"days": ask.options.days}
    if ask.options.auto:
        return await _ask(ask, "pack", {"policy": {"auto": ask.options.auto == "on"} | days})
    return await _ask(ask, "pack", days)


def _asks(verb: str) -> Callable[[Ask], Awaitable[Mapping[str, Any]]]:
    async def run(ask: Ask) -> Mapping[str, Any]:
        return await _ask(ask, verb, {})

    return run


async def _ask(ask: Ask, verb: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the kernel, or where none serves, do it here with the image of this home."""
    try:
        return await ask.kernel.request(verb, timeout=LONG, body=dict(body))
    except KernelUnreachableError:
        from bat_os.app import offline  # ZODB: a third of a second

        return await offline.do_work(ask.home, verb, body)


def _show_backup(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(f"{body['folder']}: whole up to {body['tid']}, {_size(body['size'])}")
    if "added" in body:
        how = "everything" if body["full"] else "what was new"
        screen.note(
            f"{how}: {_size(body['added'])} in {body['seconds']:.1f} s, read again and right"
        )
    for sha256 in body.get("damaged", ()):
        screen.note(f"a stored file is damaged in the image: {sha256}; batos doctor", "yellow")


def _show_restored(body: Mapping[str, Any], screen: Screen) -> None:
    objects = sum(body["objects"].values())
    screen.answer(f"{body['home']}: {objects} objects, whole up to {body['tid']}")
    if body["kept"]:
        screen.note(f"the home that was there is {body['kept']} now")


def _show_archive(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(f"{body['file']}: {_size(body['size'])} for {_size(body['holds'])}")
    screen.note(f"SHA-256 {body['sha256']}; the chronicle has it")


def _show_chronicle(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [(_when(one["at"]), one["kind"], _deed(one)) for one in body["chronicle"]]
    screen.table(rows, ("WHEN", "WHAT", ""))


def _deed(one: Mapping[str, Any]) -> str:
    if one["kind"] == "archive":
        return f"{one['file']}: {one['reason']}"
    if one["kind"] == "fork":
        return f"{one['name']} from {one['tid']}"
    return f"{_size(one['before'])} to {_size(one['after'])}, {one['days']:g} days kept"


def _show_fork(body: Mapping[str, Any], screen: Screen) -> None:
    if body.get("dropped"):
        screen.answer(f"the fork {body['name']} is gone")
        return
    screen.answer(body["home"])
    screen.note(
        f"made in {body['seconds'] * 1000:.0f} ms; start it: BATOS_HOME={body['home']} ./run.sh"
    )


def _show_forks(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (
            one["name"],
            _when(one["made"]),
            "yes" if one["running"] else "",
            _size(one["bytes"]),
            one["home"],
        )
        for one in body["forks"]
    ]
    screen.table(rows, ("FORK", "MADE", "RUNS", "OWN", "HOME"))


def _show_pack(body: Mapping[str, Any], screen: Screen) -> None:
    if "policy" in body:
        screen.answer(_policy(body["policy"]))
        return
    freed = body["before"] - body["after"]
    screen.answer(
        f"{_size(body['after'])} now; {_size(freed)} and {_size(body['blobs'])} of blobs freed"
    )


def _policy(policy: Mapping[str, Any]) -> str:
    if not policy["auto"]:
        return "packed only when asked to"
    least = _size(policy["floor"])
    return f"packed when the file has doubled, from {least} on; {policy['days']:g} days kept"


def _show_space(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [(kind, room["objects"], _size(room["bytes"])) for kind, room in body["kinds"].items()]
    rows += [
        ("history", "", _size(body["history"])),
        ("blobs", body["blobs"]["files"], _size(body["blobs"]["bytes"])),
        ("forks", len(body["forks"]), _size(sum(one["bytes"] for one in body["forks"]))),
    ]
    screen.table(rows, ("KIND", "OBJECTS", "ROOM"))
    screen.note(f"image file {_size(body['file'])}; {_size(body['free'])} free on the disk")
    screen.note(_policy(body["policy"]))


def _size(count: float) -> str:
    """Return bytes as people read them.

    >>> _size(999), _size(1500), _size(2.5e9)
    ('999 B', '1.5 kB', '2.5 GB')
    """
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.1f} {unit}" if unit != "B" else f"{count:.0f} B"
        count /= 1000
    return f"{count:.1f} GB"


def _when(at: float) -> str:
    return dt.datetime.fromtimestamp(at).astimezone().isoformat(" ", "minutes") if at else ""


def _backup_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=_whole, help="a folder of its own; made where it is not there"
    )
    parser.add_argument("--verify", action="store_true", help="only read it all again; no kernel")
    parser.add_argument("--full", action="store_true", help="write everything again")
    parser.add_argument(
        "--copy",
        action="store_true",
        help="copy models even on the same disk, where a second name would do",
    )


def _restore_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", type=_whole, help="folder of a backup, or file of an archive")
    parser.add_argument("target", metavar="home", type=_whole, help="the home to make")
    parser.add_argument(
        "--replace",
        action="store_true",
        help="put it in place of a home; the old one is kept beside it",
    )


def _archive_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.tar.gz", type=_whole, help="must not be there yet")
    parser.add_argument("--reason", required=True, help="why; goes into the chronicle")


def _fork_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="letters, digits, _ and -")
    parser.add_argument("--at", default="", metavar="WHEN", help="as the image was: '2 hours ago'")
    parser.add_argument("--drop", action="store_true", help="remove the fork and all it learned")


def _pack_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=float, help="history to keep (default: 30)")
    parser.add_argument(
        "--auto",
        choices=("on", "off"),
        help="pack nothing now, but say whether the kernel does it when the file has doubled",
    )


def _whole(text: str) -> Path:
    """Return a path that the kernel, which has another working directory, understands."""
    return Path(text).expanduser().absolute()


COMMANDS: Final[Mapping[str, Command]] = {
    "backup": Command("back the image up, while it serves", _backup, _backup_words, _show_backup),
    "restore": Command(
        "make a home of a backup or archive", _restore, _restore_words, _show_restored
    ),
    "archive": Command("keep the whole image as one file", _archive, _archive_words, _show_archive),
    "chronicle": Command(
        "list archives, forks and packs", _asks("chronicle"), show=_show_chronicle
    ),
    "fork": Command("make another mind with the same past", _fork, _fork_words, _show_fork),
    "forks": Command("list the forks", _asks("forks"), show=_show_forks),
    "pack": Command("give back the room of old history", _pack, _pack_words, _show_pack),
    "space": Command("say what takes the room", _asks("space"), show=_show_space),
}
