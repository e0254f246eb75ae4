"""``batos upgrade``: see what instructions come to, sign them, have them carried out."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import Command
from bat_os.cli.upkeep.trial import make_site
from bat_os.errors import ArgumentsError, LockedError, UpgradeError
from bat_os.supervisor.home import Home, write_json
from bat_os.supervisor.lock import FileLock, is_held
from bat_os.supervisor.upgrade import journal, trust
from bat_os.supervisor.upgrade.instructions import LARGEST
from bat_os.supervisor.upgrade.stages import STEPS, Stage
from bat_os.supervisor.upgrade.upgrader import Upgrader, examine

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen
    from bat_os.supervisor.upgrade.upgrader import Site

LOOK: Final = 0.1


async def _upgrade(ask: Ask) -> Mapping[str, Any]:
    options, home = ask.options, Home(ask.home)
    if options.new_key is not None:
        return {"key": str(options.new_key), "line": trust.make_key(options.new_key)}
    if options.file is None:
        return _describe_last(home)
    if options.sign is not None or options.seal:
        return _sign(options.file, options.sign)
    site = make_site(home, os.environ)
    text = _read(options.file)
    plan = await asyncio.to_thread(examine, site, text)
    body = {
        "id": plan.instructions.id,
        "from": plan.running.version,
        "to": plan.instructions.after,
        "commit": plan.instructions.commit,
        "signer": plan.signer,
        "libraries": plan.instructions.requirements,
        "image_format": plan.instructions.image_format or None,
        "steps": _list_steps(),
    }
    if options.dry_run:
        return body | {"dry_run": True}
    told = await _carry_out(ask, site, text)
    return body | told


def _list_steps() -> list[dict[str, Any]]:
    """Return the way to a good end, step by step."""
    steps, stage = [], Stage.RECEIVED
    while not stage.is_final:
        step = STEPS[stage]
        steps.append({"does": step.does, "serving": step.serving, "fails": step.fails.value})
        stage = step.then
    return steps


async def _carry_out(ask: Ask, site: Site, text: bytes) -> dict[str, Any]:
    """Have the watchdog do it, or where none runs, do it here; return how it ended."""
    site.home.prepare()
    if site.home.instructions.exists():
        raise ArgumentsError(f"{site.home.instructions} waits already")
    before = journal.read(site.home)
    if before is not None and not before.stage.is_final:
        raise ArgumentsError("another upgrade is going on; batos upgrade tells how far it is")
    if is_held(site.home.lock):
        return await _wait(ask, site, text, before)
    try:
        lock = FileLock(site.home.lock).acquire()
    except LockedError as error:
        raise LockedError("a watchdog has just started; try again") from error
    with lock:
        _put(site.home, text)
        upgrader = Upgrader(site)
        show = lambda step, pid: ask.screen.note(step) if pid is None else None  # noqa: E731 - two lines
        await asyncio.to_thread(upgrader.prepare)
        await asyncio.to_thread(upgrader.apply, show)
        return _tell(upgrader.outcome)


async def _wait(
    ask: Ask, site: Site, text: bytes, before: journal.Journal | None
) -> dict[str, Any]:
    """Give the instructions to the watchdog and follow its journal."""
    _put(site.home, text)
    shown = 0
    while True:
        await asyncio.sleep(LOOK)
        found = await asyncio.to_thread(journal.read, site.home)
        if found is None or (before is not None and found.times == before.times):
            if not is_held(site.home.lock):
                raise UpgradeError("the watchdog ended; started again, it goes on")
            continue
        for stage, _ in found.times[shown:]:
            ask.screen.note(stage.replace("_", " "))
        shown = len(found.times)
        if found.stage.is_final:
            return _tell(found)
        if not is_held(site.home.lock):
            stage = found.stage.value
            raise UpgradeError(f"the watchdog ended at {stage}; started again, it goes on")


def _put(home: Home, text: bytes) -> None:
    draft = home.instructions.with_name(home.instructions.name + ".new")
    draft.write_bytes(text)
    draft.replace(home.instructions)


def _tell(found: journal.Journal | None) -> dict[str, Any]:
    if found is None:
        raise UpgradeError("the instructions were not taken")
    return {
        "stage": found.stage.value,
        "reason": found.reason,
        "seconds": round(found.times[-1][1] - found.times[0][1], 3) if found.times else 0.0,
        "exit_status": 0 if found.stage is Stage.DONE else 1,
    }


def _describe_last(home: Home) -> dict[str, Any]:
    found = journal.read(home)
    if found is None:
        raise ArgumentsError("there has been no upgrade yet; batos upgrade FILE begins one")
    return {
        "id": found.id,
        "stage": found.stage.value,
        "reason": found.reason,
        "signer": found.signer,
        "to": found.after.version if found.after else None,
        "times": [list(pair) for pair in found.times],
    }


def _sign(file: Path, key: Path | None) -> dict[str, Any]:
    told = trust.read_plain(file)
    signed = trust.seal(told) if key is None else trust.sign(told, key)
    try:
        write_json(file, signed, durable=True)
    except OSError as error:
        raise ArgumentsError(f"{file} cannot be written: {error}") from error
    return {"file": str(file), "sha256": signed["sha256"], "signed": key is not None}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except OSError as error:
        raise ArgumentsError(f"{path} cannot be read: {error}") from error


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if "line" in body:
        screen.answer(body["line"])
        screen.note(f"the private key is {body['key']}; the line goes into upgrade_keys")
    elif "sha256" in body:
        how = "signed" if body["signed"] else "sealed, without a signature"
        screen.answer(f"{body['file']}: {how}")
    elif body.get("dry_run"):
        _show_plan(body, screen)
    else:
        reason = f" ({body['reason']})" if body["reason"] else ""
        screen.answer(f"{body['id'] or 'the upgrade'}: {body['stage'].replace('_', ' ')}{reason}")


def _show_plan(body: Mapping[str, Any], screen: Screen) -> None:
    screen.answer(f"{body['id']}: from {body['from']} to {body['to']}, signer {body['signer']}")
    screen.answer(f"  commit {body['commit']}")
    if body["libraries"]:
        screen.answer(f"  libraries of {body['libraries']}, in a venv over the one that runs")
    if body["image_format"]:
        screen.answer(f"  the image goes over to format {body['image_format']}")
    for number, step in enumerate(body["steps"], 1):
        up = "the kernel serves" if step["serving"] else "no kernel"
        fails = step["fails"].replace("_", " ")
        screen.answer(f"  {number}. {step['does']} [{up}; if it fails: {fails}]")
    screen.note("nothing was changed; without --dry-run it is done")


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", type=Path, help="update_instructions.json; without: the last upgrade"
    )
    parser.add_argument("--dry-run", action="store_true", help="check and explain, change nothing")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="sign FILE with a private key")
    parser.add_argument("--seal", action="store_true", help="write only the digest into FILE")
    parser.add_argument("--new-key", type=Path, metavar="KEY", help="make a private key")


COMMANDS: Final[Mapping[str, Command]] = {
    "upgrade": Command("replace the program under the image", _upgrade, _words, _show),
}
