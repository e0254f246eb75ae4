"""Verbs about the image as a whole: backup, restore, archive, fork, pack, space, verify.

restore and ``backup --verify`` need no kernel. The others ask the kernel that serves; if none does,
they open the image themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.progress import Progress
from bat_os.cli.show.command import Command, show_time, table_of
from bat_os.core.printable import show_count
from bat_os.core.system_verbs import LONG
from bat_os.errors import KernelUnreachableError, LockedError
from bat_os.models.profiles import show_size
from bat_os.supervisor.home import Home, is_held

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask, Columns


async def _backup(ask: Ask) -> Mapping[str, Any]:
    if ask.options.verify:
        from bat_os.app import offline  # ZODB: a third of a second

        return _judged(await offline.verify_backup(ask.options.folder))
    return _judged(await _run(ask))


def _judged(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the body with the exit status: 1 if something is damaged."""
    return {**body, "exit_status": 1 if body["damaged"] else 0}


async def _archive(ask: Ask) -> Mapping[str, Any]:
    return _judged(await _run(ask))


async def _restore(ask: Ask) -> Mapping[str, Any]:
    from bat_os.app import offline  # ZODB: a third of a second

    target = ask.options.target
    if is_held(Home(target).lock):
        raise LockedError(f"a watchdog serves {target}; stop it first (./run.sh stop)")
    made = await offline.restore_home(ask.options.backup, target, replace=ask.options.replace)
    return _judged(made)


async def _fork(ask: Ask) -> Mapping[str, Any]:
    if ask.options.drop:
        return await ask_or_open(ask, "fork.drop", {"name": ask.options.name})
    return await _run(ask)


async def _pack(ask: Ask) -> Mapping[str, Any]:
    days = {} if ask.options.days is None else {"days": ask.options.days}
    if ask.options.auto:
        return await ask_or_open(ask, "pack", {"policy": {"auto": ask.options.auto == "on"} | days})
    return await ask_or_open(ask, "pack", days)


async def _run(ask: Ask) -> Mapping[str, Any]:
    return await ask_or_open(ask, ask.options.verb, ask.fields().get("body", {}))


