"""Verbs about the image as a whole: backup, restore, archive, fork, pack, space, verify.

restore and ``backup --verify`` need no kernel. The others ask the kernel that serves; if none does,
they open the image themselves.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.progress import Progress
from bat_os.cli.show.command import Command
from bat_os.core.verbs import LONG
from bat_os.errors import KernelUnreachableError, LockedError
from bat_os.supervisor.home import Home, is_held

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask


async def _backup(ask: Ask) -> Mapping[str, Any]:
    if ask.options.verify:
        from bat_os.app import offline  # ZODB: a third of a second

        return await offline.verify_backup(ask.options.folder)
    return await _run(ask)


async def _restore(ask: Ask) -> Mapping[str, Any]:
    from bat_os.app import offline  # ZODB: a third of a second

    target = ask.options.target
    if is_held(Home(target).lock):
        raise LockedError(f"a watchdog serves {target}; stop it first (./run.sh stop)")
    return await offline.restore_home(ask.options.backup, target, replace=ask.options.replace)


async def _fork(ask: Ask) -> Mapping[str, Any]:
    if ask.options.drop:
        return await _ask(ask, "fork.drop", {"name": ask.options.name})
    return await _run(ask)


async def _pack(ask: Ask) -> Mapping[str, Any]:
    days = {} if ask.options.days is None else {"days": ask.options.days}
    if ask.options.auto:
        return await _ask(ask, "pack", {"policy": {"auto": ask.options.auto == "on"} | days})
    return await _ask(ask, "pack", days)


async def _run(ask: Ask) -> Mapping[str, Any]:
    return await _ask(ask, ask.options.verb, ask.fields().get("body", {}))


async def _ask(ask: Ask, verb: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the kernel; if none serves, do it here with the image of this home."""
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
    rows = [(_when(entry["at"]), entry["kind"], _deed(entry)) for entry in body["chronicle"]]
    screen.table(rows, ("WHEN", "WHAT", ""))


def _deed(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "archive":
        return f"{entry['file']}: {entry['reason']}"
    if entry["kind"] == "fork":
        return f"{entry['name']} from {entry['tid']}"
    return f"{_size(entry['before'])} to {_size(entry['after'])}, {entry['days']:g} days kept"


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
            fork["name"],
            _when(fork["made"]),
            "yes" if fork["running"] else "",
            _size(fork["bytes"]),
            fork["home"],
        )
        for fork in body["forks"]
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


async def _verify(ask: Ask) -> Mapping[str, Any]:
    with Progress(ask.screen) as bar:
        try:
            body = await ask.request(on_event=bar.hear)
        except KernelUnreachableError:
            from bat_os.app import offline  # ZODB: a third of a second

            body = await offline.verify_image(ask.home, bar.begin)
    return body | {"exit_status": 1 if body["damaged"] else 0}


def _show_verified(body: Mapping[str, Any], screen: Screen) -> None:
    counts = ", ".join(f"{count} {kind}s" for kind, count in body["checked"].items())
    for damage in body["damaged"]:
        screen.answer(f"DAMAGED  {damage['what']}: {damage['why']}")
        screen.note(f"         {damage['advice']}")
    if not body["damaged"]:
        screen.answer(f"whole: {counts}")
    if others := len(body["quarantined"]) - len(body["damaged"]):
        screen.note(f"{max(others, 0)} in quarantine from earlier")


COMMANDS: Final[Mapping[str, Command]] = {
    "backup": Command(_show_backup, _backup),
    "restore": Command(_show_restored, _restore),
    "archive": Command(_show_archive, _run),
    "chronicle": Command(_show_chronicle, _run),
    "fork": Command(_show_fork, _fork),
    "forks": Command(_show_forks, _run),
    "pack": Command(_show_pack, _pack),
    "space": Command(_show_space, _run),
    "verify": Command(_show_verified, _verify),
}
