"""The verb ``report``: what a report of a bug needs, a text that is shown before it is written.

Versions, the machine, the settings, what doctor and status say, and the ends of the logs. Nothing
that a person put in may be in it, and a log can quote anything; so of its lines only what stands
in quotes, looks like a secret, or is a word that the program itself does not use goes. What is left
of a sentence of yours is at most its common words: you see it before it goes anywhere.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bat_os
from bat_os.cli.console import to_json
from bat_os.cli.environment import load
from bat_os.cli.show.command import Command, read_line
from bat_os.cli.show.system import tell_status
from bat_os.core.redaction import GONE, hide_secrets
from bat_os.core.settings import CARRIED
from bat_os.errors import ArgumentsError, BatError
from bat_os.supervisor.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bat_os.cli.console import Screen
    from bat_os.cli.show.command import Ask

LINES: Final = 200  # of each log
CRASHES: Final = 3
MAX_LOG: Final = 400_000  # bytes of the end of a log that are looked at
_PACKAGES: Final = ("ZODB", "pyzmq", "xllamacpp", "numpy", "torch", "transformers")
_HEALTH: Final = ("version", "uptime", "queued", "events_lost", "profile", "cell", "models", "lost")
_WORD: Final = re.compile(r"[^\W\d_]+")
_QUOTED: Final = re.compile(r"(?<!\w)(['\"`])(?:\\.|(?!\1).)*\1")
_FRAME: Final = re.compile(r'\s*File "[^"]*?/((?:bat_os|site-packages|python3\.\d+)/[^"]+)"(.*)')


async def _report(ask: Ask) -> Mapping[str, Any]:
    text = "\n".join([line async for line in _sections(ask)]) + "\n"
    written = ""
    if ask.options.file and not ask.screen.as_json:
        ask.screen.answer(text)
        path = Path(ask.options.file)
        if (await read_line(f"Write this to {path}? [yes/no] ")).strip().casefold() == "yes":
            await asyncio.to_thread(_write, path, text)
            written = str(path)
    return {"text": text, "file": written}


async def _sections(ask: Ask) -> Any:
    """Yield the lines of the report."""
    yield f"BAT OS {bat_os.__version__}, Python {platform.python_version()}"
    yield f"{platform.system()} {platform.release()}, {platform.machine()}, {os.cpu_count()} cores"
    for name in _PACKAGES:
        yield f"  {name} {_version(name)}"
    for title, work in (("settings", _settings), ("status", _status), ("doctor", _doctor)):
        yield f"\n== {title}"
        try:
            for line in await work(ask):
                yield f"  {line}"
        except BatError as error:
            yield f"  cannot be said: {error.code}"
    known = await asyncio.to_thread(_vocabulary)
    for path in await asyncio.to_thread(_logs, Home(ask.home)):
        yield f"\n== {path.name}, its end"
        for line in await asyncio.to_thread(_tail, path):
            yield f"  {redact_line(line, known)}"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "is not installed"


async def _settings(ask: Ask) -> list[str]:
    found = load(ask.home, os.environ)
    set_by = {name: by for name, by in found.origins.items() if by != "default"}
    return [
        f"{name} is set" if name not in CARRIED or isinstance(getattr(found.settings, name), str)
        else f"{name} = {getattr(found.settings, name)}"
        for name in set_by
    ]  # fmt: skip


async def _status(ask: Ask) -> list[str]:
    told = await tell_status(ask)
    kernel = told["kernel"] or {}
    about = {name: kernel[name] for name in _HEALTH if name in kernel}
    state = (told["watchdog"] or {}).get("state", "none")
    return [f"running: {told['running']}, watchdog: {state}", hide_secrets(to_json(about))]


async def _doctor(ask: Ask) -> list[str]:
    """Return name and state of each check: what it found may name files of the person."""
    from bat_os.cli.doctor.report import examine  # cells and image; other verbs need neither

    ask.options.quick = True
    return [f"{one['name']}: {one['state']}" for one in (await examine(ask))["checks"]]


def _logs(home: Home) -> list[Path]:
    crashes = sorted(home.crashes.glob("*.json"))[-CRASHES:] if home.crashes.is_dir() else []
    return [path for path in (home.kernel_log, home.watchdog_log, *crashes) if path.is_file()]


def _tail(path: Path) -> list[str]:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - MAX_LOG))
            text = stream.read(MAX_LOG).decode("utf-8", "replace")
    except OSError as error:
        return [f"cannot be read: {error.strerror}"]
    return text.replace("\\n", "\n").splitlines()[-LINES:]


def _vocabulary() -> frozenset[str]:
    """Return the words of the program's own source: those that its messages are made of."""
    folder = Path(bat_os.__file__).parent
    words: set[str] = set()
    for path in folder.rglob("*.py"):
        words.update(_words(path.read_text(encoding="utf-8")))
    return frozenset(words)


def _words(text: str) -> Iterator[str]:
    return (match.group().casefold() for match in _WORD.finditer(text))


def redact_line(line: str, known: frozenset[str]) -> str:
    """Return a line of a log without what may be a person's.

    >>> known = frozenset({"mission", "of", "failed", "file", "line", "bat", "os", "py"})
    >>> redact_line("mission of 'my sister' failed: Anna rang", known)
    'mission of [removed] failed: … …'
    """
    if frame := _FRAME.match(line):
        return f'  File "{frame[1]}"{frame[2]}'
    line = _QUOTED.sub(GONE, hide_secrets(line))
    own = known | {"removed"}
    return _WORD.sub(lambda word: word[0] if word[0].casefold() in own else "…", line)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise ArgumentsError(f"{path} cannot be written: {error}") from error


def _show(body: Mapping[str, Any], screen: Screen) -> None:
    if body["file"]:
        screen.note(f"written to {body['file']}; nothing is sent anywhere")
    else:
        screen.answer(body["text"])
        if not sys.stdout.isatty():
            return
        screen.note("nothing is written; batos report FILE writes it")


COMMANDS: Final[Mapping[str, Command]] = {"report": Command(_show, _report)}
