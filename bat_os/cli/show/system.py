"""Verbs about the system itself: doctor, status, restart, stop, logs, keys, config, service.

No kernel is needed. ``batos service`` registers the watchdog as a service of this user.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.background import Background
from bat_os.cli.console import to_json
from bat_os.cli.environment import ROOT, load, watchdog_command
from bat_os.cli.gateway import read_http
from bat_os.cli.language import translate
from bat_os.cli.show.command import Command, show_time
from bat_os.cli.watchdog import EXIT_NOT_RUNNING, show_status
from bat_os.cli.watchdog import restart as restart_kernel
from bat_os.cli.watchdog import stop as stop_watchdog
from bat_os.core.settings import FILE, PREFIX, Settings, describe_allowed
from bat_os.errors import (
    ArgumentsError,
    KernelUnreachableError,
    LockedError,
    SettingsError,
    StorageError,
)
from bat_os.models.machine import read_book
from bat_os.supervisor.home import Home, is_held
from bat_os.supervisor.report import read_status
from bat_os.supervisor.restart import RestartPolicy
from bat_os.supervisor.service import Place, Service, describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

LINE: Final = 2_000  # bytes; most lines are shorter, and longer ones make fewer lines
LOOK: Final = 0.2  # seconds between two looks at a log that is followed


async def _doctor(ask: Ask) -> Mapping[str, Any]:
    from bat_os.cli.doctor.report import examine  # cells and image; other verbs need neither

    return await examine(ask)


def _show_doctor(body: Mapping[str, Any], screen: Screen) -> None:
    from bat_os.cli.doctor.report import show  # as above

    show(body, screen)


async def tell_status(ask: Ask) -> Mapping[str, Any]:
    """Return what runs; see the verb ``status``."""
    from bat_os.cli.doctor.running import ask_kernel  # psutil; only here

    home = Home(ask.home)
    kernel = await ask_kernel(ask.kernel, home)
    held, status, http = is_held(home.lock), read_status(home), read_http(home)
    return {
        "running": held or bool(kernel.health),
        "watchdog": None if status is None else asdict(status) | {"running": held},
        "kernel": dict(kernel.health) or None,
        "setup": Background(ROOT, home, os.environ).describe(),
        "trouble": kernel.trouble,
        "home": str(home.path),
        "log": str(home.kernel_log),
        "http": http["url"] if held else "",
        "http_problem": http["problem"] if held else "",
        "exit_status": 0 if held or kernel.health else EXIT_NOT_RUNNING,
    }


def _show_status(body: Mapping[str, Any], screen: Screen) -> None:
    kernel, watchdog = body["kernel"], body["watchdog"]
    if kernel and not (watchdog and watchdog["running"]):
        screen.say(f"BAT OS {kernel.get('version')} is running, without a watchdog.")
        screen.say(f"  daemon   process {kernel.get('pid')}")
        screen.say(f"  home     {body['home']}")
    else:
        show_status(Home(Path(body["home"])))
    if kernel:
        screen.say(f"  says     {_describe_health(kernel)}")
        for line in kernel.get("lost", ()):
            screen.say(f"  lost     {line}; see batos doctor")
    elif body["trouble"]:
        screen.say(f"  trouble  {body['trouble']}")


def _describe_health(health: Mapping[str, Any]) -> str:
    from bat_os.cli.doctor.running import show_uptime  # psutil; only here

    waiting = health.get("queued", 0)
    up = translate(f"up {show_uptime(float(health.get('uptime', 0)))}, {waiting} requests wait")
    if less := health.get("less"):
        up += "; " + translate(f"does less: {translate(less)}")
    if problem := health.get("problem"):
        return translate(f"it serves what it knows, but: {problem}") + f"; {up}"
    if doing := health.get("awakening"):
        return translate(f"it is waking up: {doing}") + f"; {up}"
    if loading := health.get("loading"):
        return translate(f"ready, still {loading}") + f"; {up}"
    return translate("ready") + f", {up}"


class LogReader:
    """Reads a log from near its end, and then what is added; follows it when it is rotated."""

    def __init__(self, path: Path) -> None:
        """Open the log."""
        self._path = path
        self._rest = b""
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ArgumentsError(
                f"there is no log {path} to be read ({error.strerror}); "
                "the daemon makes it when it starts (./run.sh)"
            ) from error

    def last(self, count: int) -> list[str]:
        """Return up to ``count`` last lines; ``news`` goes on after them."""
        size = self._file.seek(0, os.SEEK_END)
        start = max(0, size - count * LINE)
        self._file.seek(start)
        return self._split(self._file.read(size - start))[-count:]

    def news(self) -> list[str]:
        """Return the whole lines that have come since."""
        lines = self._split(self._file.read())
        if self._was_replaced():
            self.close()
            self._file = self._path.open("rb")
            lines += self._split(self._file.read())
        elif os.fstat(self._file.fileno()).st_size < self._file.tell():  # it was emptied
            self._file.seek(0)
            lines += self._split(self._file.read())
        return lines

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._file.close()

    def _split(self, data: bytes) -> list[str]:
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]

    def _was_replaced(self) -> bool:
        mine = os.fstat(self._file.fileno())
        try:
            there = self._path.stat()
        except OSError:
            return False  # between two files; the next look finds the new one
        return not os.path.samestat(mine, there)


async def _logs(ask: Ask) -> Mapping[str, Any]:
    home, options = Home(ask.home), ask.options
    path = home.kernel_log
    if options.events:
        path = home.path / load(home.path, os.environ).settings.metacognition_log_file
    reader = await asyncio.to_thread(LogReader, path)
    try:
        lines = reader.last(options.lines)
        if not options.follow:
            return _as_body(path, lines, events=options.events)
        while True:
            for line in lines:
                ask.screen.answer(_show_line(line, ask.screen, events=options.events))
            await asyncio.sleep(LOOK)
            lines = reader.news()
    finally:
        reader.close()


def _as_body(path: Path, lines: list[str], *, events: bool) -> dict[str, Any]:
    if events:
        return {"log": str(path), "events": [_read_event(line) for line in lines]}
    return {"log": str(path), "lines": lines}


def _show_line(line: str, screen: Screen, *, events: bool) -> str:
    if screen.as_json:
        return to_json(_read_event(line) if events else {"line": line})
    return describe_event(_read_event(line)) if events else line


def _show_logs(body: Mapping[str, Any], screen: Screen) -> None:
    for line in body.get("lines", ()):
        screen.answer(line)
    for event in body.get("events", ()):
        screen.answer(describe_event(event))


def _read_event(line: str) -> dict[str, Any]:
    """Return the event in a line of the journal; the line itself where it is none."""
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        event = None
    return event if isinstance(event, dict) else {"line": line}


_MOVED: Final = "STATE_TRANSITION"
_COMMON: Final = ("timestamp", "cycle_id", "mission_brief_hash", "current_state")


def describe_event(event: Mapping[str, Any]) -> str:
    """Return an event of the journal as one line.

    >>> describe_event({"line": "half a li"})
    'half a li'
    >>> describe_event({"state": "failed", "target": "robot_obj", "selector": "wave"})
    '?  FAILED                     robot_obj.wave'
    """
    if "line" in event:
        return str(event["line"])
    if event.get("event_type", _MOVED) != _MOVED:
        about = {key: event[key] for key in event if key not in _COMMON}
        return f"{event.get('timestamp') or '?'}  {to_json(about)}"
    detail = event.get("detail")
    known = detail if isinstance(detail, dict) else {}
    what = known.get("reason") or known.get("goal") or event.get("does") or ""
    state, persona = str(event.get("state", "?")).upper(), str(event.get("persona", ""))
    message = f"{event.get('target')}.{event.get('selector')}"
    text = f"{show_time(event.get('at')) or '?'}  {state:<13} {persona:<12} {message}  {what}"
    return " ".join(text.splitlines()).rstrip()


_HEAD: Final = f"""\
# Settings of BAT OS: {FILE} in the home directory. {PREFIX}NAME variables go over it, flags
# over both. The kernel reads them when it starts; batos config show says what counts and
# who said it.
"""


async def _config(ask: Ask) -> Mapping[str, Any]:
    if ask.options.action == "example":
        return {"example": write_example()}
    flags = {"home": str(ask.home)} if ask.options.home else {}
    found = load(ask.home, os.environ, **flags)
    values, path = asdict(found.settings), ask.home / FILE
    wanted = found.settings
    try:
        read_book(ask.home).profile(wanted.profile)
    except SettingsError as error:
        raise SettingsError(f"{found.origins['profile']}: {error}") from error
    read_book(ask.home).as_wanted(wanted.profile, wanted.persona_models)
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


def _show_config(body: Mapping[str, Any], screen: Screen) -> None:
    if "example" in body:
        screen.answer(body["example"].rstrip("\n"))
        return
    rows = [(row["name"], _as_toml(row["value"]), row["origin"]) for row in body["settings"]]
    screen.table(rows, ("SETTING", "VALUE", "FROM"))
    there = "" if body["exists"] else " (not there; batos config example prints one)"
    screen.note(f"{body['file']}{there}")


async def stop(ask: Ask) -> Mapping[str, Any]:
    """Stop the daemon of a home and its watchdog, if any runs."""
    home = Home(ask.home)
    if is_held(home.lock):
        status = await asyncio.to_thread(stop_watchdog, home)
        return {"stopped": status == 0, "was": "watched", "exit_status": status}
    try:
        await ask.kernel.request("shutdown", timeout=10.0)
    except KernelUnreachableError:
        return {"stopped": True, "was": "not running", "exit_status": 0}
    return {"stopped": True, "was": "alone", "exit_status": 0}


async def _restart(ask: Ask) -> Mapping[str, Any]:
    home = Home(ask.home)
    if not is_held(home.lock):
        try:
            await ask.kernel.request("health", timeout=10.0)
        except KernelUnreachableError:
            pass
        else:
            raise ArgumentsError("this daemon has no watchdog; end it, and start it where it runs")
    status = await asyncio.to_thread(restart_kernel, home, RestartPolicy().limit)
    return {"restarted": status == 0, "exit_status": status}


def _show_restart(body: Mapping[str, Any], screen: Screen) -> None:
    if body["restarted"]:
        screen.note("Nothing is lost: what it learned and what you said is there.")


def _show_stop(body: Mapping[str, Any], screen: Screen) -> None:
    if body["was"] == "alone":
        screen.note("The daemon stops; it had no watchdog.")
    elif body["was"] == "not running":
        screen.note("BAT OS is not running.")


PATIENCE: Final = 120.0  # seconds for a system command; enabling starts the watchdog


async def _service(ask: Ask) -> Mapping[str, Any]:
    act = {"install": _install, "remove": remove_service, "show": _describe_service}
    home = Home(ask.home)
    return await asyncio.to_thread(act[ask.options.action], service_of(home), home)


def service_of(home: Home) -> Service:
    """Return the service that keeps a home running, whether it is registered or not."""
    folder = Path.home()
    name, domain = getpass.getuser(), os.environ.get("USERDOMAIN", "")
    config = os.environ.get("XDG_CONFIG_HOME", "")
    place = Place(
        platform=sys.platform,
        user=f"{domain}\\{name}" if domain and os.name == "nt" else name,
        uid=os.getuid() if hasattr(os, "getuid") else 0,
        folder=folder,
        config=Path(config) if config.startswith("/") else folder / ".config",
        usual=home == Home.find({**os.environ, "BATOS_HOME": ""}, ROOT),
    )
    return describe(home, watchdog_command(home), ROOT, place)


def _describe_service(service: Service, _home: Home) -> dict[str, Any]:
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
    return _report(service, "installed", _run_all(service.enable, service.absent))


def remove_service(service: Service, _home: Home) -> dict[str, Any]:
    """Unregister a service and remove its file; ``done`` says what happened."""
    if not service.path.exists():
        return _report(service, "not installed", "")
    trouble = _run_all(service.disable, service.absent)
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


def _run_all(commands: Sequence[Sequence[str]], absent: Sequence[int]) -> str:
    """Run system commands in turn; return why one failed, or "". ``absent`` counts as done."""
    for command in commands:
        if shutil.which(command[0]) is None:
            return f"{command[0]} is not installed, so nothing was registered"
        try:
            done = subprocess.run(  # noqa: S603 - our own words, no shell
                command, capture_output=True, text=True, timeout=PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{' '.join(command)}: {error}"
        if done.returncode and done.returncode not in absent:
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


COMMANDS: Final[Mapping[str, Command]] = {
    "doctor": Command(_show_doctor, _doctor),
    "status": Command(_show_status, tell_status),
    "restart": Command(_show_restart, _restart),
    "stop": Command(_show_stop, stop),
    "logs": Command(_show_logs, _logs),
    "config": Command(_show_config, _config),
    "service": Command(_show_service, _service),
}
