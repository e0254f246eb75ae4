"""Verbs about the running system: doctor, status, logs, health, shutdown."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bat_os.cli.commands.command import Command, simple
from bat_os.cli.console import to_json
from bat_os.cli.watchdog import EXIT_NOT_RUNNING, show_status
from bat_os.errors import ArgumentsError
from bat_os.supervisor.home import Home
from bat_os.supervisor.lock import is_held
from bat_os.supervisor.report import read_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bat_os.cli.commands.command import Ask
    from bat_os.cli.console import Screen

MOST_LINES: Final = 100_000
LINE: Final = 2_000  # bytes; most lines are shorter, and longer ones make fewer lines
LOOK: Final = 0.2  # seconds between two looks at a log that is followed


async def _doctor(ask: Ask) -> Mapping[str, Any]:
    from bat_os.cli.doctor.report import examine  # cells and image; other verbs need neither

    return await examine(ask)


def _show_doctor(body: Mapping[str, Any], screen: Screen) -> None:
    from bat_os.cli.doctor.report import show  # as above

    show(body, screen)


def _doctor_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--quick", action="store_true", help="leave out what takes seconds: device and cell"
    )


async def _status(ask: Ask) -> Mapping[str, Any]:
    from bat_os.cli.doctor.running import ask_kernel  # psutil; only here

    home = Home(ask.home)
    kernel = await ask_kernel(ask.kernel, home)
    held, status = is_held(home.lock), read_status(home)
    return {
        "running": held or bool(kernel.health),
        "watchdog": None if status is None else asdict(status) | {"running": held},
        "kernel": dict(kernel.health) or None,
        "trouble": kernel.trouble,
        "home": str(home.path),
        "log": str(home.kernel_log),
        "exit_status": 0 if held or kernel.health else EXIT_NOT_RUNNING,
    }


def _show_status(body: Mapping[str, Any], screen: Screen) -> None:
    kernel, watchdog = body["kernel"], body["watchdog"]
    if kernel and not (watchdog and watchdog["running"]):
        screen.answer(f"BAT OS {kernel.get('version')} is running, without a watchdog.")
        screen.answer(f"  kernel   process {kernel.get('pid')}")
        screen.answer(f"  home     {body['home']}")
    else:
        show_status(Home(Path(body["home"])))
    if kernel:
        screen.answer(f"  says     {_describe_health(kernel)}")
    elif body["trouble"]:
        screen.answer(f"  trouble  {body['trouble']}")


def _describe_health(health: Mapping[str, Any]) -> str:
    from bat_os.cli.doctor.running import show_seconds  # psutil; only here

    up = f"up {show_seconds(float(health.get('uptime', 0)))}, {health.get('queued', 0)} briefs wait"
    if problem := health.get("problem"):
        return f"it serves what it knows, but: {problem}; {up}"
    if doing := health.get("awakening"):
        return f"it is waking up: {doing}; {up}"
    return f"ready, {up}"


class LogReader:
    """Reads a log from near its end, and then what is added; follows it when it is rotated."""

    def __init__(self, path: Path) -> None:
        """Open the log.

        Raises:
            ArgumentsError: There is none.
        """
        self._path = path
        self._rest = b""
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise ArgumentsError(
                f"there is no log {path} to be read ({error.strerror}); "
                "the kernel makes it when it starts (./run.sh)"
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
    path = home.path / "metacognition.jsonl" if options.events else home.kernel_log
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
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _as_body(path, [], events=options.events)
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


def describe_event(event: Mapping[str, Any]) -> str:
    """Return an event of the journal as one line.

    >>> describe_event({"line": "half a li"})
    'half a li'
    >>> describe_event({"state": "failed", "target": "robot_obj", "selector": "wave"})
    '?  FAILED                     robot_obj.wave'
    """
    if "line" in event:
        return str(event["line"])
    detail = event.get("detail")
    known = detail if isinstance(detail, dict) else {}
    what = known.get("reason") or known.get("goal") or event.get("does") or ""
    state, persona = str(event.get("state", "?")).upper(), str(event.get("persona", ""))
    message = f"{event.get('target')}.{event.get('selector')}"
    text = f"{_show_time(event.get('at'))}  {state:<13} {persona:<12} {message}  {what}"
    return " ".join(text.splitlines()).rstrip()


def _show_time(at: Any) -> str:
    try:
        return dt.datetime.fromtimestamp(at, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (TypeError, ValueError, OverflowError, OSError):
        return "?"


def _logs_words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-n", "--lines", type=_read_count, default=40, help="how many (default: 40)"
    )
    parser.add_argument(
        "--events", action="store_true", help="the journal of thought, not the kernel's log"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on until Ctrl-C")


def _read_count(text: str) -> int:
    count = int(text) if text.isdecimal() and len(text) < 10 else 0
    if not 1 <= count <= MOST_LINES:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is no number from 1 to {MOST_LINES}")
    return count


COMMANDS: Final[Mapping[str, Command]] = {
    "doctor": Command(
        "look at everything and say what to do; works without a kernel",
        _doctor,
        _doctor_words,
        _show_doctor,
    ),
    "status": Command(
        "say what runs; exit status 0 when something does, 3 when not", _status, show=_show_status
    ),
    "logs": Command("show the end of the kernel's log", _logs, _logs_words, _show_logs),
    "health": Command("say how the kernel is", simple("health")),
    "shutdown": Command("let the kernel go down; its watchdog ends too", simple("shutdown")),
}