async def ask_or_open(ask: Ask, verb: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Ask the kernel; if none serves, do it here with the image of this home."""
    try:
        with Progress(ask.screen) as bar:
            return await ask.kernel.request(verb, timeout=LONG, body=dict(body), on_event=bar.hear)
    except KernelUnreachableError:
        from bat_os.app import offline  # ZODB: a third of a second

        return await offline.do_work(ask.home, verb, body)


def _show_backup(body: Mapping[str, Any], screen: Screen) -> None:
    kept = "up to" if body["damaged"] else "whole up to"
    screen.say(f"{body['folder']}: {kept} {body['tid']}, {show_size(body['size'])}")
    if "added" in body:
        how = "everything" if body["full"] else "what was new"
        screen.note(
            f"{how}: {show_size(body['added'])} in {body['seconds']:.1f} s, read again and right"
        )
    _show_damaged(body, screen)


def _show_damaged(body: Mapping[str, Any], screen: Screen) -> None:
    for damaged in body["damaged"]:
        text = f"a part of the image is missing or damaged: {damaged}"
        screen.note(f"{text}; batos verify names what it is and what to do", "yellow")


def _show_restored(body: Mapping[str, Any], screen: Screen) -> None:
    objects = sum(body["objects"].values())
    kept = "up to" if body["damaged"] else "whole up to"
    screen.say(f"{body['home']}: {show_count(objects, 'object')}, {kept} {body['tid']}")
    _show_damaged(body, screen)
    if body["kept"]:
        screen.note(f"the home that was there is {body['kept']} now")


def _show_archive(body: Mapping[str, Any], screen: Screen) -> None:
    screen.say(f"{body['file']}: {show_size(body['size'])} for {show_size(body['holds'])}")
    screen.note(f"SHA-256 {body['sha256']}; the chronicle has it")
    _show_damaged(body, screen)


def _show_erased(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [(place["kind"], place["what"], place["fate"]) for place in body["places"]]
    rows += [("file", file, "blanked") for file in body["files"]]
    if rows:
        screen.table(rows, ("KIND", "WHERE", "FATE"))
    if body["more"]:
        screen.note(f"and {body['more']} more places")
    if body["past"]["records"]:
        since = show_time(body["past"]["since"])
        states = show_count(body["past"]["records"], "stored state")
        screen.note(f"in {states}, the first of {since}: the history from then until now goes too")
    for other in body["elsewhere"]:
        screen.note(f"{other['what']} holds them too; remove it: {other['remove']}", "yellow")
    for line in body["left"]:
        screen.note(line, "yellow")
    if not rows and not body["past"]["records"]:
        screen.say("the words stand nowhere in this home")
    elif body["erased"]:
        screen.say("erased")
    else:
        screen.say("nothing was changed; with --yes all of this is removed for good")


def _deed(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "archive":
        return f"{entry['file']}: {entry['reason']}"
    if entry["kind"] == "erase":
        return show_count(entry["places"], "place")
    if entry["kind"] == "fork":
        return f"{entry['name']} from {entry['tid']}"
    if "folder" in entry:
        return str(entry["folder"])
    return (
        f"{show_size(entry['before'])} to {show_size(entry['after'])}, {entry['days']:g} days kept"
    )


_CHRONICLE: Final[Columns] = {
    "WHEN": lambda entry: show_time(entry["at"]),
    "WHAT": "kind",
    "": _deed,
}
_FORKS: Final[Columns] = {
    "FORK": "name",
    "MADE": lambda fork: show_time(fork["made"]),
    "RUNS": lambda fork: "yes" if fork["running"] else "",
    "OWN": lambda fork: show_size(fork["bytes"]),
    "HOME": "home",
}


def _show_fork(body: Mapping[str, Any], screen: Screen) -> None:
    if body.get("dropped"):
        screen.say(f"the fork {body['name']} is gone")
        return
    screen.answer(body["home"])
    screen.note(
        f"made in {body['seconds'] * 1000:.0f} ms; start it: BATOS_HOME={body['home']} ./run.sh"
    )


def _show_pack(body: Mapping[str, Any], screen: Screen) -> None:
    if "policy" in body:
        screen.say(_policy(body["policy"]))
        return
    freed, blobs = show_size(body["before"] - body["after"]), show_size(body["blobs"])
    screen.say(f"{show_size(body['after'])} now; {freed} and {blobs} of blobs freed")


def _policy(policy: Mapping[str, Any]) -> str:
    if not policy["auto"]:
        return "packed only when asked to"
    least = show_size(policy["floor"])
    return (
        f"packed when the file has doubled, or is a sixth larger after a week, from {least} on; "
        f"{policy['days']:g} days kept"
    )


def _show_space(body: Mapping[str, Any], screen: Screen) -> None:
    rows = [
        (kind, room["objects"], show_size(room["bytes"])) for kind, room in body["kinds"].items()
    ]
    rows += [
        ("history", "", show_size(body["history"])),
        ("blobs", body["blobs"]["files"], show_size(body["blobs"]["bytes"])),
        ("  of old models", "", show_size(body["blobs"].get("old", 0))),  # unknown at a server
        ("forks", len(body["forks"]), show_size(sum(one["bytes"] for one in body["forks"]))),
    ]
    screen.table(rows, ("KIND", "OBJECTS", "ROOM"))
    screen.note(f"image file {show_size(body['file'])}; {show_size(body['free'])} free on the disk")
    screen.note(_policy(body["policy"]))


async def _verify(ask: Ask) -> Mapping[str, Any]:
    with Progress(ask.screen) as bar:
        try:
            body = await ask.request(on_event=bar.hear)
        except KernelUnreachableError:
            from bat_os.app import offline  # ZODB: a third of a second

            body = await offline.verify_image(ask.home, bar.begin)
    return _judged(body)


def _show_verified(body: Mapping[str, Any], screen: Screen) -> None:
    counts = ", ".join(f"{count} {kind}s" for kind, count in body["checked"].items())
    for damage in body["damaged"]:
        screen.say(f"DAMAGED  {damage['what']}: {damage['why']}")
        screen.note(f"         {damage['advice']}")
    if not body["damaged"]:
        screen.say(f"whole: {counts}")
    if others := len(body["quarantined"]) - len(body["damaged"]):
        screen.note(f"{max(others, 0)} in quarantine from earlier")


COMMANDS: Final[Mapping[str, Command]] = {
    "backup": Command(_show_backup, _backup),
    "restore": Command(_show_restored, _restore),
    "archive": Command(_show_archive, _archive),
    "chronicle": Command(table_of("chronicle", _CHRONICLE), _run),
    "fork": Command(_show_fork, _fork),
    "forks": Command(table_of("forks", _FORKS), _run),
    "pack": Command(_show_pack, _pack),
    "space": Command(_show_space, _run),
    "erase": Command(_show_erased, _run),
    "verify": Command(_show_verified, _verify),
}
