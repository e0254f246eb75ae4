"""``batos upgrade``: explain instructions, sign them, carry them out, try the new program.

The trial starts a kernel of the new program on the real image, on sockets that no client knows,
so nothing that it acknowledges can be lost if the upgrade is undone.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli.environment import ROOT, kernel_command, kernel_environ, load
from bat_os.cli.show.command import Command
from bat_os.core.settings import IMAGE
from bat_os.errors import (
    ArgumentsError,
    BatError,
    KernelUnreachableError,
    LockedError,
    UpgradeError,
)
from bat_os.supervisor.home import FileLock, Home, is_held, read_json, write_json
from bat_os.supervisor.process import KernelProcess, Launch, StopTimes
from bat_os.supervisor.report import tail
from bat_os.supervisor.upgrade import instructions, journal
from bat_os.supervisor.upgrade.instructions import LARGEST
from bat_os.supervisor.upgrade.journal import STEPS, Stage
from bat_os.supervisor.upgrade.upgrader import Site, Upgrader, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask
    from bat_os.client.client import KernelClient
    from bat_os.supervisor.program import Program

LOOK: Final = 0.05  # seconds between two looks at what the other process does
TRIAL_SECONDS: Final = 60.0
ANSWER: Final = 2.0  # seconds for one answer
NO_TCP: Final = "-1"
ANY_TCP: Final = "0"


async def _upgrade(ask: Ask) -> Mapping[str, Any]:
    options, home = ask.options, Home(ask.home)
    if options.new_key:
        return {"key": options.new_key, "line": instructions.make_key(Path(options.new_key))}
    if not options.file:
        return _describe_last(home)
    file = Path(options.file)
    if options.sign or options.seal:
        return _sign(file, Path(options.sign) if options.sign else None)
    site = make_site(home, os.environ)
    text = _read(file)
    plan = await asyncio.to_thread(examine, site, text)
    steps, stage = [], Stage.RECEIVED  # of an upgrade that succeeds
    while not stage.is_final:
        step = STEPS[stage]
        steps.append({"does": step.does, "serving": step.serving, "fails": step.fails.value})
        stage = step.then
    body = {
        "id": plan.instructions.id,
        "from": plan.running.version,
        "to": plan.instructions.after,
        "commit": plan.instructions.commit,
        "signer": plan.signer,
        "libraries": plan.instructions.requirements,
        "image_format": plan.instructions.image_format or None,
        "steps": steps,
    }
    if options.dry_run:
        return body | {"dry_run": True}
    return body | await carry_out(ask, site, text)


async def carry_out(ask: Ask, site: Site, text: bytes) -> dict[str, Any]:
    """Let the watchdog do it, or do it here if none runs; return how it ended."""
    site.home.prepare()
    if site.home.instructions.exists():
        raise ArgumentsError(f"{site.home.instructions} is already waiting")
    before = journal.read(site.home)
    if before is not None and not before.stage.is_final:
        raise ArgumentsError("another upgrade is in progress; batos upgrade shows how far it is")
    if is_held(site.home.lock):
        return await _wait(ask, site, text, before)
    try:
        lock = FileLock(site.home.lock).acquire()
    except LockedError as error:
        raise LockedError("a watchdog has just started; try again") from error
    with lock:
        _put(site.home, text)
        upgrader = Upgrader(site)

        def show(step: str, pid: int | None) -> None:
            if pid is None:
                ask.screen.note(step)

        await asyncio.to_thread(upgrader.prepare)
        await asyncio.to_thread(upgrader.apply, show)
        return _report(upgrader.outcome)


async def _wait(
    ask: Ask, site: Site, text: bytes, before: journal.Journal | None
) -> dict[str, Any]:
    """Give the instructions to the watchdog and follow its journal."""
    _put(site.home, text)
    shown = 0
    while True:
        await asyncio.sleep(LOOK)
        current = await asyncio.to_thread(journal.read, site.home)
        if current is None or (before is not None and current.times == before.times):
            if not is_held(site.home.lock):
                raise UpgradeError("the watchdog ended; start it again to resume")
            continue
        for stage, _ in current.times[shown:]:
            ask.screen.note(stage.replace("_", " "))
        shown = len(current.times)
        if current.stage.is_final:
            return _report(current)
        if not is_held(site.home.lock):
            stage = current.stage.value
            raise UpgradeError(f"the watchdog ended at {stage}; start it again to resume")


def _put(home: Home, text: bytes) -> None:
    draft = home.instructions.with_name(home.instructions.name + ".new")
    draft.write_bytes(text)
    draft.replace(home.instructions)


def _report(record: journal.Journal | None) -> dict[str, Any]:
    if record is None:
        raise UpgradeError("the instructions were not accepted")
    return {
        "stage": record.stage.value,
        "reason": record.reason,
        "seconds": round(record.times[-1][1] - record.times[0][1], 3) if record.times else 0.0,
        "exit_status": 0 if record.stage is Stage.DONE else 1,
    }


def _describe_last(home: Home) -> dict[str, Any]:
    record = journal.read(home)
    if record is None:
        raise ArgumentsError("there has been no upgrade yet; batos upgrade FILE starts one")
    return {
        "id": record.id,
        "stage": record.stage.value,
        "reason": record.reason,
        "signer": record.signer,
        "to": record.after.version if record.after else None,
        "times": [list(pair) for pair in record.times],
    }


def _sign(file: Path, key: Path | None) -> dict[str, Any]:
    plain = instructions.read_plain(file)
    signed = instructions.seal(plain) if key is None else instructions.sign(plain, key)
    try:
        write_json(file, signed, durable=True, mode=0o644)  # it is for others, too
    except OSError as error:
        raise ArgumentsError(f"{file} cannot be written: {error}") from error
    return {"file": str(file), "sha256": signed["sha256"], "signed": key is not None}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise ArgumentsError(f"{path} does not exist") from error
    except OSError as error:
        raise ArgumentsError(f"{path} cannot be read: {error.strerror}") from error


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if "line" in body:
        screen.answer(body["line"])
        screen.note(f"the private key is {body['key']}; add the line to upgrade_keys")
    elif "sha256" in body:
        how = "signed" if body["signed"] else "sealed, without a signature"
        screen.say(f"{body['file']}: {how}")
    elif body.get("dry_run"):
        _show_plan(body, screen)
    else:
        reason = f" ({body['reason']})" if body["reason"] else ""
        screen.say(f"{body['id'] or 'the upgrade'}: {body['stage'].replace('_', ' ')}{reason}")


def _show_plan(body: Mapping[str, Any], screen: Screen) -> None:
    screen.say(f"{body['id']}: from {body['from']} to {body['to']}, signer {body['signer']}")
    screen.say(f"  commit {body['commit']}")
    if body["libraries"]:
        screen.say(f"  libraries of {body['libraries']}, in a venv on top of the current one")
    if body["image_format"]:
        screen.say(f"  the image changes to format {body['image_format']}")
    for number, step in enumerate(body["steps"], 1):
        up = "the daemon serves" if step["serving"] else "no daemon"
        fails = step["fails"].replace("_", " ")
        screen.say(f"  {number}. {step['does']} [{up}; if it fails: {fails}]")
    screen.note("nothing was changed; run it without --dry-run to upgrade")


def make_site(home: Home, environ: Mapping[str, str]) -> Site:
    """Return what is upgraded."""
    return Site(
        home=home,
        root=ROOT,
        version=bat_os.__version__,
        locate_image=lambda: _locate_image(home, environ),
        command=lambda program: kernel_command(home, program),
        trial=lambda program, show: try_out(home, program, kernel_environ(environ), show),
    )


def _locate_image(home: Home, environ: Mapping[str, str]) -> Path:
    location = load(home.path, environ).settings.image
    if "://" in location:
        raise UpgradeError(
            f"the image is at {location.partition('://')[0]}://..., not a file here; back it up "
            "with the tools of its storage, and start the new program by hand"
        )
    return Path(location).absolute() if location else home.path / IMAGE


def try_out(
    home: Home, program: Program, environ: Mapping[str, str], show: Callable[[int], None]
) -> None:
    """Check that a kernel of ``program`` serves the image and stops properly."""
    trial = Home(home.path, trial=True)
    trial.endpoint.unlink(missing_ok=True)
    ended = threading.Event()
    tcp = NO_TCP if hasattr(asyncio, "open_unix_connection") else ANY_TCP
    command = [*kernel_command(home, program), "--trial", "--tcp-port", tcp]
    try:
        process = KernelProcess(
            Launch(command, home.kernel_log, environ), lambda _code, _at: ended.set()
        )
    except OSError as error:
        raise UpgradeError(f"the new program cannot be started: {error}") from error
    show(process.pid)
    trouble = ""
    try:
        asyncio.run(_examine(trial, process.pid, program, ended))
    except BatError as error:
        trouble = str(error)
    finally:
        code = process.stop(StopTimes())
        trial.endpoint.unlink(missing_ok=True)
    if code and not trouble:
        trouble = f"it ended with status {code}"
    if trouble:
        last = " | ".join(tail(home.kernel_log, lines=3))
        raise UpgradeError(f"the new program does not serve: {trouble}. Its last lines: {last}")


async def _examine(trial: Home, pid: int, program: Program, ended: threading.Event) -> None:
    """Wait until the kernel is ready, and send it a message."""
    from bat_os.client.client import KernelClient  # zmq takes 60 ms

    give_up = time.monotonic() + TRIAL_SECONDS
    while read_json(trial.endpoint).get("pid") != pid:
        _check(ended, give_up)
        await asyncio.sleep(LOOK)
    async with KernelClient.at(trial.path, file=trial.endpoint) as kernel:
        while not (health := await _ask_health(kernel)).get("ready"):
            if health.get("problem"):
                raise UpgradeError(str(health["problem"]))
            _check(ended, give_up)
            await asyncio.sleep(LOOK)
        if health.get("version") != program.version:
            raise UpgradeError(f"it is version {health.get('version')}, not {program.version}")
        # A message that every image answers, through dispatcher, turn and image.
        patience = max(0.1, give_up - time.monotonic())
        answer = await kernel.request(
            "send", timeout=patience, target="genesis_obj", selector="respondsTo", args=["clone"]
        )
    if answer.get("result") is not True:
        raise UpgradeError(f"genesis_obj.respondsTo('clone') gave {answer.get('result')!r:.80}")


async def _ask_health(kernel: KernelClient) -> dict[str, Any]:
    """Return its report of itself; {} while it does not answer."""
    try:
        return await kernel.request("health", timeout=ANSWER)
    except KernelUnreachableError:
        return {}


def _check(ended: threading.Event, give_up: float) -> None:
    if ended.is_set():
        raise UpgradeError("it has ended")
    if time.monotonic() > give_up:
        raise UpgradeError(f"it was not ready within {TRIAL_SECONDS:.0f} s")


COMMANDS: Final[Mapping[str, Command]] = {"upgrade": Command(_show, _upgrade)}
